// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {RewardToken} from "../src/RewardToken.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Depositors} from "./Depositors.sol";
import {Trees} from "./Trees.sol";

/// deposit
/// ├── below the least: BelowMinDeposit
/// ├── exited: HasExited
/// ├── funds and deposits together at or above 2^96: DepositsTooHigh
/// ├── the account's lifetime sum at or above 2^96: DepositedTooHigh, and nobody else is hindered
/// ├── no allowance: refused by the token, nothing counted
/// └── otherwise: counted for the account and in the sum, moved, event (fuzz)
/// depositWithPermit
/// ├── below the least: BelowMinDeposit
/// ├── permit invalid, past or for less, no allowance: refused by the token
/// ├── permit invalid or used, allowance there: as deposit
/// └── otherwise: without an allowance before, as deposit
/// exit
/// ├── nothing deposited, or all withdrawn: NothingDeposited
/// ├── exited already: HasExited
/// ├── before genesis: in epoch 0
/// └── otherwise: epoch and time kept, event (fuzz)
contract VaultDepositsTest is Depositors {
    using Trees for ISettlement.Leaf[];

    // deposit

    function test_deposit_belowLeast() external {
        vm.prank(alice);
        vm.expectRevert(
            abi.encodeWithSelector(
                IVault.BelowMinDeposit.selector, MIN_DEPOSIT - 1, uint256(MIN_DEPOSIT)
            )
        );
        vault.deposit(MIN_DEPOSIT - 1);
        depositAs(alice, MIN_DEPOSIT);
        vm.assertEq(vault.deposits(), MIN_DEPOSIT);
    }

    function test_deposit_afterExit() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        vm.expectRevert(abi.encodeWithSelector(IVault.HasExited.selector, alice));
        depositAs(alice, 10 ether);
        depositAs(BOB, 10 ether);
    }

    function test_deposit_withoutAllowance() external {
        vm.prank(alice);
        token.approve(address(vault), 10 ether - 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector,
                address(vault),
                10 ether - 1,
                10 ether
            )
        );
        depositAs(alice, 10 ether);
        vm.assertEq(vault.deposits(), 0);
        vm.assertEq(vault.depositOf(alice).deposited, 0);
    }

    function testFuzz_deposit(uint256 first, uint256 second, uint256 others) external {
        first = bound(first, MIN_DEPOSIT, WEALTH - MIN_DEPOSIT);
        second = bound(second, MIN_DEPOSIT, WEALTH - first);
        others = bound(others, MIN_DEPOSIT, WEALTH);
        depositAs(alice, first);
        depositAs(BOB, others);
        vm.expectEmit(address(vault));
        emit IVault.Deposited(alice, second, first + second);
        depositAs(alice, second);

        IVault.Deposit memory held = vault.depositOf(alice);
        vm.assertEq(held.deposited, first + second);
        vm.assertEq(held.withdrawn, 0);
        vm.assertEq(held.exitEpoch, 0);
        vm.assertEq(held.exitAt, 0);
        vm.assertEq(held.payableAt, 0);
        vm.assertEq(vault.depositOf(BOB).deposited, others);
        vm.assertEq(vault.deposits(), first + second + others);
        vm.assertEq(vault.funded(), FUNDS);
        vm.assertEq(token.balanceOf(alice), WEALTH - first - second);
        assertSolvent(0);
    }

    // depositWithPermit

    function test_depositWithPermit() external {
        vm.prank(alice);
        token.approve(address(vault), 0);
        uint256 deadline = vm.getBlockTimestamp();
        (uint8 v, bytes32 r, bytes32 s) = permit(address(vault), 10 ether, deadline);
        vm.expectEmit(address(vault));
        emit IVault.Deposited(alice, 10 ether, 10 ether);
        vm.prank(alice);
        vault.depositWithPermit(10 ether, deadline, v, r, s);
        vm.assertEq(vault.depositOf(alice).deposited, 10 ether);
        vm.assertEq(token.allowance(alice, address(vault)), 0);
        assertSolvent(0);
    }

    function test_depositWithPermit_belowLeast() external {
        (uint8 v, bytes32 r, bytes32 s) = permit(address(vault), 5, START);
        vm.prank(alice);
        vm.expectRevert(
            abi.encodeWithSelector(
                IVault.BelowMinDeposit.selector, uint256(5), uint256(MIN_DEPOSIT)
            )
        );
        vault.depositWithPermit(5, START, v, r, s);
    }

    function test_depositWithPermit_withoutAllowance() external {
        vm.prank(alice);
        token.approve(address(vault), 0);
        bytes memory refusal = abi.encodeWithSelector(
            IERC20Errors.ERC20InsufficientAllowance.selector, address(vault), 0, 10 ether
        );

        (uint8 v, bytes32 r, bytes32 s) = permit(address(vault), 9 ether, START);
        vm.prank(alice);
        vm.expectRevert(refusal);
        vault.depositWithPermit(10 ether, START, v, r, s);

        (v, r, s) = permit(address(vault), 10 ether, START - 1);
        vm.prank(alice);
        vm.expectRevert(refusal);
        vault.depositWithPermit(10 ether, START - 1, v, r, s);
        vm.assertEq(vault.deposits(), 0);
    }

    /// @dev The permit in another's hands moves nothing of hers: the deposit is always the caller's own.
    function test_depositWithPermit_ofAnother() external {
        vm.prank(alice);
        token.approve(address(vault), 0);
        (uint8 v, bytes32 r, bytes32 s) = permit(address(vault), 10 ether, START);
        vm.prank(BOB);
        vault.depositWithPermit(10 ether, START, v, r, s);
        vm.assertEq(vault.depositOf(BOB).deposited, 10 ether);
        vm.assertEq(token.balanceOf(BOB), WEALTH - 10 ether);
        vm.assertEq(token.balanceOf(alice), WEALTH);
        vm.assertEq(token.allowance(alice, address(vault)), 0);
    }

    function test_attack_permitUsedFirst() external {
        vm.prank(alice);
        token.approve(address(vault), 0);
        (uint8 v, bytes32 r, bytes32 s) = permit(address(vault), 10 ether, START);
        vm.prank(STRANGER);
        token.permit(alice, address(vault), 10 ether, START, v, r, s);

        vm.prank(alice);
        vault.depositWithPermit(10 ether, START, v, r, s);
        vm.assertEq(vault.depositOf(alice).deposited, 10 ether);
    }

    // exit

    function test_exit_nothingDeposited() external {
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingDeposited.selector, alice));
        exitAs(alice);
    }

    function test_exit_allWithdrawn() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        publish(1, leaves);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingDeposited.selector, alice));
        exitAs(alice);
    }

    function test_exit_twice() external {
        depositAs(alice, 10 ether);
        exitAs(alice);
        vm.warp(START + 1);
        vm.expectRevert(abi.encodeWithSelector(IVault.HasExited.selector, alice));
        exitAs(alice);
        vm.assertEq(vault.depositOf(alice).exitAt, START);
    }

    function test_exit_beforeGenesis() external {
        depositAs(alice, 10 ether);
        vm.warp(GENESIS - 1);
        exitAs(alice);
        vm.assertEq(vault.depositOf(alice).exitEpoch, 1);
        depositAs(BOB, 10 ether);
        vm.warp(GENESIS);
        exitAs(BOB);
        vm.assertEq(vault.depositOf(BOB).exitEpoch, 2);
    }

    function testFuzz_exit(uint256 time) external {
        time = bound(time, START, START + 1000 * 365 days);
        uint256 epoch = time < GENESIS ? 0 : (time - GENESIS) / L + 1;
        depositAs(alice, 10 ether);
        vm.warp(time);
        vm.expectEmit(address(vault));
        emit IVault.Exited(alice, epoch, vm.getBlockTimestamp());
        exitAs(alice);
        IVault.Deposit memory held = vault.depositOf(alice);
        vm.assertEq(held.exitAt, time);
        vm.assertEq(held.exitEpoch, epoch + 1);
        vm.assertEq(held.deposited, 10 ether);
        vm.assertEq(vault.deposits(), 10 ether);
    }
}

/// @dev A token of which there is more than the vault can count.
contract VaultDepositsBoundsTest is Depositors {
    using Trees for ISettlement.Leaf[];

    uint256 private constant LIMIT = type(uint96).max;

    function setUp() public override {
        super.setUp();
        token = newRewardToken("Vast", "VST", 4 * LIMIT);
        address predicted = predictedSettlement(3);
        registry = newRegistry(registryConfig(predicted), listings(), RULES);
        vault = newVault(vaultConfig(predicted));
        judge = newJudge(predicted);
        settlement = newSettlement(settlementConfig());
        token.approve(address(registry), type(uint256).max);
        token.approve(address(vault), type(uint256).max);
        bondAll();
        address[2] memory depositors = [alice, BOB];
        for (uint256 i; i < 2; ++i) {
            token.transfer(depositors[i], LIMIT);
            vm.prank(depositors[i]);
            token.approve(address(vault), type(uint256).max);
        }
    }

    function test_deposit_tooHigh() external {
        vault.fund(5 ether);
        depositAs(alice, 7 ether);
        bytes memory refusal = abi.encodeWithSelector(
            IVault.DepositsTooHigh.selector, uint256(7 ether), LIMIT - 5 ether
        );
        vm.expectRevert(refusal);
        depositAs(BOB, LIMIT - 12 ether + 1);
        vm.expectRevert(refusal);
        depositAs(BOB, type(uint256).max);
        depositAs(BOB, LIMIT - 12 ether);
        vm.assertEq(vault.deposits(), LIMIT - 5 ether);
        vm.expectRevert(
            abi.encodeWithSelector(
                IVault.FundedTooHigh.selector, uint256(5 ether), uint256(5 ether)
            )
        );
        vault.fund(1);
    }

    function test_attack_sumsUsedUpByTurnover() external {
        depositAs(alice, LIMIT);
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = standing(0, 0);
        publish(1, leaves);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        vm.expectRevert(
            abi.encodeWithSelector(IVault.DepositedTooHigh.selector, alice, LIMIT, LIMIT)
        );
        depositAs(alice, MIN_DEPOSIT);

        depositAs(BOB, LIMIT);
        vm.assertEq(vault.deposits(), LIMIT);
        exitAs(BOB);
        publish(3, leaves);
        withdrawAs(BOB, leaves[1], leaves.proof(1));
        vm.assertEq(token.balanceOf(BOB), LIMIT);
        vm.assertEq(token.balanceOf(alice), LIMIT);
    }
}
