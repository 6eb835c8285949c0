// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Attestations} from "./libraries/Attestations.sol";
import {Leaves} from "./libraries/Leaves.sol";
import {Windows} from "./libraries/Windows.sol";

/// @title Candidates, roots and claims
/// @notice See {ISettlement} for what each function promises.
contract Settlement is ISettlement, EIP712 {
    using Attestations for EpochAttestation;
    using Leaves for Leaf;
    using SafeERC20 for IERC20;

    /// @dev Most epochs one root covers.
    uint256 private constant MAX_COVERED = 7;
    uint256 private constant SIGNATURE_LENGTH = 65;

    /// @dev Everything a claim needs about the roots beside the root itself, in one slot.
    /// @param pot What is left to pay claims from.
    /// @param activeEpoch Epoch of the active record; 0 if there is none.
    /// @param lastPosted Newest epoch posted.
    /// @param pendingActiveAt When the pending record matures; 0 if there is none.
    /// @param active Which of the two records is the active one; a pending one is the other.
    struct Cursor {
        uint96 pot;
        uint48 activeEpoch;
        uint48 lastPosted;
        uint48 pendingActiveAt;
        uint8 active;
    }

    struct Candidate {
        bytes32 digest;
        uint64 epoch;
        uint64 round;
    }

    struct Account {
        uint96 claimed;
        uint32 reputation;
        uint48 epoch;
    }

    /// @inheritdoc ISettlement
    IRegistry public immutable registry;
    /// @inheritdoc ISettlement
    IVault public immutable vault;
    /// @inheritdoc ISettlement
    IERC20 public immutable token;
    /// @inheritdoc ISettlement
    address public immutable treasury;
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
    /// posting overwrites used slots and copies nothing.
    RootRecord[2] private _records;
    Candidate private _candidate;
    mapping(address account => Account) private _accounts;

    constructor(Config memory config) EIP712("DPN", "1") {
        if (config.treasury == address(0)) revert ZeroAddress();
        if (
            config.roundLength == 0 || config.slotsPerEpoch == 0 || config.challenge == 0
                || config.epochLength % config.slotsPerEpoch != 0
                || config.intake >= config.postWindow
                || uint256(config.postWindow) + config.challenge + config.margin
                    > config.epochLength
        ) revert InvalidWindows();
        if (config.genesis < block.timestamp) {
            revert GenesisInPast(config.genesis, block.timestamp);
        }
        registry = IRegistry(config.registry);
        vault = IVault(config.vault);
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

        IRegistry registry_ = IRegistry(config.registry);
        if (address(registry_.settlement()) != address(this)) revert NotWired(config.registry);
        if (address(registry_.token()) != config.token) revert NotWired(config.registry);
        IVault vault_ = IVault(config.vault);
        if (address(vault_.settlement()) != address(this)) revert NotWired(config.vault);
        if (address(vault_.token()) != config.token) revert NotWired(config.vault);
    }

    // Roots

    /// @inheritdoc ISettlement
    function propose(uint256 epoch, uint256 round, bytes32 digest) external {
        uint256 opensAt = _requireOpen(epoch);
        uint256 lastPosted = _cursor.lastPosted;
        if (epoch <= lastPosted) revert EpochAlreadyPosted(epoch, lastPosted);
        uint256 openRound = (block.timestamp - opensAt) / roundLength;
        if (round != openRound) revert RoundNotOpen(round, openRound);
        Candidate storage newest = _candidate;
        if (newest.epoch == epoch && newest.round == round) revert AlreadyProposed(epoch, round);
        if (digest == 0) revert ZeroDigest();
        address proposer = proposerOf(epoch, round);
        if (msg.sender != proposer) revert NotProposer(msg.sender, proposer);

        // Both are bounded by the block's time divided by at least one second.
        _candidate = Candidate(digest, uint64(epoch), uint64(round));
        emit Proposed(epoch, round, msg.sender, digest);
    }

    /// @inheritdoc ISettlement
    function post(EpochAttestation calldata attestation, bytes calldata signatures) external {
        if (_isLatest(attestation)) return;
        _activateIfMatured();
        Cursor memory cursor = _cursor;
        if (cursor.pendingActiveAt != 0) revert RootPending(cursor.pendingActiveAt);

        uint256 opensAt = _requireOpen(attestation.epoch);
        if (block.timestamp == opensAt) {
            revert OutsideWindow(opensAt + 1, opensAt - intake + postWindow, block.timestamp);
        }
        if (attestation.epoch <= cursor.lastPosted) {
            revert EpochAlreadyPosted(attestation.epoch, cursor.lastPosted);
        }
        _requireSound(attestation, _records[cursor.active]);
        bytes32 digest = _hashTypedDataV4(attestation.hash());
        Candidate storage newest = _candidate;
        if (
            digest != newest.digest || attestation.epoch != newest.epoch
                || attestation.round != newest.round
        ) revert NotNewestCandidate(digest, newest.digest);
        uint256 signers = _requireQuorum(digest, signatures);

        uint256 activeAt = block.timestamp + challenge;
        cursor.lastPosted = uint48(attestation.epoch);
        cursor.pendingActiveAt = uint48(activeAt);
        _cursor = cursor;
        // Totals fit: earned is within funded plus spent, which the vault keeps below 2^96, and spent is
        // the parent's. `through` is at most the epoch, which with the round is bounded by time.
        _records[1 - cursor.active] = RootRecord({
            root: attestation.root,
            stateDigest: attestation.stateDigest,
            totalEarned: uint96(attestation.totalEarned),
            totalSpent: uint96(attestation.totalSpent),
            postedAt: uint64(block.timestamp),
            epoch: uint64(attestation.epoch),
            through: uint64(attestation.through),
            round: uint64(attestation.round),
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
        if (!_activateIfMatured()) revert NothingToActivate(_cursor.pendingActiveAt);
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
        _activateIfMatured();
        Cursor memory cursor = _cursor;
        bytes32 root = _requireActive(cursor);
        Leaf memory leaf = Leaf(account, earned, spent, points, reputation);
        _requireLeaf(leaf, proof, root);

        Account memory stored = _accounts[account];
        if (earned <= stored.claimed) revert NothingToClaim(account, stored.claimed);
        if (cursor.pot == 0) revert PotEmpty(earned - stored.claimed);
        _pay(leaf, stored, cursor);
    }

    /// @inheritdoc ISettlement
    function claimMany(Leaf[] calldata leaves, bytes32[][] calldata proofs) external {
        if (leaves.length != proofs.length) revert LengthMismatch(leaves.length, proofs.length);
        _activateIfMatured();
        Cursor memory cursor = _cursor;
        bytes32 root = _requireActive(cursor);

        for (uint256 i; i < leaves.length; ++i) {
            Leaf memory leaf = leaves[i];
            Account memory stored = _accounts[leaf.account];
            if (!leaf.inRange()) {
                emit ClaimSkipped(leaf.account, i, SkipReason.OutOfRange);
            } else if (!MerkleProof.verifyCalldata(proofs[i], root, leaf.hash())) {
                emit ClaimSkipped(leaf.account, i, SkipReason.NotInTree);
            } else if (leaf.earned <= stored.claimed) {
                emit ClaimSkipped(leaf.account, i, SkipReason.NothingDue);
            } else if (cursor.pot == 0) {
                emit ClaimSkipped(leaf.account, i, SkipReason.PotEmpty);
            } else {
                _pay(leaf, stored, cursor);
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
        RootRecord storage active = _records[_activeIndex(_cursor)];
        bytes32 root = active.root;
        if (root == 0) revert NoActiveRoot();
        _requireLeaf(Leaf(account, earned, spent, points, reputation), proof, root);
        uint256 epoch = active.epoch;
        Account storage stored = _accounts[account];
        if (epoch <= stored.epoch) revert NotNewer(epoch, stored.epoch);

        stored.reputation = uint32(reputation);
        stored.epoch = uint48(epoch);
        emit ReputationPushed(account, reputation, epoch);
    }

    // Views

    /// @inheritdoc ISettlement
    function activeRoot() external view returns (bytes32) {
        return _records[_activeIndex(_cursor)].root;
    }

    /// @inheritdoc ISettlement
    function pendingRoot() external view returns (bytes32) {
        return pendingRecord().root;
    }

    /// @inheritdoc ISettlement
    function activeRecord() external view returns (RootRecord memory) {
        return _records[_activeIndex(_cursor)];
    }

    /// @inheritdoc ISettlement
    function pendingRecord() public view returns (RootRecord memory record) {
        Cursor memory cursor = _cursor;
        if (block.timestamp < cursor.pendingActiveAt) record = _records[1 - cursor.active];
    }

    /// @inheritdoc ISettlement
    function candidate() external view returns (uint256 epoch, uint256 round, bytes32 digest) {
        Candidate storage newest = _candidate;
        return (newest.epoch, newest.round, newest.digest);
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
        return _cursor.lastPosted;
    }

    /// @inheritdoc ISettlement
    function isQuiet() external view returns (bool) {
        Cursor memory cursor = _cursor;
        if (block.timestamp < cursor.pendingActiveAt) return false;
        uint256 epoch = Windows.lastEnded(genesis, epochLength, block.timestamp);
        return
            epoch == 0 || epoch == cursor.lastPosted || block.timestamp > endOf(epoch) + postWindow;
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
        return _accounts[account].claimed;
    }

    /// @inheritdoc ISettlement
    function reputationOf(address account)
        external
        view
        returns (uint256 reputation, uint256 epoch)
    {
        Account storage stored = _accounts[account];
        return (stored.reputation, stored.epoch);
    }

    /// @inheritdoc ISettlement
    function pot() external view returns (uint256) {
        return _cursor.pot;
    }

    // Internals

    /// @dev Swaps the records and feeds the pot if the pending root has matured. `post` made sure that the
    /// vault can pay, so this cannot fail and hold up claims.
    /// @return Whether it did.
    function _activateIfMatured() private returns (bool) {
        Cursor memory cursor = _cursor;
        if (cursor.pendingActiveAt == 0 || block.timestamp < cursor.pendingActiveAt) return false;
        RootRecord storage parent = _records[cursor.active];
        RootRecord storage record = _records[1 - cursor.active];

        uint256 growth = record.totalEarned - parent.totalEarned;
        cursor.pot += uint96(growth);
        cursor.activeEpoch = uint48(record.epoch);
        cursor.pendingActiveAt = 0;
        cursor.active = 1 - cursor.active;
        _cursor = cursor;
        emit Activated(record.epoch, record.root, cursor.pot);

        if (growth != 0) vault.feed(growth);
        return true;
    }

    /// @dev Pays what is due, at most the pot. `stored` and `cursor` are what storage holds; both are
    /// updated there and in memory before the token moves. Requires: something due, pot not empty.
    function _pay(Leaf memory leaf, Account memory stored, Cursor memory cursor) private {
        uint256 amount = leaf.earned - stored.claimed;
        if (amount > cursor.pot) amount = cursor.pot;

        cursor.pot -= uint96(amount);
        _cursor.pot = cursor.pot;
        stored.claimed += uint96(amount);
        if (cursor.activeEpoch > stored.epoch) {
            stored.reputation = uint32(leaf.reputation);
            stored.epoch = cursor.activeEpoch;
        }
        _accounts[leaf.account] = stored;
        address recipient = registry.recipientOf(leaf.account);
        emit Claimed(leaf.account, recipient, amount, cursor.activeEpoch);

        token.safeTransfer(recipient, amount);
    }

    /// @dev Whether an attestation says what the newest posted record, pending or active, says.
    function _isLatest(EpochAttestation calldata attestation) private view returns (bool) {
        Cursor memory cursor = _cursor;
        if (attestation.epoch == 0 || attestation.epoch != cursor.lastPosted) return false;
        uint256 index = cursor.pendingActiveAt == 0 ? cursor.active : 1 - cursor.active;
        RootRecord storage record = _records[index];
        return attestation.root == record.root && attestation.stateDigest == record.stateDigest
            && attestation.round == record.round && attestation.through == record.through
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

    /// @dev Requires what must hold between an attestation, its parent and the funds.
    function _requireSound(EpochAttestation calldata attestation, RootRecord storage parent)
        private
        view
    {
        if (attestation.root == 0) revert ZeroRoot();
        if (attestation.parentRoot != parent.root) {
            revert WrongParentRoot(attestation.parentRoot, parent.root);
        }
        if (attestation.parentStateDigest != parent.stateDigest) {
            revert WrongParentState(attestation.parentStateDigest, parent.stateDigest);
        }
        bytes32 rules = registry.rulesDigest();
        if (attestation.rulesDigest != rules) revert WrongRules(attestation.rulesDigest, rules);

        uint256 covered = attestation.epoch - parent.through;
        if (covered > MAX_COVERED) covered = MAX_COVERED;
        uint256 through = parent.through + covered;
        if (attestation.through != through) revert WrongThrough(attestation.through, through);

        // Consumers have no deposits to spend from, so nothing can have been spent. Where deposits exist,
        // this becomes: not below the parent's, and within what is deposited.
        uint256 spent = attestation.totalSpent;
        if (spent != parent.totalSpent) revert SpentChanged(spent, parent.totalSpent);
        uint256 earned = attestation.totalEarned;
        if (earned < parent.totalEarned) revert EarnedFell(earned, parent.totalEarned);
        uint256 growth = earned - parent.totalEarned;
        uint256 budget = vault.rate() * covered + spent - parent.totalSpent;
        if (growth > budget) revert AboveBudget(growth, budget);
        uint256 funds = vault.funded() + spent;
        if (earned > funds) revert AboveFunds(earned, funds);
    }

    /// @dev Requires: valid signatures of validators that hold 2/3 of enough stake.
    /// @return bitmap The signers, by position in `registry.validators()`.
    function _requireQuorum(bytes32 digest, bytes calldata signatures)
        private
        view
        returns (uint256 bitmap)
    {
        if (signatures.length % SIGNATURE_LENGTH != 0) {
            revert InvalidSignatures(signatures.length);
        }
        address[] memory signers = new address[](signatures.length / SIGNATURE_LENGTH);
        address previous;
        for (uint256 i; i < signers.length; ++i) {
            uint256 start = i * SIGNATURE_LENGTH;
            (address signer, ECDSA.RecoverError failure,) =
                ECDSA.tryRecoverCalldata(digest, signatures[start:start + SIGNATURE_LENGTH]);
            if (failure != ECDSA.RecoverError.NoError) revert InvalidSignature(i);
            if (signer <= previous) revert SignersNotAscending(previous, signer);
            signers[i] = signer;
            previous = signer;
        }
        uint256 signed;
        uint256 total;
        (bitmap, signed, total) = registry.weigh(signers);
        uint256 minTotal = registry.minTotal();
        if (total < minTotal) revert StakeTooLow(total, minTotal);
        if (3 * signed < 2 * total) revert QuorumNotReached(signed, total);
    }

    function _requireActive(Cursor memory cursor) private view returns (bytes32 root) {
        root = _records[cursor.active].root;
        if (root == 0) revert NoActiveRoot();
    }

    function _requireLeaf(Leaf memory leaf, bytes32[] calldata proof, bytes32 root) private pure {
        if (!leaf.inRange()) revert LeafOutOfRange();
        if (!MerkleProof.verifyCalldata(proof, root, leaf.hash())) {
            revert NotInTree(leaf.account, root);
        }
    }

    /// @dev Where the active record is, a matured pending one included.
    function _activeIndex(Cursor memory cursor) private view returns (uint256) {
        bool matured = cursor.pendingActiveAt != 0 && block.timestamp >= cursor.pendingActiveAt;
        return matured ? 1 - cursor.active : cursor.active;
    }
}
