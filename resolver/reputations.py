"""The reputations that matches are ranked by: as the active root has them, by leaves that were verified, whoever showed them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from chain.client import ChainClient
from chain.types import ZERO_DIGEST, Address, Digest
from resolver.service import Resolver
from runtime.clock import Clock
from wire.active import ActiveReputations
from wire.http import Client
from wire.ranking import Reputation

log = logging.getLogger(__name__)

MOST_LEAVES = 16
"""Asked for in one step, at once."""
AGAIN_S = 30.0
"""Before a provider whose leaf nobody proved is asked for again."""


@dataclass(frozen=True, slots=True)
class _Known:
    """root: which it was verified against; zero for what was pushed on chain, and for nothing. again: not asked for before that second."""

    reputation: Reputation | None = None
    root: Digest = ZERO_DIGEST
    again: float = 0.0


class ReputationReader:
    """Keeps the reputations of connected providers by asking for a few leaves at a time, and for all again once another root is active.

    What cannot be verified stays as it was last verified, with the epoch of then; else it is what somebody pushed on chain; else the prior
    holds. Memory: one entry for each connected provider.
    """

    def __init__(self, chain: ChainClient, client: Client, clock: Clock, resolver: Resolver) -> None:
        self._chain, self._clock, self._resolver = chain, clock, resolver
        self._active = ActiveReputations(chain, client, clock)
        self._known: dict[Address, _Known] = {}
        self._root = ZERO_DIGEST

    async def read_some(self) -> None:
        """Asks for the next ones, those known of the oldest root first, and hands all to the resolver. Raises as reads of the chain do."""
        record, validators = await self._active.root()
        self._root = record.root
        connected = sorted(entry.provider for entry in self._resolver.connected())
        self._known = {provider: self._known.get(provider, _Known()) for provider in connected}
        if any(record.root):
            now = self._clock.now()
            waiting = [one for one, known in self._known.items() if known.root != record.root and known.again <= now]
            waiting.sort(key=self._age)
            found = await asyncio.gather(*(self._active.of(one, record, validators) for one in waiting[:MOST_LEAVES]))
            for provider, reputation in zip(waiting, found, strict=False):
                if reputation is not None:
                    self._known[provider] = _Known(reputation, record.root)
                else:
                    kept = self._known[provider].reputation or await self._pushed(provider)
                    self._known[provider] = replace(self._known[provider], reputation=kept, again=self._clock.now() + AGAIN_S)
        reputations = {one: known.reputation for one, known in self._known.items() if known.reputation is not None}
        self._resolver.surroundings = replace(self._resolver.surroundings, reputations=reputations)

    def counts(self) -> dict[str, int]:
        """Connected providers whose reputation is verified against the active root, and the others."""
        verified = sum(known.root == self._root and any(known.root) for known in self._known.values())
        return {"verified": verified, "waiting": len(self._known) - verified}

    def _age(self, provider: Address) -> tuple[float, int]:
        known = self._known[provider]
        return known.again, known.reputation.epoch if known.reputation is not None else 0

    async def _pushed(self, provider: Address) -> Reputation | None:
        ppm, epoch = await self._chain.settlement.reputation_of(provider, await self._chain.final())
        return Reputation(ppm, epoch) if epoch else None
