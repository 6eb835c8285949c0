// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {Leaves} from "../../src/libraries/Leaves.sol";
import {Trees} from "../Trees.sol";
import {Lie, Root, Staker} from "./Cast.sol";
import {Roots} from "./Roots.sol";

/// @dev Moves of those who report frauds, of those who invent some, and of those who commit one on their own.
abstract contract Frauds is Roots {
    using Leaves for ISettlement.Leaf;
    using Trees for ISettlement.Leaf[];

    /// @dev What a reporter has committed to.
    /// @param data The call that shows it; empty if nothing yet.
    struct Report {
        bytes data;
        uint256 committedAt;
    }

    uint256 private constant ORDER =
        0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    /// @dev Two statements about one epoch and round, each with its signature.
    mapping(address account => bytes statements) internal equivocations;
    mapping(bytes32 subject => mapping(address reporter => Report)) private _reports;
    uint256 private _salts;

    /// @dev A hostile validator signs two structs, of any epoch and round.
    function equivocate(uint256 who, uint256 epoch, uint256 round) external move {
        Staker storage staker = cast[who % VALIDATORS_IN_ALL];
        if (staker.honest || equivocations[staker.account].length != 0) return;
        ISettlement.EpochAttestation memory a;
        (a.epoch, a.round, a.root) = (epoch % 100, round % 18, keccak256("one"));
        ISettlement.EpochAttestation memory b;
        (b.epoch, b.round, b.root) = (a.epoch, a.round, keccak256("another"));
        equivocations[staker.account] = _statements(a, staker.key, b, staker.key);
        ++done["equivocate"];
    }

    /// @dev A reporter commits to the fraud there is, or shows what it committed to. Three race, and who comes second
    /// wins nothing.
    function report(uint256 who) external move {
        _report(who);
        // Every other time it goes on in the next block, before anybody else moves.
        if (who >> 8 & 1 == 0) return;
        _nextBlock();
        _report(who);
    }

    function _report(uint256 who) private {
        Root memory root = _triable();
        // One of the three is busier than the others, so that it often shows what it has committed to.
        address reporter = reporters[who % 6 < 3 ? who % 6 : 0];
        if (_isProvable(root.lie)) return _reportRoot(root, reporter);
        for (uint256 i; i < VALIDATORS_IN_ALL; ++i) {
            Staker storage staker = cast[(i + who % VALIDATORS_IN_ALL) % VALIDATORS_IN_ALL];
            if (staker.convictor == address(0) && equivocations[staker.account].length != 0) {
                return _reportSigner(staker, reporter);
            }
        }
    }

    /// @dev Shows things that are no frauds, with a commitment as it should be.
    function accuse(uint256 who, uint256 how) external move {
        address reporter = reporters[who % 3];
        bytes32 salt = bytes32(++_salts);
        (bytes32 evidence, bytes memory data) =
            how % 2 == 0 ? _slander(how >> 8, salt) : _doubt(reporter, how >> 8, salt);
        if (data.length == 0) return;
        _commit(reporter, evidence, salt);
        _nextBlock();
        _note("accuse", _send(reporter, address(judge), data), false);
    }

    /// @dev Mostly of a convict, if there is one.
    function slash(uint256 who) external move {
        Staker storage staker = cast[who % VALIDATORS_IN_ALL];
        for (uint256 i; i < VALIDATORS_IN_ALL && who % 8 != 0; ++i) {
            if (staker.convictor != address(0) && !staker.slashed) break;
            staker = cast[i];
        }
        _slash(staker);
    }

    function collect(uint256 who) external move {
        _collect(who % 4 == 3 ? STRANGER : reporters[who % 4]);
    }

    function _slash(Staker storage staker) internal {
        uint256 amount = staker.bonded + staker.leaving;
        uint256 before = token.balanceOf(DEAD);
        bytes memory data = abi.encodeCall(registry.slash, (staker.account));
        bool accepted = _send(STRANGER, address(registry), data);
        _note("slash", accepted, staker.convictor != address(0) && !staker.slashed);
        if (!accepted) return;
        shares[staker.convictor] += amount / 10;
        (staker.bonded, staker.leaving, staker.slashed) = (0, 0, true);
        require(token.balanceOf(DEAD) == before + amount - amount / 10, "stake burnt");
    }

    function _collect(address reporter) internal {
        uint256 amount = shares[reporter];
        uint256 before = token.balanceOf(reporter);
        bytes memory data = abi.encodeCall(registry.collect, ());
        bool accepted = _send(reporter, address(registry), data);
        _note("collect", accepted, amount != 0);
        if (!accepted) return;
        shares[reporter] = 0;
        require(token.balanceOf(reporter) == before + amount, "share paid");
    }

    // Reports

    function _reportRoot(Root memory root, address reporter) private {
        Report storage known = _reports[root.said.root][reporter];
        if (known.data.length == 0) {
            bytes32 salt = keccak256(abi.encode(root.said.root, reporter));
            (bytes32 evidence, bytes memory data) = _proofOf(root, salt);
            if (data.length == 0) return;
            _commit(reporter, evidence, salt);
            (known.data, known.committedAt) = (data, height);
            return;
        }
        if (root.lie == Lie.ExceedsTotal) _sumUp(root, reporter);
        bool accepted = _send(reporter, address(judge), known.data);
        _note("proof of a root", accepted, height > known.committedAt && !_isMadeUpFor(root));
        if (!accepted) return;
        if (!_isPending()) ++done["proof: cancelled"];
        ++done[
            [
                bytes32(0),
                "proof: falls",
                "proof: repeats",
                "proof: overspends",
                "proof: exceedsTotal",
                "proof: outOfRange"
            ][uint256(root.lie)]
        ];
        for (uint256 i; i < VALIDATORS_IN_ALL; ++i) {
            Staker storage staker = cast[i];
            if (root.signers >> i & 1 == 1 && staker.convictor == address(0)) {
                staker.convictor = reporter;
            }
        }
        if (_isPending()) _kill();
        else delete cancelled;
    }

    function _isProvable(Lie lie) private pure returns (bool) {
        return lie != Lie.Honest && lie != Lie.Omits;
    }

    /// @dev Whether who overspent has deposited since what it lacked: then the deposit is there to be spent.
    function _isMadeUpFor(Root memory root) private view returns (bool) {
        if (root.lie != Lie.Overspends) return false;
        for (uint256 i; i < root.leaves.length; ++i) {
            ISettlement.Leaf memory leaf = root.leaves[i];
            if (leaf.spent > _held(people[_personOf(leaf.account)])) return false;
        }
        return true;
    }

    function _reportSigner(Staker storage staker, address reporter) private {
        bytes32 subject = bytes32(uint256(uint160(staker.account)));
        Report storage known = _reports[subject][reporter];
        if (known.data.length == 0) {
            bytes32 salt = keccak256(abi.encode(subject, reporter));
            (bytes32 evidence, bytes memory data) =
                _equivocates(equivocations[staker.account], salt);
            _commit(reporter, evidence, salt);
            (known.data, known.committedAt) = (data, height);
            return;
        }
        bool accepted = _send(reporter, address(judge), known.data);
        bool slashable = staker.bonded != 0 || staker.leaving != 0;
        _note("proof: equivocates", accepted, height > known.committedAt && slashable);
        if (accepted) staker.convictor = reporter;
    }

    function _commit(address reporter, bytes32 evidence, bytes32 salt) private {
        bytes32 commitment = keccak256(abi.encode(reporter, evidence, salt));
        bytes memory data = abi.encodeCall(judge.commit, (commitment));
        _note("commit", _send(reporter, address(judge), data), true);
    }

    // Proofs: what is committed to, and the call that shows it

    function _proofOf(Root memory root, bytes32 salt)
        private
        view
        returns (bytes32 evidence, bytes memory data)
    {
        if (_isMadeUpFor(root)) return (evidence, data);
        Root memory parent = _load(active);
        if (root.lie == Lie.ExceedsTotal) return _exceedsTotal(root, salt);
        for (uint256 i; i < root.leaves.length; ++i) {
            ISettlement.Leaf memory leaf = root.leaves[i];
            if (root.lie == Lie.Falls) {
                uint256 j = _find(parent.leaves, leaf.account);
                if (j == parent.leaves.length) continue;
                ISettlement.Leaf memory before = parent.leaves[j];
                if (
                    leaf.earned < before.earned || leaf.spent < before.spent
                        || leaf.points < before.points
                ) return _falls(root, i, parent, j, salt);
            } else if (root.lie == Lie.Repeats) {
                uint256 j = _find(root.leaves, leaf.account);
                if (j != i) return _repeats(root, i, j, salt);
            } else if (root.lie == Lie.Overspends) {
                if (leaf.spent > _held(people[_personOf(leaf.account)])) {
                    return _overspends(root, i, salt);
                }
            } else if (!leaf.inRange()) {
                return _outOfRange(root, i, salt);
            }
        }
        revert("a lie that cannot be proven");
    }

    /// @dev Against a triable root without a lie, or the active one when nothing is triable.
    function _doubt(address reporter, uint256 how, bytes32 salt)
        private
        returns (bytes32 evidence, bytes memory data)
    {
        bool triable = _isTriable();
        Root memory root = triable ? _triable() : _load(active);
        if (root.leaves.length == 0) return (evidence, data);
        // Below a lie that became active even the truth is a fraud, which only the hostile sign.
        if (triable && (tainted || _isProvable(root.lie))) return (evidence, data);
        if (triable && !_isPending()) ++done["accuse a cancelled one"];
        Root memory parent = _load(active);
        uint256 i = (how >> 8) % root.leaves.length;
        if (how % 5 == 0 && parent.leaves.length != 0) {
            uint256 j = _find(parent.leaves, root.leaves[i].account);
            if (j == parent.leaves.length || how >> 16 & 3 == 0) {
                j = (how >> 24) % parent.leaves.length;
            }
            return _falls(root, i, parent, j, salt);
        }
        if (how % 5 == 1) return _repeats(root, i, (how >> 16) % root.leaves.length, salt);
        if (how % 5 == 2) return _overspends(root, i, salt);
        if (how % 5 == 3) return _outOfRange(root, i, salt);
        if (triable) _sumUp(root, reporter);
        return _exceedsTotal(root, salt);
    }

    /// @dev Against an honest validator, from what it has really signed.
    function _slander(uint256 how, bytes32 salt)
        private
        view
        returns (bytes32 evidence, bytes memory data)
    {
        if (signedLast.length == 0) return (evidence, data);
        ISettlement.EpochAttestation memory said =
            abi.decode(signedLast, (ISettlement.EpochAttestation));
        (uint256 honest, uint256 hostile) = (_keyOf(true, how >> 8), _keyOf(false, how >> 16));
        if (how % 5 == 0) {
            return _equivocates(_statements(said, honest, said, honest), salt);
        }
        if (how % 5 == 1) {
            if (signedBefore.length == 0) return (evidence, data);
            ISettlement.EpochAttestation memory before =
                abi.decode(signedBefore, (ISettlement.EpochAttestation));
            return _equivocates(_statements(before, honest, said, honest), salt);
        }
        ISettlement.EpochAttestation memory other =
            abi.decode(signedLast, (ISettlement.EpochAttestation));
        other.totalEarned += 1;
        if (how % 5 == 2) {
            return _equivocates(_statements(said, honest, other, hostile), salt);
        }
        // The same signature under another struct, or its twin in the upper half.
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(honest, settlement.digestOf(said));
        bytes memory one = abi.encodePacked(r, s, v);
        bytes memory twin = how % 5 == 3
            ? one
            : abi.encodePacked(r, bytes32(ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        if (how % 5 == 3 || how >> 24 & 1 == 0) {
            return _equivocates(abi.encode(said, one, other, twin), salt);
        }
        return _equivocates(abi.encode(said, one, said, twin), salt);
    }

    function _keyOf(bool honest, uint256 from) private view returns (uint256) {
        for (uint256 i = from % VALIDATORS_IN_ALL;; i = (i + 1) % VALIDATORS_IN_ALL) {
            if (cast[i].honest == honest) return cast[i].key;
        }
        revert("nobody");
    }

    function _statements(
        ISettlement.EpochAttestation memory a,
        uint256 keyA,
        ISettlement.EpochAttestation memory b,
        uint256 keyB
    ) private view returns (bytes memory) {
        return abi.encode(
            a, signOne(settlement.digestOf(a), keyA), b, signOne(settlement.digestOf(b), keyB)
        );
    }

    function _equivocates(bytes memory statements, bytes32 salt)
        private
        view
        returns (bytes32, bytes memory)
    {
        (
            ISettlement.EpochAttestation memory a,
            bytes memory signatureA,
            ISettlement.EpochAttestation memory b,
            bytes memory signatureB
        ) = abi.decode(
            statements, (ISettlement.EpochAttestation, bytes, ISettlement.EpochAttestation, bytes)
        );
        return (
            keccak256(abi.encode(bytes32("equivocates"), a, signatureA, b, signatureB)),
            abi.encodeCall(judge.equivocates, (a, signatureA, b, signatureB, salt))
        );
    }

    function _falls(Root memory root, uint256 i, Root memory parent, uint256 j, bytes32 salt)
        private
        view
        returns (bytes32, bytes memory)
    {
        ISettlement.Leaf memory leaf = root.leaves[i];
        ISettlement.Leaf memory before = parent.leaves[j];
        bytes32[] memory path = root.leaves.proof(i);
        bytes32[] memory parentPath = parent.leaves.proof(j);
        return (
            keccak256(abi.encode(bytes32("falls"), leaf, path, before, parentPath)),
            abi.encodeCall(judge.falls, (leaf, path, before, parentPath, salt))
        );
    }

    function _repeats(Root memory root, uint256 i, uint256 j, bytes32 salt)
        private
        view
        returns (bytes32, bytes memory)
    {
        ISettlement.Leaf memory a = root.leaves[i];
        ISettlement.Leaf memory b = root.leaves[j];
        bytes32[] memory pathA = root.leaves.proof(i);
        bytes32[] memory pathB = root.leaves.proof(j);
        return (
            keccak256(abi.encode(bytes32("repeats"), a, pathA, b, pathB)),
            abi.encodeCall(judge.repeats, (a, pathA, b, pathB, salt))
        );
    }

    function _overspends(Root memory root, uint256 i, bytes32 salt)
        private
        view
        returns (bytes32, bytes memory)
    {
        bytes32[] memory path = root.leaves.proof(i);
        return (
            keccak256(abi.encode(bytes32("overspends"), root.leaves[i], path)),
            abi.encodeCall(judge.overspends, (root.leaves[i], path, salt))
        );
    }

    function _outOfRange(Root memory root, uint256 i, bytes32 salt)
        private
        view
        returns (bytes32, bytes memory)
    {
        bytes32[] memory path = root.leaves.proof(i);
        return (
            keccak256(abi.encode(bytes32("outOfRange"), root.leaves[i], path)),
            abi.encodeCall(judge.outOfRange, (root.leaves[i], path, salt))
        );
    }

    function _exceedsTotal(Root memory root, bytes32 salt)
        private
        view
        returns (bytes32, bytes memory)
    {
        bytes32 running;
        uint256[] memory order = _byHash(root.leaves);
        for (uint256 i; i < order.length; ++i) {
            running = keccak256(abi.encode(running, root.leaves[order[i]].hash()));
        }
        return (
            keccak256(abi.encode(bytes32("exceedsTotal"), root.said.root, running)),
            abi.encodeCall(judge.exceedsTotal, (salt))
        );
    }

    /// @dev Adds up all leaves of the triable root in two calls, unless that is done.
    function _sumUp(Root memory root, address reporter) private {
        (,,, uint256 leaves) = judge.summed(root.said.root, reporter);
        if (leaves != 0) return;
        uint256[] memory order = _byHash(root.leaves);
        uint256 half = order.length / 2;
        _sum(root, order, 0, half, reporter);
        _sum(root, order, half, order.length, reporter);
    }

    function _sum(
        Root memory root,
        uint256[] memory order,
        uint256 from,
        uint256 to,
        address reporter
    ) private {
        ISettlement.Leaf[] memory leaves = new ISettlement.Leaf[](to - from);
        bytes32[][] memory paths = new bytes32[][](to - from);
        for (uint256 i = from; i < to; ++i) {
            leaves[i - from] = root.leaves[order[i]];
            paths[i - from] = root.leaves.proof(order[i]);
        }
        bytes memory data = abi.encodeCall(judge.sum, (leaves, paths));
        _note("sum", _send(reporter, address(judge), data), true);
    }

    function _byHash(ISettlement.Leaf[] memory leaves)
        private
        pure
        returns (uint256[] memory order)
    {
        order = new uint256[](leaves.length);
        for (uint256 i; i < leaves.length; ++i) {
            uint256 place = i;
            for (; place > 0 && leaves[order[place - 1]].hash() > leaves[i].hash(); --place) {
                order[place] = order[place - 1];
            }
            order[place] = i;
        }
    }
}
