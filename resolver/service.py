"""What the resolver does with each message once its bytes are parsed: verify, judge, write to disk, then remember and answer.

Everything here is synchronous: between the judgement of a message and its row on disk nothing else happens.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace

from chain.keys import NodeKey
from chain.typed import Domain, Signed, digest_of, sign, verify
from chain.types import ZERO_ADDRESS, Address
from chain.view import Deposit
from resolver.estimates import estimate, estimate_relayed
from resolver.latency import check_batch, is_confirmed, next_try
from resolver.location import location_code, refutations
from resolver.market import Listed, Market
from resolver.matching import Candidate, rank
from resolver.pending import PendingPool, check_deposit
from resolver.pool import (
    CONNECTED,
    LEFT,
    Entry,
    announce,
    expires_ms,
    heartbeat,
    leave,
    may_be_forgotten,
    settle,
    standing,
    take_reports,
)
from resolver.store import PoolStore
from resolver.terms import Terms
from resolver.tickets import EpochUptime, open_uptime, ticket_for
from runtime.clock import Clock
from wire.answers import Matches, MatchQuery, PoolAnswer, PoolView, ProviderView, ReportBatch
from wire.geography import Spot
from wire.messages import Announcement, Heartbeat, Leaving, UptimeTicket
from wire.ranking import Reputation
from wire.refusals import Refused
from wire.relays import RelayPlace
from wire.sessions import check_request

log = logging.getLogger(__name__)

MOST_HINTS = 256
"""Round trips, and providers left out, in one query."""
MOST_LOOKS = 10
"""Looks at the market in one second, of all that ask: nobody needs a deposit for them, and each reads the whole pool."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the resolver knows from elsewhere. registered: providers; reputations: without an entry the prior holds; deposits: of
    consumers, at the newest final block; places: where masters say they are."""

    terms: Terms
    registered: Container[Address]
    reputations: Mapping[Address, Reputation]
    deposits: Mapping[Address, Deposit] = field(default_factory=dict)
    places: Mapping[Address, Spot] = field(default_factory=dict)


class Resolver:
    """The pool of one resolver, written through to its store.

    `capacity` bounds its entries. Providers that are not registered on chain get at most half of them, so a flood of strangers
    leaves room for those who put up a bond. `surroundings` is replaced whole whenever the chain says something new.
    """

    def __init__(self, key: NodeKey, domain: Domain, store: PoolStore, clock: Clock, surroundings: Surroundings, capacity: int) -> None:
        self._key, self._domain, self._store, self._clock, self._capacity = key, domain, store, clock, capacity
        self._entries: dict[Address, Entry] = store.load()
        self._tickets: dict[tuple[Address, int], tuple[EpochUptime, Signed[UptimeTicket]]] = {}
        self.surroundings = surroundings
        self.pending = PendingPool()
        self._market = Market()
        self._looks = (0, 0)

    @property
    def address(self) -> Address:
        return self._key.address

    @property
    def entries(self) -> Mapping[Address, Entry]:
        """By provider, as last settled: for the state at a moment ask `standing`."""
        return self._entries

    # what providers say

    def announce(self, signed: Signed[Announcement], relay: RelayPlace | None = None) -> PoolAnswer:
        """Raises `SignatureError` or `Refused`; then nothing is stored. So do the next three. relay: where the named one is, or None:
        reports say which way masters came and not where to, so without it consumers could be sent to any address in the world."""
        message, now = verify(signed, self._domain), self._clock.now()
        if message.relay != ZERO_ADDRESS and relay != RelayPlace(message.relay, message.host, message.port):
            raise Refused("not_a_relay", evidence={"relay": message.relay, "port": str(message.port)}, next_try=int(now) + 1)
        known = self._entries.get(message.provider)
        entry = announce(known, message, self.surroundings.terms, now)
        if known is None:
            self._require_place(message.provider, now)
        return self._keep(entry, now)

    def heartbeat(self, signed: Signed[Heartbeat]) -> PoolAnswer:
        message, now = verify(signed, self._domain), self._clock.now()
        return self._keep(heartbeat(self._entries.get(message.provider), message, self.surroundings.terms, now), now)

    def leave(self, signed: Signed[Leaving]) -> PoolAnswer:
        message, now = verify(signed, self._domain), self._clock.now()
        return self._keep(leave(self._entries.get(message.provider), message, self.surroundings.terms, now), now)

    def take_reports(self, batch: ReportBatch) -> PoolAnswer:
        terms, now = self.surroundings.terms, self._clock.now()
        provider = check_batch(batch.reports, terms, now)
        known = self._entries.get(provider)
        entry = take_reports(known, batch.reports, terms, now)
        for report in entry.reports:  # only what would be kept is worth the curve's arithmetic
            if known is None or report not in known.reports:
                verify(report.signed, self._domain)
        return self._keep(entry, now)

    # what anyone may ask

    def match(self, query: MatchQuery) -> Matches:
        """The best connected providers for a request, with endpoints if a deposit covers what it reserves; without any it waits.

        A request that reserves nothing is a look at the market: it shows no endpoint and is kept nowhere, and there are only so many a
        second (`busy`). Raises `SignatureError` or `Refused`, then nothing is kept either.
        """
        request, now = verify(query.request, self._domain), self._clock.now()
        terms, digest = self.surroundings.terms, digest_of(request, self._domain)
        check_request(request, terms.rules, now)
        for hint, entries in (("vector", len(query.vector)), ("without", len(query.without))):
            if entries > MOST_HINTS:
                raise Refused("absurd_value", f"at most {MOST_HINTS} entries are taken", {"field": hint})
        vector, without = {one.master: one.rtt_us for one in query.vector}, frozenset(query.without)
        if request.budget_from == request.budget_to:
            self._count_look(int(now))
            found = rank(request, digest, self._candidates(vector, without, now), terms)
            return Matches(self.address, int(now), 0, tuple(replace(match, host="", port=0) for match in found))
        check_deposit(request, self.surroundings.deposits)
        waiting = self.pending.take(digest, request, terms.rules, now)
        found = rank(request, digest, self._candidates(vector, without, now), terms, waiting.shown)
        waiting.shown.update(match.provider for match in found)
        return Matches(self.address, int(now), waiting.until, found)

    def _count_look(self, second: int) -> None:
        since, looks = self._looks
        if since == second and looks >= MOST_LOOKS:
            raise Refused("busy", "many are looking at the market, and a request that a deposit covers goes before", next_try=second + 1)
        self._looks = second, looks + 1 if since == second else 1

    def _candidates(self, vector: Mapping[Address, int], without: Container[Address], now: float) -> Iterator[Candidate]:
        terms, reputations = self.surroundings.terms, self.surroundings.reputations
        prior = Reputation(terms.rules.reputation_prior_ppm, 0)
        for one in self.listed(now):
            entry, presence = one.entry, one.entry.presence
            if entry.provider in without:
                continue
            yield Candidate(
                provider=entry.provider,
                host=presence.host,
                port=presence.port,
                region=one.region,
                bandwidth=presence.bandwidth,
                price=presence.price,
                rtt=estimate_relayed(vector, one.rtts, presence.relay, terms) if presence.is_relayed else estimate(vector, one.rtts, terms),
                reputation=reputations.get(entry.provider, prior),
                relayed=presence.is_relayed,
            )

    def listed(self, now: float) -> Iterator[Listed]:
        """The providers connected at `now`, with the region that each claims and that is not refuted."""
        return self._market.listed(self._entries, self.surroundings.terms, self.surroundings.places, now)

    def provider(self, provider: Address) -> ProviderView:
        """Raises `Refused` (`not_found`) for a provider the pool does not know."""
        entry = self._entries.get(provider)
        if entry is None:
            raise Refused("not_found", "no such provider is in the pool")
        return self._view(entry, self._clock.now())

    def pool(self, after: str, limit: int) -> PoolView:
        """Up to `limit` providers with addresses above `after`, ascending."""
        now = self._clock.now()
        page = sorted(provider for provider in self._entries if provider > after)[:limit]
        return PoolView(self.address, int(now), tuple(self._view(self._entries[provider], now) for provider in page))

    def counts(self) -> dict[str, int]:
        """How many providers are in each state now."""
        surroundings = self.surroundings
        return dict(Counter(self._market.states(self._entries, surroundings.terms, surroundings.places, self._clock.now())))

    def connected(self) -> Iterator[Entry]:
        """The providers that are connected at this moment."""
        return (one.entry for one in self.listed(self._clock.now()))

    def connected_entry(self, provider: Address) -> Entry | None:
        """The provider's entry if it is connected at this moment."""
        entry = self._entries.get(provider)
        if entry is None or standing(entry, self.surroundings.terms, self._clock.now()).state != CONNECTED:
            return None
        return entry

    def remaining_s(self, entry: Entry) -> int:
        """Whole seconds until the presence expires unless it is refreshed."""
        return max(0, int(expires_ms(entry.presence, self.surroundings.terms) - self._clock.now() * 1000) // 1000)

    # what time does

    def sweep(self) -> None:
        """Writes down what time has changed, and forgets whom nothing is lost by forgetting."""
        terms, now = self.surroundings.terms, self._clock.now()
        self.pending.sweep(terms.rules, now)
        for entry in tuple(self._entries.values()):
            if may_be_forgotten(entry, terms, now):
                self._forget(entry.provider)
                continue
            settled = settle(entry, terms, now)
            if settled is not entry:
                self._remember(settled)

    def _forget(self, provider: Address) -> None:
        self._store.forget(provider)
        self._market.forget(provider)
        del self._entries[provider]
        for key in [key for key in self._tickets if key[0] == provider]:
            del self._tickets[key]

    def _require_place(self, provider: Address, now: float) -> None:
        registered = self.surroundings.registered
        if len(self._entries) >= self._capacity:
            full = True
        elif provider in registered:
            full = False
        else:
            full = 2 * sum(known not in registered for known in self._entries) >= self._capacity
        if full:
            raise Refused("busy", "the pool is full", next_try=int(now) + self.surroundings.terms.rules.presence_ttl_s)

    def _keep(self, entry: Entry, now: float) -> PoolAnswer:
        self._remember(entry)
        found = standing(entry, self.surroundings.terms, now)
        return PoolAnswer(
            state=found.state,
            code=found.code,
            observer=self.address,
            time=int(now),
            next_try=0 if found.state == LEFT else next_try(is_confirmed(found.masters), self.surroundings.terms, now),
            masters=found.masters,
            tickets=self._tickets_of(entry, now),
        )

    def _remember(self, entry: Entry) -> None:
        before = self._entries.get(entry.provider)
        self._store.save(entry, before)
        self._entries[entry.provider] = entry
        if before is None or before.presence.state != entry.presence.state:
            log.info("provider %s is %s", entry.provider, entry.presence.state)

    def _tickets_of(self, entry: Entry, now: float) -> tuple[Signed[UptimeTicket], ...]:
        """Signed anew only when they say something new."""
        signed = []
        for uptime in open_uptime(entry.uptime, self.surroundings.terms, now):
            said, ticket = self._tickets.get((entry.provider, uptime.epoch), (None, None))
            if ticket is None or said is None or _content(said) != _content(uptime):
                ticket = sign(ticket_for(uptime, self.address, entry.provider, now), self._domain, self._key)
                self._tickets[entry.provider, uptime.epoch] = uptime, ticket
                self._tickets.pop((entry.provider, uptime.epoch - 2), None)
            signed.append(ticket)
        return tuple(signed)

    def _view(self, entry: Entry, now: float) -> ProviderView:
        presence, found = entry.presence, standing(entry, self.surroundings.terms, now)
        refuted = refutations(presence, found.masters, self.surroundings.places)
        return ProviderView(
            provider=entry.provider,
            state=found.state,
            code=found.code,
            since=found.since,
            region="" if refuted else presence.region,
            latitude=0 if refuted else presence.latitude,
            longitude=0 if refuted else presence.longitude,
            location=location_code(presence, refuted),
            refutations=refuted,
            bandwidth=presence.bandwidth,
            price=presence.price,
            group_prefix=entry.prefix,
            heartbeats=presence.heartbeats,
            masters=found.masters,
            relay=presence.relay,
        )


def _content(uptime: EpochUptime) -> tuple[bytes, int, str]:
    """What a ticket says: the rest is counting on the way to it."""
    return uptime.slots, uptime.address_changes, uptime.group_prefix
