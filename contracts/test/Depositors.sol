// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Network} from "./Network.sol";
import {Trees} from "./Trees.sol";

/// @dev A network with funds, whose validators have bonded, and two consumers with tokens to deposit.
abstract contract Depositors is Network {
    using Trees for ISettlement.Leaf[];

    bytes32 internal constant PERMIT = keccak256(
        "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
    );
    uint256 internal constant FUNDS = 1_000_000 ether;
    uint256 internal constant WEALTH = 1000 ether;
    uint256 internal constant ALICE_KEY = uint256(keccak256("alice"));
    address internal constant BOB = address(0xB0B);

    address internal alice;

    function setUp() public virtual override {
        super.setUp();
        bondAll();
        vault.fund(FUNDS);
        alice = vm.addr(ALICE_KEY);
        equip(alice);
        equip(BOB);
    }

    /// @dev Gives an account tokens, which it lets the vault take.
    function equip(address account) internal {
        token.transfer(account, WEALTH);
        vm.prank(account);
        token.approve(address(vault), type(uint256).max);
    }

    function depositAs(address account, uint256 amount) internal {
        vm.prank(account);
        vault.deposit(amount);
    }

    function exitAs(address account) internal {
        vm.prank(account);
        vault.exit();
    }

    /// @dev Withdraws with a leaf, which may be another's: the account in it is not said.
    function withdrawAs(address account, ISettlement.Leaf memory leaf, bytes32[] memory proof)
        internal
    {
        vm.prank(account);
        vault.withdraw(leaf.earned, leaf.spent, leaf.points, leaf.reputation, proof);
    }

    function announceAs(address account) internal {
        vm.prank(account);
        vault.announceWithdrawal();
    }

    function refute(ISettlement.Leaf memory leaf, bytes32[] memory proof) internal {
        vault.refuteAnnouncement(
            leaf.account, leaf.earned, leaf.spent, leaf.points, leaf.reputation, proof
        );
    }

    function withdrawAnnouncedAs(address account) internal {
        vm.prank(account);
        vault.withdrawAnnounced();
    }

    /// @dev Leaves of Alice (0), Bob (1) and the treasury (2), which earned all they spent.
    function standing(uint256 aliceSpent, uint256 bobSpent)
        internal
        view
        returns (ISettlement.Leaf[] memory leaves)
    {
        leaves = new ISettlement.Leaf[](3);
        leaves[0] = ISettlement.Leaf(alice, 0, aliceSpent, 0, 200_000);
        leaves[1] = ISettlement.Leaf(BOB, 0, bobSpent, 0, 200_000);
        leaves[2] = ISettlement.Leaf(TREASURY, aliceSpent + bobSpent, 0, 0, 0);
    }

    /// @dev The leaves of a root that has none for Alice: Bob (0) and the treasury (1).
    function standingWithoutAlice(uint256 bobSpent)
        internal
        pure
        returns (ISettlement.Leaf[] memory leaves)
    {
        leaves = new ISettlement.Leaf[](2);
        leaves[0] = ISettlement.Leaf(BOB, 0, bobSpent, 0, 200_000);
        leaves[1] = ISettlement.Leaf(TREASURY, bobSpent, 0, 0, 0);
    }

    /// @dev Makes a root active whose totals are whatever 2/3 of the stake signed.
    function publishTotals(
        uint256 epoch,
        ISettlement.Leaf[] memory leaves,
        uint256 earned,
        uint256 spent
    ) internal {
        warpToPosting(epoch);
        ISettlement.EpochAttestation memory said = attestation(epoch, leaves.root(), earned);
        said.totalSpent = spent;
        proposeAndPost(said);
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
    }

    /// @dev Goes to the first quiet second from `time` on, if nothing is posted or pending until then.
    function warpToQuiet(uint256 time) internal {
        vm.warp(time);
        if (!settlement.isQuiet()) vm.warp(end(settlement.epochAt(time) - 1) + POST_WINDOW + 1);
        vm.assertTrue(settlement.isQuiet());
    }

    /// @dev The newest epoch that is over.
    function lastEnded() internal view returns (uint256) {
        return settlement.epochAt(vm.getBlockTimestamp()) - 1;
    }

    /// @dev What the vault holds is what it counts, donations aside, and covers what the active root still draws.
    function assertSolvent(uint256 donated) internal view {
        uint256 held = vault.funded() + vault.deposits() - vault.fed();
        vm.assertEq(token.balanceOf(address(vault)), held + donated);
        vm.assertGe(held, settlement.activeRecord().totalEarned - vault.fed(), "left to feed");
        vm.assertGe(vault.deposits(), settlement.activeRecord().totalSpent, "spent is covered");
    }

    function permit(address spender, uint256 amount, uint256 deadline)
        internal
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 message = keccak256(
            abi.encode(PERMIT, alice, spender, amount, token.nonces(alice), deadline)
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), message));
        return vm.sign(ALICE_KEY, digest);
    }
}
