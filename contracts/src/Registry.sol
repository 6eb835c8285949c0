// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// @title Who takes part: the lists with their stakes, and the providers
/// @notice See {IRegistry} for what each function promises.
contract Registry is IRegistry {
    using SafeERC20 for IERC20;

    /// @dev Signers are kept as a bitmap of 32 bits; the other lists share the bound.
    uint256 private constant MAX_PER_ROLE = 32;
    uint256 private constant MAX_ENDPOINT = 256;

    /// @param index Position in the list of its role.
    struct Seat {
        bool listed;
        Role role;
        uint8 index;
        uint96 maxStake;
        uint96 stake;
    }

    /// @param stake Sum of the validators' stakes.
    /// @param staked Bit i: validator i has stake.
    struct Total {
        uint96 stake;
        uint32 staked;
    }

    /// @param known Has been registered once; from then on its referrer is fixed.
    /// @param releaseAt When a waiting bond is free; 0 while registered or if there is no bond.
    struct Provider {
        address referrer;
        bool known;
        bool registered;
        uint64 releaseAt;
        uint96 bond;
    }

    /// @inheritdoc IRegistry
    IERC20 public immutable token;
    /// @inheritdoc IRegistry
    ISettlement public immutable settlement;
    /// @inheritdoc IRegistry
    uint256 public immutable minTotal;
    /// @inheritdoc IRegistry
    uint256 public immutable providerBond;
    /// @inheritdoc IRegistry
    uint256 public immutable bondDelay;

    /// @inheritdoc IRegistry
    bytes32 public rulesDigest;
    Total private _total;
    mapping(Role role => address[] accounts) private _lists;
    mapping(address account => Seat) private _seats;
    mapping(address account => string) private _endpoints;
    mapping(address account => Provider) private _providers;
    /// @dev Zero means the account itself.
    mapping(address account => address) private _recipients;

    /// @param rules The rules in force as canonical JSON, so that a node can read them from the log.
    constructor(Config memory config, Listing[] memory listings, bytes memory rules) {
        if (config.token == address(0) || config.settlement == address(0)) revert ZeroAddress();
        if (config.providerBond == 0) revert ZeroAmount();
        if (rules.length == 0) revert NoRules();
        token = IERC20(config.token);
        settlement = ISettlement(config.settlement);
        minTotal = config.minTotal;
        providerBond = config.providerBond;
        bondDelay = config.bondDelay;

        uint256 listedMaximum;
        for (uint256 i; i < listings.length; ++i) {
            _list(listings[i]);
            if (listings[i].role == Role.Validator) listedMaximum += listings[i].maxStake;
        }
        if (listedMaximum == 0) revert NoValidators();
        uint256 minimum = config.minTotal;
        if (2 * minimum < listedMaximum || 3 * minimum > 2 * listedMaximum) {
            revert MinTotalOutOfBounds(minimum, listedMaximum);
        }
        rulesDigest = keccak256(rules);
        emit RulesSet(keccak256(rules), rules);
    }

    // Listed roles

    /// @inheritdoc IRegistry
    function bond(address account, uint256 amount) external {
        Seat storage seat = _seatOf(account);
        if (amount == 0) revert ZeroAmount();
        if (!settlement.isQuiet()) revert NotQuiet();
        uint256 room = seat.maxStake - seat.stake;
        if (amount > room) revert AboveMaxStake(account, seat.stake, seat.maxStake);

        uint96 added = uint96(amount);
        uint96 stake = seat.stake + added;
        seat.stake = stake;
        if (seat.role == Role.Validator) {
            _total.stake += added;
            _total.staked |= uint32(1) << seat.index;
        }
        emit Bonded(account, seat.role, amount, stake);

        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IRegistry
    function setEndpoint(string calldata endpoint) external {
        _seatOf(msg.sender);
        _setEndpoint(msg.sender, endpoint);
        emit EndpointSet(msg.sender, endpoint);
    }

    // Providers

    /// @inheritdoc IRegistry
    function register(address recipient, address referrer) external {
        Provider storage provider = _providers[msg.sender];
        if (provider.registered) revert AlreadyRegistered(msg.sender);
        if (recipient == address(0)) revert ZeroAddress();
        if (provider.known) {
            if (referrer != address(0) && referrer != provider.referrer) {
                revert ReferrerFixed(msg.sender, provider.referrer);
            }
        } else {
            // The caller is not registered yet, so this refuses naming oneself too.
            if (referrer != address(0) && !_providers[referrer].registered) {
                revert ReferrerNotRegistered(referrer);
            }
            provider.known = true;
            provider.referrer = referrer;
        }
        if (recipient != recipientOf(msg.sender)) _setRecipient(msg.sender, recipient);

        uint256 missing = providerBond - provider.bond;
        provider.registered = true;
        provider.releaseAt = 0;
        provider.bond = uint96(providerBond);
        emit ProviderRegistered(msg.sender, recipient, provider.referrer, providerBond);

        if (missing != 0) token.safeTransferFrom(msg.sender, address(this), missing);
    }

    /// @inheritdoc IRegistry
    function unregister() external {
        Provider storage provider = _providers[msg.sender];
        if (!provider.registered) revert NotRegistered(msg.sender);

        uint256 releaseAt = block.timestamp + bondDelay;
        provider.registered = false;
        provider.releaseAt = uint64(releaseAt);
        emit ProviderUnregistered(msg.sender, releaseAt);
    }

    /// @inheritdoc IRegistry
    function withdrawBond() external {
        Provider storage provider = _providers[msg.sender];
        if (provider.registered || provider.bond == 0) revert NoBondWaiting(msg.sender);
        if (block.timestamp < provider.releaseAt) revert BondLocked(provider.releaseAt);

        uint256 amount = provider.bond;
        provider.bond = 0;
        provider.releaseAt = 0;
        emit BondWithdrawn(msg.sender, amount);

        token.safeTransfer(recipientOf(msg.sender), amount);
    }

    /// @inheritdoc IRegistry
    function setRecipient(address account, address recipient) external {
        if (recipient == address(0)) revert ZeroAddress();
        _setRecipient(account, recipient);
    }

    // Views

    /// @inheritdoc IRegistry
    function weigh(address[] calldata signers)
        external
        view
        returns (uint256 bitmap, uint256 signed, uint256 total)
    {
        for (uint256 i; i < signers.length; ++i) {
            Seat storage seat = _seats[signers[i]];
            if (!seat.listed || seat.role != Role.Validator || seat.stake == 0) {
                revert NotAValidator(signers[i]);
            }
            bitmap |= 1 << seat.index;
            signed += seat.stake;
        }
        total = _total.stake;
    }

    /// @inheritdoc IRegistry
    function draw(uint256 seed) external view returns (address) {
        uint256 staked = _total.staked;
        uint256 count;
        for (uint256 rest = staked; rest != 0; rest &= rest - 1) {
            ++count;
        }
        if (count == 0) return address(0);

        uint256 index;
        for (uint256 skip = seed % count;; ++index) {
            if (staked >> index & 1 == 0) continue;
            if (skip == 0) break;
            --skip;
        }
        return _lists[Role.Validator][index];
    }

    /// @inheritdoc IRegistry
    function validators()
        external
        view
        returns (address[] memory accounts, uint256[] memory stakes)
    {
        accounts = _lists[Role.Validator];
        stakes = new uint256[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            stakes[i] = _seats[accounts[i]].stake;
        }
    }

    /// @inheritdoc IRegistry
    function listed(Role role) external view returns (Member[] memory members) {
        address[] storage accounts = _lists[role];
        members = new Member[](accounts.length);
        for (uint256 i; i < members.length; ++i) {
            members[i] = listingOf(accounts[i]);
        }
    }

    /// @inheritdoc IRegistry
    function listingOf(address account) public view returns (Member memory) {
        Seat storage seat = _seatOf(account);
        return Member(account, seat.role, seat.maxStake, seat.stake, _endpoints[account]);
    }

    /// @inheritdoc IRegistry
    function stakeOf(address account) external view returns (uint256) {
        return _seats[account].stake;
    }

    /// @inheritdoc IRegistry
    function totalStake() external view returns (uint256) {
        return _total.stake;
    }

    /// @inheritdoc IRegistry
    function recipientOf(address account) public view returns (address) {
        address recipient = _recipients[account];
        return recipient == address(0) ? account : recipient;
    }

    /// @inheritdoc IRegistry
    function providerOf(address account)
        external
        view
        returns (bool registered, uint256 bonded, address referrer, uint256 releaseAt)
    {
        Provider storage provider = _providers[account];
        return (provider.registered, provider.bond, provider.referrer, provider.releaseAt);
    }

    // Internals

    function _list(Listing memory listing) private {
        if (listing.account == address(0)) revert ZeroAddress();
        if (listing.maxStake == 0) revert ZeroAmount();
        if (_seats[listing.account].listed) revert AlreadyListed(listing.account);
        address[] storage accounts = _lists[listing.role];
        if (accounts.length == MAX_PER_ROLE) revert ListFull(listing.role, MAX_PER_ROLE);

        _seats[listing.account] =
            Seat(true, listing.role, uint8(accounts.length), listing.maxStake, 0);
        accounts.push(listing.account);
        _setEndpoint(listing.account, listing.endpoint);
        emit Listed(listing.account, listing.role, listing.maxStake, listing.endpoint);
    }

    function _setEndpoint(address account, string memory endpoint) private {
        uint256 length = bytes(endpoint).length;
        if (length > MAX_ENDPOINT) revert EndpointTooLong(length, MAX_ENDPOINT);
        _endpoints[account] = endpoint;
    }

    function _setRecipient(address account, address recipient) private {
        address current = recipientOf(account);
        if (msg.sender != current) revert NotRecipient(account, current, msg.sender);
        _recipients[account] = recipient;
        emit RecipientSet(account, recipient);
    }

    function _seatOf(address account) private view returns (Seat storage seat) {
        seat = _seats[account];
        if (!seat.listed) revert NotListed(account);
    }
}
