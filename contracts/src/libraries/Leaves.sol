// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../interfaces/ISettlement.sol";

/// @title Leaves: their hash and their ranges
library Leaves {
    uint256 internal constant MAX_AMOUNT = type(uint96).max;
    uint256 internal constant MAX_POINTS = type(uint64).max;
    uint256 internal constant MAX_REPUTATION = 1_000_000;

    /// @notice The hash of OpenZeppelin's StandardMerkleTree: twice, so that a leaf can never pass for an
    /// inner node.
    function hash(ISettlement.Leaf memory leaf) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(leaf))));
    }

    function inRange(ISettlement.Leaf memory leaf) internal pure returns (bool) {
        return leaf.earned <= MAX_AMOUNT && leaf.spent <= MAX_AMOUNT && leaf.points <= MAX_POINTS
            && leaf.reputation <= MAX_REPUTATION;
    }
}
