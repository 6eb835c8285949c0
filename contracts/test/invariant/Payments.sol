// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {Leaves} from "../../src/libraries/Leaves.sol";
import {Batches} from "../Batches.sol";
import {Trees} from "../Trees.sol";
import {Person, Root} from "./Cast.sol";
import {Frauds} from "./Frauds.sol";

/// @dev Moves of those who are paid: claims in each form, reputation, recipients, providers' bonds.
abstract contract Payments is Frauds {
    using Batches for *;
    using Leaves for ISettlement.Leaf;
    using Trees for ISettlement.Leaf[];

    /// @dev Of the active root, or, in vain, of the pending one or with a higher sum.
    function claim(uint256 who, uint256 how) external move {
        bool vain = how % 4 == 0;
        bool ofPending = vain && _isPending();
        Root memory root = _load(ofPending ? pending : active);
        if (root.leaves.length == 0) return;
        uint256 i = who % root.leaves.length;
        ISettlement.Leaf memory leaf = root.leaves[i];
        bytes32[] memory path = root.leaves.proof(i);
        if (vain) leaf.earned += 1 + how % 1 ether;
        uint256 amount = vain ? 0 : _due(leaf, _pot());
        bytes memory data = abi.encodeCall(
            settlement.claim,
            (leaf.account, leaf.earned, leaf.spent, leaf.points, leaf.reputation, path)
        );
        Person storage person = people[_personOf(leaf.account)];
        uint256 before = token.balanceOf(person.recipient);
        bool accepted = _send(STRANGER, address(settlement), data);
        _note("claim", accepted, amount != 0 && !_isPaused());
        if (!accepted) return;
        require(token.balanceOf(person.recipient) == before + amount, "claim paid");
        if (amount < leaf.earned - person.paid) ++done["short pot"];
        _pay(person, amount);
        _fedNow();
    }

    /// @dev All leaves of the active root, one of them twice, and one that is none.
    function claimMany(uint256 who) external move {
        Root memory root = _load(active);
        uint256 count = root.leaves.length;
        if (count == 0) return;
        ISettlement.Leaf[] memory leaves = new ISettlement.Leaf[](count + 2);
        bytes32[][] memory paths = new bytes32[][](count + 2);
        for (uint256 i; i < count + 2; ++i) {
            uint256 place = (who % count + i) % count;
            leaves[i] = root.leaves[place];
            paths[i] = root.leaves.proof(place);
        }
        leaves[0] = ISettlement.Leaf(leaves[1].account, leaves[1].earned + 1, 0, 0, 0);
        bytes memory data = abi.encodeCall(settlement.claimMany, (leaves, paths));
        bool accepted = _send(STRANGER, address(settlement), data);
        _note("claimMany", accepted, !_isPaused());
        if (accepted) _payInOrder(leaves, 1);
    }

    /// @dev Some leaves of the active root with one proof; as they are packed, fields out of range do not fit.
    function claimPacked(uint256 subset) external move {
        Root memory root = _load(active);
        uint256 count = root.leaves.length;
        if (count == 0) return;
        uint256[] memory places = subset.places(count);
        if (places.length == 0) return;
        (bytes32[] memory path, bool[] memory flags) = root.leaves.prove(places);
        ISettlement.Leaf[] memory leaves = root.leaves.pick(places);
        bool fits = true;
        for (uint256 i; i < leaves.length; ++i) {
            bool packs = leaves[i].inRange() || leaves[i].hash() == _cut(leaves[i]).hash();
            fits = fits && packs;
        }
        bytes memory data =
            abi.encodeCall(settlement.claimPacked, (leaves.pack(), path, flags.bits()));
        bool accepted = _send(STRANGER, address(settlement), data);
        _note("claimPacked", accepted, fits && !_isPaused());
        if (accepted) _payInOrder(leaves, 0);
    }

    function push(uint256 who) external move {
        Root memory root = _load(active);
        if (root.leaves.length == 0) return;
        uint256 i = who % root.leaves.length;
        ISettlement.Leaf memory leaf = root.leaves[i];
        (, uint256 epoch) = settlement.reputationOf(leaf.account);
        bytes memory data = abi.encodeCall(
            settlement.push,
            (
                leaf.account,
                leaf.earned,
                leaf.spent,
                leaf.points,
                leaf.reputation,
                root.leaves.proof(i)
            )
        );
        bool accepted = _send(STRANGER, address(settlement), data);
        _note("push", accepted, leaf.inRange() && root.said.epoch > epoch);
        if (!accepted) return;
        (uint256 reputation, uint256 since) = settlement.reputationOf(leaf.account);
        require(reputation == leaf.reputation && since == root.said.epoch, "reputation stored");
    }

    /// @dev By the recipient, or in vain by somebody else.
    function setRecipient(uint256 who, uint256 whom) external move {
        Person storage person = people[who % PEOPLE];
        address recipient = whom % 4 == 3 ? person.account : coldKeys[whom % 4];
        address caller = whom >> 2 & 3 == 0 ? STRANGER : person.recipient;
        bytes memory data = abi.encodeCall(settlement.setRecipient, (person.account, recipient));
        bool accepted = _send(caller, address(settlement), data);
        _note("setRecipient", accepted, caller != STRANGER);
        if (accepted) person.recipient = recipient;
    }

    /// @dev Registers, or leaves, or takes its bond back.
    function serve(uint256 who, bool leaving) external move {
        Person storage person = people[who % PEOPLE];
        if (!person.registered && !leaving) {
            bytes memory data = abi.encodeCall(registry.register, (person.recipient, address(0)));
            _note("register", _send(person.account, address(registry), data), true);
            if (providerBond > person.bond) person.bond = providerBond;
            person.registered = true;
        } else if (person.registered) {
            bytes memory data = abi.encodeCall(registry.unregister, ());
            _note("unregister", _send(person.account, address(registry), data), true);
            (person.registered, person.bondFreeAt) = (false, uint64(_now() + BOND_DELAY));
        } else {
            _takeBond(person);
        }
    }

    function _takeBond(Person storage person) internal {
        uint256 amount = person.bond;
        uint256 before = token.balanceOf(person.recipient);
        bool may = !person.registered && amount != 0 && _now() >= person.bondFreeAt;
        bytes memory data = abi.encodeCall(registry.withdrawBond, ());
        bool accepted = _send(person.account, address(registry), data);
        _note("withdrawBond", accepted, may);
        if (!accepted) return;
        person.bond = 0;
        require(token.balanceOf(person.recipient) == before + amount, "bond paid");
    }

    /// @dev What claims can draw on, growth that the next claim moves included.
    function _pot() internal view returns (uint256) {
        return _load(active).said.totalEarned - paid;
    }

    /// @dev What a leaf of the active root gets now.
    function _due(ISettlement.Leaf memory leaf, uint256 pot) internal view returns (uint256 due) {
        uint256 before = people[_personOf(leaf.account)].paid;
        if (!leaf.inRange() || leaf.earned <= before) return 0;
        due = leaf.earned - before;
        if (due > pot) due = pot;
    }

    /// @dev What a batch of leaves of the active root, the first left out, must have paid.
    function _payInOrder(ISettlement.Leaf[] memory leaves, uint256 from) internal {
        uint256 pot = _pot();
        for (uint256 i = from; i < leaves.length; ++i) {
            uint256 amount = _due(leaves[i], pot);
            if (amount != 0 && amount < _due(leaves[i], type(uint256).max)) ++done["short pot"];
            pot -= amount;
            _pay(people[_personOf(leaves[i].account)], amount);
        }
        _fedNow();
    }

    function _pay(Person storage person, uint256 amount) private {
        person.paid += amount;
        paid += amount;
    }

    function _cut(ISettlement.Leaf memory leaf) private pure returns (ISettlement.Leaf memory) {
        return ISettlement.Leaf(
            leaf.account,
            uint96(leaf.earned),
            uint96(leaf.spent),
            uint64(leaf.points),
            uint32(leaf.reputation)
        );
    }
}
