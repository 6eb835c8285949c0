"""Reputation: a weighted mean of one score an epoch, drawn towards a prior. Integers in parts per million, every division rounds down.

Every signal has a fixed denominator, so what is not shown counts zero. Source of the formulas: docs/protocol.md, section 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chain.rules import Rules
from chain.types import PPM
from wire.messages import LatencyReport

# fmt: off
AGE_WEIGHTS: tuple[int, ...] = (
    1_000_000, 904_837, 818_730, 740_818, 670_320, 606_530, 548_811, 496_585, 449_328, 406_569, 367_879, 332_871, 301_194, 272_531,
    246_596, 223_130, 201_896, 182_683, 165_298, 149_568, 135_335, 122_456, 110_803, 100_258, 90_717, 82_084, 74_273, 67_205, 60_810,
    55_023, 49_787, 45_049, 40_762, 36_883, 33_373, 30_197, 27_323, 24_723, 22_370, 20_241, 18_315, 16_572, 14_995, 13_568, 12_277,
    11_108, 10_051, 9_095, 8_229, 7_446, 6_737, 6_096, 5_516, 4_991, 4_516, 4_086, 3_697, 3_345, 3_027, 2_739, 2_478, 2_242, 2_029, 1_836,
    1_661, 1_503, 1_360, 1_230, 1_113, 1_007, 911, 825, 746, 675, 611, 553, 500, 452, 409, 370, 335, 303, 274, 248, 224, 203, 184, 166,
    150, 136, 123, 111, 101, 91, 82, 74, 67, 61, 55, 50, 45, 41, 37, 33, 30, 27, 24, 22, 20, 18, 16, 15, 13, 12, 11, 10, 9, 8, 7, 6, 6, 5,
    5, 4, 4, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1,
)
# fmt: on
"""floor(10^6 * exp(-age / 10)) for ages 0 to 138, in ppm; the next one would be 0, as are all after it.

Made with Python's decimal at 50 digits: `int(PPM * (Decimal(-age) / 10).exp())`; a test recomputes every entry.
"""

TENURE_HALF_EPOCHS = 30
"""Epochs since the first one seen after which tenure counts one half."""


def report_mark(report: LatencyReport, max_rtt_us: int) -> int:
    """The mean of a report's marks for RTT, jitter and loss, in ppm: 1 is none of it, 0 is `max_rtt_us`, a quarter of it, all lost."""
    scale = max(1, max_rtt_us)
    rtt = max(0, PPM - report.rtt_median_us * PPM // scale)
    jitter = max(0, PPM - report.jitter_us * 4 * PPM // scale)
    loss = max(0, PPM - report.loss_ppm)
    return (rtt + jitter + loss) // 3


def master_mark(reports: Iterable[LatencyReport], slots: int, max_rtt_us: int) -> int:
    """One master's mark for one provider and epoch, in ppm: over all `slots` of the epoch, each counting the best mark among the
    master's reports that have it set, and 0 if none has.

    So a report that is added never lowers it, one that is left out takes its slots along, and order does not matter.
    """
    by_mark = sorted(((report_mark(report, max_rtt_us), int.from_bytes(report.slots, "little")) for report in reports), reverse=True)
    counted = total = 0
    for mark, slot_map in by_mark:
        total += mark * (slot_map & ~counted).bit_count()
        counted |= slot_map
    return total // slots


def performance(marks: Iterable[int], masters: int) -> int:
    """The median of the masters' marks over all `masters`, a missing one counting 0; the lower of two in the middle, 0 for none."""
    found = sorted(marks)
    padded = [0] * (masters - len(found)) + found
    return padded[(masters - 1) // 2] if masters else 0


def standing(tenure: int, bonded: bool) -> int:
    """Half for `tenure`, the epochs since the first one seen, with diminishing returns; half for a bond."""
    return (tenure * PPM // (tenure + TENURE_HALF_EPOCHS) + (PPM if bonded else 0)) // 2


def sessions(fees: Iterable[int], rules: Rules) -> int:
    """What sessions say, in ppm, from what each consumer paid in the epoch, wei: in full at the target, whoever is one of many; a single
    consumer makes up no more than its part, so that one's own purse buys little."""
    parts = (min(rules.consumer_weight_ppm, fee * PPM // rules.session_target_wei) for fee in fees)
    return min(PPM, sum(parts))


def score(up: int, slots: int, performance_ppm: int, sessions_ppm: int, standing_ppm: int, rules: Rules) -> int:
    """The bucket of one epoch: `up` of `slots` slots up, and the other signals in ppm. Standing counts only with a slot up."""
    parts = (
        rules.availability_weight_ppm * (up * PPM // slots),
        rules.performance_weight_ppm * performance_ppm,
        rules.sessions_weight_ppm * sessions_ppm,
        rules.standing_weight_ppm * (standing_ppm if up else 0),
    )
    return sum(parts) // PPM


def with_bucket(buckets: Sequence[int], newest: int, rules: Rules) -> tuple[int, ...]:
    """The buckets, newest first, one epoch later; those older than `reputation_epochs` fall out."""
    return (newest, *buckets)[: rules.reputation_epochs]


def reputation(buckets: Sequence[int], rules: Rules) -> int:
    """(b prior + sum w_t x_t) / (b + sum w_t) in ppm, over buckets newest first: without any, the prior."""
    weights = AGE_WEIGHTS[: len(buckets)]
    above = rules.reputation_prior_weight_ppm * rules.reputation_prior_ppm
    above += sum(weight * bucket for weight, bucket in zip(weights, buckets, strict=False))
    below = rules.reputation_prior_weight_ppm + sum(weights)
    return above // below if below else rules.reputation_prior_ppm
