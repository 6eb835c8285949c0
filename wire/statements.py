"""Cumulative statements of one signer about one subject and epoch: which can be true, how several merge, which are worth holding.

A signer may restart with an empty memory, so its newest word may say less than an older one. Maps merge by OR, counters by maximum,
measured figures come from the statement with most slots, then the higher sequence; remaining ties are broken by the values
themselves, so the outcome never depends on the order of arrival.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import astuple, replace
from typing import Any, TypeVar

from chain.epochs import Timing
from chain.typed import Signed
from chain.types import PPM, Address
from wire.addresses import site_prefix
from wire.messages import LatencyReport, UptimeTicket
from wire.slots import count, is_map, union

MOST_KEPT = 4
"""Statements of one signer that a holder keeps, and that a proof may carry."""

S = TypeVar("S", UptimeTicket, LatencyReport)


def fault_in(statement: UptimeTicket | LatencyReport, timing: Timing) -> str | None:
    """Why a statement cannot be true, whoever signed it; None if it can.

    The one judgement of whoever holds, hands on or counts statements: one that is held here and refused there spoils all that goes with it.
    """
    if not is_map(statement.slots, timing.slots_per_epoch):
        return f"its map is not one of {timing.slots_per_epoch} slots"
    try:
        site_prefix(statement.group_prefix)
    except ValueError:
        return f"{statement.group_prefix[:60]!r} is no IPv4 /24 or IPv6 /48"
    if isinstance(statement, LatencyReport) and statement.loss_ppm > PPM:
        return f"a loss of {statement.loss_ppm} ppm is more than everything"
    if isinstance(statement, LatencyReport) and statement.rtt_min_us > statement.rtt_median_us:
        return f"the least round trip, {statement.rtt_min_us} us, is above the median, {statement.rtt_median_us} us"
    return None


def newest_slot(statement: UptimeTicket | LatencyReport) -> int | None:
    """The last slot that is set in its map, None without any."""
    length = int.from_bytes(statement.slots, "little").bit_length()
    return length - 1 if length else None


def slots_up(tickets: Iterable[UptimeTicket], reports: Iterable[LatencyReport], masters: int, slots: int) -> bytes:
    """The map of slots set by any resolver and by more than half of all `masters`, from counting statements about one provider and epoch.

    The one judgement of what a provider was there for: of validators, who pay by it, and of the provider that shows it.
    """
    by_master: dict[Address, int] = {}
    for report in reports:
        by_master[report.master] = by_master.get(report.master, 0) | int.from_bytes(report.slots, "little")
    enough = masters // 2 + 1
    of_at_least = [int.from_bytes(union((ticket.slots for ticket in tickets), slots), "little"), *(0 for _ in range(enough))]
    for set_ in by_master.values():
        for number in range(enough, 0, -1):
            of_at_least[number] |= of_at_least[number - 1] & set_
    return of_at_least[enough].to_bytes(-(-slots // 8), "little")


def merge_tickets(tickets: Sequence[UptimeTicket]) -> UptimeTicket:
    """One value for all tickets of one resolver about one provider and epoch; the prefix is the newest one's.

    Raises `ValueError` without tickets, or if they differ in signer, subject or epoch.
    """
    _require_one_subject(tickets)
    if len(tickets) == 1:
        return tickets[0]
    newest = max(tickets, key=lambda ticket: (ticket.sequence, astuple(ticket)))
    changes = max(ticket.address_changes for ticket in tickets)
    return replace(newest, slots=_all_slots(tickets), address_changes=changes)


def merge_reports(reports: Sequence[LatencyReport]) -> LatencyReport:
    """One value for all reports of one master about one provider and epoch; figures, prefix and `address_ok` are the fullest one's.

    Raises `ValueError` without reports, or if they differ in signer, subject or epoch.
    """
    _require_one_subject(reports)
    if len(reports) == 1:
        return reports[0]
    fullest = max(reports, key=lambda report: (count(report.slots), report.sequence, astuple(report)))
    return replace(fullest, slots=_all_slots(reports), sequence=max(report.sequence for report in reports))


def newest(statements: Iterable[Signed[S]], limit: int = MOST_KEPT) -> tuple[Signed[S], ...]:
    """The statements of one signer, subject and epoch that are worth holding, newest first, at most `limit`.

    Each adds a slot or a counter to the newer ones; the newest always stays. As long as that leaves `limit` or fewer, no slot is lost.
    """
    kept: list[Signed[S]] = []
    known, counter = 0, 0
    for signed in sorted(statements, key=lambda s: (s.message.sequence, astuple(s.message), s.signature), reverse=True):
        slots, changes = int.from_bytes(signed.message.slots, "little"), _counter(signed.message)
        if kept and not (slots & ~known or changes > counter):
            continue
        if len(kept) == limit:
            break
        kept.append(signed)
        known, counter = known | slots, max(counter, changes)
    return tuple(kept)


def keep(held: Iterable[Signed[S]], new: Signed[S], limit: int = MOST_KEPT) -> tuple[Signed[S], ...]:
    """What to hold once `new` has arrived: `newest` of all."""
    return newest(itertools.chain(held, (new,)), limit)


def subject_of(statement: UptimeTicket | LatencyReport) -> tuple[Address, Address, int]:
    """Signer, provider and epoch: statements that agree in these merge."""
    signer: Address = getattr(statement, statement.SIGNER)
    return signer, statement.provider, statement.epoch


def _counter(statement: UptimeTicket | LatencyReport) -> int:
    return statement.address_changes if isinstance(statement, UptimeTicket) else 0


def _all_slots(statements: Sequence[Any]) -> bytes:
    return union((statement.slots for statement in statements), 8 * max(len(statement.slots) for statement in statements))


def _require_one_subject(statements: Sequence[UptimeTicket] | Sequence[LatencyReport]) -> None:
    subjects = {subject_of(statement) for statement in statements}
    if len(subjects) != 1:
        raise ValueError(f"statements merge if they are by one signer about one provider and epoch; these are of {len(subjects)}")
