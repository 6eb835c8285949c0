"""A relay for providers that nobody can dial: they keep connections waiting here, and a caller gets one of them (`wire.relay`).

What is copied is TLS between caller and provider: this end has no key to it, reads nothing out of it and changes nothing unseen. Neither an
address nor who called whom is logged or kept. Everything is bounded: openings, waiting connections, callers that wait, pairs, the bytes
per second of a pair and the time that a pair may be silent.

Long because what waits, who calls and the bounds on both are one state.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from chain.errors import CodecError
from chain.rules import Rules
from chain.typed import Domain
from chain.types import Address
from master.copying import copy_both_ways
from runtime.clock import Clock
from wire.connections import accepted
from wire.refusals import Refused
from wire.relay import (
    ALIVE_S,
    CALL,
    CALLED,
    CHALLENGE,
    MOST_REGISTRATION,
    NONCE_BYTES,
    OPENING_BYTES,
    REGISTER,
    WAITING,
    check_registration,
    parse_opening,
    refusal_bytes,
)

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

MOST_OPENING = 256
MOST_OPENING_OF_PREFIX = 16
OPENING_S = 5.0
MOST_WAITING = 4_096
MOST_WAITING_OF_ONE = 16
MOST_WAITING_OF_PREFIX = 256
MOST_CALLERS_OF_ONE = 16
"""That wait for the provider to send a connection."""
CALLER_S = 2.0


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """pairs, pairs_of_one: in all and of one provider; one caller's prefix has at most half of a provider's. rate: bytes per second of a
    pair and direction, 0 for no limit. idle_s: how long a pair may be silent."""

    pairs: int = 1_024
    pairs_of_one: int = 256
    rate: float = 0.0
    idle_s: float = 600.0


@dataclass(slots=True, eq=False)
class _Waiter:
    """A provider's waiting connection. called: done once a caller has it, or it has ended. free: done once nobody else reads from it."""

    sock: socket.socket
    called: asyncio.Future[None]
    free: asyncio.Future[None]


class Relay:
    """Answers on one bound socket; see `relaying`. `counts` holds `registrations`, `calls`, `unanswered`, `cut`, and refusals by code."""

    def __init__(
        self,
        sock: socket.socket,
        master: Address,
        domain: Domain,
        rules: Rules,
        clock: Clock,
        is_timed: Callable[[Address], bool],
        limits: RelayLimits,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._sock, self._master, self._domain, self._rules, self._clock = sock, master, domain, rules, clock
        self._is_timed, self._limits, self._entropy = is_timed, limits, entropy
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening: Counter[str] = Counter()
        self._waiters: dict[Address, deque[_Waiter]] = {}
        self._waiting_of: Counter[str] = Counter()
        self._callers: dict[Address, deque[asyncio.Future[_Waiter]]] = {}
        self._pairs: Counter[Address] = Counter()
        self._pairs_of: Counter[tuple[Address, str]] = Counter()
        self.counts: Counter[str] = Counter()

    @property
    def port(self) -> int:
        port: int = self._sock.getsockname()[1]
        return port

    def figures(self) -> dict[str, int]:
        """What the status shows: connections that wait and pairs now, and what was counted."""
        return {"waiting": self._waiting_of.total(), "pairs": self._pairs.total(), **self.counts}

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
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiter: _Waiter | None = None
            try:
                async with asyncio.timeout(OPENING_S):
                    found = parse_opening(await _read(connection, OPENING_BYTES))
                    if found is None:
                        self.counts["cut"] += 1
                        return
                    kind, provider = found
                    if kind == REGISTER:
                        waiter = await self._register(connection, provider, prefix)
            finally:
                _less(self._opening, prefix)
            if kind == CALL:
                await self._call(connection, provider, prefix)
            elif waiter is not None:
                keep = await self._wait(waiter, provider, prefix)
        except (OSError, TimeoutError, EOFError) as error:
            log.debug("a connection ended with %s", type(error).__name__)
        finally:
            if not keep:
                connection.close()

    # Providers

    async def _register(self, connection: socket.socket, provider: Address, prefix: str) -> _Waiter | None:
        """The provider's connection, waiting, or None with the refusal sent."""
        loop = asyncio.get_running_loop()
        try:
            self._check_room(provider, prefix)  # before any signature: a look into a few dictionaries
            nonce = self._entropy(NONCE_BYTES)
            await loop.sock_sendall(connection, CHALLENGE + nonce)
            length = int.from_bytes(await _read(connection, 2))
            if length > MOST_REGISTRATION:
                raise Refused("body_too_large")
            content = await _read(connection, length)
            check_registration(content, provider, self._master, nonce, self._domain, self._rules, self._clock.now())
            self._check_room(provider, prefix)
        except (CodecError, Refused) as error:
            self.counts[error.code] += 1
            await loop.sock_sendall(connection, refusal_bytes(error.code))
            return None
        self.counts["registrations"] += 1
        waiter = _Waiter(connection, loop.create_future(), loop.create_future())
        self._waiting_of[prefix] += 1
        self._waiters.setdefault(provider, deque()).append(waiter)
        return waiter

    def _check_room(self, provider: Address, prefix: str) -> None:
        if not self._is_timed(provider):
            raise Refused("no_echo")
        of_one = len(self._waiters.get(provider, ()))
        if of_one >= MOST_WAITING_OF_ONE or self._waiting_of[prefix] >= MOST_WAITING_OF_PREFIX or self._waiting_of.total() >= MOST_WAITING:
            raise Refused("busy")

    async def _wait(self, waiter: _Waiter, provider: Address, prefix: str) -> bool:
        """Until it is called (True: it is the caller's now) or ends."""
        loop = asyncio.get_running_loop()
        timeout_ms = int(3_000 * ALIVE_S)
        waiter.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", 18), timeout_ms)
        ended = loop.create_task(_ended(waiter.sock))
        try:
            while True:
                await loop.sock_sendall(waiter.sock, WAITING)
                self._hand_out(provider)
                await asyncio.wait((waiter.called, ended), timeout=ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
                if waiter.called.done():
                    return True
                if ended.done():
                    return False
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
            waiter.called.cancel()  # of no effect if it was called
            waiter.free.set_result(None)
            _less(self._waiting_of, prefix)
            waiting = self._waiters.get(provider)
            if waiting is not None and waiter in waiting:
                waiting.remove(waiter)
            if not waiting:
                self._waiters.pop(provider, None)

    def _hand_out(self, provider: Address) -> None:
        """Gives waiting connections to callers that wait."""
        waiters, callers = self._waiters.get(provider), self._callers.get(provider)
        while waiters and callers:
            caller = callers.popleft()
            if not caller.done():
                caller.set_result(waiters.popleft())

    # Callers

    async def _call(self, caller: socket.socket, provider: Address, prefix: str) -> None:
        """Brings the caller together with a waiting connection, if there is one soon and the caller may have it, and copies until they
        part. A caller counts as a pair from the beginning, so that many at once are not more than may be."""
        self.counts["calls"] += 1
        limits, of_one = self._limits, self._pairs[provider]
        full = self._pairs.total() >= limits.pairs or of_one >= limits.pairs_of_one
        if full or 2 * self._pairs_of[provider, prefix] >= limits.pairs_of_one or not self._is_timed(provider):
            self.counts["unanswered"] += 1
            return
        self._pairs[provider] += 1
        self._pairs_of[provider, prefix] += 1
        try:
            waiter = await self._waiter_for(provider)
            if waiter is None or waiter.called.done():  # the provider's end may have broken off meanwhile
                self.counts["unanswered"] += 1
                return
            waiter.called.set_result(None)
            try:
                await waiter.free
                await asyncio.get_running_loop().sock_sendall(waiter.sock, CALLED)
                await copy_both_ways(caller, waiter.sock, limits.rate, limits.idle_s, self._clock)
            finally:
                waiter.sock.close()
        finally:
            _less(self._pairs, provider)
            _less(self._pairs_of, (provider, prefix))

    async def _waiter_for(self, provider: Address) -> _Waiter | None:
        """A waiting connection of the provider, None if there is none soon or too many wait for one."""
        callers = self._callers.setdefault(provider, deque())
        if len(callers) >= MOST_CALLERS_OF_ONE:
            return None
        turn: asyncio.Future[_Waiter] = asyncio.get_running_loop().create_future()
        callers.append(turn)
        try:
            self._hand_out(provider)
            await asyncio.wait((turn,), timeout=CALLER_S)
        except asyncio.CancelledError:
            if turn.done():  # it came at the last moment: another caller may have it
                self._waiters.setdefault(provider, deque()).appendleft(turn.result())
            raise
        finally:
            if turn in callers:
                callers.remove(turn)
            if not callers and self._callers.get(provider) is callers:
                del self._callers[provider]
        return turn.result() if turn.done() else None


@contextlib.asynccontextmanager
async def relaying(
    host: str,
    port: int,
    master: Address,
    domain: Domain,
    rules: Rules,
    clock: Clock,
    is_timed: Callable[[Address], bool],
    limits: RelayLimits,
    entropy: Callable[[int], bytes],
) -> AsyncIterator[Relay]:
    """A relay on host and port (0: any free one), closed at the end. is_timed: whether a provider has just answered to echoes here.
    `OSError` if it cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=128) as sock:
        sock.setblocking(False)
        relay = Relay(sock, master, domain, rules, clock, is_timed, limits, entropy)
        accepting = asyncio.create_task(relay.accept())
        try:
            yield relay
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            await relay.close()


async def _read(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes; `EOFError` if fewer come."""
    loop, got = asyncio.get_running_loop(), bytearray()
    while len(got) < size:
        more = await loop.sock_recv(sock, size - len(got))
        if not more:
            raise EOFError
        got += more
    return bytes(got)


async def _ended(sock: socket.socket) -> None:
    """Returns once the other end hangs up, or speaks out of turn."""
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().sock_recv(sock, 1)


def _less(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
