"""The sender on a node that somebody else wrote, while fees spike, the pool loses transactions and the chain is reorganised."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest

from chain.backend import Backend, BackendUnavailable, RpcError
from chain.flights import GWEI, FeeLimits
from chain.sender import Lost, NonceTaken, OthersWait, Sender, TransactionPending
from chain.types import Address
from tests.nodes import CHAIN_ID, KEY, running

TO, ELSEWHERE = Address("0x" + "77" * 20), Address("0x" + "78" * 20)
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def connect() -> Iterator[Callable[[], Backend]]:
    with running("anvil") as found:
        yield found


def on(connect: Callable[[], Backend], scene: Callable[[Backend, Ask], Awaitable[None]]) -> None:
    """Runs a scene on the chain, which makes no block of its own accord."""

    async def main() -> None:
        backend = connect()

        async def ask(method: str, *params: object) -> Any:
            return await backend.request(method, list(params))

        try:
            await ask("evm_setAutomine", False)
            await scene(backend, ask)
        finally:
            await backend.close()

    asyncio.run(main())


async def nonce_of(ask: Ask) -> int:
    return int(await ask("eth_getTransactionCount", KEY.address, "latest"), 16)


async def waiting(ask: Ask) -> dict[int, Any]:
    """Transactions in the pool by nonce, executable or not."""
    content = await ask("txpool_content")
    found: dict[int, Any] = {}
    for kind in ("pending", "queued"):
        for account, mine in content[kind].items():
            if account.lower() == KEY.address:
                found |= {int(nonce): one for nonce, one in mine.items()}
    return found


async def offered(ask: Ask, nonce: int) -> int:
    """Wei per gas that the waiting transaction offers at most; 0 if there is none."""
    found = (await waiting(ask)).get(nonce)
    return int(found["maxFeePerGas"], 16) if found else 0


async def look(sender: Sender, tx_hash: str) -> None:
    """As long as a look after a transaction takes."""
    with pytest.raises(TransactionPending):
        await sender.wait(tx_hash, 0.3)


def test_in_a_spike_it_is_outbid_under_its_nonce(connect: Callable[[], Backend]) -> None:
    async def scene(backend: Backend, ask: Ask) -> None:
        sender, first = Sender(backend, KEY, CHAIN_ID, poll_s=0.01), await nonce_of(ask)
        tx_hash = await sender.send(TO, value=5)
        before = int((await ask("eth_getTransactionByHash", tx_hash))["maxFeePerGas"], 16)
        await ask("anvil_setNextBlockBaseFeePerGas", hex(10 * before))
        await ask("evm_mine")
        assert await ask("eth_getTransactionReceipt", tx_hash) is None
        async with asyncio.timeout(20):
            while await offered(ask, first) in (0, before):
                await look(sender, tx_hash)
        assert await offered(ask, first) * 1000 >= before * 1125
        await ask("evm_mine")
        receipt = await sender.wait(tx_hash)
        assert receipt["transactionHash"] != tx_hash
        assert await nonce_of(ask) == first + 1

    on(connect, scene)


def test_what_is_passed_over_is_outbid_and_never_beyond_the_limit(connect: Callable[[], Backend]) -> None:
    async def scene(backend: Backend, ask: Ask) -> None:
        base = int((await ask("eth_getBlockByNumber", "latest", False))["baseFeePerGas"], 16)
        tip = int(await ask("eth_maxPriorityFeePerGas"), 16)
        most = (2 * base + tip) * 13 // 10
        limits = FeeLimits(most, patience_s=0.0, passed_over=0)
        sender, first = Sender(backend, KEY, CHAIN_ID, poll_s=0.01, limits=limits), await nonce_of(ask)
        tx_hash = await sender.send(TO, value=5)
        before = await offered(ask, first)
        async with asyncio.timeout(20):
            while await offered(ask, first) * 100 < before * 125:  # two rises of 13 %
                await look(sender, tx_hash)
        await look(sender, tx_hash)
        assert await offered(ask, first) <= most
        await ask("evm_mine")
        await sender.wait(tx_hash)
        assert await nonce_of(ask) == first + 1

    on(connect, scene)


def test_what_the_pool_dropped_is_handed_in_again_and_what_waits_behind_it_goes_on(connect: Callable[[], Backend]) -> None:
    async def scene(backend: Backend, ask: Ask) -> None:
        sender, first = Sender(backend, KEY, CHAIN_ID, poll_s=0.01), await nonce_of(ask)
        lost, behind = await sender.send(TO, value=1), await sender.send(TO, value=2)
        await ask("anvil_dropTransaction", lost)
        assert first not in await waiting(ask)
        async with asyncio.timeout(20):
            while set(await waiting(ask)) != {first, first + 1}:
                await look(sender, behind)
        await ask("evm_mine")
        for tx_hash in (lost, behind):
            assert (await sender.wait(tx_hash))["status"] == "0x1"
        assert await nonce_of(ask) == first + 2

    on(connect, scene)


def test_a_gap_left_by_another_process_is_filled(connect: Callable[[], Backend]) -> None:
    async def scene(backend: Backend, ask: Ask) -> None:
        first = await nonce_of(ask)
        gone = await Sender(backend, KEY, CHAIN_ID, poll_s=0.01).send(TO, value=1)
        sender = Sender(backend, KEY, CHAIN_ID, poll_s=0.01)
        behind = await sender.send(TO, value=2)
        await ask("anvil_dropTransaction", gone)
        async with asyncio.timeout(20):
            while first not in await waiting(ask):
                await look(sender, behind)
        await ask("evm_mine")
        assert (await sender.wait(behind))["status"] == "0x1"
        filled = (await ask("eth_getBlockByNumber", "latest", True))["transactions"][0]
        assert (int(filled["nonce"], 16), filled["to"].lower(), int(filled["value"], 16)) == (first, KEY.address, 0)

    on(connect, scene)


def test_a_reorganisation_that_undoes_a_block_is_noticed(connect: Callable[[], Backend], caplog: pytest.LogCaptureFixture) -> None:
    async def scene(backend: Backend, ask: Ask) -> None:
        sender, first = Sender(backend, KEY, CHAIN_ID, poll_s=0.01), await nonce_of(ask)
        await ask("evm_mine")
        tx_hash = await sender.send(TO, value=5)
        await ask("evm_mine")
        receipt = await ask("eth_getTransactionReceipt", tx_hash)
        done = asyncio.create_task(sender.wait(tx_hash, 30, depth=3))
        await asyncio.sleep(0.1)
        assert not done.done(), "no block is on top of it"
        await ask("anvil_reorg", 1, [])
        await ask("anvil_dropAllTransactions")
        assert await ask("eth_getTransactionReceipt", tx_hash) is None
        async with asyncio.timeout(20):
            while first not in await waiting(ask):  # noqa: ASYNC110 - the pool tells nobody
                await asyncio.sleep(0.01)
        await ask("anvil_mine", "0x3")
        again = await done
        assert (again["transactionHash"], again["blockHash"] != receipt["blockHash"]) == (tx_hash, True)

    on(connect, scene)
    assert "no longer mined" in caplog.text


def test_a_limit_below_the_market_waits_for_it_to_fall(connect: Callable[[], Backend]) -> None:
    async def scene(backend: Backend, ask: Ask) -> None:
        sender = Sender(backend, KEY, CHAIN_ID, poll_s=0.01, limits=FeeLimits(most=50 * GWEI))
        await ask("anvil_setNextBlockBaseFeePerGas", hex(100 * GWEI))
        await ask("evm_mine")
        with pytest.raises(RpcError, match="less than block base fee"):  # this node takes none that waits for the fee to fall
            await sender.send(TO, value=5, gas=21_000)
        await ask("anvil_setNextBlockBaseFeePerGas", hex(40 * GWEI))
        await ask("evm_mine")
        tx_hash = await sender.send(TO, value=5, gas=21_000)
        await ask("evm_mine")
        receipt = await sender.wait(tx_hash)
        assert int(str(receipt["effectiveGasPrice"]), 16) <= 50 * GWEI

    on(connect, scene)


class Elsewhere:
    """A way to the chain on which transactions are lost while `losing`; they are in another node's pool then, as far as anyone knows."""

    def __init__(self, chain: Backend) -> None:
        self._chain, self.losing = chain, True
        self.lost: list[object] = []

    async def request(self, method: str, params: Sequence[object]) -> object:
        if method == "eth_sendRawTransaction" and self.losing:
            self.lost.append(params[0])
            raise BackendUnavailable("127.0.0.1:1", "cut")
        return await self._chain.request(method, params)

    async def close(self) -> None:
        """Leaves the chain as it is."""


async def lose(backend: Backend) -> tuple[Elsewhere, Sender]:
    """A sender that has lost a call: 5 wei to `TO`."""
    line = Elsewhere(backend)
    sender = Sender(line, KEY, CHAIN_ID, poll_s=0.01)
    with pytest.raises(Lost):
        await sender.send(TO, value=5)
    line.losing = False
    return line, sender


async def mine_there(ask: Ask, raw: object) -> None:
    """The other node's pool is mined instead of this one's."""
    await ask("anvil_dropAllTransactions")
    await ask("eth_sendRawTransaction", raw)
    await ask("evm_mine")


@pytest.mark.parametrize("there", [True, False])
def test_a_lost_call_that_is_refused_as_a_replacement_is_outbid_under_its_nonce(connect: Callable[[], Backend], there: bool) -> None:
    """Another process has its nonce here, with the same fees; the first bytes may be in another pool all the time."""

    async def scene(backend: Backend, ask: Ask) -> None:
        first = await nonce_of(ask)
        line, sender = await lose(backend)
        await Sender(backend, KEY, CHAIN_ID, poll_s=0.01).send(ELSEWHERE, value=1)
        tx_hash = await sender.send(TO, value=5)
        assert {nonce: int(one["value"], 16) for nonce, one in (await waiting(ask)).items()} == {first: 5}
        if there:
            await mine_there(ask, line.lost[0])
        else:
            await ask("evm_mine")
        receipt = await sender.wait(tx_hash)
        assert (receipt["transactionHash"] == tx_hash) is not there
        await ask("evm_mine")
        assert (await nonce_of(ask), int(await ask("eth_getBalance", TO, "latest"), 16)) == (first + 1, 5)

    on(connect, scene)


@pytest.mark.parametrize("there", [True, False])
def test_a_lost_call_whose_nonce_another_call_has_waits_for_what_becomes_of_that(connect: Callable[[], Backend], there: bool) -> None:
    async def scene(backend: Backend, ask: Ask) -> None:
        first = await nonce_of(ask)
        line, sender = await lose(backend)
        other = await sender.send(ELSEWHERE, value=1)
        for _ in range(5):
            with pytest.raises(Lost, match="another call"):
                await sender.send(TO, value=5)
        assert set(await waiting(ask)) == {first}
        if there:
            await mine_there(ask, line.lost[0])
            await sender.wait(await sender.send(TO, value=5))
            with pytest.raises(NonceTaken):
                await sender.wait(other)
        else:
            await ask("evm_mine")
            await sender.wait(other)
            for _ in range(2):
                with pytest.raises(Lost, match="its nonce is used"):
                    await sender.send(TO, value=5)
            again = await sender.send(TO, value=5)
            await ask("evm_mine")
            await sender.wait(again)
        assert int(await ask("eth_getBalance", TO, "latest"), 16) == 5

    on(connect, scene)


def test_what_a_reorganisation_undid_is_outbid_if_something_is_sent_behind_it_in_a_spike(connect: Callable[[], Backend]) -> None:
    async def scene(backend: Backend, ask: Ask) -> None:
        sender, first = Sender(backend, KEY, CHAIN_ID, poll_s=0.01), await nonce_of(ask)
        await ask("evm_mine")
        undone = await sender.send(TO, value=1)
        before = await offered(ask, first)
        await ask("evm_mine")
        await sender.wait(undone)
        await ask("anvil_reorg", 1, [])
        await ask("anvil_dropAllTransactions")
        await ask("anvil_setNextBlockBaseFeePerGas", hex(10 * before))
        await ask("evm_mine")
        behind = await sender.send(TO, value=2)
        await ask("evm_mine")
        for tx_hash in (undone, behind):
            assert (await sender.wait(tx_hash))["status"] == "0x1"
        assert (await nonce_of(ask), int(await ask("eth_getBalance", TO, "latest"), 16)) == (first + 2, 3)

    on(connect, scene)


def test_begun_again_it_waits_for_what_a_killed_process_sent_and_takes_its_place_in_the_end(connect: Callable[[], Backend]) -> None:
    async def scene(backend: Backend, ask: Ask) -> None:
        first = await nonce_of(ask)
        killed = await Sender(backend, KEY, CHAIN_ID, poll_s=0.01).send(TO, value=5)
        base = int((await ask("eth_getBlockByNumber", "latest", False))["baseFeePerGas"], 16)
        low = FeeLimits(2 * base + int(await ask("eth_maxPriorityFeePerGas"), 16), patience_s=0.0)
        for limits in (FeeLimits(), low):  # it has patience, or may offer no more
            sender = Sender(backend, KEY, CHAIN_ID, poll_s=0.01, limits=limits, patient=True)
            for _ in range(3):
                with pytest.raises(OthersWait, match=f"nonce {first}"):
                    await sender.send(ELSEWHERE, value=1)
        assert {nonce: one["hash"] for nonce, one in (await waiting(ask)).items()} == {first: killed}
        sender = Sender(backend, KEY, CHAIN_ID, poll_s=0.01, limits=FeeLimits(patience_s=0.0), patient=True)
        tx_hash = await sender.send(ELSEWHERE, value=1)
        assert {nonce: one["hash"] for nonce, one in (await waiting(ask)).items()} == {first: tx_hash}
        await ask("evm_mine")
        assert (await sender.wait(tx_hash))["status"] == "0x1"
        assert (await nonce_of(ask), await ask("eth_getBalance", TO, "latest")) == (first + 1, "0x0")

    on(connect, scene)
