"""A TLS connection to await: handshake, messages, and an end. Streams' data does not go this way, see `wire.splice`.

ChannelError              Recoverable: the connection is of no more use
├── ChannelClosed         the other end has closed it, or it broke
└── ChannelMisused        what came is no message that belongs there; `code` is one of `wire.refusals`

No sentence here names an address. It is the standard library's own `SSLSocket`, without blocking, and not asyncio's TLS, which keeps
256 KiB of buffers a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from chain.errors import CodecError, Recoverable
from wire.tunnel import HEADER, MOST_MESSAGE, frame, parse_header, read_message

TALK_S = 5.0
"""The longest that one end waits for a word of the other that it needs to give no thought to."""
_CUT = (OSError, ValueError)
"""What a broken connection raises; the second once it is closed here."""


class ChannelError(Recoverable):
    """Base of what a connection can end in."""


class ChannelClosed(ChannelError):
    """Nothing more comes, and nothing more arrives."""


class ChannelMisused(ChannelError):
    """The other end says what does not belong there."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code}: {detail}")


class Channel:
    """One end of a TLS connection. At any time one task may wait for its input and one for its output.

    `receive` may be cancelled between and within messages: the next call goes on where it was.
    """

    __slots__ = ("_fd", "_got", "_loop", "_need", "_open", "_waits", "_writing", "sock")

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock, self._fd = sock, sock.fileno()
        self._loop = asyncio.get_running_loop()
        self._got, self._need = bytearray(), HEADER
        self._open = True
        self._writing: asyncio.Lock | None = None
        self._waits: set[asyncio.Future[None]] = set()

    async def handshake(self) -> None:
        """`ChannelClosed` if it fails."""
        await self._repeat(self.sock.do_handshake)

    @property
    def certificate(self) -> bytes | None:
        """The other end's, DER, for `wire.tls.peer_address`."""
        with contextlib.suppress(*_CUT):
            return self.sock.getpeercert(binary_form=True)
        return None

    async def send(self, kind: int, message: Any) -> None:
        """Sends a message; `ChannelClosed` if it cannot be sent."""
        data = memoryview(frame(kind, message))
        if self._writing is None:
            self._writing = asyncio.Lock()
        async with self._writing:
            while data:
                data = data[await self._repeat(partial(self.sock.send, data)) :]

    async def receive(self, *kinds: int) -> tuple[int, Any]:
        """The next message and its kind, which is one of `kinds`. `ChannelClosed`, or `ChannelMisused` if it is another."""
        while True:
            while len(self._got) < self._need:
                more = await self._repeat(lambda: self.sock.recv(self._need - len(self._got)))
                if not more:
                    raise ChannelClosed("the other end has closed the connection")
                self._got += more
            kind, length = parse_header(self._got)
            if kind not in kinds:
                raise ChannelMisused("malformed_json", f"a frame of kind {kind} does not belong here")
            if length > MOST_MESSAGE:
                raise ChannelMisused("body_too_large", f"a message has at most {MOST_MESSAGE} bytes")
            self._need = HEADER + length
            if len(self._got) == self._need:
                break
        content = bytes(self._got[HEADER:])
        self._got, self._need = bytearray(), HEADER
        try:
            return kind, read_message(kind, content)
        except CodecError as error:
            raise ChannelMisused(error.code, error.detail) from error

    def close(self, *, politely: bool = False) -> None:
        """Ends it, both ways; whoever waits for it gets `ChannelClosed`. politely: with TLS's own word of goodbye."""
        if not self._open:
            return
        self._open = False
        if politely:
            with contextlib.suppress(*_CUT):
                self.sock.unwrap()
        with contextlib.suppress(*_CUT):
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
        self.sock.close()
        for wait in self._waits:
            _set(wait)

    async def _repeat(self, call: Callable[[], Any]) -> Any:
        """What `call` gives, once the connection lets it."""
        while True:
            if not self._open:
                raise ChannelClosed("the connection was closed")
            try:
                return call()
            except ssl.SSLWantReadError:
                await self._ready(writing=False)
            except ssl.SSLWantWriteError:
                await self._ready(writing=True)
            except _CUT as error:
                raise ChannelClosed(f"the connection broke ({type(error).__name__})") from error

    async def _ready(self, *, writing: bool) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        add, remove = (self._loop.add_writer, self._loop.remove_writer) if writing else (self._loop.add_reader, self._loop.remove_reader)
        add(self._fd, _set, ready)
        self._waits.add(ready)
        try:
            await ready
        finally:
            self._waits.discard(ready)
            if self._open:
                remove(self._fd)


async def connect(
    host: str, port: int, local_host: str | None, context: ssl.SSLContext, timeout_s: float = TALK_S, opening: bytes = b""
) -> Channel:
    """A connection with its handshake done, to an IP address; `ChannelClosed` if there is none in time. opening: sent in the clear before
    the handshake, as a relay expects it."""
    loop = asyncio.get_running_loop()
    plain = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        plain.setblocking(False)
        if local_host:
            plain.bind((local_host, 0))
        async with asyncio.timeout(timeout_s):
            await loop.sock_connect(plain, (host, port))
            if opening:
                await loop.sock_sendall(plain, opening)
            channel = wrap(plain, context, server_side=False)
            try:
                await channel.handshake()
            except BaseException:
                channel.close()
                raise
            return channel
    except TimeoutError:
        plain.close()
        raise ChannelClosed("no connection came about in time") from None
    except OSError as error:
        plain.close()
        raise ChannelClosed(f"no connection came about ({type(error).__name__})") from error
    except BaseException:
        plain.close()
        raise


def wrap(plain: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> Channel:
    """A channel over a connected socket, before its handshake."""
    plain.setblocking(False)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Channel(context.wrap_socket(plain, server_side=server_side, do_handshake_on_connect=False))


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
