// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Bundles} from "./Bundles.sol";

/// @dev A network with funds, books for its first epoch, and a guardian whose calls are made here.
abstract contract Guarded is Bundles {
    uint256 internal constant PAUSE = 72 hours;
    uint256 internal constant REST = 14 days;
    address internal constant NEXT = address(0x6A4E);
    address internal constant ALICE = address(0xA11CE);
    address internal constant BOB = address(0xB0B);

    /// @dev Of Alice, of Bob, of the treasury.
    ISettlement.Leaf[] internal leaves;

    function setUp() public virtual override {
        super.setUp();
        bondAll();
        vault.fund(1000 * uint256(RATE));
        leaves.push(ISettlement.Leaf(ALICE, 100 ether, 0, 3, 500_000));
        leaves.push(ISettlement.Leaf(BOB, 50 ether, 0, 0, 1_000_000));
        leaves.push(ISettlement.Leaf(TREASURY, 0, 0, 0, 0));
    }

    /// @dev A bundle that replaces the guardian and nothing else.
    function replacing(address guardian) internal view returns (IRegistry.Changes memory changes) {
        changes = nothing();
        (changes.replaceGuardian, changes.guardian) = (true, guardian);
    }

    function pauseAs(address guardian) internal {
        vm.prank(guardian);
        settlement.pause();
    }

    /// @dev A call of the settlement contract that is refused for just this reason.
    function refusedTo(address caller, bytes memory call, bytes memory reason) internal {
        vm.prank(caller);
        (bool success, bytes memory answer) = address(settlement).call(call);
        vm.assertFalse(success);
        vm.assertEq(keccak256(answer), keccak256(reason), "another refusal");
    }
}
