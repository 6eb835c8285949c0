"""The sender on a chain that is really there, behind a line that fails in chosen ways."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, cast

import pytest
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_hash.auto import keccak
from hexbytes import HexBytes

from chain.backend import BackendUnavailable, Reverted, RpcError
from chain.flights import FeeLimits
from chain.inprocess import InProcessBackend
from chain.keys import NodeKey
from chain.sender import Lost, NonceTaken, Sender, TransactionFailed, TransactionPending
from chain.types import Address, to_hex

KEY = NodeKey(b"\x01" * 32)
TO = Address("0x" + "77" * 20)
CHAIN_ID = 31337
# Deploys a contract that reverts with Error("no") when called: the revert data is copied from the end of its code.
MESSAGE = bytes.fromhex("08c379a0") + (32).to_bytes(32) + (2).to_bytes(32) + b"no".ljust(32, b"\0")
REVERTER = bytes.fromhex("6064600c60003960646000fd") + MESSAGE
DEPLOY_REVERTER = bytes.fromhex("6070600c60003960706000f3") + REVERTER

Handler = Callable[[str, Sequence[object]], Awaitable[object]]


class Line:
    """A backend whose requests pass through `self.fault`, which may lose them, their answers, or nothing."""

    def __init__(self, chain: InProcessBackend) -> None:
        self.chain = chain
        self.fault: Callable[[str, Handler], Handler] = lambda _, through: through
        self.sent: list[str] = []

    async def request(self, method: str, params: Sequence[object]) -> object:
        if method == "eth_sendRawTransaction":
            self.sent.append(cast(str, params[0]))
        return await self.fault(method, self.chain.request)(method, params)

    async def close(self) -> None:
        await self.chain.close()


async def ask(line: Line, method: str, *params: object) -> Any:
    return await line.chain.request(method, list(params))


def new() -> tuple[Line, Sender]:
    line = Line(InProcessBackend(chain_id=CHAIN_ID, balances={KEY.address: 10**20}))
    return line, Sender(line, KEY, CHAIN_ID, poll_s=0.001)


def losing(method: str, times: int, *, before: bool) -> Callable[[str, Handler], Handler]:
    """The first requests of a method fail: before they arrive, or after, when only the answer is lost."""
    left = iter(range(times))

    def fault(asked: str, through: Handler) -> Handler:
        async def handle(name: str, params: Sequence[object]) -> object:
            if asked != method or next(left, None) is None:
                return await through(name, params)
            if not before:
                with suppress(RpcError):
                    await through(name, params)
            raise BackendUnavailable("127.0.0.1:1", "cut")

        return handle

    return fault


def test_sends_and_waits() -> None:
    async def main() -> None:
        line, sender = new()
        receipt = await sender.wait(await sender.send(TO, value=5))
        assert receipt["status"] == "0x1"
        assert await ask(line, "eth_getBalance", TO, "latest") == "0x5"
        sent = await ask(line, "eth_getTransactionByHash", receipt["transactionHash"])
        assert sent["type"] == "0x2"
        assert int(sent["gas"], 16) >= 21_000 * 5 // 4

    asyncio.run(main())


@pytest.mark.parametrize("before", [True, False])
def test_a_lost_request_or_answer_is_repeated_with_the_same_bytes(before: bool) -> None:
    async def main() -> None:
        line, sender = new()
        line.fault = losing("eth_sendRawTransaction", 2, before=before)
        await sender.wait(await sender.send(TO, value=5))
        assert len(line.sent) == 3
        assert len(set(line.sent)) == 1
        assert await ask(line, "eth_getTransactionCount", KEY.address, "latest") == "0x1"
        assert await ask(line, "eth_getBalance", TO, "latest") == "0x5"

    asyncio.run(main())


def test_a_node_that_stays_away_is_told_and_the_nonce_is_read_again() -> None:
    async def main() -> None:
        line, sender = new()
        line.fault = losing("eth_sendRawTransaction", 4, before=False)
        with pytest.raises(BackendUnavailable):
            await sender.send(TO, value=5)
        # It had arrived; the next one goes after it and not in its place.
        await sender.wait(await sender.send(TO, value=7))
        assert await ask(line, "eth_getBalance", TO, "latest") == hex(12)

    asyncio.run(main())


def test_looking_for_a_receipt_outlives_an_outage() -> None:
    async def main() -> None:
        line, sender = new()
        tx_hash = await sender.send(TO, value=5)
        line.fault = losing("eth_getTransactionReceipt", 3, before=True)
        assert (await sender.wait(tx_hash, 10))["status"] == "0x1"
        line.fault = losing("eth_getTransactionReceipt", 10**6, before=True)
        with pytest.raises(BackendUnavailable):
            await sender.wait(tx_hash, 0.02)

    asyncio.run(main())


def test_a_second_process_with_the_key_costs_a_retry() -> None:
    async def main() -> None:
        line, one = new()
        other = Sender(line, KEY, CHAIN_ID, poll_s=0.001)
        await one.send(TO, value=1)
        await other.send(TO, value=1)

        def stale(asked: str, through: Handler) -> Handler:
            async def handle(name: str, params: Sequence[object]) -> object:
                if asked == "eth_getTransactionCount":
                    line.fault = lambda _, plain: plain
                    return "0x1"
                return await through(name, params)

            return handle

        line.fault = stale
        await one.wait(await one.send(TO, value=1))
        assert await ask(line, "eth_getTransactionCount", KEY.address, "latest") == "0x3"

    asyncio.run(main())


def test_what_would_revert_is_not_sent() -> None:
    async def main() -> None:
        line, sender = new()
        deployed = await sender.wait(await sender.send(None, DEPLOY_REVERTER))
        contract = Address(cast(str, deployed["contractAddress"]))
        before = len(line.sent)
        with pytest.raises(Reverted) as refusal:
            await sender.send(contract, b"\x01")
        assert refusal.value.data == MESSAGE
        assert refusal.value.reason == "no"
        assert "no" in str(refusal.value)
        assert len(line.sent) == before
        with pytest.raises(TransactionFailed) as failure:
            await sender.wait(await sender.send(contract, b"\x01", gas=100_000))
        assert failure.value.receipt["status"] == "0x0"
        assert failure.value.tx_hash == failure.value.receipt["transactionHash"]

    asyncio.run(main())


def test_no_money_is_a_refusal_and_uses_no_nonce() -> None:
    async def main() -> None:
        _, sender = new()
        with pytest.raises(RpcError, match="insufficient funds"):
            await sender.send(TO, value=10**20, gas=21_000)
        await sender.wait(await sender.send(TO, value=1))

    asyncio.run(main())


def test_waiting_ends_and_may_be_taken_up_again() -> None:
    async def main() -> None:
        line, sender = new()
        await ask(line, "evm_setAutomine", False)
        tx_hash = await sender.send(TO, value=5)
        with pytest.raises(TransactionPending) as pending:
            await sender.wait(tx_hash, 0.03)
        assert pending.value.tx_hash == tx_hash
        assert len(set(line.sent)) == 1, "looked after by sending the same bytes"
        await ask(line, "evm_mine")
        assert (await sender.wait(tx_hash, 0))["status"] == "0x1"

    asyncio.run(main())


def test_what_the_base_fee_left_behind_is_replaced_at_a_higher_fee() -> None:
    async def main() -> None:
        line, sender = new()

        def free_market(asked: str, through: Handler) -> Handler:
            async def handle(name: str, params: Sequence[object]) -> object:
                answer = await through(name, params)
                if asked == "eth_maxPriorityFeePerGas":
                    return "0x1"
                if asked == "eth_getBlockByNumber":
                    return {**cast(dict[str, Any], answer), "baseFeePerGas": "0x1"}
                return answer

            return handle

        line.fault = free_market
        tx_hash = await sender.send(TO, value=5)
        assert await ask(line, "eth_getTransactionReceipt", tx_hash) is None
        waiting = asyncio.create_task(sender.wait(tx_hash, 20))
        await asyncio.sleep(0.02)
        assert not waiting.done(), "the node waits for the base fee to fall"
        line.fault = lambda _, through: through
        receipt = await waiting
        assert receipt["status"] == "0x1"
        assert receipt["transactionHash"] != tx_hash
        assert await ask(line, "eth_getTransactionCount", KEY.address, "latest") == "0x1"
        assert await ask(line, "eth_getBalance", TO, "latest") == "0x5"
        assert await sender.wait(tx_hash) == receipt

    asyncio.run(main())


def test_what_a_reorganisation_undid_is_handed_in_again() -> None:
    async def main() -> None:
        line, sender = new()
        snapshot = await ask(line, "evm_snapshot")
        hashes = [await sender.send(TO, value=value) for value in (1, 2)]
        assert await ask(line, "evm_revert", snapshot) is True
        assert await ask(line, "eth_getTransactionCount", KEY.address, "latest") == "0x0"
        third = await sender.send(TO, value=4)
        for tx_hash in (*hashes, third):
            assert (await sender.wait(tx_hash))["status"] == "0x1"
        assert await ask(line, "eth_getBalance", TO, "latest") == "0x7"

    asyncio.run(main())


def test_waiting_alone_also_notices_that_the_node_forgot() -> None:
    async def main() -> None:
        line, sender = new()
        snapshot = await ask(line, "evm_snapshot")
        tx_hash = await sender.send(TO, value=1)
        await ask(line, "evm_revert", snapshot)
        assert (await sender.wait(tx_hash, 10))["status"] == "0x1"

    asyncio.run(main())


def test_a_nonce_used_by_another_transaction_ends_the_wait() -> None:
    async def main() -> None:
        line, sender = new()
        snapshot = await ask(line, "evm_snapshot")
        tx_hash = await sender.send(TO, value=1)
        await ask(line, "evm_revert", snapshot)
        other = Account.sign_transaction(
            {
                "type": 2,
                "chainId": CHAIN_ID,
                "nonce": 0,
                "to": bytes.fromhex(TO[2:]),
                "value": 3,
                "gas": 21_000,
                "maxFeePerGas": 10**10,
                "maxPriorityFeePerGas": 1,
            },
            KEY.secret(),
        )
        await ask(line, "eth_sendRawTransaction", to_hex(bytes(other.raw_transaction)))
        with pytest.raises(NonceTaken) as taken:
            await sender.wait(tx_hash, 10)
        assert taken.value.nonce == 0
        assert await ask(line, "eth_getBalance", TO, "latest") == "0x3"

    asyncio.run(main())


def test_concurrent_sends_share_one_sequence_of_nonces() -> None:
    async def main() -> None:
        line, sender = new()
        hashes = await asyncio.gather(*(sender.send(TO, value=1) for _ in range(30)))
        assert len(set(hashes)) == 30
        for tx_hash in hashes:
            await sender.wait(tx_hash)
        assert await ask(line, "eth_getTransactionCount", KEY.address, "latest") == hex(30)

    asyncio.run(main())


def test_a_new_sender_goes_on_after_what_still_waits() -> None:
    async def main() -> None:
        line, sender = new()
        await ask(line, "evm_setAutomine", False)
        before = await sender.send(TO, value=1)
        after = Sender(line, KEY, CHAIN_ID, poll_s=0.001)
        behind = await after.send(TO, value=2)
        await ask(line, "evm_mine")
        assert (await after.wait(before))["status"] == "0x1"
        assert (await after.wait(behind))["status"] == "0x1"

    asyncio.run(main())


def swallowing(nonces: int) -> Callable[[str, Handler], Handler]:
    """A node that says yes to the first transactions and keeps none of them: no block holds them."""
    left = iter(range(nonces))

    def fault(asked: str, through: Handler) -> Handler:
        async def handle(name: str, params: Sequence[object]) -> object:
            if asked != "eth_sendRawTransaction" or next(left, None) is None:
                return await through(name, params)
            return to_hex(keccak(bytes.fromhex(cast(str, params[0])[2:])))

        return handle

    return fault


def fees_of(raw: str) -> tuple[int, int, int]:
    """Nonce, tip and the most of a signed transaction."""
    sent = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    return int(sent["nonce"]), int(sent["maxPriorityFeePerGas"]), int(sent["maxFeePerGas"])


def test_what_blocks_pass_over_is_outbid_under_its_nonce_up_to_a_limit() -> None:
    async def main() -> None:
        line, _ = new()
        most = 5 * 10**9
        sender = Sender(line, KEY, CHAIN_ID, poll_s=0.001, limits=FeeLimits(most, patience_s=0.0, passed_over=2))
        line.fault = swallowing(10**6)
        tx_hash = await sender.send(TO, value=5)
        async with asyncio.timeout(20):
            while len(set(line.sent)) < 5:
                with pytest.raises(TransactionPending):
                    await sender.wait(tx_hash, 0.02)
                await ask(line, "evm_mine", {"blocks": 2})
        versions = [fees_of(raw) for raw in dict.fromkeys(line.sent)]
        assert {nonce for nonce, _, _ in versions} == {0}
        for (_, tip, maximum), (_, higher_tip, higher) in pairwise(versions):
            assert higher_tip * 1000 >= tip * 1125
            assert higher * 1000 >= maximum * 1125
        assert versions[-1][2] <= most
        await ask(line, "evm_mine", {"blocks": 5})
        tries = len(line.sent)
        async with asyncio.timeout(20):
            while len(line.sent) == tries:
                with pytest.raises(TransactionPending):
                    await sender.wait(tx_hash, 0.02)
        assert len(set(line.sent)) == 5, "at the limit it waits"
        line.fault = lambda _, through: through
        assert (await sender.wait(tx_hash, 10))["status"] == "0x1"
        assert await ask(line, "eth_getBalance", TO, "latest") == "0x5"

    asyncio.run(main())


def test_a_transaction_that_waits_for_no_block_at_all_is_not_outbid() -> None:
    async def main() -> None:
        line, _ = new()
        sender = Sender(line, KEY, CHAIN_ID, poll_s=0.001, limits=FeeLimits(patience_s=0.0))
        line.fault = swallowing(10**6)
        tx_hash = await sender.send(TO, value=5)
        with pytest.raises(TransactionPending):
            await sender.wait(tx_hash, 0.1)
        assert len(set(line.sent)) == 1

    asyncio.run(main())


def test_in_a_spike_no_more_than_the_limit_is_offered() -> None:
    async def main() -> None:
        line, _ = new()
        sender = Sender(line, KEY, CHAIN_ID, poll_s=0.001, limits=FeeLimits(most=1_100_000_000))

        def spike(asked: str, through: Handler) -> Handler:
            async def handle(name: str, params: Sequence[object]) -> object:
                answer = await through(name, params)
                if asked == "eth_getBlockByNumber":
                    return {**cast(dict[str, Any], answer), "baseFeePerGas": hex(900 * 10**9)}
                return answer

            return handle

        line.fault = spike
        tx_hash = await sender.send(TO, value=5)
        nonce, tip, maximum = fees_of(line.sent[-1])
        assert nonce == 0
        assert tip <= maximum == 1_100_000_000
        line.fault = lambda _, through: through
        assert (await sender.wait(tx_hash, 10))["status"] == "0x1"

    asyncio.run(main())


def test_what_a_node_takes_for_too_cheap_is_offered_again_for_more() -> None:
    async def main() -> None:
        line, sender = new()
        left = iter(range(2))

        def choosy(asked: str, through: Handler) -> Handler:
            async def handle(name: str, params: Sequence[object]) -> object:
                if asked == "eth_sendRawTransaction" and next(left, None) is not None:
                    raise RpcError(-32000, "transaction underpriced: tip needed 2000000000, tip permitted 1000000000")
                return await through(name, params)

            return handle

        line.fault = choosy
        await sender.wait(await sender.send(TO, value=5))
        assert len({fees_of(raw) for raw in line.sent}) == 3
        assert await ask(line, "eth_getTransactionCount", KEY.address, "latest") == "0x1"
        low = Sender(line, KEY, CHAIN_ID, poll_s=0.001, limits=FeeLimits(most=10**9))
        left = iter(range(2))
        with pytest.raises(RpcError, match="underpriced"):
            await low.send(TO, value=5)

    asyncio.run(main())


def test_waiting_for_one_hands_in_what_was_lost_before_it() -> None:
    async def main() -> None:
        line, sender = new()
        line.fault = swallowing(2)
        lost = [await sender.send(TO, value=1)]
        sender_pending = await ask(line, "eth_getTransactionCount", KEY.address, "pending")
        assert sender_pending == "0x0"
        await ask(line, "evm_setAutomine", False)
        last = await sender.send(TO, value=2)
        await ask(line, "evm_setAutomine", True)
        assert (await sender.wait(last, 10))["status"] == "0x1"
        assert (await sender.wait(lost[0], 10))["status"] == "0x1"
        assert await ask(line, "eth_getBalance", TO, "latest") == "0x3"

    asyncio.run(main())


def test_a_gap_that_nobody_remembers_is_filled() -> None:
    """Another process of the key sent nonce 0, which every node lost; this one's waits behind it."""

    async def main() -> None:
        line, sender = new()

        def one_ahead(asked: str, through: Handler) -> Handler:
            async def handle(name: str, params: Sequence[object]) -> object:
                if asked == "eth_getTransactionCount":
                    line.fault = lambda _, plain: plain
                    return "0x1"
                return await through(name, params)

            return handle

        line.fault = one_ahead
        behind = await sender.send(TO, value=5, gas=21_000)
        assert await ask(line, "eth_getTransactionReceipt", behind) is None
        assert (await sender.wait(behind, 10))["status"] == "0x1"
        assert await ask(line, "eth_getTransactionCount", KEY.address, "latest") == "0x2"
        assert await ask(line, "eth_getBalance", TO, "latest") == "0x5"

    asyncio.run(main())


def test_depth_outlives_a_reorganisation(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        line, sender = new()
        snapshot = await ask(line, "evm_snapshot")
        tx_hash = await sender.send(TO, value=1)
        waiting = asyncio.create_task(sender.wait(tx_hash, 20, depth=3))
        await asyncio.sleep(0.02)
        assert not waiting.done(), "it is mined, with no block on top"
        await ask(line, "evm_revert", snapshot)
        async with asyncio.timeout(10):
            while await ask(line, "eth_getTransactionReceipt", tx_hash) is None:  # noqa: ASYNC110 - the chain tells nobody
                await asyncio.sleep(0.001)
        await ask(line, "evm_mine", {"blocks": 2})
        assert (await waiting)["blockNumber"] == "0x1"

    asyncio.run(main())
    assert "no longer mined" in caplog.text


@pytest.mark.parametrize("arrived", [True, False])
def test_the_same_call_after_a_lost_answer_is_the_same_transaction(arrived: bool) -> None:
    async def main() -> None:
        line, sender = new()
        line.fault = losing("eth_sendRawTransaction", 4, before=not arrived)
        with pytest.raises(Lost) as lost:
            await sender.send(TO, value=5)
        assert isinstance(lost.value, BackendUnavailable)
        again = await sender.send(TO, value=5)
        assert again in str(lost.value)
        await sender.wait(again)
        assert await ask(line, "eth_getBalance", TO, "latest") == "0x5"
        await sender.wait(await sender.send(TO, value=5))
        assert await ask(line, "eth_getBalance", TO, "latest") == "0xa", "what is known to be mined is done again when asked for"

    asyncio.run(main())


def test_a_lost_call_whose_nonce_went_to_another_is_made_anew() -> None:
    async def main() -> None:
        line, sender = new()
        line.fault = losing("eth_sendRawTransaction", 4, before=True)
        with pytest.raises(Lost):
            await sender.send(TO, value=5)
        await sender.wait(await Sender(line, KEY, CHAIN_ID, poll_s=0.001).send(TO, value=1))
        for _ in range(2):  # a node that is behind might say that
            with pytest.raises(Lost):
                await sender.send(TO, value=5)
        await sender.wait(await sender.send(TO, value=5))
        assert await ask(line, "eth_getBalance", TO, "latest") == "0x6"

    asyncio.run(main())


def test_a_higher_offer_whose_answer_is_lost_is_found_when_it_is_mined() -> None:
    """It arrived, and the node says nothing more of it: its receipt is the one that counts, and not a nonce that another took."""

    async def main() -> None:
        line, _ = new()
        sender = Sender(line, KEY, CHAIN_ID, poll_s=0.001, limits=FeeLimits(patience_s=0.0, passed_over=1))
        line.fault = swallowing(10**6)
        tx_hash = await sender.send(TO, value=5)
        await ask(line, "evm_mine", {"blocks": 2})
        line.fault = losing("eth_sendRawTransaction", 4, before=False)
        receipt = await sender.wait(tx_hash, 20)
        assert receipt["status"] == "0x1"
        assert receipt["transactionHash"] != tx_hash
        assert await ask(line, "eth_getTransactionCount", KEY.address, "latest") == "0x1"

    asyncio.run(main())


def test_a_higher_offer_that_cannot_be_paid_leaves_the_lower_one_as_it_is() -> None:
    async def main() -> None:
        line, _ = new()
        sender = Sender(line, KEY, CHAIN_ID, poll_s=0.001, limits=FeeLimits(patience_s=0.0, passed_over=1))
        line.fault = swallowing(10**6)
        tx_hash = await sender.send(TO, value=5)
        first = line.sent[-1]
        await ask(line, "evm_mine", {"blocks": 2})

        def poor(asked: str, through: Handler) -> Handler:
            async def handle(name: str, params: Sequence[object]) -> object:
                if asked == "eth_sendRawTransaction" and params[0] != first:
                    raise RpcError(-32000, "insufficient funds for gas * price + value")
                return await through(name, params)

            return handle

        line.fault = poor
        with pytest.raises(RpcError, match="insufficient funds"):
            await sender.wait(tx_hash, 20)
        await ask(line, "eth_sendRawTransaction", first)
        assert (await sender.wait(tx_hash, 20))["transactionHash"] == tx_hash

    asyncio.run(main())
