// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {Network} from "../Network.sol";
import {Trees} from "../Trees.sol";

/// @dev Plays honest and hostile parts with valid calls only; what must be refused is tried and must
/// revert. Keeps ghost sums from what it asked for, never from the contracts' own counters.
contract Handler is Network {
    using Trees for ISettlement.Leaf[];

    uint256 private constant ACCOUNTS = 5;

    // Ghosts
    uint256 public funded;
    uint256 public donatedToVault;
    uint256 public donatedToSettlement;
    uint256 public paid;
    uint256 public staked;
    uint256 public bonds;
    uint256 public postedEarned;
    uint256 public postedThrough;
    uint256 public roots;
    uint256 public refusals;
    uint256 public shortPots;
    uint256 public returned;
    mapping(address account => uint256) public paidOf;

    address[] public people;
    ISettlement.Leaf[] private active;
    ISettlement.Leaf[] private pending;
    bytes32 private pendingRoot;

    constructor() {
        super.setUp();
        for (uint256 i; i < ACCOUNTS; ++i) {
            address person = address(uint160(0xACC0 + i));
            people.push(person);
            token.transfer(person, 1000 * PROVIDER_BOND);
            vm.prank(person);
            token.approve(address(registry), type(uint256).max);
            active.push(ISettlement.Leaf(person, 0, 0, 0, 0));
            pending.push(ISettlement.Leaf(person, 0, 0, 0, 0));
        }
        // Enough stake to post; the rest may come.
        for (uint256 i; i < 3; ++i) {
            registry.bond(accounts[i], 90 ether);
            staked += 90 ether;
        }
        vault.fund(RATE);
        funded = RATE;
    }

    function setUp() public override {}

    /// @dev A short delay, so that bonds come back within a run.
    function registryConfig(address settlement_)
        internal
        view
        override
        returns (IRegistry.Config memory config)
    {
        config = super.registryConfig(settlement_);
        config.bondDelay = 12 hours;
    }

    // Time

    /// @dev Up to a third of an epoch.
    function pass(uint256 time) external {
        vm.warp(vm.getBlockTimestamp() + bound(time, 1, uint256(L) / 3));
        settle();
    }

    // Money in

    function fund(uint256 amount) external {
        amount = bound(amount, 1, 2 * uint256(RATE));
        vault.fund(amount);
        funded += amount;
    }

    function donate(uint256 amount, bool toVault) external {
        amount = bound(amount, 1, RATE);
        token.transfer(toVault ? address(vault) : address(settlement), amount);
        if (toVault) donatedToVault += amount;
        else donatedToSettlement += amount;
    }

    function bond(uint256 who, uint256 amount) external {
        address account = accounts[who % VALIDATORS];
        uint256 room = MAX_STAKE - registry.stakeOf(account);
        if (!settlement.isQuiet() || room == 0) {
            refused(address(registry), abi.encodeCall(registry.bond, (account, 1)));
            return;
        }
        amount = bound(amount, 1, room);
        registry.bond(account, amount);
        staked += amount;
    }

    // Providers

    function register(uint256 who) external {
        address person = people[who % ACCOUNTS];
        (bool registered, uint256 held,,) = registry.providerOf(person);
        if (registered) return;
        address recipient = registry.recipientOf(person);
        vm.prank(person);
        registry.register(recipient, address(0));
        bonds += PROVIDER_BOND - held;
    }

    function depart(uint256 who) external {
        address person = people[who % ACCOUNTS];
        (bool registered, uint256 held,, uint256 releaseAt) = registry.providerOf(person);
        if (registered) {
            vm.prank(person);
            registry.unregister();
        } else if (held != 0 && vm.getBlockTimestamp() >= releaseAt) {
            vm.prank(person);
            registry.withdrawBond();
            bonds -= held;
            ++returned;
        }
    }

    function setRecipient(uint256 who, uint256 whom) external {
        address person = people[who % ACCOUNTS];
        address recipient = address(uint160(0xC01D0 + whom % 3));
        vm.prank(registry.recipientOf(person));
        registry.setRecipient(person, recipient);
    }

    // Roots

    /// @dev An honest root; a lying one claims more in its leaves than in its total, or asks for more than
    /// budget or funds allow, which must be refused.
    function post(uint256[5] memory growth, uint256 scale, bool leavesLie) external {
        uint256 epoch = openWindow();
        (uint256 recorded, uint256 round,) = settlement.candidate();
        uint256 open = (vm.getBlockTimestamp() - end(epoch) - INTAKE) / ROUND;
        // The candidate of a refused root was in this round.
        if (recorded == epoch && round == open) return;

        settle();
        uint256 total = postedEarned;
        for (uint256 i; i < ACCOUNTS; ++i) {
            uint256 more = bound(growth[i], 0, uint256(RATE) / 4) * bound(scale, 1, 3) / 2;
            pending[i].earned = active[i].earned + more;
            pending[i].points = active[i].points + 1;
            pending[i].reputation = growth[i] % 1_000_001;
            total += leavesLie ? more / 2 : more;
        }
        ISettlement.EpochAttestation memory said = attestation(epoch, pending.root(), total);
        propose(said);
        bytes32 digest = settlement.digestOf(said);
        bytes memory all = sign(digest, bonded());
        bool fits = total - postedEarned <= RATE * (said.through - postedThrough) && total <= funded;
        if (fits) {
            settlement.post(said, all);
            postedEarned = total;
            postedThrough = said.through;
            pendingRoot = said.root;
            ++roots;
        } else {
            refused(address(settlement), abi.encodeCall(settlement.post, (said, all)));
        }
    }

    /// @dev A bundle of less than two thirds.
    function postWithoutQuorum(uint256 subset) external {
        uint256 epoch = settlement.epochAt(vm.getBlockTimestamp());
        if (epoch < 2 || settlement.lastPostedEpoch() >= epoch - 1) return;
        if (vm.getBlockTimestamp() < end(epoch - 1) + INTAKE) return;
        ISettlement.EpochAttestation memory said =
            attestation(epoch - 1, keccak256("forged"), postedEarned);
        bytes memory few = sign(settlement.digestOf(said), 1 << subset % VALIDATORS);
        refused(address(settlement), abi.encodeCall(settlement.post, (said, few)));
    }

    function activate() external {
        settle();
        uint256 due = postedEarned - vault.fed();
        if (settlement.pendingRoot() == 0 && due != 0) {
            settlement.activate();
        }
    }

    // Claims

    function claim(uint256 who) external {
        settle();
        ISettlement.Leaf memory leaf = active[who % ACCOUNTS];
        bytes32[] memory proof = active.proof(who % ACCOUNTS);
        address recipient = registry.recipientOf(leaf.account);
        uint256 before = token.balanceOf(recipient);
        uint256 pot = available();
        if (settlement.activeRoot() == 0 || leaf.earned <= paidOf[leaf.account] || pot == 0) {
            refused(
                address(settlement),
                abi.encodeCall(
                    settlement.claim,
                    (leaf.account, leaf.earned, 0, leaf.points, leaf.reputation, proof)
                )
            );
            return;
        }
        if (leaf.earned - paidOf[leaf.account] > pot) ++shortPots;
        claimWith(leaf, proof);
        took(leaf.account, token.balanceOf(recipient) - before);
    }

    function claimMany() external {
        settle();
        if (settlement.activeRoot() == 0) return;
        bytes32[][] memory proofs = new bytes32[][](ACCOUNTS);
        uint256[] memory claimed = new uint256[](ACCOUNTS);
        for (uint256 i; i < ACCOUNTS; ++i) {
            proofs[i] = active.proof(i);
            claimed[i] = paidOf[active[i].account];
        }
        uint256 pot = available();
        settlement.claimMany(active, proofs);
        // What a batch must pay, in its order, reckoned here.
        for (uint256 i; i < ACCOUNTS; ++i) {
            uint256 due = active[i].earned - claimed[i];
            uint256 amount = due < pot ? due : pot;
            pot -= amount;
            took(active[i].account, amount);
        }
    }

    function push(uint256 who) external {
        settle();
        ISettlement.Leaf memory leaf = active[who % ACCOUNTS];
        bytes32[] memory proof = active.proof(who % ACCOUNTS);
        (, uint256 epoch) = settlement.reputationOf(leaf.account);
        if (settlement.activeRecord().epoch <= epoch) return;
        pushWith(leaf, proof);
    }

    // Views for the invariants

    function contracts() external view returns (address, address, address, address) {
        return (address(token), address(registry), address(vault), address(settlement));
    }

    function peopleCount() external pure returns (uint256) {
        return ACCOUNTS;
    }

    // Internals

    /// @dev What claims can draw on now, growth that the next call activates included.
    function available() private view returns (uint256) {
        return settlement.activeRecord().totalEarned - paid;
    }

    /// @dev Follows a root that has become active by time alone.
    function settle() private {
        if (pendingRoot == 0 || settlement.activeRoot() != pendingRoot) return;
        for (uint256 i; i < ACCOUNTS; ++i) {
            active[i] = pending[i];
        }
        pendingRoot = 0;
    }

    /// @dev Goes to the next time at which a root can be posted, unless that is now.
    function openWindow() private returns (uint256 epoch) {
        uint256 time = vm.getBlockTimestamp();
        epoch = settlement.epochAt(time);
        epoch = epoch < 2 ? 1 : epoch - 1;
        if (settlement.lastPostedEpoch() >= epoch || time > end(epoch) + POST_WINDOW) ++epoch;
        if (time <= end(epoch) + INTAKE) vm.warp(end(epoch) + INTAKE + 1);
    }

    function bonded() private view returns (uint256 bitmap) {
        for (uint256 i; i < VALIDATORS; ++i) {
            if (registry.stakeOf(accounts[i]) != 0) bitmap |= 1 << i;
        }
    }

    function took(address account, uint256 amount) private {
        paid += amount;
        paidOf[account] += amount;
    }

    function refused(address target, bytes memory data) private {
        (bool accepted,) = target.call(data);
        require(!accepted, "a call that must be refused was accepted");
        ++refusals;
    }
}
