// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IJudge} from "../src/interfaces/IJudge.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Leaves} from "../src/libraries/Leaves.sol";
import {Reports} from "./Reports.sol";
import {Trees} from "./Trees.sol";

/// sum
/// ├── not as many proofs as leaves: LengthMismatch
/// ├── nothing triable: NothingTriable
/// ├── a leaf not in the tree, wherever it stands: NotInTree, and nothing of the step counts
/// ├── a hash not above the one before, in the same step or the last one: NotAscending
/// ├── amounts beyond all bounds: the sum stops at 2^128 - 1
/// └── otherwise: added to the caller's own sum for that root, event; however it is cut in steps (fuzz)
/// exceedsTotal
/// ├── nothing triable: NothingTriable
/// ├── not committed in an earlier block to root and running hash: NotCommitted
/// ├── sum within the total, or none: WithinTotal
/// └── above (fuzz), also by a sum that stopped: accepted
contract JudgeSumsTest is Reports {
    using Leaves for ISettlement.Leaf;
    using Trees for ISettlement.Leaf[];

    uint256 private constant MOST = type(uint128).max;

    function setUp() public override {
        super.setUp();
        publish(1, first());
    }

    function test_sum_lengthMismatch() external {
        pend(second());
        vm.expectRevert(abi.encodeWithSelector(IJudge.LengthMismatch.selector, 1, 2));
        judge.sum(new ISettlement.Leaf[](1), new bytes32[][](2));
        vm.expectRevert(abi.encodeWithSelector(IJudge.LengthMismatch.selector, 2, 1));
        judge.sum(new ISettlement.Leaf[](2), new bytes32[][](1));
    }

    function test_nothingTriable() external {
        vm.expectRevert(IJudge.NothingTriable.selector);
        sum(ascending(first()));
        exceedsTotal(abi.encodeWithSelector(IJudge.NothingTriable.selector));

        pend(second());
        sum(ascending(second()));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        vm.expectRevert(IJudge.NothingTriable.selector);
        sum(ascending(second()));
        exceedsTotal(abi.encodeWithSelector(IJudge.NothingTriable.selector));
    }

    function test_sum_notInTree() external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        Shown[] memory items = ascending(leaves);
        // A higher amount in the last leaf, so that its hash may lie anywhere.
        items[4].leaf.earned += 1;
        vm.expectRevert(notInTree(items[4].leaf.account, leaves.root()));
        sum(items);
        expectSum(REPORTER, leaves.root(), items, 0);
        sumAs(REPORTER, items, 0, 4);
        expectSum(REPORTER, leaves.root(), items, 4);
    }

    function test_sum_notAscending() external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        Shown[] memory items = ascending(leaves);
        (items[1], items[2]) = (items[2], items[1]);
        expectNotAscending(items[1], items[2]);
        sum(items);
        // Across steps, and the same one again.
        sumAs(REPORTER, items, 0, 2);
        expectNotAscending(items[1], items[2]);
        sumAs(REPORTER, items, 2, 1);
        expectNotAscending(items[1], items[1]);
        sumAs(REPORTER, items, 1, 1);
        items[2] = items[1];
        expectNotAscending(items[1], items[1]);
        sumAs(STRANGER, items, 1, 2);
        expectSum(REPORTER, leaves.root(), items, 2);
    }

    function testFuzz_sum_anySteps(uint256 cuts, bool others) external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        Shown[] memory items = ascending(leaves);
        uint256 done;
        while (done < 5) {
            uint256 count = bound(cuts & 7, 0, 5 - done);
            cuts >>= 3;
            if (cuts == 0) count = 5 - done;
            if (others) sumAs(STRANGER, items, done, count);
            done += count;
            uint256 earned = sumOf(items, done);
            vm.expectEmit(address(judge));
            emit IJudge.Summed(leaves.root(), REPORTER, earned, done);
            sumAs(REPORTER, items, done - count, count);
            expectSum(REPORTER, leaves.root(), items, done);
            expectSum(STRANGER, leaves.root(), items, others ? done : 0);
        }
        vm.assertEq(sumOf(items, 5), TOTAL_EARNED);
        exceedsTotal(withinTotal(TOTAL_EARNED, TOTAL_EARNED));
    }

    /// Another root begins at nothing; what was summed of the one before stays as it was.
    function test_sum_eachRoot() external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        sum(ascending(leaves));
        vm.prank(GUARDIAN);
        settlement.cancel();
        ISettlement.Leaf[] memory other = second();
        other[4].points = 1;
        postAs(3, other.root(), TOTAL_EARNED, TOTAL_SPENT, 7);
        expectSum(REPORTER, other.root(), ascending(other), 0);
        vm.expectRevert(notInTree(ascending(leaves)[0].leaf.account, other.root()));
        sum(ascending(leaves));
        sumAs(REPORTER, ascending(other), 0, 3);
        expectSum(REPORTER, other.root(), ascending(other), 3);
        expectSum(REPORTER, leaves.root(), ascending(leaves), 5);
    }

    /// Nothing overflows, in one step or over several; the fraud is proven all the same.
    function test_sum_stopsAtTheMost() external {
        ISettlement.Leaf[] memory leaves = second();
        leaves[1].earned = MOST - 1;
        leaves[2].earned = type(uint256).max;
        leaves[3].earned = type(uint256).max;
        leaves[4].earned = 3;
        pend(leaves);
        Shown[] memory items = ascending(leaves);
        sum(items);
        (,, uint256 earned, uint256 count) = judge.summed(leaves.root(), REPORTER);
        vm.assertEq(earned, MOST);
        vm.assertEq(count, 5);
        for (uint256 i; i < 5; ++i) {
            sumAs(STRANGER, items, i, 1);
        }
        (,, earned,) = judge.summed(leaves.root(), STRANGER);
        vm.assertEq(earned, MOST);
        exceedsTotal(ACCEPTED);
        assertConvicts(7);
    }

    function test_exceedsTotal_notCommitted() external {
        ISettlement.Leaf[] memory leaves = second();
        leaves[3].earned += 1;
        pend(leaves);
        Shown[] memory items = ascending(leaves);
        bytes32 name = "exceedsTotal";
        bytes32 evidence = keccak256(abi.encode(name, leaves.root(), runningOf(items, 5)));
        commitTo(evidence);
        sumAs(REPORTER, items, 0, 4);
        // Before the last leaf the running hash is another.
        expectNotCommitted(REPORTER, leaves.root(), runningOf(items, 4));
        vm.prank(REPORTER);
        judge.exceedsTotal(SALT);
        // In the block of the commitment.
        sumAs(STRANGER, items, 0, 5);
        bytes32 commitment = judge.commitmentOf(STRANGER, evidence, SALT);
        judge.commit(commitment);
        expectNotCommitted(STRANGER, leaves.root(), runningOf(items, 5));
        vm.prank(STRANGER);
        judge.exceedsTotal(SALT);

        // Committed before the first step, it can be shown in the block of the last.
        sumAs(REPORTER, items, 4, 1);
        vm.expectEmit(address(judge));
        emit IJudge.Proven("exceedsTotal", leaves.root(), REPORTER);
        vm.prank(REPORTER);
        judge.exceedsTotal(SALT);
        assertConvicts(7);
    }

    /// A commitment about one root is none about another.
    function test_exceedsTotal_anotherRoot() external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        bytes32 name = "exceedsTotal";
        commitTo(keccak256(abi.encode(name, keccak256("another root"), bytes32(0))));
        expectNotCommitted(REPORTER, leaves.root(), 0);
        vm.prank(REPORTER);
        judge.exceedsTotal(SALT);
        exceedsTotal(withinTotal(0, TOTAL_EARNED));
    }

    function testFuzz_exceedsTotal(uint256 amount, uint8 near, uint8 count) external {
        ISettlement.Leaf[] memory leaves = second();
        amount = near < 128 ? leaves[3].earned + near % 5 - 2 : bound(amount, 0, type(uint96).max);
        leaves[3].earned = amount;
        pend(leaves);
        Shown[] memory items = ascending(leaves);
        count = count < 128 ? 5 : count % 6;
        sumAs(REPORTER, items, 0, count);
        uint256 earned = sumOf(items, count);
        bytes memory refusal = withinTotal(earned, TOTAL_EARNED);
        exceedsTotal(earned > TOTAL_EARNED ? ACCEPTED : refusal);
        assertConvicts(earned > TOTAL_EARNED ? 7 : 0);
        vm.assertEq(settlement.pendingRoot() == 0, earned > TOTAL_EARNED);
    }

    function expectNotCommitted(address reporter, bytes32 root, bytes32 running) private {
        bytes32 name = "exceedsTotal";
        bytes32 evidence = keccak256(abi.encode(name, root, running));
        bytes32 commitment = judge.commitmentOf(reporter, evidence, SALT);
        vm.expectRevert(abi.encodeWithSelector(IJudge.NotCommitted.selector, commitment));
    }

    function expectNotAscending(Shown memory previous, Shown memory item) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                IJudge.NotAscending.selector, previous.leaf.hash(), item.leaf.hash()
            )
        );
    }

    /// @dev The sum of the reporter is that of the first `count` items.
    function expectSum(address reporter, bytes32 root, Shown[] memory items, uint256 count)
        private
        view
    {
        (bytes32 last, bytes32 running, uint256 earned, uint256 leaves) =
            judge.summed(root, reporter);
        vm.assertEq(last, count == 0 ? bytes32(0) : items[count - 1].leaf.hash());
        vm.assertEq(running, runningOf(items, count));
        vm.assertEq(earned, sumOf(items, count));
        vm.assertEq(leaves, count);
    }

    function sumOf(Shown[] memory items, uint256 count) private pure returns (uint256 earned) {
        for (uint256 i; i < count; ++i) {
            earned += items[i].leaf.earned;
        }
    }

    function runningOf(Shown[] memory items, uint256 count) private pure returns (bytes32 running) {
        for (uint256 i; i < count; ++i) {
            running = keccak256(bytes.concat(running, items[i].leaf.hash()));
        }
    }

    function withinTotal(uint256 earned, uint256 total) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IJudge.WithinTotal.selector, earned, total);
    }
}
