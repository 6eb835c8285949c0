"""The candidates' reputations as the active root has them, looked up by the consumer itself while it knocks: a resolver's word is only
taken where no validator proves a leaf in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chain.client import ChainClient
from chain.errors import ChainError, Recoverable
from chain.types import Address, Digest
from runtime.clock import Clock
from wire.active import ActiveReputations
from wire.http import Client
from wire.ranking import Reputation

MOST_KEPT = 256
"""Reputations kept of the active root."""


class Reputations:
    """Verified ones, by provider. `verified` is filled while `verify` runs, so that whoever does not wait for its end has what there is."""

    def __init__(self, chain: ChainClient, client: Client, clock: Clock) -> None:
        self._active = ActiveReputations(chain, client, clock)
        self._root: Digest | None = None
        self.verified: dict[Address, Reputation] = {}

    async def verify(self, providers: Sequence[Address]) -> None:
        """Looks up those that are not known of the root that is active now. Ends quietly if the chain does not answer."""
        try:
            record, validators = await self._active.root()
        except (ChainError, Recoverable):  # whatever it is, the resolver's word is there
            return
        if record.root != self._root or len(self.verified) > MOST_KEPT:
            self._root, self.verified = record.root, {}
        if not any(record.root):
            return
        verified = self.verified

        async def look_up(provider: Address) -> None:
            found = await self._active.of(provider, record, validators)
            if found is not None:
                verified[provider] = found

        await asyncio.gather(*(look_up(one) for one in providers if one not in verified))
