// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RewardToken} from "../src/RewardToken.sol";
import {Vault} from "../src/Vault.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Network} from "./Network.sol";

/// constructor
/// ├── token or settlement zero: ZeroAddress
/// ├── rate zero: ZeroAmount
/// └── otherwise: getters as configured, nothing funded
/// fund
/// ├── amount zero: ZeroAmount
/// ├── lifetime sum at or above 2^96: FundedTooHigh
/// ├── no allowance: refused by the token, nothing counted
/// └── otherwise: counted, moved, event (fuzz)
/// feed
/// ├── not the settlement contract: NotSettlement
/// ├── above funded less fed: InsufficientFunds
/// ├── tokens sent without fund: not available
/// └── otherwise: counted, moved, event (fuzz)
contract VaultTest is Network {
    function test_constructor() external {
        Vault fresh = new Vault(IVault.Config(address(token), STRANGER, 7));
        vm.assertEq(address(fresh.token()), address(token));
        vm.assertEq(address(fresh.settlement()), STRANGER);
        vm.assertEq(fresh.rate(), 7);
        vm.assertEq(fresh.funded(), 0);
        vm.assertEq(fresh.fed(), 0);
    }

    function test_constructor_refuses() external {
        vm.expectRevert(IVault.ZeroAddress.selector);
        new Vault(IVault.Config(address(0), STRANGER, 7));
        vm.expectRevert(IVault.ZeroAddress.selector);
        new Vault(IVault.Config(address(token), address(0), 7));
        vm.expectRevert(IVault.ZeroAmount.selector);
        new Vault(IVault.Config(address(token), STRANGER, 0));
    }

    function test_fund_zero() external {
        vm.expectRevert(IVault.ZeroAmount.selector);
        vault.fund(0);
    }

    function test_fund_tooHigh() external {
        uint256 limit = type(uint96).max;
        vault.fund(3);
        vm.expectRevert(abi.encodeWithSelector(IVault.FundedTooHigh.selector, 3, limit));
        vault.fund(limit - 2);
        vm.expectRevert(abi.encodeWithSelector(IVault.FundedTooHigh.selector, 3, limit));
        vault.fund(type(uint256).max);
    }

    function test_fund_upToTheLimit() external {
        uint256 limit = type(uint96).max;
        RewardToken vast = new RewardToken("Vast", "VST", limit + 1);
        Vault fresh = new Vault(IVault.Config(address(vast), STRANGER, 7));
        vast.approve(address(fresh), limit + 1);
        fresh.fund(limit);
        vm.assertEq(fresh.funded(), limit);
        vm.expectRevert(abi.encodeWithSelector(IVault.FundedTooHigh.selector, limit, limit));
        fresh.fund(1);
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

    function testFuzz_feed(uint256 funds, uint256 first, uint256 second) external {
        funds = bound(funds, 1, SUPPLY);
        first = bound(first, 0, funds);
        second = bound(second, 0, SUPPLY);
        vault.fund(funds);
        vm.prank(address(settlement));
        vault.feed(first);
        vm.assertEq(token.balanceOf(address(settlement)), first);

        vm.prank(address(settlement));
        if (second > funds - first) {
            vm.expectRevert(
                abi.encodeWithSelector(IVault.InsufficientFunds.selector, second, funds - first)
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
    }
}
