"""Places for connections: in all, and of one neighbourhood."""

from __future__ import annotations

import asyncio

from wire.connections import Places


def test_one_neighbourhood_cannot_take_every_place() -> None:
    places = Places(asyncio.Protocol, most=10, most_of_a_group=3)
    assert [places.take("203.0.113.0/24") for _ in range(5)] == [True, True, True, False, False]
    assert places.take("198.51.100.0/24")
    assert places.taken == 4


def test_loopback_is_bounded_only_by_all_places() -> None:
    places = Places(asyncio.Protocol, most=4, most_of_a_group=1)
    assert [places.take("") for _ in range(5)] == [True, True, True, True, False]


def test_a_place_given_back_can_be_taken_and_leaves_nothing_behind() -> None:
    places = Places(asyncio.Protocol, most=1)
    for number in range(100):
        assert places.take(f"203.0.{number}.0/24")
        assert not places.take("x")
        places.free(f"203.0.{number}.0/24")
    assert places.taken == 0
