// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IJudge} from "../src/interfaces/IJudge.sol";
import {RewardToken} from "../src/RewardToken.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Artifacts} from "./Artifacts.sol";
import {Trees} from "./Trees.sol";

/// @dev A deployed network of four bonded validators with the default windows, and the honest way to do
/// each thing on it.
abstract contract Network is Artifacts {
    using Trees for ISettlement.Leaf[];

    uint256 internal constant START = 1_700_000_000;
    uint256 internal constant SUPPLY = 1_000_000_000 ether;
    uint256 internal constant VALIDATORS = 4;
    uint96 internal constant MAX_STAKE = 100 ether;
    uint96 internal constant MIN_TOTAL = 240 ether;
    uint96 internal constant PROVIDER_BOND = 10 ether;
    uint64 internal constant BOND_DELAY = 21 days;
    uint64 internal constant UNBOND_DELAY = 21 days;
    uint96 internal constant RATE = 1000 ether;
    uint96 internal constant MIN_DEPOSIT = 1 ether;
    uint64 internal constant EXIT_DELAY = 30 days;
    bytes internal constant RULES = '{"version":1}';

    uint64 internal constant L = 24 hours;
    uint64 internal constant INTAKE = 30 minutes;
    uint64 internal constant POST_WINDOW = 6 hours;
    uint64 internal constant CHALLENGE = 12 hours;
    uint64 internal constant MARGIN = 1 hours;
    uint64 internal constant ROUND = 20 minutes;
    uint256 internal constant GENESIS = START + 1 days;

    address internal constant TREASURY = address(0x7EA5);
    address internal constant STRANGER = address(0x57A6);
    address internal constant GUARDIAN = address(0x6A4D);
    address internal constant DEAD = address(0xdEaD);

    RewardToken internal token;
    IRegistry internal registry;
    IVault internal vault;
    IJudge internal judge;
    ISettlement internal settlement;
    uint256[] internal keys;
    address[] internal accounts;
    address internal resolver;
    address internal master;

    function setUp() public virtual {
        vm.warp(START);
        token = newRewardToken("DPN Reward", "DPN", SUPPLY);
        for (uint256 i; i < validatorCount(); ++i) {
            _addValidator(uint256(keccak256(abi.encode("validator", i))));
        }
        resolver = address(0x4E50);
        master = address(0x3A57);
        address predicted = predictedSettlement(3);
        registry = newRegistry(registryConfig(predicted), listings(), RULES);
        vault = newVault(vaultConfig(predicted));
        judge = newJudge(predicted);
        settlement = newSettlement(settlementConfig());
        token.approve(address(registry), type(uint256).max);
        token.approve(address(vault), type(uint256).max);
    }

    /// @dev Keeps `keys` and `accounts` by ascending address, as the registry keeps validators.
    function _addValidator(uint256 key) private {
        address account = vm.addr(key);
        keys.push(key);
        accounts.push(account);
        for (uint256 i = accounts.length - 1; i > 0 && accounts[i - 1] > account; --i) {
            (accounts[i], accounts[i - 1]) = (accounts[i - 1], account);
            (keys[i], keys[i - 1]) = (keys[i - 1], key);
        }
    }

    // Parts of the deployment, for tests that change one thing

    function validatorCount() internal view virtual returns (uint256) {
        return VALIDATORS;
    }

    /// @dev Of the validator with this position.
    function maxStake(uint256) internal view virtual returns (uint96) {
        return MAX_STAKE;
    }

    function minTotal() internal view virtual returns (uint96) {
        return MIN_TOTAL;
    }

    /// @dev The address of the contract this one creates after `others` more.
    function predictedSettlement(uint256 others) internal view returns (address) {
        return vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + others);
    }

    function registryConfig(address settlement_)
        internal
        view
        virtual
        returns (IRegistry.Config memory)
    {
        return IRegistry.Config(
            address(token), settlement_, minTotal(), PROVIDER_BOND, BOND_DELAY, UNBOND_DELAY
        );
    }

    function vaultConfig(address settlement_) internal view returns (IVault.Config memory) {
        return IVault.Config(address(token), settlement_, RATE, MIN_DEPOSIT, EXIT_DELAY);
    }

    function settlementConfig() internal view virtual returns (ISettlement.Config memory) {
        return ISettlement.Config({
            registry: address(registry),
            vault: address(vault),
            judge: address(judge),
            token: address(token),
            treasury: TREASURY,
            guardian: GUARDIAN,
            tokenCodeHash: address(token).codehash,
            genesis: uint64(GENESIS),
            epochLength: L,
            slotsPerEpoch: 144,
            intake: INTAKE,
            postWindow: POST_WINDOW,
            challenge: CHALLENGE,
            margin: MARGIN,
            roundLength: ROUND
        });
    }

    function listings() internal view returns (IRegistry.Listing[] memory list) {
        uint256 count = validatorCount();
        list = new IRegistry.Listing[](count + 2);
        for (uint256 i; i < count; ++i) {
            list[i] = IRegistry.Listing(accounts[i], IRegistry.Role.Validator, maxStake(i), "v");
        }
        list[count] = IRegistry.Listing(resolver, IRegistry.Role.Resolver, 5 ether, "r");
        list[count + 1] = IRegistry.Listing(master, IRegistry.Role.Master, 7 ether, "m");
    }

    // What the settlement contract keeps for itself

    /// @dev The copies of the roster's address and of the vault's sums, from the slots they are in.
    function copiesOf(ISettlement made)
        internal
        view
        returns (address roster, uint256 funded, uint256 deposits)
    {
        uint256 word = uint256(vm.load(address(made), bytes32(uint256(9))));
        (roster, deposits) = (address(uint160(word)), word >> 160);
        funded = uint96(uint256(vm.load(address(made), bytes32(uint256(10)))));
    }

    /// @dev What it keeps is what their owners have, and these are the vault's sums.
    function expectCopies(ISettlement made, uint256 funded, uint256 deposits) internal view {
        (address roster, uint256 funded_, uint256 deposits_) = copiesOf(made);
        vm.assertEq(roster, made.registry().roster());
        vm.assertEq(funded_, funded);
        vm.assertEq(funded, made.vault().funded());
        vm.assertEq(deposits_, deposits);
        vm.assertEq(deposits, made.vault().deposits());
    }

    // Honest steps

    function bondAll() internal {
        for (uint256 i; i < accounts.length; ++i) {
            registry.bond(accounts[i], maxStake(i));
        }
    }

    function end(uint256 epoch) internal pure returns (uint256) {
        return GENESIS + epoch * L;
    }

    /// @dev Goes to the first second in which the root of `epoch` can be posted.
    function warpToPosting(uint256 epoch) internal {
        vm.warp(end(epoch) + INTAKE + 1);
    }

    /// @dev What honest validators say about `epoch` if it ended in `root` and `totalEarned`.
    function attestation(uint256 epoch, bytes32 root, uint256 totalEarned)
        internal
        view
        returns (ISettlement.EpochAttestation memory)
    {
        ISettlement.RootRecord memory parent = settlement.activeRecord();
        uint256 through = epoch - parent.through > 7 ? parent.through + 7 : epoch;
        return ISettlement.EpochAttestation({
            epoch: epoch,
            through: through,
            round: (vm.getBlockTimestamp() - end(epoch) - INTAKE) / ROUND,
            parentRoot: parent.root,
            parentStateDigest: parent.root == 0
                ? bytes32(0)
                : keccak256(abi.encode("state", parent.root)),
            stateDigest: keccak256(abi.encode("state", root)),
            root: root,
            totalEarned: totalEarned,
            totalSpent: parent.totalSpent,
            anchorBlockHash: keccak256(abi.encode("block", epoch)),
            rulesDigest: keccak256(RULES),
            manifestDigest: keccak256(abi.encode("manifest", epoch))
        });
    }

    function propose(ISettlement.EpochAttestation memory said) internal {
        address proposer = settlement.proposerOf(said.epoch, said.round);
        bytes32 digest = settlement.digestOf(said);
        vm.prank(proposer);
        settlement.propose(said.epoch, said.round, digest);
    }

    /// @dev Signatures of the validators in `bitmap`, by ascending address.
    function sign(bytes32 digest, uint256 bitmap) internal view returns (bytes memory signatures) {
        for (uint256 i; i < keys.length; ++i) {
            if (bitmap >> i & 1 == 1) {
                signatures = bytes.concat(signatures, signOne(digest, keys[i]));
            }
        }
    }

    function signOne(bytes32 digest, uint256 key) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev Three of the four validators: the smallest quorum while all have the same stake.
    function quorum(ISettlement.EpochAttestation memory said)
        internal
        view
        returns (bytes memory signatures)
    {
        return sign(settlement.digestOf(said), 7);
    }

    function proposeAndPost(ISettlement.EpochAttestation memory said) internal {
        propose(said);
        settlement.post(said, quorum(said));
    }

    /// @dev Posts the root of `leaves`, with their sums, as that of `epoch`: pending.
    function publishPending(uint256 epoch, ISettlement.Leaf[] memory leaves) internal {
        uint256 earned;
        uint256 spent;
        for (uint256 i; i < leaves.length; ++i) {
            earned += leaves[i].earned;
            spent += leaves[i].spent;
        }
        warpToPosting(epoch);
        ISettlement.EpochAttestation memory said = attestation(epoch, leaves.root(), earned);
        said.totalSpent = spent;
        proposeAndPost(said);
    }

    /// @dev Posts the root of `leaves` as that of `epoch` and waits until it is active.
    function publish(uint256 epoch, ISettlement.Leaf[] memory leaves) internal {
        publishPending(epoch, leaves);
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
    }

    function claim(ISettlement.Leaf[] memory leaves, uint256 index) internal {
        claimWith(leaves[index], leaves.proof(index));
    }

    function claimWith(ISettlement.Leaf memory leaf, bytes32[] memory proof) internal {
        settlement.claim(leaf.account, leaf.earned, leaf.spent, leaf.points, leaf.reputation, proof);
    }

    function pushWith(ISettlement.Leaf memory leaf, bytes32[] memory proof) internal {
        settlement.push(leaf.account, leaf.earned, leaf.spent, leaf.points, leaf.reputation, proof);
    }
}
