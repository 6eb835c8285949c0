// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Bundles} from "./Bundles.sol";

/// bond
/// ├── not listed: NotListed
/// ├── a convict, slashed or not: Barred
/// ├── amount zero: ZeroAmount
/// ├── not quiet: NotQuiet
/// ├── above the listed maximum: AboveMaxStake
/// └── otherwise: stake and, for a validator only, the total grow; from anyone's tokens (fuzz)
/// unbond
/// ├── not listed: NotListed
/// ├── caller neither the account nor its recipient: NotOwner, also the account's bonder
/// ├── amount zero: ZeroAmount
/// ├── not quiet: NotQuiet
/// ├── above the stake: BelowStake
/// └── otherwise: counts no longer, and all that waits waits anew (fuzz)
/// withdrawStake
/// ├── nothing waits, or no longer: NothingUnbonding
/// ├── too early: StakeLocked
/// ├── not quiet, as while any convict is to be slashed: NotQuiet
/// └── otherwise: paid to the recipient, by anyone
/// convict
/// ├── caller not the judge: NotConvictor
/// ├── a convict already: AlreadyConvicted
/// ├── no stake of a validator, bonded or unbonding: NothingToSlash
/// └── otherwise: barred, no quiet
/// convictSigners
/// ├── caller not the settlement contract: NotConvictor
/// └── otherwise: those of the bitmap, by position; a convict stays what it is (fuzz)
/// slash
/// ├── never convicted: NotConvicted
/// ├── slashed already: AlreadySlashed
/// ├── nothing left: slashed all the same, for nothing
/// └── otherwise: everything, 10 % rounded down to the reporter, the rest to the dead address (fuzz)
/// collect
/// ├── no share, or collected: NothingToCollect
/// └── otherwise: all shares together, once
contract RegistryStakeTest is Bundles {
    /// @dev Whole days later it is quiet too.
    uint256 private constant NOW = START + POST_WINDOW + 1;
    address private constant COLD = address(0xC01D);
    address private constant OTHER_REPORTER = address(0x07E4);

    function setUp() public override {
        super.setUp();
        vm.warp(NOW);
    }

    // bond

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

    function test_bond_barred() external {
        registry.bond(accounts[0], 1);
        convict(accounts[0]);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.Barred.selector, accounts[0]));
        registry.bond(accounts[0], 1);
        registry.slash(accounts[0]);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.Barred.selector, accounts[0]));
        registry.bond(accounts[0], 1);
        registry.bond(accounts[1], 1);
    }

    function testFuzz_bond(uint256 first, uint256 second, uint8 who) external {
        (address account, uint256 most) = pick(who);
        first = bound(first, 1, most);
        second = bound(second, 1, type(uint128).max);
        bool validator = who % 3 == 0;
        token.transfer(STRANGER, first);
        vm.prank(STRANGER);
        token.approve(address(registry), first);
        vm.prank(STRANGER);
        registry.bond(account, first);
        vm.assertEq(registry.totalStake(), validator ? first : 0);

        if (second > most - first) {
            vm.expectRevert(
                abi.encodeWithSelector(IRegistry.AboveMaxStake.selector, account, first, most)
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

    // unbond

    function test_unbond_refuses() external {
        address account = accounts[0];
        registry.bond(account, 5);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotListed.selector, STRANGER));
        vm.prank(STRANGER);
        registry.unbond(STRANGER, 1);
        // Who paid for the stake has no say over it.
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotOwner.selector, account, address(this)));
        registry.unbond(account, 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ZeroAmount.selector));
        unbond(account, 0);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.BelowStake.selector, account, 6, 5));
        unbond(account, 6);
        uint256 huge = type(uint256).max;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.BelowStake.selector, account, huge, 5));
        unbond(account, huge);
        vm.warp(end(1));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotQuiet.selector));
        unbond(account, 1);
        vm.warp(end(1) - 1);
        unbond(account, 5);
        vm.assertEq(registry.stakeOf(account), 0);
    }

    /// The recipient may, and the account still may, which is a hot key that gets nothing by it.
    function test_unbond_byRecipient() external {
        address account = accounts[0];
        registry.bond(account, 5);
        vm.prank(account);
        settlement.setRecipient(account, COLD);
        vm.prank(COLD);
        registry.unbond(account, 2);
        unbond(account, 3);
        vm.warp(NOW + UNBOND_DELAY);
        registry.withdrawStake(account);
        vm.assertEq(token.balanceOf(COLD), 5);
    }

    function testFuzz_unbond(uint8 who, uint256 stake, uint256 first, uint256 second, uint32 later)
        external
    {
        (address account, uint256 most) = pick(who);
        stake = bound(stake, 2, most);
        first = bound(first, 1, stake - 1);
        second = bound(second, 1, stake - first);
        bool validator = who % 3 == 0;
        registry.bond(account, stake);
        IRegistry.Role role = registry.listingOf(account).role;

        vm.expectEmit(address(registry));
        emit IRegistry.Unbonded(account, role, first, stake - first, NOW + UNBOND_DELAY);
        unbond(account, first);
        vm.assertEq(registry.stakeOf(account), stake - first);
        vm.assertEq(registry.totalStake(), validator ? stake - first : 0);

        // What waits already starts anew, for it is one sum with one time.
        uint256 time = NOW + bound(later, 0, end(1) - NOW - 1);
        vm.warp(time);
        unbond(account, second);
        IRegistry.Unbonding memory waiting = registry.unbondingOf(account);
        vm.assertEq(waiting.amount, first + second);
        vm.assertEq(waiting.releaseAt, time + UNBOND_DELAY);
        vm.assertEq(registry.stakeOf(account), stake - first - second);
        vm.assertEq(registry.totalStake(), validator ? stake - first - second : 0);
        vm.assertEq(token.balanceOf(address(registry)), stake);
    }

    // withdrawStake

    function test_withdrawStake() external {
        address account = accounts[0];
        registry.bond(account, 5);
        expectNothingUnbonding(account);
        vm.prank(account);
        settlement.setRecipient(account, COLD);
        unbond(account, 4);
        vm.warp(NOW + UNBOND_DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.StakeLocked.selector, NOW + UNBOND_DELAY));
        registry.withdrawStake(account);

        vm.warp(NOW + UNBOND_DELAY);
        vm.expectEmit(address(registry));
        emit IRegistry.StakeWithdrawn(account, COLD, 4);
        vm.prank(STRANGER);
        registry.withdrawStake(account);
        vm.assertEq(token.balanceOf(COLD), 4);
        vm.assertEq(token.balanceOf(address(registry)), 1);
        vm.assertEq(registry.unbondingOf(account).amount, 0);
        vm.assertEq(registry.unbondingOf(account).releaseAt, 0);
        expectNothingUnbonding(account);
        expectNothingUnbonding(STRANGER);
    }

    function test_withdrawStake_notQuiet() external {
        registry.bond(accounts[0], 5);
        registry.bond(accounts[1], 5);
        unbond(accounts[0], 5);
        unbond(accounts[1], 5);
        vm.warp(end(40));
        vm.expectRevert(IRegistry.NotQuiet.selector);
        registry.withdrawStake(accounts[0]);
        warpToQuiet(40);
        convict(accounts[1]);
        // Neither the convict, nor anybody else before it is slashed.
        for (uint256 i; i < 2; ++i) {
            vm.expectRevert(IRegistry.NotQuiet.selector);
            registry.withdrawStake(accounts[i]);
        }
        registry.slash(accounts[1]);
        registry.withdrawStake(accounts[0]);
        expectNothingUnbonding(accounts[1]);
        vm.assertEq(token.balanceOf(accounts[0]), 5);
        vm.assertEq(token.balanceOf(accounts[1]), 0);
    }

    // convict

    function test_convict() external {
        address account = accounts[0];
        registry.bond(account, 5);
        address[3] memory callers = [address(this), address(settlement), account];
        for (uint256 i; i < callers.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IRegistry.NotConvictor.selector, callers[i]));
            vm.prank(callers[i]);
            registry.convict(account, REPORTER);
        }
        vm.assertEq(registry.convictionOf(account).reporter, address(0));

        vm.expectEmit(address(registry));
        emit IRegistry.Convicted(account, REPORTER);
        convict(account);
        IRegistry.Conviction memory conviction = registry.convictionOf(account);
        vm.assertEq(conviction.reporter, REPORTER);
        vm.assertFalse(conviction.slashed);
        vm.assertEq(registry.unslashed(), 1);
        vm.assertFalse(settlement.isQuiet());

        bytes memory refusal = abi.encodeWithSelector(IRegistry.AlreadyConvicted.selector, account);
        vm.expectRevert(refusal);
        convict(account);
        registry.slash(account);
        vm.assertTrue(settlement.isQuiet());
        vm.expectRevert(refusal);
        convict(account);
    }

    function test_convict_nothingToSlash() external {
        // A validator without stake, a stranger, and stake in other roles.
        expectNothingToSlash(accounts[0]);
        expectNothingToSlash(STRANGER);
        registry.bond(master, 5);
        expectNothingToSlash(master);
        unbond(master, 2);
        expectNothingToSlash(master);
        // Once all is withdrawn there is nothing to punish with.
        registry.bond(accounts[0], 5);
        unbond(accounts[0], 5);
        vm.warp(NOW + UNBOND_DELAY);
        registry.withdrawStake(accounts[0]);
        expectNothingToSlash(accounts[0]);
        registry.bond(accounts[0], 1);
        convict(accounts[0]);
    }

    /// Unbonding stake alone is enough.
    function test_convict_unbonding() external {
        registry.bond(accounts[0], 5);
        unbond(accounts[0], 5);
        convict(accounts[0]);
        registry.slash(accounts[0]);
        vm.assertEq(token.balanceOf(DEAD), 5);
    }

    // convictSigners

    function test_convictSigners_refuses() external {
        address[3] memory callers = [address(this), address(judge), accounts[0]];
        for (uint256 i; i < callers.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IRegistry.NotConvictor.selector, callers[i]));
            vm.prank(callers[i]);
            registry.convictSigners(1, REPORTER);
        }
    }

    function testFuzz_convictSigners(uint8 before, uint8 signers) external {
        bondAll();
        for (uint256 i; i < VALIDATORS; ++i) {
            if (before >> i & 1 == 0) continue;
            convict(accounts[i]);
            if (before >> (4 + i) & 1 == 1) registry.slash(accounts[i]);
        }
        vm.prank(address(settlement));
        registry.convictSigners(signers & 15, OTHER_REPORTER);

        uint256 left;
        for (uint256 i; i < VALIDATORS; ++i) {
            bool earlier = before >> i & 1 == 1;
            bool signed = signers >> i & 1 == 1;
            IRegistry.Conviction memory conviction = registry.convictionOf(accounts[i]);
            address reporter = earlier ? REPORTER : signed ? OTHER_REPORTER : address(0);
            vm.assertEq(conviction.reporter, reporter);
            vm.assertEq(conviction.slashed, earlier && before >> (4 + i) & 1 == 1);
            if (reporter != address(0) && !conviction.slashed) ++left;
        }
        vm.assertEq(registry.unslashed(), left);
    }

    // slash

    function test_slash_refuses() external {
        registry.bond(accounts[0], 5);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotConvicted.selector, accounts[0]));
        registry.slash(accounts[0]);
        convict(accounts[0]);
        registry.slash(accounts[0]);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.AlreadySlashed.selector, accounts[0]));
        registry.slash(accounts[0]);
        vm.assertEq(registry.unslashed(), 0);
    }

    /// Cannot come about by a posted root; if it did, quiet would still come back.
    function test_slash_nothingLeft() external {
        vm.prank(address(settlement));
        registry.convictSigners(1, REPORTER);
        vm.assertFalse(settlement.isQuiet());
        vm.expectEmit(address(registry));
        emit IRegistry.Slashed(accounts[0], REPORTER, 0, 0);
        registry.slash(accounts[0]);
        vm.assertTrue(settlement.isQuiet());
        vm.assertTrue(registry.convictionOf(accounts[0]).slashed);
    }

    function testFuzz_slash(uint256 stake, uint256 leaving, address caller) external {
        vm.assume(caller != address(0));
        address account = accounts[1];
        stake = bound(stake, 1, MAX_STAKE);
        leaving = bound(leaving, 0, stake);
        registry.bond(account, stake);
        registry.bond(accounts[2], 7);
        if (leaving != 0) unbond(account, leaving);
        convict(account);

        vm.expectEmit(address(registry));
        emit IRegistry.Slashed(account, REPORTER, stake, stake / 10);
        vm.prank(caller);
        registry.slash(account);
        vm.assertEq(registry.stakeOf(account), 0);
        vm.assertEq(registry.unbondingOf(account).amount, 0);
        vm.assertEq(registry.totalStake(), 7);
        vm.assertEq(registry.shareOf(REPORTER), stake / 10);
        vm.assertEq(token.balanceOf(DEAD), stake - stake / 10);
        vm.assertEq(token.balanceOf(address(registry)), 7 + stake / 10);
        vm.assertTrue(registry.convictionOf(account).slashed);
        // Still listed, at its place, with nothing.
        (address[] memory all, uint256[] memory stakes) = registry.validators();
        vm.assertEq(all[1], account);
        vm.assertEq(stakes[1], 0);
    }

    // collect

    function test_collect() external {
        registry.bond(accounts[0], 100);
        registry.bond(accounts[1], 50);
        convict(accounts[0]);
        convict(accounts[1]);
        bytes memory refusal = abi.encodeWithSelector(IRegistry.NothingToCollect.selector, REPORTER);
        vm.expectRevert(refusal);
        vm.prank(REPORTER);
        registry.collect();
        registry.slash(accounts[0]);
        registry.slash(accounts[1]);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NothingToCollect.selector, address(this)));
        registry.collect();

        vm.expectEmit(address(registry));
        emit IRegistry.ShareCollected(REPORTER, 15);
        vm.prank(REPORTER);
        registry.collect();
        vm.assertEq(token.balanceOf(REPORTER), 15);
        vm.assertEq(token.balanceOf(address(registry)), 0);
        vm.expectRevert(refusal);
        vm.prank(REPORTER);
        registry.collect();
    }

    // Steps

    function pick(uint8 who) private view returns (address account, uint256 most) {
        if (who % 3 == 0) return (accounts[0], MAX_STAKE);
        if (who % 3 == 1) return (resolver, 5 ether);
        return (master, 7 ether);
    }

    function expectNothingUnbonding(address account) private {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NothingUnbonding.selector, account));
        registry.withdrawStake(account);
    }

    function expectNothingToSlash(address account) private {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NothingToSlash.selector, account));
        convict(account);
    }
}
