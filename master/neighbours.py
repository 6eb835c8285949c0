"""The relays of the masters that the chain lists, this one's own among them, and the way through them."""

from __future__ import annotations

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
        self._finder = RelayFinder(client, clock)
        self._view: ChainView | None = None
        self._read_at = 0.0

    async def find(self, master: Address) -> RelayPlace | None:
        """Its relay; None if it is not listed, runs none, or has not answered yet."""
        view = await self._listed()
        listing = next((listing for listing in view.masters() if listing.account == master), None) if view is not None else None
        return await self._finder.find(listing.account, listing.endpoint) if listing is not None else None

    async def dial(self, place: RelayPlace, provider: Address, now: float) -> Verdict:
        return await self._dialer.dial_relay(place, provider, now)

    async def _listed(self) -> ChainView | None:
        if self._view is None or self._clock.now() - self._read_at >= self._fresh_s:
            try:
                self._view = await self._chain.view()
            except (RpcError, Recoverable) as error:
                log.warning("the chain cannot be read, so what it listed last serves: %s", error)
            self._read_at = self._clock.now()
        return self._view
