"""Distances and delays against figures from elsewhere."""

from __future__ import annotations

from itertools import combinations
from math import pi

import pytest

from devnet.cities import CITIES, City, city, one_way_ms
from wire.geography import EARTH_RADIUS_KM, distance_km


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [("London", "New York", 5570), ("Frankfurt", "Singapore", 10260), ("Paris", "Madrid", 1053), ("Sydney", "São Paulo", 13370)],
)
def test_known_distances(one: str, other: str, km: float) -> None:
    assert distance_km(city(one), city(other)) == pytest.approx(km, rel=0.01)


def test_a_quarter_of_the_way_round() -> None:
    pole, equator = City("pole", "", 90.0, 0.0), City("equator", "", 0.0, 77.0)
    assert distance_km(pole, equator) == pytest.approx(EARTH_RADIUS_KM * pi / 2)


def test_antipodes_are_as_far_as_it_gets() -> None:
    assert distance_km(City("a", "", 10.0, 20.0), City("b", "", -10.0, -160.0)) == pytest.approx(EARTH_RADIUS_KM * pi)


@pytest.mark.parametrize(("one", "other"), list(combinations(sorted(CITIES), 2)))
def test_delays_are_symmetric_and_within_what_a_report_may_have(one: str, other: str) -> None:
    there, back = one_way_ms(city(one), city(other)), one_way_ms(city(other), city(one))
    assert there == pytest.approx(back)
    assert 0.5 < there < 101  # half way round the Earth is 20,015 km, or 100 ms
    assert there == pytest.approx(distance_km(city(one), city(other)) / 200)


def test_a_place_is_no_distance_from_itself() -> None:
    assert one_way_ms(city("Tokyo"), city("Tokyo")) == 0


def test_at_least_twenty_cities_with_regions_of_two_capitals() -> None:
    assert len(CITIES) >= 20
    assert all(len(place.region) == 2 and place.region.isupper() for place in CITIES.values())


def test_an_unknown_city_is_named() -> None:
    with pytest.raises(ValueError, match="'Atlantis'"):
        city("Atlantis")
