"""Places for connections: in all, and of one neighbourhood."""

from __future__ import annotations

import asyncio

import pytest

from wire.connections import Places, prefix_of


@pytest.mark.parametrize(
    ("host", "prefix"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("::203.0.113.7", "::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("?", ""),
    ],
)
def test_however_a_socket_names_a_peer_it_has_a_neighbourhood(host: str, prefix: str) -> None:
    """What cannot be read would end the task that takes connections, for everybody."""
    assert prefix_of(host) == prefix


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
