// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Batches} from "./Batches.sol";
import {Guarded} from "./Guarded.sol";
import {Trees} from "./Trees.sol";

/// @dev Cheat codes only needed here.
interface Accesses {
    function record() external;
    function accesses(address target)
        external
        returns (bytes32[] memory reads, bytes32[] memory writes);
}

/// pause
/// ├── not the guardian, or before its powers begin: NotGuardian (fuzz)
/// ├── before 14 days since the last one's end, also if it ended early, are over: PauseTooSoon (fuzz)
/// └── otherwise, for 72 hours and not a second more
///     ├── post, claim, claimMany, claimPacked: IsPaused (fuzz over the time)
///     ├── everything else goes on: see the tests
///     └── once somebody has noticed that it is over, claims no longer look
/// unpause
/// ├── not the guardian, or before its powers begin: NotGuardian (fuzz)
/// ├── never paused, over, or ended already: NotPaused
/// └── otherwise: over at once, event; the next pause 14 days later and no sooner
contract SettlementPauseTest is Guarded {
    using Batches for ISettlement.Leaf[];
    using Batches for bool[];
    using Trees for ISettlement.Leaf[];

    Accesses private constant cheats = Accesses(address(vm));

    function test_pause() external {
        publish(1, leaves);
        uint256 start = vm.getBlockTimestamp();
        vm.expectEmit(address(settlement));
        emit ISettlement.Paused(start + PAUSE, start + PAUSE + REST);
        pauseAs(GUARDIAN);
        ISettlement.Guard memory guard = settlement.guard();
        vm.assertEq(guard.pausedUntil, start + PAUSE);
        vm.assertEq(guard.pausableFrom, start + PAUSE + REST);

        vm.warp(start + PAUSE - 1);
        expectPaused(start + PAUSE);
        // Refused before anything happened.
        vm.assertEq(vault.fed(), 0);
        vm.warp(start + PAUSE);
        claim(leaves, 0);
        vm.assertEq(token.balanceOf(ALICE), 100 ether);
    }

    /// Paused is [start, start + 72 h), whatever one tries.
    function testFuzz_pause(uint256 time) external {
        publish(1, leaves);
        settlement.activate();
        uint256 start = vm.getBlockTimestamp() + 1 hours;
        time = bound(time, start - 1 hours, start + PAUSE + 1 hours);
        if (time >= start) {
            vm.warp(start);
            pauseAs(GUARDIAN);
        }
        vm.warp(time);
        if (time >= start && time < start + PAUSE) {
            expectPaused(start + PAUSE);
        } else {
            claim(leaves, 0);
            (bytes memory packed, bytes32[] memory proof, bytes memory steps) = packed_(2);
            settlement.claimPacked(packed, proof, steps);
            vm.assertEq(settlement.pot(), 0);
        }
    }

    /// Posting is stopped for as long, and no window is longer for it.
    function testFuzz_pause_post(uint256 start) external {
        uint256 opensAt = end(4) + INTAKE + 1;
        start = bound(start, end(4) - PAUSE - 1 hours, end(4) + POST_WINDOW);
        vm.warp(start);
        pauseAs(GUARDIAN);
        uint256 until = start + PAUSE;
        vm.warp(start < opensAt ? opensAt : start);
        ISettlement.EpochAttestation memory said = attestation(4, leaves.root(), 150 ether);
        propose(said);
        bytes memory signatures = quorum(said);
        if (vm.getBlockTimestamp() < until) {
            vm.expectRevert(abi.encodeWithSelector(ISettlement.IsPaused.selector, until));
            settlement.post(said, signatures);
            vm.warp(until);
        }
        uint256 closesAt = end(4) + POST_WINDOW;
        uint256 time = vm.getBlockTimestamp();
        if (time >= end(5)) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    ISettlement.EpochNotOpen.selector, 4, settlement.epochAt(time) - 1
                )
            );
        } else if (time > closesAt) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    ISettlement.OutsideWindow.selector, opensAt - 1, closesAt, time
                )
            );
        }
        settlement.post(said, signatures);
        vm.assertEq(settlement.pendingRoot(), time > closesAt ? bytes32(0) : leaves.root());
    }

    /// Its windows run on: what was not posted while it was paused is dead, what was pending matures.
    function test_pause_windowsRunOn() external {
        publishPending(1, leaves);
        pauseAs(GUARDIAN);
        uint256 start = vm.getBlockTimestamp();
        vm.warp(start + CHALLENGE);
        vm.assertEq(settlement.activeRoot(), leaves.root());
        settlement.activate();
        vm.assertEq(settlement.pot(), 150 ether);
        for (uint256 epoch = 2; epoch <= 3; ++epoch) {
            vm.warp(end(epoch) + POST_WINDOW);
            vm.assertFalse(settlement.isQuiet());
            vm.warp(end(epoch) + POST_WINDOW + 1);
            vm.assertTrue(settlement.isQuiet());
        }

        warpToPosting(4);
        vm.assertTrue(vm.getBlockTimestamp() >= start + PAUSE);
        ISettlement.EpochAttestation memory said = attestation(4, keccak256("four"), 150 ether);
        vm.assertEq(said.through, 4);
        proposeAndPost(said);
        vm.assertEq(settlement.pendingRoot(), keccak256("four"));
    }

    /// What is paused is posting and claiming; whoever wants out gets out, and frauds are found.
    function test_pause_doesNotStop_consumers() external {
        token.transfer(ALICE, 20 ether);
        vm.prank(ALICE);
        token.approve(address(vault), 20 ether);
        vm.prank(ALICE);
        vault.deposit(10 ether);
        vm.prank(ALICE);
        vault.exit();
        leaves[0].spent = 4 ether;
        publish(1, leaves);

        pauseAs(GUARDIAN);
        bytes32[] memory proof = leaves.proof(0);
        vm.prank(ALICE);
        vault.withdraw(100 ether, 4 ether, 3, 500_000, proof);
        vm.assertEq(token.balanceOf(ALICE), 16 ether);
        vm.prank(ALICE);
        vault.deposit(10 ether);
        vm.prank(ALICE);
        vault.exit();
        vm.assertTrue(vault.depositOf(ALICE).exitAt != 0);
    }

    function test_pause_doesNotStop_reputation() external {
        publish(1, leaves);
        pauseAs(GUARDIAN);
        bytes32[] memory proof = leaves.proof(0);
        vm.prank(STRANGER);
        pushWith(leaves[0], proof);
        (uint256 reputation, uint256 epoch) = settlement.reputationOf(ALICE);
        vm.assertEq(reputation, 500_000);
        vm.assertEq(epoch, 1);
        vm.prank(ALICE);
        settlement.setRecipient(ALICE, BOB);
        vm.assertEq(settlement.recipientOf(ALICE), BOB);
    }

    function test_pause_doesNotStop_frauds() external {
        leaves[2] = ISettlement.Leaf(ALICE, 1, 0, 0, 0);
        publishPending(1, leaves);
        pauseAs(GUARDIAN);
        (bytes32[] memory proofA, bytes32[] memory proofB) = (leaves.proof(0), leaves.proof(2));
        bytes32 name = "repeats";
        commitTo(keccak256(abi.encode(name, leaves[0], proofA, leaves[2], proofB)));
        vm.prank(REPORTER);
        judge.repeats(leaves[0], proofA, leaves[2], proofB, SALT);
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        reportEquivocation(3, 7);
        for (uint256 i; i < VALIDATORS; ++i) {
            registry.slash(accounts[i]);
        }
        vm.prank(REPORTER);
        registry.collect();
        vm.assertEq(token.balanceOf(REPORTER), 40 ether);
    }

    function test_pause_doesNotStop_validators() external {
        pauseAs(GUARDIAN);
        vm.prank(accounts[0]);
        registry.unbond(accounts[0], 10 ether);
        registry.bond(accounts[0], 10 ether);
        carry(listing(address(0x4E51), IRegistry.Role.Resolver, 1 ether, "r"));

        warpToPosting(1);
        ISettlement.EpochAttestation memory said = attestation(1, leaves.root(), 150 ether);
        propose(said);
        (uint256 epoch,, bytes32 digest) = settlement.candidate();
        vm.assertEq(epoch, 1);
        vm.assertEq(digest, settlement.digestOf(said));
        // Paused still, after the epoch: nothing of it was posted.
        bytes memory signatures = quorum(said);
        uint256 until = settlement.guard().pausedUntil;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.IsPaused.selector, until));
        settlement.post(said, signatures);
    }

    /// Also a root that is pending while it is paused can be cancelled.
    function test_pause_doesNotStop_cancel() external {
        publishPending(1, leaves);
        pauseAs(GUARDIAN);
        vm.prank(GUARDIAN);
        settlement.cancel();
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
    }

    /// A root that says what is pending or active is known already, paused or not.
    function test_pause_postAgain() external {
        warpToPosting(1);
        ISettlement.EpochAttestation memory said = attestation(1, leaves.root(), 150 ether);
        proposeAndPost(said);
        pauseAs(GUARDIAN);
        settlement.post(said, "");
        vm.assertEq(settlement.pendingRoot(), leaves.root());
    }

    /// After a pause the first claim or posting notices that it is over; those after it have nothing to look up.
    function test_pause_lookedUpOnce() external {
        publish(1, leaves);
        settlement.activate();
        cheats.record();
        pauseAs(GUARDIAN);
        (, bytes32[] memory written) = cheats.accesses(address(settlement));
        vm.warp(vm.getBlockTimestamp() + PAUSE);
        cheats.record();
        claim(leaves, 0);
        uint256 looked = countRead(written);
        cheats.record();
        claim(leaves, 1);
        vm.assertLe(countRead(written) + 1, looked, "looks up the pause again");
    }

    function test_pause_tooSoon() external {
        uint256 start = vm.getBlockTimestamp();
        pauseAs(GUARDIAN);
        bytes memory call = abi.encodeCall(settlement.pause, ());
        bytes memory reason =
            abi.encodeWithSelector(ISettlement.PauseTooSoon.selector, start + PAUSE + REST);
        refusedTo(GUARDIAN, call, reason);
        vm.warp(start + PAUSE);
        refusedTo(GUARDIAN, call, reason);
        vm.warp(start + PAUSE + REST - 1);
        refusedTo(GUARDIAN, call, reason);
        vm.warp(start + PAUSE + REST);
        pauseAs(GUARDIAN);
        vm.assertEq(settlement.guard().pausedUntil, start + 2 * PAUSE + REST);
    }

    /// However it pauses and unpauses, and whoever it hands the guard to: 72 hours at most, and then 14 days without.
    function testFuzz_attack_guardianPausesForEver(uint32[12] memory waits, uint16 ways) external {
        publish(1, leaves);
        settlement.activate();
        address guardian = GUARDIAN;
        uint256 pausableFrom;
        uint256 until;
        for (uint256 i; i < waits.length; ++i) {
            vm.warp(vm.getBlockTimestamp() + waits[i] % 10 days);
            uint256 time = vm.getBlockTimestamp();
            if (ways >> i & 1 == 1) {
                address next = address(uint160(0x6000 + i));
                vm.prank(guardian);
                settlement.nominateGuardian(next);
                vm.prank(next);
                settlement.acceptGuard();
                guardian = next;
            }
            if (time < pausableFrom) {
                refusedTo(
                    guardian,
                    abi.encodeCall(settlement.pause, ()),
                    abi.encodeWithSelector(ISettlement.PauseTooSoon.selector, pausableFrom)
                );
            } else {
                pauseAs(guardian);
                (until, pausableFrom) = (time + PAUSE, time + PAUSE + REST);
            }
            if (waits[i] % 3 == 0 && time < until) {
                vm.prank(guardian);
                settlement.unpause();
                (until, pausableFrom) = (0, time + REST);
            }
            if (time < until) {
                expectPaused(until);
            } else {
                // An empty batch is a claim that pays nobody.
                settlement.claimMany(new ISettlement.Leaf[](0), new bytes32[][](0));
            }
        }
    }

    function test_unpause() external {
        publish(1, leaves);
        pauseAs(GUARDIAN);
        vm.warp(vm.getBlockTimestamp() + 1 hours);
        uint256 pausableFrom = vm.getBlockTimestamp() + REST;
        vm.expectEmit(address(settlement));
        emit ISettlement.Unpaused(pausableFrom);
        vm.prank(GUARDIAN);
        settlement.unpause();
        vm.assertEq(settlement.guard().pausedUntil, 0);
        vm.assertEq(settlement.guard().pausableFrom, pausableFrom);
        claim(leaves, 0);
        warpToPosting(2);
        proposeAndPost(attestation(2, keccak256("two"), 150 ether));
    }

    /// However soon a pause ends, 14 days are without one, and not a second more.
    function testFuzz_unpause_pauseAgain(uint256 wait) external {
        publish(1, leaves);
        pauseAs(GUARDIAN);
        uint256 endsAt = vm.getBlockTimestamp() + bound(wait, 0, PAUSE - 1);
        vm.warp(endsAt);
        vm.prank(GUARDIAN);
        settlement.unpause();
        bytes memory call = abi.encodeCall(settlement.pause, ());
        bytes memory reason =
            abi.encodeWithSelector(ISettlement.PauseTooSoon.selector, endsAt + REST);
        refusedTo(GUARDIAN, call, reason);
        vm.warp(endsAt + REST - 1);
        refusedTo(GUARDIAN, call, reason);
        claim(leaves, 0);
        vm.warp(endsAt + REST);
        pauseAs(GUARDIAN);
        expectPaused(endsAt + REST + PAUSE);
        vm.assertEq(settlement.guard().pausableFrom, endsAt + REST + PAUSE + REST);
    }

    function test_unpause_notPaused() external {
        bytes memory call = abi.encodeCall(settlement.unpause, ());
        bytes memory reason = abi.encodeWithSelector(ISettlement.NotPaused.selector);
        refusedTo(GUARDIAN, call, reason);
        pauseAs(GUARDIAN);
        vm.prank(GUARDIAN);
        settlement.unpause();
        refusedTo(GUARDIAN, call, reason);
        vm.warp(vm.getBlockTimestamp() + PAUSE + REST);
        pauseAs(GUARDIAN);
        vm.warp(vm.getBlockTimestamp() + PAUSE);
        refusedTo(GUARDIAN, call, reason);
    }

    /// @dev Every way to be paid is refused for now.
    function expectPaused(uint256 until) private {
        bytes memory reason = abi.encodeWithSelector(ISettlement.IsPaused.selector, until);
        bytes32[] memory proof = leaves.proof(0);
        vm.expectRevert(reason);
        claimWith(leaves[0], proof);
        bytes32[][] memory proofs = new bytes32[][](0);
        vm.expectRevert(reason);
        settlement.claimMany(new ISettlement.Leaf[](0), proofs);
        (bytes memory packed, bytes32[] memory siblings, bytes memory steps) = packed_(1);
        vm.expectRevert(reason);
        settlement.claimPacked(packed, siblings, steps);
    }

    /// @dev The leaves in `subset` as `claimPacked` takes them.
    function packed_(uint256 subset)
        private
        view
        returns (bytes memory packed, bytes32[] memory proof, bytes memory steps)
    {
        ISettlement.Leaf[] memory all = leaves;
        uint256[] memory places = Batches.places(subset, all.length);
        bool[] memory flags;
        (proof, flags) = all.prove(places);
        return (all.pick(places).pack(), proof, flags.bits());
    }

    /// @dev How many of the slots in `written` were read since the last `record`.
    function countRead(bytes32[] memory written) private returns (uint256 found) {
        (bytes32[] memory reads,) = cheats.accesses(address(settlement));
        for (uint256 i; i < written.length; ++i) {
            bool seen;
            for (uint256 j; j < i; ++j) {
                if (written[j] == written[i]) seen = true;
            }
            if (seen) continue;
            for (uint256 j; j < reads.length; ++j) {
                if (reads[j] == written[i]) {
                    ++found;
                    break;
                }
            }
        }
    }
}
