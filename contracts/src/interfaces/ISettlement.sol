// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IRegistry} from "./IRegistry.sol";
import {IVault} from "./IVault.sol";

/// @title Candidates, roots and claims
/// @notice In each epoch the chain orders the candidates, a quorum of the stake signs the newest, anyone
/// posts it, and after a delay accounts claim against it. At any time exactly one root verifies.
interface ISettlement {
    /// @notice What is fixed at deployment. Times are in seconds.
    /// @param genesis Start of epoch 1, block time; not in the past.
    /// @param epochLength Length of an epoch.
    /// @param slotsPerEpoch Slots of an epoch; divides its length.
    /// @param intake From an epoch's end: until then proofs are taken and nothing can be posted.
    /// @param postWindow From an epoch's end: until then, inclusive, its root can be posted.
    /// @param challenge From a root's posting: then it is active.
    /// @param margin What must be left of the next epoch after all that.
    /// @param roundLength Length of a proposer's round.
    struct Config {
        address registry;
        address vault;
        address token;
        address treasury;
        uint64 genesis;
        uint64 epochLength;
        uint64 slotsPerEpoch;
        uint64 intake;
        uint64 postWindow;
        uint64 challenge;
        uint64 margin;
        uint64 roundLength;
    }

    /// @notice What validators sign about an epoch (EIP-712, domain "DPN" version "1" of this contract).
    /// @param epoch The epoch that has just ended.
    /// @param through The last epoch this root covers.
    /// @param round The round of the candidate.
    /// @param parentRoot The active root; 0 if there is none yet.
    /// @param parentStateDigest Its state digest; 0 if there is none yet.
    /// @param stateDigest Digest of the state file the next epoch starts from.
    /// @param root Root of the tree of leaves.
    /// @param totalEarned Sum of all leaves' earned, token wei, lifetime.
    /// @param totalSpent Sum of all leaves' spent, token wei, lifetime.
    /// @param anchorBlockHash Hash of the block up to which the chain was read.
    /// @param rulesDigest Digest of the rules applied.
    /// @param manifestDigest Digest of the manifest: the inputs of the computation.
    struct EpochAttestation {
        uint256 epoch;
        uint256 through;
        uint256 round;
        bytes32 parentRoot;
        bytes32 parentStateDigest;
        bytes32 stateDigest;
        bytes32 root;
        uint256 totalEarned;
        uint256 totalSpent;
        bytes32 anchorBlockHash;
        bytes32 rulesDigest;
        bytes32 manifestDigest;
    }

    /// @notice A root as it is stored.
    /// @param postedAt Block time of its posting, seconds.
    /// @param signers Bitmap of those who signed it, by position in `registry.validators()`.
    struct RootRecord {
        bytes32 root;
        bytes32 stateDigest;
        uint96 totalEarned;
        uint96 totalSpent;
        uint64 postedAt;
        uint64 epoch;
        uint64 through;
        uint64 round;
        uint32 signers;
    }

    /// @notice One leaf of a root's tree; hashed as OpenZeppelin's StandardMerkleTree does.
    /// @param earned Lifetime, token wei, below 2^96.
    /// @param spent Lifetime, token wei, below 2^96.
    /// @param points Below 2^64.
    /// @param reputation Parts per million, at most 1,000,000.
    struct Leaf {
        address account;
        uint256 earned;
        uint256 spent;
        uint256 points;
        uint256 reputation;
    }

    /// @notice Why an item of a batch was passed over.
    enum SkipReason {
        OutOfRange,
        NotInTree,
        NothingDue,
        PotEmpty
    }

    event Proposed(
        uint256 indexed epoch, uint256 indexed round, address indexed proposer, bytes32 digest
    );
    event Posted(
        uint256 indexed epoch,
        uint256 indexed round,
        bytes32 indexed root,
        uint256 through,
        uint256 totalEarned,
        uint256 totalSpent,
        bytes32 stateDigest,
        bytes32 manifestDigest,
        uint256 signers,
        uint256 activeAt
    );
    event Activated(uint256 indexed epoch, bytes32 indexed root, uint256 pot);
    event Claimed(
        address indexed account, address indexed recipient, uint256 amount, uint256 epoch
    );
    event ClaimSkipped(address indexed account, uint256 index, SkipReason reason);
    event ReputationPushed(address indexed account, uint256 reputation, uint256 epoch);

    error ZeroAddress();
    error InvalidWindows();
    error GenesisInPast(uint256 genesis, uint256 timestamp);
    error NotWired(address part);
    error EpochNotOpen(uint256 epoch, uint256 lastEnded);
    error OutsideWindow(uint256 opensAt, uint256 closesAt, uint256 timestamp);
    error EpochAlreadyPosted(uint256 epoch, uint256 lastPosted);
    error RoundNotOpen(uint256 round, uint256 openRound);
    error AlreadyProposed(uint256 epoch, uint256 round);
    error NotProposer(address caller, address proposer);
    error ZeroDigest();
    error ZeroRoot();
    error RootPending(uint256 activeAt);
    error NotNewestCandidate(bytes32 digest, bytes32 candidate);
    error WrongParentRoot(bytes32 given, bytes32 active);
    error WrongParentState(bytes32 given, bytes32 active);
    error WrongThrough(uint256 given, uint256 expected);
    error WrongRules(bytes32 given, bytes32 inForce);
    error EarnedFell(uint256 given, uint256 parent);
    error SpentChanged(uint256 given, uint256 parent);
    error AboveBudget(uint256 growth, uint256 budget);
    error AboveFunds(uint256 earned, uint256 funds);
    error InvalidSignatures(uint256 length);
    error InvalidSignature(uint256 index);
    error SignersNotAscending(address previous, address signer);
    error StakeTooLow(uint256 total, uint256 minTotal);
    error QuorumNotReached(uint256 signed, uint256 total);
    error NothingToActivate(uint256 activeAt);
    error NoActiveRoot();
    error LeafOutOfRange();
    error NotInTree(address account, bytes32 root);
    error NothingToClaim(address account, uint256 claimed);
    error PotEmpty(uint256 due);
    error NotNewer(uint256 epoch, uint256 stored);
    error LengthMismatch(uint256 leaves, uint256 proofs);

    /// @notice Records the digest of the caller's attestation as the epoch's newest candidate.
    /// @dev Requires: the epoch has just ended, is inside its post window and not posted; the round is
    /// the one open now and has no candidate; the caller is its proposer; the digest is not zero.
    function propose(uint256 epoch, uint256 round, bytes32 digest) external;

    /// @notice Posts a root. Anyone may carry the signatures.
    /// @param signatures 65 bytes (r, s, v) each, s low, by strictly ascending signer.
    /// @dev Exactly what is pending or active already: returns without effect. Otherwise activates a
    /// matured root first and requires: no root pending; the epoch has just ended and is above
    /// every epoch posted before; inside its post window; the newest candidate; parent root and state
    /// are the active ones; `through` is the epoch or seven past the active root's, whichever is
    /// less; the rules in force; root not zero; earned not below the parent's, its growth within the rate
    /// times the epochs covered plus the growth of spent, and the whole within what was funded plus
    /// spent; spent the parent's; signers hold 2/3 of the stake, which is at least `minTotal`.
    function post(EpochAttestation calldata attestation, bytes calldata signatures) external;

    /// @notice Makes a matured root the active one for good and moves its growth of earned from the vault
    /// into the pot. Anyone may call; `post`, `claim` and `claimMany` do it by themselves.
    function activate() external;

    /// @notice Pays an account's earned less what was claimed to its recipient. Anyone may call.
    /// @dev Also stores reputation and epoch when the root is newer than what is stored. Pays at most the
    /// pot and remembers the rest. Requires: a leaf of the active root, in range; something due; pot
    /// not empty.
    function claim(
        address account,
        uint256 earned,
        uint256 spent,
        uint256 points,
        uint256 reputation,
        bytes32[] calldata proof
    ) external;

    /// @notice Claims for many accounts; an item that cannot be paid is passed over with an event.
    /// @dev Requires: an active root, as many proofs as leaves.
    function claimMany(Leaf[] calldata leaves, bytes32[][] calldata proofs) external;

    /// @notice Stores reputation and epoch from a leaf of the active root; moves no money.
    /// @dev Requires: a leaf of the active root, in range; the root newer than what is stored.
    function push(
        address account,
        uint256 earned,
        uint256 spent,
        uint256 points,
        uint256 reputation,
        bytes32[] calldata proof
    ) external;

    /// @notice The root claims are checked against; a matured one counts. 0 if there is none yet.
    function activeRoot() external view returns (bytes32);

    /// @notice The root that waits for its activation; 0 if there is none.
    function pendingRoot() external view returns (bytes32);

    /// @notice Record of `activeRoot()`; all zero if there is none.
    function activeRecord() external view returns (RootRecord memory);

    /// @notice Record of `pendingRoot()`; all zero if there is none.
    function pendingRecord() external view returns (RootRecord memory);

    /// @notice The newest recorded candidate, of whatever epoch; all zero if there is none.
    function candidate() external view returns (uint256 epoch, uint256 round, bytes32 digest);

    /// @notice Who may propose in a round, by the stakes of now; zero if no validator has stake.
    function proposerOf(uint256 epoch, uint256 round) external view returns (address);

    /// @notice The EIP-712 digest of an attestation: what validators sign and proposers record.
    function digestOf(EpochAttestation calldata attestation) external view returns (bytes32);

    /// @notice The newest epoch that was posted; 0 if there is none.
    function lastPostedEpoch() external view returns (uint256);

    /// @notice Whether stake may change now: no root pending, and the last ended epoch posted or past
    /// its post window; always until epoch 1 ends.
    function isQuiet() external view returns (bool);

    /// @notice The epoch a time lies in; 0 before genesis.
    function epochAt(uint256 timestamp) external view returns (uint256);

    /// @notice The first second after an epoch.
    function endOf(uint256 epoch) external view returns (uint256);

    /// @notice What has been paid for an account, token wei, lifetime.
    function claimedOf(address account) external view returns (uint256);

    /// @notice An account's reputation (parts per million) and the epoch of the root it was read from.
    function reputationOf(address account) external view returns (uint256 reputation, uint256 epoch);

    /// @notice What is left to pay claims from, token wei, growth not yet activated excluded.
    function pot() external view returns (uint256);

    function registry() external view returns (IRegistry);
    function vault() external view returns (IVault);
    function token() external view returns (IERC20);
    function treasury() external view returns (address);
    function genesis() external view returns (uint256);
    function epochLength() external view returns (uint256);
    function slotsPerEpoch() external view returns (uint256);
    function intake() external view returns (uint256);
    function postWindow() external view returns (uint256);
    function challenge() external view returns (uint256);
    function margin() external view returns (uint256);
    function roundLength() external view returns (uint256);
}
