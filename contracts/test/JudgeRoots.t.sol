// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IJudge} from "../src/interfaces/IJudge.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Reports} from "./Reports.sol";
import {Trees} from "./Trees.sol";

/// constructor
/// ├── settlement zero: ZeroAddress
/// └── otherwise: getter
/// commitmentOf
/// └── as specified (fuzz)
/// commit
/// ├── committed already, by whomever: AlreadyCommitted
/// └── otherwise: kept with its block, event (fuzz)
/// falls, repeats, overspends, outOfRange
/// ├── not committed, in this block only, by another, other evidence or salt: NotCommitted
/// ├── nothing triable - never pending, matured, cancelled and its time over, convicted already: NothingTriable
/// ├── a leaf of which a field is not as in the tree (fuzz): NotInTree
/// └── otherwise: event, root cancelled, exactly its signers convicts
/// falls
/// ├── no active root: NotInTree
/// ├── the parent's leaf not in the active root, but in its own parent or the pending one: NotInTree
/// ├── leaves of two accounts: DifferentAccounts
/// ├── earned, spent and points not below the parent's: NotFallen
/// └── any of them below (fuzz): accepted
/// repeats
/// ├── leaves of two accounts: DifferentAccounts
/// ├── the same leaf: SameLeaf
/// └── leaves that differ in any field (fuzz): accepted
/// overspends
/// ├── spent within deposited less withdrawn (fuzz): NotOverspent
/// └── above (fuzz), also after a withdrawal or without any deposit: accepted
/// outOfRange
/// ├── every field in range (fuzz), up to the edge: InRange
/// └── a field above (fuzz): accepted
/// (sum and exceedsTotal: see JudgeSums; equivocates: see JudgeEquivocation; roots the guardian cancelled: see
/// JudgeCancelled)
contract JudgeRootsTest is Reports {
    using Trees for ISettlement.Leaf[];

    function setUp() public override {
        super.setUp();
        publish(1, first());
    }

    function test_constructor() external {
        vm.assertEq(address(judge.settlement()), address(settlement));
        vm.expectRevert(IJudge.ZeroAddress.selector);
        newJudge(address(0));
    }

    function testFuzz_commitmentOf(address reporter, bytes32 evidence, bytes32 salt) external view {
        bytes32 words = keccak256(bytes.concat(bytes32(uint256(uint160(reporter))), evidence, salt));
        vm.assertEq(judge.commitmentOf(reporter, evidence, salt), words);
    }

    function testFuzz_commit(bytes32 commitment, address by, address other) external {
        vm.assertEq(judge.committedAt(commitment), 0);
        nextBlock();
        vm.expectEmit(address(judge));
        emit IJudge.Committed(commitment, by);
        vm.prank(by);
        judge.commit(commitment);
        uint256 since = judge.committedAt(commitment);
        vm.assertTrue(since > 1);

        nextBlock();
        vm.prank(other);
        vm.expectRevert(abi.encodeWithSelector(IJudge.AlreadyCommitted.selector, commitment));
        judge.commit(commitment);
        vm.assertEq(judge.committedAt(commitment), since);
    }

    /// What is committed to is exactly what is shown, by exactly the one who shows it.
    function test_notCommitted() external {
        ISettlement.Leaf[] memory leaves = second();
        leaves[0].spent = DEPOSIT + 1;
        pend(leaves);
        Shown memory fraud = shown(leaves, 0);
        bytes32 evidence = evidenceOf("overspends", fraud);

        expectNotCommitted(REPORTER, evidence, SALT);
        vm.prank(REPORTER);
        judge.overspends(fraud.leaf, fraud.proof, SALT);

        commitTo(evidence);
        expectNotCommitted(STRANGER, evidence, SALT);
        vm.prank(STRANGER);
        judge.overspends(fraud.leaf, fraud.proof, SALT);
        expectNotCommitted(REPORTER, evidence, "salt");
        vm.prank(REPORTER);
        judge.overspends(fraud.leaf, fraud.proof, "salt");
        Shown memory other = shown(leaves, 1);
        expectNotCommitted(REPORTER, evidenceOf("overspends", other), SALT);
        vm.prank(REPORTER);
        judge.overspends(other.leaf, other.proof, SALT);

        overspends(fraud, ACCEPTED);
    }

    /// A commitment counts from the block after its own, in all proofs.
    function test_notCommitted_inThisBlock() external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        Shown memory a = shown(leaves, 2);
        Shown memory parent = shown(first(), 2);
        bytes32[4] memory evidences = [
            evidenceOf("falls", a, parent),
            evidenceOf("repeats", a, parent),
            evidenceOf("overspends", a),
            evidenceOf("outOfRange", a)
        ];
        for (uint256 i; i < 4; ++i) {
            bytes32 commitment = judge.commitmentOf(REPORTER, evidences[i], SALT);
            vm.prank(REPORTER);
            judge.commit(commitment);
            expectNotCommitted(REPORTER, evidences[i], SALT);
            vm.prank(REPORTER);
            if (i == 0) judge.falls(a.leaf, a.proof, parent.leaf, parent.proof, SALT);
            else if (i == 1) judge.repeats(a.leaf, a.proof, parent.leaf, parent.proof, SALT);
            else if (i == 2) judge.overspends(a.leaf, a.proof, SALT);
            else judge.outOfRange(a.leaf, a.proof, SALT);
        }
        // In the next block each is heard, and refused for what it says.
        falls(a, parent, about(IJudge.NotFallen.selector, PROVIDER));
        repeats(a, parent, notInTree(PROVIDER, leaves.root()));
        overspends(a, abi.encodeWithSelector(IJudge.NotOverspent.selector, PROVIDER, 0, 0));
        outOfRange(a, about(IJudge.InRange.selector, PROVIDER));
    }

    function test_nothingTriable() external {
        expectNothingTriable(first());

        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        uint256 activeAt = settlement.pendingRecord().activeAt;
        vm.prank(GUARDIAN);
        settlement.cancel();
        vm.warp(activeAt);
        expectNothingTriable(leaves);

        publish(3, leaves);
        expectNothingTriable(leaves);
        settlement.activate();
        expectNothingTriable(leaves);
    }

    function testFuzz_notInTree(uint8 index, uint8 field, uint256 value, bool ofParent) external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        index %= 5;
        Shown memory real = shown(leaves, index);
        Shown memory parent = shown(first(), index);
        Shown memory forged = ofParent ? shown(first(), index) : shown(leaves, index);
        bytes32 before = keccak256(abi.encode(forged.leaf));
        set(forged.leaf, field % 5, value);
        vm.assume(keccak256(abi.encode(forged.leaf)) != before);

        if (ofParent) {
            falls(real, forged, notInTree(forged.leaf.account, first().root()));
            return;
        }
        bytes memory refusal = notInTree(forged.leaf.account, leaves.root());
        falls(forged, parent, refusal);
        repeats(forged, real, refusal);
        repeats(real, forged, refusal);
        overspends(forged, refusal);
        outOfRange(forged, refusal);
    }

    function test_falls_wrongParent() external {
        ISettlement.Leaf[] memory leaves = second();
        publish(2, leaves);
        leaves[2].earned = 0;
        postAs(3, leaves.root(), TOTAL_EARNED, TOTAL_SPENT, 7);
        Shown memory fallen = shown(leaves, 2);

        // The active root's own parent, and the pending root itself, are no measure.
        falls(fallen, shown(first(), 2), notInTree(PROVIDER, second().root()));
        falls(fallen, fallen, notInTree(PROVIDER, second().root()));
        falls(shown(second(), 2), shown(second(), 2), notInTree(PROVIDER, leaves.root()));
        falls(fallen, shown(second(), 2), ACCEPTED);
        assertConvicts(7);
    }

    function test_falls_differentAccounts() external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        // The second provider earned less than the first had.
        Shown memory parent = shown(first(), 2);
        falls(shown(leaves, 3), parent, differentAccounts(PROVIDER_2, PROVIDER));
    }

    /// Reputation may fall, and all else may stay.
    function test_falls_notFallen() external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        for (uint256 i; i < 5; ++i) {
            bytes memory refusal = about(IJudge.NotFallen.selector, leaves[i].account);
            falls(shown(leaves, i), shown(first(), i), refusal);
        }
        vm.assertEq(settlement.pendingRoot(), leaves.root());
        assertConvicts(0);
    }

    function test_falls() external {
        uint256[3] memory fields = [uint256(1), 2, 3];
        for (uint256 i; i < 3; ++i) {
            Shown memory parent = shown(first(), i == 1 ? 0 : 2);
            ISettlement.Leaf[] memory leaves = second();
            uint256 index = i == 1 ? 0 : 2;
            uint256 was = get(parent.leaf, fields[i]);
            set(leaves[index], fields[i], was - 1);
            uint256 snapshot = vm.snapshotState();
            pend(leaves);
            falls(shown(leaves, index), parent, ACCEPTED);
            assertCancelled(leaves.root());
            vm.revertToState(snapshot);
        }
    }

    function testFuzz_falls(ISettlement.Leaf calldata given, uint256 grow) external {
        ISettlement.Leaf[] memory leaves = second();
        Shown memory parent = shown(first(), 2);
        leaves[2] =
            ISettlement.Leaf(PROVIDER, given.earned, given.spent, given.points, given.reputation);
        // Often not below, or just so.
        for (uint256 field = 1; field < 4; ++field) {
            uint256 was = get(parent.leaf, field);
            if (grow >> field & 1 == 1) set(leaves[2], field, was + (grow >> 8) % 3);
            else if (was != 0 && grow >> field + 4 & 1 == 1) set(leaves[2], field, was - 1);
        }
        pend(leaves);
        bool fallen = leaves[2].earned < parent.leaf.earned || leaves[2].spent < parent.leaf.spent
            || leaves[2].points < parent.leaf.points;
        bytes memory refusal = about(IJudge.NotFallen.selector, PROVIDER);
        falls(shown(leaves, 2), parent, fallen ? ACCEPTED : refusal);
        assertConvicts(fallen ? 7 : 0);
    }

    function test_repeats_refused() external {
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        repeats(shown(leaves, 2), shown(leaves, 3), differentAccounts(PROVIDER, PROVIDER_2));
        repeats(shown(leaves, 2), shown(leaves, 2), about(IJudge.SameLeaf.selector, PROVIDER));
    }

    function testFuzz_repeats(uint8 field, uint256 value, bool turned) external {
        ISettlement.Leaf[] memory leaves = second();
        uint256 which = 1 + field % 4;
        vm.assume(value != get(leaves[2], which));
        leaves[3] = ISettlement.Leaf(PROVIDER, 900 ether, 0, 1500, 850_000);
        set(leaves[3], which, value);
        pend(leaves);
        (uint256 a, uint256 b) = turned ? (uint256(3), uint256(2)) : (uint256(2), uint256(3));
        repeats(shown(leaves, a), shown(leaves, b), ACCEPTED);
        assertCancelled(leaves.root());
    }

    function testFuzz_overspends(uint256 spent, uint8 near) external {
        if (near < 128) spent = DEPOSIT - 2 + near % 5;
        ISettlement.Leaf[] memory leaves = second();
        leaves[0].spent = spent;
        pend(leaves);
        bytes memory refusal =
            abi.encodeWithSelector(IJudge.NotOverspent.selector, alice, spent, DEPOSIT);
        overspends(shown(leaves, 0), spent > DEPOSIT ? ACCEPTED : refusal);
        if (spent > DEPOSIT) assertCancelled(leaves.root());
        else assertConvicts(0);
    }

    /// Who never deposited can spend nothing.
    function test_overspends_noDeposit() external {
        ISettlement.Leaf[] memory leaves = second();
        leaves[2].spent = 1;
        pend(leaves);
        overspends(
            shown(leaves, 3), abi.encodeWithSelector(IJudge.NotOverspent.selector, PROVIDER_2, 0, 0)
        );
        overspends(shown(leaves, 2), ACCEPTED);
        assertCancelled(leaves.root());
    }

    /// Alice has 10, has spent 4 and takes 6 with her: nothing is left to spend.
    function test_overspends_afterWithdrawal() external {
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = first();
        publish(3, leaves);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        leaves[2].earned += 1;
        publish(4, leaves);
        leaves[0].spent = 4 ether + 1;
        postAs(5, leaves.root(), TOTAL_EARNED, TOTAL_SPENT, 7);
        bytes memory refusal =
            abi.encodeWithSelector(IJudge.NotOverspent.selector, BOB, 2 ether, DEPOSIT);
        overspends(shown(leaves, 1), refusal);
        overspends(shown(leaves, 0), ACCEPTED);
        assertCancelled(leaves.root());
    }

    /// What is spent to the last unit is spent honestly.
    function test_overspends_afterWithdrawalToTheLastUnit() external {
        exitAs(alice);
        ISettlement.Leaf[] memory leaves = first();
        publish(3, leaves);
        withdrawAs(alice, leaves[0], leaves.proof(0));
        leaves[2].earned += 1;
        publishPending(4, leaves);
        bytes memory refusal =
            abi.encodeWithSelector(IJudge.NotOverspent.selector, alice, 4 ether, 4 ether);
        overspends(shown(leaves, 0), refusal);
    }

    function testFuzz_outOfRange(ISettlement.Leaf calldata given, uint8 near) external {
        ISettlement.Leaf[] memory leaves = second();
        ISettlement.Leaf memory leaf = given;
        uint256[5] memory most =
            [0, uint256(type(uint96).max), type(uint96).max, type(uint64).max, 1_000_000];
        // Each field by itself: in range, at the edge, or as it comes.
        for (uint256 field = 1; field < 5; ++field) {
            if (near & 1 == 1) set(leaf, field, bound(get(leaf, field), 0, most[field]));
            else if (near & 2 == 2) set(leaf, field, most[field]);
            near >>= 2;
        }
        bool good = true;
        for (uint256 field = 1; field < 5; ++field) {
            if (get(leaf, field) > most[field]) good = false;
        }
        leaves[2] = leaf;
        pend(leaves);
        bytes memory refusal = about(IJudge.InRange.selector, leaf.account);
        outOfRange(shown(leaves, 2), good ? refusal : ACCEPTED);
        assertConvicts(good ? 0 : 7);
    }

    function test_outOfRange_oneAbove() external {
        uint256[5] memory most =
            [0, uint256(type(uint96).max), type(uint96).max, type(uint64).max, 1_000_000];
        for (uint256 field = 1; field < 5; ++field) {
            uint256 snapshot = vm.snapshotState();
            ISettlement.Leaf[] memory leaves = second();
            set(leaves[2], field, most[field]);
            set(leaves[3], field, most[field] + 1);
            pend(leaves);
            outOfRange(shown(leaves, 2), about(IJudge.InRange.selector, PROVIDER));
            outOfRange(shown(leaves, 3), ACCEPTED);
            assertCancelled(leaves.root());
            vm.revertToState(snapshot);
        }
    }

    /// A proof says so in all contracts, and moves no token.
    function test_events() external {
        ISettlement.Leaf[] memory leaves = second();
        leaves[4].points = type(uint256).max;
        pend(leaves);
        Shown memory fraud = shown(leaves, 4);
        commitTo(evidenceOf("outOfRange", fraud));
        vm.expectEmit(address(judge));
        emit IJudge.Proven("outOfRange", leaves.root(), REPORTER);
        vm.expectEmit(address(settlement));
        emit ISettlement.Cancelled(2, leaves.root(), address(judge));
        for (uint256 i; i < 3; ++i) {
            vm.expectEmit(address(registry));
            emit IRegistry.Convicted(accounts[i], REPORTER);
        }
        uint256 held = token.balanceOf(address(registry));
        vm.prank(REPORTER);
        judge.outOfRange(fraud.leaf, fraud.proof, SALT);
        vm.assertEq(token.balanceOf(address(registry)), held);
        vm.assertEq(registry.shareOf(REPORTER), 0);
    }

    function expectNotCommitted(address reporter, bytes32 evidence, bytes32 salt) private {
        bytes32 commitment = judge.commitmentOf(reporter, evidence, salt);
        vm.expectRevert(abi.encodeWithSelector(IJudge.NotCommitted.selector, commitment));
    }

    function expectNothingTriable(ISettlement.Leaf[] memory leaves) private {
        bytes memory refusal = abi.encodeWithSelector(IJudge.NothingTriable.selector);
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        falls(shown(leaves, 2), shown(leaves, 2), refusal);
        repeats(shown(leaves, 2), shown(leaves, 3), refusal);
        overspends(shown(leaves, 2), refusal);
        outOfRange(shown(leaves, 2), refusal);
    }

    function assertCancelled(bytes32 root) private view {
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        vm.assertTrue(settlement.activeRoot() != root);
        assertConvicts(7);
    }

    function get(ISettlement.Leaf memory leaf, uint256 field) private pure returns (uint256) {
        if (field == 0) return uint160(leaf.account);
        if (field == 1) return leaf.earned;
        if (field == 2) return leaf.spent;
        return field == 3 ? leaf.points : leaf.reputation;
    }

    function set(ISettlement.Leaf memory leaf, uint256 field, uint256 value) private pure {
        if (field == 0) leaf.account = address(uint160(value));
        else if (field == 1) leaf.earned = value;
        else if (field == 2) leaf.spent = value;
        else if (field == 3) leaf.points = value;
        else leaf.reputation = value;
    }
}

/// @dev The first root of all has no parent: nothing can have fallen, and all else is judged as ever.
contract JudgeFirstRootTest is Reports {
    using Trees for ISettlement.Leaf[];

    function test_firstRoot() external {
        ISettlement.Leaf[] memory leaves = first();
        leaves[0].spent = DEPOSIT + 1;
        postAs(1, leaves.root(), 1000 ether, 0, 14);
        falls(shown(leaves, 0), shown(leaves, 0), notInTree(alice, 0));
        Shown memory bare = shown(leaves, 0);
        bare.proof = new bytes32[](0);
        falls(shown(leaves, 0), bare, notInTree(alice, 0));

        overspends(shown(leaves, 0), ACCEPTED);
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        vm.assertEq(settlement.activeRoot(), bytes32(0));
        assertConvicts(14);
    }
}
