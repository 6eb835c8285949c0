"""SOCKS5 (RFC 1928) for programs of this machine: CONNECT to IPv4, IPv6 and names, without a password.

Names are resolved at the provider. When no tunnel stands the answer is a refusal: nothing ever goes direct. UDP ASSOCIATE and BIND are
refused (reply 7): a stream carries TCP. What does not talk SOCKS is hung up on, in bounded time and memory, and not logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol

log = logging.getLogger(__name__)

TALK_S = 10.0
"""The longest that a program may take to say what it wants."""
MOST_CLIENTS = 4096
VERSION, NO_PASSWORD, NO_METHOD = 5, 0, 0xFF
CONNECT = 1
IPV4, NAME, IPV6 = 1, 3, 4
SUCCEEDED, FAILED, NOT_ALLOWED, HOST_UNREACHABLE, REFUSED, TIMED_OUT, NO_COMMAND, NO_ADDRESS_TYPE = 0, 1, 2, 4, 5, 6, 7, 8
REPLIES = {
    "ok": SUCCEEDED,
    "destination_refused": NOT_ALLOWED,
    "port_refused": NOT_ALLOWED,
    "destination_blocked": NOT_ALLOWED,
    "name_not_found": HOST_UNREACHABLE,
    "host_unreachable": HOST_UNREACHABLE,
    "connection_refused": REFUSED,
    "connect_timed_out": TIMED_OUT,
}
"""Codes of `wire.refusals`; every other one is a general failure."""
NOWHERE = bytes((IPV4, 0, 0, 0, 0, 0, 0))


class Carrier(Protocol):
    """What carries a program's stream: `consumer.carrying.Tunnel`."""

    async def carry(self, client: socket.socket, host: str, port: int, answered: Callable[[str], Awaitable[None]]) -> None: ...


class SocksError(Exception):
    """What the program says is not SOCKS5, or wants something else. reply: the code to answer with, if it will understand."""

    def __init__(self, reply: int | None) -> None:
        self.reply = reply
        super().__init__(reply)


class SocksServer:
    """Serves at host and port (0: any free one) while it is entered. tunnel_now: the tunnel that stands, if one does."""

    def __init__(self, host: str, port: int, tunnel_now: Callable[[], Carrier | None]) -> None:
        self._host, self._port, self._tunnel_now = host, port, tunnel_now
        self._sock: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The one that is bound."""
        return int(self._sock.getsockname()[1]) if self._sock is not None else self._port

    @property
    def clients(self) -> int:
        return max(0, len(self._tasks) - 1)

    async def __aenter__(self) -> SocksServer:
        """`OSError` if the port cannot be bound."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._sock = socket.create_server((self._host, self._port), family=family, backlog=256)
        self._sock.setblocking(False)
        self._start(self._accept(self._sock))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._sock is not None:
            self._sock.close()

    def _start(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(sock)
            except OSError as error:
                log.warning("a program's connection could not be accepted: %s", error.strerror)
                await asyncio.sleep(0.1)
                continue
            if self.clients >= MOST_CLIENTS:
                client.close()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        async def answer(code: str) -> None:
            await loop.sock_sendall(client, bytes((VERSION, REPLIES.get(code, FAILED), 0)) + NOWHERE)

        try:
            try:
                async with asyncio.timeout(TALK_S):
                    host, port = await _wish(client)
            except SocksError as error:
                if error.reply is not None:
                    await loop.sock_sendall(client, bytes((VERSION, error.reply, 0)) + NOWHERE)
                    client.shutdown(socket.SHUT_WR)
                    client.recv(65_536)  # what is unread at the end would turn it into a reset, and the reply be lost
                return
            tunnel = self._tunnel_now()
            if tunnel is None:
                await answer("no_tunnel")
            else:
                await tunnel.carry(client, host, port, answer)
        except (OSError, TimeoutError, EOFError):  # the program is gone, or says nothing
            return
        finally:
            with contextlib.suppress(OSError):
                client.close()


async def _wish(client: socket.socket) -> tuple[str, int]:
    """The greeting and the request; not a byte beyond them is read. `SocksError` for what is neither."""
    version, count = await _exactly(client, 2)
    if version != VERSION:
        raise SocksError(None)
    methods = await _exactly(client, count)
    chosen = NO_PASSWORD if NO_PASSWORD in methods else NO_METHOD
    await asyncio.get_running_loop().sock_sendall(client, bytes((VERSION, chosen)))
    if chosen == NO_METHOD:
        raise SocksError(None)
    version, command, _, kind = await _exactly(client, 4)
    if version != VERSION:
        raise SocksError(FAILED)
    if kind == IPV4:
        host = str(ipaddress.IPv4Address(await _exactly(client, 4)))
    elif kind == IPV6:
        host = str(ipaddress.IPv6Address(await _exactly(client, 16)))
    elif kind == NAME:
        name = await _exactly(client, (await _exactly(client, 1))[0])
        if not name or not name.isascii():
            raise SocksError(HOST_UNREACHABLE)
        host = name.decode()
    else:
        raise SocksError(NO_ADDRESS_TYPE)
    port = int.from_bytes(await _exactly(client, 2))
    if command != CONNECT:
        raise SocksError(NO_COMMAND)
    return host, port


async def _exactly(client: socket.socket, size: int) -> bytes:
    loop, got = asyncio.get_running_loop(), b""
    while len(got) < size:
        more = await loop.sock_recv(client, size - len(got))
        if not more:
            raise EOFError
        got += more
    return got
