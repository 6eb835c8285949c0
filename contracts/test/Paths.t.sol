// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Paths} from "../src/libraries/Paths.sol";
import {Base} from "./Base.sol";

/// rootOf
/// └── what OpenZeppelin's processProof finds, for any node and path, also none and one of equal hashes (fuzz)
/// rootOfMany
/// ├── any nodes, proof and steps at all (fuzz): what a plain version finds, or InvalidMultiproof where that refuses
/// ├── lengths and steps that fit together (fuzz): the same, and what OpenZeppelin's processMultiProof finds
/// ├── no node: InvalidMultiproof
/// └── memory around it is untouched (fuzz)
contract PathsTest is Base {
    // Wrappers: libraries take calldata, and a refusal must be a call's

    function rootOf(bytes32 node, bytes32[] calldata path) external pure returns (bytes32) {
        return Paths.rootOf(node, path);
    }

    function rootOfMany(bytes32[] memory nodes, bytes32[] calldata proof, bytes calldata steps)
        external
        pure
        returns (bytes32)
    {
        return Paths.rootOfMany(nodes, proof, steps);
    }

    function processMultiProof(
        bytes32[] calldata proof,
        bool[] calldata flags,
        bytes32[] memory nodes
    ) external pure returns (bytes32) {
        return MerkleProof.processMultiProofCalldata(proof, flags, nodes);
    }

    // One path

    function testFuzz_rootOf(bytes32 node, bytes32[] calldata path) external pure {
        vm.assertEq(Paths.rootOf(node, path), MerkleProof.processProof(path, node));
    }

    /// Siblings that are equal to the node, next to it, or at the ends of all hashes.
    function testFuzz_rootOf_edges(bytes32 node, uint256 choices, uint8 depth) external view {
        bytes32[] memory path = new bytes32[](depth % 33);
        bytes32 reached = node;
        for (uint256 i; i < path.length; ++i) {
            uint256 choice = choices >> (3 * i) & 7;
            if (choice == 0) path[i] = reached;
            else if (choice == 1) path[i] = bytes32(0);
            else if (choice == 2) path[i] = bytes32(type(uint256).max);
            else if (choice == 3) path[i] = bytes32(uint256(reached) ^ 1);
            else if (choice == 4) path[i] = reached ^ bytes32(uint256(1) << 255);
            else path[i] = keccak256(abi.encode(choices, i));
            reached = Hashes.commutativeKeccak256(reached, path[i]);
        }
        vm.assertEq(this.rootOf(node, path), reached);
    }

    // One proof for many

    function test_rootOfMany_noNode() external {
        bytes32[] memory one = new bytes32[](1);
        vm.expectRevert(Paths.InvalidMultiproof.selector);
        this.rootOfMany(new bytes32[](0), new bytes32[](0), "");
        vm.expectRevert(Paths.InvalidMultiproof.selector);
        this.rootOfMany(new bytes32[](0), one, "");
    }

    function testFuzz_rootOfMany_anything(
        bytes32[] memory nodes,
        bytes32[] memory proof,
        bytes memory steps
    ) external {
        compare(nodes, proof, steps);
    }

    /// As many steps as hashings, and more often than not as many of them from the queue as will do.
    function testFuzz_rootOfMany(uint256 seed, uint8 count, uint8 siblings, bool fits) external {
        bytes32[] memory nodes = hashes(seed, 1 + count % 24);
        bytes32[] memory proof = hashes(~seed, siblings % 24);
        bool[] memory flags = steps_(seed, nodes.length, proof.length, fits);
        bytes memory steps = new bytes((flags.length + 7) / 8);
        for (uint256 i; i < flags.length; ++i) {
            if (flags[i]) steps[i / 8] |= bytes1(uint8(128 >> (i % 8)));
        }
        (bool valid, bytes32 root) = compare(nodes, proof, steps);
        if (fits) vm.assertTrue(valid);
        if (valid) vm.assertEq(this.processMultiProof(proof, flags, nodes), root);
    }

    function testFuzz_rootOfMany_memory(uint256 seed, uint8 count, bytes32 filler) external view {
        bytes32[] memory nodes = hashes(seed, 1 + count % 24);
        bytes memory steps = new bytes((nodes.length + 6) / 8);
        for (uint256 i; i < steps.length; ++i) {
            steps[i] = 0xff;
        }
        vm.assertEq(
            this.keepsMemory(nodes, filler, new bytes32[](0), steps),
            keccak256(abi.encode(nodes, filler, filler))
        );
    }

    /// @return What stands before, in and after the nodes once their root has been found.
    function keepsMemory(
        bytes32[] memory nodes,
        bytes32 filler,
        bytes32[] calldata proof,
        bytes calldata steps
    ) external pure returns (bytes32) {
        bytes32[] memory before = new bytes32[](1);
        before[0] = filler;
        Paths.rootOfMany(nodes, proof, steps);
        bytes32[] memory behind = new bytes32[](1);
        vm.assertEq(behind[0], bytes32(0));
        behind[0] = filler;
        return keccak256(abi.encode(nodes, before[0], behind[0]));
    }

    /// @dev Both versions, on the same.
    function compare(bytes32[] memory nodes, bytes32[] memory proof, bytes memory steps)
        private
        returns (bool valid, bytes32 root)
    {
        (valid, root) = plain(nodes, proof, steps);
        if (!valid) vm.expectRevert(Paths.InvalidMultiproof.selector);
        bytes32 found = this.rootOfMany(nodes, proof, steps);
        if (valid) vm.assertEq(found, root);
    }

    /// @dev A queue that is cut at its head, in Solidity.
    function plain(bytes32[] memory nodes, bytes32[] memory proof, bytes memory steps)
        private
        pure
        returns (bool valid, bytes32 root)
    {
        if (nodes.length == 0) return (false, 0);
        uint256 hashings = nodes.length + proof.length - 1;
        if (steps.length != hashings / 8 + (hashings % 8 == 0 ? 0 : 1)) return (false, 0);
        bytes32[] memory queue = new bytes32[](nodes.length + hashings);
        for (uint256 i; i < nodes.length; ++i) {
            queue[i] = nodes[i];
        }
        (uint256 head, uint256 tail, uint256 used) = (0, nodes.length, 0);
        for (uint256 i; i < hashings; ++i) {
            if (head == tail) return (false, 0);
            bytes32 node = queue[head++];
            bytes32 sibling;
            if (uint8(steps[i / 8]) / 2 ** (7 - i % 8) % 2 == 1) {
                if (head == tail) return (false, 0);
                sibling = queue[head++];
            } else {
                if (used == proof.length) return (false, 0);
                sibling = proof[used++];
            }
            queue[tail++] = node < sibling
                ? keccak256(bytes.concat(node, sibling))
                : keccak256(bytes.concat(sibling, node));
        }
        return (used == proof.length && head + 1 == tail, queue[tail - 1]);
    }

    /// @dev Steps in a random order. If they are to fit, none takes from an empty queue and each sibling is taken.
    function steps_(uint256 seed, uint256 nodes, uint256 siblings, bool fits)
        private
        pure
        returns (bool[] memory flags)
    {
        flags = new bool[](nodes + siblings - 1);
        uint256 waiting = nodes;
        for (uint256 i; i < flags.length; ++i) {
            flags[i] = uint256(keccak256(abi.encode(seed, "step", i))) & 1 == 1;
            if (!fits) continue;
            if (waiting == 1) flags[i] = false;
            else if (siblings == 0) flags[i] = true;
            if (flags[i]) --waiting;
            else --siblings;
        }
    }

    function hashes(uint256 seed, uint256 count) private pure returns (bytes32[] memory list) {
        list = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            list[i] = keccak256(abi.encode(seed, i));
        }
    }
}
