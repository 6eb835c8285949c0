"""Which latency reports count, and whether they are enough.

A report counts if it is of this slot or the last one, by a listed master, with a minimum RTT within the rules' bound, about the
announced address. Reports of more than half of all listed masters confirm a provider.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chain.typed import Signed
from chain.types import U64, Address
from resolver.terms import Terms
from wire.answers import MasterView
from wire.messages import LatencyReport
from wire.refusals import Refused
from wire.slots import has_slot
from wire.statements import MOST_KEPT, fault_in, newest_slot


@dataclass(frozen=True, slots=True)
class HeldReport:
    """A master's newest report about a provider; received: the UTC second it came in."""

    signed: Signed[LatencyReport]
    received: U64


def check_batch(reports: Sequence[Signed[LatencyReport]], terms: Terms, now: float) -> Address:
    """The provider that a batch is about; signatures are the caller's to check.

    Raises `Refused`: `absurd_value` (empty), `too_many_statements`, `wrong_subject`, `not_listed`, `unknown_epoch` or `bad_statement`.
    """
    if not reports:
        raise Refused("absurd_value", "the batch holds no report")
    provider = reports[0].message.provider
    listed = {master.address for master in terms.masters}
    for report in (signed.message for signed in reports):
        if report.provider != provider:
            raise Refused("wrong_subject", "the reports are about several providers", {"first": provider, "other": report.provider})
        if report.master not in listed:
            raise Refused("not_listed", "no such master is listed", {"master": report.master})
        _check_report(report, terms, now)
    master, most = Counter(signed.message.master for signed in reports).most_common(1)[0]
    if most > MOST_KEPT:
        raise Refused("too_many_statements", f"at most {MOST_KEPT} of one master", {"master": master})
    return provider


def _check_report(report: LatencyReport, terms: Terms, now: float) -> None:
    timing, latest = terms.timing, now + terms.rules.tolerance_s
    if not max(1, timing.epoch_at(now) - 1) <= report.epoch <= timing.epoch_at(latest):
        raise Refused("unknown_epoch", "", {"epoch": str(report.epoch), "now": str(timing.epoch_at(now))})
    if (fault := fault_in(report, timing)) is not None:
        raise Refused("bad_statement", fault, {"master": report.master})
    if (last := newest_slot(report)) is not None and timing.slot_start(report.epoch, last) > latest:
        raise Refused("bad_statement", "its map has a slot that has not begun", {"master": report.master, "slot": str(last)})


def with_newest(held: Sequence[HeldReport], reports: Iterable[Signed[LatencyReport]], now: float) -> tuple[HeldReport, ...]:
    """The newest report of each master, ascending by master; what is not newer than the one held changes nothing."""
    newest = {report.signed.message.master: report for report in held}
    for signed in reports:
        known = newest.get(signed.message.master)
        if known is None or _age(signed.message) > _age(known.signed.message):
            newest[signed.message.master] = HeldReport(signed, int(now))
    return tuple(newest[master] for master in sorted(newest))


def _age(report: LatencyReport) -> tuple[int, int]:
    return report.epoch, report.sequence


def code_of(report: LatencyReport, prefix: str, relay: Address, address_since: int, terms: Terms, now: float) -> str:
    """`ok` if the report counts, else why not: `no_report` (of this slot or the last one), `address_mismatch` or `rtt_too_high`.

    prefix: see `pool.Entry`; relay: the announced one; address_since: the UTC second since which it is announced, 0 if from the start.
    """
    if not _is_current(report, terms, now):
        return "no_report"
    if not report.address_ok or report.group_prefix != prefix or report.sequence // 1000 < address_since or report.relay != relay:
        return "address_mismatch"
    return "ok" if report.rtt_min_us <= terms.rules.max_rtt_us else "rtt_too_high"


def _is_current(report: LatencyReport, terms: Terms, now: float) -> bool:
    index = terms.slot_index(now)
    for candidate in (index, index - 1):
        epoch, slot = divmod(candidate, terms.timing.slots_per_epoch)
        if candidate >= 0 and report.epoch == epoch + 1 and has_slot(report.slots, slot):
            return True
    return False


def master_views(
    held: Iterable[HeldReport], prefix: str, relay: Address, address_since: int, terms: Terms, now: float
) -> tuple[MasterView, ...]:
    """How each listed master's check stands, in listing order."""
    by_master = {report.signed.message.master: report for report in held}
    views = []
    for master in terms.masters:
        report = by_master.get(master.address)
        if report is None:
            views.append(MasterView(master.address, master.endpoint, "no_report", 0, 0))
            continue
        message = report.signed.message
        code = code_of(message, prefix, relay, address_since, terms, now)
        views.append(MasterView(master.address, master.endpoint, code, message.rtt_min_us, report.received))
    return tuple(views)


def observed_prefix(held: Iterable[HeldReport], relay: Address) -> str | None:
    """Where most masters that came through this relay see the provider, the first by text on a tie; None if none did."""
    votes = Counter(report.signed.message.group_prefix for report in held if report.signed.message.relay == relay)
    return min(votes, key=lambda prefix: (-votes[prefix], prefix), default=None)


def is_confirmed(views: Sequence[MasterView]) -> bool:
    """Whether the reports of more than half of all listed masters count."""
    return 2 * sum(view.code == "ok" for view in views) > len(views)


def missing_code(views: Sequence[MasterView]) -> str:
    """What keeps a provider from being confirmed: what most masters miss, the first listed of them on a tie."""
    codes = [view.code for view in views if view.code != "ok"] or ["no_report"]
    return max(dict.fromkeys(codes), key=codes.count)


def next_try(confirmed: bool, terms: Terms, now: float) -> int:
    """The UTC second of the next check: the next slot for a confirmed provider, else the next heartbeat if that comes sooner."""
    begin = terms.next_slot_begin(now)
    return begin if confirmed else min(begin, int(now) + terms.rules.heartbeat_s)
