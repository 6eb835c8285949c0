"""A relay for providers that nobody can dial: they keep connections waiting here, and a caller gets one of them (`wire.relay`).

What is copied is TLS between caller and provider: this end has no key to it, reads nothing out of it and changes nothing unseen. Neither an
address nor who called whom is logged or kept. Everything is bounded: openings, waiting connections, callers that wait, pairs, the bytes
per second of a pair and the time that a pair may be silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from chain.errors import CodecError
from chain.rules import Rules
from chain.typed import Domain
from chain.types import Address
from master.copying import copy_both_ways
from master.places import Bounds, Holder, Places, less
from master.waiting import MOST_WAITING, Waiter, WaitingRoom
from runtime.clock import Clock
from wire.connections import accepted, read_exactly
from wire.refusals import Refused
from wire.relay import (
    CALL,
    CALLED,
    CHALLENGE,
    MOST_REGISTRATION,
    NONCE_BYTES,
    OPENING_BYTES,
    check_registration,
    parse_opening,
    refusal_bytes,
)

log = logging.getLogger(__name__)

MOST_OPENING = 256
MOST_OPENING_OF_PREFIX = 16
OPENING_S = 5.0


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """pairs: in all. pairs_of_one: of one provider, and for the callers of one prefix; both together have half of that at most.
    rate: bytes per second of a pair and direction, 0 for no limit. idle_s: how long a pair may be silent."""

    pairs: int = 1_024
    pairs_of_one: int = 256
    rate: float = 0.0
    idle_s: float = 600.0

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.pairs, self.pairs_of_one, self.pairs_of_one, max(1, self.pairs_of_one // 2))

    @property
    def files(self) -> int:
        """File descriptors that a relay may need."""
        return MOST_OPENING + MOST_WAITING.in_all + 2 * self.pairs


class Known(Protocol):
    """What the master knows of a provider."""

    def is_timed(self, provider: Address) -> bool:
        """Whether it has just answered to echoes here."""

    def is_registered(self, provider: Address) -> bool:
        """Whether it is on chain."""


class Relay:
    """Answers on one bound socket; see `relaying`. `counts` holds `registrations`, `calls`, `unanswered`, `cut`, and refusals by code."""

    def __init__(
        self,
        sock: socket.socket,
        master: Address,
        domain: Domain,
        rules: Rules,
        clock: Clock,
        known: Known,
        limits: RelayLimits,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._sock, self._master, self._domain, self._rules, self._clock = sock, master, domain, rules, clock
        self._known, self._limits, self._entropy = known, limits, entropy
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening: Counter[str] = Counter()
        self._room = WaitingRoom()
        self._pairs = Places(limits.bounds)
        self.counts: Counter[str] = Counter()

    @property
    def port(self) -> int:
        port: int = self._sock.getsockname()[1]
        return port

    def figures(self) -> dict[str, int]:
        """What the status shows: openings, connections that wait and pairs now, and what was counted."""
        return {"opening": self._opening.total(), "waiting": self._room.waiting, "pairs": self._pairs.taken, **self.counts}

    async def accept(self) -> None:
        """Takes connections until it is cancelled."""
        async for connection, prefix in accepted(self._sock, self._clock):
            if self._opening.total() >= MOST_OPENING or self._opening[prefix] >= MOST_OPENING_OF_PREFIX:
                self.counts["cut"] += 1
                connection.close()
                continue
            self._opening[prefix] += 1
            task = asyncio.create_task(self._attend(connection, prefix))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends whatever is connected."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _attend(self, connection: socket.socket, prefix: str) -> None:
        keep = False
        try:
            waiter: Waiter | None = None
            try:
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                async with asyncio.timeout(OPENING_S):
                    found = parse_opening(await read_exactly(connection, OPENING_BYTES))
                    if found is None:
                        self.counts["cut"] += 1
                        return
                    kind, provider = found
                    holder = Holder(provider, prefix, self._known.is_registered(provider))
                    if kind != CALL:
                        waiter = await self._register(connection, holder)
            finally:
                less(self._opening, prefix)
            if kind == CALL:
                await self._call(connection, holder)
            elif waiter is not None:
                keep = await self._room.wait(waiter)
        except (OSError, TimeoutError, EOFError) as error:
            log.debug("a connection ended with %s", type(error).__name__)
        finally:
            if not keep:
                connection.close()

    async def _register(self, connection: socket.socket, holder: Holder) -> Waiter | None:
        """The provider's connection, waiting, or None with the refusal sent."""
        loop = asyncio.get_running_loop()
        try:
            if not self._known.is_timed(holder.provider):  # before any signature
                raise Refused("no_echo")
            if not self._room.has_room(holder):
                raise Refused("busy")
            nonce = self._entropy(NONCE_BYTES)
            await loop.sock_sendall(connection, CHALLENGE + nonce)
            length = int.from_bytes(await read_exactly(connection, 2))
            if length > MOST_REGISTRATION:
                raise Refused("body_too_large")
            content = await read_exactly(connection, length)
            check_registration(content, holder.provider, self._master, nonce, self._domain, self._rules, self._clock.now())
            waiter = self._room.add(connection, holder)
            if waiter is None:
                raise Refused("busy")
        except (CodecError, Refused) as error:
            self.counts[error.code] += 1
            await loop.sock_sendall(connection, refusal_bytes(error.code))
            return None
        self.counts["registrations"] += 1
        return waiter

    async def _call(self, caller: socket.socket, holder: Holder) -> None:
        """Brings the caller together with a waiting connection, if there is one soon and the caller may have it, and copies until they
        part. A caller counts as a pair from the beginning, so that many at once are not more than may be."""
        self.counts["calls"] += 1
        if not self._known.is_timed(holder.provider) or not self._pairs.take(holder):
            self.counts["unanswered"] += 1
            return
        try:
            waiter = await self._room.call(holder.provider, holder.prefix)
            if waiter is None:
                self.counts["unanswered"] += 1
                return
            try:
                await asyncio.get_running_loop().sock_sendall(waiter.sock, CALLED)
                await copy_both_ways(caller, waiter.sock, self._limits.rate, self._limits.idle_s, self._clock)
            finally:
                waiter.sock.close()
        finally:
            self._pairs.free(holder)


@contextlib.asynccontextmanager
async def relaying(
    host: str,
    port: int,
    master: Address,
    domain: Domain,
    rules: Rules,
    clock: Clock,
    known: Known,
    limits: RelayLimits,
    entropy: Callable[[int], bytes],
) -> AsyncIterator[Relay]:
    """A relay on host and port (0: any free one), closed at the end. `OSError` if it cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=128) as sock:
        sock.setblocking(False)
        relay = Relay(sock, master, domain, rules, clock, known, limits, entropy)
        accepting = asyncio.create_task(relay.accept())
        try:
            yield relay
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            await relay.close()
