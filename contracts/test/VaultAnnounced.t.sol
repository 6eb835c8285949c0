// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Depositors} from "./Depositors.sol";
import {Trees} from "./Trees.sol";

/// announceWithdrawal
/// ├── not exited: NotExited
/// ├── exit delay not over: TooEarly
/// ├── announced already: AlreadyAnnounced
/// └── otherwise, quiet or not: payable two epochs later, event (fuzz)
/// refuteAnnouncement
/// ├── nothing announced: NothingAnnounced
/// ├── no root ever active: NoActiveRoot
/// ├── a field of the leaf out of range: LeafOutOfRange
/// ├── leaf altered, of another account, or of an older or pending root: NotInTree
/// └── otherwise, by anyone, also when payable, pending or paused: ended, event; the exit goes on
/// withdrawAnnounced
/// ├── never announced, refuted, or withdrawn already: NothingAnnounced
/// ├── before its time: TooEarly
/// ├── not quiet: NotQuiet
/// ├── what would stay of all deposits is below the active root's total: SpentNotCovered
/// ├── no root ever active: as otherwise
/// └── otherwise: pays deposited less withdrawn, ends exit and announcement, event (fuzz)
/// withdraw
/// └── with an announcement: ended too
contract VaultAnnouncedTest is Depositors {
    using Trees for ISettlement.Leaf[];

    function setUp() public override {
        super.setUp();
        depositAs(alice, 10 ether);
        depositAs(BOB, 10 ether);
        exitAs(alice);
    }

    /// @dev Posts the leaves in the first epoch that ends after Alice's exit delay, which is then over.
    function publishLate(ISettlement.Leaf[] memory leaves) private returns (uint256 epoch) {
        epoch = settlement.epochAt(START + EXIT_DELAY);
        publish(epoch, leaves);
    }

    // announceWithdrawal

    function test_announce_notExited() external {
        vm.warp(START + 2 * EXIT_DELAY);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotExited.selector, BOB));
        announceAs(BOB);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotExited.selector, STRANGER));
        announceAs(STRANGER);
    }

    function test_announce_tooEarly() external {
        vm.warp(START + EXIT_DELAY - 1);
        vm.expectRevert(
            abi.encodeWithSelector(IVault.TooEarly.selector, START + uint256(EXIT_DELAY))
        );
        announceAs(alice);
        vm.warp(START + EXIT_DELAY);
        announceAs(alice);
    }

    function test_announce_twice() external {
        vm.warp(START + EXIT_DELAY);
        announceAs(alice);
        uint256 payableAt = START + EXIT_DELAY + 2 * L;
        vm.warp(payableAt + 1 hours);
        vm.expectRevert(abi.encodeWithSelector(IVault.AlreadyAnnounced.selector, alice, payableAt));
        announceAs(alice);
    }

    function testFuzz_announce(uint256 time) external {
        time = bound(time, START + EXIT_DELAY, START + 1000 * 365 days);
        vm.warp(time);
        vm.expectEmit(address(vault));
        emit IVault.WithdrawalAnnounced(alice, time + 2 * L);
        announceAs(alice);
        IVault.Deposit memory held = vault.depositOf(alice);
        vm.assertEq(held.payableAt, time + 2 * L);
        vm.assertEq(held.exitAt, START);
        vm.assertEq(held.deposited, 10 ether);
    }

    // refuteAnnouncement

    function test_refute_nothingAnnounced() external {
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        publish(1, leaves);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingAnnounced.selector, alice));
        refute(leaves[0], leaves.proof(0));
    }

    function test_refute_noActiveRoot() external {
        vm.warp(START + EXIT_DELAY);
        announceAs(alice);
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        vm.expectRevert(IVault.NoActiveRoot.selector);
        refute(leaves[0], leaves.proof(0));
    }

    function test_refute_leafOutOfRange() external {
        ISettlement.Leaf[] memory leaves = new ISettlement.Leaf[](4);
        leaves[0] = ISettlement.Leaf(alice, 1 << 96, 0, 0, 0);
        leaves[1] = ISettlement.Leaf(alice, 0, 1 << 96, 0, 0);
        leaves[2] = ISettlement.Leaf(alice, 0, 0, 1 << 64, 0);
        leaves[3] = ISettlement.Leaf(alice, 0, 0, 0, 1_000_001);
        publishTotals(1, leaves, 0, 0);
        vm.warp(START + EXIT_DELAY);
        announceAs(alice);
        for (uint256 i; i < leaves.length; ++i) {
            vm.expectRevert(IVault.LeafOutOfRange.selector);
            refute(leaves[i], leaves.proof(i));
        }
    }

    function test_refute_notInTree() external {
        ISettlement.Leaf[] memory old = standing(0, 0);
        publish(1, old);
        ISettlement.Leaf[] memory leaves = standingWithoutAlice(1 ether);
        uint256 epoch = publishLate(leaves);
        announceAs(alice);
        bytes memory refusal =
            abi.encodeWithSelector(IVault.NotInTree.selector, alice, leaves.root());

        vm.expectRevert(refusal);
        refute(old[0], old.proof(0));
        ISettlement.Leaf memory claimed = leaves[0];
        claimed.account = alice;
        vm.expectRevert(refusal);
        refute(claimed, leaves.proof(0));

        // A pending root may yet be cancelled; it refutes as soon as it is active.
        ISettlement.Leaf[] memory next = standing(0, 1 ether);
        publishPending(epoch + 1, next);
        vm.expectRevert(refusal);
        refute(next[0], next.proof(0));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        refute(next[0], next.proof(0));
        vm.assertEq(vault.depositOf(alice).payableAt, 0);
    }

    /// @dev She has a leaf that says what she spent and hopes that nobody shows it. Anyone does, even when it is
    /// late; she can try again, and is refuted again.
    function test_attack_announcedWithLeaf() external {
        ISettlement.Leaf[] memory leaves = standing(9 ether, 0);
        publishLate(leaves);
        announceAs(alice);
        vm.prank(STRANGER);
        vm.expectEmit(address(vault));
        emit IVault.AnnouncementRefuted(alice, STRANGER);
        vault.refuteAnnouncement(alice, 0, 9 ether, 0, 200_000, leaves.proof(0));
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingAnnounced.selector, alice));
        withdrawAnnouncedAs(alice);

        announceAs(alice);
        warpToQuiet(vault.depositOf(alice).payableAt + 1 days);
        refute(leaves[0], leaves.proof(0));
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingAnnounced.selector, alice));
        withdrawAnnouncedAs(alice);

        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH - 9 ether);
        assertSolvent(0);
    }

    /// @dev The guardian may be hostile, and a root pending: neither keeps a leaf from being shown.
    function test_refute_whilePendingAndPaused() external {
        ISettlement.Leaf[] memory leaves = standing(9 ether, 0);
        uint256 epoch = publishLate(leaves);
        announceAs(alice);
        publishPending(epoch + 1, standing(10 ether, 0));
        vm.prank(GUARDIAN);
        settlement.pause();
        refute(leaves[0], leaves.proof(0));
        vm.assertEq(vault.depositOf(alice).payableAt, 0);
    }

    /// @dev Nobody can end the announcement of one account with the leaf of another.
    function test_attack_refuteWithAnothersLeaf() external {
        ISettlement.Leaf[] memory leaves = standingWithoutAlice(1 ether);
        publishLate(leaves);
        announceAs(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotInTree.selector, alice, leaves.root()));
        vault.refuteAnnouncement(alice, 0, 1 ether, 0, 200_000, leaves.proof(0));
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingAnnounced.selector, BOB));
        refute(leaves[0], leaves.proof(0));
    }

    // withdrawAnnounced

    function test_withdrawAnnounced_nothingAnnounced() external {
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingAnnounced.selector, alice));
        withdrawAnnouncedAs(alice);
    }

    function test_withdrawAnnounced_tooEarly() external {
        // So that the time comes in a quiet second.
        uint256 announceAt = START + EXIT_DELAY + POST_WINDOW + 1;
        vm.warp(announceAt);
        announceAs(alice);
        vm.warp(announceAt + 2 * L - 1);
        vm.assertFalse(settlement.isQuiet());
        vm.expectRevert(abi.encodeWithSelector(IVault.TooEarly.selector, announceAt + 2 * L));
        withdrawAnnouncedAs(alice);
        vm.warp(announceAt + 2 * L);
        withdrawAnnouncedAs(alice);
    }

    function test_withdrawAnnounced_notQuiet() external {
        vm.warp(START + EXIT_DELAY);
        announceAs(alice);
        vm.warp(START + EXIT_DELAY + 2 * L);
        vm.expectRevert(IVault.NotQuiet.selector);
        withdrawAnnouncedAs(alice);

        ISettlement.Leaf[] memory leaves = standingWithoutAlice(0);
        publishPending(lastEnded(), leaves);
        vm.expectRevert(IVault.NotQuiet.selector);
        withdrawAnnouncedAs(alice);
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        withdrawAnnouncedAs(alice);
        vm.assertEq(token.balanceOf(alice), WEALTH);
    }

    /// @dev The validators leave her out, epoch after epoch.
    function test_attack_missingLeafLocksDepositor() external {
        ISettlement.Leaf[] memory leaves = standingWithoutAlice(3 ether);
        uint256 epoch = publishLate(leaves);
        announceAs(alice);
        publish(epoch + 1, leaves);
        publish(epoch + 2, leaves);
        warpToQuiet(vault.depositOf(alice).payableAt);
        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(alice, 10 ether, 10 ether);
        withdrawAnnouncedAs(alice);
        vm.assertEq(token.balanceOf(alice), WEALTH);
        vm.assertEq(vault.deposits(), 10 ether);
        claim(leaves, 1);
        assertSolvent(0);

        vm.expectRevert(abi.encodeWithSelector(IVault.NothingAnnounced.selector, alice));
        withdrawAnnouncedAs(alice);
        depositAs(alice, 5 ether);
        vm.assertEq(vault.depositOf(alice).deposited, 15 ether);
    }

    /// @dev The network died before its first root.
    function test_withdrawAnnounced_noRootEver() external {
        vm.warp(START + EXIT_DELAY);
        announceAs(alice);
        warpToQuiet(START + EXIT_DELAY + 2 * L);
        withdrawAnnouncedAs(alice);
        vm.assertEq(token.balanceOf(alice), WEALTH);
        exitAs(BOB);
        vm.warp(vm.getBlockTimestamp() + EXIT_DELAY);
        announceAs(BOB);
        warpToQuiet(vm.getBlockTimestamp() + 2 * L);
        withdrawAnnouncedAs(BOB);
        vm.assertEq(token.balanceOf(BOB), WEALTH);
        vm.assertEq(vault.deposits(), 0);
        vm.assertEq(token.balanceOf(address(vault)), FUNDS);
    }

    /// @dev She withdraws without a leaf what providers were promised of it by a total; not to the last unit.
    function test_attack_announcedAgainstTotals() external {
        ISettlement.Leaf[] memory leaves = standingWithoutAlice(10 ether);
        leaves[1].earned = 10 ether + 1;
        uint256 epoch = settlement.epochAt(START + EXIT_DELAY);
        publishTotals(epoch, leaves, 10 ether + 1, 10 ether + 1);
        announceAs(alice);
        warpToQuiet(vault.depositOf(alice).payableAt);
        vm.expectRevert(
            abi.encodeWithSelector(
                IVault.SpentNotCovered.selector, uint256(10 ether), uint256(10 ether + 1)
            )
        );
        withdrawAnnouncedAs(alice);
        depositAs(BOB, MIN_DEPOSIT);
        withdrawAnnouncedAs(alice);
        claim(leaves, 1);
        vm.assertEq(token.balanceOf(TREASURY), 10 ether + 1);
        assertSolvent(0);
    }

    /// @dev Nobody has shown her leaf for two epochs. She gets back what she spent, from the others' margin; every
    /// claim is paid all the same. Her leaf cannot stand in another root, as her deposit does not bear it any more,
    /// and must not fall either: honest roots leave it out, and keep the total.
    function test_announcedWithLeafUnrefuted() external {
        ISettlement.Leaf[] memory leaves = standing(9 ether, 0);
        uint256 epoch = publishLate(leaves);
        announceAs(alice);
        warpToQuiet(vault.depositOf(alice).payableAt);
        withdrawAnnouncedAs(alice);
        vm.assertEq(token.balanceOf(alice), WEALTH);
        claim(leaves, 2);
        vm.assertEq(token.balanceOf(TREASURY), 9 ether);
        assertSolvent(0);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingDeposited.selector, alice));
        exitAs(alice);

        leaves = standingWithoutAlice(1 ether);
        leaves[1].earned = 10 ether;
        publishTotals(epoch + 4, leaves, 10 ether, 10 ether);
        claim(leaves, 1);
        vm.assertEq(token.balanceOf(TREASURY), 10 ether);
        assertSolvent(0);
    }

    function test_withdraw_endsTheAnnouncement() external {
        ISettlement.Leaf[] memory leaves = standing(4 ether, 0);
        publishLate(leaves);
        announceAs(alice);
        uint256 payableAt = vault.depositOf(alice).payableAt;
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(vault.depositOf(alice).payableAt, 0);
        warpToQuiet(payableAt);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingAnnounced.selector, alice));
        withdrawAnnouncedAs(alice);
        vm.assertEq(token.balanceOf(alice), WEALTH - 4 ether);
    }

    /// @dev What was withdrawn before is not paid again.
    function testFuzz_withdrawAnnounced(uint256 deposited, uint256 othersSpent) external {
        deposited = bound(deposited, MIN_DEPOSIT, WEALTH - 10 ether);
        othersSpent = bound(othersSpent, 0, 10 ether);
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        publish(1, leaves);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        depositAs(alice, deposited);
        exitAs(alice);

        leaves = standingWithoutAlice(othersSpent);
        publish(settlement.epochAt(vm.getBlockTimestamp() + EXIT_DELAY), leaves);
        announceAs(alice);
        warpToQuiet(vault.depositOf(alice).payableAt);
        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(alice, deposited, 10 ether + deposited);
        withdrawAnnouncedAs(alice);

        IVault.Deposit memory held = vault.depositOf(alice);
        vm.assertEq(held.deposited, 10 ether + deposited);
        vm.assertEq(held.withdrawn, 10 ether + deposited);
        vm.assertEq(held.exitEpoch, 0);
        vm.assertEq(held.exitAt, 0);
        vm.assertEq(held.payableAt, 0);
        vm.assertEq(token.balanceOf(alice), WEALTH);
        vm.assertEq(vault.deposits(), 10 ether);
        if (othersSpent != 0) claim(leaves, 1);
        assertSolvent(0);
    }
}
