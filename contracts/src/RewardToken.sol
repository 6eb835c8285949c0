// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The token of stakes, bonds and rewards
/// @notice The whole supply exists from the start and belongs to the deployer; nobody can make more.
contract RewardToken is ERC20, ERC20Permit {
    /// @param supply The whole supply, token wei.
    constructor(string memory name, string memory symbol, uint256 supply)
        ERC20(name, symbol)
        ERC20Permit(name)
    {
        _mint(msg.sender, supply);
    }
}
