// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {Cast, Staker} from "./Cast.sol";

/// @dev Moves of those who are listed: bond, unbond, withdraw, and bundles that change the lists.
abstract contract Staking is Cast {
    function bond(uint256 who, uint256 amount) external move {
        Staker storage staker = cast[who % cast.length];
        uint256 room = staker.most - staker.bonded;
        amount = who % 3 == 0 ? room : bound(amount, 0, room + 1);
        bool may = staker.listed && staker.convictor == address(0) && amount != 0 && amount <= room;
        bytes memory data = abi.encodeCall(registry.bond, (staker.account, amount));
        bool accepted = _send(address(this), address(registry), data);
        _note("bond", accepted, may && _isQuiet());
        if (accepted) staker.bonded += amount;
    }

    /// @dev Mostly a little, so that there is a quorum most of the time.
    function unbond(uint256 who, uint256 amount, uint256 how) external move {
        Staker storage staker = cast[who % cast.length];
        uint256 most = how % 4 == 0 ? staker.bonded + 1 : staker.bonded / 8;
        amount = bound(amount, 0, most);
        address caller = how % 16 == 1 ? STRANGER : staker.account;
        bool may = staker.listed && caller != STRANGER && amount != 0 && amount <= staker.bonded;
        bytes memory data = abi.encodeCall(registry.unbond, (staker.account, amount));
        bool accepted = _send(caller, address(registry), data);
        _note("unbond", accepted, may && _isQuiet());
        if (accepted) _leave(staker, amount);
    }

    function withdrawStake(uint256 who) external move {
        Staker storage staker = cast[who % cast.length];
        uint256 amount = staker.leaving;
        bool may = amount != 0 && _now() >= staker.releaseAt && _isQuiet();
        uint256 before = token.balanceOf(staker.account);
        bytes memory data = abi.encodeCall(registry.withdrawStake, (staker.account));
        bool accepted = _send(STRANGER, address(registry), data);
        _note("withdrawStake", accepted, may);
        if (!accepted) return;
        staker.leaving = 0;
        require(token.balanceOf(staker.account) == before + amount, "stake paid");
    }

    /// @dev A bundle that lists one, delists one or gives one a new maximum, signed by all or by some.
    function change(uint256 who, uint256 how, uint256 signers) external move {
        IRegistry.Changes memory changes = _changes(who % VALIDATORS_IN_ALL, how);
        uint256 bitmap = (how % 5 == 0 ? signers : type(uint256).max) & _bonded();
        bytes memory data = abi.encodeCall(
            registry.change, (changes, _now(), _signatures(_digest(changes), bitmap))
        );
        bool accepted = _send(STRANGER, address(registry), data);
        _note("change", accepted, _isQuiet() && _hasQuorum(bitmap));
        if (accepted) _book(who % VALIDATORS_IN_ALL, changes);
    }

    function _bonded() internal view returns (uint256 bitmap) {
        for (uint256 i; i < VALIDATORS_IN_ALL; ++i) {
            if (cast[i].bonded != 0) bitmap |= 1 << i;
        }
    }

    function _leave(Staker storage staker, uint256 amount) internal {
        staker.bonded -= amount;
        staker.leaving += amount;
        staker.releaseAt = uint96(_now() + UNBOND_DELAY);
    }

    /// @dev Always possible if signed by enough. A convict can only be delisted or lose its maximum.
    function _changes(uint256 who, uint256 how)
        private
        view
        returns (IRegistry.Changes memory changes)
    {
        Staker storage staker = cast[who];
        (uint256 listedMaximum, uint256 others) = (0, 0);
        for (uint256 i; i < VALIDATORS_IN_ALL; ++i) {
            if (!cast[i].listed || i == who) continue;
            listedMaximum += cast[i].most;
            ++others;
        }
        bool barred = staker.convictor != address(0);
        bool leaves = staker.listed && others != 0 && (barred || how >> 8 & 3 == 0);
        if (leaves) {
            changes.delisted = new address[](1);
            changes.delisted[0] = staker.account;
        } else if (staker.listed || !barred) {
            uint256 most = staker.honest ? 300 ether : 50 ether * bound(how >> 16, 1, 4);
            if (how >> 20 & 3 == 0) most = 50 ether;
            changes.listed = new IRegistry.Listing[](1);
            changes.listed[0] =
                IRegistry.Listing(staker.account, IRegistry.Role.Validator, uint96(most), "again");
            listedMaximum += most;
        } else {
            listedMaximum += staker.listed ? staker.most : 0;
        }
        // Mostly as low as may be, so that there is a quorum for the next change too.
        uint256 least = (listedMaximum + 1) / 2;
        changes.minTotal =
            uint96(how >> 24 & 3 != 0 ? least : bound(how >> 32, least, 2 * listedMaximum / 3));
        changes.providerBond = uint96(1 ether * bound(how >> 64, 1, 20));
        if (how >> 72 & 7 == 0) changes.rules = abi.encode("rules", how);
        changes.replaceGuardian = how >> 76 & 3 == 0;
        if (changes.replaceGuardian && how >> 80 & 7 != 0) {
            changes.guardian = guardians[(how >> 84) % 3];
        }
    }

    function _book(uint256 who, IRegistry.Changes memory changes) private {
        Staker storage staker = cast[who];
        if (changes.delisted.length != 0) {
            if (staker.bonded != 0) _leave(staker, staker.bonded);
            (staker.listed, staker.most) = (false, 0);
            ++done["delisted"];
        } else if (changes.listed.length != 0) {
            if (!staker.listed) ++done["listed"];
            (staker.listed, staker.most) = (true, changes.listed[0].maxStake);
            if (staker.bonded > staker.most) {
                _leave(staker, staker.bonded - staker.most);
                ++done["lowered"];
            }
        }
        minimumTotal = changes.minTotal;
        providerBond = changes.providerBond;
        if (changes.rules.length != 0) rulesDigest = keccak256(changes.rules);
        if (!changes.replaceGuardian) return;
        (guardian, guardSince, nominee) = (changes.guardian, _now() + 7 days, address(0));
        ++done["guardian replaced"];
    }

    function _digest(IRegistry.Changes memory changes) private view returns (bytes32) {
        uint256 nonce = registry.bundleNonce();
        return bundleDigest(address(settlement), block.chainid, nonce, _now(), changes);
    }
}
