// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Log} from "./Base.sol";
import {Network} from "./Network.sol";
import {Trees} from "./Trees.sol";

/// claim
/// ├── paused: IsPaused, see SettlementPause
/// ├── no active root: NoActiveRoot
/// ├── a field out of range: LeafOutOfRange
/// ├── not a leaf of the active root: NotInTree (fuzz), also an inner node and the pending root's leaf
/// ├── nothing due: NothingToClaim
/// ├── pot empty: PotEmpty
/// ├── a token that refuses: its reason, see also SettlementTokens
/// └── otherwise
///     ├── earned less claimed goes to the recipient, whoever calls; over several roots (fuzz)
///     ├── more due than the pot: the pot is paid, the rest remembered (fuzz)
///     └── reputation and epoch stored, only if the root is newer than what is stored
/// claimMany
/// ├── other number of proofs than leaves: LengthMismatch
/// ├── paused: IsPaused, see SettlementPause
/// ├── no active root: NoActiveRoot
/// └── each item: paid as by claim (fuzz), or skipped with its reason
/// claimPacked: see SettlementPacked
/// push
/// ├── no active root: NoActiveRoot
/// ├── out of range: LeafOutOfRange; not in the tree: NotInTree
/// ├── root not newer than what is stored: NotNewer
/// └── otherwise: reputation and epoch stored, no money moves, nothing activated
/// setRecipient
/// ├── recipient zero: ZeroAddress
/// ├── neither the current recipient nor the registry: NotRecipient (fuzz)
/// └── otherwise: stored, event; registered or not; what was the recipient is it no longer
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
        emit ISettlement.Claimed(ALICE, ALICE, 100 ether);
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
        settlement.setRecipient(ALICE, COLD);
        publish(1, leaves);
        claim(leaves, 0);
        vm.assertEq(token.balanceOf(COLD), 100 ether);
        vm.assertEq(token.balanceOf(ALICE), 0);
    }

    /// A field one bit too wide would count as something small once it is stored.
    function test_attack_truncatedFields() external {
        uint256 max = type(uint96).max;
        ISettlement.Leaf[] memory wrong = new ISettlement.Leaf[](5);
        wrong[0] = ISettlement.Leaf(ALICE, max + 1, 0, 0, 0);
        wrong[1] = ISettlement.Leaf(ALICE, max + 1 + 7 ether, 0, 0, 0);
        wrong[2] = ISettlement.Leaf(ALICE, 1, max + 1, 0, 0);
        wrong[3] = ISettlement.Leaf(ALICE, 1, 0, uint256(type(uint64).max) + 1, 0);
        wrong[4] = ISettlement.Leaf(ALICE, 1, 0, 0, 1_000_001);
        warpToPosting(1);
        proposeAndPost(attestation(1, wrong.root(), 100 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        bytes32[][] memory proofs = new bytes32[][](5);
        for (uint256 i; i < 5; ++i) {
            proofs[i] = wrong.proof(i);
            vm.expectRevert(ISettlement.LeafOutOfRange.selector);
            claimWith(wrong[i], proofs[i]);
            vm.expectRevert(ISettlement.LeafOutOfRange.selector);
            pushWith(wrong[i], proofs[i]);
        }
        for (uint256 i; i < 5; ++i) {
            expectSkip(ALICE, i, ISettlement.SkipReason.OutOfRange);
        }
        settlement.claimMany(wrong, proofs);
        vm.assertEq(token.balanceOf(ALICE), 0);
        vm.assertEq(settlement.claimedOf(ALICE), 0);
        expectReputation(ALICE, 0, 0);
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

    /// Nothing else than a leaf leads to the root: no inner node, no path that is too short or too long, no leaf
    /// that was hashed once.
    function test_attack_secondPreimage() external {
        ISettlement.Leaf memory leaf = leaves[1];
        publish(1, leaves);
        bytes32 root = leaves.root();
        bytes memory reason = abi.encodeWithSelector(ISettlement.NotInTree.selector, BOB, root);
        bytes32[] memory proof = leaves.proof(1);
        bytes32[] memory wrong = new bytes32[](proof.length - 1);
        for (uint256 i; i < wrong.length; ++i) {
            wrong[i] = proof[i + 1];
        }
        vm.expectRevert(reason);
        claimWith(leaf, wrong);
        wrong = new bytes32[](proof.length + 1);
        for (uint256 i; i < proof.length; ++i) {
            wrong[i] = proof[i];
        }
        vm.expectRevert(reason);
        claimWith(leaf, wrong);
        wrong[proof.length] = root;
        vm.expectRevert(reason);
        claimWith(leaf, wrong);
        // The path of a leaf's own hash: its node is a leaf already.
        wrong = new bytes32[](0);
        vm.expectRevert(reason);
        claimWith(leaf, wrong);

        // A root that is one leaf hashed once, as if it were an inner node.
        bytes32 once = keccak256(abi.encode(leaf));
        warpToPosting(2);
        proposeAndPost(attestation(2, once, 150 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotInTree.selector, BOB, once));
        claimWith(leaf, wrong);
    }

    /// A leaf of nobody pays nobody: alone it is refused, in a batch passed over, and nothing is booked.
    function test_attack_zeroAddress() external {
        (leaves[1].account, leaves[1].reputation) = (address(0), 7);
        publish(1, leaves);
        bytes32[] memory proof = leaves.proof(1);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(0))
        );
        claimWith(leaves[1], proof);

        (ISettlement.Leaf[] memory items, bytes32[][] memory proofs) = inOrder(1, 0);
        vm.recordLogs();
        settlement.claimMany(items, proofs);
        Log[] memory logs = vm.getRecordedLogs();
        // Nobody is told of a payment to zero.
        vm.assertEq(countOf(logs, ISettlement.Claimed.selector), 1);
        vm.assertEq(countOf(logs, ISettlement.ClaimSkipped.selector), 1);
        vm.assertEq(settlement.claimedOf(address(0)), 0);
        expectReputation(address(0), 0, 0);
        vm.assertEq(token.balanceOf(ALICE), 100 ether);
        vm.assertEq(settlement.pot(), 50 ether);
        vm.assertEq(token.balanceOf(address(settlement)), 50 ether);
    }

    /// Whoever claims first for somebody else has only paid the gas, and spoils no batch.
    function test_attack_frontRunningAClaim() external {
        publish(1, leaves);
        (ISettlement.Leaf[] memory items, bytes32[][] memory proofs) = inOrder(0, 1);
        vm.prank(STRANGER);
        claimWith(items[0], proofs[0]);
        vm.assertEq(token.balanceOf(ALICE), 100 ether);
        vm.assertEq(token.balanceOf(STRANGER), 0);

        expectSkip(ALICE, 0, ISettlement.SkipReason.NothingDue);
        vm.expectEmit(address(settlement));
        emit ISettlement.Claimed(BOB, BOB, 50 ether);
        vm.prank(ALICE);
        settlement.claimMany(items, proofs);
        vm.assertEq(token.balanceOf(BOB), 50 ether);
        vm.assertEq(settlement.pot(), 0);
    }

    /// Items that were paid a moment ago, that are wrong, whose transfer fails: the others are paid all the same.
    function test_attack_relayerGriefing() external {
        ISettlement.Leaf[] memory all = new ISettlement.Leaf[](6);
        bytes32[][] memory proofs = new bytes32[][](6);
        for (uint256 i; i < 6; ++i) {
            address account = i == 3 ? address(0) : address(uint160(0x1000 + i));
            all[i] = ISettlement.Leaf(account, (i + 1) * 1 ether, 0, 0, 0);
        }
        for (uint256 i; i < 6; ++i) {
            proofs[i] = all.proof(i);
        }
        publish(1, all);
        for (uint256 i; i < 6; i += 2) {
            vm.prank(STRANGER);
            claimWith(all[i], proofs[i]);
        }
        proofs[4][0] = ~proofs[4][0];

        expectSkip(all[0].account, 0, ISettlement.SkipReason.NothingDue);
        vm.expectEmit(address(settlement));
        emit ISettlement.Claimed(all[1].account, all[1].account, 2 ether);
        expectSkip(all[2].account, 2, ISettlement.SkipReason.NothingDue);
        expectSkip(address(0), 3, ISettlement.SkipReason.TransferFailed);
        expectSkip(all[4].account, 4, ISettlement.SkipReason.NotInTree);
        vm.expectEmit(address(settlement));
        emit ISettlement.Claimed(all[5].account, all[5].account, 6 ether);
        settlement.claimMany(all, proofs);
        vm.assertEq(settlement.pot(), 4 ether);
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

    /// What is due and what the pot holds meet at the last unit, however both grow: nothing is lost or made by
    /// paying in parts.
    function testFuzz_attack_rounding(uint256[4] memory feeds, uint256[4] memory growth) external {
        uint256 fed;
        uint256 earned;
        for (uint256 i; i < 4; ++i) {
            fed += bound(feeds[i], 0, RATE);
            earned += bound(growth[i], 0, 2 * uint256(RATE));
            leaves[0].earned = earned;
            leaves[2].points = i;
            warpToPosting(i + 1);
            proposeAndPost(attestation(i + 1, leaves.root(), fed));
            vm.warp(vm.getBlockTimestamp() + CHALLENGE);
            uint256 paid = settlement.claimedOf(ALICE);
            if (earned > paid && fed > paid) claim(leaves, 0);
            else settlement.activate();

            vm.assertEq(token.balanceOf(ALICE), earned < fed ? earned : fed);
            vm.assertEq(settlement.claimedOf(ALICE), token.balanceOf(ALICE));
            vm.assertEq(settlement.pot(), fed - token.balanceOf(ALICE));
            vm.assertEq(token.balanceOf(address(settlement)), settlement.pot());
        }
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
        settlement.setRecipient(BOB, COLD);
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
        emit ISettlement.Claimed(ALICE, ALICE, 100 ether);
        expectSkip(ALICE, 3, ISettlement.SkipReason.NothingDue);
        expectSkip(TREASURY, 4, ISettlement.SkipReason.NothingDue);
        vm.expectEmit(address(settlement));
        emit ISettlement.Claimed(BOB, COLD, 30 ether);
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
    function test_attack_withheldReputation() external {
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

    /// Neither a root still pending nor one that is pending no more changes what a newer one said.
    function test_attack_staleReputation() external {
        publish(1, leaves);
        bytes32[] memory oldProof = leaves.proof(0);
        ISettlement.Leaf memory old = leaves[0];
        bytes32 first = leaves.root();
        leaves[0].reputation = 10;
        publishPending(2, leaves);
        bytes32[] memory proof = leaves.proof(0);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotInTree.selector, ALICE, first));
        pushWith(leaves[0], proof);
        pushWith(old, oldProof);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotNewer.selector, 1, 1));
        pushWith(old, oldProof);

        // Matured, and nobody has activated it: it counts as what it is.
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        pushWith(leaves[0], proof);
        expectReputation(ALICE, 10, 2);
        claimWith(leaves[0], proof);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotNewer.selector, 2, 2));
        pushWith(leaves[0], proof);
        expectReputation(ALICE, 10, 2);
    }

    function testFuzz_setRecipient(address account, address caller, address recipient) external {
        vm.prank(caller);
        if (recipient == address(0)) {
            vm.expectRevert(ISettlement.ZeroAddress.selector);
        } else if (caller != account && caller != address(registry)) {
            vm.expectRevert(
                abi.encodeWithSelector(ISettlement.NotRecipient.selector, account, account, caller)
            );
        }
        settlement.setRecipient(account, recipient);
    }

    function test_setRecipient_zero() external {
        vm.prank(ALICE);
        vm.expectRevert(ISettlement.ZeroAddress.selector);
        settlement.setRecipient(ALICE, address(0));
        // The least address that is one.
        vm.prank(ALICE);
        settlement.setRecipient(ALICE, address(1));
        vm.assertEq(settlement.recipientOf(ALICE), address(1));
    }

    function test_setRecipient() external {
        vm.expectEmit(address(settlement));
        emit ISettlement.RecipientSet(ALICE, COLD);
        vm.prank(ALICE);
        settlement.setRecipient(ALICE, COLD);
        vm.assertEq(settlement.recipientOf(ALICE), COLD);

        // The node's own key, stolen, changes nothing any more.
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.NotRecipient.selector, ALICE, COLD, ALICE)
        );
        vm.prank(ALICE);
        settlement.setRecipient(ALICE, ALICE);
        // Whoever it points to answers for it alone.
        vm.prank(COLD);
        settlement.setRecipient(ALICE, BOB);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotRecipient.selector, ALICE, BOB, COLD));
        vm.prank(COLD);
        settlement.setRecipient(ALICE, COLD);
        vm.assertEq(settlement.recipientOf(BOB), BOB);
        vm.prank(BOB);
        settlement.setRecipient(ALICE, ALICE);
        vm.assertEq(settlement.recipientOf(ALICE), ALICE);
    }

    /// The registry sets it for whom it has asked: the caller of `register`.
    function test_setRecipient_byTheRegistry() external {
        token.transfer(ALICE, PROVIDER_BOND);
        vm.prank(ALICE);
        token.approve(address(registry), PROVIDER_BOND);
        vm.prank(ALICE);
        registry.register(COLD, address(0));
        vm.assertEq(settlement.recipientOf(ALICE), COLD);
        publish(1, leaves);
        claim(leaves, 0);
        vm.assertEq(token.balanceOf(COLD), 100 ether);
    }

    /// @dev Two of the leaves with their proofs.
    function inOrder(uint256 first, uint256 second)
        private
        view
        returns (ISettlement.Leaf[] memory items, bytes32[][] memory proofs)
    {
        items = new ISettlement.Leaf[](2);
        proofs = new bytes32[][](2);
        (items[0], proofs[0]) = (leaves[first], leaves.proof(first));
        (items[1], proofs[1]) = (leaves[second], leaves.proof(second));
    }

    function countOf(Log[] memory logs, bytes32 topic) private pure returns (uint256 found) {
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] == topic) ++found;
        }
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
