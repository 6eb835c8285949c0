"""The connected providers as matchmaking sees them. Pure.

Whether a provider is connected, and where, is worked out once, and again only when it, the slot, or what the resolver goes by has changed:
anyone may ask, and a question must not cost a look at every report of every provider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chain.types import Address
from resolver.location import refutations
from resolver.pool import CONNECTED, Entry, expires_ms, standing
from resolver.terms import Terms
from wire.geography import Spot


@dataclass(frozen=True, slots=True)
class Listed:
    """A connected provider. region: the one it claims, empty if it claims none or if that is refuted. rtts: the minimum round trips that
    masters report, microseconds."""

    entry: Entry
    region: str
    rtts: Mapping[Address, int]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What an entry is worth from `since` to before `until`, UTC seconds. listed: None for one that is not connected."""

    entry: Entry
    since: float
    until: float
    state: str
    listed: Listed | None


class Market:
    """Remembers one judgement for each entry."""

    def __init__(self) -> None:
        self._judged: dict[Address, _Judged] = {}
        self._by: tuple[Terms, Mapping[Address, Spot]] | None = None

    def listed(self, entries: Mapping[Address, Entry], terms: Terms, places: Mapping[Address, Spot], now: float) -> Iterator[Listed]:
        """Those connected at `now`, in the order of `entries`."""
        return (one.listed for one in self._all(entries, terms, places, now) if one.listed is not None)

    def states(self, entries: Mapping[Address, Entry], terms: Terms, places: Mapping[Address, Spot], now: float) -> Iterator[str]:
        """The state of each at `now`, in the order of `entries`."""
        return (one.state for one in self._all(entries, terms, places, now))

    def _all(self, entries: Mapping[Address, Entry], terms: Terms, places: Mapping[Address, Spot], now: float) -> Iterator[_Judged]:
        if self._by != (terms, places):
            self._by = terms, places
            self._judged.clear()
        for provider, entry in tuple(entries.items()):
            known = self._judged.get(provider)
            if known is None or known.entry is not entry or not known.since <= now < known.until:
                known = self._judged[provider] = _judge(entry, terms, places, now)
            yield known

    def forget(self, provider: Address) -> None:
        """The entry is gone."""
        self._judged.pop(provider, None)


def _judge(entry: Entry, terms: Terms, places: Mapping[Address, Spot], now: float) -> _Judged:
    found, presence = standing(entry, terms, now), entry.presence
    turns = (expires_ms(presence, terms) / 1000, float(presence.grace_until), float(terms.next_slot_begin(now)))
    until = min(turn for turn in turns if turn > now)
    if found.state != CONNECTED:
        return _Judged(entry, now, until, found.state, None)
    region = "" if refutations(presence, found.masters, places) else presence.region
    rtts = {held.signed.message.master: held.signed.message.rtt_min_us for held in entry.reports}
    return _Judged(entry, now, until, found.state, Listed(entry, region, rtts))
