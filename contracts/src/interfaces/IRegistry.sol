// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ISettlement} from "./ISettlement.sol";

/// @title Who takes part: bonded validators, resolvers and masters, and registered providers
/// @notice Stakes, lists, rules and parameters change in quiet time only, so that the set that judges an epoch is
/// frozen; lists, rules and parameters by a bundle that 2/3 of the stake signed. Stake that was unbonded stops
/// counting at once and can be slashed until it is withdrawn.
interface IRegistry {
    /// @notice What a listed account does. An account has exactly one role.
    enum Role {
        Validator,
        Resolver,
        Master
    }

    /// @notice One entry of the lists as given at deployment.
    /// @param account The account, which is the identity and the signing key.
    /// @param role Its role.
    /// @param maxStake The most it may bond, in token wei; more than zero.
    /// @param endpoint Where it is reached; at most 256 bytes.
    struct Listing {
        address account;
        Role role;
        uint96 maxStake;
        string endpoint;
    }

    /// @notice One entry of the lists as it stands now.
    /// @param stake What it has bonded, in token wei.
    struct Member {
        address account;
        Role role;
        uint96 maxStake;
        uint96 stake;
        string endpoint;
    }

    /// @notice Stake on its way out.
    /// @param amount Token wei, still slashable.
    /// @param releaseAt From then on it may be withdrawn, seconds.
    struct Unbonding {
        uint256 amount;
        uint256 releaseAt;
    }

    /// @notice A convict.
    /// @param reporter Who gets its share of the stake; zero if the account was never convicted.
    /// @param slashed Whether its stake has been taken.
    struct Conviction {
        address reporter;
        bool slashed;
    }

    /// @notice What a bundle changes. The validators sign `Bundle(uint256 nonce,uint256 deadline,bytes32 changes)`
    /// (EIP-712, domain of the settlement contract) with `changes = keccak256(abi.encode(Changes))`.
    /// @param delisted Accounts that leave the lists; their stake is unbonded.
    /// @param listed Accounts that join, or, for one that is listed in the same role, its new maximum and endpoint;
    /// stake above a lowered maximum is unbonded.
    /// @param minTotal The new value, as everything below given even if it stays.
    /// @param providerBond The new value, for registrations from then on.
    /// @param rules The new rules, whole; empty if they stay.
    /// @param replaceGuardian Whether `guardian` replaces the guardian.
    /// @param guardian The new guardian; zero for nobody.
    struct Changes {
        address[] delisted;
        Listing[] listed;
        uint96 minTotal;
        uint96 providerBond;
        bytes rules;
        bool replaceGuardian;
        address guardian;
    }

    /// @notice What is fixed at deployment.
    /// @param token The token of stakes and bonds.
    /// @param settlement The settlement contract, whose address is known before it exists.
    /// @param minTotal The validators' total stake below which no root can be posted, in token wei;
    /// between 1/2 and 2/3 of the sum of the validators' maximum stakes.
    /// @param providerBond What a provider bonds when it registers, in token wei; more than zero.
    /// @param bondDelay Seconds between unregistering and getting the bond back.
    /// @param unbondDelay Seconds between unbonding stake and getting it back; the settlement contract insists on
    /// two epochs and a challenge.
    struct Config {
        address token;
        address settlement;
        uint96 minTotal;
        uint96 providerBond;
        uint64 bondDelay;
        uint64 unbondDelay;
    }

    event Listed(address indexed account, Role indexed role, uint256 maxStake, string endpoint);
    /// @notice The rules now in force, whole: canonical JSON whose keccak256 is `digest`.
    event RulesSet(bytes32 indexed digest, bytes rules);
    event Bonded(address indexed account, Role indexed role, uint256 amount, uint256 stake);
    event Unbonded(
        address indexed account, Role indexed role, uint256 amount, uint256 stake, uint256 releaseAt
    );
    event StakeWithdrawn(address indexed account, address indexed recipient, uint256 amount);
    event Delisted(address indexed account, Role indexed role);
    event ParametersSet(uint256 minTotal, uint256 providerBond);
    event BundleApplied(uint256 indexed nonce, bytes32 indexed changes, uint256 signers);
    /// @notice From here on the account is barred for good.
    event Convicted(address indexed account, address indexed reporter);
    event Slashed(address indexed account, address indexed reporter, uint256 amount, uint256 share);
    event ShareCollected(address indexed reporter, uint256 amount);
    event EndpointSet(address indexed account, string endpoint);
    event ProviderRegistered(
        address indexed provider, address indexed recipient, address indexed referrer, uint256 bond
    );
    event ProviderUnregistered(address indexed provider, uint256 releaseAt);
    event BondWithdrawn(address indexed provider, uint256 amount);

    error ZeroAddress();
    error ZeroAmount();
    error NoRules();
    error NoValidators();
    error ListFull(Role role, uint256 limit);
    error AlreadyListed(address account);
    error NotListed(address account);
    error EndpointTooLong(uint256 length, uint256 limit);
    error MinTotalOutOfBounds(uint256 minTotal, uint256 listedMaximum);
    error NotQuiet();
    error AboveMaxStake(address account, uint256 stake, uint256 maxStake);
    error AlreadyRegistered(address provider);
    error NotRegistered(address provider);
    error ReferrerNotRegistered(address referrer);
    error ReferrerFixed(address provider, address referrer);
    error NoBondWaiting(address provider);
    error BondLocked(uint256 releaseAt);
    error NotRecipient(address account, address recipient, address caller);
    error Barred(address account);
    error BelowStake(address account, uint256 amount, uint256 stake);
    error NotOwner(address account, address caller);
    error NothingUnbonding(address account);
    error StakeLocked(uint256 releaseAt);
    error BundleExpired(uint256 deadline, uint256 timestamp);
    error RoleFixed(address account, Role role);
    error NotConvictor(address caller);
    error NothingToSlash(address account);
    error AlreadyConvicted(address account);
    error NotConvicted(address account);
    error AlreadySlashed(address account);
    error NothingToCollect(address reporter);

    /// @notice Bonds stake for a listed account. The tokens come from the caller.
    /// @dev Requires: listed, not barred, quiet, amount not zero, stake afterwards within the listed maximum.
    function bond(address account, uint256 amount) external;

    /// @notice Takes stake of `account` out of what counts; it waits `unbondDelay`, all that waits together from the
    /// newest unbonding on.
    /// @dev Requires: the caller is the account or its recipient; quiet; amount not zero and within its stake.
    function unbond(address account, uint256 amount) external;

    /// @notice Pays unbonded stake to the recipient of `account`. Anyone may call.
    /// @dev Requires: something that waits, its delay over; quiet; not a convict still to be slashed.
    function withdrawStake(address account) external;

    /// @notice Applies a bundle. Anyone may carry it.
    /// @param deadline Last second in which it may be applied.
    /// @param signatures 65 bytes (r, s, v) each, s low, by strictly ascending signer, over the bundle with the
    /// nonce `bundleNonce()`.
    /// @dev Requires: quiet; the deadline not past; signers hold 2/3 of the stake, which is at least `minTotal`; each
    /// change possible: who is delisted is listed, who joins is not barred, listed in no other role, within
    /// 32 of a role and with a maximum above zero; `minTotal` between 1/2 and 2/3 of the validators' listed
    /// maximum afterwards; the provider bond not zero.
    function change(Changes calldata changes, uint256 deadline, bytes calldata signatures) external;

    /// @notice Convicts one validator, for two statements about one epoch and round. Bars it for good.
    /// @dev Requires: the judge; not convicted before; stake or unbonding stake of a validator.
    function convict(address account, address reporter) external;

    /// @notice Convicts the signers of a root, by position in `validators()`. Bars them for good. Who is a convict
    /// already stays what it is.
    /// @dev Requires: the settlement contract.
    function convictSigners(uint256 bitmap, address reporter) external;

    /// @notice Takes all stake of a convict, unbonding stake included: 10 % for the reporter to collect, the rest to
    /// an address nobody has the key of. Anyone may call. Until every convict is slashed no time is quiet.
    /// @dev Requires: convicted, not slashed.
    function slash(address account) external;

    /// @notice Pays the caller's shares of what was slashed.
    function collect() external;

    /// @notice Changes the caller's own endpoint. Requires: listed, at most 256 bytes.
    function setEndpoint(string calldata endpoint) external;

    /// @notice Registers the caller as a provider and takes its bond; a bond that still waits to be
    /// withdrawn is used again, and topped up if more is asked for now, so there is never more than one.
    /// @dev Requires: not registered. `recipient` not zero, and the current one if that is no longer the
    /// caller itself. `referrer` zero or another provider registered now; at a later registration
    /// zero or the one of the first.
    function register(address recipient, address referrer) external;

    /// @notice Ends the caller's registration at once; the bond waits for `bondDelay`.
    function unregister() external;

    /// @notice Pays the caller's waiting bond to the caller's recipient.
    /// @dev Requires: not registered, a bond that waits, its delay over.
    function withdrawBond() external;

    /// @notice The contract whose code holds what a quorum is counted by, see {Roster}. It is replaced whenever
    /// stakes, validators, rules or `minTotal` change, and never changes itself.
    function roster() external view returns (address);

    /// @notice The validator number `seed mod n` of the n with stake, by ascending address; zero if n is 0.
    function draw(uint256 seed) external view returns (address);

    /// @notice All listed validators, by ascending address, which is the order of signer bitmaps.
    function validators() external view returns (address[] memory accounts, uint256[] memory stakes);

    /// @notice All listed accounts of a role: validators by ascending address, others in listing order.
    function listed(Role role) external view returns (Member[] memory);

    /// @notice The entry of a listed account. Requires: listed.
    function listingOf(address account) external view returns (Member memory);

    /// @notice What an account has bonded, token wei; 0 for one that is not listed.
    function stakeOf(address account) external view returns (uint256);

    /// @notice Sum of the validators' stakes, token wei.
    function totalStake() external view returns (uint256);

    /// @notice Stake of `account` on its way out.
    function unbondingOf(address account) external view returns (Unbonding memory);

    /// @notice Whether and by whose report an account was convicted.
    function convictionOf(address account) external view returns (Conviction memory);

    /// @notice How many convicts are still to be slashed.
    function unslashed() external view returns (uint256);

    /// @notice What a reporter has to collect, token wei.
    function shareOf(address reporter) external view returns (uint256);

    /// @notice The nonce the next bundle must be signed with.
    function bundleNonce() external view returns (uint256);

    /// @notice A provider's registration.
    /// @return registered Whether it is registered now.
    /// @return bonded Bonded or waiting, token wei.
    /// @return referrer Named at its first registration, kept for ever.
    /// @return releaseAt When a waiting bond is free, seconds; 0 if none waits.
    function providerOf(address provider)
        external
        view
        returns (bool registered, uint256 bonded, address referrer, uint256 releaseAt);

    function token() external view returns (IERC20);
    function settlement() external view returns (ISettlement);
    function rulesDigest() external view returns (bytes32);
    function minTotal() external view returns (uint256);
    function providerBond() external view returns (uint256);
    function bondDelay() external view returns (uint256);
    function unbondDelay() external view returns (uint256);
}
