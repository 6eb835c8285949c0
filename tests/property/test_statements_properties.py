"""What must hold of merging and holding for any statements in any order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chain.typed import Signed
from chain.types import Address, Signature
from wire.messages import LatencyReport, UptimeTicket
from wire.slots import count, has_slot, union
from wire.statements import keep, merge_reports, merge_tickets, newest, slots_up

SIGNER, PROVIDER = Address("0x" + "01" * 20), Address("0x" + "02" * 20)
SLOTS = 8

maps = st.integers(0, 255).map(lambda n: n.to_bytes(1, "little"))
small = st.integers(0, 3)
prefixes = st.sampled_from(["10.0.0.0/24", "10.0.1.0/24"])
tickets = st.builds(UptimeTicket, st.just(SIGNER), st.just(PROVIDER), st.just(1), small, maps, small, prefixes)
reports = st.builds(
    LatencyReport, st.just(SIGNER), st.just(PROVIDER), st.just(1), small, maps, small, small, small, small, prefixes, st.booleans()
)
signatures = st.integers(0, 1).map(lambda n: Signature(bytes([n]) * 65))
signed_tickets = st.builds(Signed, tickets, signatures)
signed_reports = st.builds(Signed, reports, signatures)


@given(st.lists(tickets, min_size=1), st.randoms(use_true_random=False))
def test_ticket_order_does_not_matter_and_merging_again_changes_nothing(many: list[UptimeTicket], random: object) -> None:
    merged = merge_tickets(many)
    random.shuffle(many)  # type: ignore[attr-defined]
    assert merge_tickets(many) == merged == merge_tickets([merged]) == merge_tickets([*many, merged])
    assert merged.slots == union((t.slots for t in many), SLOTS)


@given(st.lists(reports, min_size=1), st.randoms(use_true_random=False))
def test_report_order_does_not_matter_and_merging_again_changes_nothing(many: list[LatencyReport], random: object) -> None:
    merged = merge_reports(many)
    random.shuffle(many)  # type: ignore[attr-defined]
    assert merge_reports(many) == merged == merge_reports([merged]) == merge_reports([*many, merged])
    assert merged.slots == union((r.slots for r in many), SLOTS)


@given(st.lists(reports, min_size=1))
def test_figures_are_those_of_one_report_with_most_slots(many: list[LatencyReport]) -> None:
    merged = merge_reports(many)
    figures = (merged.rtt_min_us, merged.rtt_median_us, merged.jitter_us, merged.loss_ppm, merged.group_prefix, merged.address_ok)
    most = max(count(r.slots) for r in many)
    fullest = [r for r in many if count(r.slots) == most]
    assert figures in [(r.rtt_min_us, r.rtt_median_us, r.jitter_us, r.loss_ppm, r.group_prefix, r.address_ok) for r in fullest]


@given(st.lists(signed_reports, min_size=1), st.randoms(use_true_random=False), st.integers(1, 5))
def test_what_is_held_depends_on_the_set_only(many: list[Signed[LatencyReport]], random: object, limit: int) -> None:
    held = newest(many, limit)
    random.shuffle(many)  # type: ignore[attr-defined]
    assert newest([*many, many[0]], limit) == held == newest(held, limit)
    assert 1 <= len(held) <= limit


@given(st.lists(signed_tickets, min_size=1), st.randoms(use_true_random=False))
def test_one_at_a_time_holds_the_same_as_all_at_once_and_loses_nothing(many: list[Signed[UptimeTicket]], random: object) -> None:
    all_at_once = newest(many, limit=len(many))
    random.shuffle(many)  # type: ignore[attr-defined]
    held: tuple[Signed[UptimeTicket], ...] = ()
    for one in many:
        held = keep(held, one, limit=len(many))
    assert held == all_at_once
    merged, whole = merge_tickets([s.message for s in held]), merge_tickets([s.message for s in many])
    assert (merged.slots, merged.address_changes, merged.sequence) == (whole.slots, whole.address_changes, whole.sequence)


@given(st.lists(signed_tickets, min_size=1))
def test_the_limit_takes_only_what_is_older_than_all_that_is_kept(many: list[Signed[UptimeTicket]]) -> None:
    unlimited, held = newest(many, limit=len(many)), newest(many)
    assert held == unlimited[: len(held)]
    assert len(held) == min(4, len(unlimited))


@given(st.lists(signed_tickets, min_size=1))
def test_each_one_held_adds_a_slot_or_a_counter_to_the_newer(many: list[Signed[UptimeTicket]]) -> None:
    held = newest(many)
    for i in range(1, len(held)):
        newer = merge_tickets([s.message for s in held[:i]])
        with_it = merge_tickets([s.message for s in held[: i + 1]])
        assert (with_it.slots, with_it.address_changes) != (newer.slots, newer.address_changes)


@given(st.lists(tickets), st.lists(st.tuples(small, reports)), st.integers(0, 6))
def test_a_slot_is_up_if_a_ticket_and_more_than_half_of_the_masters_have_it(
    told: list[UptimeTicket], marked: list[tuple[int, LatencyReport]], masters: int
) -> None:
    by_master = [replace(report, master=Address(f"0x{number:040x}")) for number, report in marked]
    up = []
    for slot in range(SLOTS):
        of = {report.master for report in by_master if has_slot(report.slots, slot)}
        up.append(any(has_slot(ticket.slots, slot) for ticket in told) and 2 * len(of) > masters)
    found = slots_up(told, by_master, masters, SLOTS)
    assert [has_slot(found, slot) for slot in range(SLOTS)] == up
