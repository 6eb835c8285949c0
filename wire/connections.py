"""Connections as they come, and how many a server holds: in all, and of one neighbourhood, so that no stranger takes every place.

A connection too many is closed before a byte of it is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import cast

from runtime.clock import Clock
from wire.addresses import group_prefix, observed_ip

log = logging.getLogger(__name__)

MOST = 1_024
MOST_OF_A_GROUP = 128
"""Of one IPv4 /24 or IPv6 /48; loopback, where a node's own operator and proxies are, may take all."""


async def accepted(sock: socket.socket, clock: Clock) -> AsyncIterator[tuple[socket.socket, str]]:
    """Connections as they come to a bound, non-blocking socket, each with the prefix of whoever makes it, without an end."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, peer = await loop.sock_accept(sock)
        except OSError as error:  # out of file descriptors, or gone before it was taken
            log.warning("a connection could not be accepted: %s", error.strerror)
            await clock.sleep(0.1)
            continue
        yield connection, prefix_of(peer[0])


def prefix_of(host: str) -> str:
    """The group of a peer as its socket names it, which is not always the canonical notation; all that cannot be read are one group."""
    address = observed_ip(host)
    return group_prefix(address) if address is not None else ""


class Places:
    """The places of one server; calling it makes the protocol of one connection, as `create_server` wants it."""

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int = MOST, most_of_a_group: int = MOST_OF_A_GROUP) -> None:
        self._make, self._most, self._most_of_a_group = make, most, most_of_a_group
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """How many connections are open."""
        return self._taken.total()

    def __call__(self) -> asyncio.Protocol:
        return _Visitor(self, self._make())

    def take(self, group: str) -> bool:
        """Takes a place for a connection from `group`, if one is free for it."""
        if self.taken >= self._most or (group and self._taken[group] >= self._most_of_a_group):
            return False
        self._taken[group] += 1
        return True

    def free(self, group: str) -> None:
        """Gives back a place taken."""
        self._taken[group] -= 1
        if not self._taken[group]:
            del self._taken[group]


class _Visitor(asyncio.Protocol):
    """Passes a connection on to the server's own protocol, once it has a place."""

    def __init__(self, places: Places, inner: asyncio.Protocol) -> None:
        self._places, self._inner = places, inner
        self._group: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        group = _group_of(transport.get_extra_info("peername"))
        if not self._places.take(group):
            cast(asyncio.Transport, transport).abort()
            return
        self._group = group
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._group is not None:
            self._places.free(self._group)
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._group is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._group is not None else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


def _group_of(peername: tuple[str, ...] | None) -> str:
    """The group of a peer's address; empty for loopback."""
    address = ipaddress.ip_address(peername[0].partition("%")[0] if peername else "127.0.0.1")
    return "" if address.is_loopback else group_prefix(address)


async def read_exactly(sock: socket.socket, size: int) -> bytes:
    """So many bytes of a socket that does not block; `EOFError` if fewer come."""
    loop, got = asyncio.get_running_loop(), bytearray()
    while len(got) < size:
        more = await loop.sock_recv(sock, size - len(got))
        if not more:
            raise EOFError
        got += more
    return bytes(got)
