// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Batches} from "./Batches.sol";
import {Network} from "./Network.sol";
import {Trees} from "./Trees.sol";

/// @dev What no deployment accepts for a token: it calls back whenever it moves, and may refuse to move. Put in the
/// place of the real one, it keeps its balances.
contract OddToken {
    mapping(address account => uint256) public balanceOf;
    /// @dev The rest of what the real token keeps.
    uint256[32] private _untouched;
    address private _target;
    bytes[] private _calls;
    bool private _refuses;
    bool private _movesFirst;
    bool private _inside;

    /// @param calls What it calls `target` with at each transfer.
    /// @param movesFirst Whether tokens move before that.
    /// @param refuses Whether transfers then end with false instead, and nothing moves.
    function arm(address target, bytes[] calldata calls, bool movesFirst, bool refuses) external {
        (_target, _movesFirst, _refuses) = (target, movesFirst, refuses);
        delete _calls;
        for (uint256 i; i < calls.length; ++i) {
            _calls.push(calls[i]);
        }
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        // One level is enough: what is called back has its own transfers.
        if (_inside) return _move(to, amount);
        _inside = true;
        if (_movesFirst && !_refuses) _move(to, amount);
        for (uint256 i; i < _calls.length; ++i) {
            (bool success,) = _target.call(_calls[i]);
            success;
        }
        if (!_movesFirst && !_refuses) _move(to, amount);
        _inside = false;
        return !_refuses;
    }

    function _move(address to, uint256 amount) private returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

/// claim, claimMany, claimPacked, activate with a token that is not plain
/// ├── a transfer that calls back into any of them: nobody is paid more than due, the pot stays exact (fuzz)
/// └── a transfer that ends with false
///     ├── claim: refused, nothing changes
///     └── an item of a batch: passed over, paid later
contract SettlementTokensTest is Network {
    using Batches for ISettlement.Leaf[];
    using Batches for bool[];
    using Trees for ISettlement.Leaf[];

    uint256 private constant COUNT = 5;

    ISettlement.Leaf[] private leaves;
    uint256 private fed;

    function setUp() public override {
        super.setUp();
        bondAll();
        vault.fund(100 * uint256(RATE));
        for (uint256 i; i < COUNT; ++i) {
            leaves.push(
                ISettlement.Leaf(address(uint160(0x1000 + i)), (i + 1) * 10 ether, 0, 0, 100 * i)
            );
        }
    }

    /// @param total What the root says is earned in all, which may be less than its leaves.
    function testFuzz_attack_reentrancy(
        uint8 outer,
        uint16 inner,
        uint256 total,
        bool activated,
        bool movesFirst,
        bool refuses
    ) external {
        fed = bound(total, 0, 160 ether);
        warpToPosting(1);
        proposeAndPost(attestation(1, leaves.root(), fed));
        vm.warp(vm.getBlockTimestamp() + CHALLENGE);
        if (activated) settlement.activate();

        bytes[] memory every = everyCall();
        uint256[] memory chosen = Batches.places(inner, every.length);
        bytes[] memory calls = new bytes[](chosen.length);
        for (uint256 i; i < chosen.length; ++i) {
            calls[i] = every[chosen[i]];
        }
        OddToken odd = replaceToken();
        odd.arm(address(settlement), calls, movesFirst, refuses);
        (bool success,) = address(settlement).call(every[outer % every.length]);
        // A batch fails for nobody; a claim does if what was due has been paid inside.
        uint256 called = outer % every.length;
        if (called == COUNT || called == COUNT + 1) vm.assertTrue(success || refuses);
        expectExact();

        // In the end everybody has what is due, as far as the pot goes.
        odd.arm(address(settlement), new bytes[](0), true, false);
        (success,) = address(settlement).call(every[COUNT]);
        vm.assertTrue(success);
        expectExact();
        vm.assertEq(settlement.pot(), fed > 150 ether ? fed - 150 ether : 0);
    }

    function test_refused_claim() external {
        publish(1, leaves);
        settlement.activate();
        replaceToken().arm(address(settlement), new bytes[](0), false, true);
        bytes32[] memory proof = leaves.proof(0);
        vm.expectRevert(
            abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token))
        );
        claimWith(leaves[0], proof);
        vm.assertEq(settlement.claimedOf(leaves[0].account), 0);
        vm.assertEq(settlement.pot(), 150 ether);
    }

    /// Only the item whose transfer is refused is passed over; here all are, and are paid when the token moves again.
    function test_refused_batch() external {
        publish(1, leaves);
        settlement.activate();
        bytes[] memory every = everyCall();
        OddToken odd = replaceToken();
        for (uint256 i; i < 2; ++i) {
            odd.arm(address(settlement), new bytes[](0), false, true);
            for (uint256 item; item < COUNT; ++item) {
                vm.expectEmit(address(settlement));
                emit ISettlement.ClaimSkipped(
                    leaves[item].account, item, ISettlement.SkipReason.TransferFailed
                );
            }
            (bool success,) = address(settlement).call(every[COUNT + i]);
            vm.assertTrue(success);
            vm.assertEq(settlement.pot(), 150 ether);
        }
        odd.arm(address(settlement), new bytes[](0), false, false);
        (bool paid,) = address(settlement).call(every[COUNT]);
        vm.assertTrue(paid);
        vm.assertEq(settlement.pot(), 0);
        vm.assertEq(token.balanceOf(leaves[4].account), 50 ether);
    }

    /// @dev Everything one may call, with good arguments: a claim for each leaf first, then the batches.
    function everyCall() private view returns (bytes[] memory calls) {
        calls = new bytes[](COUNT + 4);
        ISettlement.Leaf[] memory all = leaves;
        uint256[] memory places = Batches.places(type(uint256).max, COUNT);
        for (uint256 i; i < COUNT; ++i) {
            ISettlement.Leaf memory leaf = all[i];
            calls[i] = abi.encodeCall(
                ISettlement.claim,
                (leaf.account, leaf.earned, leaf.spent, leaf.points, leaf.reputation, all.proof(i))
            );
        }
        calls[COUNT] = abi.encodeCall(ISettlement.claimMany, (all, all.proofs(places)));
        (bytes32[] memory proof, bool[] memory flags) = all.prove(places);
        calls[COUNT + 1] =
            abi.encodeCall(ISettlement.claimPacked, (all.pack(), proof, flags.bits()));
        calls[COUNT + 2] = abi.encodeCall(ISettlement.activate, ());
        calls[COUNT + 3] = abi.encodeCall(
            ISettlement.push, (all[0].account, all[0].earned, 0, 0, 0, all.proof(0))
        );
    }

    /// @dev Every unit is where the books say.
    function expectExact() private view {
        uint256 paid;
        for (uint256 i; i < COUNT; ++i) {
            uint256 held = token.balanceOf(leaves[i].account);
            vm.assertEq(held, settlement.claimedOf(leaves[i].account));
            vm.assertLe(held, leaves[i].earned, "paid more than is due");
            paid += held;
        }
        vm.assertEq(settlement.pot() + paid, vault.fed());
        vm.assertEq(token.balanceOf(address(settlement)), settlement.pot());
        vm.assertTrue(vault.fed() == 0 || vault.fed() == fed);
    }

    function replaceToken() private returns (OddToken) {
        vm.etch(address(token), type(OddToken).runtimeCode);
        return OddToken(address(token));
    }
}
