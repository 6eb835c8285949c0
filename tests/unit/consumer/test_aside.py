"""Which providers are left alone, and for how long."""

from __future__ import annotations

import pytest

from chain.epochs import Timing
from chain.types import Address
from consumer.connecting import MOST_ASIDE_S, Aside, had_its_end

A, B = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)
TIMING = Timing(1_000, 400, 40, 200, 100, 60, 40, 5)


def test_longer_each_time_and_never_for_ever() -> None:
    aside, now = Aside(), 1_000.0
    for seconds in (30, 60, 120, 240, 480, 960, 1_800, 1_800):
        aside.put(A, "provider_failed", now)
        assert aside.at(now + seconds - 0.1) == (A,)
        assert aside.at(now + seconds) == ()
        now += seconds
    assert MOST_ASIDE_S == 1_800


def test_one_that_works_begins_anew() -> None:
    aside = Aside()
    aside.put(A, "provider_failed", 0)
    aside.put(A, "dial_back_wrong_key", 0)
    aside.put(B, "leaving", 0)
    aside.forgive(A)
    assert aside.at(0) == (B,)
    aside.put(A, "provider_failed", 0)
    assert aside.at(30) == ()


@pytest.mark.parametrize("code", ["budget_spent", "session_closed", "done"])
def test_what_says_nothing_against_a_provider(code: str) -> None:
    aside = Aside()
    aside.put(A, code, 0)
    assert aside.at(0) == ()


@pytest.mark.parametrize(
    ("receipted", "now", "had"),
    [
        (0, 1_100, False),
        (749, 1_100, False),
        (750, 1_100, True),
        (1, 1_399, False),
        (0, 1_400, True),  # nobody used it, and an epoch has ended
    ],
)
def test_a_session_that_ends_early_speaks_against_whoever_ended_it(receipted: int, now: int, had: bool) -> None:
    """Whatever reason the provider names: each such session locks an interval of the deposit."""
    assert had_its_end(receipted, 1_000, 1_050, TIMING, now) == had


def test_the_reason_counts_only_for_a_session_that_had_its_end() -> None:
    aside = Aside()
    for times, code in enumerate(("session_closed", "budget_spent", "done"), start=1):
        aside.ended(A, code, 0, in_time=False)
        assert aside.at(30 * 2 ** (times - 1) - 1) == (A,)
    aside.ended(A, "session_closed", 0, in_time=True)
    assert aside.at(0) == ()
    aside.ended(A, "cap_reached", 0, in_time=True)
    assert (aside.at(29), aside.at(30)) == ((A,), ())
