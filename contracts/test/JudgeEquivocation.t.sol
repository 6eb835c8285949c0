// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IJudge} from "../src/interfaces/IJudge.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Reports} from "./Reports.sol";
import {Trees} from "./Trees.sol";

/// equivocates
/// ├── not committed, in this block only, other evidence: NotCommitted
/// ├── epochs or rounds differ (fuzz): DifferentRounds
/// ├── the same statement: SameStatement
/// ├── a signature of a wrong length, with a high s, a wrong v or of nobody: InvalidSignature
/// ├── signatures of two: DifferentSigners
/// ├── signer without stake of a validator: NothingToSlash
/// ├── convicted already: AlreadyConvicted
/// └── otherwise (fuzz over what differs): event, a convict for the reporter, nothing cancelled
/// (attacks: see the names)
contract JudgeEquivocationTest is Reports {
    using Trees for ISettlement.Leaf[];

    /// @dev Order of the curve.
    uint256 private constant N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    uint256 private constant LIAR = 1;

    /// @dev Two statements with their signatures.
    struct Pair {
        ISettlement.EpochAttestation a;
        bytes signatureA;
        ISettlement.EpochAttestation b;
        bytes signatureB;
    }

    function test_notCommitted() external {
        Pair memory pair = lie();
        bytes32 evidence = evidenceOf(pair);
        expectNotCommitted(REPORTER, evidence);
        show(REPORTER, pair);
        bytes32 commitment = judge.commitmentOf(REPORTER, evidence, SALT);
        judge.commit(commitment);
        expectNotCommitted(REPORTER, evidence);
        show(REPORTER, pair);

        nextBlock();
        expectNotCommitted(STRANGER, evidence);
        show(STRANGER, pair);
        // The same two the other way round are other evidence.
        Pair memory turned = Pair(pair.b, pair.signatureB, pair.a, pair.signatureA);
        expectNotCommitted(REPORTER, evidenceOf(turned));
        show(REPORTER, turned);
        show(REPORTER, pair);
        assertConvicts(1 << LIAR);
    }

    function testFuzz_differentRounds(uint256[4] calldata times, uint8 same) external {
        Pair memory pair;
        (pair.a.epoch, pair.a.round) = (times[0], times[1]);
        pair.b.epoch = same & 1 == 1 ? times[0] : times[2];
        pair.b.round = same & 2 == 2 ? times[1] : times[3];
        vm.assume(pair.a.epoch != pair.b.epoch || pair.a.round != pair.b.round);
        signBoth(pair, LIAR);
        report(
            pair,
            abi.encodeWithSelector(
                IJudge.DifferentRounds.selector,
                pair.a.epoch,
                pair.a.round,
                pair.b.epoch,
                pair.b.round
            )
        );
    }

    /// Only the digest tells what was said: the same statement by two signatures is one statement.
    function test_sameStatement() external {
        Pair memory pair = lie();
        pair.b = pair.a;
        bytes memory refusal =
            abi.encodeWithSelector(IJudge.SameStatement.selector, settlement.digestOf(pair.a));
        report(pair, refusal);
        pair.signatureB = highS(pair.signatureA);
        report(pair, refusal);
    }

    function test_invalidSignature() external {
        Pair memory pair = lie();
        bytes memory good = pair.signatureA;
        bytes[6] memory bad = [
            bytes(""),
            abi.encodePacked(bytes32(0), bytes32(0), uint8(27)),
            bytes.concat(good, hex"00"),
            compact(good),
            withV(good, 2),
            withV(good, uint8(good[64]) - 27)
        ];
        for (uint256 i; i < bad.length; ++i) {
            pair.signatureA = bad[i];
            report(pair, abi.encodeWithSelector(IJudge.InvalidSignature.selector, 0));
        }
        pair.signatureA = good;
        good = pair.signatureB;
        for (uint256 i; i < bad.length; ++i) {
            pair.signatureB = bad[i];
            report(pair, abi.encodeWithSelector(IJudge.InvalidSignature.selector, 1));
        }
        pair.signatureB = good;
        report(pair, ACCEPTED);
    }

    function test_differentSigners() external {
        Pair memory pair = lie();
        pair.signatureB = signOne(settlement.digestOf(pair.b), keys[2]);
        report(pair, differentSigners(accounts[LIAR], accounts[2]));
    }

    function test_nothingToSlash() external {
        Pair memory pair = lie();
        uint256 key = uint256(keccak256("nobody"));
        pair.signatureA = signOne(settlement.digestOf(pair.a), key);
        pair.signatureB = signOne(settlement.digestOf(pair.b), key);
        report(pair, about(IRegistry.NothingToSlash.selector, vm.addr(key)));
    }

    /// Each fraud once: a second one of the same validator changes nothing, whoever reports it.
    function test_alreadyConvicted() external {
        Pair memory pair = lie();
        report(pair, ACCEPTED);
        bytes memory refusal = about(IRegistry.AlreadyConvicted.selector, accounts[LIAR]);
        report(pair, refusal);
        pair.a.epoch = 4;
        pair.b.epoch = 4;
        signBoth(pair, LIAR);
        report(pair, refusal);
        registry.slash(accounts[LIAR]);
        report(pair, refusal);
        vm.assertEq(registry.unslashed(), 0);
        vm.assertEq(registry.shareOf(REPORTER), MAX_STAKE / 10);
    }

    /// Every field but the epoch and the round makes another statement.
    function testFuzz_equivocates(uint256 field, bytes32[12] calldata words, bytes32 other)
        external
    {
        Pair memory pair;
        bytes32[12] memory changed = words;
        field = bound(field, 0, 11);
        if (field == 0 || field == 2) field = 1;
        vm.assume(other != words[field]);
        changed[field] = other;
        pair.a = abi.decode(abi.encode(words), (ISettlement.EpochAttestation));
        pair.b = abi.decode(abi.encode(changed), (ISettlement.EpochAttestation));
        signBoth(pair, uint256(other) % VALIDATORS);
        report(pair, ACCEPTED);
        assertConvicts(1 << uint256(other) % VALIDATORS);
    }

    /// Convicts and cancels nothing: what is pending becomes active, and the record of its signers stands.
    function test_equivocationCancelsNothing() external {
        publish(1, first());
        ISettlement.Leaf[] memory leaves = second();
        pend(leaves);
        Pair memory pair = lie();
        commitTo(evidenceOf(pair));
        vm.expectEmit(address(judge));
        emit IJudge.Proven("equivocates", bytes32(uint256(uint160(accounts[LIAR]))), REPORTER);
        vm.expectEmit(address(registry));
        emit IRegistry.Convicted(accounts[LIAR], REPORTER);
        show(REPORTER, pair);
        assertConvicts(1 << LIAR);
        vm.assertEq(settlement.pendingRoot(), leaves.root());
        registry.slash(accounts[LIAR]);
        vm.assertEq(settlement.pendingRecord().signers, 7);

        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        vm.assertEq(settlement.activeRoot(), leaves.root());
        claim(leaves, 2);
        vm.assertEq(settlement.claimedOf(PROVIDER), 900 ether);
    }

    /// One that signed twice and then a fraudulent root stays the convict of who came first.
    function test_convictThatSignedAFraud() external {
        publish(1, first());
        ISettlement.Leaf[] memory leaves = second();
        leaves[0].spent = DEPOSIT + 1;
        pend(leaves);
        Pair memory pair = lie();
        commitAs(STRANGER, evidenceOf(pair));
        show(STRANGER, pair);
        overspends(shown(leaves, 0), ACCEPTED);
        vm.assertEq(registry.convictionOf(accounts[LIAR]).reporter, STRANGER);
        vm.assertEq(registry.convictionOf(accounts[0]).reporter, REPORTER);
        vm.assertEq(registry.convictionOf(accounts[2]).reporter, REPORTER);
        vm.assertEq(registry.unslashed(), 3);
    }

    // Attacks

    /// Whoever reads the report among the waiting transactions has not committed to it.
    function test_attack_copiedReport() external {
        Pair memory pair = lie();
        commitTo(evidenceOf(pair));
        expectNotCommitted(STRANGER, evidenceOf(pair));
        show(STRANGER, pair);
        show(REPORTER, pair);
        assertConvicts(1 << LIAR);
    }

    /// ... and if it commits at once, the report is there before it may show it.
    function test_attack_copiedReportWithCommitmentInTheSameBlock() external {
        Pair memory pair = lie();
        bytes32 evidence = evidenceOf(pair);
        commitTo(evidence);
        bytes32 copy = judge.commitmentOf(STRANGER, evidence, SALT);
        vm.prank(STRANGER);
        judge.commit(copy);
        expectNotCommitted(STRANGER, evidence);
        show(STRANGER, pair);
        show(REPORTER, pair);

        nextBlock();
        vm.expectRevert(about(IRegistry.AlreadyConvicted.selector, accounts[LIAR]));
        show(STRANGER, pair);
        assertConvicts(1 << LIAR);
        registry.slash(accounts[LIAR]);
        vm.prank(REPORTER);
        registry.collect();
        vm.assertEq(token.balanceOf(REPORTER), MAX_STAKE / 10);
        vm.assertEq(registry.shareOf(STRANGER), 0);
    }

    /// Recording somebody else's commitment first gains nothing and harms nobody.
    function test_attack_copiedCommitment() external {
        Pair memory pair = lie();
        bytes32 commitment = judge.commitmentOf(REPORTER, evidenceOf(pair), SALT);
        vm.prank(STRANGER);
        judge.commit(commitment);
        vm.prank(REPORTER);
        vm.expectRevert(abi.encodeWithSelector(IJudge.AlreadyCommitted.selector, commitment));
        judge.commit(commitment);

        nextBlock();
        expectNotCommitted(STRANGER, evidenceOf(pair));
        show(STRANGER, pair);
        show(REPORTER, pair);
        assertConvicts(1 << LIAR);
    }

    /// What was signed for another chain was not said here.
    function testFuzz_attack_replayFromAnotherChain(uint64 chain) external {
        vm.assume(chain != 0 && chain != block.chainid);
        Pair memory pair = lie();
        uint256 here = Chain(address(vm)).getChainId();
        vm.chainId(chain);
        signBoth(pair, LIAR);
        vm.chainId(here);
        refuseForeign(pair);
    }

    /// What was signed for another deployment, with the same validators, was not said here.
    function test_attack_replayFromAnotherDeployment() external {
        Pair memory pair = lie();
        address next = predictedSettlement(3);
        ISettlement.Config memory config = settlementConfig();
        config.registry = address(newRegistry(registryConfig(next), listings(), RULES));
        config.vault = address(newVault(vaultConfig(next)));
        config.judge = address(newJudge(next));
        ISettlement other = newSettlement(config);
        pair.signatureA = signOne(other.digestOf(pair.a), keys[LIAR]);
        pair.signatureB = signOne(other.digestOf(pair.b), keys[LIAR]);
        refuseForeign(pair);
    }

    /// The other half of the curve: the same statement signed once must not count as two signatures.
    function test_attack_malleableSignature() external {
        Pair memory pair = lie();
        bytes memory good = pair.signatureA;
        pair.signatureA = highS(good);
        vm.assertEq(recover(settlement.digestOf(pair.a), pair.signatureA), accounts[LIAR]);
        report(pair, abi.encodeWithSelector(IJudge.InvalidSignature.selector, 0));
        pair.signatureA = good;
        pair.signatureB = highS(pair.signatureB);
        report(pair, abi.encodeWithSelector(IJudge.InvalidSignature.selector, 1));
        assertConvicts(0);
    }

    /// After a cancelled root or a silent proposer a validator signs again, in a later round or epoch.
    function test_attack_honestResigningAcrossRounds() external {
        Pair memory pair;
        warpToPosting(1);
        pair.a = attestation(1, first().root(), 0);
        vm.warp(vm.getBlockTimestamp() + ROUND);
        pair.b = attestation(1, second().root(), 0);
        signBoth(pair, LIAR);
        report(pair, abi.encodeWithSelector(IJudge.DifferentRounds.selector, 1, 0, 1, 1));
        warpToPosting(2);
        pair.b = attestation(2, second().root(), 0);
        signBoth(pair, LIAR);
        report(pair, abi.encodeWithSelector(IJudge.DifferentRounds.selector, 1, 0, 2, 0));
    }

    /// Who takes its stake out before it is found out loses what is on its way.
    function test_attack_unbondingBeforeTheReport() external {
        vm.prank(accounts[LIAR]);
        registry.unbond(accounts[LIAR], MAX_STAKE);
        vm.warp(vm.getBlockTimestamp() + UNBOND_DELAY);
        report(lie(), ACCEPTED);
        assertConvicts(1 << LIAR);
        vm.expectRevert(IRegistry.NotQuiet.selector);
        registry.withdrawStake(accounts[LIAR]);
        registry.slash(accounts[LIAR]);
        vm.assertEq(registry.shareOf(REPORTER), MAX_STAKE / 10);
        vm.assertEq(token.balanceOf(DEAD), MAX_STAKE - MAX_STAKE / 10);
        vm.expectRevert(about(IRegistry.NothingUnbonding.selector, accounts[LIAR]));
        registry.withdrawStake(accounts[LIAR]);
    }

    /// Once it is paid out, nothing is left to slash; that is what the delay is for.
    function test_nothingToSlash_afterWithdrawal() external {
        vm.prank(accounts[LIAR]);
        registry.unbond(accounts[LIAR], MAX_STAKE);
        warpToQuiet(vm.getBlockTimestamp() + UNBOND_DELAY);
        registry.withdrawStake(accounts[LIAR]);
        report(lie(), about(IRegistry.NothingToSlash.selector, accounts[LIAR]));
    }

    /// However what honest validators signed - one statement each per epoch and round - is put together, with
    /// signatures taken from one statement to another, nobody is convicted.
    function testFuzz_honestValidatorsAreNeverConvicted(uint256 seed) external {
        ISettlement.EpochAttestation[] memory said = new ISettlement.EpochAttestation[](12);
        bytes[] memory signatures = new bytes[](12);
        uint256[4] memory counts;
        for (uint256 i; i < 12; ++i) {
            uint256 signer = i % VALIDATORS;
            // Three rounds, of one epoch or of two, in which each signs once.
            said[i].epoch = 1 + (seed >> i / VALIDATORS & 1) * (i / VALIDATORS);
            said[i].round = counts[signer]++;
            said[i].root = keccak256(abi.encode(seed, i));
            signatures[i] = signOne(settlement.digestOf(said[i]), keys[signer]);
        }
        for (uint256 i; i < 40; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(seed, "draw", i)));
            Pair memory pair;
            (pair.a, pair.b) = (said[draw % 12], said[(draw >> 32) % 12]);
            pair.signatureA = signatures[draw >> 64 & 1 == 1 ? draw % 12 : (draw >> 72) % 12];
            pair.signatureB = signatures[(draw >> 96) % 12];
            if (draw >> 128 & 1 == 1) pair.signatureB = signatures[(draw >> 32) % 12];
            commitTo(evidenceOf(pair));
            vm.expectRevert();
            show(REPORTER, pair);
        }
        assertConvicts(0);

        // The same steps do convict one that signs a second time.
        Pair memory lied;
        (lied.a, lied.b) = (said[seed % 12], said[seed % 12]);
        lied.b = abi.decode(abi.encode(lied.a), (ISettlement.EpochAttestation));
        lied.b.manifestDigest = "another";
        signBoth(lied, seed % 12 % VALIDATORS);
        report(lied, ACCEPTED);
        assertConvicts(1 << seed % 12 % VALIDATORS);
    }

    // Steps

    /// @dev Two roots for one epoch and round, signed by the liar.
    function lie() private view returns (Pair memory pair) {
        pair.a.epoch = 3;
        pair.a.round = 2;
        pair.a.root = "one";
        pair.b.epoch = 3;
        pair.b.round = 2;
        pair.b.root = "another";
        signBoth(pair, LIAR);
    }

    function signBoth(Pair memory pair, uint256 index) private view {
        pair.signatureA = signOne(settlement.digestOf(pair.a), keys[index]);
        pair.signatureB = signOne(settlement.digestOf(pair.b), keys[index]);
    }

    function evidenceOf(Pair memory pair) private pure returns (bytes32) {
        bytes32 name = "equivocates";
        return keccak256(abi.encode(name, pair.a, pair.signatureA, pair.b, pair.signatureB));
    }

    function show(address reporter, Pair memory pair) private {
        vm.prank(reporter);
        judge.equivocates(pair.a, pair.signatureA, pair.b, pair.signatureB, SALT);
    }

    function report(Pair memory pair, bytes memory refusal) private {
        commitTo(evidenceOf(pair));
        if (refusal.length != 0) vm.expectRevert(refusal);
        show(REPORTER, pair);
    }

    /// @dev Here the signatures are those of two accounts nobody knows.
    function refuseForeign(Pair memory pair) private {
        address a = recover(settlement.digestOf(pair.a), pair.signatureA);
        address b = recover(settlement.digestOf(pair.b), pair.signatureB);
        vm.assertTrue(a != accounts[LIAR] && b != accounts[LIAR] && a != b);
        if (a == address(0)) {
            report(pair, abi.encodeWithSelector(IJudge.InvalidSignature.selector, 0));
        } else if (b == address(0)) {
            report(pair, abi.encodeWithSelector(IJudge.InvalidSignature.selector, 1));
        } else {
            report(pair, differentSigners(a, b));
        }
        assertConvicts(0);
        // One of them beside one that was said here is no pair either.
        pair.signatureA = signOne(settlement.digestOf(pair.a), keys[LIAR]);
        bytes memory refusal = b == address(0)
            ? abi.encodeWithSelector(IJudge.InvalidSignature.selector, 1)
            : differentSigners(accounts[LIAR], b);
        report(pair, refusal);
        assertConvicts(0);
    }

    function expectNotCommitted(address reporter, bytes32 evidence) private {
        bytes32 commitment = judge.commitmentOf(reporter, evidence, SALT);
        vm.expectRevert(abi.encodeWithSelector(IJudge.NotCommitted.selector, commitment));
    }

    function differentSigners(address a, address b) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IJudge.DifferentSigners.selector, a, b);
    }

    function parts(bytes memory signature) private pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
    }

    function highS(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, bytes32 s, uint8 v) = parts(signature);
        return abi.encodePacked(r, N - uint256(s), 55 - v);
    }

    function withV(bytes memory signature, uint8 other) private pure returns (bytes memory) {
        (bytes32 r, bytes32 s,) = parts(signature);
        return abi.encodePacked(r, s, other);
    }

    function compact(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, bytes32 s, uint8 v) = parts(signature);
        return abi.encodePacked(r, uint256(s) | uint256(v - 27) << 255);
    }

    /// @dev As the chain recovers, without any rule about s.
    function recover(bytes32 digest, bytes memory signature) private pure returns (address) {
        (bytes32 r, bytes32 s, uint8 v) = parts(signature);
        return ecrecover(digest, v, r, s);
    }
}

/// @dev Unlike `block.chainid`, which the compiler takes for constant, this sees each change.
interface Chain {
    function getChainId() external view returns (uint256);
}
