// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {Blocks, Bundles} from "../Bundles.sol";

/// @dev How a root lies. Those between `Honest` and `Omits` can be proven; `Omits` leaves an account out, which cannot.
enum Lie {
    Honest,
    Falls,
    Repeats,
    Overspends,
    ExceedsTotal,
    OutOfRange,
    Omits
}

/// @dev A validator as it should be; `resolver` has one too. Amounts in token wei. What is small shares a slot: the
/// checks read all of it after every move.
struct Staker {
    uint256 key;
    address account;
    bool honest;
    bool validator;
    bool listed;
    bool slashed;
    address convictor;
    uint96 releaseAt;
    uint256 most;
    uint256 bonded;
    uint256 leaving;
}

/// @dev An account with a leaf as it should be: consumer and provider at once.
/// @param entitled The most that any active root has said it earned.
struct Person {
    uint256 key;
    address account;
    address recipient;
    bool registered;
    uint64 exitAt;
    uint64 payableAt;
    uint64 bondFreeAt;
    uint256 deposited;
    uint256 withdrawn;
    uint256 paid;
    uint256 entitled;
    uint256 bond;
}

/// @dev A root with all that made it.
/// @param truth What honest validators hold to be so, one leaf a person, whatever the tree says.
/// @param signers Bitmap over the cast.
struct Root {
    Lie lie;
    ISettlement.EpochAttestation said;
    ISettlement.Leaf[] leaves;
    ISettlement.Leaf[] truth;
    uint256 signers;
    uint256 activeAt;
}

/// @dev What may never fall.
struct Records {
    uint256 lastPosted;
    uint256 activeEpoch;
    uint256 through;
    uint256 totalEarned;
    uint256 totalSpent;
    uint256 funded;
    uint256 fed;
    uint256 bundles;
}

/// @dev Who plays, and the books that the moves keep from what they asked for, never from the contracts' counters.
abstract contract Cast is Bundles {
    /// @dev Of the cast, those listed at the start.
    uint256 internal constant LISTED = 6;
    uint256 internal constant VALIDATORS_IN_ALL = 12;
    uint256 internal constant PEOPLE = 6;

    Staker[] internal cast;
    Person[] internal people;
    address[3] internal reporters = [address(0x4E01), address(0x4E02), address(0x4E03)];
    address[3] internal guardians = [GUARDIAN, address(0x6A02), address(0x6A03)];
    address[3] internal coldKeys = [address(0xC01D1), address(0xC01D2), address(0xC01D3)];

    bytes internal candidate;
    bytes internal pending;
    /// @dev The root that the guardian cancelled last, unless it has been proven fraudulent since.
    bytes internal cancelled;
    bytes internal active;
    uint256 internal height = 1;

    // Books
    uint256 public funded;
    uint256 public fed;
    uint256 public paid;
    uint256 public lastPosted;
    uint256 public minimumTotal;
    uint256 public providerBond = PROVIDER_BOND;
    bytes32 public rulesDigest = keccak256(RULES);
    mapping(address part => uint256) public donated;
    mapping(address reporter => uint256) public shares;

    address public guardian = GUARDIAN;
    uint256 public guardSince;
    address public nominee;
    uint256 public pausedUntil;
    uint256 public pausableFrom;

    /// @dev The active root became so by time, and no call has noticed yet.
    bool internal unnoticed;
    /// @dev A root with a lie that spoils later roots or deposits became active: the honest stop signing.
    bool public tainted;
    /// @dev Whether every root so far had 2/3 of a sufficient stake.
    bool public quorumHeld = true;
    /// @dev What fell, if anything did.
    bytes32 public fallen;
    /// @dev The last move changed nothing: no call was accepted, and no time passed. What held before it holds still.
    bool public still;
    /// @dev How often each move was accepted, and how often refused.
    mapping(bytes32 what => uint256) public done;
    mapping(bytes32 what => uint256) public refused;

    Records private _seen;
    mapping(address account => uint256[4]) private _seenOf;

    function setUp() public override {
        super.setUp();
        Blocks(address(vm)).roll(height);
        minimumTotal = minTotal();
        guardSince = START;
        for (uint256 i; i < LISTED; ++i) {
            _enlist(keys[i], i == 1 || i == 4, maxStake(i));
        }
        for (uint256 i = LISTED; i < VALIDATORS_IN_ALL; ++i) {
            _enlist(uint256(keccak256(abi.encode("validator", i))), i % 3 == 0, 0);
        }
        _order();
        cast.push();
        Staker storage other = cast[VALIDATORS_IN_ALL];
        (other.account, other.listed, other.most, other.honest) = (resolver, true, 5 ether, true);
        for (uint256 i; i < PEOPLE; ++i) {
            _addPerson(i);
        }
        for (uint256 i; i < VALIDATORS_IN_ALL; ++i) {
            Staker storage staker = cast[i];
            // The hostile bond all they may; they alone are 2/3 until the honest bond more.
            staker.bonded = !staker.listed ? 0 : staker.honest ? 60 ether : staker.most;
            if (staker.listed) registry.bond(staker.account, staker.bonded);
        }
        vault.fund(2 * RATE);
        funded = 2 * RATE;
    }

    function validatorCount() internal pure override returns (uint256) {
        return LISTED;
    }

    function maxStake(uint256 position) internal pure override returns (uint96) {
        return position == 1 || position == 4 ? 300 ether : 100 ether;
    }

    function minTotal() internal pure override returns (uint96) {
        return 500 ether;
    }

    function _enlist(uint256 key, bool honest, uint256 most) private {
        cast.push();
        Staker storage staker = cast[cast.length - 1];
        (staker.key, staker.account, staker.honest) = (key, vm.addr(key), honest);
        (staker.validator, staker.listed, staker.most) = (true, most != 0, most);
    }

    /// @dev By ascending address, as signatures have to be.
    function _order() private {
        for (uint256 i = 1; i < cast.length; ++i) {
            for (uint256 j = i; j > 0 && cast[j - 1].account > cast[j].account; --j) {
                Staker memory other = cast[j];
                cast[j] = cast[j - 1];
                cast[j - 1] = other;
            }
        }
    }

    /// @dev The first is the treasury, which earns and has no key.
    function _addPerson(uint256 i) private {
        people.push();
        Person storage person = people[i];
        person.key = uint256(keccak256(abi.encode("person", i)));
        person.account = i == 0 ? TREASURY : vm.addr(person.key);
        person.recipient = person.account;
        token.transfer(person.account, 100_000 ether);
        vm.prank(person.account);
        token.approve(address(registry), type(uint256).max);
        vm.prank(person.account);
        token.approve(address(vault), type(uint256).max);
    }

    // What every move is made of

    /// @dev Around every move.
    modifier move() {
        still = true;
        _follow();
        _;
        if (!still) _compare();
    }

    function _send(address from, address to, bytes memory data) internal returns (bool accepted) {
        vm.prank(from);
        (accepted,) = to.call(data);
    }

    /// @dev Counts a move, and insists that it went as the books say.
    function _note(bytes32 what, bool accepted, bool expected) internal {
        require(accepted == expected, string.concat("unexpected: ", _text(what)));
        if (!accepted) {
            ++refused[what];
            return;
        }
        ++done[what];
        still = false;
    }

    function _text(bytes32 word) internal pure returns (string memory) {
        uint256 length;
        while (length < 32 && word[length] != 0) ++length;
        bytes memory text = new bytes(length);
        for (uint256 i; i < length; ++i) {
            text[i] = word[i];
        }
        return string(text);
    }

    function _now() internal view returns (uint256) {
        return vm.getBlockTimestamp();
    }

    function _warp(uint256 time) internal {
        vm.warp(time);
        still = false;
    }

    function _nextBlock() internal {
        Blocks(address(vm)).roll(++height);
    }

    // The books, read

    function _load(bytes storage blob) internal view returns (Root memory root) {
        if (blob.length != 0) root = abi.decode(blob, (Root));
    }

    function _isPending() internal view returns (bool) {
        return pending.length != 0;
    }

    /// @dev The root that can be tried: the pending one, or the cancelled one until it would have become active.
    function _triable() internal view returns (Root memory root) {
        if (_isPending()) return _load(pending);
        if (cancelled.length == 0) return root;
        root = _load(cancelled);
        if (_now() >= root.activeAt) delete root;
    }

    function _isTriable() internal view returns (bool) {
        return _isPending() || cancelled.length != 0 && _now() < _load(cancelled).activeAt;
    }

    function _isPaused() internal view returns (bool) {
        return _now() < pausedUntil;
    }

    function _lastEnded() internal view returns (uint256) {
        return _now() < GENESIS ? 0 : (_now() - GENESIS) / L;
    }

    function _epochAt(uint256 time) internal pure returns (uint256) {
        return time < GENESIS ? 0 : (time - GENESIS) / L + 1;
    }

    function _isQuiet() internal view returns (bool) {
        uint256 epoch = _lastEnded();
        bool settled = epoch == 0 || epoch == lastPosted || _now() > end(epoch) + POST_WINDOW;
        return !_isTriable() && _unslashed() == 0 && settled;
    }

    function _unslashed() internal view returns (uint256 count) {
        for (uint256 i; i < cast.length; ++i) {
            if (cast[i].convictor != address(0) && !cast[i].slashed) ++count;
        }
    }

    /// @dev Stake of the validators among `bitmap`; each counts once.
    function _stakeOf(uint256 bitmap) internal view returns (uint256 sum) {
        for (uint256 i; i < VALIDATORS_IN_ALL; ++i) {
            if (bitmap >> i & 1 == 1) sum += cast[i].bonded;
        }
    }

    function _hasQuorum(uint256 bitmap) internal view returns (bool) {
        uint256 total = _stakeOf(type(uint256).max);
        return 3 * _stakeOf(bitmap) >= 2 * total && total >= minimumTotal;
    }

    function _held(Person memory person) internal pure returns (uint256) {
        return person.deposited - person.withdrawn;
    }

    function _deposits() internal view returns (uint256 sum) {
        for (uint256 i; i < PEOPLE; ++i) {
            sum += people[i].deposited - people[i].withdrawn;
        }
    }

    /// @return Position of the account's first leaf; the number of leaves if it has none.
    function _find(ISettlement.Leaf[] memory leaves, address account)
        internal
        pure
        returns (uint256)
    {
        for (uint256 i; i < leaves.length; ++i) {
            if (leaves[i].account == account) return i;
        }
        return leaves.length;
    }

    /// @dev What validators attest signed by those of the cast in `bitmap`, ascending.
    function _signatures(bytes32 digest, uint256 bitmap) internal view returns (bytes memory all) {
        for (uint256 i; i < VALIDATORS_IN_ALL; ++i) {
            if (bitmap >> i & 1 == 1) all = bytes.concat(all, signOne(digest, cast[i].key));
        }
    }

    // The books, kept

    /// @dev A root becomes active by time alone.
    function _follow() internal {
        if (!_isPending()) return;
        Root memory root = _load(pending);
        if (_now() < root.activeAt) return;
        active = pending;
        delete pending;
        unnoticed = true;
        if (root.lie != Lie.Honest && root.lie != Lie.Omits) tainted = true;
        for (uint256 i; i < root.leaves.length; ++i) {
            for (uint256 j; j < PEOPLE; ++j) {
                Person storage person = people[j];
                bool higher = root.leaves[i].earned > person.entitled;
                if (person.account == root.leaves[i].account && higher) {
                    person.entitled = root.leaves[i].earned;
                }
            }
        }
    }

    /// @dev A call went through that activates what has matured.
    function _fedNow() internal {
        fed = _load(active).said.totalEarned;
        unnoticed = false;
    }

    function _compare() private {
        ISettlement.RootRecord memory record = settlement.activeRecord();
        Records memory current = Records(
            settlement.lastPostedEpoch(),
            record.epoch,
            record.through,
            record.totalEarned,
            record.totalSpent,
            vault.funded(),
            vault.fed(),
            registry.bundleNonce()
        );
        if (current.lastPosted < _seen.lastPosted) fallen = "last posted epoch";
        if (current.activeEpoch < _seen.activeEpoch) fallen = "active epoch";
        if (current.through < _seen.through) fallen = "last covered epoch";
        if (current.totalEarned < _seen.totalEarned) fallen = "total earned";
        if (current.totalSpent < _seen.totalSpent) fallen = "total spent";
        if (current.funded < _seen.funded) fallen = "funded";
        if (current.fed < _seen.fed) fallen = "fed";
        if (current.bundles < _seen.bundles) fallen = "bundle nonce";
        _seen = current;
        for (uint256 i; i < PEOPLE; ++i) {
            address account = people[i].account;
            (, uint256 epoch) = settlement.reputationOf(account);
            uint256[4] memory values = [
                settlement.claimedOf(account),
                epoch,
                vault.depositOf(account).deposited,
                vault.depositOf(account).withdrawn
            ];
            for (uint256 j; j < 4; ++j) {
                if (values[j] < _seenOf[account][j]) fallen = "an account's record";
            }
            if (epoch > record.epoch) fallen = "reputation from no active root";
            _seenOf[account] = values;
        }
    }
}
