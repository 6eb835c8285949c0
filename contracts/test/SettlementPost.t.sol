// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Log} from "./Base.sol";
import {Network} from "./Network.sol";

/// post
/// ├── what is pending or active already: no effect, whoever sends it, whatever the signatures
/// ├── a root is pending: RootPending; one that has matured is activated first, see SettlementRoots
/// ├── paused: IsPaused, see SettlementPause
/// ├── not the epoch that ended last: EpochNotOpen
/// ├── not in (end + intake, end + postWindow]: OutsideWindow (fuzz)
/// ├── an epoch posted already: EpochAlreadyPosted
/// ├── root zero: ZeroRoot
/// ├── parent root not the active one: WrongParentRoot
/// ├── other rules: WrongRules
/// ├── through not the oldest uncovered epochs, at most seven: WrongThrough (fuzz)
/// ├── spent below the parent's: SpentFell; above the deposits: AboveDeposits, see SettlementDeposits
/// ├── earned below the parent's: EarnedFell
/// ├── growth above the rate times the epochs covered: AboveBudget (fuzz), with spent see SettlementDeposits
/// ├── earned above what was funded: AboveFunds (fuzz), with spent see SettlementDeposits
/// ├── no candidate, an older one, another of the round, one of another round or epoch: NotNewestCandidate
/// ├── signatures not 65 bytes each: InvalidSignatures
/// ├── one that recovers to nobody, or with a high s: InvalidSignature
/// ├── not strictly ascending: SignersNotAscending
/// ├── one by somebody else, another digest, chain or deployment, or by who has no stake: NotAValidator
/// ├── total stake below the minimum: StakeTooLow (fuzz)
/// ├── less than 2/3 of the stake: QuorumNotReached (fuzz)
/// └── otherwise: recorded, event, by anyone; the parent stays active
contract SettlementPostTest is Network {
    bytes32 private constant ROOT = keccak256("a root");
    bytes32 private constant TWO = keccak256("another root");

    ISettlement.EpochAttestation private said;

    function setUp() public override {
        super.setUp();
        bondAll();
        vault.fund(5 * uint256(RATE));
        warpToPosting(1);
        said = attestation(1, ROOT, RATE);
    }

    function test_post() external {
        propose(said);
        bytes memory signatures = quorum(said);
        vm.expectEmit(address(settlement));
        emit ISettlement.Posted(
            1,
            0,
            ROOT,
            1,
            RATE,
            0,
            said.stateDigest,
            said.manifestDigest,
            7,
            vm.getBlockTimestamp() + CHALLENGE
        );
        vm.prank(STRANGER);
        settlement.post(said, signatures);
        vm.assertEq(settlement.lastPostedEpoch(), 1);
        vm.assertEq(settlement.pendingRoot(), ROOT);
        vm.assertEq(settlement.activeRoot(), bytes32(0));
        // Nothing moves before the challenge is over.
        vm.assertEq(vault.fed(), 0);
    }

    function test_post_again_isNoEffect() external {
        proposeAndPost(said);
        expectNoEffect();
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        expectNoEffect();
        settlement.activate();
        expectNoEffect();
        // Also when the candidate of the next epoch is recorded.
        warpToPosting(2);
        ISettlement.EpochAttestation memory next = attestation(2, TWO, RATE);
        propose(next);
        expectNoEffect();
        // And while the root of the next epoch is pending, until it is the active one; that one again neither.
        settlement.post(next, quorum(next));
        expectNoEffect();
        settlement.post(next, "");
        vm.assertEq(settlement.pendingRoot(), TWO);
        (uint256 epoch, uint256 round, bytes32 digest) = settlement.candidate();
        vm.assertEq(epoch, 0);
        vm.assertEq(round, 0);
        vm.assertEq(digest, bytes32(0));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE - 1);
        expectNoEffect();
        vm.warp(vm.getBlockTimestamp() + 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.EpochNotOpen.selector, 1, 2));
        settlement.post(said, "");
    }

    /// Cancelled is not posted, but the root before it is active all the same.
    function test_post_again_afterCancel() external {
        proposeAndPost(said);
        warpToPosting(2);
        proposeAndPost(attestation(2, TWO, RATE));
        vm.prank(GUARDIAN);
        settlement.cancel();
        expectNoEffect();
    }

    function test_post_whilePending() external {
        proposeAndPost(said);
        uint256 activeAt = vm.getBlockTimestamp() + CHALLENGE;
        // By position in the struct: epoch, round, root, totalEarned, totalSpent.
        uint8[5] memory fields = [0, 2, 6, 7, 8];
        for (uint256 i; i < fields.length; ++i) {
            ISettlement.EpochAttestation memory changed = said;
            uint256 offset = 32 * uint256(fields[i]);
            assembly ("memory-safe") {
                let field := add(changed, offset)
                mstore(field, xor(mload(field), 1))
            }
            vm.expectRevert(abi.encodeWithSelector(ISettlement.RootPending.selector, activeAt));
            settlement.post(changed, "");
        }
    }

    function test_post_epochs() external {
        uint256[3] memory wrong = [uint256(0), 2, type(uint256).max];
        for (uint256 i; i < 3; ++i) {
            said.epoch = wrong[i];
            refused(abi.encodeWithSelector(ISettlement.EpochNotOpen.selector, wrong[i], 1));
        }
        vm.warp(end(2) + INTAKE + 1);
        said.epoch = 1;
        refused(abi.encodeWithSelector(ISettlement.EpochNotOpen.selector, 1, 2));
    }

    function testFuzz_post_window(uint256 time) external {
        time = bound(time, end(1), end(2) - 1);
        propose(said);
        bytes memory signatures = quorum(said);
        vm.warp(time);
        bool open = time > end(1) + INTAKE && time <= end(1) + POST_WINDOW;
        if (!open) {
            uint256 opensAt = end(1) + INTAKE + (time == end(1) + INTAKE ? 1 : 0);
            vm.expectRevert(
                abi.encodeWithSelector(
                    ISettlement.OutsideWindow.selector, opensAt, end(1) + POST_WINDOW, time
                )
            );
        }
        settlement.post(said, signatures);
        vm.assertEq(settlement.pendingRoot(), open ? ROOT : bytes32(0));
    }

    function test_post_windowEdges() external {
        propose(said);
        vm.warp(end(1) + INTAKE);
        refused(
            abi.encodeWithSelector(
                ISettlement.OutsideWindow.selector,
                end(1) + INTAKE + 1,
                end(1) + POST_WINDOW,
                end(1) + INTAKE
            )
        );
        vm.warp(end(1) + POST_WINDOW + 1);
        refused(
            abi.encodeWithSelector(
                ISettlement.OutsideWindow.selector,
                end(1) + INTAKE,
                end(1) + POST_WINDOW,
                end(1) + POST_WINDOW + 1
            )
        );
        vm.warp(end(1) + POST_WINDOW);
        settlement.post(said, quorum(said));
        vm.assertEq(settlement.pendingRoot(), ROOT);
    }

    function test_post_zeroRoot() external {
        said.root = 0;
        propose(said);
        refused(abi.encodeWithSelector(ISettlement.ZeroRoot.selector));
    }

    function test_post_parent() external {
        said.parentRoot = TWO;
        refused(abi.encodeWithSelector(ISettlement.WrongParentRoot.selector, TWO, 0));
        said.parentRoot = 0;
        proposeAndPost(said);

        // The next one needs the now active root.
        warpToPosting(2);
        said = attestation(2, TWO, RATE);
        said.parentRoot = 0;
        refused(abi.encodeWithSelector(ISettlement.WrongParentRoot.selector, 0, ROOT));
        said.parentRoot = ROOT;
        proposeAndPost(said);
    }

    /// Which state the epoch started from is for the signers to know; no money depends on it here.
    function test_post_parentState() external {
        said.parentStateDigest = TWO;
        proposeAndPost(said);
        vm.assertEq(settlement.pendingRoot(), ROOT);
    }

    function test_post_rules() external {
        said.rulesDigest = TWO;
        refused(abi.encodeWithSelector(ISettlement.WrongRules.selector, TWO, keccak256(RULES)));
    }

    function testFuzz_post_through(uint256 first, uint256 second, uint256 through) external {
        first = bound(first, 1, 30);
        second = bound(second, first + 1, first + 30);
        warpToPosting(first);
        proposeAndPost(attestation(first, ROOT, 0));
        uint256 covered = first < 7 ? first : 7;
        vm.assertEq(settlement.pendingRecord().through, covered);

        warpToPosting(second);
        said = attestation(second, TWO, 0);
        uint256 expected = second < covered + 7 ? second : covered + 7;
        through = bound(through, 0, second + 1);
        said.through = through;
        propose(said);
        bytes memory signatures = quorum(said);
        if (through != expected) {
            vm.expectRevert(
                abi.encodeWithSelector(ISettlement.WrongThrough.selector, through, expected)
            );
        }
        settlement.post(said, signatures);
    }

    /// Nothing is lost by dead epochs: their budgets come, seven at a time, and never at once.
    function test_attack_oldBudgetsAtOnce() external {
        vault.fund(100 * uint256(RATE));
        warpToPosting(9);
        said = attestation(9, ROOT, 7 * uint256(RATE) + 1);
        vm.assertEq(said.through, 7);
        refused(
            abi.encodeWithSelector(
                ISettlement.AboveBudget.selector, 7 * uint256(RATE) + 1, 7 * uint256(RATE)
            )
        );
        said.through = 9;
        refused(abi.encodeWithSelector(ISettlement.WrongThrough.selector, 9, 7));
        said.through = 7;
        said.totalEarned -= 1;
        proposeAndPost(said);

        warpToPosting(10);
        said = attestation(10, TWO, 10 * uint256(RATE) + 1);
        vm.assertEq(said.through, 10);
        refused(
            abi.encodeWithSelector(
                ISettlement.AboveBudget.selector, 3 * uint256(RATE) + 1, 3 * uint256(RATE)
            )
        );
        said.totalEarned -= 1;
        proposeAndPost(said);
    }

    /// What an epoch did not distribute does not enlarge the next one's budget.
    function test_post_budgetLeftOver() external {
        said.totalEarned = 0;
        proposeAndPost(said);
        warpToPosting(2);
        said = attestation(2, TWO, uint256(RATE) + 1);
        refused(abi.encodeWithSelector(ISettlement.AboveBudget.selector, uint256(RATE) + 1, RATE));
    }

    /// A root for an epoch to come would leave no epoch to post for.
    function test_attack_rootForTheFarFuture() external {
        uint256[3] memory future = [uint256(2), 1000, type(uint24).max];
        for (uint256 i; i < future.length; ++i) {
            said.epoch = future[i];
            said.through = future[i] < 7 ? future[i] : 7;
            bytes32 digest = settlement.digestOf(said);
            bytes memory reason =
                abi.encodeWithSelector(ISettlement.EpochNotOpen.selector, future[i], 1);
            for (uint256 j; j < VALIDATORS; ++j) {
                vm.prank(accounts[j]);
                vm.expectRevert(reason);
                settlement.propose(future[i], 0, digest);
            }
            bytes memory signatures = sign(digest, 15);
            vm.expectRevert(reason);
            settlement.post(said, signatures);
        }
        vm.assertEq(settlement.lastPostedEpoch(), 0);
    }

    function test_post_earnedFell() external {
        proposeAndPost(said);
        warpToPosting(2);
        said = attestation(2, TWO, RATE - 1);
        refused(abi.encodeWithSelector(ISettlement.EarnedFell.selector, RATE - 1, RATE));
    }

    function testFuzz_post_budget(uint256 earned, uint256 growth) external {
        uint256 rate = RATE;
        earned = bound(earned, 0, rate);
        growth = bound(growth, 0, 6 * rate);
        said.totalEarned = earned;
        proposeAndPost(said);
        warpToPosting(5);
        said = attestation(5, TWO, earned + growth);
        propose(said);
        bytes memory signatures = quorum(said);
        bool fits = growth <= 4 * rate && earned + growth <= 5 * rate;
        if (growth > 4 * rate) {
            vm.expectRevert(
                abi.encodeWithSelector(ISettlement.AboveBudget.selector, growth, 4 * rate)
            );
        } else if (!fits) {
            vm.expectRevert(
                abi.encodeWithSelector(ISettlement.AboveFunds.selector, earned + growth, 5 * rate)
            );
        }
        settlement.post(said, signatures);
        vm.assertEq(settlement.pendingRoot(), fits ? TWO : bytes32(0));
    }

    function testFuzz_post_funds(uint256 earned) external {
        earned = bound(earned, 0, 7 * uint256(RATE));
        warpToPosting(7);
        said = attestation(7, ROOT, earned);
        propose(said);
        bytes memory signatures = quorum(said);
        uint256 funds = 5 * uint256(RATE);
        if (earned > funds) {
            vm.expectRevert(abi.encodeWithSelector(ISettlement.AboveFunds.selector, earned, funds));
        }
        settlement.post(said, signatures);
    }

    function test_post_hugeTotals() external {
        said.totalEarned = type(uint256).max;
        refused(
            abi.encodeWithSelector(
                ISettlement.AboveBudget.selector, type(uint256).max, uint256(RATE)
            )
        );
        said.totalSpent = type(uint256).max;
        refused(abi.encodeWithSelector(ISettlement.AboveDeposits.selector, type(uint256).max, 0));
    }

    function test_post_candidate() external {
        bytes32 digest = settlement.digestOf(said);
        refused(abi.encodeWithSelector(ISettlement.NotNewestCandidate.selector, digest, 0));
        propose(said);

        // A newer one was recorded: the old one is no longer good, with whatever signatures.
        vm.warp(end(1) + INTAKE + ROUND + 1);
        ISettlement.EpochAttestation memory newer = attestation(1, TWO, RATE);
        propose(newer);
        refused(
            abi.encodeWithSelector(
                ISettlement.NotNewestCandidate.selector, digest, settlement.digestOf(newer)
            )
        );
        settlement.post(newer, quorum(newer));
        vm.assertEq(settlement.pendingRoot(), TWO);
    }

    /// Two thirds signed two structs of one round: only the recorded one is good.
    function test_post_candidateOfTheSameRound() external {
        bytes32 digest = settlement.digestOf(said);
        ISettlement.EpochAttestation memory other = attestation(1, TWO, RATE);
        vm.assertEq(other.round, said.round);
        propose(other);
        refused(
            abi.encodeWithSelector(
                ISettlement.NotNewestCandidate.selector, digest, settlement.digestOf(other)
            )
        );
        settlement.post(other, quorum(other));
        vm.assertEq(settlement.pendingRoot(), TWO);
    }

    /// A proposer that records, in round 1, the digest of a struct that says round 0 or 2.
    function test_post_candidateOfAnotherRound() external {
        vm.warp(end(1) + INTAKE + ROUND + 1);
        address proposer = settlement.proposerOf(1, 1);
        said.round = 2;
        bytes32 digest = settlement.digestOf(said);
        vm.prank(proposer);
        settlement.propose(1, 1, digest);
        refused(abi.encodeWithSelector(ISettlement.NotNewestCandidate.selector, digest, digest));
    }

    /// A digest recorded in one epoch is not a candidate of the next.
    function test_post_candidateOfAnotherEpoch() external {
        vm.warp(end(2) + INTAKE);
        said = attestation(2, ROOT, RATE);
        said.epoch = 3;
        said.through = 3;
        bytes32 digest = settlement.digestOf(said);
        address proposer = settlement.proposerOf(2, 0);
        vm.prank(proposer);
        settlement.propose(2, 0, digest);
        warpToPosting(3);
        refused(abi.encodeWithSelector(ISettlement.NotNewestCandidate.selector, digest, digest));
    }

    function test_post_signatureLength() external {
        propose(said);
        bytes memory signatures = quorum(said);
        bytes memory longer = bytes.concat(signatures, hex"00");
        vm.expectRevert(abi.encodeWithSelector(Quorum.InvalidSignatures.selector, longer.length));
        settlement.post(said, longer);
        vm.expectRevert(abi.encodeWithSelector(Quorum.QuorumNotReached.selector, 0, 400 ether));
        settlement.post(said, "");
    }

    /// The other valid s of a signature, so that a bundle has one form only.
    function test_attack_signatureMalleability() external {
        propose(said);
        bytes memory signatures = quorum(said);
        uint256 n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        uint256 start = 65;
        bytes32 s;
        assembly ("memory-safe") {
            s := mload(add(add(signatures, 64), start))
        }
        bytes32 high = bytes32(n - uint256(s));
        assembly ("memory-safe") {
            mstore(add(add(signatures, 64), start), high)
        }
        signatures[start + 64] = signatures[start + 64] == 0x1b ? bytes1(0x1c) : bytes1(0x1b);
        vm.expectRevert(abi.encodeWithSelector(Quorum.InvalidSignature.selector, 1));
        settlement.post(said, signatures);
    }

    function testFuzz_post_garbledSignature(uint256 position, uint8 flip) external {
        vm.assume(flip != 0);
        propose(said);
        bytes memory signatures = quorum(said);
        position = bound(position, 0, signatures.length - 1);
        signatures[position] ^= bytes1(flip);
        vm.expectRevert();
        settlement.post(said, signatures);
    }

    function test_post_order() external {
        propose(said);
        bytes32 digest = settlement.digestOf(said);
        bytes memory one = sign(digest, 1);
        bytes memory pair = sign(digest, 3);
        vm.expectRevert(
            abi.encodeWithSelector(Quorum.SignersNotAscending.selector, accounts[0], accounts[0])
        );
        settlement.post(said, bytes.concat(one, one, one));
        vm.expectRevert(
            abi.encodeWithSelector(Quorum.SignersNotAscending.selector, accounts[1], accounts[0])
        );
        settlement.post(said, bytes.concat(pair, one));
    }

    function test_post_strangers() external {
        propose(said);
        bytes32 digest = settlement.digestOf(said);
        // One for each place beside, between and after the validators.
        for (uint256 i; i < 32; ++i) {
            uint256 key = uint256(keccak256(abi.encode("nobody", i)));
            bytes memory signature = signOne(digest, key);
            vm.expectRevert(abi.encodeWithSelector(Quorum.NotAValidator.selector, vm.addr(key)));
            settlement.post(said, signature);
        }
    }

    /// Signatures over the same struct for another chain are somebody else's here.
    function test_attack_replayAcrossChains() external {
        propose(said);
        vm.chainId(5);
        bytes32 elsewhere = settlement.digestOf(said);
        vm.chainId(31337);
        refusedFromElsewhere(elsewhere);
    }

    /// So are those for another deployment of the same code.
    function test_attack_replayAcrossDeployments() external {
        propose(said);
        address twin = address(0x7717);
        vm.etch(twin, address(settlement).code);
        refusedFromElsewhere(ISettlement(twin).digestOf(said));
    }

    function testFuzz_post_everyFieldIsSigned(uint256 field, uint256 value) external {
        propose(said);
        bytes memory signatures = quorum(said);
        ISettlement.EpochAttestation memory changed = said;
        field = bound(field, 0, 11);
        uint256 before;
        assembly ("memory-safe") {
            before := mload(add(changed, mul(field, 32)))
        }
        vm.assume(value != before);
        assembly ("memory-safe") {
            mstore(add(changed, mul(field, 32)), value)
        }
        vm.assertTrue(settlement.digestOf(changed) != settlement.digestOf(said));
        vm.expectRevert();
        settlement.post(changed, signatures);
    }

    function test_post_signersBitmap() external {
        propose(said);
        settlement.post(said, sign(settlement.digestOf(said), 14));
        vm.assertEq(settlement.pendingRecord().signers, 14);
    }

    /// @dev Of signatures over another digest, each is one by nobody known, and the right ones still do.
    function refusedFromElsewhere(bytes32 elsewhere) private {
        bytes32 digest = settlement.digestOf(said);
        vm.assertTrue(digest != elsewhere);
        for (uint256 i; i < VALIDATORS; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[i], elsewhere);
            bytes memory signature = abi.encodePacked(r, s, v);
            vm.expectRevert(
                abi.encodeWithSelector(Quorum.NotAValidator.selector, ecrecover(digest, v, r, s))
            );
            settlement.post(said, signature);
        }
        settlement.post(said, quorum(said));
        vm.assertEq(settlement.pendingRoot(), ROOT);
    }

    function refused(bytes memory reason) private {
        bytes memory signatures = quorum(said);
        vm.expectRevert(reason);
        settlement.post(said, signatures);
    }

    function expectNoEffect() private {
        bytes32 active = settlement.activeRoot();
        bytes32 pending = settlement.pendingRoot();
        vm.recordLogs();
        settlement.post(said, "");
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 0);
        vm.assertEq(settlement.activeRoot(), active);
        vm.assertEq(settlement.pendingRoot(), pending);
    }
}

/// The part of post that depends on who has how much stake.
contract SettlementQuorumTest is Network {
    function testFuzz_quorum(uint256[4] memory stakes, uint8 subset) external {
        uint256 total;
        uint256 signed;
        uint256 bitmap;
        for (uint256 i; i < VALIDATORS; ++i) {
            stakes[i] = bound(stakes[i], 0, MAX_STAKE);
            if (stakes[i] == 0) continue;
            registry.bond(accounts[i], stakes[i]);
            total += stakes[i];
            if (subset >> i & 1 == 0) continue;
            signed += stakes[i];
            bitmap |= 1 << i;
        }
        vm.assume(total != 0);
        attempt(total, signed, bitmap);
    }

    /// Exactly two thirds is enough, one wei less is not.
    function test_quorum_exact() external {
        registry.bond(accounts[0], 80 ether);
        registry.bond(accounts[1], 80 ether);
        registry.bond(accounts[2], 80 ether);
        attempt(240 ether, 160 ether, 3);
    }

    function test_quorum_oneWeiLess() external {
        registry.bond(accounts[0], 80 ether);
        registry.bond(accounts[1], 80 ether - 1);
        registry.bond(accounts[2], 80 ether + 1);
        attempt(240 ether, 160 ether - 1, 3);
    }

    /// A minority that is a quorum of what is left.
    function test_quorum_totalTooLow() external {
        registry.bond(accounts[0], 100 ether);
        registry.bond(accounts[1], 100 ether);
        registry.bond(accounts[2], 40 ether - 1);
        attempt(240 ether - 1, 240 ether - 1, 7);
    }

    /// A listed validator without stake signs nothing.
    function test_quorum_noStake() external {
        for (uint256 i; i < 3; ++i) {
            registry.bond(accounts[i], MAX_STAKE);
        }
        warpToPosting(1);
        ISettlement.EpochAttestation memory said = attestation(1, keccak256("a root"), 0);
        propose(said);
        bytes memory signatures = sign(settlement.digestOf(said), 15);
        vm.expectRevert(abi.encodeWithSelector(Quorum.NotAValidator.selector, accounts[3]));
        settlement.post(said, signatures);
    }

    /// More signatures than needed do no harm, and all who signed are kept.
    function test_quorum_all() external {
        bondAll();
        warpToPosting(1);
        ISettlement.EpochAttestation memory said = attestation(1, keccak256("a root"), 0);
        propose(said);
        settlement.post(said, sign(settlement.digestOf(said), 15));
        vm.assertEq(settlement.pendingRecord().signers, 15);
    }

    function attempt(uint256 total, uint256 signed, uint256 bitmap) private {
        warpToPosting(1);
        ISettlement.EpochAttestation memory said = attestation(1, keccak256("a root"), 0);
        propose(said);
        bytes memory signatures = sign(settlement.digestOf(said), bitmap);
        if (total < MIN_TOTAL) {
            vm.expectRevert(abi.encodeWithSelector(Quorum.StakeTooLow.selector, total, MIN_TOTAL));
        } else if (3 * signed < 2 * total) {
            vm.expectRevert(abi.encodeWithSelector(Quorum.QuorumNotReached.selector, signed, total));
        }
        settlement.post(said, signatures);
    }
}

/// Where the challenge is shorter than the window, a root is active while its epoch could still be posted.
contract SettlementShortChallengeTest is Network {
    uint64 private constant SHORT = 1 hours;

    function settlementConfig() internal view override returns (ISettlement.Config memory config) {
        config = super.settlementConfig();
        config.challenge = SHORT;
    }

    function test_sameEpochTwice() external {
        bondAll();
        vault.fund(5 * uint256(RATE));
        warpToPosting(1);
        proposeAndPost(attestation(1, keccak256("a root"), 0));
        vm.warp(vm.getBlockTimestamp() + SHORT);
        vm.assertEq(settlement.activeRoot(), keccak256("a root"));
        vm.assertTrue(settlement.isQuiet());

        // The second of an epoch is refused as candidate and as root, however well signed.
        ISettlement.EpochAttestation memory said = attestation(1, keccak256("another"), 0);
        bytes memory signatures = quorum(said);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.EpochAlreadyPosted.selector, 1, 1));
        settlement.post(said, signatures);
        address proposer = settlement.proposerOf(1, said.round);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.EpochAlreadyPosted.selector, 1, 1));
        vm.prank(proposer);
        settlement.propose(1, said.round, keccak256("digest"));
    }
}
