// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roster} from "../src/libraries/Roster.sol";
import {Bundles} from "./Bundles.sol";

/// any sequence of bond, unbond, withdrawStake, convict, convictSigners, slash and collect:
/// roster, bars, quiet, tokens and refusals are those of a plain model (fuzz)
contract RegistryModelTest is Bundles {
    address private constant OTHER_REPORTER = address(0x07E4);

    /// @dev What one account of the model has.
    struct Account {
        address account;
        uint256 most;
        uint256 stake;
        uint256 waiting;
        uint256 releaseAt;
        address reporter;
        bool slashed;
    }

    Account[] private _model;
    uint256 private _unslashed;
    uint256 private _burned;
    mapping(address reporter => uint256) private _shares;

    function testFuzz_sequence(uint256[24] memory steps) external {
        for (uint256 i; i < VALIDATORS; ++i) {
            _model.push(Account(accounts[i], MAX_STAKE, 0, 0, 0, address(0), false));
        }
        _model.push(Account(master, 7 ether, 0, 0, 0, address(0), false));
        uint256 day = 1;
        for (uint256 i; i < steps.length; ++i) {
            if (steps[i] >> 8 & 3 == 0) day += steps[i] >> 10 & 15;
            warpToQuiet(day);
            Account storage it = _model[(steps[i] >> 16) % 5];
            uint256 kind = (steps[i] >> 24) % 8;
            if (kind < 2) modelBond(it, steps[i] >> 32);
            else if (kind < 4) modelUnbond(it, steps[i] >> 32);
            else if (kind == 4) modelWithdraw(it);
            else if (kind == 5) modelConvict(it, steps[i] >> 32 & 3);
            else if (kind == 6) modelSlash(it);
            else modelCollect(steps[i] >> 32 & 1 == 0 ? REPORTER : OTHER_REPORTER);
            compare();
        }
    }

    function modelBond(Account storage it, uint256 amount) private {
        amount = amount % 8 == 0 ? amount % 2 : bound(amount >> 8, 1, it.most / 2);
        bytes memory refusal;
        if (it.reporter != address(0)) {
            refusal = abi.encodeWithSelector(IRegistry.Barred.selector, it.account);
        } else if (amount == 0) {
            refusal = abi.encodeWithSelector(IRegistry.ZeroAmount.selector);
        } else if (_unslashed != 0) {
            refusal = abi.encodeWithSelector(IRegistry.NotQuiet.selector);
        } else if (it.stake + amount > it.most) {
            refusal = abi.encodeWithSelector(
                IRegistry.AboveMaxStake.selector, it.account, it.stake, it.most
            );
        } else {
            it.stake += amount;
        }
        if (refusal.length != 0) vm.expectRevert(refusal);
        registry.bond(it.account, amount);
    }

    function modelUnbond(Account storage it, uint256 amount) private {
        amount = amount % 4 == 0 ? it.stake : amount >> 8 & type(uint64).max;
        bytes memory refusal;
        if (amount == 0) {
            refusal = abi.encodeWithSelector(IRegistry.ZeroAmount.selector);
        } else if (_unslashed != 0) {
            refusal = abi.encodeWithSelector(IRegistry.NotQuiet.selector);
        } else if (amount > it.stake) {
            refusal =
                abi.encodeWithSelector(IRegistry.BelowStake.selector, it.account, amount, it.stake);
        } else {
            it.stake -= amount;
            it.waiting += amount;
            it.releaseAt = vm.getBlockTimestamp() + UNBOND_DELAY;
        }
        if (refusal.length != 0) vm.expectRevert(refusal);
        unbond(it.account, amount);
    }

    function modelWithdraw(Account storage it) private {
        if (it.waiting == 0) {
            vm.expectRevert(abi.encodeWithSelector(IRegistry.NothingUnbonding.selector, it.account));
        } else if (vm.getBlockTimestamp() < it.releaseAt) {
            vm.expectRevert(abi.encodeWithSelector(IRegistry.StakeLocked.selector, it.releaseAt));
        } else if (_unslashed != 0) {
            vm.expectRevert(IRegistry.NotQuiet.selector);
        } else {
            (it.waiting, it.releaseAt) = (0, 0);
        }
        registry.withdrawStake(it.account);
    }

    /// @dev One of them alone, or the signers of a root.
    function modelConvict(Account storage it, uint256 how) private {
        if (how == 0) {
            vm.prank(address(settlement));
            registry.convictSigners(10, OTHER_REPORTER);
            modelConvicted(_model[1], OTHER_REPORTER);
            modelConvicted(_model[3], OTHER_REPORTER);
            return;
        }
        if (it.reporter != address(0)) {
            vm.expectRevert(abi.encodeWithSelector(IRegistry.AlreadyConvicted.selector, it.account));
        } else if (it.account == master || it.stake + it.waiting == 0) {
            vm.expectRevert(abi.encodeWithSelector(IRegistry.NothingToSlash.selector, it.account));
        } else {
            modelConvicted(it, REPORTER);
        }
        convict(it.account);
    }

    function modelConvicted(Account storage it, address reporter) private {
        if (it.reporter != address(0)) return;
        it.reporter = reporter;
        ++_unslashed;
    }

    function modelSlash(Account storage it) private {
        if (it.reporter == address(0)) {
            vm.expectRevert(abi.encodeWithSelector(IRegistry.NotConvicted.selector, it.account));
        } else if (it.slashed) {
            vm.expectRevert(abi.encodeWithSelector(IRegistry.AlreadySlashed.selector, it.account));
        } else {
            uint256 taken = it.stake + it.waiting;
            _shares[it.reporter] += taken / 10;
            _burned += taken - taken / 10;
            (it.stake, it.waiting, it.releaseAt, it.slashed) = (0, 0, 0, true);
            --_unslashed;
        }
        registry.slash(it.account);
    }

    function modelCollect(address reporter) private {
        uint256 balance = token.balanceOf(reporter);
        uint256 share = _shares[reporter];
        if (share == 0) {
            vm.expectRevert(abi.encodeWithSelector(IRegistry.NothingToCollect.selector, reporter));
        }
        vm.prank(reporter);
        registry.collect();
        vm.assertEq(token.balanceOf(reporter), balance + share);
        _shares[reporter] = 0;
    }

    function compare() private view {
        uint256[] memory words = Roster.load(registry.roster());
        uint256 total;
        uint256 held = _shares[REPORTER] + _shares[OTHER_REPORTER];
        for (uint256 i; i < _model.length; ++i) {
            Account storage it = _model[i];
            IRegistry.Unbonding memory waiting = registry.unbondingOf(it.account);
            IRegistry.Conviction memory conviction = registry.convictionOf(it.account);
            vm.assertEq(registry.stakeOf(it.account), it.stake);
            vm.assertEq(waiting.amount, it.waiting);
            vm.assertEq(waiting.releaseAt, it.releaseAt);
            vm.assertEq(conviction.reporter, it.reporter);
            vm.assertEq(conviction.slashed, it.slashed);
            held += it.stake + it.waiting;
            if (it.account == master) continue;
            total += it.stake;
            vm.assertEq(words[Roster.SEATS + i], uint256(uint160(it.account)) << 96 | it.stake);
        }
        vm.assertEq(words[Roster.TOTAL], total);
        vm.assertEq(registry.unslashed(), _unslashed);
        vm.assertEq(settlement.isQuiet(), _unslashed == 0);
        vm.assertEq(registry.shareOf(REPORTER), _shares[REPORTER]);
        vm.assertEq(registry.shareOf(OTHER_REPORTER), _shares[OTHER_REPORTER]);
        vm.assertEq(token.balanceOf(address(registry)), held);
        vm.assertEq(token.balanceOf(DEAD), _burned);
    }
}
