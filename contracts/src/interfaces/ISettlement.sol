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
    /// @param guardian Who may cancel and pause from the start; zero for nobody.
    /// @param tokenCodeHash Code hash the token must have.
    struct Config {
        address registry;
        address vault;
        address judge;
        address token;
        address treasury;
        address guardian;
        bytes32 tokenCodeHash;
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

    /// @notice A root as it is stored. Its state digest stands in its `Posted` event.
    /// @param activeAt When a pending one becomes active, seconds; 0 for one that was activated.
    /// @param signers Bitmap of those who signed it, by position in `registry.validators()`.
    struct RootRecord {
        bytes32 root;
        uint256 totalEarned;
        uint256 totalSpent;
        uint256 epoch;
        uint256 through;
        uint256 round;
        uint256 activeAt;
        uint256 signers;
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
        PotEmpty,
        TransferFailed
    }

    /// @notice Who guards.
    /// @param guardian Zero if there is none.
    /// @param since When its powers begin, seconds.
    /// @param nominee Who may take over by accepting; zero if nobody.
    /// @param pausedUntil Until then, exclusive, nothing is posted and nobody claims; seconds.
    /// @param pausableFrom From then on it may pause again, seconds.
    struct Guard {
        address guardian;
        uint256 since;
        address nominee;
        uint256 pausedUntil;
        uint256 pausableFrom;
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
    /// @notice By a leaf of the root that was activated last.
    event Claimed(address indexed account, address recipient, uint256 amount);
    event ClaimSkipped(address indexed account, uint256 index, SkipReason reason);
    event ReputationPushed(address indexed account, uint256 reputation, uint256 epoch);
    event RecipientSet(address indexed account, address indexed recipient);
    /// @notice A pending root is gone for good, and its epoch dead.
    /// @param by The guardian, or the judge's contract.
    event Cancelled(uint256 indexed epoch, bytes32 indexed root, address indexed by);
    event GuardianNominated(address indexed guardian, address indexed nominee);
    event GuardianSet(address indexed guardian, uint256 since);
    event Paused(uint256 until, uint256 pausableFrom);
    event Unpaused(uint256 pausableFrom);

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
    error WrongThrough(uint256 given, uint256 expected);
    error WrongRules(bytes32 given, bytes32 inForce);
    error EarnedFell(uint256 given, uint256 parent);
    error SpentFell(uint256 given, uint256 parent);
    error AboveDeposits(uint256 spent, uint256 deposits);
    error AboveBudget(uint256 growth, uint256 budget);
    error AboveFunds(uint256 earned, uint256 funds);
    error NothingToActivate(uint256 activeAt);
    error NoActiveRoot();
    error LeafOutOfRange();
    error NotInTree(address account, bytes32 root);
    error NothingToClaim(address account, uint256 claimed);
    error PotEmpty(uint256 due);
    error NotNewer(uint256 epoch, uint256 stored);
    error LengthMismatch(uint256 leaves, uint256 proofs);
    error WrongToken(bytes32 codeHash, bytes32 expected);
    error DelayTooShort(uint256 delay, uint256 least);
    error NotRecipient(address account, address recipient, address caller);
    error NotRegistry(address caller);
    error NotVault(address caller);
    error NotJudge(address caller);
    error NotGuardian(address caller);
    error NotNominee(address caller, address nominee);
    error NothingPending();
    error IsPaused(uint256 until);
    error NotPaused();
    error PauseTooSoon(uint256 pausableFrom);

    /// @notice Records the digest of the caller's attestation as the epoch's newest candidate.
    /// @dev Requires: the epoch has just ended, is inside its post window and not posted; the round is
    /// the one open now and has no candidate; the caller is its proposer; the digest is not zero.
    function propose(uint256 epoch, uint256 round, bytes32 digest) external;

    /// @notice Posts a root. Anyone may carry the signatures.
    /// @param signatures 65 bytes (r, s, v) each, s low, by strictly ascending signer.
    /// @dev What is pending or active already, told by epoch, round, root and totals: returns without effect. Otherwise activates a
    /// matured root first and requires: no root pending; the epoch has just ended and is above
    /// every epoch posted before, cancelled ones included; inside its post window; not paused; the
    /// newest candidate; the parent root is the active one; `through` is the epoch or seven past the
    /// active root's, whichever is less; the rules in force; root not zero; spent not below the parent's
    /// and within the deposits; earned not below the parent's, its growth within the rate times the epochs
    /// covered plus the growth of spent, and the whole within what was funded plus spent; signers hold
    /// 2/3 of the stake, which is at least `minTotal`. The parent's state digest is what the signers
    /// say it is: nothing that moves money depends on it, and it costs 7,000 gas to keep.
    function post(EpochAttestation calldata attestation, bytes calldata signatures) external;

    /// @notice Makes a matured root the active one for good and moves its growth of earned from the vault
    /// into the pot. Anyone may call; `post`, `claim` and `claimMany` do it by themselves.
    function activate() external;

    /// @notice Pays an account's earned less what was claimed to its recipient. Anyone may call.
    /// @dev Also stores reputation and epoch when the root is newer than what is stored. Pays at most the
    /// pot and remembers the rest. Requires: not paused; a leaf of the active root, in range; something
    /// due; pot not empty.
    function claim(
        address account,
        uint256 earned,
        uint256 spent,
        uint256 points,
        uint256 reputation,
        bytes32[] calldata proof
    ) external;

    /// @notice Claims for many accounts; an item that cannot be paid is passed over with an event.
    /// @dev Requires: not paused, an active root, as many proofs as leaves.
    function claimMany(Leaf[] calldata leaves, bytes32[][] calldata proofs) external;

    /// @notice Claims for many accounts with one proof for all their leaves together; cheaper than
    /// `claimMany`, but one leaf that is not in the tree spoils the whole.
    /// @param leaves Packed, 64 bytes each: account (20), earned (12), spent (12), points (8),
    /// reputation (4), eight zero bytes; in the order in which the proof takes them.
    /// @param proof Sibling hashes in the order in which they are taken.
    /// @param steps One bit per hashing, the most significant bit of the first byte first: 1 if the second
    /// operand comes from the queue of leaves and inner nodes, 0 if it is the next of `proof`. The
    /// first operand is always the head of the queue; each result goes to its end.
    /// @dev Requires: not paused, an active root, a proof that uses everything and leads to it. An item that
    /// cannot be paid is passed over with an event.
    function claimPacked(bytes calldata leaves, bytes32[] calldata proof, bytes calldata steps)
        external;

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

    /// @notice Changes where the pay of `account` goes, whether it is registered or not.
    /// @dev Requires: recipient not zero; the caller is the current recipient, which is the account itself until
    /// changed, or the registry on behalf of the account.
    function setRecipient(address account, address recipient) external;

    /// @notice Takes note of a new roster. Requires: the registry.
    function useRoster(address roster) external;

    /// @notice Takes note of what was funded and of what is deposited, token wei. Requires: the vault.
    function useFunds(uint256 funded, uint256 deposits) external;

    /// @notice Cancels the pending root: its epoch is dead and the next root covers it. Until it would have become
    /// active it can still be proven fraudulent, and no time is quiet: a guardian saves nobody who signed.
    /// @dev Requires: the guardian, its powers begun; a root pending.
    function cancel() external;

    /// @notice For 72 hours nothing is posted and nobody claims; windows run on. Everything else works.
    /// @dev Requires: the guardian, its powers begun; 14 days since the end of the pause before.
    function pause() external;

    /// @notice Ends a pause early. Requires: the guardian, its powers begun; paused.
    function unpause() external;

    /// @notice Names who may take over the guard; zero withdraws the nomination. Requires: the guardian.
    function nominateGuardian(address nominee) external;

    /// @notice Takes over the guard at once. Requires: the caller is the nominee.
    function acceptGuard() external;

    /// @notice Replaces the guardian by decision of the stake: the old powers and nomination end at once,
    /// the new ones begin seven days later. A pause that runs goes on to its end. Requires: the registry.
    function replaceGuardian(address guardian) external;

    /// @notice Cancels the pending root for a fraud proven, if the guardian has not done so, and convicts its signers,
    /// once. Requires: the judge; a triable root.
    /// @param reporter Who gets the reporter's share of their stake.
    function convict(address reporter) external;

    /// @notice The root claims are checked against; a matured one counts. 0 if there is none yet.
    function activeRoot() external view returns (bytes32);

    /// @notice The root that waits for its activation; 0 if there is none.
    function pendingRoot() external view returns (bytes32);

    /// @notice Record of `activeRoot()`; all zero if there is none.
    function activeRecord() external view returns (RootRecord memory);

    /// @notice Record of `pendingRoot()`; all zero if there is none.
    function pendingRecord() external view returns (RootRecord memory);

    /// @notice Record of the root that fraud proofs are about: the pending one, or the one that the guardian cancelled,
    /// until it would have become active, which is then its `activeAt`. All zero if there is none.
    function triableRecord() external view returns (RootRecord memory);

    /// @notice The newest recorded candidate of an epoch that is not posted; all zero if there is none.
    function candidate() external view returns (uint256 epoch, uint256 round, bytes32 digest);

    /// @notice Who may propose in a round, by the stakes of now; zero if no validator has stake.
    function proposerOf(uint256 epoch, uint256 round) external view returns (address);

    /// @notice The EIP-712 digest of an attestation: what validators sign and proposers record.
    function digestOf(EpochAttestation calldata attestation) external view returns (bytes32);

    /// @notice The newest epoch that was posted; 0 if there is none.
    function lastPostedEpoch() external view returns (uint256);

    /// @notice Whether stake, lists, rules and deposits may change now: no root pending or else triable, no convict
    /// left to be slashed, and the last ended epoch posted or past its post window, which before the end of epoch 1
    /// nothing can prevent.
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

    /// @notice Where the pay of `account` goes.
    function recipientOf(address account) external view returns (address);

    /// @notice The guardian, its powers and its pauses.
    function guard() external view returns (Guard memory);

    function registry() external view returns (IRegistry);
    function judge() external view returns (address);
    function vault() external view returns (IVault);
    function token() external view returns (IERC20);
    function treasury() external view returns (address);
    function genesis() external view returns (uint256);
    function epochLength() external view returns (uint256);
    /// @notice The vault's budget of one epoch, token wei.
    function rate() external view returns (uint256);
    function slotsPerEpoch() external view returns (uint256);
    function intake() external view returns (uint256);
    function postWindow() external view returns (uint256);
    function challenge() external view returns (uint256);
    function margin() external view returns (uint256);
    function roundLength() external view returns (uint256);
}
