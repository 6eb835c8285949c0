// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Lie, Person, Root, Staker} from "./Cast.sol";
import {Guarding} from "./Guarding.sol";

/// @dev Plays everybody, honest and hostile. Each move says beforehand whether it has to be accepted, and reverts only
/// if the contracts think otherwise.
contract Handler is Guarding {
    // Time

    function pass(uint256 time) external move {
        _warp(_now() + bound(time, 1, _watched() ? 15 minutes : uint256(L) / 4));
        _nextBlock();
        _follow();
    }

    /// @dev To the next time at which something begins or ends. A lie that waits is seldom jumped over.
    function skip(uint256 how) external move {
        if (_watched() && how % 4 != 0) return;
        uint256 time = _next(how >> 8);
        if (time <= _now()) return;
        _warp(time);
        _nextBlock();
        _follow();
    }

    /// @dev Whether somebody has reason to hurry.
    function _watched() private view returns (bool) {
        return _triable().lie != Lie.Honest;
    }

    function _next(uint256 how) private view returns (uint256) {
        Person storage person = people[(how >> 8) % PEOPLE];
        Staker storage staker = cast[(how >> 8) % cast.length];
        if (_isTriable() || how % 6 == 0) return _triable().activeAt;
        if (how % 6 == 1) return end(_lastEnded()) + POST_WINDOW + 1;
        if (how % 6 == 2) return person.exitAt == 0 ? 0 : person.exitAt + EXIT_DELAY;
        if (how % 6 == 3) return person.payableAt;
        if (how % 6 == 4) return staker.leaving == 0 ? 0 : staker.releaseAt;
        return person.bondFreeAt;
    }

    // The end

    /// @dev Nothing more is posted. Everybody takes out what is theirs, and nothing that is somebody's stays behind.
    function finish() external move {
        if (_isTriable()) _go(_triable().activeAt);
        for (uint256 i; i < VALIDATORS_IN_ALL; ++i) {
            if (cast[i].convictor != address(0) && !cast[i].slashed) _slash(cast[i]);
        }
        _goQuiet();
        for (uint256 i = 1; i < PEOPLE; ++i) {
            if (people[i].exitAt == 0 && _held(people[i]) != 0) _exit(people[i]);
            if (people[i].registered) this.serve(i, true);
        }
        for (uint256 i; i < cast.length; ++i) {
            if (cast[i].bonded != 0) this.unbond(i, cast[i].bonded, 4);
        }
        _go(_now() + EXIT_DELAY + L);
        _goQuiet();
        _takeAll();
    }

    function _takeAll() private {
        Root memory root = _load(active);
        if (root.leaves.length != 0) this.claimMany(0);
        if (root.leaves.length != 0) this.claimMany(1);
        for (uint256 i = 1; i < PEOPLE; ++i) {
            Person storage person = people[i];
            bool has = _find(root.leaves, person.account) != root.leaves.length;
            if (person.exitAt == 0) continue;
            if (has) require(_withdraw(person) || tainted, "a deposit stayed");
            else if (person.payableAt == 0) _announce(person);
        }
        _go(_now() + 3 * uint256(L));
        _goQuiet();
        for (uint256 i = 1; i < PEOPLE; ++i) {
            Person storage person = people[i];
            bool has = _find(root.leaves, person.account) != root.leaves.length;
            if (person.exitAt == 0 || has) continue;
            require(_withdrawAnnounced(person) || tainted, "an announced deposit stayed");
        }
        for (uint256 i; i < PEOPLE; ++i) {
            if (people[i].bond != 0 && !people[i].registered) _takeBond(people[i]);
        }
        for (uint256 i; i < cast.length; ++i) {
            if (cast[i].leaving != 0) this.withdrawStake(i);
        }
        for (uint256 i; i < reporters.length; ++i) {
            if (shares[reporters[i]] != 0) _collect(reporters[i]);
        }
    }

    function _go(uint256 time) private {
        if (time > _now()) _warp(time);
        _nextBlock();
        _follow();
    }

    function _goQuiet() private {
        _go(end(_lastEnded()) + POST_WINDOW + 1);
    }

    // Views

    function parts() external view returns (address, address, address, address) {
        return (address(token), address(registry), address(vault), address(settlement));
    }

    function stakers() external view returns (Staker[] memory) {
        return cast;
    }

    function persons() external view returns (Person[] memory) {
        return people;
    }

    function activeRoot() external view returns (Root memory) {
        return _load(active);
    }

    function pendingRoot() external view returns (Root memory) {
        return _load(pending);
    }

    function triableRoot() external view returns (Root memory) {
        return _triable();
    }

    function isQuiet() external view returns (bool) {
        return _isQuiet();
    }

    /// @dev Reverts unless the settlement contract's copies of the roster and of the sums are what their owners have.
    function copiesAreKept() external view {
        expectCopies(settlement, funded, _deposits());
    }

    /// @return all Everybody who can ever hold a token.
    function holders() external view returns (address[] memory all) {
        all = new address[](cast.length + PEOPLE + 16);
        uint256 count;
        for (uint256 i; i < cast.length; ++i) {
            all[count++] = cast[i].account;
        }
        for (uint256 i; i < PEOPLE; ++i) {
            all[count++] = people[i].account;
        }
        for (uint256 i; i < 3; ++i) {
            all[count++] = reporters[i];
            all[count++] = guardians[i];
            all[count++] = coldKeys[i];
        }
        all[count++] = address(this);
        all[count++] = address(registry);
        all[count++] = address(vault);
        all[count++] = address(settlement);
        all[count++] = address(judge);
        all[count++] = DEAD;
        all[count++] = STRANGER;
    }
}
