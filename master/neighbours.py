"""What the chain says of others: the relays of the masters that it lists, this one's own among them, the way through them, and which
providers are registered."""

from __future__ import annotations

import asyncio
import logging

from chain.backend import RpcError
from chain.client import ChainClient
from chain.errors import Recoverable
from chain.types import Address
from chain.view import ChainView
from master.dialback import Dialer, Verdict
from runtime.clock import Clock
from wire.http import Client
from wire.relays import RelayFinder, RelayPlace

log = logging.getLogger(__name__)


class Neighbours:
    """See `master.checks.Relays`. fresh_s: how old the list on chain may be."""

    def __init__(self, chain: ChainClient, client: Client, clock: Clock, dialer: Dialer, fresh_s: float) -> None:
        self._chain, self._clock, self._dialer, self._fresh_s = chain, clock, dialer, fresh_s
        self._finder = RelayFinder(client, clock, chain.network.rules)
        self._reading = asyncio.Lock()
        self._view: ChainView | None = None
        self._read_at = 0.0

    async def find(self, master: Address) -> RelayPlace | None:
        """Its relay; None if it is not listed, runs none, or has not answered yet."""
        view = await self._listed()
        listing = next((listing for listing in view.masters() if listing.account == master), None) if view is not None else None
        return await self._finder.find(listing.account, listing.endpoint) if listing is not None else None

    async def dial(self, place: RelayPlace, provider: Address, now: float) -> Verdict:
        return await self._dialer.dial_relay(place, provider, now)

    async def look(self) -> None:
        """Looks at the chain, if that is due."""
        await self._listed()

    def is_registered(self, provider: Address) -> bool:
        """Whether a provider is registered on chain, as last looked at."""
        return self._view is not None and provider in self._view.registrations

    async def _listed(self) -> ChainView | None:
        async with self._reading:  # many may ask at once, and anyone may: the chain is read once for all of them
            if self._clock.now() - self._read_at >= self._fresh_s:
                try:
                    self._view = await self._chain.view()
                except (RpcError, Recoverable) as error:
                    log.warning("the chain cannot be read, so what it listed last serves: %s", error)
                self._read_at = self._clock.now()
            return self._view
