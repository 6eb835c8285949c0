// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {Lie} from "./Cast.sol";
import {Deposits} from "./Deposits.sol";

/// @dev Moves of the guardian and of those who would like to be one, or more.
abstract contract Guarding is Deposits {
    /// @dev Cancels whatever is pending, a lie or not.
    function cancel(uint256 how) external move {
        // Seldom, so that roots become active at all.
        if (how % 3 != 0) return;
        bool accepted =
            _send(_guard(how), address(settlement), abi.encodeCall(settlement.cancel, ()));
        _note("cancel", accepted, _mayGuard(how) && _isPending());
        if (!accepted) return;
        cancelled = pending;
        bool honest = _load(pending).lie == Lie.Honest;
        ++done[honest ? bytes32("cancel: honest") : bytes32("cancel: a lie")];
        _kill();
    }

    function pause(uint256 how) external move {
        bool accepted =
            _send(_guard(how), address(settlement), abi.encodeCall(settlement.pause, ()));
        _note("pause", accepted, _mayGuard(how) && _now() >= pausableFrom);
        if (!accepted) return;
        pausedUntil = _now() + 72 hours;
        pausableFrom = pausedUntil + 14 days;
    }

    function unpause(uint256 how) external move {
        bool accepted =
            _send(_guard(how), address(settlement), abi.encodeCall(settlement.unpause, ()));
        _note("unpause", accepted, _mayGuard(how) && _isPaused());
        if (accepted) (pausedUntil, pausableFrom) = (0, _now() + 14 days);
    }

    /// @dev Names somebody who takes over at once, or later, or never.
    function handOver(uint256 how, uint256 whom) external move {
        address next = guardians[whom % 3];
        bytes memory data = abi.encodeCall(settlement.nominateGuardian, (next));
        bool accepted = _send(_guard(how), address(settlement), data);
        _note("nominate", accepted, _guard(how) == guardian);
        if (accepted) nominee = next;
        if (how >> 8 & 1 == 0) return;
        address caller = how >> 9 & 3 == 0 ? STRANGER : nominee;
        accepted = _send(caller, address(settlement), abi.encodeCall(settlement.acceptGuard, ()));
        _note("accept", accepted, caller == nominee);
        if (accepted) (guardian, nominee) = (nominee, address(0));
    }

    /// @dev What only the contracts themselves may do, tried by somebody else.
    function usurp(uint256 who, uint256 what) external move {
        address[4] memory callers =
            [STRANGER, guardian == address(0) ? STRANGER : guardian, cast[0].account, TREASURY];
        address caller = callers[who % 4];
        address victim = cast[(who >> 8) % VALIDATORS_IN_ALL].account;
        address target = address(registry);
        bytes memory data;
        what %= 9;
        if (what == 0) data = abi.encodeCall(registry.convict, (victim, caller));
        else if (what == 1) data = abi.encodeCall(registry.convictSigners, (63, caller));
        else target = address(settlement);
        if (what == 2) data = abi.encodeCall(settlement.convict, (caller));
        else if (what == 3) data = abi.encodeCall(settlement.replaceGuardian, (caller));
        else if (what == 4) data = abi.encodeCall(settlement.setRecipient, (victim, caller));
        else if (what == 5) data = abi.encodeCall(settlement.useRoster, (caller));
        else if (what == 6) data = abi.encodeCall(settlement.useFunds, (RATE, RATE));
        if (what > 6) (target, data) = (address(vault), abi.encodeCall(vault.feed, (what - 7)));
        if (what == 4 && victim == caller) return;
        _note("usurp", _send(caller, target, data), false);
    }

    function _guard(uint256 how) private view returns (address) {
        return how >> 4 & 3 == 0 || guardian == address(0) ? STRANGER : guardian;
    }

    function _mayGuard(uint256 how) private view returns (bool) {
        return _guard(how) == guardian && _now() >= guardSince;
    }
}
