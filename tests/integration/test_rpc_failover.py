"""Several RPC URLs as one backend, against real servers of one chain that fail in the ways that nodes do."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from chain.backend import Backend, BackendUnavailable, RpcError
from chain.client import open_chain
from chain.failover import ASIDE_S, MOST_ASIDE_S, Failover, block_of, open_backend
from chain.inprocess import InProcessBackend
from chain.keys import NodeKey
from chain.rpc import NotAnRpcUrl, RpcBackend
from chain.sender import Lost, Sender
from chain.types import Address
from tests.deployments import deployed

KEY = NodeKey(b"\x01" * 32)
TO = Address("0x" + "77" * 20)
CHAIN_ID = 31337
SECRET = "api-key-of-the-operator"
Fault = Callable[[str], web.Response | None]


class Served:
    """A chain behind a URL. fault: may answer a method in the chain's place; cut: methods whose answer is lost after they were done."""

    def __init__(self, chain: Backend) -> None:
        self.chain = chain
        self.fault: Fault = lambda _: None
        self.pause_s = 0.0
        self.cut: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        method = asked["method"]
        self.asked[method] += 1
        await asyncio.sleep(self.pause_s)
        if (instead := self.fault(method)) is not None:
            return instead
        try:
            said: dict[str, object] = {"result": await self.chain.request(method, asked["params"])}
        except RpcError as error:
            said = {"error": {"code": error.code, "message": error.message, "data": error.data}}
        if method in self.cut:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], **said})


class Hours:
    """A clock in the test's hands."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def nodes(*chains: Backend, timeout_s: float = 5.0, hours: Callable[[], float] | None = None) -> AsyncIterator[tuple[Any, ...]]:
    """A backend over these chains, each behind a URL of its own, and the servers."""
    served, runners = [Served(chain) for chain in chains], []
    try:
        for one in served:
            app = web.Application()
            app.router.add_post(f"/{SECRET}", one.answer)
            runners.append(web.AppRunner(app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True))
            await runners[-1].setup()
            await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
            one.url = f"http://user:{SECRET}@127.0.0.1:{runners[-1].addresses[0][1]}/{SECRET}?key={SECRET}"
        over = [RpcBackend(one.url, timeout_s=timeout_s) for one in served]
        backend = Failover(over, now=hours) if hours else Failover(over)
        try:
            yield (backend, *served)
        finally:
            await backend.close()
    finally:
        for runner in runners:
            await runner.cleanup()


def new() -> InProcessBackend:
    return InProcessBackend(chain_id=CHAIN_ID, balances={KEY.address: 10**20})


def refusing(status: int, said: object = "") -> Fault:
    return lambda _: web.Response(status=status, text=said if isinstance(said, str) else json.dumps(said))


async def number(backend: Backend) -> int:
    return int(str(await backend.request("eth_blockNumber", [])), 16)


async def mine(chain: Backend, blocks: int) -> None:
    await chain.request("evm_mine", [{"blocks": blocks}])


async def until(look: Callable[[], bool], backend: Backend) -> None:
    """Asks until it is so: nodes are looked at beside the requests."""
    async with asyncio.timeout(20):
        while not look():
            await backend.request("eth_chainId", [])
            await asyncio.sleep(0.01)


def test_a_dead_one_is_passed_over_and_its_secret_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with nodes(new()) as (_, served):
            backend = open_backend([f"http://127.0.0.1:1/{SECRET}", served.url, served.url])
            try:
                assert await number(backend) == 0
                assert (await Sender(backend, KEY, CHAIN_ID, poll_s=0.01).send(TO, value=1)).startswith("0x")
                served.fault = refusing(403, SECRET)
                with pytest.raises(BackendUnavailable) as silence:
                    await number(backend)
            finally:
                await backend.close()
            assert "127.0.0.1:1," in silence.value.endpoint
            assert "HTTP status 403" in silence.value.reason
            assert SECRET not in str(silence.value)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    assert "127.0.0.1:1 is put aside" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "fault",
    [
        refusing(429, "slow down"),
        refusing(429, {"error": {"code": -32000, "message": "slow down"}}),
        refusing(200, {"id": 1, "error": {"code": -32005, "message": "daily request count exceeded"}}),
        refusing(200, {"id": 1, "error": {"code": -32000, "message": "Too Many Requests"}}),
        refusing(200, {"id": 1, "error": {"code": -32603, "message": "internal error"}}),
        refusing(200, "<html>"),
    ],
)
def test_one_that_limits_its_callers_or_breaks_is_left_for_a_while(fault: Fault) -> None:
    async def main() -> None:
        chain, hours = new(), Hours()
        async with nodes(chain, chain, hours=hours) as (backend, first, second):
            assert await number(backend) == 0
            await asyncio.sleep(0)
            first.fault = fault
            for _ in range(3):
                assert await backend.request("eth_getBalance", [TO, "latest"]) == "0x0"
            tries = first.asked["eth_getBalance"]
            assert second.asked["eth_getBalance"] == 3
            first.fault = lambda _: None
            hours.now += 10 * ASIDE_S
            await until(lambda: first.asked["eth_chainId"] > 3, backend)
            await backend.request("eth_getBalance", [TO, "latest"])
            assert first.asked["eth_getBalance"] == tries + 1, "the preferred one again"

    asyncio.run(main())


def test_a_slow_one_costs_its_time_once() -> None:
    async def main() -> None:
        chain, hours = new(), Hours()
        async with nodes(chain, chain, timeout_s=0.3, hours=hours) as (backend, first, second):
            first.pause_s = 2.0
            for _ in range(5):
                assert await backend.request("eth_getBalance", [TO, "latest"]) == "0x0"
            assert first.asked["eth_getBalance"] == 0, "it did not even say which chain it serves"
            assert second.asked["eth_getBalance"] == 5

    asyncio.run(main())


def test_one_of_another_chain_is_never_asked(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with nodes(new(), InProcessBackend(chain_id=5)) as (backend, first, second):
            assert await backend.request("eth_chainId", []) == hex(CHAIN_ID)
            first.fault = refusing(503)
            with pytest.raises(BackendUnavailable, match="serves another chain"):
                await backend.request("eth_getBalance", [TO, "latest"])
            assert second.asked["eth_getBalance"] == 0
            assert set(second.asked) <= {"eth_chainId"}

    asyncio.run(main())
    assert "serves chain 5, not 31337" in caplog.text


def test_one_that_lags_is_left_until_it_has_caught_up() -> None:
    async def main() -> None:
        chain, hours = new(), Hours()
        behind = chain.fork()
        await mine(chain, 30)
        async with nodes(behind, chain, hours=hours) as (backend, first, second):
            await backend.request("eth_chainId", [])
            await until(lambda: second.asked["eth_blockNumber"] > 0, backend)
            await asyncio.sleep(0.05)
            assert await number(backend) == 30
            block = await backend.request("eth_getBlockByNumber", ["latest", False])
            assert block["number"] == hex(30)
            second.fault = refusing(503)
            with pytest.raises(BackendUnavailable, match="lags behind"):
                await number(backend)
            second.fault = lambda _: None
            await mine(behind, 25)
            hours.now += 2 * MOST_ASIDE_S
            await until(lambda: first.asked["eth_getCode"] > 0, Code(backend))
            assert await number(backend) == 25, "five blocks are no reason to leave the preferred one"

    asyncio.run(main())


class Code:
    """Asks for code instead, so that what is a look and what is a request can be told apart."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def request(self, _: str, __: Sequence[object]) -> object:
        return await self._backend.request("eth_getCode", [TO, "latest"])

    async def close(self) -> None:
        await self._backend.close()


def test_a_read_of_a_block_waits_for_a_node_that_has_it() -> None:
    async def main() -> None:
        chain = new()
        behind = chain.fork()
        await mine(chain, 5)
        await mine(behind, 2)
        async with nodes(chain, behind) as (backend, first, second):
            block = await backend.request("eth_getBlockByNumber", ["latest", False])
            assert block["number"] == "0x5"
            first.fault = refusing(503)
            logs = [{"address": TO, "fromBlock": "0x0", "toBlock": "0x5"}]
            reading = asyncio.create_task(backend.request("eth_getLogs", logs))
            async with asyncio.timeout(10):
                while second.asked["eth_blockNumber"] == 0:  # noqa: ASYNC110 - a server's count tells nobody
                    await asyncio.sleep(0.01)
            assert second.asked["eth_getLogs"] == 0, "it would answer with what it has, as if that were all"
            await mine(behind, 3)
            assert await reading == []
            assert second.asked["eth_getLogs"] == 1
            # A block that nobody has shown yet is none.
            assert await backend.request("eth_getBlockByNumber", ["0x64", False]) is None

    asyncio.run(main())


def test_one_that_fails_every_third_request() -> None:
    async def main() -> None:
        chain, count = new(), Counter[str]()

        def every_third(_: str) -> web.Response | None:
            count["all"] += 1
            return web.Response(status=502) if count["all"] % 3 == 0 else None

        async with nodes(chain, chain) as (backend, first, second):
            first.fault = every_third
            for _ in range(30):
                assert await backend.request("eth_getBalance", [KEY.address, "latest"]) == hex(10**20)
            assert first.asked["eth_getBalance"] + second.asked["eth_getBalance"] > 30

    asyncio.run(main())


def test_a_revert_and_a_wrong_request_are_the_answer() -> None:
    async def main() -> None:
        chain = new()
        async with nodes(chain, chain) as (backend, first, second):
            reverting = {"data": "0x60006000fd"}
            for method, params in (("eth_call", [reverting, "latest"]), ("eth_nothing", []), ("eth_getBalance", ["0x12", "latest"])):
                with pytest.raises(RpcError):
                    await backend.request(method, params)
                assert (first.asked[method], second.asked[method]) == (1, 0)
            with pytest.raises(RpcError, match="insufficient funds"):
                await Sender(backend, KEY, CHAIN_ID, poll_s=0.01).send(TO, value=10**21, gas=21_000)
            assert second.asked["eth_sendRawTransaction"] == 0

    asyncio.run(main())


def test_a_write_whose_answer_is_lost_goes_on_at_the_other_node_under_its_nonce() -> None:
    async def main() -> None:
        chain = new()
        async with nodes(chain, chain) as (backend, first, second):
            first.cut = {"eth_sendRawTransaction"}
            sender = Sender(backend, KEY, CHAIN_ID, poll_s=0.01)
            receipt = await sender.wait(await sender.send(TO, value=5))
            assert receipt["status"] == "0x1"
            assert (first.asked["eth_sendRawTransaction"], second.asked["eth_sendRawTransaction"]) == (1, 1)
            assert await chain.request("eth_getTransactionCount", [KEY.address, "latest"]) == "0x1"
            assert await chain.request("eth_getBalance", [TO, "latest"]) == "0x5"

    asyncio.run(main())


def test_a_write_that_the_other_node_cannot_judge_is_not_made_twice() -> None:
    """The second node has the block, and does not find transactions by their hash: it says that the nonce is used, and no more."""

    async def main() -> None:
        chain = new()

        def without_index(method: str) -> web.Response | None:
            if method == "eth_sendRawTransaction":
                said = {"id": None, "error": {"code": -32000, "message": "nonce too low: next nonce 1, tx nonce 0"}}
                return web.json_response(said)
            if method in ("eth_getTransactionByHash", "eth_getTransactionReceipt"):
                return web.Response(status=503)
            return None

        async with nodes(chain, chain) as (backend, first, second):
            first.cut, second.fault = {"eth_sendRawTransaction"}, without_index
            first.fault = lambda method: (
                web.Response(status=503) if first.asked["eth_sendRawTransaction"] and method != "eth_sendRawTransaction" else None
            )
            sender = Sender(backend, KEY, CHAIN_ID, poll_s=0.01)
            await backend.request("eth_chainId", [])
            with pytest.raises(BackendUnavailable):
                await sender.send(TO, value=5, gas=21_000)
            first.cut, first.fault, second.fault = set(), lambda _: None, lambda _: None
            receipt = await sender.wait(await sender.send(TO, value=5, gas=21_000))
            assert receipt["status"] == "0x1"
            assert await chain.request("eth_getTransactionCount", [KEY.address, "latest"]) == "0x1"
            assert await chain.request("eth_getBalance", [TO, "latest"]) == "0x5"

    asyncio.run(main())


def test_a_write_that_breaks_at_one_node_and_is_lost_at_the_other_is_unknown() -> None:
    async def main() -> None:
        chain = new()
        async with nodes(chain, chain) as (backend, first, second):
            await backend.request("eth_chainId", [])
            broken = {"id": None, "error": {"code": -32603, "message": "internal error"}}
            first.fault = lambda method: web.json_response(broken) if method == "eth_sendRawTransaction" else None
            second.cut = {"eth_sendRawTransaction"}
            sender = Sender(backend, KEY, CHAIN_ID, poll_s=0.01)
            with pytest.raises(Lost):
                await sender.send(TO, value=5, gas=21_000)
            first.fault, second.cut = lambda _: None, set()
            assert (await sender.wait(await sender.send(TO, value=5, gas=21_000)))["status"] == "0x1"
            assert await chain.request("eth_getTransactionCount", [KEY.address, "latest"]) == "0x1"

    asyncio.run(main())


def test_a_deployment_is_read_through_nodes_that_fail_in_turn() -> None:
    async def main() -> None:
        chain, plain, _ = await deployed()
        expected = await plain.view()
        count = Counter[str]()

        def every_other(_: str) -> web.Response | None:
            count["all"] += 1
            return web.Response(status=502) if count["all"] % 2 == 0 else None

        async with nodes(chain, chain, chain) as (_, dead, shaky, well):
            dead.fault, shaky.fault = refusing(503), every_other
            urls = (dead.url, shaky.url, well.url)
            async with open_chain(urls, plain.network.settlement) as found:
                assert found.network == plain.network
                view = await found.view()
                assert (view.block, view.validators(), view.masters()) == (expected.block, expected.validators(), expected.masters())
                assert (await found.latest()).number >= view.block.number

    asyncio.run(main())


def test_what_a_node_repeats_of_its_url_is_not_said_again() -> None:
    async def main() -> None:
        async with nodes(new()) as (backend, served):
            await backend.request("eth_chainId", [])
            said = {"id": None, "error": {"code": -32600, "message": f"project {SECRET} may\nnot call http://x/{SECRET}?key={SECRET}"}}
            served.fault = refusing(200, said)
            with pytest.raises(RpcError) as refusal:
                await backend.request("eth_getBalance", [TO, "latest"])
            assert SECRET not in str(refusal.value)
            assert "\n" not in str(refusal.value)

    asyncio.run(main())


def test_which_block_a_read_is_pinned_to() -> None:
    assert block_of("eth_call", [{}, "0x10"]) == 16
    assert block_of("eth_call", [{}, {"blockNumber": "0x11"}]) == 17
    assert block_of("eth_getLogs", [{"fromBlock": "0x1", "toBlock": "0x12"}]) == 18
    assert block_of("eth_getStorageAt", [TO, "0x99", "0x13"]) == 19
    for method, params in (("eth_call", [{}]), ("eth_call", [{}, "latest"]), ("eth_getLogs", [{"blockHash": "0x1"}]), ("eth_chainId", [])):
        assert block_of(method, params) is None
    assert block_of("eth_getBlockByNumber", ["0xzz", False]) is None


def test_urls_that_are_none_or_one() -> None:
    with pytest.raises(NotAnRpcUrl, match="No RPC URL"):
        open_backend([])
    assert isinstance(open_backend(["http://127.0.0.1:1", "http://127.0.0.1:1"]), RpcBackend)
    with pytest.raises(NotAnRpcUrl) as refusal:
        open_backend(["http://127.0.0.1:1", f"ws://host/{SECRET}"])
    assert SECRET not in str(refusal.value)
