// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RewardToken} from "../src/RewardToken.sol";
import {Depositors} from "./Depositors.sol";

/// constructor
/// └── the whole supply belongs to the deployer
/// permit
/// ├── signed by another than the owner, or for another amount or spender: refused
/// ├── deadline past: refused
/// ├── for another token's contract: refused
/// ├── signed by the owner, deadline not past: the spender may spend
/// └── used again: refused
/// transferFrom
/// ├── above the allowance: refused
/// └── otherwise: moves exactly the amount and takes it off the allowance (fuzz)
/// transfer
/// ├── above the balance: refused
/// └── otherwise: moves exactly the amount and leaves the supply (fuzz)
contract RewardTokenTest is Depositors {
    function test_constructor() external {
        RewardToken fresh = newRewardToken("Name", "SYM", 42);
        vm.assertEq(fresh.name(), "Name");
        vm.assertEq(fresh.symbol(), "SYM");
        vm.assertEq(fresh.decimals(), 18);
        vm.assertEq(fresh.totalSupply(), 42);
        vm.assertEq(fresh.balanceOf(address(this)), 42);
    }

    function test_permit() external {
        uint256 deadline = vm.getBlockTimestamp();
        (uint8 v, bytes32 r, bytes32 s) = permit(STRANGER, 5, deadline);

        token.permit(alice, STRANGER, 5, deadline, v, r, s);
        vm.assertEq(token.allowance(alice, STRANGER), 5);

        vm.expectRevert();
        token.permit(alice, STRANGER, 5, deadline, v, r, s);
    }

    function test_permit_refuses() external {
        uint256 deadline = vm.getBlockTimestamp();
        (uint8 v, bytes32 r, bytes32 s) = permit(STRANGER, 5, deadline);
        vm.expectRevert();
        token.permit(BOB, STRANGER, 5, deadline, v, r, s);
        vm.expectRevert();
        token.permit(alice, STRANGER, 6, deadline, v, r, s);
        vm.expectRevert();
        token.permit(alice, BOB, 5, deadline, v, r, s);
        vm.expectRevert();
        token.permit(alice, STRANGER, 5, deadline + 1, v, r, s);

        RewardToken twin = newRewardToken("DPN Reward", "DPN", SUPPLY);
        vm.expectRevert();
        twin.permit(alice, STRANGER, 5, deadline, v, r, s);

        vm.warp(deadline + 1);
        vm.expectRevert();
        token.permit(alice, STRANGER, 5, deadline, v, r, s);
        vm.assertEq(token.allowance(alice, STRANGER), 0);
        vm.assertEq(twin.allowance(alice, STRANGER), 0);
    }

    function testFuzz_transferFrom(uint256 allowed, uint256 amount) external {
        allowed = bound(allowed, 0, WEALTH);
        amount = bound(amount, 0, WEALTH);
        vm.prank(alice);
        token.approve(STRANGER, allowed);
        vm.prank(STRANGER);
        if (amount > allowed) {
            vm.expectRevert();
            token.transferFrom(alice, BOB, amount);
        } else {
            token.transferFrom(alice, BOB, amount);
            vm.assertEq(token.balanceOf(alice), WEALTH - amount);
            vm.assertEq(token.balanceOf(BOB), WEALTH + amount);
            vm.assertEq(token.allowance(alice, STRANGER), allowed - amount);
        }
    }

    function testFuzz_transfer(uint256 amount) external {
        amount = bound(amount, 0, 2 * WEALTH);
        vm.prank(alice);
        if (amount > WEALTH) {
            vm.expectRevert();
            token.transfer(STRANGER, amount);
        } else {
            token.transfer(STRANGER, amount);
            vm.assertEq(token.balanceOf(STRANGER), amount);
            vm.assertEq(token.balanceOf(alice), WEALTH - amount);
        }
        vm.assertEq(token.totalSupply(), SUPPLY);
    }
}
