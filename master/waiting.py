"""Providers' connections that wait at a relay for callers, and callers that wait for one of them.

The newest connection is called first. Of a provider that was cut off from its network the older ones are dead for a minute before the
kernel says so, and a caller that gets one of them gets nothing; for the same reason the newest takes the place of the provider's oldest.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from dataclasses import dataclass

from chain.types import Address
from master.places import Bounds, Holder, Places
from wire.relay import ALIVE_S, WAITING

MOST_WAITING = Bounds(in_all=4_096, of_one=16, of_prefix=256, of_both=16)
MOST_CALLERS, MOST_CALLERS_OF_PREFIX = 32, 16
"""That wait for one provider to send a connection, and how many of them come from one neighbourhood."""
CALLER_S = 2.0


@dataclass(slots=True, eq=False)
class Waiter:
    """A provider's waiting connection. called: done once a caller has it, cancelled once it has ended. free: done once nobody else reads
    from it."""

    sock: socket.socket
    holder: Holder
    called: asyncio.Future[None]
    free: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class _Caller:
    prefix: str
    turn: asyncio.Future[Waiter]


class WaitingRoom:
    """Brings both together."""

    def __init__(self) -> None:
        self._places = Places(MOST_WAITING)
        self._waiters: dict[Address, deque[Waiter]] = {}
        self._callers: dict[Address, deque[_Caller]] = {}

    @property
    def waiting(self) -> int:
        """Providers' connections."""
        return self._places.taken

    def has_room(self, holder: Holder) -> bool:
        """Whether a connection of the provider may wait; one that has as many as it may gives up its oldest, see `add`."""
        return self._places.has_room(holder) or self._places.of(holder.provider) >= MOST_WAITING.of_one

    def add(self, sock: socket.socket, holder: Holder) -> Waiter | None:
        """Takes a place for a connection, until `wait` is over; None if there is none."""
        own = self._waiters.get(holder.provider)
        if own and not self._places.has_room(holder) and self._places.of(holder.provider) >= MOST_WAITING.of_one:
            self._remove(own[0])
        if not self._places.take(holder):
            return None
        loop = asyncio.get_running_loop()
        waiter = Waiter(sock, holder, loop.create_future(), loop.create_future())
        self._waiters.setdefault(holder.provider, deque()).append(waiter)
        return waiter

    async def wait(self, waiter: Waiter) -> bool:
        """Until it is called (True: it is the caller's now) or ends."""
        loop = asyncio.get_running_loop()
        waiter.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", 18), int(3_000 * ALIVE_S))
        ended = loop.create_task(_ended(waiter.sock))
        try:
            while not (waiter.called.done() or ended.done()):
                await loop.sock_sendall(waiter.sock, WAITING)
                self._hand_out(waiter.holder.provider)
                await asyncio.wait((waiter.called, ended), timeout=ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
            return waiter.called.done() and not waiter.called.cancelled()
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
            self._remove(waiter)
            if not waiter.free.done():
                waiter.free.set_result(None)

    async def call(self, provider: Address, prefix: str) -> Waiter | None:
        """A waiting connection of the provider, called and the caller's to close; None if there is none soon, or too many wait for one."""
        callers = self._callers.setdefault(provider, deque())
        if len(callers) >= MOST_CALLERS or sum(caller.prefix == prefix for caller in callers) >= MOST_CALLERS_OF_PREFIX:
            return None
        caller = _Caller(prefix, asyncio.get_running_loop().create_future())
        callers.append(caller)
        try:
            self._hand_out(provider)
            await asyncio.wait((caller.turn,), timeout=CALLER_S)
        except asyncio.CancelledError:
            if caller.turn.done():
                caller.turn.result().sock.close()
            raise
        finally:
            if caller in callers:
                callers.remove(caller)
            if not callers and self._callers.get(provider) is callers:
                del self._callers[provider]
        if not caller.turn.done():
            return None
        waiter = caller.turn.result()
        try:
            await asyncio.shield(waiter.free)
        except asyncio.CancelledError:
            waiter.sock.close()
            raise
        return waiter

    def _hand_out(self, provider: Address) -> None:
        """Gives waiting connections to callers that wait."""
        waiters, callers = self._waiters.get(provider), self._callers.get(provider)
        while waiters and callers:
            caller, waiter = callers.popleft(), waiters[-1]
            waiter.called.set_result(None)
            self._remove(waiter)
            caller.turn.set_result(waiter)

    def _remove(self, waiter: Waiter) -> None:
        """It waits no more: it was called, or has ended."""
        provider = waiter.holder.provider
        waiters = self._waiters.get(provider)
        if waiters is None or waiter not in waiters:
            return
        waiters.remove(waiter)
        if not waiters:
            del self._waiters[provider]
        self._places.free(waiter.holder)
        waiter.called.cancel()  # of no effect if it was called


async def _ended(sock: socket.socket) -> None:
    """Returns once the other end hangs up, or speaks out of turn."""
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().sock_recv(sock, 1)
