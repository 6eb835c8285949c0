// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Registry} from "../../src/Registry.sol";
import {RewardToken} from "../../src/RewardToken.sol";
import {Settlement} from "../../src/Settlement.sol";
import {Vault} from "../../src/Vault.sol";
import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {Base} from "../Base.sol";
import {Handler} from "./Handler.sol";

/// @dev As the fuzzer reads it.
struct Selectors {
    address target;
    bytes4[] selectors;
}

/// @dev What must hold after any calls in any order. The handler's ghosts are reckoned independently.
contract InvariantsTest is Base {
    struct Snapshot {
        uint256 lastPosted;
        uint256 activeEpoch;
        uint256 through;
        uint256 totalEarned;
        uint256 funded;
        uint256 fed;
        uint256 stake;
    }

    Handler private handler;
    RewardToken private token;
    Registry private registry;
    Vault private vault;
    Settlement private settlement;
    Snapshot private seen;
    mapping(address account => uint256) private claimedSeen;
    mapping(address account => uint256) private epochSeen;

    function setUp() external {
        handler = new Handler();
        (address token_, address registry_, address vault_, address settlement_) =
            handler.contracts();
        token = RewardToken(token_);
        registry = Registry(registry_);
        vault = Vault(vault_);
        settlement = Settlement(settlement_);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev `setUp` of the network is not a move.
    function excludeSelectors() external view returns (Selectors[] memory excluded) {
        excluded = new Selectors[](1);
        excluded[0].target = address(handler);
        excluded[0].selectors = new bytes4[](1);
        excluded[0].selectors[0] = Handler.setUp.selector;
    }

    /// The moves reach what the invariants speak of: roots, claims, refusals, bonds that come and go.
    function test_reach() external {
        for (uint256 i; i < 400; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            move(seed % 13, seed >> 8);
        }
        vm.assertGe(handler.roots(), 20, "roots");
        vm.assertGe(handler.refusals(), 20, "refusals");
        vm.assertGe(handler.shortPots(), 1, "claims above the pot");
        vm.assertGe(handler.returned(), 1, "bonds returned");
        vm.assertGe(handler.paid(), 100 ether, "paid");
        vm.assertGe(settlement.activeRecord().epoch, settlement.activeRecord().through, "epochs");
    }

    /// claimed <= fed <= earned <= funded, to the unit.
    function invariant_solvency() external view {
        uint256 claimed;
        for (uint256 i; i < handler.peopleCount(); ++i) {
            address person = handler.people(i);
            vm.assertEq(settlement.claimedOf(person), handler.paidOf(person), "claimed");
            claimed += settlement.claimedOf(person);
        }
        vm.assertEq(claimed, handler.paid(), "sum of claims");
        vm.assertEq(settlement.pot() + claimed, vault.fed(), "pot and claims are what was fed");
        vm.assertLe(vault.fed(), settlement.activeRecord().totalEarned, "fed within earned");
        vm.assertLe(settlement.activeRecord().totalEarned, vault.funded(), "earned within funds");
        vm.assertLe(handler.postedEarned(), vault.funded(), "pending within funds");
        vm.assertEq(vault.funded(), handler.funded(), "funded");
    }

    /// Every token is where the counters say, and there are as many as ever.
    function invariant_conservation() external view {
        vm.assertEq(
            token.balanceOf(address(vault)),
            vault.funded() - vault.fed() + handler.donatedToVault(),
            "vault"
        );
        vm.assertEq(
            token.balanceOf(address(settlement)),
            settlement.pot() + handler.donatedToSettlement(),
            "settlement"
        );
        vm.assertEq(
            token.balanceOf(address(registry)), handler.staked() + handler.bonds(), "registry"
        );
        vm.assertEq(token.totalSupply(), 1_000_000_000 ether, "supply");
    }

    /// Nothing stored ever falls.
    function invariant_monotonicity() external {
        ISettlement.RootRecord memory active = settlement.activeRecord();
        Snapshot memory current = Snapshot(
            settlement.lastPostedEpoch(),
            active.epoch,
            active.through,
            active.totalEarned,
            vault.funded(),
            vault.fed(),
            registry.totalStake()
        );
        vm.assertGe(current.lastPosted, seen.lastPosted, "last posted epoch");
        vm.assertGe(current.activeEpoch, seen.activeEpoch, "active epoch");
        vm.assertGe(current.through, seen.through, "through");
        vm.assertGe(current.totalEarned, seen.totalEarned, "earned");
        vm.assertGe(current.funded, seen.funded, "funded");
        vm.assertGe(current.fed, seen.fed, "fed");
        vm.assertGe(current.stake, seen.stake, "stake");
        seen = current;
        for (uint256 i; i < handler.peopleCount(); ++i) {
            address person = handler.people(i);
            (, uint256 epoch) = settlement.reputationOf(person);
            vm.assertGe(settlement.claimedOf(person), claimedSeen[person], "claimed");
            vm.assertGe(epoch, epochSeen[person], "epoch of the reputation");
            vm.assertLe(epoch, current.activeEpoch, "reputation from an active root");
            claimedSeen[person] = settlement.claimedOf(person);
            epochSeen[person] = epoch;
        }
    }

    /// At most one root is pending, above the active one, and the budget covers what was earned.
    function invariant_roots() external view {
        ISettlement.RootRecord memory active = settlement.activeRecord();
        ISettlement.RootRecord memory pending = settlement.pendingRecord();
        vm.assertLe(active.through, active.epoch, "covers only what has ended");
        vm.assertLe(active.totalEarned, vault.rate() * active.through, "within the budgets so far");
        if (pending.root != 0) {
            vm.assertTrue(pending.epoch > active.epoch, "pending above active");
            vm.assertFalse(settlement.isQuiet());
            vm.assertEq(settlement.lastPostedEpoch(), pending.epoch, "last posted");
        } else {
            vm.assertEq(settlement.lastPostedEpoch(), active.epoch, "last posted");
        }
        vm.assertEq(active.totalSpent, 0, "nothing can be spent yet");
        vm.assertEq(registry.totalStake(), handler.staked(), "stake");
    }

    function move(uint256 which, uint256 seed) private {
        if (which == 0) handler.pass(seed);
        else if (which == 1) handler.fund(seed);
        else if (which == 2) handler.donate(seed, seed & 1 == 0);
        else if (which == 3) handler.bond(seed, seed >> 4);
        else if (which == 4) handler.register(seed);
        else if (which == 5) handler.depart(seed);
        else if (which == 6) handler.setRecipient(seed, seed >> 4);
        else if (which == 7) handler.postWithoutQuorum(seed);
        else if (which == 8) handler.activate();
        else if (which == 9) handler.claim(seed);
        else if (which == 10) handler.claimMany();
        else if (which == 11) handler.push(seed);
        else handler.post([seed, ~seed, seed / 3, seed / 5, seed / 7], seed / 9, seed & 1 == 0);
    }
}
