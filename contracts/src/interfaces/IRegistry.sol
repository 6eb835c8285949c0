// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ISettlement} from "./ISettlement.sol";

/// @title Who takes part: bonded validators, resolvers and masters, and registered providers
/// @notice The lists, their maximum stakes and the rules are fixed at deployment. Stake may only grow,
/// up to the listed maximum, and only in quiet time, so that the set that judges an epoch is frozen.
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

    /// @notice What is fixed at deployment.
    /// @param token The token of stakes and bonds.
    /// @param settlement The settlement contract, whose address is known before it exists.
    /// @param minTotal The validators' total stake below which no root can be posted, in token wei;
    /// between 1/2 and 2/3 of the sum of the validators' maximum stakes.
    /// @param providerBond What a provider bonds when it registers, in token wei; more than zero.
    /// @param bondDelay Seconds between unregistering and getting the bond back.
    struct Config {
        address token;
        address settlement;
        uint96 minTotal;
        uint96 providerBond;
        uint64 bondDelay;
    }

    event Listed(address indexed account, Role indexed role, uint256 maxStake, string endpoint);
    /// @notice The rules now in force, whole: canonical JSON whose keccak256 is `digest`.
    event RulesSet(bytes32 indexed digest, bytes rules);
    event Bonded(address indexed account, Role indexed role, uint256 amount, uint256 stake);
    event EndpointSet(address indexed account, string endpoint);
    event ProviderRegistered(
        address indexed provider, address indexed recipient, address indexed referrer, uint256 bond
    );
    event ProviderUnregistered(address indexed provider, uint256 releaseAt);
    event BondWithdrawn(address indexed provider, uint256 amount);
    event RecipientSet(address indexed account, address indexed recipient);

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
    error NotAValidator(address account);
    error AlreadyRegistered(address provider);
    error NotRegistered(address provider);
    error ReferrerNotRegistered(address referrer);
    error ReferrerFixed(address provider, address referrer);
    error NoBondWaiting(address provider);
    error BondLocked(uint256 releaseAt);
    error NotRecipient(address account, address recipient, address caller);

    /// @notice Bonds stake for a listed account. The tokens come from the caller.
    /// @dev Requires: listed, quiet, amount not zero, stake afterwards within the listed maximum.
    function bond(address account, uint256 amount) external;

    /// @notice Changes the caller's own endpoint. Requires: listed, at most 256 bytes.
    function setEndpoint(string calldata endpoint) external;

    /// @notice Registers the caller as a provider and takes its bond; a bond that still waits to be
    /// withdrawn is used again instead, so there is never more than one.
    /// @dev Requires: not registered. `recipient` not zero, and the current one if that is no longer the
    /// caller itself. `referrer` zero or another provider registered now; at a later registration
    /// zero or the one of the first.
    function register(address recipient, address referrer) external;

    /// @notice Ends the caller's registration at once; the bond waits for `bondDelay`.
    function unregister() external;

    /// @notice Pays the caller's waiting bond to the caller's recipient.
    /// @dev Requires: not registered, a bond that waits, its delay over.
    function withdrawBond() external;

    /// @notice Changes where the pay of `account` goes, whether registered or not.
    /// @dev Requires: the caller is the current recipient, which is the account itself until changed.
    function setRecipient(address account, address recipient) external;

    /// @notice Stake and position of signers, for the contract that counts a quorum.
    /// @dev Requires: each is a listed validator with stake. Duplicates are counted twice: the caller
    /// must have made sure there is none.
    /// @return bitmap Bit i is set if validator i of `validators()` is among the signers.
    /// @return signed Sum of their stakes, token wei.
    /// @return total Sum of all validators' stakes, token wei.
    function weigh(address[] calldata signers)
        external
        view
        returns (uint256 bitmap, uint256 signed, uint256 total);

    /// @notice The validator number `seed mod n` of the n with stake, in listing order; zero if n is 0.
    function draw(uint256 seed) external view returns (address);

    /// @notice All listed validators, in listing order, which is the order of signer bitmaps.
    function validators() external view returns (address[] memory accounts, uint256[] memory stakes);

    /// @notice All listed accounts of a role, in listing order.
    function listed(Role role) external view returns (Member[] memory);

    /// @notice The entry of a listed account. Requires: listed.
    function listingOf(address account) external view returns (Member memory);

    /// @notice What an account has bonded, token wei; 0 for one that is not listed.
    function stakeOf(address account) external view returns (uint256);

    /// @notice Sum of the validators' stakes, token wei.
    function totalStake() external view returns (uint256);

    /// @notice Where the pay of `account` goes.
    function recipientOf(address account) external view returns (address);

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
}
