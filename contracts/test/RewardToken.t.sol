// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RewardToken} from "../src/RewardToken.sol";
import {Network} from "./Network.sol";

/// constructor
/// └── the whole supply belongs to the deployer
/// permit
/// ├── signed by the owner: the spender may spend
/// └── used again: refused
/// transfer
/// └── moves exactly the amount and leaves the supply (fuzz)
contract RewardTokenTest is Network {
    bytes32 private constant PERMIT = keccak256(
        "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
    );

    function test_constructor() external {
        RewardToken fresh = new RewardToken("Name", "SYM", 42);
        vm.assertEq(fresh.name(), "Name");
        vm.assertEq(fresh.symbol(), "SYM");
        vm.assertEq(fresh.totalSupply(), 42);
        vm.assertEq(fresh.balanceOf(address(this)), 42);
    }

    function test_permit() external {
        address owner = accounts[0];
        bytes32 message =
            keccak256(abi.encode(PERMIT, owner, STRANGER, uint256(5), uint256(0), START + 1));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), message));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[0], digest);

        token.permit(owner, STRANGER, 5, START + 1, v, r, s);
        vm.assertEq(token.allowance(owner, STRANGER), 5);

        vm.expectRevert();
        token.permit(owner, STRANGER, 5, START + 1, v, r, s);
    }

    function testFuzz_transfer(uint256 amount) external {
        amount = bound(amount, 0, SUPPLY);
        token.transfer(STRANGER, amount);
        vm.assertEq(token.balanceOf(STRANGER), amount);
        vm.assertEq(token.balanceOf(address(this)), SUPPLY - amount);
        vm.assertEq(token.totalSupply(), SUPPLY);
    }
}
