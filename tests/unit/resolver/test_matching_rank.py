"""Whom a request is matched with, in which order, and what the parts of a score are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import PPM, Address, Digest
from resolver.latency import HeldReport
from resolver.matching import FULL_BANDWIDTH, MOST_MATCHES, Candidate, check_request, rank, suits, typical_rtt_us
from tests.unit.resolver.pool_world import MASTERS, RULES, START, STRANGER, TERMS, report_of, request_of, unsigned
from wire.refusals import Refused

DIGEST = Digest(b"\x07" * 32)
BASE = Candidate(Address("0x" + "aa" * 20), "DE", 10**8, 10**15, 50_000, 200_000)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"expiry": START}, "stale_time"),
        ({"expiry": START + 181}, "future_time"),
        ({"region": "de"}, "absurd_value"),
        ({"region": "Germany"}, "absurd_value"),
        ({"budget_from": 2, "budget_to": 1}, "absurd_value"),
    ],
)
def test_what_a_request_is_refused_for(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(Refused) as refused:
        check_request(request_of(**changes), TERMS, START)
    assert refused.value.code == expected
    check_request(request_of(), TERMS, START)


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        ({"region": "DE"}, True),
        ({"region": "FR"}, False),
        ({"min_bandwidth": 10**8}, True),
        ({"min_bandwidth": 10**8 + 1}, False),
        ({"max_price": 10**15}, True),
        ({"max_price": 10**15 - 1}, False),
        ({"max_rtt_us": 50_000}, True),
        ({"max_rtt_us": 49_999}, False),
    ],
)
def test_each_limit_of_a_request_holds(limits: dict[str, Any], fits: bool) -> None:
    assert suits(request_of(**limits), BASE) is fits
    assert len(rank(request_of(**limits), DIGEST, [BASE], TERMS)) == fits


def test_the_parts_of_a_score_by_hand() -> None:
    (match,) = rank(request_of(max_price=4 * 10**15), DIGEST, [BASE], TERMS)
    assert (match.latency_ppm, match.reputation_ppm, match.bandwidth_ppm, match.price_ppm) == (900_000, 200_000, 100_000, 750_000)
    assert match.score_ppm == 360_000 + 60_000 + 15_000 + 112_500
    assert (match.provider, match.region, match.bandwidth, match.price, match.rtt_min_us) == (BASE.provider, "DE", 10**8, 10**15, 50_000)


@pytest.mark.parametrize(
    "better",
    [
        {"rtt_us": 40_000},
        {"reputation": 300_000},
        {"bandwidth": 2 * 10**8},
        {"price": 5 * 10**14},
    ],
)
def test_being_better_in_one_part_ranks_first(better: dict[str, Any]) -> None:
    other = replace(BASE, provider=Address("0x" + "bb" * 20), **better)
    for order in ([BASE, other], [other, BASE]):
        assert rank(request_of(), DIGEST, order, TERMS)[0].provider == other.provider


def test_a_claim_beyond_full_bandwidth_buys_nothing() -> None:
    full, more = (replace(BASE, bandwidth=bandwidth) for bandwidth in (FULL_BANDWIDTH, 10**12))
    assert rank(request_of(), DIGEST, [full], TERMS)[0].score_ppm == rank(request_of(), DIGEST, [more], TERMS)[0].score_ppm


def test_among_equals_the_request_draws_the_order() -> None:
    equals = [replace(BASE, provider=Address(f"0x{n:040x}")) for n in range(12)]
    firsts = {rank(request_of(), Digest(bytes([n]) * 32), equals, TERMS)[0].provider for n in range(40)}
    assert len(firsts) > 4
    assert len(rank(request_of(), DIGEST, equals, TERMS)) == MOST_MATCHES
    assert rank(request_of(), DIGEST, equals, TERMS) == rank(request_of(), DIGEST, equals[::-1], TERMS)


candidates = st.builds(
    Candidate,
    provider=st.integers(0, 2**160 - 1).map(lambda n: Address(f"0x{n:040x}")),
    region=st.sampled_from(["", "DE", "FR"]),
    bandwidth=st.integers(1, 10**12),
    price=st.integers(0, 10**24),
    rtt_us=st.integers(0, 2**32 - 1),
    reputation=st.integers(0, PPM),
)


@given(st.lists(candidates, max_size=12), st.integers(0, 2**128 - 1), st.integers(0, 2**32 - 1))
def test_scores_are_parts_of_a_million_and_descend(found: list[Candidate], max_price: int, max_rtt_us: int) -> None:
    matches = rank(request_of(max_price=max_price, max_rtt_us=max_rtt_us), DIGEST, found, TERMS)
    for match in matches:
        parts = (match.latency_ppm, match.bandwidth_ppm, match.reputation_ppm, match.price_ppm)
        assert all(0 <= part <= PPM for part in parts)
        assert min(parts) <= match.score_ppm + 1 <= max(parts) + 1
    assert [m.score_ppm for m in matches] == sorted((m.score_ppm for m in matches), reverse=True)


def test_the_typical_rtt_is_the_median_of_listed_masters() -> None:
    def held(*figures: int) -> list[HeldReport]:
        reports = unsigned(report_of(master, rtt_min_us=figure) for master, figure in zip(MASTERS, figures, strict=False))
        return [HeldReport(report, START) for report in reports]

    assert typical_rtt_us(held(9, 1, 5), TERMS) == 5
    assert typical_rtt_us(held(9, 1), TERMS) == 1
    assert typical_rtt_us([], TERMS) == RULES.max_rtt_us
    (unlisted,) = unsigned([report_of(STRANGER, rtt_min_us=1)])
    assert typical_rtt_us([HeldReport(unlisted, START)], TERMS) == RULES.max_rtt_us
