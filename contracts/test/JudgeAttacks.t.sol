// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {IJudge} from "../src/interfaces/IJudge.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Leaves} from "../src/libraries/Leaves.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Reports} from "./Reports.sol";
import {Trees} from "./Trees.sol";

/// Attacks on the proofs against roots, and on what follows from them:
/// ├── reports copied, committed to late, or used for another proof
/// ├── one fraud reported twice, or in its last second, or while paused
/// ├── trees made to confuse: one leaf twice, inner nodes, leaves hashed once
/// ├── frauds saved by a slash that fails, or by posting them again
/// ├── honest roots made fraudulent by a withdrawal; honest trees (fuzz): no proof passes
/// └── only the signers are slashed (fuzz), each once, and the root before stays claimable
contract JudgeAttacksTest is Reports {
    using Leaves for ISettlement.Leaf;
    using Trees for ISettlement.Leaf[];

    function setUp() public override {
        super.setUp();
        publish(1, first());
    }

    /// @dev The books after epoch 2, but Alice has spent what she does not have.
    function fraud() private view returns (ISettlement.Leaf[] memory leaves) {
        leaves = second();
        leaves[0].spent = DEPOSIT + 1;
    }

    // Front-running

    function test_attack_copiedReport() external {
        pend(fraud());
        Shown memory a = shown(fraud(), 0);
        bytes32 evidence = evidenceOf("overspends", a);
        commitTo(evidence);
        expectNotCommitted(STRANGER, evidence);
        vm.prank(STRANGER);
        judge.overspends(a.leaf, a.proof, SALT);

        bytes32 copy = judge.commitmentOf(STRANGER, evidence, SALT);
        vm.prank(STRANGER);
        judge.commit(copy);
        expectNotCommitted(STRANGER, evidence);
        vm.prank(STRANGER);
        judge.overspends(a.leaf, a.proof, SALT);

        vm.prank(REPORTER);
        judge.overspends(a.leaf, a.proof, SALT);
        assertConvicts(7);
        nextBlock();
        vm.prank(STRANGER);
        vm.expectRevert(IJudge.NothingTriable.selector);
        judge.overspends(a.leaf, a.proof, SALT);
        assertConvicts(7);
    }

    /// Two proofs take the same arguments; who committed to one has not committed to the other.
    function test_attack_commitmentForAnotherProof() external {
        ISettlement.Leaf[] memory leaves = second();
        leaves[0].spent = uint256(type(uint96).max) + 1;
        pend(leaves);
        Shown memory a = shown(leaves, 0);
        commitTo(evidenceOf("overspends", a));
        expectNotCommitted(REPORTER, evidenceOf("outOfRange", a));
        vm.prank(REPORTER);
        judge.outOfRange(a.leaf, a.proof, SALT);
        vm.prank(REPORTER);
        judge.overspends(a.leaf, a.proof, SALT);
        assertConvicts(7);
    }

    // Each once, and in time

    function test_attack_reportedTwice() external {
        ISettlement.Leaf[] memory leaves = fraud();
        leaves[3].earned = type(uint256).max;
        pend(leaves);
        overspends(shown(leaves, 0), ACCEPTED);
        bytes memory refusal = abi.encodeWithSelector(IJudge.NothingTriable.selector);
        overspends(shown(leaves, 0), refusal);
        outOfRange(shown(leaves, 3), refusal);
        slashAll();
        outOfRange(shown(leaves, 3), refusal);
        vm.assertEq(registry.shareOf(REPORTER), 3 * uint256(MAX_STAKE) / 10);
    }

    function test_reportInTheLastSecond() external {
        pend(fraud());
        vm.warp(settlement.pendingRecord().activeAt - 1);
        overspends(shown(fraud(), 0), ACCEPTED);
        assertConvicts(7);
    }

    function test_reportTooLate() external {
        pend(fraud());
        vm.warp(settlement.pendingRecord().activeAt);
        overspends(shown(fraud(), 0), abi.encodeWithSelector(IJudge.NothingTriable.selector));
        assertConvicts(0);
        vm.assertEq(settlement.activeRoot(), fraud().root());
    }

    /// A guardian that is one with the liars cannot keep a proof away.
    function test_attack_pauseDuringTheChallenge() external {
        pend(fraud());
        vm.prank(GUARDIAN);
        settlement.pause();
        overspends(shown(fraud(), 0), ACCEPTED);
        assertConvicts(7);
        slashAll();
        vm.prank(REPORTER);
        registry.collect();
        vm.assertEq(token.balanceOf(REPORTER), 3 * uint256(MAX_STAKE) / 10);
    }

    /// Only the judge convicts, and only the settlement contract names the signers.
    function test_attack_convictingWithoutProof() external {
        pend(second());
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotJudge.selector, address(this)));
        settlement.convict(REPORTER);
        vm.expectRevert(about(IRegistry.NotConvictor.selector, address(this)));
        registry.convict(accounts[0], REPORTER);
        vm.expectRevert(about(IRegistry.NotConvictor.selector, address(judge)));
        vm.prank(address(judge));
        registry.convictSigners(7, REPORTER);
        assertConvicts(0);
    }

    // Trees

    /// A leaf that stands twice in the tree is one leaf: it pays once and counts once.
    function test_attack_sameLeafTwice() external {
        ISettlement.Leaf[] memory leaves = second();
        ISettlement.Leaf[] memory doubled = new ISettlement.Leaf[](6);
        for (uint256 i; i < 5; ++i) {
            doubled[i] = leaves[i];
        }
        doubled[5] = leaves[2];
        pend(doubled);
        Shown memory a = shown(doubled, 2);
        Shown memory b = shown(doubled, 5);
        vm.assertTrue(keccak256(abi.encode(a.proof)) != keccak256(abi.encode(b.proof)));
        repeats(a, b, about(IJudge.SameLeaf.selector, PROVIDER));

        Shown[] memory items = new Shown[](2);
        (items[0], items[1]) = (a, b);
        bytes32 hash = a.leaf.hash();
        vm.expectRevert(abi.encodeWithSelector(IJudge.NotAscending.selector, hash, hash));
        sum(items);
        sumAs(REPORTER, items, 0, 1);
        vm.expectRevert(abi.encodeWithSelector(IJudge.NotAscending.selector, hash, hash));
        sumAs(REPORTER, items, 1, 1);

        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        claim(doubled, 2);
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.NothingToClaim.selector, PROVIDER, 900 ether)
        );
        claim(doubled, 5);
    }

    /// The path of an inner node proves no leaf, whatever its fields.
    function testFuzz_attack_innerNodeAsLeaf(ISettlement.Leaf calldata given, bool fromNode)
        external
    {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        bytes32[] memory tree = leaves.nodes();
        // Nodes 0 to 3 are inner ones.
        for (uint256 node; node < 4; ++node) {
            Shown memory forged = Shown(given, pathOf(tree, node));
            if (fromNode) {
                // What is hashed for the node, read as the first fields of a leaf.
                forged.leaf.account = address(uint160(uint256(tree[2 * node + 1])));
                forged.leaf.earned = uint256(tree[2 * node + 2]);
            }
            bytes memory refusal = notInTree(forged.leaf.account, leaves.root());
            outOfRange(forged, refusal);
            overspends(forged, refusal);
            ISettlement.Leaf[] memory list = new ISettlement.Leaf[](1);
            bytes32[][] memory proofs = new bytes32[][](1);
            (list[0], proofs[0]) = (forged.leaf, forged.proof);
            vm.expectRevert(refusal);
            judge.sum(list, proofs);
        }
    }

    /// A path cut short, or made longer by a leaf's own first hash, proves nothing either.
    function test_attack_secondPreimage() external {
        ISettlement.Leaf[] memory leaves = fraud();
        pend(leaves);
        Shown memory a = shown(leaves, 0);
        bytes32[] memory proof = a.proof;
        a.proof = new bytes32[](proof.length - 1);
        for (uint256 i = 1; i < proof.length; ++i) {
            a.proof[i - 1] = proof[i];
        }
        overspends(a, notInTree(alice, leaves.root()));
        a.proof = new bytes32[](proof.length + 1);
        a.proof[0] = keccak256(abi.encode(a.leaf));
        for (uint256 i; i < proof.length; ++i) {
            a.proof[i + 1] = proof[i];
        }
        overspends(a, notInTree(alice, leaves.root()));
        a.proof = proof;
        overspends(a, ACCEPTED);
    }

    /// A root over leaves that were hashed once proves nothing, and so pays nothing.
    function test_attack_leavesHashedOnce() external {
        ISettlement.Leaf[] memory leaves = fraud();
        bytes32 a = keccak256(abi.encode(leaves[0]));
        bytes32 b = keccak256(abi.encode(leaves[2]));
        bytes32 root = Hashes.commutativeKeccak256(a, b);
        postAs(2, root, TOTAL_EARNED, TOTAL_SPENT, 7);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = b;
        overspends(Shown(leaves[0], proof), notInTree(alice, root));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        proof[0] = a;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotInTree.selector, PROVIDER, root));
        claimWith(leaves[2], proof);
    }

    // What follows

    function testFuzz_onlySignersAreSlashed(uint8 missing, uint256 order) external {
        uint256 bitmap = missing % 5 == 4 ? EVERYBODY : EVERYBODY ^ 1 << missing % 5;
        ISettlement.Leaf[] memory leaves = fraud();
        postAs(2, leaves.root(), TOTAL_EARNED, TOTAL_SPENT, bitmap);
        overspends(shown(leaves, 0), ACCEPTED);
        assertConvicts(bitmap);

        // By anyone, in any order, each once.
        uint256 count;
        for (uint256 i; i < VALIDATORS; ++i) {
            address account = accounts[(i + order % VALIDATORS) % VALIDATORS];
            vm.assertFalse(settlement.isQuiet() && registry.unslashed() != 0);
            bool signed = registry.convictionOf(account).reporter != address(0);
            if (signed) {
                vm.prank(STRANGER);
                registry.slash(account);
                ++count;
                vm.expectRevert(about(IRegistry.AlreadySlashed.selector, account));
            } else {
                vm.expectRevert(about(IRegistry.NotConvicted.selector, account));
            }
            registry.slash(account);
            vm.assertEq(registry.stakeOf(account), signed ? 0 : MAX_STAKE);
        }
        vm.assertEq(registry.unslashed(), 0);
        vm.assertTrue(settlement.isQuiet());
        vm.assertEq(token.balanceOf(DEAD), count * MAX_STAKE - count * (MAX_STAKE / 10));
        vm.prank(REPORTER);
        registry.collect();
        vm.assertEq(token.balanceOf(REPORTER), count * (MAX_STAKE / 10));
        vm.assertEq(token.balanceOf(address(registry)), (VALIDATORS - count) * MAX_STAKE);
    }

    /// A token that fails holds up the slash and not the proof; the slash is made up for.
    function test_attack_slashThatFails() external {
        pend(fraud());
        bytes memory code = address(token).code;
        // Reverts whatever it is asked.
        vm.etch(address(token), hex"5f5ffd");
        overspends(shown(fraud(), 0), ACCEPTED);
        assertConvicts(7);
        for (uint256 i; i < 3; ++i) {
            vm.expectRevert();
            registry.slash(accounts[i]);
        }
        assertConvicts(7);
        vm.assertFalse(settlement.isQuiet());

        vm.etch(address(token), code);
        slashAll();
        vm.assertEq(registry.shareOf(REPORTER), 3 * uint256(MAX_STAKE) / 10);
        vm.assertEq(registry.stakeOf(accounts[3]), MAX_STAKE);
    }

    /// Cancelled for a fraud, a root is dead: the same bundle, or a better one for its epoch, comes too late.
    function test_attack_convictedRootPostedAgain() external {
        ISettlement.Leaf[] memory leaves = fraud();
        warpToPosting(2);
        ISettlement.EpochAttestation memory said = attestation(2, leaves.root(), TOTAL_EARNED);
        said.totalSpent = TOTAL_SPENT;
        proposeAndPost(said);
        bytes memory signatures = quorum(said);
        overspends(shown(leaves, 0), ACCEPTED);

        bytes memory refusal = abi.encodeWithSelector(ISettlement.EpochAlreadyPosted.selector, 2, 2);
        vm.expectRevert(refusal);
        settlement.post(said, signatures);
        vm.warp(vm.getBlockTimestamp() + ROUND);
        address proposer = settlement.proposerOf(2, 1);
        vm.expectRevert(refusal);
        vm.prank(proposer);
        settlement.propose(2, 1, "better");
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        vm.assertEq(settlement.activeRoot(), first().root());
    }

    /// From its activation on, through fraud, proof and slash, the root before pays, and the fraud never does.
    function test_previousRootClaimableThroughout() external {
        ISettlement.Leaf[] memory honest = first();
        ISettlement.Leaf[] memory leaves = fraud();
        pend(leaves);
        claim(honest, 2);
        refuseClaim(leaves);
        overspends(shown(leaves, 0), ACCEPTED);
        claim(honest, 3);
        refuseClaim(leaves);
        slashAll();
        claim(honest, 4);
        refuseClaim(leaves);
        vm.warp(vm.getBlockTimestamp() + 2 * CHALLENGE);
        refuseClaim(leaves);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToActivate.selector, 0));
        settlement.activate();
        vm.assertEq(token.balanceOf(PROVIDER), 500 ether);
        vm.assertEq(token.balanceOf(PROVIDER_2), 300 ether);
        vm.assertEq(token.balanceOf(TREASURY), 6 ether);
        vm.assertEq(settlement.pot(), 0);
    }

    /// No deposit leaves while a root is pending, so what was honest when it was signed stays so.
    function test_attack_withdrawalThatMakesAnHonestRootFraudulent() external {
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = second();
        leaves[0].spent = DEPOSIT;
        publishPending(3, leaves);
        vm.expectRevert(IVault.NotQuiet.selector);
        withdrawAs(alice, first()[0], first().proof(0));
        bytes memory refusal =
            abi.encodeWithSelector(IJudge.NotOverspent.selector, alice, DEPOSIT, DEPOSIT);
        overspends(shown(leaves, 0), refusal);
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        vm.assertEq(settlement.activeRoot(), leaves.root());
    }

    /// Against an honest tree, that grew honestly from the one before, each proof is refused for what it shows.
    function testFuzz_honestTreePassesNoProof(uint256 seed, uint8 size) external {
        size = uint8(bound(size, 1, 6));
        (ISettlement.Leaf[] memory before, ISettlement.Leaf[] memory leaves) =
            honestGrowth(seed, size);
        publish(2, before);
        publishPending(3, leaves);
        uint256 earned;
        for (uint256 i; i < leaves.length; ++i) {
            Shown memory a = shown(leaves, i);
            address account = a.leaf.account;
            earned += a.leaf.earned;
            for (uint256 j; j < leaves.length; ++j) {
                address other = leaves[j].account;
                bytes memory refusal = differentAccounts(account, other);
                repeats(
                    a, shown(leaves, j), i == j ? about(IJudge.SameLeaf.selector, account) : refusal
                );
                // The newest account is not in the parent.
                if (j == before.length) continue;
                falls(
                    a,
                    shown(before, j),
                    i == j ? about(IJudge.NotFallen.selector, account) : refusal
                );
            }
            IVault.Deposit memory held = vault.depositOf(account);
            overspends(
                a,
                abi.encodeWithSelector(
                    IJudge.NotOverspent.selector, account, a.leaf.spent, held.deposited
                )
            );
            outOfRange(a, about(IJudge.InRange.selector, account));
        }
        sum(ascending(leaves));
        exceedsTotal(abi.encodeWithSelector(IJudge.WithinTotal.selector, earned, earned));

        assertConvicts(0);
        vm.assertEq(settlement.pendingRoot(), leaves.root());
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        vm.assertEq(settlement.activeRoot(), leaves.root());
    }

    /// @dev Books that grow from one epoch to the next, in which a consumer may have spent all it has, and a last
    /// account that is new.
    function honestGrowth(uint256 seed, uint256 size)
        private
        returns (ISettlement.Leaf[] memory before, ISettlement.Leaf[] memory leaves)
    {
        ISettlement.Leaf[] memory base = first();
        before = new ISettlement.Leaf[](5 + size);
        leaves = new ISettlement.Leaf[](6 + size);
        for (uint256 i; i < 5 + size; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(seed, i)));
            before[i] = i < 5 ? base[i] : ISettlement.Leaf(address(uint160(draw)), 0, 0, 0, 0);
            if (i >= 5 && draw >> 160 & 1 == 1) {
                equip(before[i].account);
                depositAs(before[i].account, DEPOSIT);
                before[i].spent = DEPOSIT * (draw >> 168 & 3) / 3;
            }
            leaves[i] = grown(before[i], draw >> 176);
        }
        address newest = address(uint160(uint256(keccak256(abi.encode(seed, "newest")))));
        leaves[5 + size] = ISettlement.Leaf(newest, seed % 7, 0, seed % 5, 1);
    }

    function grown(ISettlement.Leaf memory leaf, uint256 draw)
        private
        view
        returns (ISettlement.Leaf memory)
    {
        uint256 deposited = vault.depositOf(leaf.account).deposited;
        return ISettlement.Leaf({
            account: leaf.account,
            earned: leaf.earned + (draw & 1) * (draw >> 8 & 63) * 1 ether,
            spent: leaf.spent + (draw >> 1 & 1) * (deposited - leaf.spent),
            points: leaf.points + (draw >> 2 & 1) * (draw >> 16 & 255),
            reputation: (draw >> 24) % 1_000_001
        });
    }

    function refuseClaim(ISettlement.Leaf[] memory leaves) private {
        ISettlement.Leaf memory leaf = leaves[2];
        bytes32[] memory proof = leaves.proof(2);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISettlement.NotInTree.selector, leaf.account, settlement.activeRoot()
            )
        );
        claimWith(leaf, proof);
    }

    function expectNotCommitted(address reporter, bytes32 evidence) private {
        bytes32 commitment = judge.commitmentOf(reporter, evidence, SALT);
        vm.expectRevert(abi.encodeWithSelector(IJudge.NotCommitted.selector, commitment));
    }

    function pathOf(bytes32[] memory tree, uint256 node)
        private
        pure
        returns (bytes32[] memory path)
    {
        uint256 depth;
        for (uint256 i = node; i > 0; i = (i - 1) / 2) {
            ++depth;
        }
        path = new bytes32[](depth);
        depth = 0;
        for (; node > 0; node = (node - 1) / 2) {
            path[depth++] = tree[node % 2 == 1 ? node + 1 : node - 1];
        }
    }
}

/// @dev A network whose liars hold just 2/3, so that it goes on without them once the honest bond more.
contract JudgeRecoveryTest is Reports {
    using Trees for ISettlement.Leaf[];

    function minTotal() internal pure override returns (uint96) {
        return 200 ether;
    }

    function setUp() public override {
        super.setUp();
        for (uint256 i = 2; i < 4; ++i) {
            vm.prank(accounts[i]);
            registry.unbond(accounts[i], MAX_STAKE / 2);
        }
        publish(1, first());
    }

    /// The epoch of a fraud is dead; the next root covers it, with its budget, signed by who is left.
    function test_deadEpochIsCoveredByTheNext() external {
        ISettlement.Leaf[] memory leaves = second();
        leaves[4].earned += 1;
        postAs(2, leaves.root(), TOTAL_EARNED, TOTAL_SPENT, 3);
        sum(ascending(leaves));
        exceedsTotal(ACCEPTED);
        assertConvicts(3);

        // Nothing changes hands before they are slashed; barred, they do not come back.
        vm.expectRevert(IRegistry.NotQuiet.selector);
        registry.bond(accounts[2], MAX_STAKE / 2);
        slashAll();
        vm.expectRevert(about(IRegistry.Barred.selector, accounts[0]));
        registry.bond(accounts[0], 1);
        registry.bond(accounts[2], MAX_STAKE / 2);
        registry.bond(accounts[3], MAX_STAKE / 2);

        leaves[4].earned -= 1;
        leaves[2].earned += 2 * uint256(RATE) - 400 ether;
        uint256 earned = 806 ether + 2 * uint256(RATE) + 1 ether;
        postAs(3, leaves.root(), earned, TOTAL_SPENT, 12);
        vm.assertEq(settlement.pendingRecord().through, 3);
        vm.assertEq(settlement.pendingRecord().signers, 12);
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        claim(leaves, 2);
        vm.assertEq(settlement.claimedOf(PROVIDER), 500 ether + 2 * uint256(RATE));
    }

    /// Those who are left are too few to be a quorum by themselves before enough stake is bonded.
    function test_attack_minorityAsQuorumAfterASlash() external {
        ISettlement.Leaf[] memory leaves = second();
        leaves[4].reputation = 1_000_001;
        postAs(2, leaves.root(), TOTAL_EARNED, TOTAL_SPENT, 3);
        outOfRange(shown(leaves, 4), ACCEPTED);
        slashAll();

        warpToPosting(3);
        ISettlement.EpochAttestation memory said = attestation(3, second().root(), TOTAL_EARNED);
        said.totalSpent = TOTAL_SPENT;
        propose(said);
        bytes memory signatures = sign(settlement.digestOf(said), 12);
        vm.expectRevert(abi.encodeWithSelector(Quorum.StakeTooLow.selector, 100 ether, 200 ether));
        settlement.post(said, signatures);
    }
}
