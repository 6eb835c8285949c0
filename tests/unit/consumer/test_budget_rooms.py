"""Which interval may be reserved, by what validators say of it, and how a budget is split."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address
from consumer.budgets import LEAST_BYTES, Room, room_in, session_budget
from wire.sessions import Budget, fee_of

CONSUMER = Address("0x" + "cc" * 20)
VALIDATORS = [Address(f"0x{n:040x}") for n in range(1, 5)]
STAKES = dict.fromkeys(VALIDATORS, 100)
TOKEN = 10**18


def says(number: int, **changes: Any) -> Budget:
    fields: dict[str, Any] = {"held": 100, "spent": 0, "next_from": 10, "limit": 100, "leaving": False, **changes}
    return Budget(VALIDATORS[number], CONSUMER, **fields)


def room(*answers: Budget, own_begin: int = 0, wanted: int = 20) -> Room:
    return room_in(answers, STAKES, own_begin, wanted)


def test_it_begins_above_all_and_ends_where_two_thirds_of_the_stake_allow() -> None:
    found = room(says(0, next_from=30), says(1, limit=90), says(2, limit=80), says(3, limit=70))
    assert (found.begin, found.end) == (30, 80)


def test_two_thirds_have_to_answer() -> None:
    assert room(says(0), says(1)).wei == 0
    assert room(says(0), says(1), says(2)).wei == 90
    assert room().wei == 0


def test_one_that_names_a_number_out_of_the_world_takes_no_room_away() -> None:
    for far in (2**96 - 1, 100, 95):
        found = room(says(0, next_from=far, limit=2**96 - 1), says(1), says(2), says(3))
        assert (found.begin, found.end) == (10, 100)
    assert room(says(0, next_from=60), says(1), says(2), says(3)).begin == 60, "what still leaves enough is believed"


def test_own_sessions_count_even_if_no_validator_knows_them_any_more() -> None:
    assert room(says(0), says(1), says(2), own_begin=50).begin == 50
    assert room(says(0), says(1), says(2), own_begin=500).wei == 0


def test_who_is_leaving_is_told_so() -> None:
    assert room(*(says(n, leaving=True) for n in range(3))).leaving
    found = room(says(0, leaving=True), says(1), says(2), says(3))
    assert (found.leaving, found.wei) == (False, 90)


def test_strangers_and_other_stakes_weigh_nothing_here() -> None:
    stranger = Budget(Address("0x" + "ff" * 20), CONSUMER, 0, 0, 2**95, 0, False)
    assert room(stranger, says(0), says(1), says(2)).begin == 10
    heavy = {VALIDATORS[0]: 1_000, VALIDATORS[1]: 1}
    assert room_in([says(0, limit=40)], heavy, 0, 20).end == 40


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=4), st.integers(0, 200), st.integers(1, 200))
def test_whatever_is_said_two_thirds_cover_what_is_reserved(said: list[tuple[int, int]], own: int, wanted: int) -> None:
    answers = [says(n, next_from=begin, limit=end) for n, (begin, end) in enumerate(said)]
    found = room(*answers, own_begin=own, wanted=wanted)
    assert found.begin >= own
    if found.wei:
        willing = [one for one in answers if one.next_from <= found.begin and found.end <= one.limit]
        assert 3 * len(willing) >= 2 * len(VALIDATORS)


@pytest.mark.parametrize(
    ("left", "total", "price", "room", "expected"),
    [
        (8 * TOKEN, 8 * TOKEN, 0, 100 * TOKEN, 2 * TOKEN),
        (TOKEN, 8 * TOKEN, 0, 100 * TOKEN, TOKEN),
        (8 * TOKEN, 8 * TOKEN, 0, TOKEN, TOKEN),
        (8 * TOKEN, 8 * TOKEN, 16 * TOKEN, 100 * TOKEN, fee_of(16 * TOKEN, LEAST_BYTES)),
        (8 * TOKEN, 8 * TOKEN, 10**6 * TOKEN, 100 * TOKEN, 8 * TOKEN),
        (7, 7, 0, 100, 2),
    ],
)
def test_a_budget_is_split_as_far_as_it_is_worth_it(left: int, total: int, price: int, room: int, expected: int) -> None:
    assert session_budget(left, total, price, room) == expected
