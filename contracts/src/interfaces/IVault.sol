// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ISettlement} from "./ISettlement.sol";

/// @title The reward funds, which leave only towards the settlement contract's pot
/// @notice Counts what came in and what went out itself and never looks at its balance: tokens sent to
/// it without `fund` belong to nobody.
interface IVault {
    /// @notice What is fixed at deployment.
    /// @param token The token paid out.
    /// @param settlement The only contract that may draw, whose address is known before it exists.
    /// @param rate The budget of one epoch, token wei; more than zero.
    struct Config {
        address token;
        address settlement;
        uint96 rate;
    }

    event Funded(address indexed from, uint256 amount, uint256 funded);
    event Fed(uint256 amount, uint256 fed);

    error ZeroAddress();
    error ZeroAmount();
    error FundedTooHigh(uint256 funded, uint256 limit);
    error NotSettlement(address caller);
    error InsufficientFunds(uint256 amount, uint256 available);

    /// @notice Adds tokens of the caller to the funds, for good.
    /// @dev Requires: amount not zero, lifetime sum below 2^96.
    function fund(uint256 amount) external;

    /// @notice Moves tokens to the settlement contract. Only the settlement contract may call.
    /// @dev Requires: amount not above `funded() - fed()`.
    function feed(uint256 amount) external;

    /// @notice Lifetime sum of what was funded, token wei.
    function funded() external view returns (uint256);

    /// @notice Lifetime sum of what went to the settlement contract, token wei.
    function fed() external view returns (uint256);

    /// @notice The budget of one epoch, token wei.
    function rate() external view returns (uint256);

    function token() external view returns (IERC20);
    function settlement() external view returns (ISettlement);
}
