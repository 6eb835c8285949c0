// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../interfaces/ISettlement.sol";
import {Paths} from "./Paths.sol";

/// @title Leaves: their hash and their ranges
library Leaves {
    uint256 internal constant AMOUNT_BITS = 96;
    uint256 internal constant POINTS_BITS = 64;
    uint256 internal constant MAX_REPUTATION = 1_000_000;
    /// @dev Bytes of a packed leaf.
    uint256 private constant PACKED = 64;

    /// @notice The hash of OpenZeppelin's StandardMerkleTree: twice, so that a leaf can never pass for an
    /// inner node. keccak256(bytes.concat(keccak256(abi.encode(leaf)))): five words in memory are their own encoding.
    function hash(ISettlement.Leaf memory leaf) internal pure returns (bytes32 hashed) {
        assembly ("memory-safe") {
            mstore(0, keccak256(leaf, 160))
            hashed := keccak256(0, 32)
        }
    }

    function inRange(ISettlement.Leaf memory leaf) internal pure returns (bool) {
        // Bits above a range, of whatever field, are one test.
        return (leaf.earned | leaf.spent) >> AMOUNT_BITS | leaf.points >> POINTS_BITS == 0
            && leaf.reputation <= MAX_REPUTATION;
    }

    /// @notice Leaves as `claimPacked` takes them, and their hashes. Requires: whole leaves.
    function unpack(bytes calldata packed)
        internal
        pure
        returns (ISettlement.Leaf[] memory leaves, bytes32[] memory hashes)
    {
        if (packed.length % PACKED != 0) revert Paths.InvalidMultiproof();
        uint256 count = packed.length / PACKED;
        leaves = new ISettlement.Leaf[](count);
        hashes = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            uint256 first;
            uint256 second;
            // Slices of calldata would check their bounds once more, four times a leaf.
            assembly ("memory-safe") {
                let from := add(packed.offset, mul(i, PACKED))
                first := calldataload(from)
                second := calldataload(add(from, 32))
            }
            ISettlement.Leaf memory leaf = leaves[i];
            leaf.account = address(uint160(first >> 96));
            leaf.earned = uint96(first);
            leaf.spent = second >> 160;
            leaf.points = uint64(second >> 96);
            leaf.reputation = uint32(second >> 64);
            hashes[i] = hash(leaf);
        }
    }
}
