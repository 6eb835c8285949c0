"""Which slots of an epoch a provider was up in, as counted from its heartbeats, and the tickets that say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chain.types import U16, U32, U64, Address
from resolver.terms import Terms
from wire.messages import UptimeTicket
from wire.slots import empty, with_slot


@dataclass(frozen=True, slots=True)
class EpochUptime:
    """One provider in one epoch by the resolver's clock. count: heartbeats and announcements counted in `slot`, the newest one with any;
    counted_ms: when the last of them came, UTC milliseconds."""

    epoch: U64
    slots: bytes
    slot: U16
    count: U32
    counted_ms: U64
    address_changes: U32
    group_prefix: str


def count_heartbeat(uptime: Sequence[EpochUptime], prefix: str, address_changed: bool, terms: Terms, now: float) -> tuple[EpochUptime, ...]:
    """One more heartbeat or announcement at `now`; a slot is set from `heartbeats_for_slot` on. Of older epochs only the last is kept.

    One that comes within half a heartbeat of the last one counted is not counted: a burst is no presence.
    """
    timing = terms.timing
    epoch = timing.epoch_at(now)
    if epoch == 0:
        return tuple(uptime)
    slot = timing.slot_at(now)
    known = next((u for u in uptime if u.epoch == epoch), EpochUptime(epoch, empty(timing.slots_per_epoch), slot, 0, 0, 0, prefix))
    now_ms = int(now * 1000)
    last_ms = max((u.counted_ms for u in uptime), default=0)
    counts = abs(now_ms - last_ms) >= terms.rules.heartbeat_s * 500
    count = (known.count if known.slot == slot else 0) + counts
    counted = replace(
        known,
        slots=with_slot(known.slots, slot) if count >= timing.heartbeats_for_slot(terms.rules.heartbeat_s) else known.slots,
        slot=slot,
        count=count,
        counted_ms=now_ms if counts else known.counted_ms,
        address_changes=known.address_changes + address_changed,
        group_prefix=prefix,
    )
    return (*(u for u in uptime if u.epoch == epoch - 1), counted)


def open_uptime(uptime: Sequence[EpochUptime], terms: Terms, now: float) -> tuple[EpochUptime, ...]:
    """The epochs that tickets are given for: this one, and the last until its intake closes."""
    return tuple(u for u in uptime if now < terms.timing.intake_end(u.epoch))


def ticket_for(uptime: EpochUptime, resolver: Address, provider: Address, now: float) -> UptimeTicket:
    """The cumulative ticket; its sequence is the UTC time in milliseconds, so it never falls, whatever memory is lost."""
    return UptimeTicket(resolver, provider, uptime.epoch, int(now * 1000), uptime.slots, uptime.address_changes, uptime.group_prefix)
