// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Network} from "./Network.sol";
import {Trees} from "./Trees.sol";

/// claim
/// ├── no active root: NoActiveRoot
/// ├── a field out of range: LeafOutOfRange
/// ├── not a leaf of the active root: NotInTree (fuzz), also an inner node and the pending root's leaf
/// ├── nothing due: NothingToClaim
/// ├── pot empty: PotEmpty
/// └── otherwise
///     ├── earned less claimed goes to the recipient, whoever calls; over several roots (fuzz)
///     ├── more due than the pot: the pot is paid, the rest remembered
///     └── reputation and epoch stored, only if the root is newer than what is stored
/// claimMany
/// ├── other number of proofs than leaves: LengthMismatch
/// ├── no active root: NoActiveRoot
/// └── each item: paid as by claim, or skipped with its reason
/// push
/// ├── no active root: NoActiveRoot
/// ├── out of range: LeafOutOfRange; not in the tree: NotInTree
/// ├── root not newer than what is stored: NotNewer
/// └── otherwise: reputation and epoch stored, no money moves, nothing activated
contract SettlementClaimsTest is Network {
    using Trees for ISettlement.Leaf[];

    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B);
    address private constant COLD = address(0xC01D);

    ISettlement.Leaf[] private leaves;

    function setUp() public override {
        super.setUp();
        bondAll();
        vault.fund(100 * uint256(RATE));
        leaves.push(ISettlement.Leaf(ALICE, 100 ether, 0, 3, 500_000));
        leaves.push(ISettlement.Leaf(BOB, 50 ether, 0, 0, 1_000_000));
        leaves.push(ISettlement.Leaf(TREASURY, 0, 0, 0, 0));
    }

    function test_claim_noActiveRoot() external {
        bytes32[] memory proof;
        vm.expectRevert(ISettlement.NoActiveRoot.selector);
        claimWith(leaves[0], proof);
        vm.expectRevert(ISettlement.NoActiveRoot.selector);
        pushWith(leaves[0], proof);
        vm.expectRevert(ISettlement.NoActiveRoot.selector);
        settlement.claimMany(new ISettlement.Leaf[](0), new bytes32[][](0));
        // A root that is only pending does not count either.
        warpToPosting(1);
        proposeAndPost(attestation(1, leaves.root(), 150 ether));
        proof = leaves.proof(0);
        vm.expectRevert(ISettlement.NoActiveRoot.selector);
        claimWith(leaves[0], proof);
    }

    function test_claim() external {
        publish(1, leaves);
        bytes32[] memory proof = leaves.proof(0);
        vm.expectEmit(address(settlement));
        emit ISettlement.Activated(1, leaves.root(), 150 ether);
        vm.expectEmit(address(settlement));
        emit ISettlement.Claimed(ALICE, ALICE, 100 ether, 1);
        vm.prank(STRANGER);
        claimWith(leaves[0], proof);

        vm.assertEq(token.balanceOf(ALICE), 100 ether);
        vm.assertEq(settlement.claimedOf(ALICE), 100 ether);
        vm.assertEq(settlement.pot(), 50 ether);
        expectReputation(ALICE, 500_000, 1);
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.NothingToClaim.selector, ALICE, 100 ether)
        );
        claimWith(leaves[0], proof);
        proof = leaves.proof(2);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToClaim.selector, TREASURY, 0));
        claimWith(leaves[2], proof);
    }

    function test_claim_toRecipient() external {
        vm.prank(ALICE);
        registry.setRecipient(ALICE, COLD);
        publish(1, leaves);
        claim(leaves, 0);
        vm.assertEq(token.balanceOf(COLD), 100 ether);
        vm.assertEq(token.balanceOf(ALICE), 0);
    }

    function test_claim_outOfRange() external {
        uint256 max = type(uint96).max;
        ISettlement.Leaf[] memory wrong = new ISettlement.Leaf[](4);
        wrong[0] = ISettlement.Leaf(ALICE, max + 1, 0, 0, 0);
        wrong[1] = ISettlement.Leaf(ALICE, 1, max + 1, 0, 0);
        wrong[2] = ISettlement.Leaf(ALICE, 1, 0, uint256(type(uint64).max) + 1, 0);
        wrong[3] = ISettlement.Leaf(ALICE, 1, 0, 0, 1_000_001);
        warpToPosting(1);
        proposeAndPost(attestation(1, wrong.root(), 100 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        for (uint256 i; i < 4; ++i) {
            bytes32[] memory proof = wrong.proof(i);
            vm.expectRevert(ISettlement.LeafOutOfRange.selector);
            claimWith(wrong[i], proof);
            vm.expectRevert(ISettlement.LeafOutOfRange.selector);
            pushWith(wrong[i], proof);
        }
    }

    function test_claim_extremesInRange() external {
        ISettlement.Leaf[] memory wide = new ISettlement.Leaf[](1);
        wide[0] = ISettlement.Leaf(
            ALICE, type(uint96).max, type(uint96).max, type(uint64).max, 1_000_000
        );
        warpToPosting(1);
        proposeAndPost(attestation(1, wide.root(), 7));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        claim(wide, 0);
        vm.assertEq(token.balanceOf(ALICE), 7);
        expectReputation(ALICE, 1_000_000, 1);
    }

    function testFuzz_claim_everyFieldIsProven(uint256 field, uint256 value) external {
        publish(1, leaves);
        bytes32[] memory proof = leaves.proof(0);
        ISettlement.Leaf memory changed = leaves[0];
        field = bound(field, 0, 4);
        value = field == 0
            ? uint160(value)
            : bound(value, 0, field == 4 ? 1_000_000 : type(uint64).max);
        uint256 before;
        assembly ("memory-safe") {
            before := mload(add(changed, mul(field, 32)))
            mstore(add(changed, mul(field, 32)), value)
        }
        vm.assume(value != before);
        bytes memory reason =
            abi.encodeWithSelector(ISettlement.NotInTree.selector, changed.account, leaves.root());
        vm.expectRevert(reason);
        claimWith(changed, proof);
        vm.expectRevert(reason);
        pushWith(changed, proof);
    }

    function test_claim_shortenedProof() external {
        publish(1, leaves);
        bytes32[] memory proof = leaves.proof(1);
        assembly ("memory-safe") {
            mstore(proof, sub(mload(proof), 1))
        }
        bytes memory reason =
            abi.encodeWithSelector(ISettlement.NotInTree.selector, BOB, leaves.root());
        vm.expectRevert(reason);
        claimWith(leaves[1], proof);
    }

    /// The previous root stays claimable, and it alone, while the next is pending.
    function test_claim_whilePending() external {
        publish(1, leaves);
        bytes32 first = leaves.root();
        bytes32[] memory oldProof = leaves.proof(0);
        ISettlement.Leaf memory old = leaves[0];
        leaves[0].earned = 130 ether;
        leaves[0].reputation = 1;
        warpToPosting(2);
        proposeAndPost(attestation(2, leaves.root(), 180 ether));

        bytes32[] memory proof = leaves.proof(0);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotInTree.selector, ALICE, first));
        claimWith(leaves[0], proof);
        claimWith(old, oldProof);
        vm.assertEq(token.balanceOf(ALICE), 100 ether);

        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        bytes32 second = leaves.root();
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotInTree.selector, ALICE, second));
        claimWith(old, oldProof);
        claimWith(leaves[0], proof);
        vm.assertEq(token.balanceOf(ALICE), 130 ether);
        expectReputation(ALICE, 1, 2);
    }

    function testFuzz_claim_cumulative(uint96[5] memory growth, uint8 claims) external {
        uint256 earned;
        uint256 paid;
        for (uint256 epoch = 1; epoch <= 5; ++epoch) {
            earned += bound(growth[epoch - 1], 0, RATE / 2);
            leaves[0].earned = 100 ether + earned;
            publish(epoch, leaves);
            if (claims >> (epoch - 1) & 1 == 1 && leaves[0].earned > paid) {
                claim(leaves, 0);
                paid = leaves[0].earned;
            }
            vm.assertEq(token.balanceOf(ALICE), paid);
            vm.assertEq(settlement.claimedOf(ALICE), paid);
        }
        if (leaves[0].earned > paid) claim(leaves, 0);
        vm.assertEq(token.balanceOf(ALICE), 100 ether + earned);
    }

    /// A root whose leaves add up to more than its total: what was fed is the cap.
    function test_claim_cappedByPot() external {
        warpToPosting(1);
        proposeAndPost(attestation(1, leaves.root(), 120 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        claim(leaves, 0);
        claim(leaves, 1);
        vm.assertEq(token.balanceOf(BOB), 20 ether);
        vm.assertEq(settlement.claimedOf(BOB), 20 ether);
        vm.assertEq(settlement.pot(), 0);
        bytes32[] memory proof = leaves.proof(1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.PotEmpty.selector, 30 ether));
        claimWith(leaves[1], proof);

        // The rest is remembered and paid when the pot is fed again.
        warpToPosting(2);
        leaves[2].earned = 1;
        proposeAndPost(attestation(2, leaves.root(), 150 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        claim(leaves, 1);
        vm.assertEq(token.balanceOf(BOB), 50 ether);
    }

    /// Tokens sent to the contract by mistake pay nobody.
    function test_claim_donationsDoNotCount() external {
        warpToPosting(1);
        proposeAndPost(attestation(1, leaves.root(), 0));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        token.transfer(address(settlement), 1000 ether);
        bytes32[] memory proof = leaves.proof(0);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.PotEmpty.selector, 100 ether));
        claimWith(leaves[0], proof);
    }

    /// Two different leaves of one account in a root: the second cannot change the reputation.
    function test_claim_reputationOncePerEpoch() external {
        leaves[1] = ISettlement.Leaf(ALICE, 120 ether, 0, 0, 900_000);
        warpToPosting(1);
        proposeAndPost(attestation(1, leaves.root(), 120 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        claim(leaves, 0);
        claim(leaves, 1);
        vm.assertEq(token.balanceOf(ALICE), 120 ether);
        expectReputation(ALICE, 500_000, 1);
    }

    function test_claimMany_lengths() external {
        publish(1, leaves);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.LengthMismatch.selector, 1, 0));
        settlement.claimMany(new ISettlement.Leaf[](1), new bytes32[][](0));
        settlement.claimMany(new ISettlement.Leaf[](0), new bytes32[][](0));
        // An empty batch activates all the same.
        vm.assertEq(settlement.pot(), 150 ether);
    }

    function test_claimMany_skips() external {
        warpToPosting(1);
        proposeAndPost(attestation(1, leaves.root(), 130 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        vm.prank(BOB);
        registry.setRecipient(BOB, COLD);
        ISettlement.Leaf[] memory items = new ISettlement.Leaf[](7);
        bytes32[][] memory proofs = new bytes32[][](7);
        uint8[7] memory order = [0, 0, 0, 0, 2, 1, 1];
        for (uint256 i; i < 7; ++i) {
            ISettlement.Leaf storage leaf = leaves[order[i]];
            items[i] = ISettlement.Leaf(
                leaf.account, leaf.earned, leaf.spent, leaf.points, leaf.reputation
            );
            proofs[i] = leaves.proof(order[i]);
        }
        items[0].reputation = 1_000_001;
        items[1].earned += 1;

        expectSkip(ALICE, 0, ISettlement.SkipReason.OutOfRange);
        expectSkip(ALICE, 1, ISettlement.SkipReason.NotInTree);
        vm.expectEmit(address(settlement));
        emit ISettlement.Claimed(ALICE, ALICE, 100 ether, 1);
        expectSkip(ALICE, 3, ISettlement.SkipReason.NothingDue);
        expectSkip(TREASURY, 4, ISettlement.SkipReason.NothingDue);
        vm.expectEmit(address(settlement));
        emit ISettlement.Claimed(BOB, COLD, 30 ether, 1);
        expectSkip(BOB, 6, ISettlement.SkipReason.PotEmpty);
        settlement.claimMany(items, proofs);

        vm.assertEq(token.balanceOf(ALICE), 100 ether);
        vm.assertEq(token.balanceOf(COLD), 30 ether);
        vm.assertEq(settlement.pot(), 0);
        expectReputation(ALICE, 500_000, 1);
        expectReputation(BOB, 1_000_000, 1);
    }

    /// A batch pays exactly what single claims pay, and repeated it pays nothing.
    function testFuzz_claimMany(uint64[16] memory earned, uint256 count) external {
        count = bound(count, 1, 16);
        ISettlement.Leaf[] memory items = new ISettlement.Leaf[](count);
        bytes32[][] memory proofs = new bytes32[][](count);
        uint256 total;
        for (uint256 i; i < count; ++i) {
            items[i] = ISettlement.Leaf(address(uint160(0x1000 + i)), earned[i], 0, i, i);
            total += earned[i];
        }
        for (uint256 i; i < count; ++i) {
            proofs[i] = items.proof(i);
        }
        publish(1, items);
        for (uint256 round; round < 2; ++round) {
            settlement.claimMany(items, proofs);
            for (uint256 i; i < count; ++i) {
                vm.assertEq(token.balanceOf(items[i].account), earned[i]);
                expectReputation(items[i].account, earned[i] == 0 ? 0 : i, earned[i] == 0 ? 0 : 1);
            }
            vm.assertEq(settlement.pot(), 0);
            vm.assertEq(vault.fed(), total);
        }
    }

    function test_push() external {
        publish(1, leaves);
        bytes32[] memory proof = leaves.proof(0);
        vm.expectEmit(address(settlement));
        emit ISettlement.ReputationPushed(ALICE, 500_000, 1);
        vm.prank(STRANGER);
        pushWith(leaves[0], proof);
        expectReputation(ALICE, 500_000, 1);
        vm.assertEq(settlement.claimedOf(ALICE), 0);
        vm.assertEq(token.balanceOf(ALICE), 0);
        // It moved no money at all: the matured root is not activated yet.
        vm.assertEq(vault.fed(), 0);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotNewer.selector, 1, 1));
        pushWith(leaves[0], proof);
        claimWith(leaves[0], proof);
        vm.assertEq(token.balanceOf(ALICE), 100 ether);
        expectReputation(ALICE, 500_000, 1);
    }

    /// A fallen score can neither be withheld by its owner nor rolled back.
    function test_push_fallen() external {
        publish(1, leaves);
        claim(leaves, 0);
        ISettlement.Leaf memory old = leaves[0];
        bytes32[] memory oldProof = leaves.proof(0);
        leaves[0].reputation = 10;
        publish(2, leaves);
        bytes32[] memory proof = leaves.proof(0);
        vm.prank(STRANGER);
        pushWith(leaves[0], proof);
        expectReputation(ALICE, 10, 2);
        bytes32 root = leaves.root();
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotInTree.selector, ALICE, root));
        pushWith(old, oldProof);
    }

    function expectReputation(address account, uint256 reputation, uint256 epoch) private view {
        (uint256 reputation_, uint256 epoch_) = settlement.reputationOf(account);
        vm.assertEq(reputation_, reputation);
        vm.assertEq(epoch_, epoch);
    }

    function expectSkip(address account, uint256 index, ISettlement.SkipReason reason) private {
        vm.expectEmit(address(settlement));
        emit ISettlement.ClaimSkipped(account, index, reason);
    }
}
