"""Places and countries."""

from __future__ import annotations

import pytest

from devnet.cities import CITIES, City
from wire.announcements import check_location
from wire.refusals import Refused
from wire.regions import BOXES, may_lie_in


@pytest.mark.parametrize("city", CITIES.values(), ids=lambda city: str(city.name))
def test_cities_lie_in_their_countries(city: City) -> None:
    check_location(city.region, round(city.latitude), round(city.longitude))


@pytest.mark.parametrize(
    ("region", "latitude", "longitude", "inside"),
    [
        ("DE", 50, 9, True),
        ("DE", 36, 140, False),
        ("JP", 50, 9, False),
        ("DE", 0, 0, False),
        ("SG", 1, 104, True),
        ("US", 21, -158, True),
        ("NZ", -41, 175, True),
        ("FJ", -18, 178, True),
        ("XX", 12, 34, True),
    ],
)
def test_a_claim_that_contradicts_itself(region: str, latitude: int, longitude: int, inside: bool) -> None:
    assert may_lie_in(region, latitude, longitude) is inside
    if not inside:
        with pytest.raises(Refused) as refused:
            check_location(region, latitude, longitude)
        assert refused.value.code == "absurd_value"


def test_boxes_are_boxes() -> None:
    assert len(BOXES) > 200
    for region, (south, north, west, east) in BOXES.items():
        assert len(region) == 2
        assert -90 <= south < north <= 90
        assert -180 <= west < east <= 180
