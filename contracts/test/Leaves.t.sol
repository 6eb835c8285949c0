// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Leaves} from "../src/libraries/Leaves.sol";
import {Paths} from "../src/libraries/Paths.sol";
import {Base} from "./Base.sol";
import {Batches} from "./Batches.sol";

/// hash
/// └── keccak256(bytes.concat(keccak256(abi.encode(leaf)))) for any fields; the leaf stays what it is (fuzz)
/// inRange
/// └── each field within its limit, compared one by one: any fields, and each at, below and above its limit (fuzz)
/// unpack
/// ├── not whole leaves of 64 bytes: InvalidMultiproof (fuzz)
/// ├── any bytes: the fields they hold, read plainly, and the hashes of those leaves (fuzz)
/// └── what was packed from leaves in range: those leaves (fuzz)
contract LeavesTest is Base {
    using Batches for ISettlement.Leaf[];
    using Leaves for ISettlement.Leaf;

    /// @dev A wrapper: the library takes calldata, and a refusal must be a call's.
    function unpack(bytes calldata packed)
        external
        pure
        returns (ISettlement.Leaf[] memory leaves, bytes32[] memory hashes)
    {
        return Leaves.unpack(packed);
    }

    function testFuzz_hash(ISettlement.Leaf memory leaf) external pure {
        bytes memory words = abi.encode(leaf);
        vm.assertEq(leaf.hash(), keccak256(bytes.concat(keccak256(words))));
        vm.assertEq(keccak256(abi.encode(leaf)), keccak256(words));
        vm.assertEq(words.length, 160);
    }

    function testFuzz_inRange(ISettlement.Leaf memory leaf) external pure {
        vm.assertEq(leaf.inRange(), plainInRange(leaf));
    }

    /// @param near Three bits a field: just at, one below or one above its limit, a bit above its range, anything in it.
    function testFuzz_inRange_edges(ISettlement.Leaf memory leaf, uint16 near, uint8 bit)
        external
        pure
    {
        leaf.earned = edge(leaf.earned, type(uint96).max, near & 7, bit);
        leaf.spent = edge(leaf.spent, type(uint96).max, near >> 3 & 7, bit);
        leaf.points = edge(leaf.points, type(uint64).max, near >> 6 & 7, bit);
        leaf.reputation = edge(leaf.reputation, 1_000_000, near >> 9 & 7, bit);
        vm.assertEq(leaf.inRange(), plainInRange(leaf));
    }

    function testFuzz_unpack_notWhole(bytes memory packed) external {
        if (packed.length % 64 == 0) packed = bytes.concat(packed, hex"00");
        vm.expectRevert(Paths.InvalidMultiproof.selector);
        this.unpack(packed);
    }

    function testFuzz_unpack(bytes32[] memory words) external view {
        uint256 count = words.length / 2;
        bytes memory packed;
        for (uint256 i; i < 2 * count; ++i) {
            packed = bytes.concat(packed, words[i]);
        }
        (ISettlement.Leaf[] memory leaves, bytes32[] memory hashes) = this.unpack(packed);
        vm.assertEq(leaves.length, count);
        vm.assertEq(hashes.length, count);
        for (uint256 i; i < count; ++i) {
            ISettlement.Leaf memory leaf = leaves[i];
            vm.assertEq(uint160(leaf.account), read(packed, 64 * i, 20));
            vm.assertEq(leaf.earned, read(packed, 64 * i + 20, 12));
            vm.assertEq(leaf.spent, read(packed, 64 * i + 32, 12));
            vm.assertEq(leaf.points, read(packed, 64 * i + 44, 8));
            vm.assertEq(leaf.reputation, read(packed, 64 * i + 52, 4));
            vm.assertEq(hashes[i], keccak256(bytes.concat(keccak256(abi.encode(leaf)))));
        }
    }

    function testFuzz_unpack_packed(ISettlement.Leaf[] memory leaves) external view {
        for (uint256 i; i < leaves.length; ++i) {
            leaves[i].earned = uint96(leaves[i].earned);
            leaves[i].spent = uint96(leaves[i].spent);
            leaves[i].points = uint64(leaves[i].points);
            leaves[i].reputation %= 1_000_001;
        }
        (ISettlement.Leaf[] memory unpacked,) = this.unpack(leaves.pack());
        vm.assertEq(keccak256(abi.encode(unpacked)), keccak256(abi.encode(leaves)));
    }

    function plainInRange(ISettlement.Leaf memory leaf) private pure returns (bool) {
        return leaf.earned < 2 ** 96 && leaf.spent < 2 ** 96 && leaf.points < 2 ** 64
            && leaf.reputation <= 1_000_000;
    }

    function edge(uint256 value, uint256 most, uint256 how, uint8 bit)
        private
        pure
        returns (uint256)
    {
        if (how == 0) return most;
        if (how == 1) return most - 1;
        if (how == 2) return most + 1;
        if (how == 3) return value % (most + 1) | uint256(1) << bit;
        return value % (most + 1);
    }

    /// @dev A number of `length` bytes, highest first.
    function read(bytes memory packed, uint256 from, uint256 length)
        private
        pure
        returns (uint256 value)
    {
        for (uint256 i; i < length; ++i) {
            value = value * 256 + uint8(packed[from + i]);
        }
    }
}
