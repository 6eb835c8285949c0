// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {Trees} from "../Trees.sol";
import {Cast, Lie, Person, Root} from "./Cast.sol";
import {Staking} from "./Staking.sol";

/// @dev Moves of those who propose and post roots: honest ones, and lying ones that only the hostile sign.
abstract contract Roots is Staking {
    using Trees for ISettlement.Leaf[];

    /// @dev What honest validators have signed, by epoch and round, as their journal holds it.
    mapping(uint256 epoch => mapping(uint256 round => bytes32 digest)) internal journal;
    /// @dev The last two things that honest validators signed.
    bytes internal signedBefore;
    bytes internal signedLast;
    mapping(bytes32 digest => bool) private _dead;

    /// @dev The honest way: everybody signs what is so.
    function publish(uint256 growth, uint256 spending) external move {
        if (!_goToPosting()) return;
        Root memory root = _honest(growth, spending);
        if (_propose(root)) _post(root, _willing(root));
    }

    /// @dev A root with a lie in it.
    function defraud(uint256 growth, uint256 spending, uint256 how) external move {
        if (!_goToPosting()) return;
        Root memory root = _honest(growth, spending);
        // Oftener one that takes a parent: before there is one, who lies is found out by another lie.
        Lie lie = how % 8 < 6 ? Lie(1 + how % 8) : Lie.Falls;
        if (!_bend(root, lie, how >> 8)) return;
        if (_propose(root)) _post(root, _willing(root));
    }

    /// @dev Whatever may have been proposed is posted once more, with other signatures.
    function repost(uint256 signers, uint256 how) external move {
        if (candidate.length == 0) return;
        Root memory root = _load(candidate);
        uint256 bitmap = _willing(root);
        if (how % 4 != 0) return _post(root, how % 4 == 1 ? bitmap : bitmap & signers);

        // Each of these is too little or not in order, whoever signs.
        bytes32 digest = settlement.digestOf(root.said);
        bytes memory one = _signatures(digest, bitmap == 0 ? 0 : bitmap & (~bitmap + 1));
        bytes memory forged = how & 4 == 0
            ? bytes.concat(one, one, one, one, one, one)
            : bytes.concat(_signatures(digest, bitmap), signOne(digest, people[1].key));
        if (how & 8 == 0) forged = bytes.concat(forged, hex"00");
        if (_isLatest(root)) return;
        bytes memory data = abi.encodeCall(settlement.post, (root.said, forged));
        _note("forged", _send(STRANGER, address(settlement), data), false);
    }

    /// @dev A candidate that nobody will sign costs its round.
    function proposeRubbish(uint256 what) external move {
        uint256 epoch = _lastEnded();
        if (epoch == 0 || _now() < end(epoch) + INTAKE) return;
        uint256 round = (_now() - end(epoch) - INTAKE) / ROUND;
        address proposer = what % 4 == 0 ? STRANGER : settlement.proposerOf(epoch, round);
        bytes memory data = abi.encodeCall(settlement.propose, (epoch, round, bytes32(what)));
        bool taken = candidate.length != 0 && _load(candidate).said.epoch == epoch
            && _load(candidate).said.round == round;
        bool may = epoch > lastPosted && _now() <= end(epoch) + POST_WINDOW && proposer != STRANGER
            && proposer != address(0) && !taken && what != 0;
        bool accepted = _send(proposer == address(0) ? STRANGER : proposer, address(settlement), data);
        _note("rubbish", accepted, may);
        if (!accepted) return;
        if (active.length != 0) _fedNow();
        Root memory nothing;
        (nothing.said.epoch, nothing.said.round) = (epoch, round);
        (nothing.lie, nothing.leaves) = (Lie.Omits, new ISettlement.Leaf[](0));
        candidate = abi.encode(nothing);
    }

    function activate() external move {
        bytes memory data = abi.encodeCall(settlement.activate, ());
        bool accepted = _send(STRANGER, address(settlement), data);
        _note("activate", accepted, unnoticed);
        if (accepted) _fedNow();
    }

    /// @dev The pending root is gone, and what it said dead.
    function _kill() internal {
        _dead[settlement.digestOf(_load(pending).said)] = true;
        delete pending;
    }

    /// @dev Goes to the next time at which a root can be posted, unless that is now. A fraud that waits is not
    /// jumped over: who watches has time.
    /// @return Whether there is such a time.
    function _goToPosting() private returns (bool) {
        if (_isPending()) return false;
        uint256 epoch = _lastEnded();
        if (epoch == 0 || lastPosted >= epoch || _now() > end(epoch) + POST_WINDOW) ++epoch;
        if (_now() <= end(epoch) + INTAKE) {
            _warp(end(epoch) + INTAKE + 1);
            _nextBlock();
        }
        return true;
    }

    /// @dev What follows from the truth so far, some growth within the bounds, and some spending within the deposits.
    function _honest(uint256 growth, uint256 spending) private view returns (Root memory root) {
        uint256 epoch = _lastEnded();
        Root memory parent = _load(active);
        root.truth = parent.truth.length == 0 ? _nothing() : parent.truth;
        uint256 spent;
        for (uint256 i = 1; i < PEOPLE; ++i) {
            ISettlement.Leaf memory leaf = root.truth[i];
            uint256 room = _held(people[i]) - _least(leaf.spent, _held(people[i]));
            leaf.spent += bound(spending >> (32 * i) & 0xffffffff, 0, 4) * room / 4;
            spent += leaf.spent;
        }
        // Below the parent's only after a lie.
        if (spent < parent.said.totalSpent) spent = parent.said.totalSpent;
        root.said = attestation(epoch, 0, 0);
        (root.said.rulesDigest, root.said.totalSpent) = (rulesDigest, spent);
        uint256 budget =
            RATE * (root.said.through - parent.said.through) + spent - parent.said.totalSpent;
        uint256 most = funded + spent - _least(funded + spent, parent.said.totalEarned);
        uint256 part = _least(budget, most) * (growth % 5) / 4 / PEOPLE;
        uint256 earned = parent.said.totalEarned;
        for (uint256 i; i < PEOPLE; ++i) {
            // Three in four of the parts, so that some earn nothing.
            uint256 more = growth >> (16 + 4 * i) & 3 == 0 ? 0 : part;
            root.truth[i].earned += more;
            root.truth[i].points += growth >> (48 + 8 * i) & 0xff;
            root.truth[i].reputation = (growth >> (96 + 20 * i)) % 1_000_001;
            earned += more;
        }
        root.said.totalEarned = earned;
        root.leaves = _leavesOf(root.truth);
        _seal(root);
    }

    function _nothing() private view returns (ISettlement.Leaf[] memory truth) {
        truth = new ISettlement.Leaf[](PEOPLE);
        for (uint256 i; i < PEOPLE; ++i) {
            truth[i].account = people[i].account;
        }
    }

    /// @dev The treasury's leaf, and one for everybody who has deposited or earned.
    function _leavesOf(ISettlement.Leaf[] memory truth)
        private
        view
        returns (ISettlement.Leaf[] memory leaves)
    {
        leaves = new ISettlement.Leaf[](PEOPLE);
        uint256 count;
        for (uint256 i; i < PEOPLE; ++i) {
            if (i == 0 || people[i].deposited != 0 || truth[i].earned != 0) {
                leaves[count++] = truth[i];
            }
        }
        return _first(leaves, count);
    }

    /// @return some Copies of the first leaves.
    function _first(ISettlement.Leaf[] memory leaves, uint256 count)
        private
        pure
        returns (ISettlement.Leaf[] memory some)
    {
        some = new ISettlement.Leaf[](count);
        for (uint256 i; i < count && i < leaves.length; ++i) {
            some[i] = ISettlement.Leaf(
                leaves[i].account,
                leaves[i].earned,
                leaves[i].spent,
                leaves[i].points,
                leaves[i].reputation
            );
        }
    }

    function _seal(Root memory root) private pure {
        root.said.root = root.leaves.root();
        root.said.stateDigest = keccak256(abi.encode("state", root.said.root));
    }

    /// @dev Puts a lie into an honest root. @return Whether there was something to lie about.
    function _bend(Root memory root, Lie lie, uint256 how) private view returns (bool) {
        root.lie = lie;
        uint256 i = how % root.leaves.length;
        ISettlement.Leaf memory leaf = root.leaves[i];
        how >>= 8;
        if (lie == Lie.Falls) {
            Root memory parent = _load(active);
            uint256 place = _find(parent.leaves, leaf.account);
            if (place == parent.leaves.length) return false;
            ISettlement.Leaf memory before = parent.leaves[place];
            if (before.earned != 0 && how % 3 == 0) leaf.earned = before.earned - 1;
            else if (before.spent != 0 && how % 3 == 1) leaf.spent = before.spent - 1;
            else if (before.points != 0) leaf.points = before.points - 1;
            else if (before.earned != 0) leaf.earned = before.earned - 1;
            else return false;
        } else if (lie == Lie.Repeats) {
            ISettlement.Leaf[] memory more = _first(root.leaves, root.leaves.length + 1);
            more[more.length - 1] = more[i];
            more[i] = _first(root.leaves, i + 1)[i];
            more[i].points += 1;
            root.leaves = more;
        } else if (lie == Lie.Overspends) {
            Person memory person = people[_personOf(leaf.account)];
            // After a lie that became active it may have spent more than it has already.
            uint256 room = _held(person) - _least(leaf.spent, _held(person));
            uint256 more = room + 1 + how % 1 ether;
            leaf.spent += more;
            // The total may follow or not.
            if (how >> 128 & 1 == 0 && root.said.totalSpent + more <= _deposits()) {
                root.said.totalSpent += more;
            }
        } else if (lie == Lie.ExceedsTotal) {
            leaf.earned += root.said.totalEarned + 1 + how % 1000 ether;
        } else if (lie == Lie.OutOfRange) {
            if (how % 4 == 0) leaf.earned = uint256(type(uint96).max) + 1 + how;
            else if (how % 4 == 1) leaf.spent = uint256(type(uint96).max) + 1 + how;
            else if (how % 4 == 2) leaf.points = uint256(type(uint64).max) + 1 + how;
            else leaf.reputation = 1_000_001 + how;
        } else if (lie == Lie.Omits) {
            // Who is left out and has spent nothing loses nothing; anyone else would spoil the sum of what was spent.
            if (root.leaves.length == 1 || leaf.account == TREASURY || leaf.spent != 0) {
                return false;
            }
            root.leaves[i] = root.leaves[root.leaves.length - 1];
            root.leaves = _first(root.leaves, root.leaves.length - 1);
        }
        _seal(root);
        return true;
    }

    function _personOf(address account) internal view returns (uint256 i) {
        while (people[i].account != account) ++i;
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    /// @dev Records a root as candidate, if its round still has none.
    function _propose(Root memory root) private returns (bool accepted) {
        address proposer = settlement.proposerOf(root.said.epoch, root.said.round);
        bytes32 digest = settlement.digestOf(root.said);
        bytes memory data =
            abi.encodeCall(settlement.propose, (root.said.epoch, root.said.round, digest));
        bool taken;
        if (candidate.length != 0) {
            ISettlement.EpochAttestation memory last = _load(candidate).said;
            taken = last.epoch == root.said.epoch && last.round == root.said.round;
        }
        // With no stake left nobody is the proposer; a test could send from nobody's address, and only a test.
        accepted = _send(proposer == address(0) ? STRANGER : proposer, address(settlement), data);
        _note("propose", accepted, !taken && proposer != address(0));
        if (!accepted) return false;
        if (active.length != 0) _fedNow();
        candidate = abi.encode(root);
    }

    /// @dev Who would sign it, of those with stake: the hostile anything, the honest what is so, once an epoch and round,
    /// and nothing after a lie that became active.
    function _willing(Root memory root) private view returns (uint256 bitmap) {
        bytes32 digest = settlement.digestOf(root.said);
        bytes32 before = journal[root.said.epoch][root.said.round];
        bool fair = root.lie == Lie.Honest && !tainted && (before == 0 || before == digest);
        for (uint256 i; i < VALIDATORS_IN_ALL; ++i) {
            if (cast[i].bonded != 0 && (fair || !cast[i].honest)) bitmap |= 1 << i;
        }
    }

    function _isLatest(Root memory root) private view returns (bool) {
        bytes32 digest = settlement.digestOf(root.said);
        if (_isPending()) return digest == settlement.digestOf(_load(pending).said);
        return active.length != 0 && !_dead[digest] && lastPosted == _load(active).said.epoch
            && digest == settlement.digestOf(_load(active).said);
    }

    function _post(Root memory root, uint256 bitmap) private {
        bytes32 digest = settlement.digestOf(root.said);
        if (root.lie == Lie.Honest) _journal(root.said, digest, bitmap);
        bytes memory data =
            abi.encodeCall(settlement.post, (root.said, _signatures(digest, bitmap)));
        bool again = _isLatest(root);
        uint256 epoch = root.said.epoch;
        bool open = epoch == _lastEnded() && _now() > end(epoch) + INTAKE
            && _now() <= end(epoch) + POST_WINDOW;
        // The parent cannot have changed since the proposal, and nothing else that the totals depend on has shrunk.
        bool may = open && epoch > lastPosted && !_isPending() && !_isPaused() && !_dead[digest]
            && root.leaves.length != 0 && root.said.rulesDigest == rulesDigest
            && root.said.totalSpent <= _deposits() && _hasQuorum(bitmap);
        bool accepted = _send(STRANGER, address(settlement), data);
        _note(again ? bytes32("post again") : bytes32("post"), accepted, again || may);
        if (!accepted || again) return;

        if (active.length != 0) _fedNow();
        if (!_hasQuorum(bitmap)) quorumHeld = false;
        (root.signers, root.activeAt) = (bitmap, _now() + CHALLENGE);
        pending = abi.encode(root);
        lastPosted = epoch;
        ++done[_nameOf(root.lie)];
    }

    function _journal(ISettlement.EpochAttestation memory said, bytes32 digest, uint256 bitmap)
        private
    {
        bool signs;
        for (uint256 i; i < VALIDATORS_IN_ALL; ++i) {
            if (cast[i].honest && bitmap >> i & 1 == 1) signs = true;
        }
        if (!signs || journal[said.epoch][said.round] == digest) return;
        require(journal[said.epoch][said.round] == 0, "the honest sign once a round");
        journal[said.epoch][said.round] = digest;
        signedBefore = signedLast;
        signedLast = abi.encode(said);
    }

    function _nameOf(Lie lie) internal pure returns (bytes32) {
        return [
            bytes32("honest"),
            "falls",
            "repeats",
            "overspends",
            "exceedsTotal",
            "outOfRange",
            "omits"
        ][uint256(lie)];
    }
}
