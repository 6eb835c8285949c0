// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Leaves} from "../src/libraries/Leaves.sol";

/// @dev Trees for tests, over leaves in the given order: node i has the children 2i + 1 and 2i + 2.
library Trees {
    using Leaves for ISettlement.Leaf;

    function nodes(ISettlement.Leaf[] memory leaves) internal pure returns (bytes32[] memory tree) {
        uint256 count = leaves.length;
        tree = new bytes32[](2 * count - 1);
        for (uint256 i; i < count; ++i) {
            tree[2 * count - 2 - i] = leaves[i].hash();
        }
        for (uint256 i = count - 1; i > 0; --i) {
            tree[i - 1] = Hashes.commutativeKeccak256(tree[2 * i - 1], tree[2 * i]);
        }
    }

    function root(ISettlement.Leaf[] memory leaves) internal pure returns (bytes32) {
        return nodes(leaves)[0];
    }

    function proof(ISettlement.Leaf[] memory leaves, uint256 index)
        internal
        pure
        returns (bytes32[] memory path)
    {
        bytes32[] memory tree = nodes(leaves);
        uint256 depth;
        for (uint256 node = tree.length - 1 - index; node > 0; node = (node - 1) / 2) {
            ++depth;
        }
        path = new bytes32[](depth);
        depth = 0;
        for (uint256 node = tree.length - 1 - index; node > 0; node = (node - 1) / 2) {
            path[depth++] = tree[node % 2 == 1 ? node + 1 : node - 1];
        }
    }
}
