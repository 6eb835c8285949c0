// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IJudge} from "../src/interfaces/IJudge.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Reports} from "./Reports.sol";
import {Trees} from "./Trees.sol";

/// A guardian saves nobody who signed.
/// triableRecord
/// ├── nothing was ever posted: all zero
/// ├── a root pending: its record, until it matures (fuzz over the time)
/// ├── cancelled by the guardian
/// │   ├── before it would have become active: as if it were pending (fuzz over the time)
/// │   ├── from then on: all zero
/// │   └── convicted since: all zero
/// └── cancelled by a proof, or active: all zero
/// falls, repeats, overspends, exceedsTotal, outOfRange against a root that the guardian cancelled
/// ├── until it would have become active: accepted, exactly its signers convicts, once
/// │   └── quiet as soon as all of them are slashed, and not before
/// ├── from then on: NothingTriable, quiet
/// └── an honest one: refused, for what it shows
/// what moves while it is triable
/// ├── stake, lists and deposits: NotQuiet, so neither who signed nor what was spent changes
/// └── the next epoch's root: posted and tried as ever
contract JudgeCancelledTest is Reports {
    using Trees for ISettlement.Leaf[];

    uint256 private constant KINDS = 5;

    function setUp() public override {
        super.setUp();
        publish(1, first());
    }

    // triableRecord

    function test_triable_nothing() external {
        expectNothing();
        settlement.activate();
        expectNothing();
    }

    /// Whatever the guardian does, and when: triable is what was posted, from its posting until it would be active.
    function testFuzz_triable(uint256 cancelAt, uint256 time, bool cancels) external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        uint256 posted = vm.getBlockTimestamp();
        uint256 activeAt = posted + CHALLENGE;
        cancelAt = bound(cancelAt, posted, activeAt - 1);
        time = bound(time, posted, end(3) - 1);
        ISettlement.RootRecord memory record = settlement.pendingRecord();
        if (cancels && cancelAt <= time) {
            vm.warp(cancelAt);
            vm.prank(GUARDIAN);
            settlement.cancel();
            vm.assertEq(settlement.pendingRoot(), bytes32(0));
        }
        vm.warp(time);
        if (time >= activeAt) {
            expectNothing();
        } else {
            vm.assertEq(record.root, leaves.root());
            vm.assertEq(record.epoch, 2);
            vm.assertEq(record.signers, 7);
            vm.assertEq(record.activeAt, activeAt);
            vm.assertEq(
                keccak256(abi.encode(settlement.triableRecord())), keccak256(abi.encode(record))
            );
        }
        vm.assertEq(settlement.isQuiet(), time >= activeAt);
    }

    function test_triable_convicted() external {
        for (uint256 i; i < 2; ++i) {
            uint256 snapshot = vm.snapshotState();
            pendFraud(4);
            if (i == 1) cancel();
            prove(4, ACCEPTED);
            expectNothing();
            vm.assertTrue(vm.revertToState(snapshot));
        }
    }

    // The proofs

    /// Each proof, from the moment of the cancelling to the last second.
    function testFuzz_prove(uint8 kind, uint256 cancelAt, uint256 time) external {
        kind %= uint8(KINDS);
        bytes32 root = pendFraud(kind);
        uint256 posted = vm.getBlockTimestamp();
        uint256 activeAt = posted + CHALLENGE;
        vm.warp(bound(cancelAt, posted, activeAt - 1));
        cancel();
        vm.warp(bound(time, vm.getBlockTimestamp(), activeAt - 1));
        vm.assertEq(settlement.triableRecord().root, root);
        prove(kind, ACCEPTED);
        assertConvicts(7);
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        vm.assertEq(settlement.activeRoot(), first().root());
        vm.assertEq(settlement.lastPostedEpoch(), 2);
        vm.assertFalse(settlement.isQuiet());
    }

    function test_prove_inTheLastSecond() external {
        for (uint8 kind; kind < KINDS; ++kind) {
            uint256 snapshot = vm.snapshotState();
            pendFraud(kind);
            uint256 activeAt = settlement.pendingRecord().activeAt;
            vm.warp(activeAt - 1);
            cancel();
            prove(kind, ACCEPTED);
            assertConvicts(7);
            vm.assertTrue(vm.revertToState(snapshot));
        }
    }

    function test_prove_tooLate() external {
        for (uint8 kind; kind < KINDS; ++kind) {
            uint256 snapshot = vm.snapshotState();
            pendFraud(kind);
            uint256 activeAt = settlement.pendingRecord().activeAt;
            cancel();
            if (kind == 3) sum(ascending(fraud(kind)));
            vm.warp(activeAt);
            vm.assertTrue(settlement.isQuiet());
            prove(kind, abi.encodeWithSelector(IJudge.NothingTriable.selector));
            assertConvicts(0);
            vm.assertTrue(vm.revertToState(snapshot));
        }
    }

    /// Once: who was convicted after the cancelling is not convicted again, and no time is quiet before every one of
    /// them is slashed, be that before or after the root would have become active.
    function testFuzz_prove_once(uint8 kind, bool slashedLate) external {
        kind %= uint8(KINDS);
        pendFraud(kind);
        uint256 activeAt = settlement.pendingRecord().activeAt;
        cancel();
        prove(kind, ACCEPTED);
        for (uint8 again; again < KINDS; ++again) {
            if (again != 3) prove(again, abi.encodeWithSelector(IJudge.NothingTriable.selector));
        }
        assertConvicts(7);
        if (slashedLate) vm.warp(activeAt);
        vm.assertFalse(settlement.isQuiet());
        slashAll();
        // With the conviction the case is closed: nothing is left that could become fraudulent.
        vm.assertTrue(settlement.isQuiet());
        vm.assertEq(registry.shareOf(REPORTER), 3 * uint256(MAX_STAKE) / 10);
        vm.warp(activeAt);
        prove(kind == 3 ? 4 : kind, abi.encodeWithSelector(IJudge.NothingTriable.selector));
        vm.assertTrue(settlement.isQuiet());
    }

    /// A reporter who committed, or summed up, before the guardian cancelled has not done so in vain.
    function test_prove_committedBefore() external {
        pendFraud(2);
        Shown memory a = shown(fraud(2), 0);
        commitTo(evidenceOf("overspends", a));
        cancel();
        overspends(a, ACCEPTED);
        assertConvicts(7);
    }

    function test_prove_summedBefore() external {
        pendFraud(3);
        sum(ascending(fraud(3)));
        cancel();
        exceedsTotal(ACCEPTED);
        assertConvicts(7);
    }

    /// What an honest root says is no fraud because a guardian does not like it.
    function test_honestAndCancelled() external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        cancel();
        for (uint256 i; i < leaves.length; ++i) {
            Shown memory a = shown(leaves, i);
            address account = a.leaf.account;
            falls(a, shown(first(), i), about(IJudge.NotFallen.selector, account));
            repeats(a, a, about(IJudge.SameLeaf.selector, account));
            uint256 deposited = vault.depositOf(account).deposited;
            overspends(
                a,
                abi.encodeWithSelector(
                    IJudge.NotOverspent.selector, account, a.leaf.spent, deposited
                )
            );
            outOfRange(a, about(IJudge.InRange.selector, account));
        }
        sum(ascending(leaves));
        exceedsTotal(
            abi.encodeWithSelector(IJudge.WithinTotal.selector, TOTAL_EARNED, TOTAL_EARNED)
        );
        assertConvicts(0);
    }

    // What moves meanwhile

    /// Alice takes her deposit as soon as the guardian, her friend, has cancelled an honest root by which she spent all of
    /// it; before she can, nobody can be blamed for that root any more.
    function test_attack_withdrawalThatMakesACancelledRootFraudulent() external {
        exitAs(alice);
        publish(3, first());
        ISettlement.Leaf[] memory leaves = second();
        leaves[0].spent = DEPOSIT;
        publishPending(4, leaves);
        uint256 activeAt = settlement.pendingRecord().activeAt;
        cancel();
        Shown memory spent = shown(leaves, 0);
        commitTo(evidenceOf("overspends", spent));
        ISettlement.Leaf memory mine = first()[0];
        bytes32[] memory proof = first().proof(0);

        vm.warp(activeAt - 1);
        vm.expectRevert(IVault.NotQuiet.selector);
        withdrawAs(alice, mine, proof);
        overspends(
            spent, abi.encodeWithSelector(IJudge.NotOverspent.selector, alice, DEPOSIT, DEPOSIT)
        );
        vm.warp(activeAt);
        withdrawAs(alice, mine, proof);
        vm.assertEq(vault.depositOf(alice).withdrawn, 6 ether);
        overspends(spent, abi.encodeWithSelector(IJudge.NothingTriable.selector));
        assertConvicts(0);
    }

    /// Nor does who signed it get its stake out of reach, or off the list that the bitmap is about.
    function test_attack_leavingBetweenCancelAndProof() external {
        pendFraud(0);
        cancel();
        vm.prank(accounts[0]);
        vm.expectRevert(IRegistry.NotQuiet.selector);
        registry.unbond(accounts[0], MAX_STAKE);
        IRegistry.Changes memory changes;
        vm.expectRevert(IRegistry.NotQuiet.selector);
        registry.change(changes, type(uint256).max, "");
        prove(0, ACCEPTED);
        assertConvicts(7);
    }

    /// The next epoch goes on from the root before, whatever became of this one.
    function test_nextEpoch() external {
        pendFraud(2);
        cancel();
        ISettlement.Leaf[] memory leaves = second();
        leaves[4].reputation = 1_000_001;
        postAs(3, leaves.root(), TOTAL_EARNED, TOTAL_SPENT, 14);
        vm.assertEq(settlement.triableRecord().root, leaves.root());
        vm.assertEq(settlement.triableRecord().epoch, 3);
        overspends(shown(fraud(2), 0), notInTree(alice, leaves.root()));
        outOfRange(shown(leaves, 4), ACCEPTED);
        assertConvicts(14);
    }

    // Makings

    /// @dev The books after epoch 2 with one fraud: which proof shows it, in the order of the tree above.
    function fraud(uint8 kind) private view returns (ISettlement.Leaf[] memory leaves) {
        leaves = second();
        if (kind == 0) leaves[2].points = first()[2].points - 1;
        else if (kind == 1) leaves[3] = ISettlement.Leaf(PROVIDER, 300 ether, 0, 300, 0);
        else if (kind == 2) leaves[0].spent = DEPOSIT + 1;
        else if (kind == 3) leaves[4].earned += 1;
        else leaves[4].points = uint256(type(uint64).max) + 1;
    }

    function pendFraud(uint8 kind) private returns (bytes32 root) {
        ISettlement.Leaf[] memory leaves = fraud(kind);
        pend(leaves);
        return leaves.root();
    }

    /// @dev Shows the fraud of a kind.
    function prove(uint8 kind, bytes memory refusal) private {
        ISettlement.Leaf[] memory leaves = fraud(kind);
        if (kind == 0) {
            falls(shown(leaves, 2), shown(first(), 2), refusal);
        } else if (kind == 1) {
            repeats(shown(leaves, 2), shown(leaves, 3), refusal);
        } else if (kind == 2) {
            overspends(shown(leaves, 0), refusal);
        } else if (kind == 3) {
            if (refusal.length == 0) sum(ascending(leaves));
            exceedsTotal(refusal);
        } else {
            outOfRange(shown(leaves, 4), refusal);
        }
    }

    function cancel() private {
        vm.prank(GUARDIAN);
        settlement.cancel();
    }

    function expectNothing() private view {
        ISettlement.RootRecord memory nothing;
        vm.assertEq(
            keccak256(abi.encode(settlement.triableRecord())), keccak256(abi.encode(nothing))
        );
    }
}
