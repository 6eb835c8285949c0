// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Depositors} from "./Depositors.sol";
import {Trees} from "./Trees.sol";

/// withdraw
/// ├── never deposited or not exited: NotExited
/// ├── a root pending or else triable, the last ended epoch still to be posted, or a convict to be slashed: NotQuiet
/// ├── no root ever active: NoActiveRoot
/// ├── a field of the leaf out of range: LeafOutOfRange
/// ├── leaf altered, of another account, or of an older root: NotInTree
/// ├── the root does not cover the epoch after the exit's
/// │   ├── exit delay not over: RootTooOld
/// │   └── exit delay over: as otherwise
/// ├── spent above the deposit: SpentAboveDeposit
/// ├── what would stay of all deposits is below the active root's total: SpentNotCovered
/// ├── everything spent: nothing paid, exit ended
/// └── otherwise: pays deposited less withdrawn less spent, ends the exit, event (fuzz)
contract VaultWithdrawalsTest is Depositors {
    using Trees for ISettlement.Leaf[];

    function test_withdraw_notExited() external {
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        publish(1, leaves);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotExited.selector, alice));
        withdrawAs(alice, leaves[0], leaves.proof(0));
        depositAs(alice, 10 ether);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotExited.selector, alice));
        withdrawAs(alice, leaves[0], leaves.proof(0));
    }

    /// @dev Otherwise an honest root, in which she has spent what she withdraws, would become provably false.
    function test_attack_withdrawWhileRootPending() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory before = standing(0, 0);
        publish(1, before);
        ISettlement.Leaf[] memory then_ = standing(10 ether, 0);
        publishPending(2, then_);
        vm.expectRevert(IVault.NotQuiet.selector);
        withdrawAs(alice, before[0], before.proof(0));
        vm.expectRevert(IVault.NotQuiet.selector);
        withdrawAs(alice, then_[0], then_.proof(0));

        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        withdrawAs(alice, then_[0], then_.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH - 10 ether);
    }

    /// @dev What is read from the chain for an epoch is read as of its end.
    function test_attack_withdrawBeforePosting() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        publish(1, leaves);
        vm.warp(end(2));
        vm.expectRevert(IVault.NotQuiet.selector);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.warp(end(2) + POST_WINDOW);
        vm.expectRevert(IVault.NotQuiet.selector);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.warp(end(2) + POST_WINDOW + 1);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH);
    }

    function test_withdraw_convictToBeSlashed() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        publish(1, leaves);
        vm.prank(address(judge));
        registry.convict(accounts[3], STRANGER);
        vm.expectRevert(IVault.NotQuiet.selector);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        registry.slash(accounts[3]);
        withdrawAs(alice, leaves[0], leaves.proof(0));
    }

    function test_withdraw_noActiveRoot() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        warpToQuiet(START + EXIT_DELAY);
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        vm.expectRevert(IVault.NoActiveRoot.selector);
        withdrawAs(alice, leaves[0], leaves.proof(0));
    }

    /// @dev Even if the tree has such a leaf, as when nobody proved it in time.
    function test_withdraw_leafOutOfRange() external {
        ISettlement.Leaf[] memory leaves = new ISettlement.Leaf[](4);
        leaves[0] = ISettlement.Leaf(alice, 1 << 96, 0, 0, 0);
        leaves[1] = ISettlement.Leaf(alice, 0, 1 << 96, 0, 0);
        leaves[2] = ISettlement.Leaf(alice, 0, 0, 1 << 64, 0);
        leaves[3] = ISettlement.Leaf(alice, 0, 0, 0, 1_000_001);
        depositAs(alice, 10 ether);
        exitAs(alice);
        publishTotals(1, leaves, 0, 0);
        for (uint256 i; i < leaves.length; ++i) {
            vm.expectRevert(IVault.LeafOutOfRange.selector);
            withdrawAs(alice, leaves[i], leaves.proof(i));
        }
    }

    function testFuzz_withdraw_alteredLeaf(uint256 field, uint256 change) external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(4 ether, 0);
        leaves[0].earned = 3;
        leaves[0].points = 5;
        bytes32 root = leaves.root();
        bytes32[] memory proof = leaves.proof(0);
        publish(1, leaves);

        ISettlement.Leaf memory altered = leaves[0];
        field %= 4;
        change = bound(change, 1, 500_000);
        if (field == 0) altered.earned += change;
        if (field == 1) altered.spent -= change;
        if (field == 2) altered.points += change;
        if (field == 3) altered.reputation += change;
        vm.expectRevert(abi.encodeWithSelector(IVault.NotInTree.selector, alice, root));
        withdrawAs(alice, altered, proof);
    }

    function test_attack_withdrawWithAnothersLeaf() external {
        depositAs(alice, 10 ether);
        depositAs(BOB, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(9 ether, 0);
        publish(1, leaves);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotInTree.selector, alice, leaves.root()));
        withdrawAs(alice, leaves[1], leaves.proof(1));
    }

    function test_attack_withdrawWithOldRootsLeaf() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory old = standing(0, 0);
        publish(1, old);
        ISettlement.Leaf[] memory leaves = standing(9 ether, 0);
        publish(2, leaves);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotInTree.selector, alice, leaves.root()));
        withdrawAs(alice, old[0], old.proof(0));
        vm.warp(START + 2 * EXIT_DELAY);
        warpToQuiet(START + 2 * EXIT_DELAY);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotInTree.selector, alice, leaves.root()));
        withdrawAs(alice, old[0], old.proof(0));
    }

    /// @dev An inner node is no leaf, and neither is the root with an empty path.
    function test_attack_withdrawWithEmptyProof() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(9 ether, 0);
        publish(1, leaves);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotInTree.selector, alice, leaves.root()));
        withdrawAs(alice, ISettlement.Leaf(alice, 0, 0, 0, 0), new bytes32[](0));
    }

    /// @dev She exits in epoch 1 and is still served by those who have not seen it. Their receipts count until
    /// epoch 2 is over, so no earlier leaf will do.
    function test_attack_spendWhileLeaving() external {
        depositAs(alice, 100 ether);
        vm.warp(GENESIS);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        publish(1, leaves);
        vm.expectRevert(abi.encodeWithSelector(IVault.RootTooOld.selector, uint256(1), uint256(1)));
        withdrawAs(alice, leaves[0], leaves.proof(0));

        leaves = standing(60 ether, 0);
        publish(2, leaves);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH - 60 ether);
        claim(leaves, 2);
        vm.assertEq(token.balanceOf(TREASURY), 60 ether);
        assertSolvent(0);
    }

    /// @dev Epochs 1 to 9 are dead; the root of epoch 10 covers them up to 7 only.
    function test_withdraw_throughCountsNotEpoch() external {
        depositAs(alice, 10 ether);
        depositAs(BOB, 10 ether);
        vm.warp(end(5));
        exitAs(alice);
        vm.warp(end(6));
        exitAs(BOB);
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        publish(10, leaves);
        vm.assertEq(settlement.activeRecord().through, 7);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.expectRevert(abi.encodeWithSelector(IVault.RootTooOld.selector, uint256(7), uint256(7)));
        withdrawAs(BOB, leaves[1], leaves.proof(1));
    }

    /// @dev Nothing is posted any more. After the delay the last leaf will do.
    function test_withdraw_exitDelayOver() external {
        depositAs(alice, 10 ether);
        ISettlement.Leaf[] memory leaves = standing(4 ether, 0);
        publish(1, leaves);
        // So that the delay ends in a quiet second.
        uint256 exitAt = end(1) + POST_WINDOW + CHALLENGE;
        vm.warp(exitAt);
        exitAs(alice);
        vm.warp(exitAt + EXIT_DELAY - 1);
        vm.assertTrue(settlement.isQuiet());
        vm.expectRevert(abi.encodeWithSelector(IVault.RootTooOld.selector, uint256(1), uint256(2)));
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.warp(exitAt + EXIT_DELAY);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH - 4 ether);
    }

    function test_withdraw_spentAboveDeposit() external {
        depositAs(alice, 10 ether);
        depositAs(BOB, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(10 ether + 1, 0);
        publish(1, leaves);
        vm.expectRevert(
            abi.encodeWithSelector(
                IVault.SpentAboveDeposit.selector, 10 ether + 1, uint256(10 ether)
            )
        );
        withdrawAs(alice, leaves[0], leaves.proof(0));
    }

    /// @dev 2/3 of the stake signed totals that are too high and took what they allow. Who comes late cannot
    /// withdraw, but every claim is paid.
    function test_attack_overstatedTotals() external {
        depositAs(alice, 100 ether);
        depositAs(BOB, 100 ether);
        exitAs(alice);
        exitAs(BOB);
        ISettlement.Leaf[] memory leaves = standing(10 ether, 10 ether);
        leaves[2].earned = 100 ether + RATE;
        publishTotals(1, leaves, 100 ether + RATE, 100 ether);

        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH - 10 ether);
        vm.expectRevert(
            abi.encodeWithSelector(
                IVault.SpentNotCovered.selector, uint256(20 ether), uint256(100 ether)
            )
        );
        withdrawAs(BOB, leaves[1], leaves.proof(1));
        claim(leaves, 2);
        vm.assertEq(token.balanceOf(TREASURY), 100 ether + RATE);
        assertSolvent(0);
    }

    /// @dev To the last unit, with a root that has matured but was activated by nobody yet.
    function test_withdraw_coversTheMaturedRoot() external {
        depositAs(alice, 100 ether);
        depositAs(BOB, 100 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(10 ether, 0);
        publishTotals(1, leaves, 0, 110 ether + 1);
        vm.assertEq(vault.fed(), 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                IVault.SpentNotCovered.selector, uint256(110 ether), uint256(110 ether + 1)
            )
        );
        withdrawAs(alice, leaves[0], leaves.proof(0));
        depositAs(BOB, MIN_DEPOSIT);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        assertSolvent(0);
    }

    function test_withdraw_everythingSpent() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(10 ether, 0);
        publish(1, leaves);
        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(alice, 0, 0);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH - 10 ether);
        vm.assertEq(vault.depositOf(alice).exitAt, 0);
        depositAs(alice, 5 ether);
    }

    function test_withdraw_whilePaused() external {
        depositAs(alice, 10 ether);
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        publish(1, leaves);
        vm.warp(end(1) + POST_WINDOW + CHALLENGE);
        vm.prank(GUARDIAN);
        settlement.pause();
        exitAs(alice);
        depositAs(BOB, 10 ether);
        // Its one pause of the fortnight has passed, and the next is just beginning.
        publish(6, leaves);
        warpToQuiet(end(20) + POST_WINDOW + 1);
        vm.prank(GUARDIAN);
        settlement.pause();
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH);
    }

    function test_withdraw_afterCancel() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(4 ether, 0);
        publish(1, leaves);
        publishPending(2, standing(9 ether, 0));
        uint256 activeAt = vm.getBlockTimestamp() + CHALLENGE;
        vm.prank(GUARDIAN);
        settlement.cancel();
        // Until it would have become active it can still be tried.
        vm.warp(activeAt - 1);
        vm.expectRevert(IVault.NotQuiet.selector);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.warp(activeAt);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH - 4 ether);
    }

    function test_attack_withdrawTwice() external {
        depositAs(alice, 10 ether);
        depositAs(BOB, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(4 ether, 0);
        publish(1, leaves);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.expectRevert(abi.encodeWithSelector(IVault.NotExited.selector, alice));
        withdrawAs(alice, leaves[0], leaves.proof(0));

        // What she spent is still hers by the books. She may exit again, and gets nothing.
        exitAs(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.RootTooOld.selector, uint256(1), uint256(2)));
        withdrawAs(alice, leaves[0], leaves.proof(0));
        publish(3, leaves);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH - 4 ether);
        vm.assertEq(vault.depositOf(alice).withdrawn, 6 ether);
        assertSolvent(0);
    }

    /// @dev Sums are lifetime in leaf and account, so they still fit each other after a withdrawal.
    function test_depositAgainAfterWithdrawal() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(4 ether, 0);
        publish(1, leaves);
        withdrawAs(alice, leaves[0], leaves.proof(0));

        depositAs(alice, 20 ether);
        vm.warp(GENESIS + 2 * L);
        exitAs(alice);
        leaves = standing(9 ether, 0);
        publish(4, leaves);
        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(alice, 15 ether, 21 ether);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        IVault.Deposit memory held = vault.depositOf(alice);
        vm.assertEq(held.deposited, 30 ether);
        vm.assertEq(held.withdrawn, 21 ether);
        vm.assertEq(held.exitEpoch, 0);
        vm.assertEq(vault.deposits(), 9 ether);
        vm.assertEq(token.balanceOf(alice), WEALTH - 9 ether);
        assertSolvent(0);
    }

    function test_attack_donation() external {
        depositAs(alice, 10 ether);
        vm.prank(alice);
        token.transfer(address(vault), 50 ether);
        vm.assertEq(vault.deposits(), 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(4 ether, 0);
        publish(1, leaves);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.assertEq(token.balanceOf(alice), WEALTH - 54 ether);
        assertSolvent(50 ether);
    }

    /// @dev Whatever they deposit and spend: both get exactly the rest, the treasury what was spent, and what is
    /// left is the funds.
    function testFuzz_withdraw(
        uint256 deposited,
        uint256 others,
        uint256 spent,
        uint256 othersSpent,
        bool claimFirst
    ) external {
        deposited = bound(deposited, MIN_DEPOSIT, WEALTH);
        others = bound(others, MIN_DEPOSIT, WEALTH);
        spent = bound(spent, 0, deposited);
        othersSpent = bound(othersSpent, 0, others);
        depositAs(alice, deposited);
        depositAs(BOB, others);
        exitAs(alice);
        exitAs(BOB);
        ISettlement.Leaf[] memory leaves = standing(spent, othersSpent);
        publish(1, leaves);
        bool pays = leaves[2].earned != 0;
        if (claimFirst && pays) claim(leaves, 2);

        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(alice, deposited - spent, deposited - spent);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        assertSolvent(0);
        vm.assertEq(vault.deposits(), others + spent);
        withdrawAs(BOB, leaves[1], leaves.proof(1));
        if (!claimFirst && pays) claim(leaves, 2);

        assertSolvent(0);
        vm.assertEq(token.balanceOf(alice), WEALTH - spent);
        vm.assertEq(token.balanceOf(BOB), WEALTH - othersSpent);
        vm.assertEq(token.balanceOf(TREASURY), spent + othersSpent);
        vm.assertEq(token.balanceOf(address(vault)), FUNDS);
        IVault.Deposit memory held = vault.depositOf(alice);
        vm.assertEq(held.deposited, deposited);
        vm.assertEq(held.withdrawn, deposited - spent);
        vm.assertEq(held.exitEpoch, 0);
        vm.assertEq(held.exitAt, 0);
    }
}
