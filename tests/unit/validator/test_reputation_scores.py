"""Each formula of reputation against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext

import pytest

from chain.rules import Rules
from chain.types import PPM, Address
from validator.reputation import AGE_WEIGHTS, master_mark, performance, report_mark, reputation, score, sessions, standing, with_bucket
from wire.messages import LatencyReport

RULES = Rules()
PERFECT = LatencyReport(Address("0x" + "01" * 20), Address("0x" + "02" * 20), 1, 1, b"\x1f", 0, 0, 0, 0, "203.0.113.0/24", True)
FAIR = replace(PERFECT, rtt_median_us=100_000, jitter_us=25_000, loss_ppm=200_000)  # 0.8 in each of the three


def test_the_table_is_the_exponential_rounded_down() -> None:
    with localcontext() as context:
        context.prec = 50
        expected = [int(PPM * (Decimal(-age) / 10).exp()) for age in range(len(AGE_WEIGHTS) + 1)]
    assert list(AGE_WEIGHTS) == expected[:-1]
    assert expected[-1] == 0
    assert AGE_WEIGHTS[:3] == (1_000_000, 904_837, 818_730)


@pytest.mark.parametrize(
    ("report", "mark"),
    [
        (PERFECT, 1_000_000),
        (FAIR, 800_000),
        (replace(PERFECT, rtt_median_us=500_000), 666_666),
        (replace(PERFECT, rtt_median_us=4_000_000_000), 666_666),  # never below 0
        (replace(PERFECT, jitter_us=125_000), 666_666),
        (replace(PERFECT, jitter_us=62_500), 833_333),
        (replace(PERFECT, loss_ppm=1_000_000), 666_666),
        (replace(PERFECT, rtt_median_us=500_000, jitter_us=125_000, loss_ppm=1_000_000), 0),
    ],
)
def test_a_mark_is_the_mean_of_three(report: LatencyReport, mark: int) -> None:
    assert report_mark(report, RULES.max_rtt_us) == mark


def test_a_master_marks_over_all_slots_of_the_epoch() -> None:
    assert master_mark([PERFECT], 5, RULES.max_rtt_us) == 1_000_000
    assert master_mark([replace(PERFECT, slots=b"\x01")], 5, RULES.max_rtt_us) == 200_000
    assert master_mark([], 5, RULES.max_rtt_us) == 0


def test_each_slot_counts_the_best_report_that_has_it() -> None:
    early = replace(PERFECT, slots=b"\x03")  # slots 0 and 1 at 1.0
    later = replace(FAIR, slots=b"\x0e")  # slots 1, 2 and 3 at 0.8
    for reports in ([early, later], [later, early]):
        assert master_mark(reports, 5, RULES.max_rtt_us) == (2 * 1_000_000 + 2 * 800_000) // 5


@pytest.mark.parametrize(
    ("marks", "masters", "median"),
    [
        ((900_000, 100_000, 500_000), 3, 500_000),
        ((900_000, 500_000), 3, 500_000),
        ((900_000,), 3, 0),  # two of three are missing
        ((900_000, 500_000), 4, 0),  # the lower of 0 and 500,000
        ((900_000, 500_000, 400_000), 4, 400_000),
        ((900_000,), 1, 900_000),
        ((), 3, 0),
        ((), 0, 0),
    ],
)
def test_performance_is_the_median_over_all_masters(marks: tuple[int, ...], masters: int, median: int) -> None:
    assert performance(marks, masters) == median


@pytest.mark.parametrize(
    ("tenure", "bonded", "expected"),
    [(0, False, 0), (0, True, 500_000), (30, False, 250_000), (30, True, 750_000), (1, False, 16_129), (270, True, 950_000)],
)
def test_standing_is_half_tenure_half_bond(tenure: int, bonded: bool, expected: int) -> None:
    assert standing(tenure, bonded) == expected


def test_a_score_weighs_its_signals() -> None:
    # 0.5 * 144/144 + 0.25 * 0.8 + 0.15 * 0.2 + 0.1 * 0.5
    assert score(144, 144, 800_000, 200_000, 500_000, RULES) == 780_000
    # 1/3 is 333,333: 0.5 * 333,333 + 0.25 * 1 + 0.1 * 1, rounded down once
    assert score(48, 144, 1_000_000, 0, 1_000_000, RULES) == 516_666
    assert score(144, 144, 1_000_000, 1_000_000, 1_000_000, RULES) == 1_000_000


def test_standing_needs_presence_and_sessions_do_not() -> None:
    assert score(0, 144, 0, 0, 1_000_000, RULES) == 0
    assert score(0, 144, 400_000, 0, 1_000_000, RULES) == 100_000
    assert score(0, 144, 0, 1_000_000, 1_000_000, RULES) == 150_000


def test_sessions_count_by_fee_and_no_consumer_for_more_than_its_part() -> None:
    target, part = RULES.session_target_wei, RULES.consumer_weight_ppm
    assert sessions((), RULES) == 0
    assert sessions((target // 100,), RULES) == 10_000
    assert sessions((target,), RULES) == sessions((100 * target,), RULES) == part == 50_000
    assert sessions((target, target // 100), RULES) == 60_000
    assert sessions([target] * 20, RULES) == sessions([target] * 500, RULES) == PPM


def test_reputation_is_drawn_towards_the_prior() -> None:
    assert reputation((), RULES) == 200_000
    # (3 * 0.2 + 1 * 0.75) / (3 + 1)
    assert reputation((750_000,), RULES) == 337_500
    # (600,000,000,000 + 750,000 * 10^6 + 500,000 * 904,837) / (3,000,000 + 1,904,837)
    assert reputation((750_000, 500_000), RULES) == 367_477
    # the same the other way round: the newer counts more
    assert reputation((500_000, 750_000), RULES) == 362_627


def test_silence_falls_below_the_prior() -> None:
    # 600,000,000,000 / (3,000,000 + 1,000,000), then / (3,000,000 + 1,904,837)
    assert reputation((0,), RULES) == 150_000
    assert reputation((0, 0), RULES) == 122_328


def test_what_one_silent_day_undoes() -> None:
    """Of a full month 10^12 / (3,000,000 + 9,985,138) ppm, of less than a month at most 106,640, after three days."""
    assert sum(AGE_WEIGHTS[:30]) == 9_985_138
    assert -(-(10**12) // (3_000_000 + 9_985_138)) == 77_012
    full = (PPM,) * 30
    assert [reputation(one, RULES) for one in (full, (0, *full[1:]))] == [815_173, 738_162]
    fall = {n: reputation(full[:n], RULES) - reputation(with_bucket(full[:n], 0, RULES), RULES) for n in range(31)}
    assert max(fall, key=lambda n: fall[n]) == 3
    assert (fall[1], fall[3], fall[29], fall[30]) == (93_194, 106_640, 76_224, 77_011)
    # a good day later 69,683 are still missing, ten days later 28,331; a month later nothing
    missing = [reputation(full, RULES) - reputation((*full[:n], 0, *full)[:30], RULES) for n in (1, 10, 30)]
    assert missing == [69_683, 28_331, 0]


def test_buckets_are_newest_first_and_bounded() -> None:
    rules = replace(RULES, reputation_epochs=3)
    assert with_bucket((), 5, rules) == (5,)
    assert with_bucket((5,), 6, rules) == (6, 5)
    assert with_bucket((3, 2, 1), 4, rules) == (4, 3, 2)


def test_rules_without_a_prior_weight_and_without_buckets_give_the_prior() -> None:
    assert reputation((), replace(RULES, reputation_prior_weight_ppm=0)) == 200_000


def test_buckets_older_than_the_table_weigh_nothing() -> None:
    silent = (0,) * len(AGE_WEIGHTS)
    assert reputation((*silent, 1_000_000), RULES) == reputation(silent, RULES)
