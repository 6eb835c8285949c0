// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Bundles} from "./Bundles.sol";

/// post, where deposits are spent (the rest: see SettlementPost)
/// ├── spent below the parent's: SpentFell
/// ├── spent above what is deposited and not withdrawn: AboveDeposits (fuzz); just that much: accepted
/// ├── growth of earned above the rate times the epochs covered and the growth of spent: AboveBudget (fuzz)
/// └── earned above what was funded and what was spent: AboveFunds (fuzz); just that much: accepted, and fed to the last
/// useRoster
/// ├── not the registry: NotRegistry (fuzz)
/// └── otherwise: counts from then on, whenever a stake, the list, the rules or the least total change
/// useFunds
/// ├── not the vault: NotVault (fuzz)
/// └── otherwise: counts from then on, whenever something is funded, deposited or withdrawn
contract SettlementDepositsTest is Bundles {
    bytes32 private constant ROOT = keccak256("a root");
    bytes32 private constant TWO = keccak256("another root");
    uint256 private constant FUNDS = 500 ether;
    uint256 private constant DEPOSITS = 40 ether;

    function setUp() public override {
        super.setUp();
        bondAll();
        vault.fund(FUNDS);
        vault.deposit(DEPOSITS);
    }

    // The totals

    function test_spent_toTheLastUnit() external {
        ISettlement.EpochAttestation memory said = first(0, DEPOSITS + 1);
        refused(said, aboveDeposits(DEPOSITS + 1, DEPOSITS));
        said.totalSpent = DEPOSITS;
        accepted(said);
    }

    function testFuzz_spent(uint256 before, uint256 more, uint256 spent) external {
        before = bound(before, 0, DEPOSITS);
        accepted(first(0, before));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        more = bound(more, MIN_DEPOSIT, 10 * DEPOSITS);
        vault.deposit(more);
        warpToPosting(2);
        spent = bound(spent, before == 0 ? 0 : before - 1, DEPOSITS + more + 1);
        ISettlement.EpochAttestation memory said = attestation(2, TWO, 0);
        said.totalSpent = spent;
        if (spent < before) {
            refused(said, abi.encodeWithSelector(ISettlement.SpentFell.selector, spent, before));
        } else if (spent > DEPOSITS + more) {
            refused(said, aboveDeposits(spent, DEPOSITS + more));
        } else {
            accepted(said);
        }
    }

    /// What was withdrawn is nobody's to spend.
    function test_spent_afterAWithdrawal() external {
        vault.exit();
        vm.warp(vm.getBlockTimestamp() + EXIT_DELAY);
        vault.announceWithdrawal();
        vm.warp(vm.getBlockTimestamp() + 2 * L);
        uint256 epoch = settlement.epochAt(vm.getBlockTimestamp());
        warpToQuiet(epoch);
        vault.withdrawAnnounced();
        expectCopies(settlement, FUNDS, 0);
        warpToPosting(epoch + 1);
        ISettlement.EpochAttestation memory said = attestation(epoch + 1, ROOT, 0);
        said.totalSpent = 1;
        refused(said, aboveDeposits(1, 0));
        said.totalSpent = 0;
        accepted(said);
    }

    function testFuzz_budget(uint256 spent, uint256 moreSpent, uint256 growth) external {
        vault.fund(10 * uint256(RATE));
        spent = bound(spent, 0, DEPOSITS);
        moreSpent = bound(moreSpent, 0, DEPOSITS - spent);
        accepted(first(spent, spent));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        warpToPosting(3);
        uint256 budget = 2 * uint256(RATE) + moreSpent;
        growth = bound(growth, budget - 2, budget + 2);
        ISettlement.EpochAttestation memory said = attestation(3, TWO, spent + growth);
        said.totalSpent = spent + moreSpent;
        if (growth > budget) {
            refused(said, abi.encodeWithSelector(ISettlement.AboveBudget.selector, growth, budget));
        } else {
            accepted(said);
        }
    }

    function test_earned_toTheLastUnit() external {
        uint256 funds = FUNDS + DEPOSITS;
        ISettlement.EpochAttestation memory said = first(funds + 1, DEPOSITS);
        refused(said, aboveFunds(funds + 1, funds));
        said.totalEarned = funds;
        accepted(said);
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        settlement.activate();
        vm.assertEq(settlement.pot(), funds);
        vm.assertEq(token.balanceOf(address(settlement)), funds);
        vm.assertEq(token.balanceOf(address(vault)), 0);
    }

    function testFuzz_earned(uint256 spent, uint256 more, uint256 earned) external {
        spent = bound(spent, 0, DEPOSITS);
        more = bound(more, 1, 400 ether);
        vault.fund(more);
        uint256 funds = FUNDS + more + spent;
        earned = bound(earned, funds - 2, funds + 2);
        ISettlement.EpochAttestation memory said = first(earned, spent);
        if (earned > funds) refused(said, aboveFunds(earned, funds));
        else accepted(said);
    }

    // The copies

    function testFuzz_useRoster_onlyRegistry(address caller, address roster) external {
        vm.assume(caller != address(registry));
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotRegistry.selector, caller));
        settlement.useRoster(roster);
        expectCopies(settlement, FUNDS, DEPOSITS);
    }

    function testFuzz_useFunds_onlyVault(address caller, uint256 funded, uint256 deposits)
        external
    {
        vm.assume(caller != address(vault));
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotVault.selector, caller));
        settlement.useFunds(funded, deposits);
        expectCopies(settlement, FUNDS, DEPOSITS);
    }

    /// Whatever changes the roster, and after each step, the copy is the registry's.
    function test_copies_roster() external {
        address[6] memory rosters;
        rosters[0] = registry.roster();
        vm.prank(accounts[0]);
        registry.unbond(accounts[0], 10 ether);
        rosters[1] = expectRoster();
        registry.bond(accounts[0], 5 ether);
        rosters[2] = expectRoster();
        carry(listing(address(0x4E51), IRegistry.Role.Validator, 10 ether, "v"));
        rosters[3] = expectRoster();
        carry(delisting(address(0x4E51)));
        rosters[4] = expectRoster();
        reportEquivocation(3, 7);
        expectRoster();
        registry.slash(accounts[3]);
        rosters[5] = expectRoster();
        for (uint256 i = 1; i < rosters.length; ++i) {
            vm.assertTrue(rosters[i] != rosters[i - 1]);
        }
        // Other roles are not in it.
        registry.bond(resolver, 1 ether);
        vm.assertEq(expectRoster(), rosters[5]);
    }

    /// Sums at their limits too: funded, deposited and withdrawn in any order.
    function testFuzz_copies_funds(uint256[6] memory amounts, uint8 kinds) external {
        uint256 epoch;
        for (uint256 i; i < amounts.length; ++i) {
            uint256 left = token.balanceOf(address(this)) / 2;
            if (kinds >> i & 1 == 1) vault.fund(bound(amounts[i], 1, left));
            else vault.deposit(bound(amounts[i], MIN_DEPOSIT, left));
            expectCopies(settlement, vault.funded(), vault.deposits());
        }
        vault.exit();
        vm.warp(vm.getBlockTimestamp() + EXIT_DELAY);
        vault.announceWithdrawal();
        vm.warp(vm.getBlockTimestamp() + 2 * L);
        epoch = settlement.epochAt(vm.getBlockTimestamp());
        warpToQuiet(epoch);
        vault.withdrawAnnounced();
        vm.assertEq(vault.deposits(), 0);
        expectCopies(settlement, vault.funded(), 0);
    }

    function expectRoster() private view returns (address roster) {
        (roster,,) = copiesOf(settlement);
        vm.assertEq(roster, registry.roster());
    }

    // Steps

    /// @dev What is said about epoch 1, in whose posting window this goes.
    function first(uint256 earned, uint256 spent)
        private
        returns (ISettlement.EpochAttestation memory said)
    {
        warpToPosting(1);
        said = attestation(1, ROOT, earned);
        said.totalSpent = spent;
    }

    function accepted(ISettlement.EpochAttestation memory said) private {
        // Another round, in case this one has its candidate.
        vm.warp(vm.getBlockTimestamp() + ROUND);
        said.round += 1;
        proposeAndPost(said);
        vm.assertEq(settlement.pendingRoot(), said.root);
        vm.assertEq(settlement.pendingRecord().totalEarned, said.totalEarned);
        vm.assertEq(settlement.pendingRecord().totalSpent, said.totalSpent);
    }

    function refused(ISettlement.EpochAttestation memory said, bytes memory reason) private {
        propose(said);
        bytes memory signatures = quorum(said);
        vm.expectRevert(reason);
        settlement.post(said, signatures);
    }

    function aboveDeposits(uint256 spent, uint256 deposits) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISettlement.AboveDeposits.selector, spent, deposits);
    }

    function aboveFunds(uint256 earned, uint256 funds) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISettlement.AboveFunds.selector, earned, funds);
    }
}
