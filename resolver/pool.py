"""The pool as values: one entry a provider, and what each message and the passing of time make of it.

    pending_verification -> connected -> pending_verification      by reports and by their absence
    any of these         -> expired | left                         by silence, by `Leaving`; only an `Announcement` leads back

Nothing here keeps time: `standing` computes the state from `now`, so a provider that falls silent is gone in that very moment.
Every function either gives a new entry or raises `Refused`, and then nothing is to be stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from chain.typed import Signed
from chain.types import I16, U16, U64, U128, ZERO_ADDRESS, Address, Digest
from resolver.latency import HeldReport, is_confirmed, master_views, missing_code, observed_prefix, with_newest
from resolver.terms import Terms
from resolver.tickets import EpochUptime, count_heartbeat, open_uptime
from wire.addresses import group_prefix, parse_ip
from wire.announcements import check_figures, check_location, check_place, check_time
from wire.answers import MasterView
from wire.messages import Announcement, Heartbeat, LatencyReport, Leaving
from wire.refusals import Refused
from wire.slots import count

PENDING, CONNECTED, EXPIRED, LEFT = "pending_verification", "connected", "expired", "left"

LEAVING_REASONS = ("shutdown", "cap", "hours")


@dataclass(frozen=True, slots=True)
class Presence:
    """One stay of a provider in the pool, from an announcement on.

    state, since: as last settled, and the UTC second it began. seen_ms: UTC milliseconds of the last message that kept it alive.
    address_since: the UTC second since which the address is announced, 0 if there was no other before it.
    grace_until: the UTC second up to which a connected provider stays so after a change of address, 0 if there is none to wait for.
    relay: the master whose relay host and port are, the zero address for none.
    """

    presence_id: Digest
    state: str
    since: U64
    seen_ms: U64
    address_since: U64
    grace_until: U64
    heartbeats: U64
    host: str
    port: U16
    bandwidth: U64
    price: U128
    region: str
    latitude: I16
    longitude: I16
    dns: bool
    relay: Address = ZERO_ADDRESS

    @property
    def is_relayed(self) -> bool:
        return self.relay != ZERO_ADDRESS


@dataclass(frozen=True, slots=True)
class Entry:
    """What the pool knows of one provider. sequence: the highest taken, kept past the presence. uptime: ascending, at most two epochs."""

    provider: Address
    sequence: U64
    presence: Presence
    uptime: tuple[EpochUptime, ...]
    reports: tuple[HeldReport, ...]

    @property
    def prefix(self) -> str:
        """The group of the announced address; of a relayed provider that which most reports say it is at, so that a farm behind one relay
        is not one group, and is grouped by where it is."""
        observed = observed_prefix(self.reports, self.presence.relay) if self.presence.is_relayed else None
        return observed or _prefix_of(self.presence.host)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a provider stands at one moment. code: `ok`, or what keeps it from being connected."""

    state: str
    code: str
    since: int
    masters: tuple[MasterView, ...]


def announce(entry: Entry | None, message: Announcement, terms: Terms, now: float) -> Entry:
    """The entry with a new presence, pending verification. `entry` is None for a provider the pool does not know.

    Raises `Refused`: `stale_time`, `future_time`, `reused_sequence`, `private_address`, `absurd_value` or `not_a_relay`. Whether the
    place is the relay's is for masters to find.
    """
    check_time(message.time, terms.rules, now)
    _check_sequence(entry, message.sequence)
    check_place(message.host, message.port, terms.rules)
    check_figures(message.bandwidth, message.price)
    check_location(message.region, message.latitude, message.longitude)
    if message.relay not in (ZERO_ADDRESS, *(master.address for master in terms.masters)):
        raise Refused("not_a_relay", "no such master is listed", {"relay": message.relay})
    moved = entry is not None and (entry.presence.host, entry.presence.relay) != (message.host, message.relay)
    since = int(now) if moved else entry.presence.address_since if entry else 0
    presence = Presence(
        presence_id=message.presence_id,
        state=PENDING,
        since=int(now),
        seen_ms=_ms(now),
        address_since=since,
        grace_until=0,
        heartbeats=0,
        host=message.host,
        port=message.port,
        bandwidth=message.bandwidth,
        price=message.price,
        region=message.region,
        latitude=message.latitude,
        longitude=message.longitude,
        dns=message.dns,
        relay=message.relay,
    )
    new = Entry(message.provider, message.sequence, presence, entry.uptime if entry else (), ())
    return replace(new, uptime=count_heartbeat(new.uptime, new.prefix, moved, terms, now))


def heartbeat(entry: Entry | None, message: Heartbeat, terms: Terms, now: float) -> Entry:
    """The entry with its presence refreshed. A new address or port is to be verified anew, while a connected provider goes on to serve.

    A relayed one keeps its place. Raises `Refused` as `announce`, and `unknown_presence` or `presence_expired`.
    """
    check_time(message.time, terms.rules, now)
    _check_sequence(entry, message.sequence)
    settled = _present(entry, message.presence_id, terms, now)
    check_place(message.host, message.port, terms.rules)
    check_figures(message.bandwidth, message.price)
    old = settled.presence
    moved = old.host != message.host
    if old.is_relayed and (old.host, old.port) != (message.host, message.port):
        raise Refused("not_a_relay", "what leaves a relay announces itself anew", {"relay": old.relay})
    presence = replace(
        old,
        seen_ms=_ms(now),
        heartbeats=old.heartbeats + 1,
        host=message.host,
        port=message.port,
        bandwidth=message.bandwidth,
        price=message.price,
    )
    if moved or old.port != message.port:
        presence = replace(presence, address_since=int(now), grace_until=_grace(old, terms, now))
    new = replace(settled, sequence=message.sequence, presence=presence)
    return settle(replace(new, uptime=count_heartbeat(new.uptime, new.prefix, moved, terms, now)), terms, now)


def leave(entry: Entry | None, message: Leaving, terms: Terms, now: float) -> Entry:
    """The entry with its presence ended as `left`. Raises `Refused` as `heartbeat`."""
    check_time(message.time, terms.rules, now)
    _check_sequence(entry, message.sequence)
    settled = _present(entry, message.presence_id, terms, now)
    if message.reason not in LEAVING_REASONS:
        raise Refused("absurd_value", f"the reason is one of {', '.join(LEAVING_REASONS)}")
    presence = replace(settled.presence, state=LEFT, since=int(now), seen_ms=_ms(now), grace_until=0)
    return replace(settled, sequence=message.sequence, presence=presence)


def take_reports(entry: Entry | None, reports: Sequence[Signed[LatencyReport]], terms: Terms, now: float) -> Entry:
    """The entry with these reports, checked and verified before. Raises `Refused`: `unknown_presence` or `presence_expired`."""
    if entry is None:
        raise Refused("unknown_presence")
    settled = _present(entry, entry.presence.presence_id, terms, now)
    return settle(replace(settled, reports=with_newest(settled.reports, reports, now)), terms, now)


def settle(entry: Entry, terms: Terms, now: float) -> Entry:
    """The entry with its state and the moment it began brought up to `now`."""
    found = standing(entry, terms, now)
    presence = entry.presence
    if found.state == presence.state and not (presence.grace_until and found.code == "ok"):
        return entry
    grace = presence.grace_until if found.code == "address_changed" else 0
    return replace(entry, presence=replace(presence, state=found.state, since=found.since, grace_until=grace))


def standing(entry: Entry, terms: Terms, now: float) -> Standing:
    """State, reason and masters at `now`, whatever was settled last."""
    presence = entry.presence
    views = master_views(entry.reports, entry.prefix, presence.relay, presence.address_since, terms, now)
    if presence.state == LEFT:
        return Standing(LEFT, LEFT, presence.since, views)
    end_ms = expires_ms(presence, terms)
    if presence.state == EXPIRED or _ms(now) >= end_ms:
        return Standing(EXPIRED, "presence_expired", end_ms // 1000, views)
    if is_confirmed(views):
        state, code = CONNECTED, "ok"
    elif now < presence.grace_until:  # only a connected one has a grace
        state, code = CONNECTED, "address_changed"
    else:
        state, code = PENDING, missing_code(views)
    return Standing(state, code, presence.since if state == presence.state else int(now), views)


def expires_ms(presence: Presence, terms: Terms) -> int:
    """UTC milliseconds from which on a silent presence is expired."""
    return presence.seen_ms + 1000 * terms.rules.presence_ttl_s


def may_be_forgotten(entry: Entry, terms: Terms, now: float) -> bool:
    """Whether nothing is lost by forgetting the entry: its presence has ended, no slot of it is wanted in a ticket, and every message
    taken from it is by now refused as stale, so that its sequence protects nothing any more."""
    if standing(entry, terms, now).state not in (EXPIRED, LEFT):
        return False
    wanted = any(count(uptime.slots) for uptime in open_uptime(entry.uptime, terms, now))
    return not wanted and _ms(now) > entry.presence.seen_ms + 2000 * terms.rules.tolerance_s + 1000


def _present(entry: Entry | None, presence_id: Digest, terms: Terms, now: float) -> Entry:
    if entry is None or entry.presence.presence_id != presence_id:
        raise Refused("unknown_presence")
    settled = settle(entry, terms, now)
    if settled.presence.state == EXPIRED:
        raise Refused("presence_expired", "", {"expired": str(settled.presence.since), "now": str(int(now))})
    if settled.presence.state == LEFT:
        raise Refused("unknown_presence", "it has left", {"left": str(settled.presence.since)})
    return settled


def _grace(old: Presence, terms: Terms, now: float) -> int:
    """The end of the next slot. A change during a grace does not prolong it, or one could stay connected unverified for ever."""
    if old.state != CONNECTED:
        return 0
    return old.grace_until if old.grace_until > now else terms.slot_begin(terms.slot_index(now) + 2)


@lru_cache(maxsize=32_768)
def _prefix_of(host: str) -> str:
    """Asked of every entry at every turn, and parsing an address takes longer than all the rest."""
    return group_prefix(parse_ip(host))


def _ms(now: float) -> int:
    return int(now * 1000)


def _check_sequence(entry: Entry | None, sequence: int) -> None:
    if entry is not None and sequence <= entry.sequence:
        raise Refused("reused_sequence", "", {"sequence": str(sequence), "highest": str(entry.sequence)})
