"""Whom a request is matched with, in which order, and what the parts of a score are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import PPM, Address, Digest
from resolver.estimates import Estimate, estimate
from resolver.matching import Candidate, rank, suits
from resolver.pending import MOST_MATCHES
from tests.unit.resolver.pool_world import MASTERS, RULES, START, STRANGER, TERMS, request_of
from wire.ranking import FULL_BANDWIDTH, Reputation
from wire.refusals import Refused
from wire.sessions import check_request

DIGEST = Digest(b"\x07" * 32)
BASE = Candidate(Address("0x" + "aa" * 20), "5.6.7.8", 7400, "DE", 10**8, 10**15, Estimate(30_000, 50_000), Reputation(200_000, 3))


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
        check_request(request_of(**changes), RULES, START)
    assert refused.value.code == expected
    check_request(request_of(), RULES, START)


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        ({"region": "DE"}, True),
        ({"region": "FR"}, False),
        ({"min_bandwidth": 10**8}, True),
        ({"min_bandwidth": 10**8 + 1}, False),
        ({"max_price": 10**15}, True),
        ({"max_price": 10**15 - 1}, False),
        ({"max_rtt_us": 30_000}, True),
        ({"max_rtt_us": 29_999}, False),
        ({"consumer": BASE.provider}, False),
    ],
)
def test_each_limit_of_a_request_holds(limits: dict[str, Any], fits: bool) -> None:
    assert suits(request_of(**limits), BASE) is fits
    assert len(rank(request_of(**limits), DIGEST, [BASE], TERMS)) == fits


def test_the_parts_of_a_score_by_hand() -> None:
    (match,) = rank(request_of(max_price=4 * 10**15), DIGEST, [BASE], TERMS)
    assert (match.latency_ppm, match.reputation_ppm, match.bandwidth_ppm, match.price_ppm) == (900_000, 200_000, 100_000, 750_000)
    assert match.reputation_epoch == 3
    assert match.score_ppm == 360_000 + 60_000 + 15_000 + 112_500
    assert (match.provider, match.region, match.bandwidth, match.price) == (BASE.provider, "DE", 10**8, 10**15)
    assert (match.host, match.port, match.rtt_low_us, match.rtt_high_us) == ("5.6.7.8", 7400, 30_000, 50_000)


@pytest.mark.parametrize(
    "better",
    [
        {"rtt": Estimate(30_000, 40_000)},
        {"reputation": Reputation(300_000, 3)},
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
    host=st.just("5.6.7.8"),
    port=st.integers(1, 65_535),
    rtt=st.builds(Estimate, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    reputation=st.integers(0, PPM).map(lambda ppm: Reputation(ppm, 1)),
)


@given(st.lists(candidates, max_size=12), st.integers(0, 2**128 - 1), st.integers(0, 2**32 - 1))
def test_scores_are_parts_of_a_million_and_descend(found: list[Candidate], max_price: int, max_rtt_us: int) -> None:
    matches = rank(request_of(max_price=max_price, max_rtt_us=max_rtt_us), DIGEST, found, TERMS)
    for match in matches:
        parts = (match.latency_ppm, match.bandwidth_ppm, match.reputation_ppm, match.price_ppm)
        assert all(0 <= part <= PPM for part in parts)
        assert min(parts) <= match.score_ppm + 1 <= max(parts) + 1
    assert [m.score_ppm for m in matches] == sorted((m.score_ppm for m in matches), reverse=True)


def test_whom_a_request_was_shown_counts_for_ever() -> None:
    """Of those it was shown only who is still there, and no more others than make five with all of those."""
    known = [replace(BASE, provider=Address(f"0x{n:040x}"), price=n * 10**14) for n in range(12)]
    shown = {known[7].provider, known[9].provider, STRANGER.address}
    found = [match.provider for match in rank(request_of(), DIGEST, known, TERMS, shown)]
    assert found == [known[n].provider for n in (0, 1, 7, 9)]
    assert rank(request_of(), DIGEST, known[:5], TERMS, {Address(f"0x{n:040x}") for n in range(20, 25)}) == ()


A, B, C = (master.address for master in MASTERS)


@pytest.mark.parametrize(
    ("consumer", "provider", "low", "high"),
    [
        ({A: 10, B: 100, C: 200}, {A: 30, B: 90, C: 205}, 20, 40),
        ({A: 10, B: 100}, {B: 40, C: 1}, 60, 140),
        ({A: 10, B: 100}, {A: 10, B: 500}, 20, 20),
        ({A: 10}, {B: 40, C: 1}, 0, 1),
        ({}, {A: 9, B: 1, C: 5}, 0, 5),
        ({A: 7}, {}, 0, RULES.max_rtt_us),
        ({STRANGER.address: 1}, {STRANGER.address: 1}, 0, RULES.max_rtt_us),
    ],
)
def test_an_estimate_by_hand(consumer: dict[Address, int], provider: dict[Address, int], low: int, high: int) -> None:
    assert estimate(consumer, provider, TERMS) == Estimate(low, high)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)), min_size=3, max_size=3))
def test_who_delays_echoes_never_looks_nearer_to_the_ranking(figures: list[tuple[int, int, int]]) -> None:
    consumer = {master: c for master, (c, _, _) in zip((A, B, C), figures, strict=True)}
    honest = {master: p for master, (_, p, _) in zip((A, B, C), figures, strict=True)}
    delayed = {master: p + more for master, (_, p, more) in zip((A, B, C), figures, strict=True)}
    assert estimate(consumer, delayed, TERMS).high_us >= estimate(consumer, honest, TERMS).high_us
    assert estimate(consumer, honest, TERMS).low_us <= estimate(consumer, honest, TERMS).high_us
