// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Leaves} from "./libraries/Leaves.sol";

/// @title The reward funds and the consumers' deposits
/// @notice See {IVault} for what each function promises.
/// @dev What the vault holds is funded + deposits - fed. The settlement contract lets no root earn more than
/// funded + totalSpent, and no withdrawal leaves less than totalSpent, so a root can always be fed.
contract Vault is IVault {
    using Leaves for ISettlement.Leaf;
    using SafeERC20 for IERC20;

    /// @dev The most that funds and deposits may come to, so that what a root earns and spends fits in 96 bits.
    uint256 private constant MAX_SUM = type(uint96).max;

    /// @dev Both in one slot, as every posting reads them.
    /// @param deposits Deposited and not withdrawn, over all accounts.
    struct Sums {
        uint96 funded;
        uint96 deposits;
    }

    /// @param exitAt Time of its exit, seconds; 0 if it has not exited.
    struct Account {
        uint96 deposited;
        uint96 withdrawn;
        uint64 exitAt;
    }

    /// @inheritdoc IVault
    IERC20 public immutable token;
    /// @inheritdoc IVault
    ISettlement public immutable settlement;
    /// @inheritdoc IVault
    uint256 public immutable rate;
    /// @inheritdoc IVault
    uint256 public immutable minDeposit;
    /// @inheritdoc IVault
    uint256 public immutable exitDelay;

    Sums private _sums;
    uint256 private _fed;
    mapping(address account => Account) private _accounts;
    /// @dev When an announced withdrawal may be paid; 0 if none is announced.
    mapping(address account => uint256) private _payableAt;

    constructor(Config memory config) {
        if (config.token == address(0) || config.settlement == address(0)) revert ZeroAddress();
        if (config.rate == 0 || config.minDeposit == 0) revert ZeroAmount();
        token = IERC20(config.token);
        settlement = ISettlement(config.settlement);
        rate = config.rate;
        minDeposit = config.minDeposit;
        exitDelay = config.exitDelay;
    }

    // Funds

    /// @inheritdoc IVault
    function fund(uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        Sums memory sums = _sums;
        uint256 limit = MAX_SUM - sums.deposits;
        if (amount > limit - sums.funded) revert FundedTooHigh(sums.funded, limit);

        sums.funded += uint96(amount);
        _book(sums);
        emit Funded(msg.sender, amount, sums.funded);

        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IVault
    function feed(uint256 amount) external {
        if (msg.sender != address(settlement)) revert NotSettlement(msg.sender);
        Sums memory sums = _sums;
        uint256 available = uint256(sums.funded) + sums.deposits - _fed;
        if (amount > available) revert InsufficientFunds(amount, available);

        uint256 sum = _fed + amount;
        _fed = sum;
        emit Fed(amount, sum);

        token.safeTransfer(msg.sender, amount);
    }

    // Deposits

    /// @inheritdoc IVault
    function deposit(uint256 amount) external {
        _deposit(amount);
    }

    /// @inheritdoc IVault
    function depositWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        // Whoever sees the permit can use it first. Then it fails here, and the allowance is there all the same.
        try IERC20Permit(address(token))
            .permit(msg.sender, address(this), amount, deadline, v, r, s) {}
            catch {}
        _deposit(amount);
    }

    /// @inheritdoc IVault
    function exit() external {
        Account storage account = _accounts[msg.sender];
        if (account.exitAt != 0) revert HasExited(msg.sender);
        if (account.deposited == account.withdrawn) revert NothingDeposited(msg.sender);

        account.exitAt = uint64(block.timestamp);
        emit Exited(msg.sender, settlement.epochAt(block.timestamp), block.timestamp);
    }

    /// @inheritdoc IVault
    function withdraw(
        uint256 earned,
        uint256 spent,
        uint256 points,
        uint256 reputation,
        bytes32[] calldata proof
    ) external {
        Account memory account = _requireExited(msg.sender);
        if (!settlement.isQuiet()) revert NotQuiet();
        ISettlement.RootRecord memory active = settlement.activeRecord();
        _requireLeaf(
            ISettlement.Leaf(msg.sender, earned, spent, points, reputation), proof, active.root
        );
        if (block.timestamp < account.exitAt + exitDelay) {
            uint256 exitEpoch = settlement.epochAt(account.exitAt);
            if (active.through <= exitEpoch) revert RootTooOld(active.through, exitEpoch);
        }
        uint256 held = account.deposited - account.withdrawn;
        if (spent > held) revert SpentAboveDeposit(spent, held);

        _pay(account, held - spent, active.totalSpent);
    }

    /// @inheritdoc IVault
    function announceWithdrawal() external {
        Account memory account = _requireExited(msg.sender);
        uint256 from = account.exitAt + exitDelay;
        if (block.timestamp < from) revert TooEarly(from);
        uint256 announced = _payableAt[msg.sender];
        if (announced != 0) revert AlreadyAnnounced(msg.sender, announced);

        uint256 payableAt = block.timestamp + 2 * settlement.epochLength();
        _payableAt[msg.sender] = payableAt;
        emit WithdrawalAnnounced(msg.sender, payableAt);
    }

    /// @inheritdoc IVault
    function refuteAnnouncement(
        address account,
        uint256 earned,
        uint256 spent,
        uint256 points,
        uint256 reputation,
        bytes32[] calldata proof
    ) external {
        if (_payableAt[account] == 0) revert NothingAnnounced(account);
        _requireLeaf(
            ISettlement.Leaf(account, earned, spent, points, reputation),
            proof,
            settlement.activeRoot()
        );

        delete _payableAt[account];
        emit AnnouncementRefuted(account, msg.sender);
    }

    /// @inheritdoc IVault
    function withdrawAnnounced() external {
        uint256 payableAt = _payableAt[msg.sender];
        if (payableAt == 0) revert NothingAnnounced(msg.sender);
        if (block.timestamp < payableAt) revert TooEarly(payableAt);
        if (!settlement.isQuiet()) revert NotQuiet();

        Account memory account = _accounts[msg.sender];
        _pay(account, account.deposited - account.withdrawn, settlement.activeRecord().totalSpent);
    }

    // Views

    /// @inheritdoc IVault
    function limits() external view returns (uint256, uint256, uint256) {
        Sums memory sums = _sums;
        return (rate, sums.funded, sums.deposits);
    }

    /// @inheritdoc IVault
    function depositOf(address account) external view returns (Deposit memory) {
        Account memory stored = _accounts[account];
        return Deposit({
            deposited: stored.deposited,
            withdrawn: stored.withdrawn,
            exitEpoch: stored.exitAt == 0 ? 0 : settlement.epochAt(stored.exitAt) + 1,
            exitAt: stored.exitAt,
            payableAt: _payableAt[account]
        });
    }

    /// @inheritdoc IVault
    function funded() external view returns (uint256) {
        return _sums.funded;
    }

    /// @inheritdoc IVault
    function fed() external view returns (uint256) {
        return _fed;
    }

    /// @inheritdoc IVault
    function deposits() external view returns (uint256) {
        return _sums.deposits;
    }

    // Steps

    function _deposit(uint256 amount) private {
        if (amount < minDeposit) revert BelowMinDeposit(amount, minDeposit);
        Account memory account = _accounts[msg.sender];
        if (account.exitAt != 0) revert HasExited(msg.sender);
        Sums memory sums = _sums;
        uint256 limit = MAX_SUM - sums.funded;
        if (amount > limit - sums.deposits) revert DepositsTooHigh(sums.deposits, limit);
        // Who deposits and withdraws in turn uses up no sum but its own.
        if (amount > MAX_SUM - account.deposited) {
            revert DepositedTooHigh(msg.sender, account.deposited, MAX_SUM);
        }

        sums.deposits += uint96(amount);
        _book(sums);
        account.deposited += uint96(amount);
        _accounts[msg.sender] = account;
        emit Deposited(msg.sender, amount, account.deposited);

        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @dev Pays the caller, whose account is given as it is stored, and ends its exit.
    function _pay(Account memory account, uint256 amount, uint256 totalSpent) private {
        Sums memory sums = _sums;
        uint256 left = sums.deposits - amount;
        if (left < totalSpent) revert SpentNotCovered(left, totalSpent);

        // The amount is within the account's deposit.
        sums.deposits = uint96(left);
        _book(sums);
        account.withdrawn += uint96(amount);
        account.exitAt = 0;
        _accounts[msg.sender] = account;
        delete _payableAt[msg.sender];
        emit Withdrawn(msg.sender, amount, account.withdrawn);

        token.safeTransfer(msg.sender, amount);
    }

    function _requireExited(address account) private view returns (Account memory stored) {
        stored = _accounts[account];
        if (stored.exitAt == 0) revert NotExited(account);
    }

    function _requireLeaf(ISettlement.Leaf memory leaf, bytes32[] calldata proof, bytes32 root)
        private
        pure
    {
        if (root == 0) revert NoActiveRoot();
        if (!leaf.inRange()) revert LeafOutOfRange();
        if (!MerkleProof.verifyCalldata(proof, root, leaf.hash())) {
            revert NotInTree(leaf.account, root);
        }
    }

    /// @dev The settlement contract keeps a copy, since every posting reads the sums.
    function _book(Sums memory sums) private {
        _sums = sums;
        settlement.useFunds(sums.funded, sums.deposits);
    }
}
