// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RewardToken} from "../src/RewardToken.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Network} from "./Network.sol";

/// constructor
/// ├── token or settlement zero: ZeroAddress
/// ├── rate or least deposit zero: ZeroAmount
/// └── otherwise: getters as configured, nothing funded, fed or deposited
/// fund
/// ├── amount zero: ZeroAmount
/// ├── funds and deposits together at or above 2^96: FundedTooHigh
/// ├── no allowance: refused by the token, nothing counted
/// └── otherwise: counted, moved, event (fuzz)
/// feed
/// ├── not the settlement contract: NotSettlement
/// ├── above funded and deposits less fed: InsufficientFunds
/// ├── tokens sent without fund or deposit: not available
/// └── otherwise: counted, moved, event (fuzz)
/// limits
/// └── rate, funded and deposits (fuzz)
contract VaultTest is Network {
    uint256 private constant LIMIT = type(uint96).max;

    function config(address token_, address settlement_, uint96 rate, uint96 minDeposit)
        private
        pure
        returns (IVault.Config memory)
    {
        return IVault.Config(token_, settlement_, rate, minDeposit, 11);
    }

    /// @dev A vault in a network of its own, for whose token the caller has everything.
    function vast(uint256 supply) private returns (IVault fresh) {
        RewardToken many = newRewardToken("Vast", "VST", supply);
        ISettlement.Config memory all = settlementConfig();
        (all.token, all.tokenCodeHash) = (address(many), address(many).codehash);
        address next = predictedSettlement(3);
        IRegistry.Config memory lists = registryConfig(next);
        lists.token = address(many);
        all.registry = address(newRegistry(lists, listings(), RULES));
        fresh = newVault(IVault.Config(address(many), next, 7, 1, EXIT_DELAY));
        all.vault = address(fresh);
        all.judge = address(newJudge(next));
        newSettlement(all);
        many.approve(address(fresh), supply);
    }

    function test_constructor() external {
        IVault fresh = newVault(config(address(token), STRANGER, 7, 9));
        vm.assertEq(address(fresh.token()), address(token));
        vm.assertEq(address(fresh.settlement()), STRANGER);
        vm.assertEq(fresh.rate(), 7);
        vm.assertEq(fresh.minDeposit(), 9);
        vm.assertEq(fresh.exitDelay(), 11);
        vm.assertEq(fresh.funded(), 0);
        vm.assertEq(fresh.deposits(), 0);
        vm.assertEq(fresh.fed(), 0);
    }

    /// @dev A call of its own, as a deployment that fails right in a test ends the test.
    function deploy(IVault.Config calldata config_) external returns (IVault) {
        return newVault(config_);
    }

    function test_constructor_refuses() external {
        vm.expectRevert(IVault.ZeroAddress.selector);
        this.deploy(config(address(0), STRANGER, 7, 9));
        vm.expectRevert(IVault.ZeroAddress.selector);
        this.deploy(config(address(token), address(0), 7, 9));
        vm.expectRevert(IVault.ZeroAmount.selector);
        this.deploy(config(address(token), STRANGER, 0, 9));
        vm.expectRevert(IVault.ZeroAmount.selector);
        this.deploy(config(address(token), STRANGER, 7, 0));
        this.deploy(config(address(token), STRANGER, 7, 9));
    }

    function test_fund_zero() external {
        vm.expectRevert(IVault.ZeroAmount.selector);
        vault.fund(0);
    }

    function test_fund_tooHigh() external {
        vault.fund(3);
        vm.expectRevert(abi.encodeWithSelector(IVault.FundedTooHigh.selector, 3, LIMIT));
        vault.fund(LIMIT - 2);
        vm.expectRevert(abi.encodeWithSelector(IVault.FundedTooHigh.selector, 3, LIMIT));
        vault.fund(type(uint256).max);
    }

    function test_fund_upToTheLimit() external {
        IVault fresh = vast(LIMIT + 1);
        fresh.fund(LIMIT);
        vm.assertEq(fresh.funded(), LIMIT);
        expectCopies(fresh.settlement(), LIMIT, 0);
        vm.expectRevert(abi.encodeWithSelector(IVault.FundedTooHigh.selector, LIMIT, LIMIT));
        fresh.fund(1);
    }

    function test_fund_tooHighWithDeposits() external {
        IVault fresh = vast(LIMIT + 1);
        fresh.deposit(10);
        vm.expectRevert(abi.encodeWithSelector(IVault.FundedTooHigh.selector, 0, LIMIT - 10));
        fresh.fund(LIMIT - 9);
        fresh.fund(LIMIT - 10);
        vm.assertEq(fresh.funded(), LIMIT - 10);
        expectCopies(fresh.settlement(), LIMIT - 10, 10);
    }

    function test_fund_withoutAllowance() external {
        token.transfer(STRANGER, 5);
        vm.prank(STRANGER);
        vm.expectRevert();
        vault.fund(5);
        vm.assertEq(vault.funded(), 0);
    }

    function testFuzz_fund(uint256 first, uint256 second) external {
        first = bound(first, 1, SUPPLY - 1);
        second = bound(second, 1, SUPPLY - first);
        vault.fund(first);
        vm.expectEmit(address(vault));
        emit IVault.Funded(address(this), second, first + second);
        vault.fund(second);
        vm.assertEq(vault.funded(), first + second);
        vm.assertEq(vault.deposits(), 0);
        vm.assertEq(token.balanceOf(address(vault)), first + second);
        vm.assertEq(token.balanceOf(address(this)), SUPPLY - first - second);
    }

    function test_feed_onlySettlement() external {
        vault.fund(5);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotSettlement.selector, address(this)));
        vault.feed(1);
    }

    function test_feed_donationsDoNotCount() external {
        vault.fund(5);
        token.transfer(address(vault), 100);
        vm.prank(address(settlement));
        vm.expectRevert(abi.encodeWithSelector(IVault.InsufficientFunds.selector, 6, 5));
        vault.feed(6);
    }

    function test_feed_toTheLast() external {
        vault.fund(5);
        vault.deposit(MIN_DEPOSIT);
        vm.prank(address(settlement));
        vault.feed(MIN_DEPOSIT + 5);
        vm.assertEq(token.balanceOf(address(vault)), 0);
        vm.prank(address(settlement));
        vm.expectRevert(abi.encodeWithSelector(IVault.InsufficientFunds.selector, 1, 0));
        vault.feed(1);
    }

    function testFuzz_feed(uint256 funds, uint256 deposited, uint256 first, uint256 second)
        external
    {
        funds = bound(funds, 1, SUPPLY / 2);
        deposited = bound(deposited, MIN_DEPOSIT, SUPPLY / 2);
        uint256 all = funds + deposited;
        first = bound(first, 0, all);
        second = bound(second, 0, SUPPLY);
        vault.fund(funds);
        vault.deposit(deposited);
        vm.prank(address(settlement));
        vault.feed(first);
        vm.assertEq(token.balanceOf(address(settlement)), first);

        vm.prank(address(settlement));
        if (second > all - first) {
            vm.expectRevert(
                abi.encodeWithSelector(IVault.InsufficientFunds.selector, second, all - first)
            );
            vault.feed(second);
        } else {
            vm.expectEmit(address(vault));
            emit IVault.Fed(second, first + second);
            vault.feed(second);
            vm.assertEq(vault.fed(), first + second);
            vm.assertEq(token.balanceOf(address(settlement)), first + second);
        }
        vm.assertEq(vault.funded(), funds);
        vm.assertEq(vault.deposits(), deposited);
    }

    function testFuzz_limits(uint256 funds, uint256 deposited) external {
        funds = bound(funds, 1, SUPPLY / 2);
        deposited = bound(deposited, MIN_DEPOSIT, SUPPLY / 2);
        vault.fund(funds);
        vault.deposit(deposited);
        (uint256 rate, uint256 funded, uint256 deposits) = vault.limits();
        vm.assertEq(rate, RATE);
        vm.assertEq(funded, funds);
        vm.assertEq(deposits, deposited);
    }
}
