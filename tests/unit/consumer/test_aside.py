"""Which providers are left alone, and for how long."""

from __future__ import annotations

import pytest

from chain.types import Address
from consumer.connecting import MOST_ASIDE_S, Aside

A, B = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)


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
