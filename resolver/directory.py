"""Which providers the resolver names in DNS: connected at this very moment, opted in, and reached directly.

DNS has no word for a relay, and at its address the provider does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.types import Address
from resolver.dns import Published
from resolver.pool import Entry
from resolver.service import Resolver
from runtime.clock import Clock

LISTING_LIFE_S = 1.0
"""How long a list of whom to look at is used, so that a flood of questions does not walk the pool each time."""

MOST_LOOKED_AT = 64


class PoolDirectory:
    """A `dns.Directory` over the pool. Lists of candidates may be a second old; whether one is connected is asked each time."""

    def __init__(self, resolver: Resolver, clock: Clock) -> None:
        self._resolver, self._clock = resolver, clock
        self._by_region: dict[str, list[Address]] = {}
        self._listed_at = -LISTING_LIFE_S

    def find(self, provider: Address) -> Published | None:
        """See `dns.Directory`."""
        entry = self._resolver.connected_entry(provider)
        return self._published(entry) if entry is not None and _is_named(entry) else None

    def draw(self, region: str, start: int, most: int) -> Sequence[Published]:
        """See `dns.Directory`."""
        candidates = self._candidates(region)
        drawn: list[Published] = []
        for offset in range(min(len(candidates), MOST_LOOKED_AT)):
            found = self.find(candidates[(start + offset) % len(candidates)])
            if found is not None:
                drawn.append(found)
            if len(drawn) == most:
                break
        return drawn

    def _candidates(self, region: str) -> list[Address]:
        now = self._clock.now()
        if not 0 <= now - self._listed_at < LISTING_LIFE_S:
            self._by_region, self._listed_at = {"": []}, now
            for one in self._resolver.listed(now):
                if _is_named(one.entry):
                    self._by_region[""].append(one.entry.provider)
                    if one.region:
                        self._by_region.setdefault(one.region, []).append(one.entry.provider)
        return self._by_region.get(region, [])

    def _published(self, entry: Entry) -> Published:
        return Published(entry.provider, entry.presence.host, entry.presence.port, self._resolver.remaining_s(entry))


def _is_named(entry: Entry) -> bool:
    return entry.presence.dns and not entry.presence.is_relayed
