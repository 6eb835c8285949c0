// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Epochs and rounds as times
/// @notice Epoch e = 1, 2, ... is [genesis + (e - 1) * length, genesis + e * length), in seconds.
library Windows {
    /// @notice The epoch a time lies in; 0 before genesis.
    function epochAt(uint256 genesis, uint256 length, uint256 timestamp)
        internal
        pure
        returns (uint256)
    {
        return timestamp < genesis ? 0 : (timestamp - genesis) / length + 1;
    }

    /// @notice The first second after an epoch.
    function endOf(uint256 genesis, uint256 length, uint256 epoch) internal pure returns (uint256) {
        return genesis + epoch * length;
    }

    /// @notice The newest epoch that is over; 0 if none is.
    function lastEnded(uint256 genesis, uint256 length, uint256 timestamp)
        internal
        pure
        returns (uint256)
    {
        uint256 current = epochAt(genesis, length, timestamp);
        return current == 0 ? 0 : current - 1;
    }
}
