"""A provider's door, and the way to a tunnel: reached, proven, timed, asked for its price, and gone through.

ProviderFailed        Recoverable: the provider does not answer, breaks off, or is not who it should be; another one may do
`wire.refusals.Refused`: the provider answers, and refuses; `code` says why

Neither names a host.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from chain.errors import CodecError, Recoverable
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed, sign, verify
from chain.types import Address
from consumer.carrying import Line
from consumer.carrying import Tunnel as Tunnel
from consumer.store import Store
from runtime.clock import Clock
from wire.messages import Offer, SessionRequest, UsageReceipt
from wire.refusals import TABLE, Refused
from wire.relay import CALL, opening
from wire.secure import TALK_S, Channel, ChannelError, connect
from wire.sessions import check_offer
from wire.tls import BindingError, client_context, make_identity, peer_address
from wire.tunnel import ACCEPTANCE, OFFER, OPENED, PING, PONG, REFUSAL, REQUEST, Beat

IDENTITY_S = 30 * 86_400
PINGS = 4
COVER_S = 20.0
"""The longest that a provider may take to have a session covered."""


class ProviderFailed(Recoverable):
    """This provider is of no use at present."""


@dataclass(frozen=True, slots=True)
class Dialler:
    """Opens proven connections to one provider. relayed: host and port are a relay's, which is told whom the connection is for."""

    provider: Address
    host: str = field(repr=False)
    port: int = field(repr=False)
    local_host: str | None = field(repr=False)
    context: ssl.SSLContext
    domain: Domain
    clock: Clock
    relayed: bool = False

    async def open(self) -> Channel:
        """A connection whose certificate proves the provider; `ProviderFailed` otherwise."""
        try:
            said = opening(CALL, self.provider) if self.relayed else b""
            channel = await connect(self.host, self.port, self.local_host, self.context, opening=said)
        except ChannelError as error:
            raise ProviderFailed(f"{self.provider} cannot be reached: {error}") from error
        try:
            found = peer_address(channel.certificate, self.domain, self.clock.now())
        except BindingError as error:
            channel.close()
            raise ProviderFailed(f"{self.provider} does not prove who it is: {error}") from error
        if found != self.provider:
            channel.close()
            raise ProviderFailed(f"{self.provider} shows the certificate of {found}")
        return channel


class Door:
    """The control connection to a provider before a session. rtt_us: microseconds, the least of a few round trips over it."""

    def __init__(self, dialler: Dialler, channel: Channel, key: NodeKey, rules: Rules) -> None:
        self._dialler, self._channel, self._key, self._rules = dialler, channel, key, rules
        self._mine = True
        self.provider = dialler.provider
        self.rtt_us = 0

    async def time(self) -> int:
        """Measures `rtt_us` anew."""
        found = []
        for number in range(PINGS):
            began = time.perf_counter()
            await self._say(PING, Beat(number))
            _, beat = await self._hear(TALK_S, PONG)
            if beat.number != number:
                raise ProviderFailed(f"{self.provider} answers another ping than it was sent")
            found.append(time.perf_counter() - began)
        self.rtt_us = max(1, int(min(found) * 1_000_000))
        return self.rtt_us

    async def ask(self, request: Signed[SessionRequest]) -> Signed[Offer]:
        """The provider's offer, verified to be its own, for this request and within its price. It binds nobody yet."""
        await self._say(REQUEST, request)
        _, signed = await self._hear(TALK_S, OFFER)
        try:
            offer: Offer = verify(signed, self._dialler.domain)
        except CodecError as error:
            raise ProviderFailed(f"{self.provider} makes an offer that does not verify: {error.code}") from error
        if offer.provider != self.provider:
            raise ProviderFailed(f"{self.provider} makes an offer of {offer.provider}")
        check_offer(request.message, offer, self._dialler.domain)
        found: Signed[Offer] = signed
        return found

    async def accept(self, request: Signed[SessionRequest], offer: Signed[Offer], store: Store) -> Tunnel:
        """The session, open: from here on the interval is bound, and kept in the store before the provider hears of it.

        The tunnel outlives this door; end it with `close`.
        """
        clock, domain = self._dialler.clock, self._dialler.domain
        session_id = store.begin(request.message, offer.message, clock.now())
        nothing = UsageReceipt(self._key.address, session_id, 0, 0, 0, 0, 0, int(clock.now()))
        try:
            await self._say(ACCEPTANCE, sign(nothing, domain, self._key))
            _, opened = await self._hear(COVER_S, OPENED)
            if opened.session_id != session_id:
                raise ProviderFailed(f"{self.provider} opens another session than was agreed on")
        except BaseException as error:  # also a cancellation: nothing is used of the session, and its end is known
            reason = error.code if isinstance(error, Refused) else "provider_failed" if isinstance(error, ProviderFailed) else "stopped"
            store.end(session_id, reason, clock.now())
            raise
        self._mine = False
        line = Line(self._channel, self._dialler.open, self._key, domain, self._rules, clock, store, self.rtt_us)
        return Tunnel(line, request.message, offer.message, opened)

    def close(self) -> None:
        """Ends the connection, unless a tunnel has it."""
        if self._mine:
            self._channel.close(politely=True)

    async def _say(self, kind: int, message: Any) -> None:
        try:
            async with asyncio.timeout(TALK_S):
                await self._channel.send(kind, message)
        except (ChannelError, TimeoutError) as error:
            raise ProviderFailed(f"{self.provider} breaks off") from error

    async def _hear(self, seconds: float, kind: int) -> tuple[int, Any]:
        try:
            async with asyncio.timeout(seconds):
                heard, message = await self._channel.receive(kind, REFUSAL)
        except TimeoutError:
            raise ProviderFailed(f"{self.provider} does not answer in time") from None
        except ChannelError as error:
            raise ProviderFailed(f"{self.provider} breaks off: {error}") from error
        if heard == REFUSAL:
            raise Refused(message.code if message.code in TABLE else "internal", "so says the provider")
        return heard, message


@contextlib.asynccontextmanager
async def dial(
    provider: Address,
    host: str,
    port: int,
    key: NodeKey,
    domain: Domain,
    rules: Rules,
    clock: Clock,
    local_host: str | None = None,
    *,
    relayed: bool = False,
) -> AsyncIterator[Door]:
    """A door to `provider` at an IP address and port, proven and timed; closed at the end unless it was gone through.

    local_host: the source address of connections (None: any). relayed: the place is a relay's. Raises `ProviderFailed`.
    """
    identity = make_identity(key, domain, int(clock.now()) + IDENTITY_S)
    dialler = Dialler(provider, host, port, local_host, client_context(identity), domain, clock, relayed)
    door = Door(dialler, await dialler.open(), key, rules)
    try:
        await door.time()
        yield door
    finally:
        door.close()
