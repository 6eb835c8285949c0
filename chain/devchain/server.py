"""The development chain served: JSON-RPC over HTTP on loopback, one block a second stamped with the wall clock.

    python -m chain --port 8545 --chain-id 31337 --fund 0xaddress:1000        starts one (chain/__main__.py)
    async with DevChain(config) as chain: ... chain.url                       the same inside a program

Requests are answered between the transactions of a block that is being made, from the state before it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import NoReturn

from aiohttp import web

from chain.backend import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, RpcError
from chain.devchain.ledger import Genesis
from chain.devchain.node import Node
from chain.nesting import too_deep
from chain.types import Address

MAX_BODY_BYTES = 5 * 1024 * 1024
MAX_BATCH = 1000
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DevChainConfig:
    """What a served chain is. `balances` in wei; port 0 takes a free one; `block_seconds` is the time between blocks."""

    host: str = "127.0.0.1"
    port: int = 8545
    chain_id: int = 31337
    balances: Mapping[Address, int] = field(default_factory=dict)
    finality_blocks: int = 1
    block_seconds: int = 1


class DevChain:
    """A served chain, from `start` to `stop`, which may be called by `async with`.

    `now` gives unix seconds and `sleep` waits; both are arguments so that a test can own the clock.
    """

    def __init__(
        self,
        config: DevChainConfig,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        balances = {bytes.fromhex(address[2:]): amount for address, amount in config.balances.items()}
        self._config, self._now, self._sleep = config, now, sleep
        # The genesis lies a second back, so that the first block can already carry the present one.
        genesis = Genesis(chain_id=config.chain_id, time=int(now()) - 1, balances=balances)
        self._node = Node(genesis, automine=False, clock=now, finality_blocks=config.finality_blocks)
        self._runner: web.AppRunner | None = None
        self._producer: asyncio.Task[None] | None = None
        self.url = ""
        """Where it listens, once started."""

    async def start(self) -> None:
        """Listen and begin to make blocks. `OSError` if the port is taken."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/", self._post)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._config.host, self._config.port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._producer = asyncio.create_task(produce(self._node, self._config.block_seconds, self._now, self._sleep), name="block producer")

    async def wait(self) -> NoReturn:
        """Until the producer of blocks fails, which it does not; cancel this to leave."""
        if self._producer is None:
            raise RuntimeError("the chain was not started")
        await self._producer
        raise AssertionError("the producer of blocks never returns")

    async def stop(self) -> None:
        """Stop listening and making blocks."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.cancel()
            await asyncio.wait([producer])
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> DevChain:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def _post(self, request: web.Request) -> web.Response:
        answer = answer_body(self._node, await request.read())
        # Even a refusal has status 200: clients look into the body, and some retry on anything else.
        return web.Response(body=answer, content_type="application/json") if answer else web.Response(status=204)


async def produce(node: Node, block_seconds: int, now: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> NoReturn:
    """A block at the beginning of every `block_seconds` of the clock `now`, each at most once, until cancelled.

    Chain time thus never runs ahead of the clock. Seconds that pass while a large block is made have no block.
    """
    due = 0
    while True:
        due = max(due, int(now()) // block_seconds * block_seconds) + block_seconds
        while (early := due - now()) > 0:
            await sleep(early)
        await node.mine_gently()


def answer_body(node: Node, body: bytes) -> bytes | None:
    """The JSON-RPC answer to a request or a batch, whatever the bytes are; None if nobody waits for one (notifications)."""
    try:
        parsed: object = None if (deep := too_deep(body)) else json.loads(body, parse_constant=_no_constant)
    except ValueError:
        deep = True
    if deep:
        return _encode(_error(None, RpcError(PARSE_ERROR, "the body is not JSON")))
    if not isinstance(parsed, list):
        answer = _answer(node, parsed)
        return None if answer is None else _encode(answer)
    if not parsed or len(parsed) > MAX_BATCH:
        return _encode(_error(None, RpcError(INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} requests")))
    answers = [answer for one in parsed if (answer := _answer(node, one)) is not None]
    return _encode(answers) if answers else None


def _answer(node: Node, request: object) -> dict[str, object] | None:
    if not isinstance(request, dict):
        return _error(None, RpcError(INVALID_REQUEST, "a request is an object"))
    request_id, method, params = request.get("id"), request.get("method"), request.get("params")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | float | None):
        return _error(None, RpcError(INVALID_REQUEST, "the id of a request is a string, a number or null"))
    if not isinstance(method, str):
        return _error(request_id, RpcError(INVALID_REQUEST, "a request names a method"))
    try:
        if not isinstance(params, list | None):
            raise RpcError(INVALID_PARAMS, "parameters are given by position, as a list")
        result = node.request(method, params or [])
    except RpcError as error:
        return _error(request_id, error)
    return {"jsonrpc": "2.0", "id": request_id, "result": result} if "id" in request else None


def _error(request_id: object, error: RpcError) -> dict[str, object]:
    detail: dict[str, object] = {"code": error.code, "message": error.message}
    if error.data is not None:
        detail["data"] = error.data
    return {"jsonrpc": "2.0", "id": request_id, "error": detail}


def _encode(answer: object) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
