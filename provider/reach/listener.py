"""The announced port: proves the node key to whoever dials back, and hands on whoever shows a certificate of its own.

The TLS handshake costs a signature, so handshakes under way are bounded, in all and for each prefix, and timed out; whoever comes beyond
is cut off at once. Nothing is read or kept of what a stranger without a certificate sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from chain.keys import NodeKey
from chain.typed import Domain
from runtime.clock import Clock
from wire.connections import accepted
from wire.secure import Channel, ChannelError, wrap
from wire.tls import make_identity, server_context

log = logging.getLogger(__name__)

MOST_HANDSHAKES = 64
MOST_OF_ONE_PREFIX = 8
MOST_RELAYED = 32
"""Handshakes of connections that come through a relay. They have no prefix to be told apart by, so the oldest gives way to one more: who is
honest needs two round trips, and who opens connections and says nothing keeps nobody else out."""
RELAYED = "relay"
"""What stands for the prefix of a connection that comes through a relay: whose it is nobody tells."""
MOST_CONNECTIONS = 8192
"""With a certificate, that are being attended to."""
HANDSHAKE_S = 5.0
IDENTITY_S = 30 * 86_400
RENEW_S = 15 * 86_400


class Listener:
    """Answers handshakes on one bound socket; see `listening`."""

    def __init__(self, sock: socket.socket, key: NodeKey, domain: Domain, clock: Clock, handshake_s: float) -> None:
        self._sock, self._key, self._domain, self._clock, self._handshake_s = sock, key, domain, clock, handshake_s
        self._renew()
        self.attend: Callable[[Channel], Awaitable[None]] | None = None
        """Whom connections with a certificate are handed to; it closes them. Nobody at first: they are closed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._shaking: dict[asyncio.Task[None], str] = {}  # the prefixes of handshakes under way, the oldest first

    @property
    def port(self) -> int:
        port: int = self._sock.getsockname()[1]
        return port

    @property
    def under_way(self) -> int:
        """Handshakes that have begun and not ended."""
        return len(self._shaking)

    async def accept(self) -> None:
        """Takes connections until it is cancelled."""
        async for connection, prefix in accepted(self._sock, self._clock):
            of = Counter(self._shaking.values())
            if of.total() - of[RELAYED] >= MOST_HANDSHAKES or of[prefix] >= MOST_OF_ONE_PREFIX:
                connection.close()
                continue
            self._begin(connection, prefix)

    def take(self, connection: socket.socket) -> None:
        """A connection that a caller made through a relay; it is closed here."""
        relayed = [task for task, prefix in self._shaking.items() if prefix == RELAYED]
        if len(relayed) >= MOST_RELAYED:
            del self._shaking[relayed[0]]
            relayed[0].cancel()
        self._begin(connection, RELAYED)

    def _begin(self, connection: socket.socket, prefix: str) -> None:
        task = asyncio.get_running_loop().create_task(self._handshake(connection))
        self._shaking[task] = prefix
        self._tasks.add(task)
        # Also if it was cancelled before it began.
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._shaking.pop(task, None))
        task.add_done_callback(lambda _: connection.close())

    async def close(self) -> None:
        """Ends handshakes under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _handshake(self, connection: socket.socket) -> None:
        if self._clock.now() >= self._renew_at:
            self._renew()
        channel: Channel | None = None
        try:
            try:
                channel = wrap(connection, self._context, server_side=True)
                async with asyncio.timeout(self._handshake_s):
                    await channel.handshake()
            finally:
                if (task := asyncio.current_task()) is not None:
                    self._shaking.pop(task, None)
            if self.attend is not None and channel.certificate is not None and len(self._tasks) <= MOST_CONNECTIONS:
                await self.attend(channel)
        except (OSError, ChannelError, TimeoutError) as error:
            log.debug("a handshake ended with %s", type(error).__name__)
        finally:
            if channel is None:
                connection.close()
            else:
                channel.close(politely=True)

    def _renew(self) -> None:
        now = self._clock.now()
        self._context = server_context(make_identity(self._key, self._domain, int(now) + IDENTITY_S))
        self._renew_at = now + RENEW_S


@contextlib.asynccontextmanager
async def listening(
    host: str, port: int, key: NodeKey, domain: Domain, clock: Clock, handshake_s: float = HANDSHAKE_S
) -> AsyncIterator[Listener]:
    """A listener on host and port (0: any free one), closed at the end. `OSError` if it cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=128) as sock:
        sock.setblocking(False)
        listener = Listener(sock, key, domain, clock, handshake_s)
        accepting = asyncio.create_task(listener.accept())
        try:
            yield listener
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            await listener.close()
