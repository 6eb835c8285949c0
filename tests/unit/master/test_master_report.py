"""The ledger: cumulative reports, their figures, their memory."""

from __future__ import annotations

import ipaddress
from statistics import median as exact_median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.epochs import Timing
from chain.typed import Signed
from chain.types import Address, Signature
from master.echo import EpochSlot, Exchange, Source
from master.report import MAX_PROVIDERS_PER_SITE, Ledger, LedgerFull, Place, jitter, loss_ppm, median
from wire.messages import LatencyReport
from wire.slots import has_slot, is_map

TIMING = Timing(1_000_000, 20, 3, 11, 5, 4, 4, 5)
MASTER, PROVIDER = Address("0x" + "11" * 20), Address("0x" + "aa" * 20)
HOME = ipaddress.ip_address("192.0.2.7")
PLACE = Place(HOME, 4433, 7)
NOW = 1_000_010.5


def ledger(max_providers: int = 100) -> Ledger:
    return Ledger(MASTER, TIMING, 5, max_providers)


def exchange(*rtts_us: int, host: str = "192.0.2.7") -> Exchange:
    return Exchange(Source(ipaddress.ip_address(host), 999), rtts_us)


def signed(report: LatencyReport) -> Signed[LatencyReport]:
    return Signed(report, Signature(bytes(65)))


def test_a_first_report_says_what_was_measured() -> None:
    report = ledger().measured(PROVIDER, EpochSlot(3, 2), PLACE, exchange(50, 10, 40, 20), NOW)
    assert report == LatencyReport(
        master=MASTER,
        provider=PROVIDER,
        epoch=3,
        sequence=1_000_010_500,
        slots=b"\x04",
        rtt_min_us=10,
        rtt_median_us=30,
        jitter_us=30,
        loss_ppm=200_000,
        group_prefix="192.0.2.0/24",
        address_ok=True,
    )
    assert is_map(report.slots, 5)


def test_slots_and_round_trips_add_up_over_the_epoch_and_start_anew_in_the_next() -> None:
    book = ledger()
    book.measured(PROVIDER, EpochSlot(1, 0), PLACE, exchange(10, 10, 10, 10, 10), NOW)
    second = book.measured(PROVIDER, EpochSlot(1, 4), PLACE, exchange(30, 30, 30), NOW + 1)
    assert [has_slot(second.slots, s) for s in range(5)] == [True, False, False, False, True]
    assert (second.rtt_min_us, second.rtt_median_us, second.jitter_us, second.loss_ppm) == (10, 10, 0, 200_000)
    third = book.measured(PROVIDER, EpochSlot(2, 0), PLACE, exchange(90, 90, 90, 90, 90), NOW + 2)
    assert (third.slots, third.rtt_min_us, third.loss_ppm) == (b"\x01", 90, 0)


def test_a_slot_measured_again_replaces_its_figures() -> None:
    book = ledger()
    book.measured(PROVIDER, EpochSlot(1, 0), PLACE, exchange(10, 10, 10), NOW)
    again = book.measured(PROVIDER, EpochSlot(1, 0), PLACE, exchange(70, 70, 70, 70, 70), NOW)
    assert (again.rtt_min_us, again.loss_ppm, again.slots) == (70, 0, b"\x01")


def test_the_sequence_rises_even_when_the_clock_does_not() -> None:
    book = ledger()
    sequences = [
        book.measured(PROVIDER, EpochSlot(1, s), PLACE, exchange(1, 1, 1), now).sequence for s, now in enumerate((NOW, NOW, NOW - 5))
    ]
    assert sequences == [1_000_010_500, 1_000_010_501, 1_000_010_502]


def test_too_few_echoes_count_as_loss_and_set_no_slot() -> None:
    book = ledger()
    book.missed(PROVIDER, EpochSlot(1, 0), exchange(5, 5))
    report = book.measured(PROVIDER, EpochSlot(1, 1), PLACE, exchange(10, 10, 10, 10, 10), NOW)
    assert (report.slots, report.loss_ppm, report.rtt_min_us) == (b"\x02", 300_000, 10)


def test_too_few_echoes_take_nothing_from_a_measured_slot() -> None:
    book = ledger()
    book.measured(PROVIDER, EpochSlot(1, 0), PLACE, exchange(10, 10, 10, 10, 10), NOW)
    book.missed(PROVIDER, EpochSlot(1, 0), exchange(5))
    assert book.measured(PROVIDER, EpochSlot(1, 1), PLACE, exchange(10, 10, 10, 10, 10), NOW).loss_ppm == 0


def test_another_observed_address_is_said_and_its_prefix_named() -> None:
    report = ledger().measured(PROVIDER, EpochSlot(1, 0), PLACE, exchange(1, 1, 1, host="203.0.113.9"), NOW)
    assert report.address_ok is False
    assert report.group_prefix == "203.0.113.0/24"


def test_a_finished_slot_is_answered_again_only_for_the_same_place() -> None:
    book = ledger()
    at = EpochSlot(1, 0)
    kept = signed(book.measured(PROVIDER, at, PLACE, exchange(1, 1, 1), NOW))
    book.keep(kept)
    assert book.finished(PROVIDER, at, PLACE) == kept
    assert book.finished(PROVIDER, EpochSlot(1, 1), PLACE) is None
    assert book.finished(PROVIDER, at, Place(HOME, 4434, 7)) is None
    assert book.finished(PROVIDER, at, Place(ipaddress.ip_address("192.0.2.8"), 4433, 7)) is None
    assert book.finished(MASTER, at, PLACE) is None


def test_a_slot_with_another_address_observed_is_not_finished() -> None:
    book = ledger()
    book.keep(signed(book.measured(PROVIDER, EpochSlot(1, 0), PLACE, exchange(1, 1, 1, host="203.0.113.9"), NOW)))
    assert book.finished(PROVIDER, EpochSlot(1, 0), PLACE) is None


def test_only_the_newest_report_is_kept() -> None:
    book = ledger()
    old = signed(book.measured(PROVIDER, EpochSlot(1, 0), PLACE, exchange(1, 1, 1), NOW))
    new = signed(book.measured(PROVIDER, EpochSlot(1, 1), PLACE, exchange(1, 1, 1), NOW))
    book.keep(new)
    book.keep(old)
    assert book.report(1, PROVIDER) == new
    assert book.report(2, PROVIDER) is None
    assert book.report(1, MASTER) is None


def test_reports_of_this_epoch_and_the_last_one_are_kept() -> None:
    book = ledger()
    for epoch in (1, 2, 3):
        book.begin(epoch)
        book.keep(signed(book.measured(PROVIDER, EpochSlot(epoch, 0), PLACE, exchange(1, 1, 1), NOW)))
    assert [book.report(e, PROVIDER) is not None for e in (1, 2, 3)] == [False, True, True]
    assert len(book) == 2


def test_the_newest_sequence_is_that_of_a_report() -> None:
    book = ledger()
    assert book.newest_sequence(PROVIDER) == 0
    book.measured(PROVIDER, EpochSlot(1, 0), Place(HOME, 1, 9), exchange(1, 1, 1), NOW)
    book.missed(PROVIDER, EpochSlot(2, 0), exchange(1))
    assert book.newest_sequence(PROVIDER) == 9


def test_memory_is_bounded_by_site_and_in_all() -> None:
    book = ledger(max_providers=MAX_PROVIDERS_PER_SITE + 1)
    for n in range(MAX_PROVIDERS_PER_SITE):
        book.measured(Address(f"0x{n:040x}"), EpochSlot(1, 0), PLACE, exchange(1, 1, 1), NOW)
    with pytest.raises(LedgerFull):
        book.measured(PROVIDER, EpochSlot(1, 0), PLACE, exchange(1, 1, 1), NOW)
    book.measured(PROVIDER, EpochSlot(1, 0), PLACE, exchange(1, 1, 1, host="203.0.113.1"), NOW)
    with pytest.raises(LedgerFull):
        book.missed(MASTER, EpochSlot(1, 0), exchange(1, host="203.0.113.2"))
    book.measured(MASTER, EpochSlot(2, 0), PLACE, exchange(1, 1, 1), NOW)


@given(st.lists(st.integers(1, 2_000_000), min_size=1, max_size=30))
def test_the_median_is_the_exact_one_rounded_down(values: list[int]) -> None:
    assert median(values) == int(exact_median(values))
    assert min(values) <= median(values) <= max(values)


def test_jitter_and_loss() -> None:
    assert jitter([7]) == 0
    assert jitter([10, 20, 15]) == 7
    assert loss_ppm(2, 3) == 333_333
    assert loss_ppm(0, 0) == 0
    with pytest.raises(ValueError, match="no values"):
        median([])
