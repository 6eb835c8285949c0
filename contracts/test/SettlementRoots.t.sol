// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RewardToken} from "../src/RewardToken.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Log} from "./Base.sol";
import {Network} from "./Network.sol";
import {Trees} from "./Trees.sol";

/// constructor
/// ├── treasury zero: ZeroAddress
/// ├── windows that do not fit, a zero among those that divide, too many rounds: InvalidWindows (fuzz)
/// ├── genesis before now: GenesisInPast
/// ├── a token with other code, or with none, whatever its hash is said to be: WrongToken
/// ├── registry, vault or judge of another settlement, registry or vault of another token: NotWired
/// ├── stake free before two epochs and a challenge are over: DelayTooShort
/// ├── any leaf good enough before two epochs, a challenge and a post window are over: DelayTooShort
/// └── otherwise: getters as configured, no root, a guardian with powers from now on or none
/// epochAt, endOf
/// └── agree with each other at every second (fuzz)
/// isQuiet
/// ├── before genesis and throughout epoch 1: quiet
/// ├── last ended epoch neither posted nor past its window: not quiet
/// ├── past its window, not posted: quiet
/// ├── its root pending: not quiet
/// ├── its root active: quiet
/// └── its root cancelled or a convict to be slashed: see SettlementGuard
/// propose
/// ├── not the epoch that ended last: EpochNotOpen
/// ├── before the first round or after the window: OutsideWindow
/// ├── posted already: EpochAlreadyPosted
/// ├── not the open round: RoundNotOpen
/// ├── a second candidate in a round: AlreadyProposed
/// ├── digest zero: ZeroDigest
/// ├── not the round's proposer: NotProposer
/// └── otherwise: recorded, event; the next round's replaces it (fuzz over the time)
/// activate
/// ├── nothing pending or not matured: NothingToActivate
/// └── matured: growth moves from the vault to the pot, event; once; also by post and claims
/// records
/// ├── activeRoot and pendingRoot before, during and after the delay, with or without activate
/// └── at any time claims and pushes verify against the active root and no other (fuzz)
contract SettlementRootsTest is Network {
    using Trees for ISettlement.Leaf[];

    bytes32 private constant ROOT = keccak256("a root");

    function setUp() public override {
        super.setUp();
        bondAll();
        vault.fund(100 * uint256(RATE));
    }

    function test_constructor() external view {
        vm.assertEq(address(settlement.registry()), address(registry));
        vm.assertEq(address(settlement.vault()), address(vault));
        vm.assertEq(settlement.judge(), address(judge));
        vm.assertEq(address(settlement.token()), address(token));
        vm.assertEq(settlement.treasury(), TREASURY);
        vm.assertEq(settlement.genesis(), GENESIS);
        vm.assertEq(settlement.epochLength(), L);
        vm.assertEq(settlement.slotsPerEpoch(), 144);
        vm.assertEq(settlement.intake(), INTAKE);
        vm.assertEq(settlement.postWindow(), POST_WINDOW);
        vm.assertEq(settlement.challenge(), CHALLENGE);
        vm.assertEq(settlement.margin(), MARGIN);
        vm.assertEq(settlement.roundLength(), ROUND);
        vm.assertEq(settlement.activeRoot(), bytes32(0));
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        vm.assertEq(settlement.lastPostedEpoch(), 0);
        vm.assertEq(settlement.pot(), 0);
        expectGuard(settlement, GUARDIAN, START);
    }

    function test_constructor_event() external {
        ISettlement.Config memory config = settlementConfig();
        wire(config, UNBOND_DELAY, EXIT_DELAY);
        vm.recordLogs();
        newSettlement(config);
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 1);
        vm.assertEq(logs[0].topics[0], ISettlement.GuardianSet.selector);
        vm.assertEq(logs[0].topics[1], bytes32(uint256(uint160(GUARDIAN))));
        vm.assertEq(abi.decode(logs[0].data, (uint256)), START);
    }

    function test_constructor_noGuardian() external {
        ISettlement.Config memory config = settlementConfig();
        config.guardian = address(0);
        expectGuard(built(config, UNBOND_DELAY), address(0), 0);
    }

    function test_constructor_treasury() external {
        ISettlement.Config memory config = settlementConfig();
        config.treasury = address(0);
        vm.expectRevert(ISettlement.ZeroAddress.selector);
        newSettlement(config);
    }

    function test_constructor_genesis() external {
        ISettlement.Config memory config = settlementConfig();
        config.genesis = uint64(START - 1);
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.GenesisInPast.selector, START - 1, START)
        );
        newSettlement(config);
    }

    function testFuzz_constructor_windows(uint64[7] memory times, uint8 shift) external {
        // Small numbers, so that they fit often enough; none above 2^62, so that a delay can cover two epochs.
        for (uint256 i; i < 7; ++i) {
            times[i] = uint64(times[i] >> (2 + shift % 62));
        }
        times[1] %= 5;
        ISettlement.Config memory config = settlementConfig();
        (config.epochLength, config.slotsPerEpoch, config.intake, config.postWindow) =
        (times[0], times[1], times[2], times[3]);
        (config.challenge, config.margin, config.roundLength) = (times[4], times[5], times[6]);
        bool fits = times[1] != 0 && times[0] % times[1] == 0 && times[2] < times[3]
            && times[4] != 0 && times[5] != 0 && times[6] != 0
            && uint256(times[3]) + times[4] + times[5] <= times[0]
            && (times[3] - times[2]) / times[6] < type(uint16).max;
        if (fits) expectBuilt(config);
        else expectInvalid(config);
    }

    function test_constructor_windowsAtTheEdge() external {
        ISettlement.Config memory config = settlementConfig();
        config.margin = L - POST_WINDOW - CHALLENGE;
        expectBuilt(config);
        config.margin += 1;
        expectInvalid(config);
        config = settlementConfig();
        config.intake = POST_WINDOW;
        expectInvalid(config);
        config = settlementConfig();
        config.roundLength = 0;
        expectInvalid(config);
        config = settlementConfig();
        config.challenge = 0;
        expectInvalid(config);
        config = settlementConfig();
        config.margin = 0;
        expectInvalid(config);
        config.margin = 1;
        expectBuilt(config);
        config = settlementConfig();
        config.slotsPerEpoch = 0;
        expectInvalid(config);
        config.slotsPerEpoch = 7;
        expectInvalid(config);
    }

    /// Rounds are kept in 16 bits.
    function test_constructor_rounds() external {
        ISettlement.Config memory config = settlementConfig();
        (config.roundLength, config.intake) = (1, 0);
        config.postWindow = type(uint16).max - 1;
        config.challenge = config.epochLength - config.postWindow - 1;
        config.margin = 1;
        expectBuilt(config);
        config.postWindow += 1;
        config.challenge -= 1;
        expectInvalid(config);
    }

    function test_constructor_token() external {
        ISettlement.Config memory config = settlementConfig();
        bytes32 code = config.tokenCodeHash;
        config.tokenCodeHash = keccak256("another code");
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.WrongToken.selector, code, config.tokenCodeHash)
        );
        newSettlement(config);
        // No code at all is another code.
        config.tokenCodeHash = code;
        config.token = STRANGER;
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.WrongToken.selector, STRANGER.codehash, code)
        );
        newSettlement(config);
    }

    /// An address without code has a hash too: zero as long as it has never been used, that of nothing afterwards.
    function test_constructor_tokenWithoutCode() external {
        ISettlement.Config memory config = settlementConfig();
        config.token = address(0x70CE);
        for (uint256 i; i < 2; ++i) {
            bytes32 code = i == 0 ? bytes32(0) : keccak256("");
            vm.assertEq(config.token.codehash, code);
            config.tokenCodeHash = code;
            vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongToken.selector, code, code));
            newSettlement(config);
            vm.deal(config.token, 1);
        }
    }

    function test_constructor_unbondDelay() external {
        ISettlement.Config memory config = settlementConfig();
        uint64 least = 2 * L + CHALLENGE;
        built(config, least);
        wire(config, least - 1, EXIT_DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.DelayTooShort.selector, least - 1, least)
        );
        newSettlement(config);
    }

    function test_constructor_exitDelay() external {
        ISettlement.Config memory config = settlementConfig();
        uint64 least = 2 * L + CHALLENGE + POST_WINDOW;
        wire(config, UNBOND_DELAY, least);
        vm.assertEq(newSettlement(config).vault().exitDelay(), least);
        wire(config, UNBOND_DELAY, least - 1);
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.DelayTooShort.selector, least - 1, least)
        );
        newSettlement(config);
    }

    /// The windows of a devnet: 20 s epochs in 5 slots.
    function test_constructor_devnet() external {
        ISettlement.Config memory config = settlementConfig();
        (config.epochLength, config.slotsPerEpoch, config.intake, config.postWindow) =
        (20, 5, 3, 11);
        (config.challenge, config.margin, config.roundLength) = (5, 4, 4);
        config.genesis = uint64(START + 12);
        expectBuilt(config);
    }

    function test_constructor_wiring() external {
        RewardToken other = newRewardToken("Other", "OTH", 1);
        ISettlement.Config memory config = settlementConfig();
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotWired.selector, address(registry)));
        newSettlement(config);

        address next = predictedSettlement(2);
        IRegistry.Config memory registryConfig_ = registryConfig(next);
        registryConfig_.token = address(other);
        config.registry = address(newRegistry(registryConfig_, listings(), RULES));
        config.vault = address(newVault(vaultConfig(next)));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotWired.selector, config.registry));
        newSettlement(config);

        next = predictedSettlement(1);
        config.registry = address(newRegistry(registryConfig(next), listings(), RULES));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotWired.selector, config.vault));
        newSettlement(config);

        next = predictedSettlement(2);
        config.registry = address(newRegistry(registryConfig(next), listings(), RULES));
        IVault.Config memory vaultConfig_ = vaultConfig(next);
        vaultConfig_.token = address(other);
        config.vault = address(newVault(vaultConfig_));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotWired.selector, config.vault));
        newSettlement(config);

        next = predictedSettlement(2);
        config.registry = address(newRegistry(registryConfig(next), listings(), RULES));
        config.vault = address(newVault(vaultConfig(next)));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotWired.selector, address(judge)));
        newSettlement(config);
    }

    function testFuzz_epochAt(uint256 timestamp) external view {
        timestamp = bound(timestamp, 0, 1e12);
        uint256 epoch = settlement.epochAt(timestamp);
        if (epoch == 0) {
            vm.assertTrue(timestamp < GENESIS);
        } else {
            vm.assertTrue(settlement.endOf(epoch - 1) <= timestamp);
            vm.assertTrue(timestamp < settlement.endOf(epoch));
        }
        vm.assertEq(settlement.epochAt(GENESIS), 1);
        vm.assertEq(settlement.endOf(1), GENESIS + L);
    }

    function test_isQuiet() external {
        vm.assertTrue(settlement.isQuiet());
        vm.warp(end(1) - 1);
        vm.assertTrue(settlement.isQuiet());
        vm.warp(end(1));
        vm.assertFalse(settlement.isQuiet());
        vm.warp(end(1) + POST_WINDOW);
        vm.assertFalse(settlement.isQuiet());
        vm.warp(end(1) + POST_WINDOW + 1);
        vm.assertTrue(settlement.isQuiet());
        vm.warp(end(2) - 1);
        vm.assertTrue(settlement.isQuiet());

        warpToPosting(2);
        vm.assertFalse(settlement.isQuiet());
        proposeAndPost(attestation(2, ROOT, 0));
        uint256 activeAt = vm.getBlockTimestamp() + CHALLENGE;
        vm.assertFalse(settlement.isQuiet());
        vm.warp(activeAt - 1);
        vm.assertFalse(settlement.isQuiet());
        vm.warp(activeAt);
        vm.assertTrue(settlement.isQuiet());
        settlement.activate();
        vm.assertTrue(settlement.isQuiet());
        vm.warp(end(3));
        vm.assertFalse(settlement.isQuiet());
    }

    /// Nobody posts, and yet each epoch has its quiet time in which who wants to leave can.
    function test_attack_noQuietTimeBecauseNothingIsPosted() external {
        for (uint256 epoch = 1; epoch <= 20; ++epoch) {
            vm.warp(end(epoch) + POST_WINDOW);
            vm.assertFalse(settlement.isQuiet());
            vm.expectRevert(IRegistry.NotQuiet.selector);
            vm.prank(accounts[0]);
            registry.unbond(accounts[0], 1 ether);

            vm.warp(end(epoch) + POST_WINDOW + 1);
            vm.assertTrue(settlement.isQuiet());
            vm.prank(accounts[0]);
            registry.unbond(accounts[0], 1 ether);
            vm.warp(end(epoch + 1) - 1);
            vm.assertTrue(settlement.isQuiet());
        }
        vm.assertEq(registry.stakeOf(accounts[0]), MAX_STAKE - 20 ether);
    }

    function testFuzz_propose(uint256 time, uint256 round, uint256 caller) external {
        uint256 opensAt = end(1) + INTAKE;
        time = bound(time, end(1) - 1, end(1) + POST_WINDOW + 1);
        vm.warp(time);
        uint256 open = time < opensAt ? 0 : (time - opensAt) / ROUND;
        round = bound(round, open == 0 ? 0 : open - 1, open + 1);
        address sender = accounts[caller % VALIDATORS];
        address proposer = settlement.proposerOf(1, round);

        vm.prank(sender);
        if (time < end(1)) {
            vm.expectRevert(abi.encodeWithSelector(ISettlement.EpochNotOpen.selector, 1, 0));
        } else if (time < opensAt || time > end(1) + POST_WINDOW) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    ISettlement.OutsideWindow.selector, opensAt, end(1) + POST_WINDOW, time
                )
            );
        } else if (round != open) {
            vm.expectRevert(abi.encodeWithSelector(ISettlement.RoundNotOpen.selector, round, open));
        } else if (sender != proposer) {
            vm.expectRevert(
                abi.encodeWithSelector(ISettlement.NotProposer.selector, sender, proposer)
            );
        } else {
            vm.expectEmit(address(settlement));
            emit ISettlement.Proposed(1, round, sender, ROOT);
        }
        settlement.propose(1, round, ROOT);
    }

    function test_propose_epochs() external {
        vm.warp(end(3) + INTAKE);
        uint256[4] memory wrong = [uint256(0), 2, 4, type(uint256).max];
        for (uint256 i; i < wrong.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ISettlement.EpochNotOpen.selector, wrong[i], 3));
            settlement.propose(wrong[i], 0, ROOT);
        }
        vm.warp(GENESIS - 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.EpochNotOpen.selector, 0, 0));
        settlement.propose(0, 0, ROOT);
    }

    /// A proposer changes nothing but the candidate, whatever the cursor holds beside it.
    function test_propose_nothingElseChanges() external {
        warpToPosting(1);
        proposeAndPost(attestation(1, ROOT, 600 ether));
        vm.warp(end(2) + INTAKE);
        proposeAs(2, 0, "second");
        vm.assertEq(settlement.activeRoot(), ROOT);
        vm.assertEq(settlement.pendingRoot(), 0);
        vm.assertEq(settlement.lastPostedEpoch(), 1);
        expectCandidate(2, 0, "second");
        vm.assertEq(settlement.pot(), 600 ether);
    }

    function test_propose_zeroDigest() external {
        vm.warp(end(1) + INTAKE);
        address proposer = settlement.proposerOf(1, 0);
        vm.prank(proposer);
        vm.expectRevert(ISettlement.ZeroDigest.selector);
        settlement.propose(1, 0, 0);
    }

    function test_propose_rounds() external {
        vm.warp(end(1) + INTAKE);
        proposeAs(1, 0, "first");
        expectCandidate(1, 0, "first");
        address proposer = settlement.proposerOf(1, 0);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.AlreadyProposed.selector, 1, 0));
        vm.prank(proposer);
        settlement.propose(1, 0, "again");

        // Round 1 stays silent; round 2 replaces the candidate.
        vm.warp(end(1) + INTAKE + 2 * ROUND);
        proposeAs(1, 2, "second");
        expectCandidate(1, 2, "second");
    }

    function test_propose_posted() external {
        warpToPosting(1);
        proposeAndPost(attestation(1, ROOT, 0));
        vm.warp(end(1) + INTAKE + ROUND);
        address proposer = settlement.proposerOf(1, 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.EpochAlreadyPosted.selector, 1, 1));
        vm.prank(proposer);
        settlement.propose(1, 1, ROOT);
    }

    function testFuzz_proposerOf(uint256 epoch, uint256 round) external view {
        uint256 index = uint256(keccak256(abi.encode(epoch, round))) % VALIDATORS;
        vm.assertEq(settlement.proposerOf(epoch, round), accounts[index]);
    }

    function test_activate() external {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToActivate.selector, 0));
        settlement.activate();
        warpToPosting(1);
        proposeAndPost(attestation(1, ROOT, 600 ether));
        uint256 activeAt = vm.getBlockTimestamp() + CHALLENGE;
        vm.warp(activeAt - 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToActivate.selector, activeAt));
        settlement.activate();

        vm.warp(activeAt);
        vm.expectEmit(address(settlement));
        emit ISettlement.Activated(1, ROOT, 600 ether);
        vm.expectEmit(address(vault));
        emit IVault.Fed(600 ether, 600 ether);
        settlement.activate();
        vm.assertEq(settlement.pot(), 600 ether);
        vm.assertEq(token.balanceOf(address(settlement)), 600 ether);
        vm.assertEq(vault.fed(), 600 ether);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToActivate.selector, 0));
        settlement.activate();
    }

    function test_activate_onlyGrowthMoves() external {
        warpToPosting(1);
        proposeAndPost(attestation(1, ROOT, 600 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        settlement.activate();
        warpToPosting(2);
        proposeAndPost(attestation(2, keccak256("two"), 600 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        settlement.activate();
        vm.assertEq(vault.fed(), 600 ether);
        // Not activated by anyone: the next posting does it.
        warpToPosting(3);
        proposeAndPost(attestation(3, keccak256("three"), 700 ether));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        warpToPosting(4);
        proposeAndPost(attestation(4, keccak256("four"), 700 ether + 1));
        vm.assertEq(vault.fed(), 700 ether);
        vm.assertEq(settlement.pot(), 700 ether);
        // The least there is.
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        settlement.activate();
        vm.assertEq(vault.fed(), 700 ether + 1);
        vm.assertEq(settlement.pot(), 700 ether + 1);
    }

    function test_records() external {
        warpToPosting(1);
        proposeAndPost(attestation(1, ROOT, 600 ether));
        vm.assertEq(settlement.activeRoot(), bytes32(0));
        vm.assertEq(settlement.pendingRoot(), ROOT);
        ISettlement.RootRecord memory pending = settlement.pendingRecord();
        vm.assertEq(pending.root, ROOT);
        vm.assertEq(pending.totalEarned, 600 ether);
        vm.assertEq(pending.totalSpent, 0);
        vm.assertEq(pending.activeAt, vm.getBlockTimestamp() + CHALLENGE);
        vm.assertEq(pending.epoch, 1);
        vm.assertEq(pending.through, 1);
        vm.assertEq(pending.round, 0);
        vm.assertEq(pending.signers, 7);

        vm.warp(vm.getBlockTimestamp() + CHALLENGE - 1);
        vm.assertEq(settlement.pendingRoot(), ROOT);
        vm.warp(vm.getBlockTimestamp() + 1);
        expectActive(ROOT, 1);
        vm.assertEq(settlement.activeRecord().activeAt, vm.getBlockTimestamp());
        settlement.activate();
        expectActive(ROOT, 1);
        vm.assertEq(settlement.activeRecord().activeAt, 0);
        vm.assertEq(settlement.activeRecord().signers, 7);
        vm.assertEq(settlement.activeRecord().totalEarned, 600 ether);

        // The previous root stays the one that verifies while the next is pending.
        warpToPosting(2);
        proposeAndPost(attestation(2, keccak256("two"), 600 ether));
        vm.assertEq(settlement.activeRoot(), ROOT);
        vm.assertEq(settlement.pendingRoot(), keccak256("two"));
        vm.assertEq(settlement.lastPostedEpoch(), 2);
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        expectActive(keccak256("two"), 2);
    }

    /// Three roots, the second perhaps cancelled, activated by somebody or by nobody: at any time one verifies at
    /// most, which is the one that `activeRoot` names.
    function testFuzz_attack_twoRootsVerify(uint256 time, bool cancelled, uint8 activations)
        external
    {
        time = bound(time, end(1), end(4) - 1);
        ISettlement.Leaf[][] memory trees = new ISettlement.Leaf[][](3);
        bytes32[] memory roots = new bytes32[](3);
        for (uint256 i; i < 3; ++i) {
            trees[i] = new ISettlement.Leaf[](2);
            trees[i][0] = ISettlement.Leaf(STRANGER, (i + 1) * 100 ether, 0, i, 100 * i);
            trees[i][1] = ISettlement.Leaf(TREASURY, 0, 0, 0, 0);
            roots[i] = trees[i].root();
        }
        for (uint256 i; i < 3 && end(i + 1) + INTAKE + 1 <= time; ++i) {
            publishPending(i + 1, trees[i]);
            if (i == 1 && cancelled) {
                vm.prank(GUARDIAN);
                settlement.cancel();
            } else if (activations >> i & 1 == 1 && vm.getBlockTimestamp() + CHALLENGE <= time) {
                vm.warp(vm.getBlockTimestamp() + CHALLENGE);
                settlement.activate();
            }
        }
        vm.warp(time);

        bytes32 active = settlement.activeRoot();
        vm.assertTrue(active == 0 || active != settlement.pendingRoot());
        for (uint256 i; i < 3; ++i) {
            vm.assertEq(verifies(trees[i], false), roots[i] == active);
            vm.assertEq(verifies(trees[i], true), roots[i] == active);
        }
    }

    /// @dev Whether the first leaf can be pushed or claimed now; changes nothing.
    function verifies(ISettlement.Leaf[] memory leaves, bool pushed) private returns (bool) {
        bytes32[] memory proof = leaves.proof(0);
        try this.attempt(leaves[0], proof, pushed) {
            revert("attempt always reverts");
        } catch (bytes memory reason) {
            if (keccak256(reason) == keccak256("verified")) return true;
            bytes4 name = bytes4(reason);
            vm.assertTrue(
                name == ISettlement.NoActiveRoot.selector || name == ISettlement.NotInTree.selector
            );
            return false;
        }
    }

    function attempt(ISettlement.Leaf memory leaf, bytes32[] memory proof, bool pushed) external {
        if (pushed) pushWith(leaf, proof);
        else claimWith(leaf, proof);
        bytes memory verified = "verified";
        assembly ("memory-safe") {
            revert(add(verified, 32), mload(verified))
        }
    }

    function expectActive(bytes32 root, uint256 epoch) private view {
        vm.assertEq(settlement.activeRoot(), root);
        vm.assertEq(settlement.activeRecord().root, root);
        vm.assertEq(settlement.activeRecord().epoch, epoch);
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        vm.assertEq(settlement.pendingRecord().epoch, 0);
    }

    function expectCandidate(uint256 epoch, uint256 round, bytes32 digest) private view {
        (uint256 epoch_, uint256 round_, bytes32 digest_) = settlement.candidate();
        vm.assertEq(epoch_, epoch);
        vm.assertEq(round_, round);
        vm.assertEq(digest_, digest);
    }

    function proposeAs(uint256 epoch, uint256 round, bytes32 digest) private {
        address proposer = settlement.proposerOf(epoch, round);
        vm.prank(proposer);
        settlement.propose(epoch, round, digest);
    }

    function expectBuilt(ISettlement.Config memory config) private {
        wire(config, type(uint64).max, type(uint64).max);
        ISettlement made = newSettlement(config);
        vm.assertEq(made.epochLength(), config.epochLength);
        vm.assertEq(made.roundLength(), config.roundLength);
    }

    function built(ISettlement.Config memory config, uint64 unbondDelay)
        private
        returns (ISettlement)
    {
        wire(config, unbondDelay, EXIT_DELAY);
        return newSettlement(config);
    }

    /// @dev Parts of its own for the next contract this one creates.
    function wire(ISettlement.Config memory config, uint64 unbondDelay, uint64 exitDelay) private {
        address next = predictedSettlement(3);
        IRegistry.Config memory registryConfig_ = registryConfig(next);
        registryConfig_.unbondDelay = unbondDelay;
        config.registry = address(newRegistry(registryConfig_, listings(), RULES));
        IVault.Config memory vaultConfig_ = vaultConfig(next);
        vaultConfig_.exitDelay = exitDelay;
        config.vault = address(newVault(vaultConfig_));
        config.judge = address(newJudge(next));
    }

    function expectGuard(ISettlement made, address guardian, uint256 since) private view {
        ISettlement.Guard memory guard = made.guard();
        vm.assertEq(guard.guardian, guardian);
        vm.assertEq(guard.since, since);
        vm.assertEq(guard.nominee, address(0));
        vm.assertEq(guard.pausedUntil, 0);
        vm.assertEq(guard.pausableFrom, 0);
    }

    function expectInvalid(ISettlement.Config memory config) private {
        vm.expectRevert(ISettlement.InvalidWindows.selector);
        newSettlement(config);
    }
}
