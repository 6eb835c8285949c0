// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Roster} from "../src/libraries/Roster.sol";
import {Log} from "./Base.sol";
import {Bundles} from "./Bundles.sol";

/// change
/// ├── not quiet: NotQuiet
/// ├── a second after the deadline: BundleExpired
/// ├── signers without a quorum: as {Quorum} refuses
/// ├── delisted
/// │   ├── not listed, or twice: NotListed
/// │   ├── with stake: all of it unbonded, gone from its list, the others keep their order
/// │   └── without stake: the same and nothing unbonded
/// ├── listed
/// │   ├── the zero address: ZeroAddress
/// │   ├── a maximum of zero: ZeroAmount
/// │   ├── a convict: Barred
/// │   ├── more than 32 of a role: ListFull
/// │   ├── an endpoint above 256 bytes: EndpointTooLong
/// │   ├── listed in another role: RoleFixed, unless the same bundle delists it
/// │   ├── anew: at its place, without stake
/// │   └── again: new maximum and endpoint; what is above the maximum is unbonded; a convict too
/// ├── no validator left: NoValidators
/// ├── minTotal not between 1/2 and 2/3 of the listed maximum afterwards: MinTotalOutOfBounds (fuzz)
/// ├── provider bond zero: ZeroAmount
/// ├── rules: whole in an event and their digest kept; none given: as before
/// ├── guardian: replaced at the settlement contract only if asked for, zero too
/// └── otherwise: nonce, a new roster, events in order, the signers by their positions before
/// a refused bundle leaves everything as it was, its nonce too
/// any sequence of bundles: lists, stakes and roster as in a plain model (fuzz)
contract RegistryChangeTest is Bundles {
    uint256 private constant POOL = 12;

    /// @dev What one account of the model is and has; not listed while `most` is 0.
    struct Entry {
        address account;
        IRegistry.Role role;
        uint96 most;
        uint256 stake;
        uint256 waiting;
        string endpoint;
        uint256 order;
    }

    Entry[] private _model;
    uint256 private _order;

    function setUp() public override {
        super.setUp();
        bondAll();
    }

    // When, and by whom

    function test_change_notQuiet() external {
        IRegistry.Changes memory changes = nothing();
        vm.warp(end(1));
        refuse(changes, abi.encodeWithSelector(IRegistry.NotQuiet.selector));
        vm.warp(end(1) + POST_WINDOW);
        refuse(changes, abi.encodeWithSelector(IRegistry.NotQuiet.selector));
        warpToQuiet(1);
        reportEquivocation(0, 1);
        refuse(changes, abi.encodeWithSelector(IRegistry.NotQuiet.selector));
        registry.slash(accounts[0]);
        carry(changes);
    }

    function test_change_deadline() external {
        IRegistry.Changes memory changes = nothing();
        uint256 deadline = START + 100;
        bytes memory signatures = signBundle(changes, deadline, 15);
        vm.warp(deadline + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IRegistry.BundleExpired.selector, deadline, deadline + 1)
        );
        registry.change(changes, deadline, signatures);
        vm.warp(deadline);
        registry.change(changes, deadline, signatures);
    }

    function test_change_quorum() external {
        IRegistry.Changes memory changes = nothing();
        bytes memory signatures = signBundle(changes, ALWAYS, 6);
        vm.expectRevert(
            abi.encodeWithSelector(Quorum.QuorumNotReached.selector, 200 ether, 400 ether)
        );
        registry.change(changes, ALWAYS, signatures);
        vm.expectRevert(abi.encodeWithSelector(Quorum.QuorumNotReached.selector, 0, 400 ether));
        registry.change(changes, ALWAYS, "");
        signatures = signBundle(changes, ALWAYS, 14);
        vm.prank(STRANGER);
        registry.change(changes, ALWAYS, signatures);
        vm.assertEq(registry.bundleNonce(), 1);
    }

    // Delisted

    function test_change_delist_refuses() external {
        refuse(delisting(STRANGER), abi.encodeWithSelector(IRegistry.NotListed.selector, STRANGER));
        IRegistry.Changes memory changes = nothing();
        changes.delisted = new address[](2);
        (changes.delisted[0], changes.delisted[1]) = (resolver, resolver);
        refuse(changes, abi.encodeWithSelector(IRegistry.NotListed.selector, resolver));
        vm.assertEq(registry.bundleNonce(), 0);
        vm.assertEq(registry.listingOf(resolver).endpoint, "r");
    }

    function test_change_delist() external {
        IRegistry.Changes memory changes = delisting(accounts[1]);
        changes.minTotal = 200 ether;
        bytes memory signatures = signBundle(changes, ALWAYS, 7);
        vm.expectEmit(address(registry));
        emit IRegistry.Unbonded(
            accounts[1], IRegistry.Role.Validator, MAX_STAKE, 0, START + UNBOND_DELAY
        );
        vm.expectEmit(address(registry));
        emit IRegistry.Delisted(accounts[1], IRegistry.Role.Validator);
        registry.change(changes, ALWAYS, signatures);

        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotListed.selector, accounts[1]));
        registry.listingOf(accounts[1]);
        vm.assertEq(registry.stakeOf(accounts[1]), 0);
        vm.assertEq(registry.unbondingOf(accounts[1]).amount, MAX_STAKE);
        (address[] memory all, uint256[] memory stakes) = registry.validators();
        vm.assertEq(all.length, 3);
        for (uint256 i; i < 3; ++i) {
            vm.assertEq(all[i], accounts[i == 0 ? 0 : i + 1]);
            vm.assertEq(stakes[i], MAX_STAKE);
        }
        vm.assertEq(registry.totalStake(), 300 ether);
        vm.assertEq(token.balanceOf(address(registry)), 400 ether);

        vm.warp(START + UNBOND_DELAY + POST_WINDOW + 1);
        registry.withdrawStake(accounts[1]);
        vm.assertEq(token.balanceOf(accounts[1]), MAX_STAKE);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NothingToSlash.selector, accounts[1]));
        convict(accounts[1]);
    }

    function test_change_delist_withoutStake() external {
        IRegistry.Changes memory changes = delisting(resolver);
        bytes memory signatures = signBundle(changes, ALWAYS, 15);
        vm.recordLogs();
        registry.change(changes, ALWAYS, signatures);
        expectTopics(
            [
                IRegistry.BundleApplied.selector,
                IRegistry.Delisted.selector,
                IRegistry.ParametersSet.selector,
                bytes32(0)
            ]
        );
        vm.assertEq(registry.listed(IRegistry.Role.Resolver).length, 0);
        vm.assertEq(registry.unbondingOf(resolver).releaseAt, 0);
    }

    /// Others keep their order, and positions in signer bitmaps close up.
    function testFuzz_change_delist_order(uint8 gone) external {
        IRegistry.Changes memory changes = nothing();
        changes.listed = new IRegistry.Listing[](5);
        for (uint256 i; i < 5; ++i) {
            changes.listed[i] = IRegistry.Listing(poolAccount(i), IRegistry.Role.Master, 1, "");
        }
        carry(changes);
        changes = delisting(gone % 6 == 5 ? master : poolAccount(gone % 6));
        carry(changes);
        IRegistry.Member[] memory left = registry.listed(IRegistry.Role.Master);
        vm.assertEq(left.length, 5);
        uint256 place;
        if (gone % 6 != 5) vm.assertEq(left[place++].account, master);
        for (uint256 i; i < 5; ++i) {
            if (i != gone % 6) vm.assertEq(left[place++].account, poolAccount(i));
        }
    }

    // Listed

    function test_change_list_refuses() external {
        IRegistry.Role role = IRegistry.Role.Master;
        refuse(
            listing(address(0), role, 1, ""), abi.encodeWithSelector(IRegistry.ZeroAddress.selector)
        );
        refuse(
            listing(STRANGER, role, 0, ""), abi.encodeWithSelector(IRegistry.ZeroAmount.selector)
        );
        refuse(
            listing(STRANGER, role, 1, string(new bytes(257))),
            abi.encodeWithSelector(IRegistry.EndpointTooLong.selector, 257, 256)
        );
        refuse(
            listing(resolver, role, 1, ""),
            abi.encodeWithSelector(IRegistry.RoleFixed.selector, resolver, IRegistry.Role.Resolver)
        );
        refuse(
            listing(accounts[0], role, 1, ""),
            abi.encodeWithSelector(
                IRegistry.RoleFixed.selector, accounts[0], IRegistry.Role.Validator
            )
        );
        vm.assertEq(registry.bundleNonce(), 0);
        carry(listing(STRANGER, role, 1, string(new bytes(256))));
    }

    function test_change_list_full() external {
        for (uint256 role; role < 3; ++role) {
            IRegistry.Changes memory changes = nothing();
            uint256 free = role == 0 ? 32 - VALIDATORS : 31;
            changes.listed = new IRegistry.Listing[](free + 1);
            for (uint256 i; i <= free; ++i) {
                address account = address(uint160(1000 * (role + 1) + i));
                changes.listed[i] = IRegistry.Listing(account, IRegistry.Role(role), 1, "");
            }
            refuse(
                changes,
                abi.encodeWithSelector(IRegistry.ListFull.selector, IRegistry.Role(role), 32)
            );
            // In place of the one too many, one that is listed already.
            changes.listed[free] = IRegistry.Listing(
                role == 0 ? accounts[0] : role == 1 ? resolver : master,
                IRegistry.Role(role),
                MAX_STAKE,
                "again"
            );
            carry(changes);
            vm.assertEq(registry.listed(IRegistry.Role(role)).length, 32);
        }
    }

    function test_change_list_anew() external {
        address account = address(uint160(accounts[1]) + 1);
        IRegistry.Changes memory changes =
            listing(account, IRegistry.Role.Validator, 5 ether, "new");
        bytes memory signatures = signBundle(changes, ALWAYS, 15);
        vm.expectEmit(address(registry));
        emit IRegistry.Listed(account, IRegistry.Role.Validator, 5 ether, "new");
        registry.change(changes, ALWAYS, signatures);

        (address[] memory all, uint256[] memory stakes) = registry.validators();
        vm.assertEq(all.length, 5);
        vm.assertEq(all[2], account);
        vm.assertEq(stakes[2], 0);
        for (uint256 i; i < VALIDATORS; ++i) {
            vm.assertEq(all[i < 2 ? i : i + 1], accounts[i]);
        }
        IRegistry.Member memory member = registry.listingOf(account);
        vm.assertEq(member.maxStake, 5 ether);
        vm.assertEq(member.endpoint, "new");
        registry.bond(account, 5 ether);
        vm.assertEq(registry.totalStake(), 405 ether);
    }

    function test_change_list_again() external {
        // Raised: what was the most is not any more.
        IRegistry.Changes memory changes =
            listing(accounts[3], IRegistry.Role.Validator, 130 ether, "moved");
        changes.minTotal = 250 ether;
        carry(changes);
        registry.bond(accounts[3], 30 ether);
        vm.assertEq(registry.listingOf(accounts[3]).endpoint, "moved");

        // Lowered to the stake, which is left alone.
        changes.listed[0].maxStake = 130 ether;
        bytes memory signatures = signBundle(changes, ALWAYS, 15);
        vm.recordLogs();
        registry.change(changes, ALWAYS, signatures);
        expectTopics(
            [
                IRegistry.BundleApplied.selector,
                IRegistry.Listed.selector,
                IRegistry.ParametersSet.selector,
                bytes32(0)
            ]
        );

        // Lowered below it.
        changes.listed[0].maxStake = 90 ether;
        changes.minTotal = 240 ether;
        signatures = signBundle(changes, ALWAYS, 15);
        vm.expectEmit(address(registry));
        emit IRegistry.Listed(accounts[3], IRegistry.Role.Validator, 90 ether, "moved");
        vm.expectEmit(address(registry));
        emit IRegistry.Unbonded(
            accounts[3], IRegistry.Role.Validator, 40 ether, 90 ether, START + UNBOND_DELAY
        );
        registry.change(changes, ALWAYS, signatures);
        vm.assertEq(registry.stakeOf(accounts[3]), 90 ether);
        vm.assertEq(registry.unbondingOf(accounts[3]).amount, 40 ether);
        vm.assertEq(registry.totalStake(), 390 ether);
        vm.expectRevert(
            abi.encodeWithSelector(
                IRegistry.AboveMaxStake.selector, accounts[3], 90 ether, 90 ether
            )
        );
        registry.bond(accounts[3], 1);
    }

    function test_change_list_anotherRole() external {
        registry.bond(resolver, 5 ether);
        IRegistry.Changes memory changes =
            listing(resolver, IRegistry.Role.Master, 3 ether, "now a master");
        changes.delisted = new address[](1);
        changes.delisted[0] = resolver;
        carry(changes);
        vm.assertEq(registry.listed(IRegistry.Role.Resolver).length, 0);
        vm.assertEq(registry.listed(IRegistry.Role.Master)[1].account, resolver);
        vm.assertEq(registry.stakeOf(resolver), 0);
        vm.assertEq(registry.unbondingOf(resolver).amount, 5 ether);
        // It never was a validator's.
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NothingToSlash.selector, resolver));
        convict(resolver);
    }

    function test_change_list_convict() external {
        reportEquivocation(2, 1);
        registry.slash(accounts[2]);
        // On the list it may be changed, and still not bond.
        carry(listing(accounts[2], IRegistry.Role.Validator, 90 ether, "convict"));
        bytes memory refusal = abi.encodeWithSelector(IRegistry.Barred.selector, accounts[2]);
        vm.expectRevert(refusal);
        registry.bond(accounts[2], 1);
        IRegistry.Changes memory changes = delisting(accounts[2]);
        changes.minTotal = 200 ether;
        carry(changes);
        changes = listing(accounts[2], IRegistry.Role.Resolver, 1, "");
        changes.minTotal = 200 ether;
        refuse(changes, refusal);
    }

    // Parameters

    function test_change_noValidators() external {
        IRegistry.Changes memory changes = nothing();
        changes.delisted = accounts;
        changes.minTotal = 0;
        refuse(changes, abi.encodeWithSelector(IRegistry.NoValidators.selector));
    }

    function testFuzz_change_minTotal(uint96 least, uint96 most) external {
        most = uint96(bound(most, 1, type(uint96).max));
        uint256 maximum = uint256(most) + 3 * uint256(MAX_STAKE);
        if (least % 8 != 0) {
            least = uint96(bound(least, maximum / 3, maximum < 2 ** 96 ? maximum : 2 ** 96 - 1));
        }
        IRegistry.Changes memory changes = listing(accounts[0], IRegistry.Role.Validator, most, "v");
        changes.minTotal = least;
        if (2 * uint256(least) < maximum || 3 * uint256(least) > 2 * maximum) {
            refuse(
                changes,
                abi.encodeWithSelector(IRegistry.MinTotalOutOfBounds.selector, least, maximum)
            );
            vm.assertEq(registry.minTotal(), MIN_TOTAL);
        } else {
            carry(changes);
            vm.assertEq(registry.minTotal(), least);
        }
    }

    function test_change_providerBond() external {
        IRegistry.Changes memory changes = nothing();
        changes.providerBond = 0;
        refuse(changes, abi.encodeWithSelector(IRegistry.ZeroAmount.selector));
        changes.providerBond = 3;
        bytes memory signatures = signBundle(changes, ALWAYS, 15);
        vm.expectEmit(address(registry));
        emit IRegistry.ParametersSet(MIN_TOTAL, 3);
        registry.change(changes, ALWAYS, signatures);
        vm.assertEq(registry.providerBond(), 3);
    }

    function testFuzz_change_rules(bytes memory rules) external {
        IRegistry.Changes memory changes = nothing();
        changes.rules = rules;
        bytes memory signatures = signBundle(changes, ALWAYS, 15);
        bytes32 expected = rules.length == 0 ? keccak256(RULES) : keccak256(rules);
        vm.recordLogs();
        registry.change(changes, ALWAYS, signatures);
        vm.assertEq(registry.rulesDigest(), expected);
        vm.assertEq(bytes32(Roster.load(registry.roster())[Roster.RULES]), expected);
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, rules.length == 0 ? 2 : 3);
        if (rules.length == 0) return;
        vm.assertEq(logs[2].topics[0], IRegistry.RulesSet.selector);
        vm.assertEq(logs[2].topics[1], expected);
        vm.assertEq(keccak256(logs[2].data), keccak256(abi.encode(rules)));
        // The next bundle keeps them.
        carry(nothing());
        vm.assertEq(registry.rulesDigest(), expected);
    }

    function test_change_guardian() external {
        IRegistry.Changes memory changes = nothing();
        changes.guardian = STRANGER;
        carry(changes);
        vm.assertEq(settlement.guard().guardian, GUARDIAN);
        changes.replaceGuardian = true;
        carry(changes);
        ISettlement.Guard memory guard = settlement.guard();
        vm.assertEq(guard.guardian, STRANGER);
        vm.assertEq(guard.since, START + 7 days);
        changes.guardian = address(0);
        carry(changes);
        vm.assertEq(settlement.guard().guardian, address(0));
    }

    // The whole

    function test_change_events() external {
        IRegistry.Changes memory changes =
            listing(STRANGER, IRegistry.Role.Validator, 1 ether, "new");
        changes.delisted = new address[](1);
        changes.delisted[0] = accounts[0];
        changes.minTotal = 200 ether;
        changes.rules = "{}";
        (changes.replaceGuardian, changes.guardian) = (true, STRANGER);
        // The first of these leaves by it; its bit is that of its place before.
        bytes memory signatures = signBundle(changes, ALWAYS, 13);
        vm.recordLogs();
        registry.change(changes, ALWAYS, signatures);
        Log[] memory logs = vm.getRecordedLogs();
        bytes32[7] memory topics = [
            IRegistry.BundleApplied.selector,
            IRegistry.Unbonded.selector,
            IRegistry.Delisted.selector,
            IRegistry.Listed.selector,
            IRegistry.ParametersSet.selector,
            IRegistry.RulesSet.selector,
            ISettlement.GuardianSet.selector
        ];
        vm.assertEq(logs.length, topics.length);
        for (uint256 i; i < topics.length; ++i) {
            vm.assertEq(logs[i].topics[0], topics[i]);
        }
        vm.assertEq(logs[0].topics[1], bytes32(0));
        vm.assertEq(logs[0].topics[2], keccak256(abi.encode(changes)));
        vm.assertEq(abi.decode(logs[0].data, (uint256)), 13);

        (changes.delisted, changes.listed, changes.rules) =
        (new address[](0), new IRegistry.Listing[](0), "");
        changes.replaceGuardian = false;
        signatures = signBundle(changes, ALWAYS, 14);
        vm.expectEmit(address(registry));
        emit IRegistry.BundleApplied(
            1, keccak256(abi.encode(changes)), positions(accounts[1], accounts[2], accounts[3])
        );
        registry.change(changes, ALWAYS, signatures);
        vm.assertEq(registry.bundleNonce(), 2);
    }

    // Any sequence

    function testFuzz_sequence(uint256[6] memory seeds) external {
        for (uint256 i; i < VALIDATORS; ++i) {
            enter(accounts[i], IRegistry.Role.Validator, MAX_STAKE, "v");
            _model[i].stake = MAX_STAKE;
        }
        enter(resolver, IRegistry.Role.Resolver, 5 ether, "r");
        enter(master, IRegistry.Role.Master, 7 ether, "m");
        for (uint256 i; i < POOL; ++i) {
            _model.push();
            _model[_model.length - 1].account = poolAccount(i);
        }
        for (uint256 i; i < seeds.length; ++i) {
            carry(draft(seeds[i]));
            compare();
            for (uint256 place = VALIDATORS; place < _model.length; ++place) {
                Entry storage it = _model[place];
                if (it.most <= it.stake || uint256(keccak256(abi.encode(seeds[i], place))) % 2 == 0)
                {
                    continue;
                }
                uint256 amount = 1 + seeds[i] % (it.most - it.stake);
                registry.bond(it.account, amount);
                it.stake += amount;
            }
            compare();
        }
    }

    /// @dev Drafts a bundle from a seed, and applies it to the model. The four that sign stay.
    function draft(uint256 seed) private returns (IRegistry.Changes memory changes) {
        changes = nothing();
        changes.delisted = new address[](POOL);
        changes.listed = new IRegistry.Listing[](POOL);
        (uint256 delisted, uint256 listed) = (0, 0);
        for (uint256 i = VALIDATORS; i < _model.length; ++i) {
            Entry storage it = _model[i];
            if (it.most == 0 || uint256(keccak256(abi.encode(seed, "out", i))) % 4 != 0) continue;
            changes.delisted[delisted++] = it.account;
            (it.waiting, it.stake, it.most, it.endpoint) = (it.waiting + it.stake, 0, 0, "");
        }
        for (uint256 i = VALIDATORS; i < _model.length; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(seed, "in", i)));
            if (draw % 3 != 0 || listed == POOL) continue;
            Entry storage it = _model[i];
            uint96 most = uint96(1 + (draw >> 8) % 10 ether);
            string memory endpoint = vm.toString(draw);
            if (it.most == 0) (it.role, it.order) = (IRegistry.Role((draw >> 128) % 3), ++_order);
            (it.most, it.endpoint) = (most, endpoint);
            if (it.stake > most) (it.waiting, it.stake) = (it.waiting + it.stake - most, most);
            changes.listed[listed++] = IRegistry.Listing(it.account, it.role, most, endpoint);
        }
        uint256 maximum;
        for (uint256 i; i < _model.length; ++i) {
            if (_model[i].role == IRegistry.Role.Validator) maximum += _model[i].most;
        }
        changes.minTotal = uint96(bound(seed, (maximum + 1) / 2, 2 * maximum / 3));
        changes.rules = abi.encode(seed);
        IRegistry.Listing[] memory list = changes.listed;
        address[] memory gone = changes.delisted;
        assembly ("memory-safe") {
            mstore(list, listed)
            mstore(gone, delisted)
        }
    }

    function enter(address account, IRegistry.Role role, uint96 most, string memory endpoint)
        private
    {
        _model.push(Entry(account, role, most, 0, 0, endpoint, ++_order));
    }

    function compare() private view {
        IRegistry.Member[][3] memory lists;
        for (uint256 role; role < 3; ++role) {
            lists[role] = registry.listed(IRegistry.Role(role));
        }
        Entry[] memory model = _model;
        uint256[3] memory counts;
        uint256[3] memory stakes;
        uint256 held;
        for (uint256 i; i < model.length; ++i) {
            Entry memory it = model[i];
            held += it.stake + it.waiting;
            vm.assertEq(registry.unbondingOf(it.account).amount, it.waiting);
            vm.assertEq(registry.stakeOf(it.account), it.stake);
            if (it.most == 0) continue;
            uint256 role = uint256(it.role);
            ++counts[role];
            stakes[role] += it.stake;
            IRegistry.Member memory expected =
                IRegistry.Member(it.account, it.role, it.most, uint96(it.stake), it.endpoint);
            vm.assertEq(
                keccak256(abi.encode(lists[role][placeOf(it, model)])),
                keccak256(abi.encode(expected))
            );
        }
        for (uint256 role; role < 3; ++role) {
            vm.assertEq(lists[role].length, counts[role]);
        }
        vm.assertEq(token.balanceOf(address(registry)), held);

        uint256[] memory words = Roster.load(registry.roster());
        vm.assertEq(words.length, Roster.SEATS + counts[0]);
        vm.assertEq(words[Roster.TOTAL], stakes[0]);
        for (uint256 i; i < counts[0]; ++i) {
            IRegistry.Member memory seat = lists[0][i];
            vm.assertEq(words[Roster.SEATS + i], uint256(uint160(seat.account)) << 96 | seat.stake);
        }
    }

    /// @dev How many of its role come before it: validators by address, others by when they joined.
    function placeOf(Entry memory it, Entry[] memory model) private pure returns (uint256 place) {
        for (uint256 i; i < model.length; ++i) {
            Entry memory other = model[i];
            if (other.most == 0 || other.role != it.role) continue;
            bool first = it.role == IRegistry.Role.Validator
                ? other.account < it.account
                : other.order < it.order;
            if (first) ++place;
        }
    }

    // Steps

    function poolAccount(uint256 index) private pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("pool", index)))));
    }

    /// @dev The bitmap of three accounts by the list of now.
    function positions(address a, address b, address c) private view returns (uint256 bitmap) {
        (address[] memory all,) = registry.validators();
        for (uint256 i; i < all.length; ++i) {
            if (all[i] == a || all[i] == b || all[i] == c) bitmap |= 1 << i;
        }
    }

    /// @dev The events recorded, in order; zeros at the end stand for nothing.
    function expectTopics(bytes32[4] memory topics) private {
        Log[] memory logs = vm.getRecordedLogs();
        uint256 count;
        while (count < topics.length && topics[count] != 0) ++count;
        vm.assertEq(logs.length, count);
        for (uint256 i; i < count; ++i) {
            vm.assertEq(logs[i].topics[0], topics[i]);
        }
    }
}
