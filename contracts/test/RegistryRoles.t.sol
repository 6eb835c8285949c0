// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roster} from "../src/libraries/Roster.sol";
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
/// └── otherwise: validators by ascending address however they are given (fuzz), the others as given, an
///     event for each, one for the parameters, one with the rules whole, and a roster without stake
/// setEndpoint
/// ├── caller not listed: NotListed
/// ├── above 256 bytes: EndpointTooLong
/// └── otherwise: stored, event
/// draw
/// ├── no stake: zero
/// └── otherwise: the n-th with stake, by ascending address (fuzz)
/// roster
/// └── rules, minTotal, total and a seat for each validator (fuzz); an old one never changes
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
        vm.assertEq(registry.totalStake(), 0);
        vm.assertEq(registry.providerBond(), PROVIDER_BOND);
        vm.assertEq(registry.bondDelay(), BOND_DELAY);
        vm.assertEq(registry.unbondDelay(), UNBOND_DELAY);
        vm.assertEq(registry.bundleNonce(), 0);
        vm.assertEq(registry.unslashed(), 0);
        vm.assertEq(address(registry.token()), address(token));
        vm.assertEq(address(registry.settlement()), address(settlement));
    }

    function testFuzz_constructor_sorts(uint160[12] memory given) external {
        IRegistry.Listing[] memory list = new IRegistry.Listing[](24);
        uint256 count;
        for (uint256 i; i < 12; ++i) {
            if (given[i] == 0 || contains(list, count, address(given[i]))) continue;
            list[count++] =
                IRegistry.Listing(address(given[i]), IRegistry.Role.Validator, uint96(1 + i), "");
            // Close to it, so that one more or less decides about the order.
            address next = address(given[i] ^ 1);
            if (next == address(0) || contains(list, count, next)) continue;
            list[count++] = IRegistry.Listing(next, IRegistry.Role.Master, 1, "");
        }
        vm.assume(count != 0);
        assembly ("memory-safe") {
            mstore(list, count)
        }
        IRegistry.Config memory config = registryConfig(STRANGER);
        (config.minTotal, count) = (0, 0);
        for (uint256 i; i < list.length; ++i) {
            if (list[i].role == IRegistry.Role.Master) continue;
            config.minTotal += list[i].maxStake;
            ++count;
        }
        vm.assume(config.minTotal > 1);
        config.minTotal = (config.minTotal + 1) / 2;
        IRegistry sorted = newRegistry(config, list, RULES);

        IRegistry.Member[] memory members = sorted.listed(IRegistry.Role.Validator);
        (address[] memory all,) = sorted.validators();
        vm.assertEq(members.length, count);
        vm.assertEq(all.length, count);
        for (uint256 i; i < count; ++i) {
            if (i > 0) vm.assertTrue(all[i] > all[i - 1]);
            vm.assertEq(members[i].account, all[i]);
            vm.assertTrue(contains(list, list.length, all[i]));
        }
        // The other roles stand as they were given.
        members = sorted.listed(IRegistry.Role.Master);
        uint256 place;
        for (uint256 i; i < list.length; ++i) {
            if (list[i].role == IRegistry.Role.Validator) continue;
            vm.assertEq(members[place++].account, list[i].account);
        }
        vm.assertEq(members.length, place);
    }

    function test_constructor_events() external {
        vm.recordLogs();
        newRegistry(registryConfig(STRANGER), listings(), RULES);
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, VALIDATORS + 4);
        Log memory entry = logs[VALIDATORS + 1];
        vm.assertEq(entry.topics[0], IRegistry.Listed.selector);
        vm.assertEq(entry.topics[1], bytes32(uint256(uint160(master))));
        vm.assertEq(uint256(entry.topics[2]), uint256(IRegistry.Role.Master));
        vm.assertEq(keccak256(entry.data), keccak256(abi.encode(uint256(7 ether), "m")));
        entry = logs[VALIDATORS + 2];
        vm.assertEq(entry.topics[0], IRegistry.ParametersSet.selector);
        vm.assertEq(keccak256(entry.data), keccak256(abi.encode(MIN_TOTAL, PROVIDER_BOND)));
        entry = logs[VALIDATORS + 3];
        vm.assertEq(entry.topics[0], IRegistry.RulesSet.selector);
        vm.assertEq(entry.topics[1], keccak256(RULES));
        vm.assertEq(keccak256(entry.data), keccak256(abi.encode(RULES)));
    }

    function test_constructor_zeroAddress() external {
        IRegistry.Config memory config = registryConfig(address(0));
        vm.expectRevert(IRegistry.ZeroAddress.selector);
        newRegistry(config, listings(), RULES);
        config = registryConfig(STRANGER);
        config.token = address(0);
        vm.expectRevert(IRegistry.ZeroAddress.selector);
        newRegistry(config, listings(), RULES);
        refused(0, address(0), 1, IRegistry.ZeroAddress.selector);
    }

    function test_constructor_zeroAmount() external {
        IRegistry.Config memory config = registryConfig(STRANGER);
        config.providerBond = 0;
        vm.expectRevert(IRegistry.ZeroAmount.selector);
        newRegistry(config, listings(), RULES);
        refused(VALIDATORS, resolver, 0, IRegistry.ZeroAmount.selector);
    }

    function test_constructor_noRules() external {
        vm.expectRevert(IRegistry.NoRules.selector);
        newRegistry(registryConfig(STRANGER), listings(), "");
    }

    function test_constructor_alreadyListed() external {
        IRegistry.Listing[] memory list = listings();
        list[VALIDATORS].account = accounts[1];
        vm.expectRevert(abi.encodeWithSelector(IRegistry.AlreadyListed.selector, accounts[1]));
        newRegistry(registryConfig(STRANGER), list, RULES);
        list = listings();
        list[2].account = accounts[1];
        vm.expectRevert(abi.encodeWithSelector(IRegistry.AlreadyListed.selector, accounts[1]));
        newRegistry(registryConfig(STRANGER), list, RULES);
    }

    function test_constructor_listFull() external {
        IRegistry.Config memory config = registryConfig(STRANGER);
        config.minTotal = 20;
        newRegistry(config, many(32), RULES);
        vm.expectRevert(
            abi.encodeWithSelector(IRegistry.ListFull.selector, IRegistry.Role.Validator, 32)
        );
        newRegistry(config, many(33), RULES);
    }

    function test_constructor_endpointTooLong() external {
        IRegistry.Listing[] memory list = listings();
        list[0].endpoint = string(new bytes(256));
        newRegistry(registryConfig(STRANGER), list, RULES);
        list[0].endpoint = string(new bytes(257));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.EndpointTooLong.selector, 257, 256));
        newRegistry(registryConfig(STRANGER), list, RULES);
    }

    function test_constructor_noValidators() external {
        IRegistry.Listing[] memory list = new IRegistry.Listing[](1);
        list[0] = IRegistry.Listing(master, IRegistry.Role.Master, 7 ether, "m");
        IRegistry.Config memory config = registryConfig(STRANGER);
        config.minTotal = 0;
        vm.expectRevert(IRegistry.NoValidators.selector);
        newRegistry(config, list, RULES);
    }

    function testFuzz_constructor_minTotal(uint96 least, uint96 most) external {
        most = uint96(bound(most, 1, type(uint96).max));
        // Mostly close to the bounds.
        if (least % 8 != 0) {
            least = uint96(bound(least, uint256(most) / 3, most));
        }
        IRegistry.Listing[] memory list = new IRegistry.Listing[](2);
        list[0] = IRegistry.Listing(accounts[0], IRegistry.Role.Validator, most, "");
        list[1] = IRegistry.Listing(master, IRegistry.Role.Master, 7 ether, "");
        IRegistry.Config memory config = registryConfig(STRANGER);
        config.minTotal = least;
        bool fits = 2 * uint256(least) >= most && 3 * uint256(least) <= 2 * uint256(most);
        if (!fits) {
            vm.expectRevert(
                abi.encodeWithSelector(IRegistry.MinTotalOutOfBounds.selector, least, most)
            );
        }
        newRegistry(config, list, RULES);
    }

    /// Both bounds are allowed themselves.
    function test_constructor_minTotalAtTheEdges() external {
        IRegistry.Config memory config = registryConfig(STRANGER);
        IRegistry.Listing[] memory list = many(6);
        for (uint96 least = 2; least <= 5; ++least) {
            config.minTotal = least;
            if (least == 2 || least == 5) {
                vm.expectRevert(
                    abi.encodeWithSelector(IRegistry.MinTotalOutOfBounds.selector, least, 6)
                );
            }
            newRegistry(config, list, RULES);
        }
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

    function testFuzz_roster(uint96[4] memory stakes) external {
        uint256[] memory expected = new uint256[](3 + VALIDATORS);
        expected[0] = uint256(keccak256(RULES));
        expected[1] = MIN_TOTAL;
        for (uint256 i; i < VALIDATORS; ++i) {
            expected[3 + i] = uint256(uint160(accounts[i])) << 96;
        }
        vm.assertEq(
            keccak256(abi.encode(Roster.load(registry.roster()))), keccak256(abi.encode(expected))
        );

        for (uint256 i; i < VALIDATORS; ++i) {
            uint256 stake = bound(stakes[i], 1, MAX_STAKE);
            address old = registry.roster();
            bytes32 code = keccak256(old.code);
            registry.bond(accounts[i], stake);
            expected[2] += stake;
            expected[3 + i] += stake;
            vm.assertEq(
                keccak256(abi.encode(Roster.load(registry.roster()))),
                keccak256(abi.encode(expected))
            );
            vm.assertTrue(registry.roster() != old);
            vm.assertEq(keccak256(old.code), code);
        }
        vm.assertEq(registry.totalStake(), expected[2]);
        // Who does not count for a quorum is not in it.
        address last = registry.roster();
        registry.bond(master, 1);
        vm.assertEq(registry.roster(), last);
    }

    function test_listingOf_notListed() external {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotListed.selector, STRANGER));
        registry.listingOf(STRANGER);
        vm.assertEq(registry.stakeOf(STRANGER), 0);
    }

    function many(uint256 count) private pure returns (IRegistry.Listing[] memory list) {
        list = new IRegistry.Listing[](count);
        for (uint256 i; i < count; ++i) {
            address account = address(uint160(1000 + i));
            list[i] = IRegistry.Listing(account, IRegistry.Role.Validator, 1, "");
        }
    }

    function contains(IRegistry.Listing[] memory list, uint256 count, address account)
        private
        pure
        returns (bool)
    {
        for (uint256 i; i < count; ++i) {
            if (list[i].account == account) return true;
        }
        return false;
    }

    function refused(uint256 index, address account, uint96 most, bytes4 selector) private {
        IRegistry.Listing[] memory list = listings();
        list[index].account = account;
        list[index].maxStake = most;
        vm.expectRevert(selector);
        newRegistry(registryConfig(STRANGER), list, RULES);
    }
}

/// @dev As many validators as there may be.
contract RegistryFullListTest is Network {
    function validatorCount() internal pure override returns (uint256) {
        return 32;
    }

    function maxStake(uint256) internal pure override returns (uint96) {
        return 1;
    }

    function minTotal() internal pure override returns (uint96) {
        return 20;
    }

    function test_draw_fullList() external {
        bondAll();
        for (uint256 i; i < 64; ++i) {
            vm.assertEq(registry.draw(i), accounts[i % 32]);
        }
    }
}
