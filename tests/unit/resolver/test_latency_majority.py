"""Which reports count, what is missing per master, and what makes a majority."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.keys import NodeKey
from chain.types import ZERO_ADDRESS
from resolver.latency import (
    HeldReport,
    check_batch,
    is_confirmed,
    master_views,
    missing_code,
    next_try,
    with_newest,
)
from resolver.terms import BEFORE_GENESIS, Master, Terms
from tests.unit.resolver.pool_world import (
    MASTERS,
    OTHER,
    PREFIX,
    PROVIDER,
    RULES,
    SLOT,
    START,
    STRANGER,
    TERMS,
    TIMING,
    report_of,
    slot_map,
    unsigned,
)
from wire.answers import MasterView
from wire.refusals import Refused


def codes(*reports: HeldReport, now: float = START, since: int = 0) -> list[str]:
    return [view.code for view in master_views(reports, PREFIX, ZERO_ADDRESS, since, TERMS, now)]


def held(master: NodeKey = MASTERS[0], now: float = START, **changes: Any) -> HeldReport:
    return HeldReport(unsigned([report_of(master, now, **changes)])[0], int(now))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ok"),
        ({"slots": slot_map(SLOT - 1)}, "ok"),
        ({"slots": slot_map(SLOT - 2, SLOT + 1)}, "no_report"),
        ({"slots": slot_map()}, "no_report"),
        ({"epoch": 2}, "no_report"),
        ({"rtt_min_us": RULES.max_rtt_us}, "ok"),
        ({"rtt_min_us": RULES.max_rtt_us + 1}, "rtt_too_high"),
        ({"address_ok": False}, "address_mismatch"),
        ({"group_prefix": "5.6.8.0/24"}, "address_mismatch"),
    ],
)
def test_what_makes_a_report_count(changes: dict[str, Any], expected: str) -> None:
    assert codes(held(**changes)) == [expected, "no_report", "no_report"]


def test_a_report_made_before_the_address_was_announced_is_about_another() -> None:
    assert codes(held(), since=START)[0] == "ok"
    assert codes(held(), since=START + 1)[0] == "address_mismatch"


def test_the_last_slot_of_an_epoch_counts_in_the_first_of_the_next() -> None:
    report = held(slots=slot_map(143))
    assert codes(report, now=TIMING.start_of(2))[0] == "ok"
    assert codes(report, now=TIMING.slot_start(2, 1) - 1)[0] == "ok"
    assert codes(report, now=TIMING.slot_start(2, 1))[0] == "no_report"
    assert codes(held(slots=slot_map(0)), now=TIMING.genesis - 1)[0] == "no_report"


def test_a_view_says_who_where_what_and_when() -> None:
    views = master_views([held(MASTERS[1])], PREFIX, ZERO_ADDRESS, 0, TERMS, START)
    assert views == (
        MasterView(MASTERS[0].address, "9.0.0.0:7200", "no_report", 0, 0),
        MasterView(MASTERS[1].address, "9.0.0.1:7200", "ok", 20_000, START),
        MasterView(MASTERS[2].address, "9.0.0.2:7200", "no_report", 0, 0),
    )


def test_reports_of_masters_that_are_no_longer_listed_do_not_count() -> None:
    fewer = Terms(TIMING, RULES, TERMS.masters[:1])
    views = master_views([held(MASTERS[1]), held(MASTERS[2])], PREFIX, ZERO_ADDRESS, 0, fewer, START)
    assert [view.code for view in views] == ["no_report"]


@given(st.lists(st.booleans(), max_size=40))
def test_a_majority_is_more_than_half_of_all_listed(good: list[bool]) -> None:
    views = [MasterView(PROVIDER.address, "", "ok" if one else "no_report", 0, 0) for one in good]
    assert is_confirmed(views) is (good.count(True) > good.count(False))


def test_what_most_masters_miss_is_what_is_missing() -> None:
    def views(*found: str) -> list[MasterView]:
        return [MasterView(PROVIDER.address, "", one, 0, 0) for one in found]

    assert missing_code(views("ok", "rtt_too_high", "no_report", "no_report")) == "no_report"
    assert missing_code(views("rtt_too_high", "no_report")) == "rtt_too_high"
    assert missing_code([]) == "no_report"
    assert not is_confirmed([])


def test_only_the_newest_report_of_a_master_is_held() -> None:
    old, new = report_of(MASTERS[0], START), report_of(MASTERS[0], START + 1)
    assert with_newest((), unsigned([old, new]), START + 1) == with_newest((), unsigned([new, old]), START + 1)
    first = with_newest((), unsigned([new]), START + 1)
    assert with_newest(first, unsigned([old, new]), START + 9) == first
    next_epoch = replace(old, epoch=2, sequence=1)
    assert with_newest(first, unsigned([next_epoch]), START + 9)[0].signed.message == next_epoch
    assert [h.signed.message.master for h in with_newest(first, unsigned(report_of(m) for m in MASTERS), START)] == sorted(
        master.address for master in MASTERS
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"master": STRANGER.address}, "not_listed"),
        ({"epoch": 0}, "unknown_epoch"),
        ({"epoch": 2}, "unknown_epoch"),
        ({"epoch": 2**64 - 1}, "unknown_epoch"),
        ({"slots": b""}, "bad_statement"),
        ({"slots": bytes(19)}, "bad_statement"),
        ({"slots": slot_map(SLOT, SLOT + 1)}, "bad_statement"),
        ({"group_prefix": "5.6.7.1/24"}, "bad_statement"),
        ({"group_prefix": "5.6.7.0/25"}, "bad_statement"),
        ({"group_prefix": "home"}, "bad_statement"),
        ({"loss_ppm": 1_000_001}, "bad_statement"),
        ({"rtt_median_us": 19_999}, "bad_statement"),
    ],
)
def test_what_a_batch_is_refused_for(changes: dict[str, Any], expected: str) -> None:
    batch = unsigned([report_of(MASTERS[1]), replace(report_of(MASTERS[0]), **changes)])
    with pytest.raises(Refused) as refused:
        check_batch(batch, TERMS, START)
    assert refused.value.code == expected


def test_batches_that_are_empty_mixed_or_too_long_are_refused() -> None:
    mixed = unsigned([report_of(MASTERS[0]), report_of(MASTERS[1], key=OTHER)])
    for batch, expected in (((), "absurd_value"), (mixed, "wrong_subject"), (unsigned([report_of(MASTERS[0])] * 5), "too_many_statements")):
        with pytest.raises(Refused) as refused:
            check_batch(batch, TERMS, START)
        assert refused.value.code == expected
    assert check_batch(unsigned([report_of(MASTERS[0])] * 4), TERMS, START) == PROVIDER.address


def test_reports_of_the_last_epoch_and_of_a_master_slightly_ahead_are_taken() -> None:
    begin = TIMING.start_of(2)
    last = unsigned([report_of(MASTERS[0], begin - 1)])
    ahead = unsigned([report_of(MASTERS[0], begin, slots=slot_map(0))])
    assert check_batch(last, TERMS, begin + 100) == PROVIDER.address
    assert check_batch(ahead, TERMS, begin - 100) == PROVIDER.address
    with pytest.raises(Refused):
        check_batch(ahead, TERMS, begin - 121)


def test_the_next_try() -> None:
    assert next_try(True, TERMS, START) == TIMING.slot_start(1, SLOT + 1)
    assert next_try(False, TERMS, START) == START + 30
    assert next_try(False, TERMS, TIMING.slot_start(1, SLOT + 1) - 7) == TIMING.slot_start(1, SLOT + 1)
    assert next_try(True, TERMS, TIMING.genesis - 50) == TIMING.genesis


@given(st.integers(TIMING.genesis - 100_000, TIMING.genesis + 40 * TIMING.epoch_length))
def test_slots_are_counted_through(now: int) -> None:
    index = TERMS.slot_index(now)
    assert index == max(BEFORE_GENESIS, (now - TIMING.genesis) // 600)
    assert now < TERMS.next_slot_begin(now) <= max(now, TIMING.genesis - 1) + 600


def test_terms_take_plain_masters() -> None:
    assert TERMS.masters[0] == Master(MASTERS[0].address, "9.0.0.0:7200")
