// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Bundles} from "./Bundles.sol";
import {Trees} from "./Trees.sol";

/// @dev Attacks on stake and on bundles, each by its name.
contract RegistryAttacksTest is Bundles {
    using Trees for ISettlement.Leaf[];

    uint256 private constant CURVE_ORDER =
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    function setUp() public override {
        super.setUp();
        // Whole days later it is quiet too.
        vm.warp(START + POST_WINDOW + 1);
    }

    // Stake

    /// Who signs two statements and takes its stake out before anyone shows them is slashed all the same, until
    /// the stake has left.
    function test_attack_unbondingBeforeTheFraudIsFound() external {
        bondAll();
        warpToPosting(1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotQuiet.selector));
        unbond(accounts[1], 1);
        warpToQuiet(1);
        unbond(accounts[1], MAX_STAKE);
        vm.warp(end(22) - 1);
        reportEquivocation(1, 1);
        vm.warp(vm.getBlockTimestamp() + UNBOND_DELAY);
        vm.expectRevert(IRegistry.NotQuiet.selector);
        registry.withdrawStake(accounts[1]);
        registry.slash(accounts[1]);
        vm.assertEq(token.balanceOf(DEAD), 90 ether);
        vm.assertEq(registry.shareOf(REPORTER), 10 ether);
        vm.assertEq(registry.totalStake(), 300 ether);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NothingUnbonding.selector, accounts[1]));
        registry.withdrawStake(accounts[1]);
    }

    /// Nobody becomes a quorum by bonding more: each is bounded by its listed maximum, the set of an epoch is
    /// frozen, and those bounds keep whoever is left alone below `minTotal`.
    function test_attack_topUpTakeover() external {
        registry.bond(accounts[0], MAX_STAKE);
        for (uint256 i = 1; i < VALIDATORS; ++i) {
            registry.bond(accounts[i], 50 ether);
        }
        vm.expectRevert(
            abi.encodeWithSelector(
                IRegistry.AboveMaxStake.selector, accounts[0], MAX_STAKE, MAX_STAKE
            )
        );
        registry.bond(accounts[0], 1);
        warpToPosting(1);
        vm.expectRevert(IRegistry.NotQuiet.selector);
        registry.bond(accounts[1], 1);

        warpToQuiet(1);
        for (uint256 i = 1; i < VALIDATORS; ++i) {
            unbond(accounts[i], 50 ether);
        }
        // It holds all the stake there is.
        vm.assertEq(registry.totalStake(), MAX_STAKE);
        refuse(
            nothing(),
            abi.encodeWithSelector(Quorum.StakeTooLow.selector, uint256(MAX_STAKE), MIN_TOTAL)
        );
        warpToPosting(2);
        ISettlement.EpochAttestation memory said = attestation(2, keccak256("takeover"), 0);
        propose(said);
        bytes memory signatures = sign(settlement.digestOf(said), 1);
        vm.expectRevert(
            abi.encodeWithSelector(Quorum.StakeTooLow.selector, uint256(MAX_STAKE), MIN_TOTAL)
        );
        settlement.post(said, signatures);
    }

    /// After two of four are slashed the other two hold everything, and still are no quorum.
    function test_attack_minorityThatIsAQuorumAfterASlash() external {
        bondAll();
        warpToPosting(1);
        reportEquivocation(0, 1);
        reportEquivocation(2, 1);
        registry.slash(accounts[0]);
        registry.slash(accounts[2]);
        ISettlement.EpochAttestation memory said = attestation(1, keccak256("minority"), 0);
        propose(said);
        bytes memory signatures = sign(settlement.digestOf(said), 10);
        bytes memory refusal =
            abi.encodeWithSelector(Quorum.StakeTooLow.selector, 200 ether, uint256(MIN_TOTAL));
        vm.expectRevert(refusal);
        settlement.post(said, signatures);
        warpToQuiet(1);
        refuse(nothing(), refusal);
    }

    /// A false root is cancelled and its signers are barred although the token refuses to move; they are slashed
    /// once it moves again, and nothing is withdrawn until then.
    function test_attack_slashThatRevertsAndSavesTheFraud() external {
        bondAll();
        ISettlement.Leaf[] memory leaves = postOutOfRange();
        bytes memory code = address(token).code;
        vm.etch(address(token), hex"5f5ffd");
        reportOutOfRange(leaves);
        vm.assertEq(settlement.pendingRoot(), bytes32(0));
        vm.assertEq(registry.unslashed(), 3);

        vm.expectRevert();
        registry.slash(accounts[0]);
        vm.assertFalse(registry.convictionOf(accounts[0]).slashed);
        vm.assertEq(registry.stakeOf(accounts[0]), MAX_STAKE);
        vm.warp(end(3) - 1);
        vm.assertFalse(settlement.isQuiet());
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotQuiet.selector));
        unbond(accounts[0], 1);

        vm.etch(address(token), code);
        for (uint256 i; i < 3; ++i) {
            registry.slash(accounts[i]);
        }
        vm.assertTrue(settlement.isQuiet());
        vm.assertEq(token.balanceOf(DEAD), 270 ether);
    }

    /// Exactly who signed a false root pays for it, friends of the reporter included.
    function test_attack_slashingFriendsOnly() external {
        bondAll();
        reportOutOfRange(postOutOfRange());
        for (uint256 i; i < VALIDATORS; ++i) {
            bool signed = i < 3;
            vm.assertEq(registry.convictionOf(accounts[i]).reporter != address(0), signed);
            if (signed) {
                registry.slash(accounts[i]);
            } else {
                vm.expectRevert(
                    abi.encodeWithSelector(IRegistry.NotConvicted.selector, accounts[i])
                );
                registry.slash(accounts[i]);
            }
        }
        vm.assertEq(registry.totalStake(), MAX_STAKE);
        vm.assertEq(registry.stakeOf(accounts[3]), MAX_STAKE);
        vm.assertEq(registry.shareOf(REPORTER), 30 ether);
    }

    /// Leaving the list is no way out: what was a validator's stake is slashed for what the validator signed, also
    /// after it took another role.
    function test_attack_delistedValidatorSlashable() external {
        bondAll();
        warpToQuiet(1);
        IRegistry.Changes memory changes = delisting(accounts[2]);
        changes.minTotal = 200 ether;
        changes.listed = new IRegistry.Listing[](1);
        changes.listed[0] =
            IRegistry.Listing(accounts[2], IRegistry.Role.Master, 7 ether, "another role");
        carry(changes);
        registry.bond(accounts[2], 7 ether);

        reportEquivocation(2, 1);
        registry.slash(accounts[2]);
        vm.assertEq(token.balanceOf(DEAD), (MAX_STAKE + 7 ether) * 9 / 10);
        vm.assertEq(registry.stakeOf(accounts[2]), 0);
        vm.assertEq(registry.unbondingOf(accounts[2]).amount, 0);
        vm.assertEq(registry.totalStake(), 300 ether);
    }

    /// Who was convicted is out for good: with its old seat, with a new one, and in every role.
    function test_attack_barredCannotReturn() external {
        bondAll();
        reportEquivocation(2, 1);
        registry.slash(accounts[2]);
        bytes memory refusal = abi.encodeWithSelector(IRegistry.Barred.selector, accounts[2]);
        vm.expectRevert(refusal);
        registry.bond(accounts[2], 1);

        IRegistry.Changes memory changes = delisting(accounts[2]);
        changes.minTotal = 200 ether;
        carry(changes);
        for (uint256 role; role < 3; ++role) {
            changes = listing(accounts[2], IRegistry.Role(role), 1 ether, "back");
            changes.minTotal = 200 ether;
            refuse(changes, refusal);
        }
        // Nor in the bundle that takes it off the list, were it still on it.
        reportEquivocation(1, 1);
        registry.slash(accounts[1]);
        changes = delisting(accounts[1]);
        changes.minTotal = 200 ether;
        changes.listed = new IRegistry.Listing[](1);
        changes.listed[0] =
            IRegistry.Listing(accounts[1], IRegistry.Role.Validator, MAX_STAKE, "back");
        refuse(changes, abi.encodeWithSelector(IRegistry.Barred.selector, accounts[1]));
    }

    // Bundles

    /// A bundle is applied once, though what it changes could be changed again.
    function test_attack_bundleReplay() external {
        bondAll();
        IRegistry.Changes memory changes = listing(STRANGER, IRegistry.Role.Master, 1 ether, "");
        bytes memory signatures = signBundle(changes, ALWAYS, 15);
        registry.change(changes, ALWAYS, signatures);
        carry(delisting(STRANGER));

        refuseStrange(changes, 2, ALWAYS, signatures);
        carry(changes);
        vm.assertEq(registry.listed(IRegistry.Role.Master).length, 2);
    }

    /// One bundle of two signed for the same nonce is applied; the other is void.
    function test_attack_bundleOvertaken() external {
        bondAll();
        IRegistry.Changes memory first = listing(STRANGER, IRegistry.Role.Master, 1 ether, "");
        IRegistry.Changes memory second = nothing();
        second.providerBond = 1;
        bytes memory signatures = signBundle(second, ALWAYS, 15);
        carry(first);
        refuseStrange(second, 1, ALWAYS, signatures);
        vm.assertEq(registry.providerBond(), PROVIDER_BOND);
    }

    function test_attack_bundleExpired() external {
        bondAll();
        IRegistry.Changes memory changes = nothing();
        uint256 deadline = vm.getBlockTimestamp() + 1 hours;
        bytes memory signatures = signBundle(changes, deadline, 15);
        vm.warp(deadline + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IRegistry.BundleExpired.selector, deadline, deadline + 1)
        );
        registry.change(changes, deadline, signatures);
        // The deadline is signed, so a later one is another bundle.
        refuseStrange(changes, 0, deadline + 1, signatures);
        vm.warp(deadline);
        registry.change(changes, deadline, signatures);
        vm.assertEq(registry.bundleNonce(), 1);
    }

    /// Two deployments with the same validators, on one chain.
    function test_attack_bundleOfAnotherDeployment() external {
        bondAll();
        IRegistry here = registry;
        vm.warp(START);
        address predicted = predictedSettlement(3);
        registry = newRegistry(registryConfig(predicted), listings(), RULES);
        vault = newVault(vaultConfig(predicted));
        judge = newJudge(predicted);
        ISettlement settlementHere = settlement;
        settlement = newSettlement(settlementConfig());
        token.approve(address(registry), type(uint256).max);
        bondAll();

        IRegistry.Changes memory changes = nothing();
        changes.providerBond = 1;
        bytes memory signatures = signBundle(changes, ALWAYS, 15);
        registry.change(changes, ALWAYS, signatures);
        (registry, settlement) = (here, settlementHere);
        refuseStrange(changes, 0, ALWAYS, signatures);
    }

    function test_attack_bundleOfAnotherChain() external {
        bondAll();
        IRegistry.Changes memory changes = nothing();
        bytes memory signatures = signBundle(changes, ALWAYS, 15);
        vm.chainId(31_338);
        refuseStrange(changes, 0, ALWAYS, signatures);
        vm.chainId(31_337);
        registry.change(changes, ALWAYS, signatures);
    }

    /// Whoever carries a bundle cannot put another one in its place.
    function test_attack_bundleChangedOnTheWay() external {
        bondAll();
        bytes memory signatures = signBundle(nothing(), ALWAYS, 15);
        IRegistry.Changes memory changes = nothing();
        (changes.replaceGuardian, changes.guardian) = (true, STRANGER);
        refuseStrange(changes, 0, ALWAYS, signatures);
    }

    /// The other of the two signatures the curve accepts, by which a replay could look new.
    function test_attack_bundleMalleableSignatures() external {
        bondAll();
        IRegistry.Changes memory changes = nothing();
        bytes32 digest = bundleDigest(address(settlement), block.chainid, 0, ALWAYS, changes);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[0], digest);
        bytes memory other = abi.encodePacked(r, CURVE_ORDER - uint256(s), 55 - v);
        vm.assertEq(ecrecover(digest, 55 - v, r, bytes32(CURVE_ORDER - uint256(s))), accounts[0]);
        bytes memory rest = sign(digest, 14);
        vm.expectRevert(abi.encodeWithSelector(Quorum.InvalidSignature.selector, 0));
        registry.change(changes, ALWAYS, bytes.concat(other, rest));
        registry.change(changes, ALWAYS, bytes.concat(abi.encodePacked(r, s, v), rest));
    }

    // Steps

    /// @dev Signatures over something else are those of strangers.
    function refuseStrange(
        IRegistry.Changes memory changes,
        uint256 nonce,
        uint256 deadline,
        bytes memory signatures
    ) private {
        bytes32 digest = bundleDigest(address(settlement), block.chainid, nonce, deadline, changes);
        (bytes32 r, bytes32 s) = (bytes32(0), bytes32(0));
        uint8 v = uint8(signatures[64]);
        assembly ("memory-safe") {
            r := mload(add(signatures, 32))
            s := mload(add(signatures, 64))
        }
        address signer = ecrecover(digest, v, r, s);
        vm.assertEq(registry.bundleNonce(), nonce);
        vm.expectRevert(abi.encodeWithSelector(Quorum.NotAValidator.selector, signer));
        registry.change(changes, deadline, signatures);
    }

    /// @dev Three validators sign a root with a reputation above one.
    function postOutOfRange() private returns (ISettlement.Leaf[] memory leaves) {
        leaves = new ISettlement.Leaf[](1);
        leaves[0] = ISettlement.Leaf(STRANGER, 0, 0, 0, 1_000_001);
        publishPending(1, leaves);
    }

    function reportOutOfRange(ISettlement.Leaf[] memory leaves) private {
        bytes32[] memory proof = leaves.proof(0);
        bytes32 name = "outOfRange";
        commitTo(keccak256(abi.encode(name, leaves[0], proof)));
        vm.prank(REPORTER);
        judge.outOfRange(leaves[0], proof, SALT);
    }
}
