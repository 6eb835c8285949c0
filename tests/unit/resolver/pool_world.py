"""A small network for the resolver's tests: real keys, real messages, times of the tests' own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chain.epochs import Timing
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed, sign
from chain.types import Address, Digest, Signature, Wei
from chain.view import Deposit
from resolver.pool import Entry, announce, take_reports
from resolver.service import Resolver, Surroundings
from resolver.store import PoolStore
from resolver.terms import Master, Terms
from runtime.clock import ManualClock
from wire.answers import MasterRtt, MatchQuery
from wire.messages import Announcement, Heartbeat, LatencyReport, Leaving, SessionRequest
from wire.slots import empty, with_slot

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
TIMING = Timing(1_700_000_000, 86_400, 1_800, 21_600, 43_200, 3_600, 1_200, 144)
RULES = Rules()
PROVIDER, OTHER, STRANGER, CONSUMER, RESOLVER, *MASTERS = (NodeKey(bytes([n]) * 32) for n in range(1, 9))
TERMS = Terms(TIMING, RULES, tuple(Master(key.address, f"9.0.0.{n}:7200") for n, key in enumerate(MASTERS)))

SLOT = 10
START = TIMING.slot_start(1, SLOT) + 5
"""Five seconds into slot 10 of epoch 1."""

HOST, PREFIX = "5.6.7.8", "5.6.7.0/24"
PRESENCE = Digest(b"\x11" * 32)
NO_SIGNATURE = Signature(bytes(65))


def announcement(now: float = START, key: NodeKey = PROVIDER, **changes: Any) -> Announcement:
    fields: dict[str, Any] = {
        "provider": key.address,
        "presence_id": PRESENCE,
        "sequence": int(now * 1000),
        "time": int(now),
        "host": HOST,
        "port": 7400,
        "bandwidth": 10**8,
        "price": 10**15,
        "region": "DE",
        "latitude": 50,
        "longitude": 9,
        "dns": True,
    }
    return Announcement(**{**fields, **changes})


def heartbeat_of(now: float, key: NodeKey = PROVIDER, **changes: Any) -> Heartbeat:
    fields: dict[str, Any] = {
        "provider": key.address,
        "presence_id": PRESENCE,
        "sequence": int(now * 1000),
        "time": int(now),
        "host": HOST,
        "port": 7400,
        "bandwidth": 10**8,
        "price": 10**15,
    }
    return Heartbeat(**{**fields, **changes})


def leaving_of(now: float, key: NodeKey = PROVIDER, **changes: Any) -> Leaving:
    fields: dict[str, Any] = {
        "provider": key.address,
        "presence_id": PRESENCE,
        "sequence": int(now * 1000),
        "time": int(now),
        "reason": "shutdown",
    }
    return Leaving(**{**fields, **changes})


def slot_map(*slots: int) -> bytes:
    map_ = empty(TIMING.slots_per_epoch)
    for slot in slots:
        map_ = with_slot(map_, slot)
    return map_


def report_of(master: NodeKey, now: float = START, key: NodeKey = PROVIDER, **changes: Any) -> LatencyReport:
    """A good report of the slot of `now`."""
    fields: dict[str, Any] = {
        "master": master.address,
        "provider": key.address,
        "epoch": TIMING.epoch_at(now),
        "sequence": int(now * 1000),
        "slots": slot_map(TIMING.slot_at(now)),
        "rtt_min_us": 20_000,
        "rtt_median_us": 21_000,
        "jitter_us": 300,
        "loss_ppm": 0,
        "group_prefix": PREFIX,
        "address_ok": True,
    }
    return LatencyReport(**{**fields, **changes})


def request_of(now: float = START, **changes: Any) -> SessionRequest:
    fields: dict[str, Any] = {
        "consumer": CONSUMER.address,
        "region": "",
        "min_bandwidth": 0,
        "max_rtt_us": 500_000,
        "max_price": 2 * 10**15,
        "budget_from": 0,
        "budget_to": 10**18,
        "nonce": 1,
        "expiry": int(now) + 60,
    }
    return SessionRequest(**{**fields, **changes})


def query_of(now: float = START, key: NodeKey = CONSUMER, vector: Iterable[MasterRtt] = (), **changes: Any) -> MatchQuery:
    return MatchQuery(sign(request_of(now, **changes), DOMAIN, key), tuple(vector), ())


def unsigned(reports: Iterable[LatencyReport]) -> tuple[Signed[LatencyReport], ...]:
    """For the pure parts, which look at no signature."""
    return tuple(Signed(report, NO_SIGNATURE) for report in reports)


def signed_reports(now: float = START, masters: Iterable[NodeKey] = MASTERS, **changes: Any) -> tuple[Signed[LatencyReport], ...]:
    return tuple(sign(report_of(master, now, **changes), DOMAIN, master) for master in masters)


def pending(now: float = START, **changes: Any) -> Entry:
    return announce(None, announcement(now, **changes), TERMS, now)


def connected(now: float = START, **changes: Any) -> Entry:
    """A provider that two of the three masters have reported about."""
    return take_reports(pending(now, **changes), unsigned(report_of(master, now) for master in MASTERS[:2]), TERMS, now)


def open_resolver(
    path: Path, clock: ManualClock, capacity: int = 100, registered: Iterable[NodeKey] = (PROVIDER, OTHER), terms: Terms = TERMS
) -> tuple[Resolver, PoolStore]:
    """A resolver over the store at `path`; the caller closes the store."""
    store = PoolStore(path / "pool.sqlite", DOMAIN)
    deposits = {CONSUMER.address: Deposit(Wei(10**18))}
    surroundings = Surroundings(terms, frozenset(key.address for key in registered), {}, deposits)
    return Resolver(RESOLVER, DOMAIN, store, clock, surroundings, capacity), store
