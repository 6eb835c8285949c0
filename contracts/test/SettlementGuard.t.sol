// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Log} from "./Base.sol";
import {Guarded} from "./Guarded.sol";
import {Trees} from "./Trees.sol";

/// cancel
/// ├── not the guardian, or before its powers begin: NotGuardian (fuzz)
/// ├── nothing pending, cancelled already, or matured: NothingPending
/// └── otherwise: event; nothing pending, the root before stays active, the epoch is dead; triable, and so not quiet,
///     until it would have become active (fuzz)
/// convict
/// ├── not the judge: NotJudge (fuzz)
/// ├── nothing pending, or matured, or cancelled and no longer triable: NothingPending
/// ├── cancelled by the guardian and still triable: no second event, otherwise as below, once
/// └── otherwise: as cancel, but not triable any more; the signers and nobody else are convicted; quiet only when they
///     are slashed
/// triableRecord
/// └── see JudgeCancelled
/// pause, unpause: see SettlementPause
/// nominateGuardian
/// ├── not the guardian: NotGuardian (fuzz)
/// └── otherwise: event; the newest nominee only; zero withdraws it
/// acceptGuard
/// ├── not the nominee: NotNominee (fuzz)
/// └── otherwise: event; the powers pass on as they are, the nomination is used up
/// replaceGuardian
/// ├── not the registry: NotRegistry (fuzz)
/// └── otherwise, by a bundle: event; the old powers and the nomination end at once, new powers begin 7 days later;
///     perhaps nobody's; a pause goes on to its end
contract SettlementGuardTest is Guarded {
    using Trees for ISettlement.Leaf[];

    // cancel and convict

    function testFuzz_strangers(address caller) external {
        vm.assume(
            caller != GUARDIAN && caller != address(judge) && caller != address(registry)
                && caller != address(0)
        );
        publishPending(1, leaves);
        bytes memory reason = abi.encodeWithSelector(ISettlement.NotGuardian.selector, caller);
        refusedTo(caller, abi.encodeCall(settlement.cancel, ()), reason);
        refusedTo(caller, abi.encodeCall(settlement.pause, ()), reason);
        refusedTo(caller, abi.encodeCall(settlement.unpause, ()), reason);
        refusedTo(caller, abi.encodeCall(settlement.nominateGuardian, (caller)), reason);
        refusedTo(
            caller,
            abi.encodeCall(settlement.acceptGuard, ()),
            abi.encodeWithSelector(ISettlement.NotNominee.selector, caller, address(0))
        );
        refusedTo(
            caller,
            abi.encodeCall(settlement.convict, (caller)),
            abi.encodeWithSelector(ISettlement.NotJudge.selector, caller)
        );
        refusedTo(
            caller,
            abi.encodeCall(settlement.replaceGuardian, (caller)),
            abi.encodeWithSelector(ISettlement.NotRegistry.selector, caller)
        );
    }

    function test_cancel() external {
        publish(1, leaves);
        bytes32 first = leaves.root();
        ISettlement.Leaf memory before = leaves[0];
        bytes32[] memory proof = leaves.proof(0);
        leaves[0].earned = 900 ether;
        publishPending(2, leaves);
        bytes32 second = leaves.root();

        vm.expectEmit(address(settlement));
        emit ISettlement.Cancelled(2, second, GUARDIAN);
        vm.prank(GUARDIAN);
        settlement.cancel();
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        vm.assertEq(settlement.activeRoot(), first);
        vm.assertEq(settlement.activeRecord().epoch, 1);
        vm.assertEq(settlement.lastPostedEpoch(), 2);
        vm.assertFalse(settlement.isQuiet());
        vm.assertEq(registry.unslashed(), 0);

        // It never matures.
        vm.warp(end(3) - 1);
        vm.assertEq(settlement.activeRoot(), first);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToActivate.selector, 0));
        settlement.activate();
        claimWith(before, proof);
        vm.assertEq(token.balanceOf(ALICE), 100 ether);
    }

    /// However soon the guardian cancels, no time is quiet before the root would have become active.
    function testFuzz_cancel_quiet(uint256 time) external {
        publishPending(1, leaves);
        uint256 activeAt = vm.getBlockTimestamp() + CHALLENGE;
        vm.warp(bound(time, vm.getBlockTimestamp(), activeAt - 1));
        vm.prank(GUARDIAN);
        settlement.cancel();
        vm.assertFalse(settlement.isQuiet());
        vm.warp(activeAt - 1);
        vm.assertFalse(settlement.isQuiet());
        vm.warp(activeAt);
        vm.assertTrue(settlement.isQuiet());
    }

    function test_cancel_nothingPending() external {
        bytes memory call = abi.encodeCall(settlement.cancel, ());
        bytes memory reason = abi.encodeWithSelector(ISettlement.NothingPending.selector);
        refusedTo(GUARDIAN, call, reason);
        publishPending(1, leaves);
        uint256 posted = vm.getBlockTimestamp();
        vm.warp(posted + CHALLENGE);
        refusedTo(GUARDIAN, call, reason);
        settlement.activate();
        refusedTo(GUARDIAN, call, reason);

        leaves[0].earned += 1;
        publishPending(2, leaves);
        vm.warp(vm.getBlockTimestamp() + CHALLENGE - 1);
        vm.prank(GUARDIAN);
        settlement.cancel();
        refusedTo(GUARDIAN, call, reason);
        vm.warp(vm.getBlockTimestamp() + 1);
        refusedTo(GUARDIAN, call, reason);
    }

    /// What was cancelled stays dead, with the same signatures, with new ones and in a later round, though its window
    /// is still open. The next epoch's root covers it, with its budget.
    function test_attack_resigningAfterACancel() external {
        warpToPosting(1);
        ISettlement.EpochAttestation memory said = attestation(1, leaves.root(), 150 ether);
        proposeAndPost(said);
        vm.prank(GUARDIAN);
        settlement.cancel();

        bytes memory reason = abi.encodeWithSelector(ISettlement.EpochAlreadyPosted.selector, 1, 1);
        for (uint256 round; end(1) + INTAKE + 1 + round * ROUND <= end(1) + POST_WINDOW; ++round) {
            vm.warp(end(1) + INTAKE + 1 + round * ROUND);
            bytes memory signatures = sign(settlement.digestOf(said), 15);
            vm.expectRevert(reason);
            settlement.post(said, signatures);
            ISettlement.EpochAttestation memory again =
                attestation(1, keccak256(abi.encode(round)), 0);
            signatures = sign(settlement.digestOf(again), 15);
            vm.expectRevert(reason);
            settlement.post(again, signatures);
            address proposer = settlement.proposerOf(1, round);
            bytes32 digest = settlement.digestOf(again);
            vm.expectRevert(reason);
            vm.prank(proposer);
            settlement.propose(1, round, digest);
        }

        warpToPosting(2);
        bytes memory late = quorum(said);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.EpochNotOpen.selector, 1, 2));
        settlement.post(said, late);
        ISettlement.EpochAttestation memory next =
            attestation(2, keccak256("both"), 2 * uint256(RATE));
        vm.assertEq(next.parentRoot, bytes32(0));
        vm.assertEq(next.through, 2);
        proposeAndPost(next);
        vm.assertEq(settlement.pendingRoot(), keccak256("both"));
    }

    function test_convict() external {
        publishPending(1, leaves);
        vm.expectEmit(address(settlement));
        emit ISettlement.Cancelled(1, leaves.root(), address(judge));
        vm.prank(address(judge));
        settlement.convict(REPORTER);

        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        vm.assertEq(settlement.lastPostedEpoch(), 1);
        vm.assertEq(registry.unslashed(), 3);
        for (uint256 i; i < VALIDATORS; ++i) {
            IRegistry.Conviction memory conviction = registry.convictionOf(accounts[i]);
            vm.assertEq(conviction.reporter, i < 3 ? REPORTER : address(0));
        }
        for (uint256 i; i < 3; ++i) {
            vm.assertFalse(settlement.isQuiet());
            registry.slash(accounts[i]);
        }
        vm.assertTrue(settlement.isQuiet());
    }

    function test_convict_nothingPending() external {
        bytes memory call = abi.encodeCall(settlement.convict, (REPORTER));
        bytes memory reason = abi.encodeWithSelector(ISettlement.NothingPending.selector);
        refusedTo(address(judge), call, reason);
        publish(1, leaves);
        refusedTo(address(judge), call, reason);
        settlement.activate();
        refusedTo(address(judge), call, reason);
        leaves[0].earned += 1;
        publishPending(2, leaves);
        uint256 activeAt = vm.getBlockTimestamp() + CHALLENGE;
        vm.prank(GUARDIAN);
        settlement.cancel();
        vm.warp(activeAt);
        refusedTo(address(judge), call, reason);
        vm.assertEq(registry.unslashed(), 0);
    }

    function test_convict_afterCancel() external {
        publishPending(1, leaves);
        uint256 activeAt = vm.getBlockTimestamp() + CHALLENGE;
        vm.prank(GUARDIAN);
        settlement.cancel();
        vm.warp(activeAt - 1);
        vm.recordLogs();
        vm.prank(address(judge));
        settlement.convict(REPORTER);
        // It was cancelled before.
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 3);
        for (uint256 i; i < 3; ++i) {
            vm.assertEq(logs[i].emitter, address(registry));
            vm.assertEq(logs[i].topics[0], IRegistry.Convicted.selector);
            vm.assertEq(registry.convictionOf(accounts[i]).reporter, REPORTER);
        }
        vm.assertEq(registry.unslashed(), 3);
        refusedTo(
            address(judge),
            abi.encodeCall(settlement.convict, (REPORTER)),
            abi.encodeWithSelector(ISettlement.NothingPending.selector)
        );
        for (uint256 i; i < 3; ++i) {
            vm.assertFalse(settlement.isQuiet());
            registry.slash(accounts[i]);
        }
        vm.assertTrue(settlement.isQuiet());
    }

    // Who guards

    function test_nominate() external {
        vm.expectEmit(address(settlement));
        emit ISettlement.GuardianNominated(GUARDIAN, NEXT);
        vm.prank(GUARDIAN);
        settlement.nominateGuardian(NEXT);
        vm.assertEq(settlement.guard().nominee, NEXT);
        // Nominated is not accepted.
        vm.assertEq(settlement.guard().guardian, GUARDIAN);
        refusedTo(
            NEXT,
            abi.encodeCall(settlement.pause, ()),
            abi.encodeWithSelector(ISettlement.NotGuardian.selector, NEXT)
        );
        pauseAs(GUARDIAN);

        vm.expectEmit(address(settlement));
        emit ISettlement.GuardianSet(NEXT, START);
        vm.prank(NEXT);
        settlement.acceptGuard();
        expectGuard(NEXT, START, address(0));
        refusedTo(
            GUARDIAN,
            abi.encodeCall(settlement.unpause, ()),
            abi.encodeWithSelector(ISettlement.NotGuardian.selector, GUARDIAN)
        );
        vm.prank(NEXT);
        settlement.unpause();
        refusedTo(
            NEXT,
            abi.encodeCall(settlement.acceptGuard, ()),
            abi.encodeWithSelector(ISettlement.NotNominee.selector, NEXT, address(0))
        );
    }

    function test_nominate_another() external {
        vm.prank(GUARDIAN);
        settlement.nominateGuardian(NEXT);
        vm.prank(GUARDIAN);
        settlement.nominateGuardian(STRANGER);
        refusedTo(
            NEXT,
            abi.encodeCall(settlement.acceptGuard, ()),
            abi.encodeWithSelector(ISettlement.NotNominee.selector, NEXT, STRANGER)
        );
        vm.prank(GUARDIAN);
        settlement.nominateGuardian(address(0));
        refusedTo(
            STRANGER,
            abi.encodeCall(settlement.acceptGuard, ()),
            abi.encodeWithSelector(ISettlement.NotNominee.selector, STRANGER, address(0))
        );
        vm.assertEq(settlement.guard().guardian, GUARDIAN);
    }

    function test_replaceGuardian() external {
        vm.prank(GUARDIAN);
        settlement.nominateGuardian(STRANGER);
        uint256 since = vm.getBlockTimestamp() + 7 days;
        vm.expectEmit(address(settlement));
        emit ISettlement.GuardianSet(NEXT, since);
        carry(replacing(NEXT));
        expectGuard(NEXT, since, address(0));

        publishPending(8, leaves);
        vm.assertTrue(vm.getBlockTimestamp() > since);
        refusedTo(
            GUARDIAN,
            abi.encodeCall(settlement.cancel, ()),
            abi.encodeWithSelector(ISettlement.NotGuardian.selector, GUARDIAN)
        );
        refusedTo(
            STRANGER,
            abi.encodeCall(settlement.acceptGuard, ()),
            abi.encodeWithSelector(ISettlement.NotNominee.selector, STRANGER, address(0))
        );
        vm.prank(NEXT);
        settlement.cancel();
    }

    function test_replaceGuardian_sevenDays() external {
        carry(replacing(NEXT));
        uint256 since = vm.getBlockTimestamp() + 7 days;
        for (uint256 i; i < 2; ++i) {
            bytes memory reason = abi.encodeWithSelector(ISettlement.NotGuardian.selector, NEXT);
            refusedTo(NEXT, abi.encodeCall(settlement.pause, ()), reason);
            refusedTo(NEXT, abi.encodeCall(settlement.unpause, ()), reason);
            refusedTo(NEXT, abi.encodeCall(settlement.cancel, ()), reason);
            vm.warp(since - 1);
        }
        vm.warp(since);
        pauseAs(NEXT);
        vm.assertEq(settlement.guard().pausedUntil, since + PAUSE);
    }

    /// Handing the guard over does not make its powers begin sooner.
    function test_replaceGuardian_nominateBefore() external {
        carry(replacing(NEXT));
        uint256 since = vm.getBlockTimestamp() + 7 days;
        vm.prank(NEXT);
        settlement.nominateGuardian(STRANGER);
        vm.prank(STRANGER);
        settlement.acceptGuard();
        expectGuard(STRANGER, since, address(0));
        vm.warp(since - 1);
        refusedTo(
            STRANGER,
            abi.encodeCall(settlement.pause, ()),
            abi.encodeWithSelector(ISettlement.NotGuardian.selector, STRANGER)
        );
        vm.warp(since);
        pauseAs(STRANGER);
    }

    /// Nobody guards: neither zero nor anyone else can do anything.
    function test_replaceGuardian_nobody() external {
        carry(replacing(address(0)));
        expectGuard(address(0), vm.getBlockTimestamp() + 7 days, address(0));
        vm.warp(vm.getBlockTimestamp() + 8 days);
        refusedTo(
            GUARDIAN,
            abi.encodeCall(settlement.pause, ()),
            abi.encodeWithSelector(ISettlement.NotGuardian.selector, GUARDIAN)
        );
    }

    /// A bundle that does not replace the guardian leaves everything about it as it is, zero in its field or not.
    function test_bundleWithoutReplacing() external {
        vm.prank(GUARDIAN);
        settlement.nominateGuardian(NEXT);
        IRegistry.Changes memory changes = nothing();
        carry(changes);
        changes.guardian = STRANGER;
        carry(changes);
        expectGuard(GUARDIAN, START, NEXT);
    }

    function test_replaceGuardian_whilePaused() external {
        pauseAs(GUARDIAN);
        uint256 until = vm.getBlockTimestamp() + PAUSE;
        carry(replacing(NEXT));
        vm.assertEq(settlement.guard().pausedUntil, until);
        bytes32[][] memory none = new bytes32[][](0);
        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.IsPaused.selector, until));
        settlement.claimMany(new ISettlement.Leaf[](0), none);
        vm.warp(until);
        vm.expectRevert(ISettlement.NoActiveRoot.selector);
        settlement.claimMany(new ISettlement.Leaf[](0), none);

        // The rest is the new guardian's too.
        vm.warp(until + REST - 1);
        refusedTo(
            NEXT,
            abi.encodeCall(settlement.pause, ()),
            abi.encodeWithSelector(ISettlement.PauseTooSoon.selector, until + REST)
        );
        vm.warp(until + REST);
        pauseAs(NEXT);
    }

    // Attacks

    /// A guardian that cancels every root and pauses whenever it may is replaced in quiet time, of which it cannot
    /// deprive anyone: what it cancels is triable no longer than it would have been pending. Then everything is paid, the budgets of the dead epochs too.
    function test_attack_guardianLockUp() external {
        for (uint256 epoch = 1; epoch <= 5; ++epoch) {
            warpToPosting(epoch);
            ISettlement.EpochAttestation memory said = attestation(epoch, leaves.root(), 150 ether);
            propose(said);
            if (epoch == 1) pauseAs(GUARDIAN);
            bool paused = vm.getBlockTimestamp() < settlement.guard().pausedUntil;
            vm.assertEq(paused, epoch <= 3);
            if (paused) {
                warpToQuiet(epoch);
            } else {
                settlement.post(said, quorum(said));
                uint256 activeAt = vm.getBlockTimestamp() + CHALLENGE;
                vm.warp(activeAt - 1);
                vm.prank(GUARDIAN);
                settlement.cancel();
                vm.assertFalse(settlement.isQuiet());
                vm.warp(activeAt);
            }
            vm.assertTrue(settlement.isQuiet());
        }
        carry(replacing(NEXT));

        leaves[0].earned = 5 * uint256(RATE);
        publish(6, leaves);
        claim(leaves, 0);
        vm.assertEq(token.balanceOf(ALICE), 5 * uint256(RATE));
    }

    /// Even while it is paused the stake can replace whoever paused it.
    function test_attack_guardianLockUp_replacedWhilePaused() external {
        publish(1, leaves);
        settlement.activate();
        pauseAs(GUARDIAN);
        carry(replacing(address(0)));
        vm.warp(vm.getBlockTimestamp() + PAUSE);
        claim(leaves, 0);
        vm.assertEq(token.balanceOf(ALICE), 100 ether);
    }

    /// The guardian's powers move no money and make no root.
    function test_attack_guardianPostsOrPays() external {
        publish(1, leaves);
        settlement.activate();
        warpToPosting(2);
        ISettlement.EpochAttestation memory said = attestation(2, keccak256("mine"), 150 ether);
        bytes32 digest = settlement.digestOf(said);
        address proposer = settlement.proposerOf(2, 0);
        refusedTo(
            GUARDIAN,
            abi.encodeCall(settlement.propose, (2, 0, digest)),
            abi.encodeWithSelector(ISettlement.NotProposer.selector, GUARDIAN, proposer)
        );
        propose(said);
        refusedTo(
            GUARDIAN,
            abi.encodeCall(settlement.post, (said, "")),
            abi.encodeWithSelector(Quorum.QuorumNotReached.selector, 0, 400 ether)
        );
        refusedTo(
            GUARDIAN,
            abi.encodeCall(settlement.setRecipient, (ALICE, GUARDIAN)),
            abi.encodeWithSelector(ISettlement.NotRecipient.selector, ALICE, ALICE, GUARDIAN)
        );
        vm.expectRevert(abi.encodeWithSelector(IVault.NotSettlement.selector, GUARDIAN));
        vm.prank(GUARDIAN);
        vault.feed(1);

        settlement.post(said, quorum(said));
        vm.prank(GUARDIAN);
        settlement.cancel();
        pauseAs(GUARDIAN);
        vm.prank(GUARDIAN);
        settlement.unpause();
        vm.prank(GUARDIAN);
        settlement.nominateGuardian(NEXT);
        vm.prank(NEXT);
        settlement.acceptGuard();
        vm.assertEq(settlement.activeRoot(), leaves.root());
        vm.assertEq(settlement.pot(), 150 ether);
        vm.assertEq(vault.fed(), 150 ether);
        vm.assertEq(token.balanceOf(address(settlement)), 150 ether);
        vm.assertEq(token.balanceOf(GUARDIAN) + token.balanceOf(NEXT), 0);
    }

    function expectGuard(address guardian, uint256 since, address nominee) private view {
        ISettlement.Guard memory guard = settlement.guard();
        vm.assertEq(guard.guardian, guardian);
        vm.assertEq(guard.since, since);
        vm.assertEq(guard.nominee, nominee);
    }
}
