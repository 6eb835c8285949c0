// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev What is kept about an account, in one word.
type Standing is uint256;

using Standings for Standing global;

/// @title The fields of a standing
/// @notice From the lowest bit: claimed (96), reputation (32), epoch (48), redirected (1).
library Standings {
    uint256 private constant REPUTATION = 96;
    uint256 private constant EPOCH = 128;
    uint256 private constant REDIRECTED = 176;

    /// @notice What has been paid, token wei, lifetime.
    function claimed(Standing standing) internal pure returns (uint256) {
        return uint96(Standing.unwrap(standing));
    }

    /// @notice Parts per million.
    function reputation(Standing standing) internal pure returns (uint256) {
        return uint32(Standing.unwrap(standing) >> REPUTATION);
    }

    /// @notice Epoch of the root that the reputation was read from.
    function epoch(Standing standing) internal pure returns (uint256) {
        return uint48(Standing.unwrap(standing) >> EPOCH);
    }

    /// @notice Whether pay goes to a recipient other than the account: only then has it to be looked up.
    function redirected(Standing standing) internal pure returns (bool) {
        return Standing.unwrap(standing) >> REDIRECTED & 1 == 1;
    }

    /// @notice With so much more claimed, which has the lowest bits and stays within a leaf's earned, below 2^96.
    function paid(Standing standing, uint256 amount) internal pure returns (Standing) {
        unchecked {
            return Standing.wrap(Standing.unwrap(standing) + amount);
        }
    }

    /// @notice With so much less claimed, which is not less than that.
    function unclaimed(Standing standing, uint256 amount) internal pure returns (Standing) {
        unchecked {
            return Standing.wrap(Standing.unwrap(standing) - amount);
        }
    }

    /// @dev They fit: a leaf's reputation is in range, and epochs have 24 bits.
    function withReputation(Standing standing, uint256 ppm, uint256 ofEpoch)
        internal
        pure
        returns (Standing)
    {
        return _set(standing, REPUTATION, type(uint80).max, ofEpoch << 32 | ppm);
    }

    function withRedirected(Standing standing, bool value) internal pure returns (Standing) {
        return _set(standing, REDIRECTED, 1, value ? 1 : 0);
    }

    function _set(Standing standing, uint256 offset, uint256 mask, uint256 value)
        private
        pure
        returns (Standing)
    {
        return
            Standing.wrap(Standing.unwrap(standing) & ~(mask << offset) | (value & mask) << offset);
    }
}
