// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IJudge} from "../src/interfaces/IJudge.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Leaves} from "../src/libraries/Leaves.sol";
import {Blocks} from "./Bundles.sol";
import {Depositors} from "./Depositors.sol";
import {Trees} from "./Trees.sol";

/// @dev A network in which two consumers have deposited, its books after epoch 1 and after epoch 2, and the way to
/// report each fraud: commit, wait for a block, show.
abstract contract Reports is Depositors {
    using Leaves for ISettlement.Leaf;
    using Trees for ISettlement.Leaf[];

    /// @dev A leaf with the path that is shown for it.
    struct Shown {
        ISettlement.Leaf leaf;
        bytes32[] proof;
    }

    address internal constant REPORTER = address(0x4E9047);
    address internal constant PROVIDER = address(0x9401);
    address internal constant PROVIDER_2 = address(0x9402);
    bytes32 internal constant SALT = keccak256("salt");
    uint256 internal constant DEPOSIT = 10 ether;
    uint256 internal constant TOTAL_EARNED = 1207 ether;
    uint256 internal constant TOTAL_SPENT = 7 ether;
    uint256 internal constant EVERYBODY = 15;
    bytes internal constant ACCEPTED = "";

    function setUp() public virtual override {
        super.setUp();
        depositAs(alice, DEPOSIT);
        depositAs(BOB, DEPOSIT);
    }

    // Books

    /// @dev After epoch 1: Alice (0), Bob (1), two providers (2, 3), the treasury (4).
    function first() internal view returns (ISettlement.Leaf[] memory leaves) {
        leaves = new ISettlement.Leaf[](5);
        leaves[0] = ISettlement.Leaf(alice, 0, 4 ether, 0, 200_000);
        leaves[1] = ISettlement.Leaf(BOB, 0, 2 ether, 0, 200_000);
        leaves[2] = ISettlement.Leaf(PROVIDER, 500 ether, 0, 700, 900_000);
        leaves[3] = ISettlement.Leaf(PROVIDER_2, 300 ether, 0, 300, 800_000);
        leaves[4] = ISettlement.Leaf(TREASURY, 6 ether, 0, 0, 0);
    }

    /// @dev After epoch 2, with the totals above. Bob and the second provider stand where they stood; the reputation of
    /// both providers fell, as it may.
    function second() internal view returns (ISettlement.Leaf[] memory leaves) {
        leaves = first();
        leaves[0].spent = 5 ether;
        leaves[2] = ISettlement.Leaf(PROVIDER, 900 ether, 0, 1500, 850_000);
        leaves[3].reputation = 0;
        leaves[4].earned = 7 ether;
    }

    /// @dev Posts the root of `leaves` for epoch 2 with the totals above, whatever its leaves say.
    function pend(ISettlement.Leaf[] memory leaves) internal {
        postAs(2, leaves.root(), TOTAL_EARNED, TOTAL_SPENT, 7);
    }

    /// @dev Posts a root that the validators in `bitmap` sign.
    function postAs(uint256 epoch, bytes32 root, uint256 earned, uint256 spent, uint256 bitmap)
        internal
    {
        warpToPosting(epoch);
        ISettlement.EpochAttestation memory said = attestation(epoch, root, earned);
        said.totalSpent = spent;
        propose(said);
        settlement.post(said, sign(settlement.digestOf(said), bitmap));
    }

    function shown(ISettlement.Leaf[] memory leaves, uint256 index)
        internal
        pure
        returns (Shown memory)
    {
        ISettlement.Leaf memory leaf = leaves[index];
        // A copy: what is done to it leaves the tree as it is.
        leaf = ISettlement.Leaf(leaf.account, leaf.earned, leaf.spent, leaf.points, leaf.reputation);
        return Shown(leaf, leaves.proof(index));
    }

    /// @dev All leaves with their paths, by ascending hash.
    function ascending(ISettlement.Leaf[] memory leaves)
        internal
        pure
        returns (Shown[] memory items)
    {
        items = new Shown[](leaves.length);
        for (uint256 i; i < leaves.length; ++i) {
            items[i] = shown(leaves, i);
            for (uint256 j = i; j > 0 && items[j - 1].leaf.hash() > items[j].leaf.hash(); --j) {
                (items[j], items[j - 1]) = (items[j - 1], items[j]);
            }
        }
    }

    // Reports, each either accepted or refused with the given error

    function nextBlock() internal {
        Blocks blocks = Blocks(address(vm));
        blocks.roll(blocks.getBlockNumber() + 1);
    }

    /// @dev Commits unless that was done before; the next block comes.
    function commitAs(address reporter, bytes32 evidence) internal {
        bytes32 commitment = judge.commitmentOf(reporter, evidence, SALT);
        if (judge.committedAt(commitment) == 0) {
            vm.prank(reporter);
            judge.commit(commitment);
        }
        nextBlock();
    }

    function commitTo(bytes32 evidence) internal {
        commitAs(REPORTER, evidence);
    }

    function expect(bytes32 name, bytes32 subject, bytes memory refusal) internal {
        if (refusal.length == 0) {
            vm.expectEmit(address(judge));
            emit IJudge.Proven(name, subject, REPORTER);
        } else {
            vm.expectRevert(refusal);
        }
    }

    function evidenceOf(bytes32 name, Shown memory a) internal pure returns (bytes32) {
        return keccak256(abi.encode(name, a.leaf, a.proof));
    }

    function evidenceOf(bytes32 name, Shown memory a, Shown memory b)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(name, a.leaf, a.proof, b.leaf, b.proof));
    }

    function falls(Shown memory a, Shown memory parent, bytes memory refusal) internal {
        commitTo(evidenceOf("falls", a, parent));
        expect("falls", settlement.triableRecord().root, refusal);
        vm.prank(REPORTER);
        judge.falls(a.leaf, a.proof, parent.leaf, parent.proof, SALT);
    }

    function repeats(Shown memory a, Shown memory b, bytes memory refusal) internal {
        commitTo(evidenceOf("repeats", a, b));
        expect("repeats", settlement.triableRecord().root, refusal);
        vm.prank(REPORTER);
        judge.repeats(a.leaf, a.proof, b.leaf, b.proof, SALT);
    }

    function overspends(Shown memory a, bytes memory refusal) internal {
        commitTo(evidenceOf("overspends", a));
        expect("overspends", settlement.triableRecord().root, refusal);
        vm.prank(REPORTER);
        judge.overspends(a.leaf, a.proof, SALT);
    }

    function outOfRange(Shown memory a, bytes memory refusal) internal {
        commitTo(evidenceOf("outOfRange", a));
        expect("outOfRange", settlement.triableRecord().root, refusal);
        vm.prank(REPORTER);
        judge.outOfRange(a.leaf, a.proof, SALT);
    }

    /// @dev A step of the sum: `count` of the items from `from` on.
    function sumAs(address reporter, Shown[] memory items, uint256 from, uint256 count) internal {
        ISettlement.Leaf[] memory leaves = new ISettlement.Leaf[](count);
        bytes32[][] memory proofs = new bytes32[][](count);
        for (uint256 i; i < count; ++i) {
            (leaves[i], proofs[i]) = (items[from + i].leaf, items[from + i].proof);
        }
        vm.prank(reporter);
        judge.sum(leaves, proofs);
    }

    function sum(Shown[] memory items) internal {
        sumAs(REPORTER, items, 0, items.length);
    }

    function exceedsTotal(bytes memory refusal) internal {
        bytes32 root = settlement.triableRecord().root;
        (, bytes32 running,,) = judge.summed(root, REPORTER);
        bytes32 name = "exceedsTotal";
        commitTo(keccak256(abi.encode(name, root, running)));
        expect(name, root, refusal);
        vm.prank(REPORTER);
        judge.exceedsTotal(SALT);
    }

    // What comes of it

    function slashAll() internal {
        for (uint256 i; i < accounts.length; ++i) {
            if (registry.convictionOf(accounts[i]).reporter != address(0)) {
                registry.slash(accounts[i]);
            }
        }
    }

    /// @dev Those in `bitmap`, and nobody else, wait to be slashed for the reporter.
    function assertConvicts(uint256 bitmap) internal view {
        uint256 count;
        for (uint256 i; i < accounts.length; ++i) {
            IRegistry.Conviction memory conviction = registry.convictionOf(accounts[i]);
            bool convict = bitmap >> i & 1 == 1;
            vm.assertEq(conviction.reporter, convict ? REPORTER : address(0));
            vm.assertFalse(conviction.slashed);
            if (convict) ++count;
        }
        vm.assertEq(registry.unslashed(), count);
    }

    function about(bytes4 selector, address account) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, account);
    }

    function notInTree(address account, bytes32 root) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IJudge.NotInTree.selector, account, root);
    }

    function differentAccounts(address a, address b) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IJudge.DifferentAccounts.selector, a, b);
    }
}
