// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Attestations} from "../src/libraries/Attestations.sol";
import {Leaves} from "../src/libraries/Leaves.sol";
import {Network} from "./Network.sol";

/// The golden vectors
/// ├── merkle.json: every leaf hashes as given and its proof leads to the root
/// └── typed_attestation.json
///     ├── typehash, and for each case domain separator and digest as given
///     └── a posted signature recovers to the signer
contract VectorsTest is Network {
    using Leaves for ISettlement.Leaf;

    function test_merkle() external view {
        string memory json = vm.readFile("tests/vectors/merkle.json");
        uint256 trees;
        uint256 leaves;
        for (; vm.keyExistsJson(json, item(".trees", trees)); ++trees) {
            string memory tree = item(".trees", trees);
            bytes32 root = vm.parseJsonBytes32(json, string.concat(tree, ".root"));
            for (uint256 i;; ++i) {
                string memory path = item(string.concat(tree, ".leaves"), i);
                if (!vm.keyExistsJson(json, path)) break;
                checkLeaf(json, path, root);
                ++leaves;
            }
        }
        vm.assertEq(trees, 6);
        vm.assertEq(leaves, 116);
    }

    function test_typedAttestation() external {
        string memory json = vm.readFile("tests/vectors/typed_attestation.json");
        vm.assertEq(Attestations.TYPEHASH, vm.parseJsonBytes32(json, ".typehash"));
        vm.assertEq(Attestations.TYPEHASH, keccak256(bytes(vm.parseJsonString(json, ".type"))));
        for (uint256 i; i < 2; ++i) {
            string memory path = item(".cases", i);
            ISettlement.EpochAttestation memory said = parse(json, string.concat(path, ".message"));
            // The same code at the address and on the chain of the vector.
            address home =
                vm.parseJsonAddress(json, string.concat(path, ".domain.verifyingContract"));
            vm.etch(home, address(settlement).code);
            vm.chainId(vm.parseJsonUint(json, string.concat(path, ".domain.chainId")));
            bytes32 digest = ISettlement(home).digestOf(said);
            vm.assertEq(digest, vm.parseJsonBytes32(json, string.concat(path, ".digest")));

            bytes memory signature = vm.parseJsonBytes(json, string.concat(path, ".signature"));
            address signer =
                ecrecover(digest, uint8(signature[64]), word(signature, 0), word(signature, 32));
            vm.assertEq(signer, vm.parseJsonAddress(json, string.concat(path, ".signer")));
        }
        vm.assertFalse(vm.keyExistsJson(json, ".cases[2]"));
    }

    function checkLeaf(string memory json, string memory path, bytes32 root) private pure {
        ISettlement.Leaf memory leaf = ISettlement.Leaf(
            vm.parseJsonAddress(json, string.concat(path, ".account")),
            vm.parseJsonUint(json, string.concat(path, ".earned")),
            vm.parseJsonUint(json, string.concat(path, ".spent")),
            vm.parseJsonUint(json, string.concat(path, ".points")),
            vm.parseJsonUint(json, string.concat(path, ".reputation"))
        );
        vm.assertTrue(leaf.inRange());
        vm.assertEq(leaf.hash(), vm.parseJsonBytes32(json, string.concat(path, ".hash")), path);
        bytes32[] memory proof = vm.parseJsonBytes32Array(json, string.concat(path, ".proof"));
        vm.assertTrue(MerkleProof.verify(proof, root, leaf.hash()), path);
    }

    function parse(string memory json, string memory path)
        private
        pure
        returns (ISettlement.EpochAttestation memory said)
    {
        said.epoch = vm.parseJsonUint(json, string.concat(path, ".epoch"));
        said.through = vm.parseJsonUint(json, string.concat(path, ".through"));
        said.round = vm.parseJsonUint(json, string.concat(path, ".round"));
        said.parentRoot = vm.parseJsonBytes32(json, string.concat(path, ".parentRoot"));
        said.parentStateDigest =
            vm.parseJsonBytes32(json, string.concat(path, ".parentStateDigest"));
        said.stateDigest = vm.parseJsonBytes32(json, string.concat(path, ".stateDigest"));
        said.root = vm.parseJsonBytes32(json, string.concat(path, ".root"));
        said.totalEarned = vm.parseJsonUint(json, string.concat(path, ".totalEarned"));
        said.totalSpent = vm.parseJsonUint(json, string.concat(path, ".totalSpent"));
        said.anchorBlockHash = vm.parseJsonBytes32(json, string.concat(path, ".anchorBlockHash"));
        said.rulesDigest = vm.parseJsonBytes32(json, string.concat(path, ".rulesDigest"));
        said.manifestDigest = vm.parseJsonBytes32(json, string.concat(path, ".manifestDigest"));
    }

    function item(string memory list, uint256 index) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(index), "]");
    }

    function word(bytes memory data, uint256 offset) private pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := mload(add(add(data, 32), offset))
        }
    }
}
