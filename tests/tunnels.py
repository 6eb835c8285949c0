"""A stage for tunnels: a provider that serves, an origin, and consumers, all real, on loopback; validators are keys that sign."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from chain.epochs import Timing
from chain.keys import NodeKey
from chain.network import Network
from chain.rules import Rules
from chain.typed import Domain, Signed, sign
from chain.types import ZERO_ADDRESS, Address, Digest, Wei
from consumer.store import Store as ConsumerStore
from consumer.tunnel import Door, Tunnel, dial
from provider.reach.listener import Listener, listening
from provider.sessions.caps import Allowance, Caps
from provider.sessions.covering import Cover
from provider.sessions.egress import Policy
from provider.sessions.records import StoredSession
from provider.sessions.serving import Serving, Terms
from provider.sessions.store import SessionStore
from provider.sessions.streams import StreamLimits, Streams
from provider.store import Store
from runtime.clock import Clock, SystemClock
from wire.addresses import IPAddress
from wire.messages import DemandReceipt, Offer, SessionRequest
from wire.sessions import DemandClaim

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
PROVIDER, CONSUMER = NodeKey(b"\x07" * 32), NodeKey(b"\x21" * 32)
VALIDATORS = tuple(NodeKey(bytes([number]) * 32) for number in (0x31, 0x32, 0x33))
HOST, CONSUMER_HOST, ORIGIN_HOST = "127.79.1.1", "127.79.2.1", "127.79.3.1"
MIB, GIB = 1 << 20, 1 << 30
PRICE = GIB
"""1 wei a byte: amounts read as bytes."""
OPENED = (ipaddress.IPv4Network("127.79.0.0/16"),)


def network_of(rules: Rules, ends_in: int = 86_350) -> Network:
    """In its first epoch, which ends in so many seconds."""
    now = int(SystemClock().now())
    timing = Timing(now + ends_in - 86_400, 86_400, 1_800, 21_600, 43_200, 3_600, 1_200, 144)
    nowhere = ZERO_ADDRESS
    return Network(DOMAIN, DOMAIN.settlement, nowhere, nowhere, nowhere, nowhere, nowhere, timing, rules, Wei(0), Wei(0), 0)


@dataclass(slots=True)
class Keys:
    """Validators of equal stake that sign whatever is shown to them, while `answer` is set."""

    clock: Clock
    asked: list[DemandClaim] = field(default_factory=list)
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    lapse: str = ""

    def __post_init__(self) -> None:
        self.answer.set()

    async def cover(self, claim: DemandClaim, session_id: Digest) -> Cover:
        self.asked.append(claim)
        await self.answer.wait()
        request, provider = claim.request.message, claim.offer.message.provider
        receipts = []
        for key in VALIDATORS:
            receipt = DemandReceipt(
                key.address, request.consumer, provider, session_id, request.budget_from, request.budget_to, int(self.clock.now())
            )
            receipts.append(sign(receipt, DOMAIN, key))
        return tuple(receipts), {key.address: 1 for key in VALIDATORS}

    async def lapsed(self, session: StoredSession, epoch: int) -> str:
        return self.lapse if epoch > session.epochs[0] else ""


@dataclass(slots=True)
class Served:
    """A provider at work."""

    listener: Listener
    serving: Serving
    streams: Streams
    sessions: SessionStore
    caps: Caps
    validators: Keys


RULES = replace(Rules(), receipt_every_s=2)


@contextlib.asynccontextmanager
async def provider_at(
    folder: Path,
    rules: Rules = RULES,
    price: int = PRICE,
    policy: Policy | None = None,
    allowance: Allowance | None = None,
    limits: StreamLimits | None = None,
    own: frozenset[IPAddress] = frozenset(),
    roles: frozenset[IPAddress] = frozenset(),
    session_rate: float = 0.0,
    epoch_ends_in: int = 86_350,
) -> AsyncIterator[Served]:
    """A provider at `HOST`, on a free port."""
    clock, network = SystemClock(), network_of(rules, epoch_ends_in)
    store = Store(folder / "provider.sqlite", PROVIDER.address, DOMAIN)
    caps = Caps(folder / "carried.sqlite", allowance or Allowance(), DOMAIN)

    async def places() -> tuple[frozenset[IPAddress], frozenset[IPAddress]]:
        return own, roles

    streams = Streams(policy or Policy(opened=OPENED), limits or StreamLimits(), places, HOST)
    sessions, validators = store.sessions(network.timing), Keys(clock)
    terms = Terms(price, 10**9, session_rate=session_rate)
    serving = Serving(PROVIDER, network, clock, os.urandom, terms, sessions, caps, validators, streams)
    serving.close_left_open()
    try:
        async with listening(HOST, 0, PROVIDER, DOMAIN, clock) as listener:
            listener.attend = serving.serve
            yield Served(listener, serving, streams, sessions, caps, validators)
    finally:
        streams.close()
        caps.close()
        store.close()


@contextlib.asynccontextmanager
async def door_to(served: Served, key: NodeKey = CONSUMER, rules: Rules = RULES) -> AsyncIterator[Door]:
    async with dial(PROVIDER.address, HOST, served.listener.port, key, DOMAIN, rules, SystemClock(), CONSUMER_HOST) as door:
        yield door


def request_by(key: NodeKey = CONSUMER, budget: tuple[int, int] = (0, GIB), max_price: int = PRICE) -> Signed[SessionRequest]:
    expiry = int(SystemClock().now()) + 30
    nonce = int.from_bytes(os.urandom(8))
    return sign(SessionRequest(key.address, "", 0, 500_000, max_price, *budget, nonce, expiry), DOMAIN, key)


async def agree(door: Door, request: Signed[SessionRequest]) -> Signed[Offer]:
    return await door.ask(request)


@contextlib.asynccontextmanager
async def tunnel_to(
    served: Served, folder: Path, key: NodeKey = CONSUMER, rules: Rules = RULES, budget: tuple[int, int] = (0, GIB)
) -> AsyncIterator[tuple[Tunnel, ConsumerStore]]:
    """An open session and the consumer's store; closed at the end."""
    store = ConsumerStore(folder / f"consumer-{key.address}.sqlite", key.address, DOMAIN)
    try:
        async with door_to(served, key, rules) as door:
            request = request_by(key, budget)
            tunnel = await door.accept(request, await door.ask(request), store)
        try:
            yield tunnel, store
        finally:
            await tunnel.close()
    finally:
        store.close()


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads a number and a newline, then sends so many bytes."""
    left = int(await reader.readline())
    block = os.urandom(65_536)
    while left:
        size = min(left, len(block))
        writer.write(block[:size])
        await writer.drain()
        left -= size


@contextlib.asynccontextmanager
async def origin(handler: Handler, host: str = ORIGIN_HOST) -> AsyncIterator[int]:
    """A server at `ORIGIN_HOST`; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await handler(reader, writer)
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()
        if task is not None:
            tasks.discard(task)

    server = await asyncio.start_server(one, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
