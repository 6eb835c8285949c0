// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Bundles} from "./Bundles.sol";

/// register
/// ├── registered already: AlreadyRegistered
/// ├── recipient zero: ZeroAddress
/// ├── recipient not the current one, which is no longer the caller: NotRecipient
/// ├── for the first time
/// │   ├── referrer the caller itself, never registered or not registered any more: ReferrerNotRegistered
/// │   └── otherwise: bond taken, referrer stored, event; a new recipient told to the settlement contract
/// └── again
///     ├── another referrer than the first: ReferrerFixed, also if the first was none
///     ├── while a bond waits: that bond is used, no tokens move
///     ├── while less waits than is asked for now: the difference is taken
///     ├── while more waits than is asked for now: it stays bonded whole
///     └── after the bond was withdrawn: a new bond is taken
/// unregister
/// ├── not registered: NotRegistered
/// └── otherwise: not registered at once, bond waits
/// withdrawBond
/// ├── registered, never registered or withdrawn already: NoBondWaiting
/// ├── too early: BondLocked
/// └── otherwise: paid to the recipient
/// any sequence of these: bonds held equal bonds owed (fuzz)
contract RegistryProvidersTest is Bundles {
    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B);
    address private constant COLD = address(0xC01D);

    function setUp() public override {
        super.setUp();
        endow(ALICE);
        endow(BOB);
    }

    function test_register() external {
        register(ALICE, ALICE, address(0));
        vm.expectEmit(address(registry));
        emit IRegistry.ProviderRegistered(BOB, COLD, ALICE, PROVIDER_BOND);
        vm.expectEmit(address(settlement));
        emit ISettlement.RecipientSet(BOB, COLD);
        register(BOB, COLD, ALICE);

        expectProvider(BOB, true, PROVIDER_BOND, ALICE, 0);
        vm.assertEq(settlement.recipientOf(BOB), COLD);
        vm.assertEq(token.balanceOf(address(registry)), 2 * PROVIDER_BOND);
    }

    function test_register_refuses() external {
        vm.expectRevert(IRegistry.ZeroAddress.selector);
        register(ALICE, address(0), address(0));
        register(BOB, address(1), address(0)); // the least address that is one
        register(ALICE, ALICE, address(0));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.AlreadyRegistered.selector, ALICE));
        register(ALICE, ALICE, address(0));
    }

    function test_register_referrer() external {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ReferrerNotRegistered.selector, BOB));
        register(BOB, BOB, BOB);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ReferrerNotRegistered.selector, ALICE));
        register(BOB, BOB, ALICE);
        register(ALICE, ALICE, address(0));
        vm.prank(ALICE);
        registry.unregister();
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ReferrerNotRegistered.selector, ALICE));
        register(BOB, BOB, ALICE);
    }

    /// Hot-key theft: whoever holds the node key cannot redirect pay by registering anew.
    function test_register_doesNotMoveRecipient() external {
        register(ALICE, COLD, address(0));
        vm.prank(ALICE);
        registry.unregister();
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotRecipient.selector, ALICE, COLD, ALICE));
        register(ALICE, ALICE, address(0));
        register(ALICE, COLD, address(0));
        vm.assertEq(settlement.recipientOf(ALICE), COLD);
        // Nor can its owner through it: only where the pay goes already.
        vm.prank(ALICE);
        registry.unregister();
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotRecipient.selector, ALICE, COLD, ALICE));
        register(ALICE, BOB, address(0));
    }

    /// A recipient that was set before registers with the account, and stays.
    function test_register_keepsRecipient() external {
        vm.prank(ALICE);
        settlement.setRecipient(ALICE, COLD);
        vm.recordLogs();
        register(ALICE, COLD, address(0));
        // ProviderRegistered and the token's Transfer, nothing of the settlement contract.
        vm.assertEq(vm.getRecordedLogs().length, 2);
        vm.assertEq(settlement.recipientOf(ALICE), COLD);
    }

    /// Nobody is not asked whether it may: the registry says so itself.
    function test_register_zeroRecipientAfterAnother() external {
        vm.prank(ALICE);
        settlement.setRecipient(ALICE, COLD);
        vm.expectRevert(IRegistry.ZeroAddress.selector);
        register(ALICE, address(0), address(0));
    }

    /// No cycles: a referrer is named once, before anybody can have named the provider.
    function test_register_referrerFixed() external {
        register(ALICE, ALICE, address(0));
        register(BOB, BOB, ALICE);
        vm.prank(ALICE);
        registry.unregister();
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ReferrerFixed.selector, ALICE, address(0)));
        register(ALICE, ALICE, BOB);

        vm.prank(BOB);
        registry.unregister();
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ReferrerFixed.selector, BOB, ALICE));
        register(BOB, BOB, COLD);
        register(BOB, BOB, address(0));
        expectProvider(BOB, true, PROVIDER_BOND, ALICE, 0);
        vm.prank(BOB);
        registry.unregister();
        register(BOB, BOB, ALICE);
        expectProvider(BOB, true, PROVIDER_BOND, ALICE, 0);
    }

    function test_register_usesWaitingBond() external {
        register(ALICE, ALICE, address(0));
        uint256 balance = token.balanceOf(ALICE);
        vm.prank(ALICE);
        registry.unregister();
        register(ALICE, ALICE, address(0));
        vm.assertEq(token.balanceOf(ALICE), balance);
        expectProvider(ALICE, true, PROVIDER_BOND, address(0), 0);

        vm.warp(START + BOND_DELAY);
        vm.prank(ALICE);
        registry.unregister();
        vm.warp(START + 2 * BOND_DELAY);
        vm.prank(ALICE);
        registry.withdrawBond();
        vm.assertEq(token.balanceOf(ALICE), balance + PROVIDER_BOND);
        register(ALICE, ALICE, address(0));
        vm.assertEq(token.balanceOf(ALICE), balance);
    }

    function test_register_bondRaised() external {
        bondAll();
        register(ALICE, ALICE, address(0));
        register(BOB, BOB, address(0));
        vm.prank(ALICE);
        registry.unregister();
        uint256 balance = token.balanceOf(ALICE);
        askFor(PROVIDER_BOND + 3);
        expectProvider(BOB, true, PROVIDER_BOND, address(0), 0);

        vm.expectEmit(address(registry));
        emit IRegistry.ProviderRegistered(ALICE, ALICE, address(0), PROVIDER_BOND + 3);
        register(ALICE, ALICE, address(0));
        vm.assertEq(token.balanceOf(ALICE), balance - 3);
        expectProvider(ALICE, true, PROVIDER_BOND + 3, address(0), 0);
    }

    function test_register_bondLowered() external {
        bondAll();
        register(ALICE, ALICE, address(0));
        vm.prank(ALICE);
        registry.unregister();
        uint256 balance = token.balanceOf(ALICE);
        askFor(PROVIDER_BOND - 3);
        vm.expectEmit(address(registry));
        emit IRegistry.ProviderRegistered(ALICE, ALICE, address(0), PROVIDER_BOND);
        register(ALICE, ALICE, address(0));
        register(BOB, BOB, address(0));
        vm.assertEq(token.balanceOf(ALICE), balance);
        expectProvider(ALICE, true, PROVIDER_BOND, address(0), 0);
        expectProvider(BOB, true, PROVIDER_BOND - 3, address(0), 0);

        vm.prank(ALICE);
        registry.unregister();
        vm.warp(START + BOND_DELAY);
        vm.prank(ALICE);
        registry.withdrawBond();
        vm.assertEq(token.balanceOf(ALICE), balance + PROVIDER_BOND);
    }

    function test_unregister() external {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotRegistered.selector, ALICE));
        vm.prank(ALICE);
        registry.unregister();
        register(ALICE, ALICE, address(0));
        vm.expectEmit(address(registry));
        emit IRegistry.ProviderUnregistered(ALICE, START + BOND_DELAY);
        vm.prank(ALICE);
        registry.unregister();
        expectProvider(ALICE, false, PROVIDER_BOND, address(0), START + BOND_DELAY);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotRegistered.selector, ALICE));
        vm.prank(ALICE);
        registry.unregister();
    }

    function test_withdrawBond() external {
        expectNoBond(ALICE);
        register(ALICE, COLD, address(0));
        expectNoBond(ALICE);
        vm.prank(ALICE);
        registry.unregister();
        vm.warp(START + BOND_DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.BondLocked.selector, START + BOND_DELAY));
        vm.prank(ALICE);
        registry.withdrawBond();

        vm.warp(START + BOND_DELAY);
        vm.expectEmit(address(registry));
        emit IRegistry.BondWithdrawn(ALICE, PROVIDER_BOND);
        vm.prank(ALICE);
        registry.withdrawBond();
        vm.assertEq(token.balanceOf(COLD), PROVIDER_BOND);
        vm.assertEq(token.balanceOf(address(registry)), 0);
        expectProvider(ALICE, false, 0, address(0), 0);
        expectNoBond(ALICE);
    }

    /// Whatever a provider does in whatever order, its bond is never lost, doubled or early.
    function testFuzz_sequence(uint8[24] memory steps) external {
        uint256 start = token.balanceOf(ALICE);
        bool registered;
        uint256 releaseAt;
        uint256 held;
        for (uint256 i; i < steps.length; ++i) {
            vm.warp(vm.getBlockTimestamp() + uint256(steps[i]) * 1 hours);
            vm.prank(ALICE);
            if (steps[i] % 3 == 0) {
                if (registered) vm.expectRevert();
                registry.register(ALICE, address(0));
                (registered, held, releaseAt) = (true, PROVIDER_BOND, 0);
            } else if (steps[i] % 3 == 1) {
                if (!registered) vm.expectRevert();
                else releaseAt = vm.getBlockTimestamp() + BOND_DELAY;
                registry.unregister();
                registered = false;
            } else {
                bool free = !registered && held != 0 && vm.getBlockTimestamp() >= releaseAt;
                if (!free) vm.expectRevert();
                else (held, releaseAt) = (0, 0);
                registry.withdrawBond();
            }
            expectProvider(ALICE, registered, held, address(0), releaseAt);
            vm.assertEq(token.balanceOf(ALICE), start - held);
            vm.assertEq(token.balanceOf(address(registry)), held);
        }
    }

    function askFor(uint96 bond) private {
        IRegistry.Changes memory changes = nothing();
        changes.providerBond = bond;
        carry(changes);
    }

    function endow(address account) private {
        token.transfer(account, 100 * PROVIDER_BOND);
        vm.prank(account);
        token.approve(address(registry), type(uint256).max);
    }

    function register(address provider, address recipient, address referrer) private {
        vm.prank(provider);
        registry.register(recipient, referrer);
    }

    function expectNoBond(address provider) private {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NoBondWaiting.selector, provider));
        vm.prank(provider);
        registry.withdrawBond();
    }

    function expectProvider(
        address provider,
        bool registered,
        uint256 bonded,
        address referrer,
        uint256 releaseAt
    ) private view {
        (bool registered_, uint256 bonded_, address referrer_, uint256 releaseAt_) =
            registry.providerOf(provider);
        vm.assertEq(registered_, registered);
        vm.assertEq(bonded_, bonded);
        vm.assertEq(referrer_, referrer);
        vm.assertEq(releaseAt_, releaseAt);
    }
}
