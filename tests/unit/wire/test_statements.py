"""Merging and holding of cumulative statements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.epochs import Timing
from chain.typed import Signed
from chain.types import Address, Signature
from wire.messages import LatencyReport, UptimeTicket
from wire.slots import empty, with_slot
from wire.statements import fault_in, keep, merge_reports, merge_tickets, newest, newest_slot, subject_of

RESOLVER, MASTER, PROVIDER = (Address("0x" + f"{n:02x}" * 20) for n in (1, 2, 3))


def slots(*numbers: int) -> bytes:
    map_ = empty(24)
    for number in numbers:
        map_ = with_slot(map_, number)
    return map_


def ticket(sequence: int, *numbers: int, changes: int = 0, prefix: str = "127.0.0.0/24") -> UptimeTicket:
    return UptimeTicket(RESOLVER, PROVIDER, 5, sequence, slots(*numbers), changes, prefix)


def report(sequence: int, *numbers: int, rtt: int = 1000) -> LatencyReport:
    return LatencyReport(MASTER, PROVIDER, 5, sequence, slots(*numbers), rtt, rtt, 10, 0, "127.0.0.0/24", address_ok=True)


def signed(message: UptimeTicket) -> Signed[UptimeTicket]:
    return Signed(message, Signature(bytes(65)))


TIMING = Timing(0, 2_400, 100, 600, 900, 100, 50, 24)


def test_what_a_statement_may_say() -> None:
    assert fault_in(ticket(1, 0, 23), TIMING) is None
    assert fault_in(ticket(1), TIMING) is None
    assert fault_in(replace(report(1, 3), loss_ppm=1_000_000), TIMING) is None
    assert (newest_slot(ticket(1, 0, 17)), newest_slot(ticket(1))) == (17, None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"slots": b"\x01\x00"}, "map"),
        ({"slots": empty(24) + b"\x00"}, "map"),
        ({"group_prefix": "10.0.0.1/24"}, "no IPv4"),
        ({"group_prefix": "fe80::%1/48"}, "no IPv4"),
        ({"loss_ppm": 1_000_001}, "loss"),
        ({"rtt_min_us": 1_001}, "median"),
    ],
)
def test_what_no_statement_can_say(change: dict[str, object], says: str) -> None:
    wrong: LatencyReport = replace(report(1, 3), **change)  # type: ignore[arg-type]
    assert says in (fault_in(wrong, TIMING) or "nothing")


def test_tickets_merge_slots_by_or_and_changes_by_maximum() -> None:
    merged = merge_tickets([ticket(1, 0, 1, changes=3, prefix="10.0.0.0/24"), ticket(2, 9, changes=1)])
    assert merged == ticket(2, 0, 1, 9, changes=3)


def test_reports_take_figures_from_the_one_with_most_slots() -> None:
    merged = merge_reports([report(1, 0, 1, 2, rtt=700), report(2, 9, rtt=900)])
    assert merged == report(2, 0, 1, 2, 9, rtt=700)


def test_reports_with_equally_many_slots_take_figures_from_the_newer() -> None:
    assert merge_reports([report(2, 9, rtt=900), report(1, 4, rtt=700)]) == report(2, 4, 9, rtt=900)


@pytest.mark.parametrize("other", [{"epoch": 6}, {"resolver": MASTER}, {"provider": MASTER}])
def test_statements_about_different_things_do_not_merge(other: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="of 2"):
        merge_tickets([ticket(1), replace(ticket(2), **other)])  # type: ignore[arg-type]


def test_nothing_does_not_merge() -> None:
    with pytest.raises(ValueError, match="of 0"):
        merge_reports([])


def test_a_newer_statement_that_says_all_replaces_the_older() -> None:
    assert keep([signed(ticket(1, 0))], signed(ticket(2, 0, 1))) == (signed(ticket(2, 0, 1)),)


def test_an_older_statement_stays_while_it_adds_a_slot() -> None:
    old, new = signed(ticket(1, 0, 1)), signed(ticket(2, 1))
    assert keep([old], new) == (new, old)


def test_an_older_statement_stays_while_it_adds_a_counter() -> None:
    old, new = signed(ticket(1, changes=2)), signed(ticket(2, changes=1))
    assert keep([old], new) == (new, old)


def test_the_newest_stays_even_if_it_says_nothing() -> None:
    only = signed(ticket(1))
    assert keep([], only) == (only,)


def test_the_oldest_go_beyond_the_limit() -> None:
    all_ = [signed(ticket(n, n)) for n in range(1, 7)]
    assert [s.message.sequence for s in newest(all_)] == [6, 5, 4, 3]
    assert [s.message.sequence for s in newest(all_, limit=2)] == [6, 5]


def test_the_subject_is_signer_provider_and_epoch() -> None:
    assert subject_of(ticket(1)) == (RESOLVER, PROVIDER, 5)
    assert subject_of(report(1)) == (MASTER, PROVIDER, 5)
