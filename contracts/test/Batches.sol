// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Trees} from "./Trees.sol";

/// @dev What `claimPacked` takes, for trees as {Trees} makes them, found as OpenZeppelin's library finds it.
library Batches {
    using Trees for ISettlement.Leaf[];

    /// @dev Leaves in the order given, 64 bytes each.
    function pack(ISettlement.Leaf[] memory leaves) internal pure returns (bytes memory packed) {
        for (uint256 i; i < leaves.length; ++i) {
            packed = bytes.concat(packed, packOne(leaves[i]));
        }
    }

    /// @dev Fields are cut to their widths.
    function packOne(ISettlement.Leaf memory leaf) internal pure returns (bytes memory) {
        return abi.encodePacked(
            leaf.account,
            uint96(leaf.earned),
            uint96(leaf.spent),
            uint64(leaf.points),
            uint32(leaf.reputation),
            uint64(0)
        );
    }

    /// @dev One proof for the leaves at `indices`, which ascend and are not empty.
    function prove(ISettlement.Leaf[] memory leaves, uint256[] memory indices)
        internal
        pure
        returns (bytes32[] memory proof, bool[] memory flags)
    {
        bytes32[] memory tree = leaves.nodes();
        // Each step takes one or two nodes from the head and puts their parent at the end.
        uint256[] memory queue = new uint256[](indices.length + tree.length);
        for (uint256 i; i < indices.length; ++i) {
            queue[i] = tree.length - 1 - indices[i];
        }
        proof = new bytes32[](tree.length);
        flags = new bool[](tree.length);
        (uint256 tail, uint256 steps, uint256 siblings) = (indices.length, 0, 0);
        for (uint256 head; queue[head] != 0;) {
            uint256 node = queue[head++];
            uint256 sibling = node % 2 == 1 ? node + 1 : node - 1;
            if (head < tail && queue[head] == sibling) {
                flags[steps] = true;
                ++head;
            } else {
                proof[siblings++] = tree[sibling];
            }
            queue[tail++] = (node - 1) / 2;
            ++steps;
        }
        assembly ("memory-safe") {
            mstore(proof, siblings)
            mstore(flags, steps)
        }
    }

    /// @dev One bit per step, the most significant of the first byte first.
    function bits(bool[] memory flags) internal pure returns (bytes memory steps) {
        steps = new bytes((flags.length + 7) / 8);
        for (uint256 i; i < flags.length; ++i) {
            if (flags[i]) steps[i / 8] |= bytes1(uint8(128 >> (i % 8)));
        }
    }

    /// @dev The leaves at `indices`.
    function pick(ISettlement.Leaf[] memory leaves, uint256[] memory indices)
        internal
        pure
        returns (ISettlement.Leaf[] memory picked)
    {
        picked = new ISettlement.Leaf[](indices.length);
        for (uint256 i; i < indices.length; ++i) {
            picked[i] = leaves[indices[i]];
        }
    }

    /// @dev The places of the bits set in `subset`, below `count`, ascending.
    function places(uint256 subset, uint256 count)
        internal
        pure
        returns (uint256[] memory indices)
    {
        indices = new uint256[](count);
        uint256 found;
        for (uint256 i; i < count; ++i) {
            if (subset >> i & 1 == 1) indices[found++] = i;
        }
        assembly ("memory-safe") {
            mstore(indices, found)
        }
    }

    function proofs(ISettlement.Leaf[] memory leaves, uint256[] memory indices)
        internal
        pure
        returns (bytes32[][] memory paths)
    {
        paths = new bytes32[][](indices.length);
        for (uint256 i; i < indices.length; ++i) {
            paths[i] = leaves.proof(indices[i]);
        }
    }
}
