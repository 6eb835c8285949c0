// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Registry} from "../src/Registry.sol";
import {RewardToken} from "../src/RewardToken.sol";
import {Settlement} from "../src/Settlement.sol";
import {Vault} from "../src/Vault.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Base} from "./Base.sol";
import {Trees} from "./Trees.sol";

/// @dev A deployed network of four bonded validators with the default windows, and the honest way to do
/// each thing on it.
abstract contract Network is Base {
    using Trees for ISettlement.Leaf[];

    uint256 internal constant START = 1_700_000_000;
    uint256 internal constant SUPPLY = 1_000_000_000 ether;
    uint256 internal constant VALIDATORS = 4;
    uint96 internal constant MAX_STAKE = 100 ether;
    uint96 internal constant MIN_TOTAL = 240 ether;
    uint96 internal constant PROVIDER_BOND = 10 ether;
    uint64 internal constant BOND_DELAY = 21 days;
    uint96 internal constant RATE = 1000 ether;
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

    RewardToken internal token;
    Registry internal registry;
    Vault internal vault;
    Settlement internal settlement;
    uint256[] internal keys;
    address[] internal accounts;
    address internal resolver;
    address internal master;

    function setUp() public virtual {
        vm.warp(START);
        token = new RewardToken("DPN Reward", "DPN", SUPPLY);
        for (uint256 i; i < VALIDATORS; ++i) {
            keys.push(uint256(keccak256(abi.encode("validator", i))));
            accounts.push(vm.addr(keys[i]));
        }
        resolver = address(0x4E50);
        master = address(0x3A57);
        address predicted = predictedSettlement(2);
        registry = new Registry(registryConfig(predicted), listings(), RULES);
        vault = new Vault(vaultConfig(predicted));
        settlement = new Settlement(settlementConfig());
        token.approve(address(registry), type(uint256).max);
        token.approve(address(vault), type(uint256).max);
    }

    // Parts of the deployment, for tests that change one thing

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
        return IRegistry.Config(address(token), settlement_, MIN_TOTAL, PROVIDER_BOND, BOND_DELAY);
    }

    function vaultConfig(address settlement_) internal view returns (IVault.Config memory) {
        return IVault.Config(address(token), settlement_, RATE);
    }

    function settlementConfig() internal view virtual returns (ISettlement.Config memory) {
        return ISettlement.Config({
            registry: address(registry),
            vault: address(vault),
            token: address(token),
            treasury: TREASURY,
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
        list = new IRegistry.Listing[](VALIDATORS + 2);
        for (uint256 i; i < VALIDATORS; ++i) {
            list[i] = IRegistry.Listing(accounts[i], IRegistry.Role.Validator, MAX_STAKE, "v");
        }
        list[VALIDATORS] = IRegistry.Listing(resolver, IRegistry.Role.Resolver, 5 ether, "r");
        list[VALIDATORS + 1] = IRegistry.Listing(master, IRegistry.Role.Master, 7 ether, "m");
    }

    // Honest steps

    function bondAll() internal {
        for (uint256 i; i < VALIDATORS; ++i) {
            registry.bond(accounts[i], MAX_STAKE);
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
            parentStateDigest: parent.stateDigest,
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
        address last;
        while (true) {
            uint256 next = type(uint256).max;
            for (uint256 i; i < keys.length; ++i) {
                if (bitmap >> i & 1 == 0 || accounts[i] <= last) continue;
                if (next == type(uint256).max || accounts[i] < accounts[next]) next = i;
            }
            if (next == type(uint256).max) return signatures;
            last = accounts[next];
            signatures = bytes.concat(signatures, signOne(digest, keys[next]));
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

    /// @dev Posts the root of `leaves` as that of `epoch` and waits until it is active.
    function publish(uint256 epoch, ISettlement.Leaf[] memory leaves) internal {
        uint256 total;
        for (uint256 i; i < leaves.length; ++i) {
            total += leaves[i].earned;
        }
        warpToPosting(epoch);
        proposeAndPost(attestation(epoch, leaves.root(), total));
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
