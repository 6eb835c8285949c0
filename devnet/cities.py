"""Where a devnet places its nodes, and how long light in fibre takes between two places.

Delay: light in glass covers about 200 km per millisecond, so one way takes distance / 200 ms and a round trip distance / 100 ms. Real
cables are longer; the order of distances on a map is what this keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wire.geography import distance_km

FIBRE_KM_PER_MS = 200.0


@dataclass(frozen=True, slots=True)
class City:
    """A place. region: ISO 3166-1 alpha-2. latitude, longitude: degrees, north and east positive."""

    name: str
    region: str
    latitude: float
    longitude: float


def one_way_ms(one: City, other: City) -> float:
    """How long a datagram travels one way, in milliseconds."""
    return distance_km(one, other) / FIBRE_KM_PER_MS


def city(name: str) -> City:
    """The city of that name; `ValueError` names those there are."""
    try:
        return CITIES[name]
    except KeyError:
        raise ValueError(f"{name!r} is not in the devnet's table of cities. Known: {', '.join(sorted(CITIES))}") from None


def _table(*cities: City) -> Mapping[str, City]:
    return {place.name: place for place in cities}


CITIES: Mapping[str, City] = _table(
    City("Amsterdam", "NL", 52.37, 4.90),
    City("Chicago", "US", 41.88, -87.63),
    City("Dubai", "AE", 25.20, 55.27),
    City("Frankfurt", "DE", 50.11, 8.68),
    City("Helsinki", "FI", 60.17, 24.94),
    City("Johannesburg", "ZA", -26.20, 28.05),
    City("Lagos", "NG", 6.52, 3.38),
    City("London", "GB", 51.51, -0.13),
    City("Madrid", "ES", 40.42, -3.70),
    City("Mexico City", "MX", 19.43, -99.13),
    City("Mumbai", "IN", 19.08, 72.88),
    City("Nairobi", "KE", -1.29, 36.82),
    City("New York", "US", 40.71, -74.01),
    City("Paris", "FR", 48.86, 2.35),
    City("San Francisco", "US", 37.77, -122.42),
    City("São Paulo", "BR", -23.55, -46.63),
    City("Seoul", "KR", 37.57, 126.98),
    City("Singapore", "SG", 1.35, 103.82),
    City("Sydney", "AU", -33.87, 151.21),
    City("Tokyo", "JP", 35.68, 139.69),
    City("Toronto", "CA", 43.65, -79.38),
    City("Warsaw", "PL", 52.23, 21.01),
)
