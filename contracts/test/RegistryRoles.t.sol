// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Registry} from "../src/Registry.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Log} from "./Base.sol";
import {Network} from "./Network.sol";

/// constructor
/// ├── token, settlement or a listed account zero: ZeroAddress
/// ├── provider bond or a maximum stake zero: ZeroAmount
/// ├── rules empty: NoRules
/// ├── an account listed twice, in whatever roles: AlreadyListed
/// ├── more than 32 of a role: ListFull
/// ├── an endpoint above 256 bytes: EndpointTooLong
/// ├── no validator: NoValidators
/// ├── minTotal below 1/2 or above 2/3 of the listed maximum: MinTotalOutOfBounds (fuzz)
/// └── otherwise: lists as given, an event for each, the rules whole in an event and their digest kept
/// bond
/// ├── not listed: NotListed
/// ├── amount zero: ZeroAmount
/// ├── not quiet: NotQuiet
/// ├── above the listed maximum: AboveMaxStake
/// └── otherwise: stake and, for a validator only, the total grow; from anyone's tokens (fuzz)
/// setEndpoint
/// ├── caller not listed: NotListed
/// ├── above 256 bytes: EndpointTooLong
/// └── otherwise: stored, event
/// weigh
/// ├── a stranger, another role or a validator without stake: NotAValidator
/// └── otherwise: bitmap, signed and total (fuzz)
/// draw
/// ├── no stake: zero
/// └── otherwise: the n-th with stake, in listing order (fuzz)
/// listingOf
/// └── not listed: NotListed
contract RegistryRolesTest is Network {
    function test_constructor_lists() external view {
        (address[] memory all, uint256[] memory stakes) = registry.validators();
        vm.assertEq(all.length, VALIDATORS);
        for (uint256 i; i < VALIDATORS; ++i) {
            vm.assertEq(all[i], accounts[i]);
            vm.assertEq(stakes[i], 0);
        }
        IRegistry.Member[] memory masters = registry.listed(IRegistry.Role.Master);
        vm.assertEq(masters.length, 1);
        vm.assertEq(masters[0].account, master);
        vm.assertEq(masters[0].maxStake, 7 ether);
        vm.assertEq(masters[0].endpoint, "m");
        IRegistry.Member memory member = registry.listingOf(resolver);
        vm.assertTrue(member.role == IRegistry.Role.Resolver);
        vm.assertEq(member.maxStake, 5 ether);
        vm.assertEq(registry.listed(IRegistry.Role.Validator).length, VALIDATORS);
        vm.assertEq(registry.rulesDigest(), keccak256(RULES));
        vm.assertEq(registry.minTotal(), MIN_TOTAL);
        vm.assertEq(registry.providerBond(), PROVIDER_BOND);
        vm.assertEq(registry.bondDelay(), BOND_DELAY);
        vm.assertEq(address(registry.token()), address(token));
        vm.assertEq(address(registry.settlement()), address(settlement));
    }

    function test_constructor_events() external {
        vm.recordLogs();
        new Registry(registryConfig(STRANGER), listings(), RULES);
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, VALIDATORS + 3);
        Log memory entry = logs[VALIDATORS + 1];
        vm.assertEq(entry.topics[0], IRegistry.Listed.selector);
        vm.assertEq(entry.topics[1], bytes32(uint256(uint160(master))));
        vm.assertEq(uint256(entry.topics[2]), uint256(IRegistry.Role.Master));
        vm.assertEq(keccak256(entry.data), keccak256(abi.encode(uint256(7 ether), "m")));
        entry = logs[VALIDATORS + 2];
        vm.assertEq(entry.topics[0], IRegistry.RulesSet.selector);
        vm.assertEq(entry.topics[1], keccak256(RULES));
        vm.assertEq(keccak256(entry.data), keccak256(abi.encode(RULES)));
    }

    function test_constructor_zeroAddress() external {
        IRegistry.Config memory config = registryConfig(address(0));
        vm.expectRevert(IRegistry.ZeroAddress.selector);
        new Registry(config, listings(), RULES);
        config = registryConfig(STRANGER);
        config.token = address(0);
        vm.expectRevert(IRegistry.ZeroAddress.selector);
        new Registry(config, listings(), RULES);
        refused(0, address(0), 1, IRegistry.ZeroAddress.selector);
    }

    function test_constructor_zeroAmount() external {
        IRegistry.Config memory config = registryConfig(STRANGER);
        config.providerBond = 0;
        vm.expectRevert(IRegistry.ZeroAmount.selector);
        new Registry(config, listings(), RULES);
        refused(VALIDATORS, resolver, 0, IRegistry.ZeroAmount.selector);
    }

    function test_constructor_noRules() external {
        vm.expectRevert(IRegistry.NoRules.selector);
        new Registry(registryConfig(STRANGER), listings(), "");
    }

    function test_constructor_alreadyListed() external {
        IRegistry.Listing[] memory list = listings();
        list[VALIDATORS].account = accounts[1];
        vm.expectRevert(abi.encodeWithSelector(IRegistry.AlreadyListed.selector, accounts[1]));
        new Registry(registryConfig(STRANGER), list, RULES);
    }

    function test_constructor_listFull() external {
        IRegistry.Config memory config = registryConfig(STRANGER);
        config.minTotal = 20;
        new Registry(config, many(32), RULES);
        vm.expectRevert(
            abi.encodeWithSelector(IRegistry.ListFull.selector, IRegistry.Role.Validator, 32)
        );
        new Registry(config, many(33), RULES);
    }

    function test_constructor_endpointTooLong() external {
        IRegistry.Listing[] memory list = listings();
        list[0].endpoint = string(new bytes(256));
        new Registry(registryConfig(STRANGER), list, RULES);
        list[0].endpoint = string(new bytes(257));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.EndpointTooLong.selector, 257, 256));
        new Registry(registryConfig(STRANGER), list, RULES);
    }

    function test_constructor_noValidators() external {
        IRegistry.Listing[] memory list = new IRegistry.Listing[](1);
        list[0] = IRegistry.Listing(master, IRegistry.Role.Master, 7 ether, "m");
        IRegistry.Config memory config = registryConfig(STRANGER);
        config.minTotal = 0;
        vm.expectRevert(IRegistry.NoValidators.selector);
        new Registry(config, list, RULES);
    }

    function testFuzz_constructor_minTotal(uint96 minTotal, uint96 maxStake) external {
        maxStake = uint96(bound(maxStake, 1, type(uint96).max));
        // Mostly close to the bounds.
        if (minTotal % 8 != 0) {
            minTotal = uint96(bound(minTotal, uint256(maxStake) / 3, maxStake));
        }
        IRegistry.Listing[] memory list = new IRegistry.Listing[](2);
        list[0] = IRegistry.Listing(accounts[0], IRegistry.Role.Validator, maxStake, "");
        list[1] = IRegistry.Listing(master, IRegistry.Role.Master, 7 ether, "");
        IRegistry.Config memory config = registryConfig(STRANGER);
        config.minTotal = minTotal;
        bool fits =
            2 * uint256(minTotal) >= maxStake && 3 * uint256(minTotal) <= 2 * uint256(maxStake);
        if (!fits) {
            vm.expectRevert(
                abi.encodeWithSelector(IRegistry.MinTotalOutOfBounds.selector, minTotal, maxStake)
            );
        }
        new Registry(config, list, RULES);
    }

    /// Both bounds are allowed themselves.
    function test_constructor_minTotalAtTheEdges() external {
        IRegistry.Config memory config = registryConfig(STRANGER);
        IRegistry.Listing[] memory list = many(6);
        for (uint96 minTotal = 2; minTotal <= 5; ++minTotal) {
            config.minTotal = minTotal;
            if (minTotal == 2 || minTotal == 5) {
                vm.expectRevert(
                    abi.encodeWithSelector(IRegistry.MinTotalOutOfBounds.selector, minTotal, 6)
                );
            }
            new Registry(config, list, RULES);
        }
    }

    function test_bond_refuses() external {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotListed.selector, STRANGER));
        registry.bond(STRANGER, 1);
        vm.expectRevert(IRegistry.ZeroAmount.selector);
        registry.bond(accounts[0], 0);
    }

    function test_bond_notQuiet() external {
        vm.warp(end(1));
        vm.expectRevert(IRegistry.NotQuiet.selector);
        registry.bond(accounts[0], 1);
        vm.warp(end(1) - 1);
        registry.bond(accounts[0], 1);
    }

    function testFuzz_bond(uint256 first, uint256 second, uint8 who) external {
        (address account, uint256 maxStake) = pick(who);
        first = bound(first, 1, maxStake);
        second = bound(second, 1, type(uint128).max);
        bool validator = who % 3 == 0;
        token.transfer(STRANGER, first);
        vm.prank(STRANGER);
        token.approve(address(registry), first);
        vm.prank(STRANGER);
        registry.bond(account, first);
        vm.assertEq(registry.totalStake(), validator ? first : 0);

        if (second > maxStake - first) {
            vm.expectRevert(
                abi.encodeWithSelector(IRegistry.AboveMaxStake.selector, account, first, maxStake)
            );
            registry.bond(account, second);
            second = 0;
        } else {
            vm.expectEmit(address(registry));
            emit IRegistry.Bonded(account, registry.listingOf(account).role, second, first + second);
            registry.bond(account, second);
        }
        vm.assertEq(registry.stakeOf(account), first + second);
        vm.assertEq(registry.totalStake(), validator ? first + second : 0);
        vm.assertEq(token.balanceOf(address(registry)), first + second);
    }

    function test_setEndpoint() external {
        vm.prank(master);
        vm.expectEmit(address(registry));
        emit IRegistry.EndpointSet(master, "10.0.0.1:99");
        registry.setEndpoint("10.0.0.1:99");
        vm.assertEq(registry.listingOf(master).endpoint, "10.0.0.1:99");

        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotListed.selector, STRANGER));
        vm.prank(STRANGER);
        registry.setEndpoint("x");
        string memory long = string(new bytes(257));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.EndpointTooLong.selector, 257, 256));
        vm.prank(master);
        registry.setEndpoint(long);
    }

    function test_weigh_refuses() external {
        registry.bond(accounts[0], 1);
        registry.bond(master, 1);
        address[] memory signers = new address[](2);
        signers[0] = accounts[0];
        address[3] memory wrong = [accounts[1], master, STRANGER];
        for (uint256 i; i < 3; ++i) {
            signers[1] = wrong[i];
            vm.expectRevert(abi.encodeWithSelector(IRegistry.NotAValidator.selector, wrong[i]));
            registry.weigh(signers);
        }
    }

    function testFuzz_weigh(uint256[4] memory stakes, uint8 subset) external {
        uint256 sum;
        uint256 expected;
        uint256 count;
        address[] memory signers = new address[](VALIDATORS);
        for (uint256 i; i < VALIDATORS; ++i) {
            stakes[i] = bound(stakes[i], 1, MAX_STAKE);
            registry.bond(accounts[i], stakes[i]);
            sum += stakes[i];
            if (subset >> i & 1 == 0) continue;
            expected += stakes[i];
            signers[count++] = accounts[i];
        }
        assembly ("memory-safe") {
            mstore(signers, count)
        }
        (uint256 bitmap, uint256 signed, uint256 total) = registry.weigh(signers);
        vm.assertEq(bitmap, subset & 15);
        vm.assertEq(signed, expected);
        vm.assertEq(total, sum);
        vm.assertEq(registry.totalStake(), sum);
    }

    function testFuzz_draw(uint256 seed, uint8 staked) external {
        vm.assertEq(registry.draw(seed), address(0));
        registry.bond(master, 1);
        address[] memory bonded = new address[](VALIDATORS);
        uint256 count;
        for (uint256 i; i < VALIDATORS; ++i) {
            if (staked >> i & 1 == 0) continue;
            registry.bond(accounts[i], 1);
            bonded[count++] = accounts[i];
        }
        address expected = count == 0 ? address(0) : bonded[seed % count];
        vm.assertEq(registry.draw(seed), expected);
    }

    function test_draw_fullList() external {
        IRegistry.Config memory config = registryConfig(address(settlement));
        config.minTotal = 20;
        Registry full = new Registry(config, many(32), RULES);
        token.approve(address(full), 32);
        IRegistry.Listing[] memory list = many(32);
        for (uint256 i; i < 32; ++i) {
            full.bond(list[i].account, 1);
        }
        for (uint256 i; i < 64; ++i) {
            vm.assertEq(full.draw(i), list[i % 32].account);
        }
    }

    function test_listingOf_notListed() external {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotListed.selector, STRANGER));
        registry.listingOf(STRANGER);
        vm.assertEq(registry.stakeOf(STRANGER), 0);
    }

    function pick(uint8 who) private view returns (address account, uint256 maxStake) {
        if (who % 3 == 0) return (accounts[0], MAX_STAKE);
        if (who % 3 == 1) return (resolver, 5 ether);
        return (master, 7 ether);
    }

    function many(uint256 count) private pure returns (IRegistry.Listing[] memory list) {
        list = new IRegistry.Listing[](count);
        for (uint256 i; i < count; ++i) {
            address account = address(uint160(1000 + i));
            list[i] = IRegistry.Listing(account, IRegistry.Role.Validator, 1, "");
        }
    }

    function refused(uint256 index, address account, uint96 maxStake, bytes4 selector) private {
        IRegistry.Listing[] memory list = listings();
        list[index].account = account;
        list[index].maxStake = maxStake;
        vm.expectRevert(selector);
        new Registry(registryConfig(STRANGER), list, RULES);
    }
}
