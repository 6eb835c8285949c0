// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Quorum} from "./libraries/Quorum.sol";
import {Roster} from "./libraries/Roster.sol";

/// @title Who takes part: the lists with their stakes, and the providers
/// @notice See {IRegistry} for what each function promises.
contract Registry is IRegistry {
    using SafeERC20 for IERC20;

    /// @dev Signers are kept as a bitmap of 32 bits; the other lists share the bound.
    uint256 private constant MAX_PER_ROLE = 32;
    uint256 private constant MAX_ENDPOINT = 256;
    /// @dev The reporter gets one part in so many, rounded down.
    uint256 private constant REPORTER_PARTS = 10;
    /// @dev Where slashed stake goes. Plain tokens refuse the zero address.
    address private constant DEAD = 0x000000000000000000000000000000000000dEaD;

    bytes32 private constant DOMAIN_TYPEHASH = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant BUNDLE_TYPEHASH =
        keccak256("Bundle(uint256 nonce,uint256 deadline,bytes32 changes)");

    struct Seat {
        bool listed;
        Role role;
        uint96 maxStake;
        uint96 stake;
    }

    /// @dev Wide enough for any sum of stakes, and for any time plus a delay.
    /// @param ofValidator Some of it was a validator's stake, so it can be convicted for.
    struct Leaving {
        uint128 amount;
        uint96 releaseAt;
        bool ofValidator;
    }

    /// @param known Has been registered once; from then on its referrer is fixed.
    /// @param releaseAt When a waiting bond is free; 0 while registered or if there is no bond.
    struct Provider {
        address referrer;
        bool known;
        bool registered;
        uint72 releaseAt;
        uint96 bond;
    }

    /// @inheritdoc IRegistry
    IERC20 public immutable token;
    /// @inheritdoc IRegistry
    ISettlement public immutable settlement;
    /// @inheritdoc IRegistry
    uint256 public immutable bondDelay;
    /// @inheritdoc IRegistry
    uint256 public immutable unbondDelay;

    /// @inheritdoc IRegistry
    address public roster;
    /// @inheritdoc IRegistry
    uint256 public providerBond;
    /// @inheritdoc IRegistry
    uint256 public bundleNonce;
    /// @inheritdoc IRegistry
    uint256 public unslashed;
    /// @inheritdoc IRegistry
    mapping(address reporter => uint256) public shareOf;
    /// @dev Validators by ascending address, others in listing order.
    mapping(Role role => address[] accounts) private _lists;
    mapping(address account => Seat) private _seats;
    mapping(address account => string) private _endpoints;
    mapping(address account => Leaving) private _leaving;
    mapping(address account => Conviction) private _convictions;
    mapping(address account => Provider) private _providers;

    /// @param rules The rules in force as canonical JSON, so that a node can read them from the log.
    constructor(Config memory config, Listing[] memory listings, bytes memory rules) {
        if (config.token == address(0) || config.settlement == address(0)) revert ZeroAddress();
        if (rules.length == 0) revert NoRules();
        token = IERC20(config.token);
        settlement = ISettlement(config.settlement);
        bondDelay = config.bondDelay;
        unbondDelay = config.unbondDelay;

        for (uint256 i; i < listings.length; ++i) {
            address account = listings[i].account;
            if (_seats[account].listed) revert AlreadyListed(account);
            _list(listings[i]);
        }
        _setParameters(config.minTotal, config.providerBond);
        _refresh(keccak256(rules), config.minTotal);
        emit RulesSet(keccak256(rules), rules);
    }

    // Stake

    /// @inheritdoc IRegistry
    function bond(address account, uint256 amount) external {
        Seat storage seat = _seatOf(account);
        if (_isConvict(account)) revert Barred(account);
        if (amount == 0) revert ZeroAmount();
        _requireQuiet();
        uint256 room = seat.maxStake - seat.stake;
        if (amount > room) revert AboveMaxStake(account, seat.stake, seat.maxStake);

        uint96 stake = seat.stake + uint96(amount);
        seat.stake = stake;
        if (seat.role == Role.Validator) _refresh();
        emit Bonded(account, seat.role, amount, stake);

        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IRegistry
    function unbond(address account, uint256 amount) external {
        Seat storage seat = _seatOf(account);
        if (msg.sender != account && msg.sender != settlement.recipientOf(account)) {
            revert NotOwner(account, msg.sender);
        }
        if (amount == 0) revert ZeroAmount();
        _requireQuiet();
        if (amount > seat.stake) revert BelowStake(account, amount, seat.stake);

        _unbond(account, uint96(amount));
        if (seat.role == Role.Validator) _refresh();
    }

    /// @inheritdoc IRegistry
    function withdrawStake(address account) external {
        Leaving storage leaving = _leaving[account];
        uint256 amount = leaving.amount;
        if (amount == 0) revert NothingUnbonding(account);
        if (block.timestamp < leaving.releaseAt) revert StakeLocked(leaving.releaseAt);
        // Never quiet before every convict is slashed, which leaves it nothing to withdraw.
        _requireQuiet();

        delete _leaving[account];
        address recipient = settlement.recipientOf(account);
        emit StakeWithdrawn(account, recipient, amount);

        token.safeTransfer(recipient, amount);
    }

    // Lists, rules and parameters

    /// @inheritdoc IRegistry
    function change(Changes calldata changes, uint256 deadline, bytes calldata signatures)
        external
    {
        _requireQuiet();
        if (block.timestamp > deadline) revert BundleExpired(deadline, block.timestamp);
        uint256[] memory words = Roster.load(roster);
        uint256 nonce = bundleNonce++;
        bytes32 digest = keccak256(abi.encode(changes));
        uint256 signers = Quorum.require_(words, _bundleDigest(nonce, deadline, digest), signatures);
        // Before anything else: the bitmap means the list as it was.
        emit BundleApplied(nonce, digest, signers);

        for (uint256 i; i < changes.delisted.length; ++i) {
            _delist(changes.delisted[i]);
        }
        for (uint256 i; i < changes.listed.length; ++i) {
            _list(changes.listed[i]);
        }
        _setParameters(changes.minTotal, changes.providerBond);
        bytes32 rules = bytes32(words[Roster.RULES]);
        if (changes.rules.length != 0) {
            rules = keccak256(changes.rules);
            emit RulesSet(rules, changes.rules);
        }
        _refresh(rules, changes.minTotal);

        if (changes.replaceGuardian) settlement.replaceGuardian(changes.guardian);
    }

    /// @inheritdoc IRegistry
    function setEndpoint(string calldata endpoint) external {
        _seatOf(msg.sender);
        _setEndpoint(msg.sender, endpoint);
        emit EndpointSet(msg.sender, endpoint);
    }

    // Frauds

    /// @inheritdoc IRegistry
    function convict(address account, address reporter) external {
        if (msg.sender != settlement.judge()) revert NotConvictor(msg.sender);
        if (_isConvict(account)) revert AlreadyConvicted(account);
        Seat storage seat = _seats[account];
        bool staked = seat.role == Role.Validator && seat.stake != 0;
        if (!staked && !_leaving[account].ofValidator) revert NothingToSlash(account);
        _convict(account, reporter);
    }

    /// @inheritdoc IRegistry
    function convictSigners(uint256 bitmap, address reporter) external {
        if (msg.sender != address(settlement)) revert NotConvictor(msg.sender);
        // Their positions are those of the posting, for while a root is pending no time is quiet.
        address[] storage accounts = _lists[Role.Validator];
        for (uint256 i; i < accounts.length; ++i) {
            if (bitmap >> i & 1 == 0) continue;
            address account = accounts[i];
            if (!_isConvict(account)) _convict(account, reporter);
        }
    }

    /// @inheritdoc IRegistry
    function slash(address account) external {
        Conviction storage conviction = _convictions[account];
        address reporter = conviction.reporter;
        if (reporter == address(0)) revert NotConvicted(account);
        if (conviction.slashed) revert AlreadySlashed(account);

        Seat storage seat = _seats[account];
        uint256 amount = uint256(seat.stake) + _leaving[account].amount;
        uint256 share = amount / REPORTER_PARTS;
        conviction.slashed = true;
        --unslashed;
        seat.stake = 0;
        delete _leaving[account];
        shareOf[reporter] += share;
        _refresh();
        emit Slashed(account, reporter, amount, share);

        token.safeTransfer(DEAD, amount - share);
    }

    /// @inheritdoc IRegistry
    function collect() external {
        uint256 amount = shareOf[msg.sender];
        if (amount == 0) revert NothingToCollect(msg.sender);

        shareOf[msg.sender] = 0;
        emit ShareCollected(msg.sender, amount);

        token.safeTransfer(msg.sender, amount);
    }

    // Providers

    /// @inheritdoc IRegistry
    function register(address recipient, address referrer) external {
        Provider storage provider = _providers[msg.sender];
        if (provider.registered) revert AlreadyRegistered(msg.sender);
        if (recipient == address(0)) revert ZeroAddress();
        address current = settlement.recipientOf(msg.sender);
        if (recipient != current && current != msg.sender) {
            revert NotRecipient(msg.sender, current, msg.sender);
        }
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

        // What waits may be more than is asked for now; it stays bonded whole.
        uint256 waiting = provider.bond;
        uint256 bonded = waiting > providerBond ? waiting : providerBond;
        provider.registered = true;
        provider.releaseAt = 0;
        provider.bond = uint96(bonded);
        emit ProviderRegistered(msg.sender, recipient, provider.referrer, bonded);

        if (recipient != current) settlement.setRecipient(msg.sender, recipient);
        if (bonded != waiting) {
            token.safeTransferFrom(msg.sender, address(this), bonded - waiting);
        }
    }

    /// @inheritdoc IRegistry
    function unregister() external {
        Provider storage provider = _providers[msg.sender];
        if (!provider.registered) revert NotRegistered(msg.sender);

        uint256 releaseAt = block.timestamp + bondDelay;
        provider.registered = false;
        provider.releaseAt = uint72(releaseAt);
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

        token.safeTransfer(settlement.recipientOf(msg.sender), amount);
    }

    // Views

    /// @inheritdoc IRegistry
    function draw(uint256 seed) external view returns (address) {
        uint256[] memory words = Roster.load(roster);
        uint256 count;
        // Those with stake move to the front, over what has been read already.
        for (uint256 place = Roster.SEATS; place < words.length; ++place) {
            if (Roster.stakeOf(words[place]) != 0) words[count++] = words[place];
        }
        return count == 0 ? address(0) : Roster.accountOf(words[seed % count]);
    }

    /// @inheritdoc IRegistry
    function validators()
        external
        view
        returns (address[] memory accounts, uint256[] memory stakes)
    {
        uint256[] memory words = Roster.load(roster);
        uint256 count = words.length - Roster.SEATS;
        accounts = new address[](count);
        stakes = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            accounts[i] = Roster.accountOf(words[Roster.SEATS + i]);
            stakes[i] = Roster.stakeOf(words[Roster.SEATS + i]);
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
        return Roster.load(roster)[Roster.TOTAL];
    }

    /// @inheritdoc IRegistry
    function unbondingOf(address account) external view returns (Unbonding memory) {
        Leaving storage leaving = _leaving[account];
        return Unbonding(leaving.amount, leaving.releaseAt);
    }

    /// @inheritdoc IRegistry
    function convictionOf(address account) external view returns (Conviction memory) {
        return _convictions[account];
    }

    /// @inheritdoc IRegistry
    function rulesDigest() external view returns (bytes32) {
        return bytes32(Roster.load(roster)[Roster.RULES]);
    }

    /// @inheritdoc IRegistry
    function minTotal() external view returns (uint256) {
        return Roster.load(roster)[Roster.MIN_TOTAL];
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

    // Internals: lists

    /// @dev Lists an account anew, or gives one that is listed its new maximum and endpoint.
    function _list(Listing memory listing) private {
        address account = listing.account;
        if (account == address(0)) revert ZeroAddress();
        if (listing.maxStake == 0) revert ZeroAmount();
        Seat storage seat = _seats[account];
        if (!seat.listed) _join(account, listing.role);
        else if (seat.role != listing.role) revert RoleFixed(account, seat.role);

        seat.maxStake = listing.maxStake;
        _setEndpoint(account, listing.endpoint);
        emit Listed(account, listing.role, listing.maxStake, listing.endpoint);
        if (seat.stake > listing.maxStake) _unbond(account, seat.stake - listing.maxStake);
    }

    function _join(address account, Role role) private {
        if (_isConvict(account)) revert Barred(account);
        address[] storage accounts = _lists[role];
        uint256 place = accounts.length;
        if (place == MAX_PER_ROLE) revert ListFull(role, MAX_PER_ROLE);

        _seats[account] = Seat(true, role, 0, 0);
        accounts.push(account);
        if (role != Role.Validator) return;
        for (; place != 0 && accounts[place - 1] > account; --place) {
            accounts[place] = accounts[place - 1];
        }
        accounts[place] = account;
    }

    function _delist(address account) private {
        Seat memory seat = _seatOf(account);
        if (seat.stake != 0) _unbond(account, seat.stake);
        address[] storage accounts = _lists[seat.role];
        uint256 place;
        while (accounts[place] != account) ++place;
        for (; place + 1 < accounts.length; ++place) {
            accounts[place] = accounts[place + 1];
        }
        accounts.pop();
        delete _seats[account];
        delete _endpoints[account];
        emit Delisted(account, seat.role);
    }

    function _setEndpoint(address account, string memory endpoint) private {
        uint256 length = bytes(endpoint).length;
        if (length > MAX_ENDPOINT) revert EndpointTooLong(length, MAX_ENDPOINT);
        _endpoints[account] = endpoint;
    }

    /// @dev Checks `minTotal` against the lists as they are now; it is stored by `_refresh`.
    function _setParameters(uint256 minTotal_, uint256 providerBond_) private {
        if (providerBond_ == 0) revert ZeroAmount();
        address[] storage accounts = _lists[Role.Validator];
        if (accounts.length == 0) revert NoValidators();
        uint256 listedMaximum;
        for (uint256 i; i < accounts.length; ++i) {
            listedMaximum += _seats[accounts[i]].maxStake;
        }
        if (2 * minTotal_ < listedMaximum || 3 * minTotal_ > 2 * listedMaximum) {
            revert MinTotalOutOfBounds(minTotal_, listedMaximum);
        }
        providerBond = providerBond_;
        emit ParametersSet(minTotal_, providerBond_);
    }

    // Internals: stake

    /// @dev What waits already waits on with it. Leaves the roster to the caller.
    function _unbond(address account, uint96 amount) private {
        Seat storage seat = _seats[account];
        Leaving storage leaving = _leaving[account];
        uint256 releaseAt = block.timestamp + unbondDelay;
        uint96 stake = seat.stake - amount;
        seat.stake = stake;
        leaving.amount += amount;
        leaving.releaseAt = uint96(releaseAt);
        if (seat.role == Role.Validator) leaving.ofValidator = true;
        emit Unbonded(account, seat.role, amount, stake, releaseAt);
    }

    function _refresh() private {
        uint256[] memory words = Roster.load(roster);
        _refresh(bytes32(words[Roster.RULES]), words[Roster.MIN_TOTAL]);
    }

    /// @dev Makes the roster anew from the stakes as they are now.
    function _refresh(bytes32 rules, uint256 minTotal_) private {
        address[] storage accounts = _lists[Role.Validator];
        uint256[] memory words = new uint256[](Roster.SEATS + accounts.length);
        uint256 total;
        for (uint256 i; i < accounts.length; ++i) {
            uint256 stake = _seats[accounts[i]].stake;
            total += stake;
            words[Roster.SEATS + i] = Roster.seat(accounts[i], stake);
        }
        words[Roster.RULES] = uint256(rules);
        words[Roster.MIN_TOTAL] = minTotal_;
        words[Roster.TOTAL] = total;
        address made = Roster.store(words);
        roster = made;
        // While this contract is being constructed the settlement contract does not exist; it asks when it is.
        if (address(this).code.length != 0) settlement.useRoster(made);
    }

    /// @dev The reporter is never zero: the judge names who called it.
    function _convict(address account, address reporter) private {
        _convictions[account] = Conviction(reporter, false);
        ++unslashed;
        emit Convicted(account, reporter);
    }

    // Internals: what is required

    function _seatOf(address account) private view returns (Seat storage seat) {
        seat = _seats[account];
        if (!seat.listed) revert NotListed(account);
    }

    function _isConvict(address account) private view returns (bool) {
        return _convictions[account].reporter != address(0);
    }

    function _requireQuiet() private view {
        if (!settlement.isQuiet()) revert NotQuiet();
    }

    /// @dev In the settlement contract's domain, as everything that is signed in this network.
    function _bundleDigest(uint256 nonce, uint256 deadline, bytes32 changes)
        private
        view
        returns (bytes32)
    {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("DPN"), keccak256("1"), block.chainid, settlement)
        );
        return MessageHashUtils.toTypedDataHash(
            domain, keccak256(abi.encode(BUNDLE_TYPEHASH, nonce, deadline, changes))
        );
    }
}
