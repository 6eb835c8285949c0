// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Leaves} from "../src/libraries/Leaves.sol";
import {Network} from "./Network.sol";

/// @dev A tree of 2^20 leaves of which a few are known: what lies below a node without any is a hash of its place.
contract Forest {
    using Leaves for ISettlement.Leaf;

    uint256 internal constant DEPTH = 20;

    uint256[] internal places;
    mapping(uint256 place => bytes32) internal known;

    /// @dev Places ascend.
    function _plant(uint256 place, ISettlement.Leaf memory leaf) internal {
        places.push(place);
        known[place] = leaf.hash();
    }

    /// @dev A tree's nodes of one level that lie on known leaves' paths, left to right.
    /// @param spots Where in the level each is.
    /// @param owner By leaf: which of them is above it.
    struct Level {
        uint256 height;
        uint256 width;
        bytes32[] nodes;
        uint256[] spots;
        uint256[] owner;
    }

    /// @dev What comes of it: for each leaf its path, and a proof for all together, as `claimPacked` takes it.
    struct Grown {
        bytes32[][] paths;
        bytes32[] proof;
        bool[] steps;
        uint256 proofs;
        uint256 done;
    }

    /// @dev The root, and for each leaf known its path; all leaves together as `claimPacked` takes them.
    function _grow() internal view returns (bytes32 root, Grown memory grown) {
        uint256 count = places.length;
        Level memory level = Level(0, count, new bytes32[](count), places, new uint256[](count));
        grown.paths = new bytes32[][](count);
        grown.proof = new bytes32[](count * DEPTH);
        grown.steps = new bool[](count * (DEPTH + 1));
        for (uint256 i; i < count; ++i) {
            level.nodes[i] = known[level.spots[i]];
            level.owner[i] = i;
            grown.paths[i] = new bytes32[](DEPTH);
        }
        while (level.height < DEPTH) _climb(level, grown);
        root = level.nodes[0];
        (bytes32[] memory proof, bool[] memory steps) = (grown.proof, grown.steps);
        (uint256 proofs, uint256 done) = (grown.proofs, grown.done);
        assembly ("memory-safe") {
            mstore(proof, proofs)
            mstore(steps, done)
        }
    }

    /// @dev One level up. What is not known is made up.
    function _climb(Level memory level, Grown memory grown) private pure {
        uint256 next;
        uint256[] memory to = new uint256[](level.width);
        for (uint256 i; i < level.width; ++i) {
            uint256 spot = level.spots[i];
            bool paired = i + 1 < level.width && spot % 2 == 0 && level.spots[i + 1] == spot + 1;
            bytes32 sibling =
                paired ? level.nodes[i + 1] : keccak256(abi.encode(level.height, spot ^ 1));
            _note(level, grown, i, sibling);
            if (paired) _note(level, grown, i + 1, level.nodes[i]);
            else grown.proof[grown.proofs++] = sibling;
            grown.steps[grown.done++] = paired;
            level.nodes[next] = Hashes.commutativeKeccak256(level.nodes[i], sibling);
            level.spots[next] = spot / 2;
            to[i] = next;
            if (paired) to[++i] = next;
            ++next;
        }
        for (uint256 leaf; leaf < level.owner.length; ++leaf) {
            level.owner[leaf] = to[level.owner[leaf]];
        }
        level.width = next;
        ++level.height;
    }

    /// @dev The sibling belongs to the path of every leaf below node `i`.
    function _note(Level memory level, Grown memory grown, uint256 i, bytes32 sibling)
        private
        pure
    {
        for (uint256 leaf; leaf < level.owner.length; ++leaf) {
            if (level.owner[leaf] == i) grown.paths[leaf][level.height] = sibling;
        }
    }
}

/// Whole-transaction gas of what a network does every day, by `forge test --isolate`. A tree of depth 20; eleven
/// validators, of whom three hold two thirds of the stake, and stand last, where they cost most to find; the root before has
/// been activated.
contract GasTest is Network, Forest {
    uint256 private constant BATCH = 50;

    ISettlement.Leaf[] private leaves;
    bytes32 private root;
    bytes32[][] private paths;
    bytes32[] private proof;
    bool[] private steps;

    function validatorCount() internal pure override returns (uint256) {
        return 11;
    }

    function maxStake(uint256 index) internal pure override returns (uint96) {
        return index < 8 ? 100 ether : 900 ether;
    }

    function minTotal() internal pure override returns (uint96) {
        return 2000 ether;
    }

    function setUp() public override {
        super.setUp();
        bondAll();
        vault.fund(100_000 * uint256(RATE));
        for (uint256 i; i < BATCH; ++i) {
            address account = address(uint160(uint256(keccak256(abi.encode("account", i)))));
            leaves.push(ISettlement.Leaf(account, 0, 0, 0, 0));
        }
        _publishGrown(1);
        _publishGrown(2);
    }

    function test_propose() public {
        settlement.activate();
        warpToPosting(3);
        ISettlement.EpochAttestation memory said = attestation(3, keccak256("root"), 200 ether);
        propose(said);
        _snapshot("propose");
    }

    function test_post_3() public {
        _post("post_3", 3);
    }

    function test_post_5() public {
        _post("post_5", 5);
    }

    function test_post_11() public {
        _post("post_11", 11);
    }

    function test_activate() public {
        settlement.activate();
        _snapshot("activate");
    }

    function test_claim() public {
        settlement.activate();
        claimWith(leaves[7], paths[7]);
        _snapshot("claim_first");
        _publishGrown(3);
        settlement.activate();
        claimWith(leaves[7], paths[7]);
        _snapshot("claim_repeat");
    }

    function test_claim_toRecipient() public {
        vm.prank(leaves[7].account);
        settlement.setRecipient(leaves[7].account, address(0xC01D));
        settlement.activate();
        claimWith(leaves[7], paths[7]);
        _publishGrown(3);
        settlement.activate();
        claimWith(leaves[7], paths[7]);
        _snapshot("claim_repeat_recipient");
    }

    function test_claimMany() public {
        settlement.activate();
        settlement.claimMany(leaves, paths);
        _publishGrown(3);
        settlement.activate();
        settlement.claimMany(leaves, paths);
        _snapshot("batch50_many");
    }

    function test_claimPacked() public {
        settlement.activate();
        (bytes memory packed, bytes memory bits) = _packed();
        settlement.claimPacked(packed, proof, bits);
        _publishGrown(3);
        settlement.activate();
        (packed, bits) = _packed();
        settlement.claimPacked(packed, proof, bits);
        _snapshot("batch50_packed");
    }

    function _snapshot(string memory name) private {
        vm.snapshotGasLastCall("settlement", name);
    }

    function _post(string memory name, uint256 count) private {
        settlement.activate();
        warpToPosting(3);
        ISettlement.EpochAttestation memory said = attestation(3, keccak256("root"), 200 ether);
        propose(said);
        settlement.post(said, sign(settlement.digestOf(said), ((1 << count) - 1) << (11 - count)));
        _snapshot(name);
    }

    /// @dev Every account has earned one token more, and 12 wei so that no byte is zero by chance.
    function _publishGrown(uint256 epoch) private {
        uint256 total;
        delete places;
        for (uint256 i; i < BATCH; ++i) {
            ISettlement.Leaf storage leaf = leaves[i];
            leaf.earned += 1 ether + 123_456_789_123;
            leaf.points += 240_007;
            leaf.reputation = 812_345 + epoch;
            total += leaf.earned;
            _plant(i * 20_011 + 5, leaf);
        }
        Grown memory grown;
        (root, grown) = _grow();
        (paths, proof, steps) = (grown.paths, grown.proof, grown.steps);
        warpToPosting(epoch);
        ISettlement.EpochAttestation memory said = attestation(epoch, root, total);
        propose(said);
        settlement.post(said, sign(settlement.digestOf(said), 0x700));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
    }

    function _packed() private view returns (bytes memory packed, bytes memory bits) {
        for (uint256 i; i < BATCH; ++i) {
            ISettlement.Leaf storage leaf = leaves[i];
            packed = abi.encodePacked(
                packed,
                leaf.account,
                uint96(leaf.earned),
                uint96(leaf.spent),
                uint64(leaf.points),
                uint32(leaf.reputation),
                uint64(0)
            );
        }
        bits = new bytes((steps.length + 7) / 8);
        for (uint256 i; i < steps.length; ++i) {
            if (steps[i]) bits[i / 8] |= bytes1(uint8(128 >> i % 8));
        }
    }
}
