"""Bytes from one plain socket to another and back, as they are: what a relay does once a pair has been brought together."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass

from runtime.clock import Clock
from wire.handover import handed_over

LINGER_S = 5.0
"""What the one direction gets once the other one has ended."""
CHUNK = 65_536


@dataclass(slots=True)
class _Moved:
    """at: when the last bytes were handed on, by the event loop's clock."""

    at: float


async def copy_both_ways(one: socket.socket, other: socket.socket, rate: float, idle_s: float, clock: Clock) -> None:
    """Copies until both directions have ended, one has and the other lingers, or nothing moves for `idle_s`; then what was handed to the
    kernel may arrive (`wire.handover`). The sockets are the caller's to close. rate: bytes per second and direction, 0 for no limit."""
    loop = asyncio.get_running_loop()
    moved = _Moved(loop.time())
    ways = {loop.create_task(_copy(one, other, rate, moved, clock)), loop.create_task(_copy(other, one, rate, moved, clock))}
    try:
        left = await _while_moving(ways, moved, idle_s)
        if left:
            await asyncio.wait(left, timeout=LINGER_S)
        await handed_over(one, other)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _while_moving(ways: set[asyncio.Task[None]], moved: _Moved, idle_s: float) -> set[asyncio.Task[None]]:
    """The directions that go on once one has ended; none if nothing moved for too long."""
    loop = asyncio.get_running_loop()
    while (silent := moved.at + idle_s - loop.time()) > 0:
        done, left = await asyncio.wait(ways, timeout=silent, return_when=asyncio.FIRST_COMPLETED)
        if done:
            return left
    return set()


async def _copy(source: socket.socket, to: socket.socket, rate: float, moved: _Moved, clock: Clock) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await loop.sock_recv(source, CHUNK):
            await loop.sock_sendall(to, data)
            moved.at = loop.time()
            if rate:
                await clock.sleep(len(data) / rate)
        to.shutdown(socket.SHUT_WR)
