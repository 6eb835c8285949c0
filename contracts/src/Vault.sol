// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IVault} from "./interfaces/IVault.sol";

/// @title The reward funds
/// @notice See {IVault} for what each function promises.
contract Vault is IVault {
    using SafeERC20 for IERC20;

    /// @inheritdoc IVault
    IERC20 public immutable token;
    /// @inheritdoc IVault
    ISettlement public immutable settlement;
    /// @inheritdoc IVault
    uint256 public immutable rate;

    uint128 private _funded;
    uint128 private _fed;

    constructor(Config memory config) {
        if (config.token == address(0) || config.settlement == address(0)) revert ZeroAddress();
        if (config.rate == 0) revert ZeroAmount();
        token = IERC20(config.token);
        settlement = ISettlement(config.settlement);
        rate = config.rate;
    }

    /// @inheritdoc IVault
    function fund(uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        uint256 limit = type(uint96).max;
        if (amount > limit - _funded) revert FundedTooHigh(_funded, limit);

        uint128 sum = _funded + uint128(amount);
        _funded = sum;
        emit Funded(msg.sender, amount, sum);

        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IVault
    function feed(uint256 amount) external {
        if (msg.sender != address(settlement)) revert NotSettlement(msg.sender);
        uint256 available = _funded - _fed;
        if (amount > available) revert InsufficientFunds(amount, available);

        uint128 sum = _fed + uint128(amount);
        _fed = sum;
        emit Fed(amount, sum);

        token.safeTransfer(address(settlement), amount);
    }

    /// @inheritdoc IVault
    function funded() external view returns (uint256) {
        return _funded;
    }

    /// @inheritdoc IVault
    function fed() external view returns (uint256) {
        return _fed;
    }
}
