// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IVault} from "../src/interfaces/IVault.sol";
import {RewardToken} from "../src/RewardToken.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Depositors} from "./Depositors.sol";
import {Trees} from "./Trees.sol";

/// @dev The token, were it one that calls out before and after each move.
contract CallingToken is RewardToken {
    Reenterer private _called;

    constructor() RewardToken("DPN Reward", "DPN", 0) {}

    function callTo(Reenterer called) external {
        _called = called;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (address(_called) != address(0)) _called.reenter();
        super._update(from, to, value);
        if (address(_called) != address(0)) _called.reenter();
    }
}

/// @dev A depositor that does what it prepared whenever the token calls.
contract Reenterer {
    IVault private immutable _vault;
    bytes[] private _steps;
    bool private _within;
    bool[] public succeeded;

    constructor(IVault vault) {
        _vault = vault;
        vault.token().approve(address(vault), type(uint256).max);
    }

    function prepare(bytes calldata step) external {
        _steps.push(step);
    }

    function start(bytes calldata step) external {
        (bool done, bytes memory answer) = address(_vault).call(step);
        if (done) return;
        assembly ("memory-safe") {
            revert(add(answer, 32), mload(answer))
        }
    }

    function reenter() external {
        if (_within) return;
        _within = true;
        for (uint256 i; i < _steps.length; ++i) {
            (bool done,) = address(_vault).call(_steps[i]);
            succeeded.push(done);
        }
        _within = false;
    }
}

/// @dev The settlement contract is deployed for one code hash of the token, and that token calls nobody. Here it is
/// replaced afterwards by one that does, to show that the order of each function is enough by itself.
contract VaultReentrancyTest is Depositors {
    using Trees for ISettlement.Leaf[];

    Reenterer private mallory;

    function setUp() public override {
        super.setUp();
        mallory = new Reenterer(vault);
        token.transfer(address(mallory), 100 ether);
        depositAs(BOB, 100 ether);
        vm.etch(address(token), address(new CallingToken()).code);
    }

    function armed(bool on) private {
        CallingToken(address(token)).callTo(on ? mallory : Reenterer(address(0)));
    }

    /// @dev Leaves of Mallory (0) and the treasury (1).
    function leavesOf(uint256 spent) private view returns (ISettlement.Leaf[] memory leaves) {
        leaves = new ISettlement.Leaf[](2);
        leaves[0] = ISettlement.Leaf(address(mallory), 0, spent, 0, 0);
        leaves[1] = ISettlement.Leaf(TREASURY, spent, 0, 0, 0);
    }

    function withdrawal(ISettlement.Leaf[] memory leaves) private pure returns (bytes memory) {
        return abi.encodeCall(IVault.withdraw, (0, leaves[0].spent, 0, 0, leaves.proof(0)));
    }

    /// @dev Within its withdrawal it tries to withdraw again, by leaf and by announcement, and to exit and do so.
    function test_attack_reenterWithdraw() external {
        ISettlement.Leaf[] memory leaves = leavesOf(30 ether);
        mallory.start(abi.encodeCall(IVault.deposit, (100 ether)));
        mallory.start(abi.encodeCall(IVault.exit, ()));
        publish(settlement.epochAt(START + EXIT_DELAY), leaves);
        mallory.start(abi.encodeCall(IVault.announceWithdrawal, ()));
        warpToQuiet(vault.depositOf(address(mallory)).payableAt);

        mallory.prepare(withdrawal(leaves));
        mallory.prepare(abi.encodeCall(IVault.withdrawAnnounced, ()));
        mallory.prepare(abi.encodeCall(IVault.exit, ()));
        mallory.prepare(withdrawal(leaves));
        mallory.prepare(abi.encodeCall(IVault.announceWithdrawal, ()));
        mallory.prepare(abi.encodeCall(IVault.exit, ()));
        armed(true);
        mallory.start(withdrawal(leaves));
        armed(false);

        // Only the first exit succeeds: the 30 spent are still its deposit.
        for (uint256 i; i < 12; ++i) {
            vm.assertEq(mallory.succeeded(i), i == 2);
        }
        vm.assertEq(token.balanceOf(address(mallory)), 70 ether);
        vm.assertEq(vault.depositOf(address(mallory)).withdrawn, 70 ether);
        vm.assertEq(vault.depositOf(address(mallory)).deposited, 100 ether);
        vm.assertEq(vault.deposits(), 130 ether);
        claim(leaves, 1);
        assertSolvent(0);
    }

    function test_attack_reenterWithdrawAnnounced() external {
        mallory.start(abi.encodeCall(IVault.deposit, (100 ether)));
        mallory.start(abi.encodeCall(IVault.exit, ()));
        vm.warp(START + EXIT_DELAY);
        mallory.start(abi.encodeCall(IVault.announceWithdrawal, ()));
        warpToQuiet(vault.depositOf(address(mallory)).payableAt);

        mallory.prepare(abi.encodeCall(IVault.withdrawAnnounced, ()));
        mallory.prepare(abi.encodeCall(IVault.exit, ()));
        armed(true);
        mallory.start(abi.encodeCall(IVault.withdrawAnnounced, ()));
        armed(false);
        for (uint256 i; i < 4; ++i) {
            vm.assertFalse(mallory.succeeded(i));
        }
        vm.assertEq(token.balanceOf(address(mallory)), 100 ether);
        vm.assertEq(vault.deposits(), 100 ether);
        assertSolvent(0);
    }

    /// @dev What is counted but not yet moved is neither withdrawn nor counted twice. It deposits within its
    /// deposit, which is its right, and exits.
    function test_attack_reenterDeposit() external {
        ISettlement.Leaf[] memory leaves = leavesOf(0);
        publish(1, leaves);
        mallory.prepare(withdrawal(leaves));
        mallory.prepare(abi.encodeCall(IVault.deposit, (20 ether)));
        mallory.prepare(abi.encodeCall(IVault.exit, ()));
        mallory.prepare(withdrawal(leaves));
        armed(true);
        mallory.start(abi.encodeCall(IVault.deposit, (60 ether)));
        armed(false);

        for (uint256 i; i < 8; ++i) {
            vm.assertEq(mallory.succeeded(i), i == 1 || i == 2);
        }
        vm.assertEq(token.balanceOf(address(mallory)), 20 ether);
        vm.assertEq(vault.depositOf(address(mallory)).deposited, 80 ether);
        vm.assertEq(vault.deposits(), 180 ether);
        assertSolvent(0);

        publish(3, leaves);
        mallory.start(withdrawal(leaves));
        vm.assertEq(token.balanceOf(address(mallory)), 100 ether);
        assertSolvent(0);
    }
}
