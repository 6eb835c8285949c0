// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IJudge} from "./interfaces/IJudge.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Attestations} from "./libraries/Attestations.sol";
import {Cursor} from "./libraries/Cursors.sol";
import {Leaves} from "./libraries/Leaves.sol";
import {Paths} from "./libraries/Paths.sol";
import {Quorum} from "./libraries/Quorum.sol";
import {Roster} from "./libraries/Roster.sol";
import {Standing} from "./libraries/Standings.sol";
import {Windows} from "./libraries/Windows.sol";

/// @title Candidates, roots and claims
/// @notice See {ISettlement} for what each function promises.
contract Settlement is ISettlement, EIP712 {
    using Attestations for EpochAttestation;
    using Leaves for Leaf;
    using Leaves for bytes;
    using Paths for bytes32;
    using Paths for bytes32[];
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @dev Most epochs one root covers.
    uint256 private constant MAX_COVERED = 7;
    uint256 private constant PAUSE = 72 hours;
    uint256 private constant PAUSE_REST = 14 days;
    uint256 private constant GUARD_DELAY = 7 days;

    /// @dev A root in two slots; its epoch, and until when it covers, follow from the cursor.
    struct Stored {
        bytes32 root;
        uint96 totalEarned;
        uint96 totalSpent;
        uint32 round;
        uint32 signers;
    }

    /// @inheritdoc ISettlement
    IRegistry public immutable registry;
    /// @inheritdoc ISettlement
    IVault public immutable vault;
    /// @inheritdoc ISettlement
    address public immutable judge;
    /// @inheritdoc ISettlement
    IERC20 public immutable token;
    /// @inheritdoc ISettlement
    address public immutable treasury;
    /// @inheritdoc ISettlement
    uint256 public immutable rate;
    /// @inheritdoc ISettlement
    uint256 public immutable genesis;
    /// @inheritdoc ISettlement
    uint256 public immutable epochLength;
    /// @inheritdoc ISettlement
    uint256 public immutable slotsPerEpoch;
    /// @inheritdoc ISettlement
    uint256 public immutable intake;
    /// @inheritdoc ISettlement
    uint256 public immutable postWindow;
    /// @inheritdoc ISettlement
    uint256 public immutable challenge;
    /// @inheritdoc ISettlement
    uint256 public immutable margin;
    /// @inheritdoc ISettlement
    uint256 public immutable roundLength;

    Cursor private _cursor;
    /// @dev The active record and the pending or outdated one; they swap places at activation, so that
    /// posting overwrites used slots and copies nothing. While nothing is pending the other record's `root` holds
    /// the digest of the newest candidate: a posting reads and writes one slot instead of two.
    Stored[2] private _records;
    mapping(address account => Standing) private _standings;
    /// @dev Of the accounts whose standing says that they have one.
    mapping(address account => address) private _recipients;

    /// @dev Copies, kept by their owners, of what every posting reads: a call to another contract costs more than
    /// the slot.
    address private _roster;
    uint96 private _deposits;
    uint96 private _funded;

    address private _guardian;
    uint48 private _guardSince;
    /// @dev Until when a root that the guardian cancelled can be proven fraudulent; in the past or 0 if there is none.
    uint48 private _triableUntil;
    address private _nominee;
    uint48 private _pausedUntil;
    uint48 private _pausableFrom;

    constructor(Config memory config) EIP712("DPN", "1") {
        if (config.treasury == address(0)) revert ZeroAddress();
        if (
            config.roundLength == 0 || config.slotsPerEpoch == 0 || config.challenge == 0
                || config.margin == 0 || config.epochLength % config.slotsPerEpoch != 0
                || config.intake >= config.postWindow
                || uint256(config.postWindow) + config.challenge + config.margin
                    > config.epochLength
                || (config.postWindow - config.intake) / config.roundLength >= type(uint16).max
        ) revert InvalidWindows();
        if (config.genesis < block.timestamp) {
            revert GenesisInPast(config.genesis, block.timestamp);
        }
        bytes32 codeHash = config.token.codehash;
        if (codeHash != config.tokenCodeHash || config.token.code.length == 0) {
            revert WrongToken(codeHash, config.tokenCodeHash);
        }
        registry = IRegistry(config.registry);
        vault = IVault(config.vault);
        judge = config.judge;
        token = IERC20(config.token);
        treasury = config.treasury;
        genesis = config.genesis;
        epochLength = config.epochLength;
        slotsPerEpoch = config.slotsPerEpoch;
        intake = config.intake;
        postWindow = config.postWindow;
        challenge = config.challenge;
        margin = config.margin;
        roundLength = config.roundLength;

        _requireWired(config);
        rate = IVault(config.vault).rate();
        _roster = IRegistry(config.registry).roster();
        // Stake must outlast the challenge of the last root it signed, a deposit that of the root which covers the
        // epoch after its exit.
        uint256 least = 2 * uint256(config.epochLength) + config.challenge;
        _requireDelay(IRegistry(config.registry).unbondDelay(), least);
        _requireDelay(IVault(config.vault).exitDelay(), least + config.postWindow);
        if (config.guardian != address(0)) {
            _guardian = config.guardian;
            _guardSince = uint48(block.timestamp);
            emit GuardianSet(config.guardian, block.timestamp);
        }
    }

    // Candidates and roots

    /// @inheritdoc ISettlement
    function propose(uint256 epoch, uint256 round, bytes32 digest) external {
        Cursor cursor = _cursor;
        if (_isMatured(cursor)) cursor = _activate(cursor);
        uint256 opensAt = _requireOpen(epoch);
        if (epoch <= cursor.lastPosted()) revert EpochAlreadyPosted(epoch, cursor.lastPosted());
        // The windows leave no time for this; the candidate would be written over the pending root.
        if (cursor.pendingActiveAt() != 0) revert RootPending(cursor.pendingActiveAt());
        uint256 openRound = (block.timestamp - opensAt) / roundLength;
        if (round != openRound) revert RoundNotOpen(round, openRound);
        if (epoch == cursor.candidateEpoch() && round == cursor.candidateRound()) {
            revert AlreadyProposed(epoch, round);
        }
        address proposer = proposerOf(epoch, round);
        if (msg.sender != proposer) revert NotProposer(msg.sender, proposer);
        if (digest == 0) revert ZeroDigest();

        // The constructor keeps rounds within 16 bits.
        _cursor = cursor.withCandidate(epoch.toUint24(), round);
        _records[1 - cursor.active()].root = digest;
        emit Proposed(epoch, round, msg.sender, digest);
    }

    /// @inheritdoc ISettlement
    function post(EpochAttestation calldata attestation, bytes calldata signatures) external {
        Cursor cursor = _cursor;
        if (_isLatest(attestation, cursor)) return;
        if (_isMatured(cursor)) cursor = _activate(cursor);
        if (cursor.maybePaused()) cursor = _requirePauseOver(cursor);
        if (cursor.pendingActiveAt() != 0) revert RootPending(cursor.pendingActiveAt());

        uint256 opensAt = _requireOpen(attestation.epoch);
        if (block.timestamp == opensAt) {
            revert OutsideWindow(opensAt + 1, opensAt - intake + postWindow, block.timestamp);
        }
        if (attestation.epoch <= cursor.lastPosted()) {
            revert EpochAlreadyPosted(attestation.epoch, cursor.lastPosted());
        }
        uint256 active = cursor.active();
        uint256[] memory roster = Roster.load(_roster);
        _requireSound(attestation, _records[active], cursor.activeThrough(), roster);
        bytes32 digest = _hashTypedDataV4(attestation.hash());
        bytes32 newest = _records[1 - active].root;
        if (
            digest != newest || attestation.epoch != cursor.candidateEpoch()
                || attestation.round != cursor.candidateRound()
        ) revert NotNewestCandidate(digest, newest);
        uint256 signers = Quorum.require_(roster, digest, signatures);

        uint256 activeAt = block.timestamp + challenge;
        // The candidate has the same epoch and round, so they fit; totals are within what the vault keeps
        // below 2^96.
        _cursor = cursor.withLastPosted(attestation.epoch).withPendingActiveAt(activeAt);
        _records[1 - active] = Stored({
            root: attestation.root,
            totalEarned: uint96(attestation.totalEarned),
            totalSpent: uint96(attestation.totalSpent),
            round: uint32(attestation.round),
            signers: uint32(signers)
        });
        emit Posted(
            attestation.epoch,
            attestation.round,
            attestation.root,
            attestation.through,
            attestation.totalEarned,
            attestation.totalSpent,
            attestation.stateDigest,
            attestation.manifestDigest,
            signers,
            activeAt
        );
    }

    /// @inheritdoc ISettlement
    function activate() external {
        Cursor cursor = _cursor;
        if (!_isMatured(cursor)) revert NothingToActivate(cursor.pendingActiveAt());
        _activate(cursor);
    }

    // Claims

    /// @inheritdoc ISettlement
    function claim(
        address account,
        uint256 earned,
        uint256 spent,
        uint256 points,
        uint256 reputation,
        bytes32[] calldata proof
    ) external {
        (Cursor cursor, bytes32 root) = _openClaims();
        Leaf memory leaf = Leaf(account, earned, spent, points, reputation);
        _requireLeaf(leaf, proof, root);

        Standing standing = _standings[account];
        if (earned <= standing.claimed()) revert NothingToClaim(account, standing.claimed());
        if (cursor.pot() == 0) revert PotEmpty(earned - standing.claimed());
        (address recipient, uint256 amount) = _settle(leaf, standing, cursor);
        emit Claimed(account, recipient, amount);

        token.safeTransfer(recipient, amount);
    }

    /// @inheritdoc ISettlement
    function claimMany(Leaf[] calldata leaves, bytes32[][] calldata proofs) external {
        if (leaves.length != proofs.length) revert LengthMismatch(leaves.length, proofs.length);
        (, bytes32 root) = _openClaims();
        if (root == 0) revert NoActiveRoot();

        for (uint256 i; i < leaves.length; ++i) {
            Leaf memory leaf = leaves[i];
            if (!leaf.inRange()) {
                emit ClaimSkipped(leaf.account, i, SkipReason.OutOfRange);
            } else if (leaf.hash().rootOf(proofs[i]) != root) {
                emit ClaimSkipped(leaf.account, i, SkipReason.NotInTree);
            } else {
                _payOrSkip(leaf, i);
            }
        }
    }

    /// @inheritdoc ISettlement
    function claimPacked(bytes calldata leaves, bytes32[] calldata proof, bytes calldata steps)
        external
    {
        (, bytes32 root) = _openClaims();
        if (root == 0) revert NoActiveRoot();
        (Leaf[] memory items, bytes32[] memory hashes) = leaves.unpack();
        if (hashes.rootOfMany(proof, steps) != root) revert Paths.InvalidMultiproof();

        for (uint256 i; i < items.length; ++i) {
            if (!items[i].inRange()) {
                emit ClaimSkipped(items[i].account, i, SkipReason.OutOfRange);
            } else {
                _payOrSkip(items[i], i);
            }
        }
    }

    /// @inheritdoc ISettlement
    function push(
        address account,
        uint256 earned,
        uint256 spent,
        uint256 points,
        uint256 reputation,
        bytes32[] calldata proof
    ) external {
        RootRecord memory active = activeRecord();
        if (active.root == 0) revert NoActiveRoot();
        _requireLeaf(Leaf(account, earned, spent, points, reputation), proof, active.root);
        Standing standing = _standings[account];
        if (active.epoch <= standing.epoch()) revert NotNewer(active.epoch, standing.epoch());

        _standings[account] = standing.withReputation(reputation, active.epoch);
        emit ReputationPushed(account, reputation, active.epoch);
    }

    /// @inheritdoc ISettlement
    function setRecipient(address account, address recipient) external {
        if (recipient == address(0)) revert ZeroAddress();
        address current = recipientOf(account);
        if (msg.sender != current && msg.sender != address(registry)) {
            revert NotRecipient(account, current, msg.sender);
        }
        _recipients[account] = recipient;
        _standings[account] = _standings[account].withRedirected(recipient != account);
        emit RecipientSet(account, recipient);
    }

    /// @inheritdoc ISettlement
    function useRoster(address roster) external {
        if (msg.sender != address(registry)) revert NotRegistry(msg.sender);
        _roster = roster;
    }

    /// @inheritdoc ISettlement
    function useFunds(uint256 funded, uint256 deposits) external {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        _funded = funded.toUint96();
        _deposits = deposits.toUint96();
    }

    // Guard and judge

    /// @inheritdoc ISettlement
    function cancel() external {
        _requireGuardian();
        // Who signed it stays answerable for as long as without the guardian.
        _triableUntil = uint48(_cancel());
    }

    /// @inheritdoc ISettlement
    function convict(address reporter) external {
        if (msg.sender != judge) revert NotJudge(msg.sender);
        // The records do not move before the next epoch, so this is the one that was tried.
        uint256 signers = _records[1 - _cursor.active()].signers;
        if (block.timestamp < _triableUntil) _triableUntil = 0;
        else _cancel();
        registry.convictSigners(signers, reporter);
    }

    /// @inheritdoc ISettlement
    function pause() external {
        _requireGuardian();
        if (block.timestamp < _pausableFrom) revert PauseTooSoon(_pausableFrom);
        uint256 until = block.timestamp + PAUSE;
        _pausedUntil = uint48(until);
        _pausableFrom = uint48(until + PAUSE_REST);
        _cursor = _cursor.withMaybePaused(true);
        emit Paused(until, until + PAUSE_REST);
    }

    /// @inheritdoc ISettlement
    function unpause() external {
        _requireGuardian();
        if (block.timestamp >= _pausedUntil) revert NotPaused();
        uint256 pausableFrom = block.timestamp + PAUSE_REST;
        _pausedUntil = 0;
        _pausableFrom = uint48(pausableFrom);
        _cursor = _cursor.withMaybePaused(false);
        emit Unpaused(pausableFrom);
    }

    /// @inheritdoc ISettlement
    function nominateGuardian(address nominee) external {
        if (msg.sender != _guardian) revert NotGuardian(msg.sender);
        _nominee = nominee;
        emit GuardianNominated(msg.sender, nominee);
    }

    /// @inheritdoc ISettlement
    function acceptGuard() external {
        if (msg.sender != _nominee) revert NotNominee(msg.sender, _nominee);
        _setGuardian(msg.sender, _guardSince);
    }

    /// @inheritdoc ISettlement
    function replaceGuardian(address guardian) external {
        if (msg.sender != address(registry)) revert NotRegistry(msg.sender);
        _setGuardian(guardian, block.timestamp + GUARD_DELAY);
    }

    // Views

    /// @inheritdoc ISettlement
    function activeRoot() external view returns (bytes32) {
        return activeRecord().root;
    }

    /// @inheritdoc ISettlement
    function pendingRoot() external view returns (bytes32) {
        return pendingRecord().root;
    }

    /// @inheritdoc ISettlement
    function activeRecord() public view returns (RootRecord memory) {
        Cursor cursor = _cursor;
        if (_isMatured(cursor)) return _pending(cursor);
        return _record(
            _records[cursor.active()], cursor.activeEpoch(), cursor.activeThrough(), uint256(0)
        );
    }

    /// @inheritdoc ISettlement
    function pendingRecord() public view returns (RootRecord memory record) {
        Cursor cursor = _cursor;
        if (cursor.pendingActiveAt() != 0 && !_isMatured(cursor)) record = _pending(cursor);
    }

    /// @inheritdoc ISettlement
    function triableRecord() external view returns (RootRecord memory record) {
        Cursor cursor = _cursor;
        uint256 until = block.timestamp < _triableUntil ? _triableUntil : cursor.pendingActiveAt();
        if (block.timestamp < until) {
            record = _pending(cursor);
            record.activeAt = until;
        }
    }

    /// @inheritdoc ISettlement
    function candidate() external view returns (uint256 epoch, uint256 round, bytes32 digest) {
        Cursor cursor = _cursor;
        if (cursor.candidateEpoch() <= cursor.lastPosted()) return (0, 0, 0);
        return
            (cursor.candidateEpoch(), cursor.candidateRound(), _records[1 - cursor.active()].root);
    }

    /// @inheritdoc ISettlement
    function proposerOf(uint256 epoch, uint256 round) public view returns (address) {
        return registry.draw(uint256(keccak256(abi.encode(epoch, round))));
    }

    /// @inheritdoc ISettlement
    function digestOf(EpochAttestation calldata attestation) external view returns (bytes32) {
        return _hashTypedDataV4(attestation.hash());
    }

    /// @inheritdoc ISettlement
    function lastPostedEpoch() external view returns (uint256) {
        return _cursor.lastPosted();
    }

    /// @inheritdoc ISettlement
    function isQuiet() external view returns (bool) {
        Cursor cursor = _cursor;
        if (
            block.timestamp < cursor.pendingActiveAt() || block.timestamp < _triableUntil
                || registry.unslashed() != 0
        ) return false;
        uint256 epoch = Windows.lastEnded(genesis, epochLength, block.timestamp);
        return
            epoch == 0 || epoch == cursor.lastPosted()
                || block.timestamp > endOf(epoch) + postWindow;
    }

    /// @inheritdoc ISettlement
    function epochAt(uint256 timestamp) external view returns (uint256) {
        return Windows.epochAt(genesis, epochLength, timestamp);
    }

    /// @inheritdoc ISettlement
    function endOf(uint256 epoch) public view returns (uint256) {
        return Windows.endOf(genesis, epochLength, epoch);
    }

    /// @inheritdoc ISettlement
    function claimedOf(address account) external view returns (uint256) {
        return _standings[account].claimed();
    }

    /// @inheritdoc ISettlement
    function reputationOf(address account)
        external
        view
        returns (uint256 reputation, uint256 epoch)
    {
        Standing standing = _standings[account];
        return (standing.reputation(), standing.epoch());
    }

    /// @inheritdoc ISettlement
    function pot() external view returns (uint256) {
        return _cursor.pot();
    }

    /// @inheritdoc ISettlement
    function recipientOf(address account) public view returns (address) {
        return _standings[account].redirected() ? _recipients[account] : account;
    }

    /// @inheritdoc ISettlement
    function guard() external view returns (Guard memory) {
        return Guard(_guardian, _guardSince, _nominee, _pausedUntil, _pausableFrom);
    }

    // Internals: roots

    /// @dev Swaps the records and feeds the pot. `post` made sure that the vault can pay, so this cannot fail and hold
    /// up claims. Requires of the caller: the pending root has matured.
    /// @return The cursor that storage holds then.
    function _activate(Cursor cursor) private returns (Cursor) {
        RootRecord memory record = _pending(cursor);
        uint256 growth = record.totalEarned - _records[cursor.active()].totalEarned;
        // The pot is part of what was funded and deposited, which the vault keeps below 2^96.
        cursor = cursor.credited(growth).withActivated(record.epoch, record.through);
        _cursor = cursor;
        emit Activated(record.epoch, record.root, cursor.pot());

        if (growth != 0) vault.feed(growth);
        // Read anew, in case the token called back.
        return _cursor;
    }

    /// @dev Requires: a root pending. Its epoch stays posted, so it is dead.
    /// @return activeAt When it would have become active.
    function _cancel() private returns (uint256 activeAt) {
        Cursor cursor = _cursor;
        activeAt = cursor.pendingActiveAt();
        if (activeAt == 0 || _isMatured(cursor)) revert NothingPending();
        _cursor = cursor.withPendingActiveAt(0);
        emit Cancelled(cursor.lastPosted(), _records[1 - cursor.active()].root, msg.sender);
    }

    /// @dev Whether an attestation says what the pending or the active record says.
    function _isLatest(EpochAttestation calldata attestation, Cursor cursor)
        private
        view
        returns (bool)
    {
        uint256 epoch = attestation.epoch;
        bool pending = cursor.pendingActiveAt() != 0 && epoch == cursor.lastPosted();
        bool active = epoch == cursor.activeEpoch() && !_isMatured(cursor);
        if (epoch == 0 || (!pending && !active)) return false;
        Stored storage record = _records[pending ? 1 - cursor.active() : cursor.active()];
        return attestation.root == record.root && attestation.round == record.round
            && attestation.totalEarned == record.totalEarned
            && attestation.totalSpent == record.totalSpent;
    }

    /// @dev Requires: the epoch is the one that ended last and its window is open.
    /// @return opensAt When its first round opened; posting begins a second later.
    function _requireOpen(uint256 epoch) private view returns (uint256 opensAt) {
        uint256 ended = Windows.lastEnded(genesis, epochLength, block.timestamp);
        if (epoch == 0 || epoch != ended) revert EpochNotOpen(epoch, ended);
        uint256 end = endOf(epoch);
        opensAt = end + intake;
        if (block.timestamp < opensAt || block.timestamp > end + postWindow) {
            revert OutsideWindow(opensAt, end + postWindow, block.timestamp);
        }
    }

    /// @dev Requires what must hold between an attestation, its parent, the rules and the funds.
    function _requireSound(
        EpochAttestation calldata attestation,
        Stored storage parent,
        uint256 parentThrough,
        uint256[] memory roster
    ) private view {
        if (attestation.root == 0) revert ZeroRoot();
        bytes32 parentRoot = parent.root;
        if (attestation.parentRoot != parentRoot) {
            revert WrongParentRoot(attestation.parentRoot, parentRoot);
        }
        bytes32 rules = bytes32(roster[Roster.RULES]);
        if (attestation.rulesDigest != rules) revert WrongRules(attestation.rulesDigest, rules);
        uint256 through = _throughOf(attestation.epoch, parentThrough);
        if (attestation.through != through) revert WrongThrough(attestation.through, through);

        (uint256 deposits, uint256 funded) = (_deposits, _funded);
        uint256 spent = attestation.totalSpent;
        uint256 parentSpent = parent.totalSpent;
        if (spent < parentSpent) revert SpentFell(spent, parentSpent);
        if (spent > deposits) revert AboveDeposits(spent, deposits);
        uint256 earned = attestation.totalEarned;
        uint256 parentEarned = parent.totalEarned;
        if (earned < parentEarned) revert EarnedFell(earned, parentEarned);
        uint256 budget = rate * (through - parentThrough) + spent - parentSpent;
        if (earned - parentEarned > budget) revert AboveBudget(earned - parentEarned, budget);
        if (earned > funded + spent) revert AboveFunds(earned, funded + spent);
    }

    /// @dev The last epoch that the root of `epoch` covers.
    function _throughOf(uint256 epoch, uint256 parentThrough) private pure returns (uint256) {
        return epoch - parentThrough > MAX_COVERED ? parentThrough + MAX_COVERED : epoch;
    }

    function _isMatured(Cursor cursor) private view returns (bool) {
        // Zero, which is for none, becomes the greatest number.
        unchecked {
            return cursor.pendingActiveAt() - 1 < block.timestamp;
        }
    }

    /// @dev The record that is pending or has matured without being activated.
    function _pending(Cursor cursor) private view returns (RootRecord memory) {
        return _record(
            _records[1 - cursor.active()],
            cursor.lastPosted(),
            _throughOf(cursor.lastPosted(), cursor.activeThrough()),
            cursor.pendingActiveAt()
        );
    }

    function _record(Stored storage stored, uint256 epoch, uint256 through, uint256 activeAt)
        private
        view
        returns (RootRecord memory)
    {
        return RootRecord({
            root: stored.root,
            totalEarned: stored.totalEarned,
            totalSpent: stored.totalSpent,
            epoch: epoch,
            through: through,
            round: stored.round,
            activeAt: activeAt,
            signers: stored.signers
        });
    }

    // Internals: claims

    /// @dev Activates a matured root first. Requires: not paused, an active root.
    function _openClaims() private returns (Cursor cursor, bytes32 root) {
        cursor = _cursor;
        if (_isMatured(cursor)) cursor = _activate(cursor);
        if (cursor.maybePaused()) cursor = _requirePauseOver(cursor);
        root = _records[cursor.active()].root;
    }

    function _requireLeaf(Leaf memory leaf, bytes32[] calldata proof, bytes32 root) private pure {
        if (!leaf.inRange()) revert LeafOutOfRange();
        if (leaf.hash().rootOf(proof) != root) {
            if (root == 0) revert NoActiveRoot();
            revert NotInTree(leaf.account, root);
        }
    }

    /// @dev Pays an item of a batch, whose leaf is proven, or says why not.
    function _payOrSkip(Leaf memory leaf, uint256 index) private {
        // Each time anew, in case a transfer before this one called back.
        Cursor cursor = _cursor;
        Standing standing = _standings[leaf.account];
        if (leaf.earned <= standing.claimed()) {
            emit ClaimSkipped(leaf.account, index, SkipReason.NothingDue);
        } else if (cursor.pot() == 0) {
            emit ClaimSkipped(leaf.account, index, SkipReason.PotEmpty);
        } else {
            (address recipient, uint256 amount) = _settle(leaf, standing, cursor);
            if (token.trySafeTransfer(recipient, amount)) {
                emit Claimed(leaf.account, recipient, amount);
                return;
            }
            _cursor = _cursor.credited(amount);
            _standings[leaf.account] = _standings[leaf.account].unclaimed(amount)
                .withReputation(standing.reputation(), standing.epoch());
            emit ClaimSkipped(leaf.account, index, SkipReason.TransferFailed);
        }
    }

    /// @dev Books what is due, at most the pot, as paid, before any token moves. `standing` and `cursor` are what storage
    /// holds. Requires: something due, pot not empty.
    function _settle(Leaf memory leaf, Standing standing, Cursor cursor)
        private
        returns (address recipient, uint256 amount)
    {
        unchecked {
            amount = leaf.earned - standing.claimed();
        }
        if (amount > cursor.pot()) amount = cursor.pot();
        _cursor = cursor.debited(amount);
        standing = standing.paid(amount);
        uint256 epoch = cursor.activeEpoch();
        if (epoch > standing.epoch()) standing = standing.withReputation(leaf.reputation, epoch);
        _standings[leaf.account] = standing;
        recipient = standing.redirected() ? _recipients[leaf.account] : leaf.account;
    }

    // Internals: guard and wiring

    /// @dev Requires: no pause now. Notes that there is none to look up.
    /// @return The cursor that storage holds then.
    function _requirePauseOver(Cursor cursor) private returns (Cursor) {
        if (block.timestamp < _pausedUntil) revert IsPaused(_pausedUntil);
        cursor = cursor.withMaybePaused(false);
        _cursor = cursor;
        return cursor;
    }

    function _requireGuardian() private view {
        if (msg.sender != _guardian || block.timestamp < _guardSince) {
            revert NotGuardian(msg.sender);
        }
    }

    function _setGuardian(address guardian, uint256 since) private {
        _guardian = guardian;
        _guardSince = uint48(since);
        _nominee = address(0);
        emit GuardianSet(guardian, since);
    }

    function _requireDelay(uint256 delay, uint256 least) private pure {
        if (delay < least) revert DelayTooShort(delay, least);
    }

    /// @dev Requires: registry, vault and judge name this contract, registry and vault its token.
    function _requireWired(Config memory config) private view {
        IRegistry registry_ = IRegistry(config.registry);
        if (
            address(registry_.settlement()) != address(this)
                || address(registry_.token()) != config.token
        ) {
            revert NotWired(config.registry);
        }
        IVault vault_ = IVault(config.vault);
        if (
            address(vault_.settlement()) != address(this) || address(vault_.token()) != config.token
        ) {
            revert NotWired(config.vault);
        }
        if (address(IJudge(config.judge).settlement()) != address(this)) {
            revert NotWired(config.judge);
        }
    }
}
