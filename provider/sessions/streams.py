"""A session's streams at the provider: each joins, asks for a destination, is connected to what the policy allows, and carries.

A connection whose stream has ended in order may ask for the next one. What is asked for is kept nowhere and told to nobody; refusals are
counted by code.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chain.types import Address, Digest
from provider.sessions.egress import Destination, Policy, Resolver, choose
from provider.sessions.metering import SessionMeter
from wire.addresses import IPAddress
from wire.handover import handed_over
from wire.refusals import Refused
from wire.secure import Channel
from wire.splice import ENDED, STOPPED, Splice
from wire.tunnel import ANSWERED, OK, OPEN, Answered, Join

CONNECT_S = 10.0
MOST_CONNECTING = 32
"""Connects of one session that are under way."""

Places = Callable[[], Awaitable[tuple[frozenset[IPAddress], frozenset[IPAddress]]]]
"""Gives this machine's own addresses, and those of listed roles."""


@dataclass(slots=True)
class Session:
    """A session that is being served. certificate: the consumer's, DER. ending: the code that it is about to end with, if it is. said_at:
    the UTC second of what was said last; a clock that is set back does not make statements fall."""

    session_id: Digest
    consumer: Address
    certificate: bytes = field(repr=False)
    token: Digest = field(repr=False)
    meter: SessionMeter
    channels: set[Channel] = field(default_factory=set)
    splices: set[Splice] = field(default_factory=set)
    connecting: int = 0
    ending: str = ""
    said_at: float = 0.0

    def end(self, code: str) -> None:
        """Nothing more is read; the first code counts. What was read is handed on, and its streams end in a reset; those who attend to the
        session see to the rest."""
        if not self.ending:
            self.ending = code
            for splice in tuple(self.splices):
                splice.read_no_more()

    def stop(self) -> None:
        """Nothing more is carried; after `end`."""
        for splice in tuple(self.splices):
            splice.stop()
        for channel in tuple(self.channels):
            channel.close()
        self.channels.clear()


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """per_session, total: connections, spare ones included."""

    per_session: int = 256
    total: int = 4096


class Streams:
    """All streams of a provider. local_host: the source address of connections where it can be one."""

    def __init__(self, policy: Policy, limits: StreamLimits, places: Places, local_host: str) -> None:
        self._policy, self._limits, self._places = policy, limits, places
        self._resolver = Resolver()
        self._local = ipaddress.ip_address(local_host)
        self.refused: Counter[str] = Counter()
        self.opened = self.live = self.joined = 0

    def close(self) -> None:
        self._resolver.close()

    async def serve(self, channel: Channel, session: Session | None, join: Join, proven: Callable[[], Address]) -> None:
        """Serves a connection that asked to join, until it or its session ends. proven: whom its certificate proves."""
        try:
            self._admit(channel, session, join, proven)
        except Refused as refused:
            self.refused[refused.code] += 1
            await channel.send(ANSWERED, Answered(refused.code))
            return
        if session is None:
            return
        session.channels.add(channel)
        self.joined += 1
        try:
            await channel.send(ANSWERED, Answered(OK))
            while not session.ending and await self._one(channel, session):
                pass
        finally:
            self.joined -= 1
            session.channels.discard(channel)

    def _admit(self, channel: Channel, session: Session | None, join: Join, proven: Callable[[], Address]) -> None:
        if session is None or not hmac.compare_digest(session.token, join.token):
            raise Refused("unknown_session")
        if channel.certificate != session.certificate and proven() != session.consumer:
            raise Refused("unknown_session")
        if session.ending:
            raise Refused("session_closed")
        if len(session.channels) >= self._limits.per_session:
            raise Refused("too_many_streams")
        if self.joined >= self._limits.total:
            raise Refused("busy")

    async def _one(self, channel: Channel, session: Session) -> bool:
        """One stream from its question to its end; whether the connection can carry another."""
        _, question = await channel.receive(OPEN)
        try:
            if session.connecting >= MOST_CONNECTING:
                raise Refused("too_many_streams")
            session.connecting += 1
            try:
                plain = await self._reach(question.host, question.port)
            finally:
                session.connecting -= 1
        except Refused as refused:
            self.refused[refused.code] += 1
            await channel.send(ANSWERED, Answered(refused.code))
            return True
        splice: Splice | None = None
        try:
            await channel.send(ANSWERED, Answered(OK))
            if session.ending:
                return False
            splice = Splice(plain, channel.sock, session.meter)
            session.splices.add(splice)
            self.opened += 1
            self.live += 1
            splice.start()
            outcome = await splice.done
            if outcome == STOPPED:
                await handed_over(plain, channel.sock)
            elif outcome != ENDED:
                await handed_over(plain)
            return outcome == ENDED
        finally:
            if splice is not None:
                self.live -= 1
                splice.stop()
                session.splices.discard(splice)
            plain.close()

    async def _reach(self, host: str, port: int) -> socket.socket:
        """A connection to the destination; `Refused` otherwise, without naming it."""
        self._policy.check_port(port)
        self._policy.check_name(host)
        found = await self._resolver.addresses(host, port)
        own, roles = await self._places()
        return await self._connect(choose(self._policy, found, port, own, roles))

    async def _connect(self, to: Destination) -> socket.socket:
        plain = socket.socket(socket.AF_INET6 if to.address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
        try:
            plain.setblocking(False)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            local = self._local
            if local.version == to.address.version and not local.is_unspecified and local.is_loopback == to.address.is_loopback:
                plain.bind((str(local), 0))
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().sock_connect(plain, (str(to.address), to.port))
        except TimeoutError:
            plain.close()
            raise Refused("connect_timed_out") from None
        except ConnectionRefusedError:
            plain.close()
            raise Refused("connection_refused") from None
        except OSError:
            plain.close()
            raise Refused("host_unreachable") from None
        except BaseException:
            plain.close()
            raise
        return plain
