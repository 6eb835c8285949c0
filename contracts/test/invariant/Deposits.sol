// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {Leaves} from "../../src/libraries/Leaves.sol";
import {Trees} from "../Trees.sol";
import {Person, Root} from "./Cast.sol";
import {Payments} from "./Payments.sol";

/// @dev Moves of consumers: deposit, exit, withdraw with a leaf or by announcement; and money from outside.
abstract contract Deposits is Payments {
    using Leaves for ISettlement.Leaf;
    using Trees for ISettlement.Leaf[];

    function fund(uint256 amount) external move {
        amount = bound(amount, 1, 2 * uint256(RATE));
        _note(
            "fund", _send(address(this), address(vault), abi.encodeCall(vault.fund, (amount))), true
        );
        funded += amount;
    }

    /// @dev Tokens sent past the books belong to nobody and change nothing.
    function donate(uint256 amount, uint256 whom) external move {
        amount = bound(amount, 1, RATE);
        address part = [address(vault), address(settlement), address(registry)][whom % 3];
        token.transfer(part, amount);
        donated[part] += amount;
        ++done["donate"];
        still = false;
    }

    /// @dev With an allowance, with a permit, or with a permit that somebody else has used already.
    function deposit(uint256 who, uint256 amount, uint256 how) external move {
        Person storage person = _consumer(who);
        amount = bound(amount, MIN_DEPOSIT, 100 ether);
        bytes memory data = abi.encodeCall(vault.deposit, (amount));
        if (how % 3 != 0) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(person.key, _permit(person, amount));
            data = abi.encodeCall(vault.depositWithPermit, (amount, _now(), v, r, s));
            if (how % 3 == 1) {
                token.permit(person.account, address(vault), amount, _now(), v, r, s);
            }
        }
        bool accepted = _send(person.account, address(vault), data);
        _note("deposit", accepted, person.exitAt == 0);
        if (accepted) person.deposited += amount;
        vm.prank(person.account);
        token.approve(address(vault), type(uint256).max);
    }

    function exit(uint256 who) external move {
        _exit(_consumer(who));
    }

    /// @dev With its leaf of the active root, or in vain with one of the pending root or one that says it spent less.
    function withdraw(uint256 who, uint256 how) external move {
        Person storage person = _consumer(who);
        if (how % 4 != 0) {
            _withdraw(person);
            return;
        }
        Root memory root = _load(how & 4 == 0 ? pending : active);
        uint256 i = _find(root.leaves, person.account);
        if (i == root.leaves.length) return;
        ISettlement.Leaf memory leaf = root.leaves[i];
        bytes32[] memory path = root.leaves.proof(i);
        if (how & 4 != 0) {
            if (leaf.spent == 0) return;
            leaf.spent -= 1;
        }
        bytes memory data = abi.encodeCall(
            vault.withdraw, (leaf.earned, leaf.spent, leaf.points, leaf.reputation, path)
        );
        _note("withdraw in vain", _send(person.account, address(vault), data), false);
    }

    function announce(uint256 who) external move {
        _announce(_consumerWho(who, false));
    }

    /// @dev By anybody who has the leaf, or in vain.
    function refute(uint256 who) external move {
        Person storage person = _consumerWho(who, true);
        if (!_refute(person)) return;
        person.payableAt = 0;
    }

    /// @dev Whoever has a leaf is refuted before it is paid: somebody always watches.
    function withdrawAnnounced(uint256 who) external move {
        Person storage person = _consumerWho(who, true);
        if (person.payableAt != 0 && _refute(person)) person.payableAt = 0;
        _withdrawAnnounced(person);
    }

    function _consumer(uint256 who) private view returns (Person storage) {
        return people[1 + who % (PEOPLE - 1)];
    }

    /// @dev Mostly one who has announced a withdrawal, or who could, if there is one.
    function _consumerWho(uint256 who, bool announced) private view returns (Person storage) {
        for (uint256 i; i < PEOPLE - 1 && who % 4 != 0; ++i) {
            Person storage person = _consumer(who % PEOPLE + i);
            bool has = person.payableAt != 0;
            if (announced ? has : !has && _isLate(person)) return person;
        }
        return _consumer(who);
    }

    function _exit(Person storage person) internal {
        bool may = person.exitAt == 0 && _held(person) != 0;
        bytes memory data = abi.encodeCall(vault.exit, ());
        bool accepted = _send(person.account, address(vault), data);
        _note("exit", accepted, may);
        if (accepted) person.exitAt = uint64(_now());
    }

    /// @return Whether it was paid.
    function _withdraw(Person storage person) internal returns (bool) {
        Root memory root = _load(active);
        uint256 i = _find(root.leaves, person.account);
        if (i == root.leaves.length) return false;
        ISettlement.Leaf memory leaf = root.leaves[i];
        bool may = person.exitAt != 0 && _isQuiet()
            && (_isLate(person) || root.said.through > _epochAt(person.exitAt));
        uint256 held = _held(person);
        bool covered = leaf.inRange() && leaf.spent <= held
            && _deposits() - (held - leaf.spent) >= root.said.totalSpent;
        require(covered || tainted, "a deposit is covered unless a lie became active");

        uint256 before = token.balanceOf(person.account);
        bool accepted = _sendWithdraw(leaf, root.leaves.proof(i));
        _note("withdraw", accepted, may && covered);
        if (!accepted) return false;
        _left(person, held - leaf.spent);
        require(token.balanceOf(person.account) == before + held - leaf.spent, "deposit paid");
        return true;
    }

    function _sendWithdraw(ISettlement.Leaf memory leaf, bytes32[] memory proof)
        private
        returns (bool)
    {
        bytes memory data = abi.encodeCall(
            vault.withdraw, (leaf.earned, leaf.spent, leaf.points, leaf.reputation, proof)
        );
        return _send(leaf.account, address(vault), data);
    }

    /// @dev Whether it exited so long ago that any leaf will do.
    function _isLate(Person storage person) private view returns (bool) {
        return person.exitAt != 0 && _now() >= person.exitAt + EXIT_DELAY;
    }

    function _announce(Person storage person) internal {
        bytes memory data = abi.encodeCall(vault.announceWithdrawal, ());
        bool accepted = _send(person.account, address(vault), data);
        _note("announce", accepted, _isLate(person) && person.payableAt == 0);
        if (accepted) person.payableAt = uint64(_now() + 2 * uint256(L));
    }

    /// @return accepted Whether it had a leaf to be refuted with.
    function _refute(Person storage person) private returns (bool accepted) {
        Root memory root = _load(active);
        if (root.leaves.length == 0) return false;
        uint256 i = _find(root.leaves, person.account);
        bool has = i != root.leaves.length;
        // Somebody else's leaf refutes nothing.
        ISettlement.Leaf memory leaf = root.leaves[has ? i : 0];
        bytes memory data = abi.encodeCall(
            vault.refuteAnnouncement,
            (
                person.account,
                leaf.earned,
                leaf.spent,
                leaf.points,
                leaf.reputation,
                root.leaves.proof(has ? i : 0)
            )
        );
        accepted = _send(STRANGER, address(vault), data);
        _note("refute", accepted, person.payableAt != 0 && has && leaf.inRange());
    }

    /// @return Whether it was paid.
    function _withdrawAnnounced(Person storage person) internal returns (bool) {
        uint256 held = _held(person);
        bool may = person.payableAt != 0 && _now() >= person.payableAt && _isQuiet();
        bool covered = _deposits() - held >= _load(active).said.totalSpent;
        require(!may || covered || tainted, "a deposit is covered unless a lie became active");
        uint256 before = token.balanceOf(person.account);
        bytes memory data = abi.encodeCall(vault.withdrawAnnounced, ());
        bool accepted = _send(person.account, address(vault), data);
        _note("withdrawAnnounced", accepted, may && covered);
        if (!accepted) return false;
        _left(person, held);
        require(token.balanceOf(person.account) == before + held, "deposit paid");
        return true;
    }

    function _left(Person storage person, uint256 amount) private {
        person.withdrawn += amount;
        (person.exitAt, person.payableAt) = (0, 0);
    }

    function _permit(Person storage person, uint256 amount) private view returns (bytes32) {
        bytes32 said = keccak256(
            abi.encode(
                keccak256(
                    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
                ),
                person.account,
                address(vault),
                amount,
                token.nonces(person.account),
                _now()
            )
        );
        return keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), said));
    }
}
