// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ISettlement} from "./ISettlement.sol";

/// @title The reward funds and the consumers' deposits
/// @notice Tokens leave only towards the settlement contract's pot, and back to depositors. The vault counts
/// what came in and what went out itself and never looks at its balance: tokens sent to it otherwise belong
/// to nobody.
interface IVault {
    /// @notice What is fixed at deployment.
    /// @param token The token paid out.
    /// @param settlement The only contract that may draw, whose address is known before it exists.
    /// @param rate The budget of one epoch, token wei; more than zero.
    /// @param minDeposit The least one deposits at once, token wei; more than zero.
    /// @param exitDelay Seconds from an exit until any active leaf will do, or an announcement may be made.
    struct Config {
        address token;
        address settlement;
        uint96 rate;
        uint96 minDeposit;
        uint64 exitDelay;
    }

    /// @notice One account's deposit. Sums are lifetime, token wei.
    /// @param exitEpoch The epoch of its exit plus one; 0 if it has not exited. (An exit before genesis is one in
    /// epoch 0.)
    /// @param exitAt Time of its exit, seconds.
    /// @param payableAt When an announced withdrawal may be paid, seconds; 0 if none is announced.
    struct Deposit {
        uint256 deposited;
        uint256 withdrawn;
        uint256 exitEpoch;
        uint256 exitAt;
        uint256 payableAt;
    }

    event Funded(address indexed from, uint256 amount, uint256 funded);
    event Fed(uint256 amount, uint256 fed);
    event Deposited(address indexed account, uint256 amount, uint256 deposited);
    /// @param epoch The epoch of the exit: no demand receipt from now on, no usage receipt after epoch + 1.
    /// @param exitAt Time of the exit, seconds.
    event Exited(address indexed account, uint256 epoch, uint256 exitAt);
    event WithdrawalAnnounced(address indexed account, uint256 payableAt);
    event AnnouncementRefuted(address indexed account, address indexed by);
    event Withdrawn(address indexed account, uint256 amount, uint256 withdrawn);

    error ZeroAddress();
    error ZeroAmount();
    /// @notice The limit is what the deposits leave below 2^96.
    error FundedTooHigh(uint256 funded, uint256 limit);
    error NotSettlement(address caller);
    error InsufficientFunds(uint256 amount, uint256 available);
    error BelowMinDeposit(uint256 amount, uint256 minDeposit);
    /// @notice The limit is what the funds leave below 2^96.
    error DepositsTooHigh(uint256 deposits, uint256 limit);
    /// @notice The account's own lifetime sum; the limit is 2^96 - 1.
    error DepositedTooHigh(address account, uint256 deposited, uint256 limit);
    error HasExited(address account);
    error NotExited(address account);
    error NothingDeposited(address account);
    error NotQuiet();
    error NoActiveRoot();
    error LeafOutOfRange();
    error NotInTree(address account, bytes32 root);
    error RootTooOld(uint256 through, uint256 exitEpoch);
    error SpentAboveDeposit(uint256 spent, uint256 deposit);
    /// @notice What would be left of all deposits is less than what providers were promised of them.
    error SpentNotCovered(uint256 left, uint256 totalSpent);
    error TooEarly(uint256 from);
    error AlreadyAnnounced(address account, uint256 payableAt);
    error NothingAnnounced(address account);

    /// @notice Adds tokens of the caller to the funds, for good.
    /// @dev Requires: amount not zero; funds and deposits together below 2^96.
    function fund(uint256 amount) external;

    /// @notice Moves tokens to the settlement contract. Only the settlement contract may call.
    /// @dev Requires: amount within `funded() + deposits() - fed()`.
    function feed(uint256 amount) external;

    /// @notice Adds tokens of the caller to its own deposit.
    /// @dev Requires: at least `minDeposit`; not exited; funds and deposits together below 2^96, and the lifetime sum of
    /// the account too.
    function deposit(uint256 amount) external;

    /// @notice As `deposit`, with the token's permit instead of an allowance. A permit somebody else has
    /// used already does no harm if the allowance is there.
    function depositWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;

    /// @notice Freezes the caller's deposit on its way out: from now on no demand receipt is given for it, and no
    /// usage receipt counts after the next epoch.
    /// @dev Requires: something deposited and not withdrawn; not exited.
    function exit() external;

    /// @notice Pays what the caller's leaf leaves of its deposit - deposited less withdrawn less spent - to the
    /// caller, and ends the exit, so that it may deposit again. May be nothing.
    /// @dev Requires: exited; quiet; a leaf of the active root, of the caller, in range; that root covers the epoch
    /// after the exit's, or `exitDelay` is over; what stays of all deposits covers the active root's `totalSpent`.
    function withdraw(
        uint256 earned,
        uint256 spent,
        uint256 points,
        uint256 reputation,
        bytes32[] calldata proof
    ) external;

    /// @notice Announces a withdrawal without a leaf, for whom the active root has none.
    /// @dev Requires: exited, `exitDelay` over, none announced. It may be paid two epochs later. One that was refuted
    /// may be announced again.
    function announceWithdrawal() external;

    /// @notice Ends an announced withdrawal by showing the account's leaf of the active root, with which it can
    /// withdraw as everybody does. Anyone may call until it is paid.
    /// @dev Requires: announced; a leaf of the active root, of that account, in range.
    function refuteAnnouncement(
        address account,
        uint256 earned,
        uint256 spent,
        uint256 points,
        uint256 reputation,
        bytes32[] calldata proof
    ) external;

    /// @notice Pays an announced withdrawal: all that is deposited and not withdrawn; ends the exit.
    /// @dev Requires: announced and its time come; quiet; what stays of all deposits covers the active root's
    /// `totalSpent`.
    function withdrawAnnounced() external;

    /// @notice The sums that bound a root, in one read.
    /// @return rate The budget of one epoch, token wei.
    /// @return funded Lifetime sum of what was funded, token wei.
    /// @return deposits Lifetime sum of what was deposited and not withdrawn, token wei.
    function limits() external view returns (uint256 rate, uint256 funded, uint256 deposits);

    /// @notice One account's deposit; all zero if it never had one.
    function depositOf(address account) external view returns (Deposit memory);

    /// @notice Lifetime sum of what was funded, token wei.
    function funded() external view returns (uint256);

    /// @notice Lifetime sum of what went to the settlement contract, token wei.
    function fed() external view returns (uint256);

    /// @notice Lifetime sum of what was deposited and not withdrawn, token wei. What was spent is still in it.
    function deposits() external view returns (uint256);

    /// @notice The budget of one epoch, token wei.
    function rate() external view returns (uint256);

    function minDeposit() external view returns (uint256);
    function exitDelay() external view returns (uint256);
    function token() external view returns (IERC20);
    function settlement() external view returns (ISettlement);
}
