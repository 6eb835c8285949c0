// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Paths} from "../src/libraries/Paths.sol";
import {Log} from "./Base.sol";
import {Batches} from "./Batches.sol";
import {Network} from "./Network.sol";
import {Trees} from "./Trees.sol";

/// claimPacked
/// ├── paused: IsPaused, see SettlementPause
/// ├── no active root: NoActiveRoot
/// ├── no leaf, or not whole leaves of 64 bytes: InvalidMultiproof (fuzz)
/// ├── more or fewer bytes of steps than there are hashings: InvalidMultiproof (fuzz)
/// ├── steps that take more or fewer siblings than given, or others: InvalidMultiproof (fuzz)
/// ├── a sibling changed, missing or spare: InvalidMultiproof (fuzz)
/// ├── a leaf that is not in the tree, twice, or at another place: InvalidMultiproof (fuzz)
/// ├── an inner node or the root for a proof: InvalidMultiproof
/// └── otherwise
///     ├── the bits that are no step and the bytes that are no field mean nothing
///     ├── each item: paid as by claim, or skipped with its reason
///     └── in all just what claimMany does (fuzz), also for the golden vectors of another implementation
contract SettlementPackedTest is Network {
    using Batches for ISettlement.Leaf[];
    using Batches for bool[];
    using Trees for ISettlement.Leaf[];

    uint256 private constant COUNT = 11;
    address private constant COLD = address(0xC01D);

    ISettlement.Leaf[] private leaves;

    /// @dev Arguments of a call.
    struct Batch {
        bytes leaves;
        bytes32[] proof;
        bytes steps;
    }

    function setUp() public override {
        super.setUp();
        bondAll();
        vault.fund(100 * uint256(RATE));
        for (uint256 i; i < COUNT; ++i) {
            leaves.push(
                ISettlement.Leaf(
                    address(uint160(0x1000 + i)), (i + 1) * 1 ether, 0, 3 * i, 1000 * i
                )
            );
        }
    }

    function test_packed_noActiveRoot() external {
        Batch memory batch = batchOf(5);
        refused(batch, ISettlement.NoActiveRoot.selector);
        publishPending(1, leaves);
        refused(batch, ISettlement.NoActiveRoot.selector);
    }

    function test_packed() external {
        vm.prank(leaves[4].account);
        settlement.setRecipient(leaves[4].account, COLD);
        publish(1, leaves);
        Batch memory batch = batchOf(1 << 1 | 1 << 4 | 1 << 10);
        vm.expectEmit(address(settlement));
        emit ISettlement.Activated(1, leaves.root(), 66 ether);
        expectClaimed(1, leaves[1].account);
        expectClaimed(4, COLD);
        expectClaimed(10, leaves[10].account);
        vm.prank(STRANGER);
        send(batch);

        vm.assertEq(token.balanceOf(COLD), 5 ether);
        vm.assertEq(token.balanceOf(leaves[4].account), 0);
        vm.assertEq(settlement.pot(), 66 ether - 2 ether - 5 ether - 11 ether);
        for (uint256 i; i < COUNT; ++i) {
            bool paid = i == 1 || i == 4 || i == 10;
            vm.assertEq(settlement.claimedOf(leaves[i].account), paid ? leaves[i].earned : 0);
            expectReputation(leaves[i].account, paid ? 1000 * i : 0, paid ? 1 : 0);
        }
    }

    function test_packed_skips() external {
        leaves[2].reputation = 1_000_001;
        leaves[3].earned = 0;
        leaves[4].account = address(0);
        warpToPosting(1);
        // Enough for six of the items.
        proposeAndPost(attestation(1, leaves.root(), 30 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        claim(leaves, 0);

        expectSkip(leaves[0].account, 0, ISettlement.SkipReason.NothingDue);
        expectClaimed(1, leaves[1].account);
        expectSkip(leaves[2].account, 2, ISettlement.SkipReason.OutOfRange);
        expectSkip(leaves[3].account, 3, ISettlement.SkipReason.NothingDue);
        expectSkip(address(0), 4, ISettlement.SkipReason.TransferFailed);
        expectClaimed(5, leaves[5].account);
        expectClaimed(6, leaves[6].account);
        expectClaimed(7, leaves[7].account);
        vm.expectEmit(address(settlement));
        emit ISettlement.Claimed(leaves[8].account, leaves[8].account, 6 ether);
        expectSkip(leaves[9].account, 9, ISettlement.SkipReason.PotEmpty);
        expectSkip(leaves[10].account, 10, ISettlement.SkipReason.PotEmpty);
        send(batchOf(type(uint256).max));
        vm.assertEq(settlement.pot(), 0);
    }

    /// Whatever the tree, the subset, what was claimed before and what the pot holds: the same events, balances and
    /// records as by claimMany.
    function testFuzz_packed_isClaimMany(
        uint64[24] memory earned,
        uint256 count,
        uint256 subset,
        uint256 before,
        uint256 total
    ) external {
        count = bound(count, 1, 24);
        ISettlement.Leaf[] memory all = new ISettlement.Leaf[](count);
        uint256 sum;
        for (uint256 i; i < count; ++i) {
            uint256 kind = earned[i] % 16;
            all[i] = ISettlement.Leaf({
                account: kind == 1 ? address(0) : address(uint160(0x1000 + i)),
                earned: kind == 2 ? 0 : earned[i],
                spent: earned[i] / 3,
                points: i,
                reputation: kind == 3 ? 1_000_001 : earned[i] % 1_000_001
            });
            sum += all[i].earned;
        }
        warpToPosting(1);
        proposeAndPost(attestation(1, all.root(), bound(total, sum / 2, 1000 ether)));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        before &= subset >> 1;
        send(all, Batches.places(before, count));
        uint256[] memory places = Batches.places(subset, count);
        if (places.length == 0) return;

        uint256 clean = vm.snapshotState();
        vm.recordLogs();
        settlement.claimMany(all.pick(places), all.proofs(places));
        bytes32 many = outcome(all, vm.getRecordedLogs());
        vm.assertTrue(vm.revertToState(clean));
        vm.recordLogs();
        send(all, places);
        vm.assertEq(outcome(all, vm.getRecordedLogs()), many);
    }

    /// Trees, proofs and steps as OpenZeppelin's library for JavaScript makes them.
    function test_packed_vectors() external {
        string memory json = vm.readFile("tests/vectors/multiproof.json");
        uint256 total;
        uint256 trees;
        uint256 cases;
        for (; vm.keyExistsJson(json, item(".trees", trees)); ++trees) {
            string memory tree = item(".trees", trees);
            total += 300 ether;
            warpToPosting(trees + 1);
            bytes32 root = vm.parseJsonBytes32(json, string.concat(tree, ".root"));
            proposeAndPost(attestation(trees + 1, root, total));
            vm.warp(vm.getBlockTimestamp() + CHALLENGE);
            cases += checkCases(json, tree);
            checkLeaves(json, tree, trees + 1);
        }
        vm.assertEq(trees, 5);
        vm.assertEq(cases, 16);
    }

    function test_packed_empty() external {
        publish(1, leaves);
        // The root alone "proves" that nothing is in the tree.
        Batch memory batch = Batch("", new bytes32[](1), "");
        batch.proof[0] = leaves.root();
        refused(batch);
        batch.proof = new bytes32[](0);
        refused(batch);
    }

    /// The length of the leaves, of the proof and of the steps each has to be what the others make it.
    function testFuzz_packed_lengths(uint256 subset, uint256 part, uint256 length) external {
        publish(1, leaves);
        Batch memory batch = batchOf(bound(subset, 1, (1 << COUNT) - 1));
        part = bound(part, 0, 2);
        if (part == 0) {
            length = bound(length, 0, 2 * batch.leaves.length);
            vm.assume(length != batch.leaves.length);
            batch.leaves = resized(batch.leaves, length);
        } else if (part == 1) {
            length = bound(length, 0, 2 * batch.steps.length + 2);
            vm.assume(length != batch.steps.length);
            batch.steps = resized(batch.steps, length);
        } else {
            length = bound(length, 0, 2 * batch.proof.length + 2);
            vm.assume(length != batch.proof.length);
            bytes32[] memory proof = new bytes32[](length);
            for (uint256 i; i < length; ++i) {
                if (i < batch.proof.length) proof[i] = batch.proof[i];
            }
            batch.proof = proof;
        }
        refused(batch);
    }

    function testFuzz_packed_malformedSteps(uint256 subset, bytes32 steps) external {
        publish(1, leaves);
        (Batch memory batch, uint256 count) = countedBatch(bound(subset, 1, (1 << COUNT) - 1));
        bytes memory wrong = new bytes(batch.steps.length);
        bool same = true;
        for (uint256 i; i < count; ++i) {
            bytes1 bit = bytes1(uint8(128 >> (i % 8)));
            wrong[i / 8] |= steps[i / 8] & bit;
            if ((steps[i / 8] ^ batch.steps[i / 8]) & bit != 0) same = false;
        }
        vm.assume(!same);
        batch.steps = wrong;
        refused(batch);
    }

    /// Each single step turned into the other kind takes one sibling too many or too few.
    function testFuzz_packed_oneStepTurned(uint256 subset, uint256 step) external {
        publish(1, leaves);
        (Batch memory batch, uint256 count) = countedBatch(bound(subset, 1, (1 << COUNT) - 1));
        step = bound(step, 0, count - 1);
        batch.steps[step / 8] ^= bytes1(uint8(128 >> (step % 8)));
        refused(batch);
    }

    function testFuzz_packed_changedSibling(uint256 subset, uint256 place, uint256 change)
        external
    {
        publish(1, leaves);
        Batch memory batch = batchOf(bound(subset, 1, (1 << COUNT) - 2));
        vm.assume(batch.proof.length != 0 && change != 0);
        place = bound(place, 0, batch.proof.length - 1);
        batch.proof[place] ^= bytes32(change);
        refused(batch);
    }

    /// Any bit of a field changed makes a leaf that is not in the tree.
    function testFuzz_packed_foreignLeaf(uint256 subset, uint256 place, uint256 bit) external {
        publish(1, leaves);
        Batch memory batch = batchOf(bound(subset, 1, (1 << COUNT) - 1));
        place = 64 * bound(place, 0, batch.leaves.length / 64 - 1);
        bit = bound(bit, 0, 8 * 56 - 1);
        batch.leaves[place + bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        refused(batch);
    }

    /// No leaf counts twice, whatever the steps: neither beside itself nor in the place of another.
    function testFuzz_attack_duplicateInABatch(uint256 subset, uint256 from, uint256 to) external {
        publish(1, leaves);
        subset = bound(subset, 1, (1 << COUNT) - 1);
        uint256[] memory places = Batches.places(subset, COUNT);
        vm.assume(places.length > 1);
        from = bound(from, 0, places.length - 1);
        to = bound(to, 0, places.length - 1);
        vm.assume(from != to);
        Batch memory batch = batchOf(subset);
        for (uint256 i; i < 64; ++i) {
            batch.leaves[64 * to + i] = batch.leaves[64 * from + i];
        }
        refused(batch);

        // Beside itself: two leaves of the one that is proven alone, with each of the steps that take both.
        batch = batchOf(1 << places[from]);
        batch.leaves = bytes.concat(batch.leaves, batch.leaves);
        uint256 count = batch.proof.length + 1;
        for (uint256 i; i < count; ++i) {
            bool[] memory flags = new bool[](count);
            flags[i] = true;
            batch.steps = flags.bits();
            refused(batch);
        }
    }

    /// The proof takes leaves in one order; in another one they are other nodes.
    function testFuzz_packed_order(uint256 subset, uint256 one, uint256 other) external {
        publish(1, leaves);
        subset = bound(subset, 1, (1 << COUNT) - 1);
        uint256[] memory places = Batches.places(subset, COUNT);
        vm.assume(places.length > 2);
        one = bound(one, 0, places.length - 1);
        other = bound(other, 0, places.length - 1);
        // Two beside each other are hashed in either order alike.
        vm.assume((COUNT - 1 - places[one]) / 2 != (COUNT - 1 - places[other]) / 2);
        vm.assume((2 * COUNT - 3 - places[one]) / 2 != (2 * COUNT - 3 - places[other]) / 2);
        Batch memory batch = batchOf(subset);
        (places[one], places[other]) = (places[other], places[one]);
        ISettlement.Leaf[] memory all = leaves;
        batch.leaves = all.pick(places).pack();
        refused(batch);
    }

    /// Bits behind the last step and the eight bytes behind a leaf's fields: read by nobody.
    function testFuzz_packed_padding(uint256 subset, uint8 spare, uint64 behind) external {
        publish(1, leaves);
        subset = bound(subset, 1, (1 << COUNT) - 1);
        (Batch memory batch, uint256 count) = countedBatch(subset);
        if (count % 8 != 0) {
            batch.steps[count / 8] |= bytes1(spare) & bytes1(uint8(255 >> (count % 8)));
        }
        for (uint256 i; i < 8; ++i) {
            batch.leaves[56 + i] = bytes8(behind)[i];
        }
        send(batch);
        uint256[] memory places = Batches.places(subset, COUNT);
        for (uint256 i; i < places.length; ++i) {
            vm.assertEq(token.balanceOf(leaves[places[i]].account), leaves[places[i]].earned);
        }
    }

    /// A leaf that is the whole tree needs neither siblings nor steps.
    function test_packed_onlyLeaf() external {
        ISettlement.Leaf[] memory one = new ISettlement.Leaf[](1);
        one[0] = leaves[7];
        publish(1, one);
        Batch memory batch = Batch(one.pack(), new bytes32[](0), hex"00");
        refused(batch);
        batch.steps = "";
        send(batch);
        vm.assertEq(token.balanceOf(one[0].account), 8 ether);
    }

    // What is checked

    function checkCases(string memory json, string memory tree) private returns (uint256 count) {
        for (;; ++count) {
            string memory path = item(string.concat(tree, ".cases"), count);
            if (!vm.keyExistsJson(json, path)) return count;
            vm.recordLogs();
            settlement.claimPacked(
                vm.parseJsonBytes(json, string.concat(path, ".packed")),
                vm.parseJsonBytes32Array(json, string.concat(path, ".proof")),
                vm.parseJsonBytes(json, string.concat(path, ".steps"))
            );
            Log[] memory logs = vm.getRecordedLogs();
            // Each account of the case has its event, in the order of the case.
            uint256 told;
            for (uint256 i; i < logs.length; ++i) {
                bytes32 topic = logs[i].topics[0];
                if (
                    topic != ISettlement.Claimed.selector
                        && topic != ISettlement.ClaimSkipped.selector
                ) continue;
                string memory account = item(string.concat(path, ".accounts"), told++);
                vm.assertEq(
                    address(uint160(uint256(logs[i].topics[1]))), vm.parseJsonAddress(json, account)
                );
            }
            vm.assertFalse(vm.keyExistsJson(json, item(string.concat(path, ".accounts"), told)));
        }
    }

    /// @dev The last case of each tree has all its leaves.
    function checkLeaves(string memory json, string memory tree, uint256 epoch) private view {
        for (uint256 i;; ++i) {
            string memory path = item(string.concat(tree, ".leaves"), i);
            if (!vm.keyExistsJson(json, path)) return;
            address account = vm.parseJsonAddress(json, string.concat(path, ".account"));
            uint256 earned = vm.parseJsonUint(json, string.concat(path, ".earned"));
            vm.assertEq(token.balanceOf(account), earned);
            expectReputation(
                account, vm.parseJsonUint(json, string.concat(path, ".reputation")), epoch
            );
        }
    }

    /// @dev All that a batch can change, and what it says.
    function outcome(ISettlement.Leaf[] memory all, Log[] memory logs)
        private
        view
        returns (bytes32 digest)
    {
        digest = keccak256(abi.encode(logs, settlement.pot()));
        for (uint256 i; i < all.length; ++i) {
            address account = all[i].account;
            (uint256 reputation, uint256 epoch) = settlement.reputationOf(account);
            digest = keccak256(
                abi.encode(
                    digest,
                    token.balanceOf(account),
                    settlement.claimedOf(account),
                    reputation,
                    epoch
                )
            );
        }
    }

    // Batches

    /// @dev The leaves in `subset`, which may have bits too many.
    function batchOf(uint256 subset) private view returns (Batch memory batch) {
        (batch,) = countedBatch(subset);
    }

    /// @return batch What proves them.
    /// @return count Its steps.
    function countedBatch(uint256 subset) private view returns (Batch memory batch, uint256 count) {
        ISettlement.Leaf[] memory all = leaves;
        uint256[] memory places = Batches.places(subset, COUNT);
        (bytes32[] memory proof, bool[] memory flags) = all.prove(places);
        return (Batch(all.pick(places).pack(), proof, flags.bits()), flags.length);
    }

    function send(Batch memory batch) private {
        settlement.claimPacked(batch.leaves, batch.proof, batch.steps);
    }

    function send(ISettlement.Leaf[] memory all, uint256[] memory places) private {
        if (places.length == 0) return;
        (bytes32[] memory proof, bool[] memory flags) = all.prove(places);
        settlement.claimPacked(all.pick(places).pack(), proof, flags.bits());
    }

    function refused(Batch memory batch) private {
        refused(batch, Paths.InvalidMultiproof.selector);
    }

    function refused(Batch memory batch, bytes4 reason) private {
        vm.expectRevert(reason);
        send(batch);
    }

    /// @dev Cut, or with zeros behind.
    function resized(bytes memory data, uint256 length) private pure returns (bytes memory other) {
        other = new bytes(length);
        for (uint256 i; i < length && i < data.length; ++i) {
            other[i] = data[i];
        }
    }

    function expectClaimed(uint256 index, address recipient) private {
        vm.expectEmit(address(settlement));
        emit ISettlement.Claimed(leaves[index].account, recipient, leaves[index].earned);
    }

    function expectSkip(address account, uint256 index, ISettlement.SkipReason reason) private {
        vm.expectEmit(address(settlement));
        emit ISettlement.ClaimSkipped(account, index, reason);
    }

    function expectReputation(address account, uint256 reputation, uint256 epoch) private view {
        (uint256 reputation_, uint256 epoch_) = settlement.reputationOf(account);
        vm.assertEq(reputation_, reputation);
        vm.assertEq(epoch_, epoch);
    }

    function item(string memory list, uint256 index) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(index), "]");
    }
}
