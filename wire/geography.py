"""Distances on the Earth, and which round trips cannot have been. Pure.

Distance: great circle by the haversine formula, d = 2 R asin(sqrt(sin²(Δφ/2) + cos φ1 cos φ2 sin²(Δλ/2))), with the mean Earth radius
R = 6371 km (error below 0.6 %, as the Earth is not a sphere).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import Protocol

EARTH_RADIUS_KM = 6371.0
ROUND_TRIP_KM_PER_MS = 150
"""No signal covers more distance per millisecond of its round trip: light in vacuum, 300 km per millisecond, goes there and back."""
ROUNDING_KM = 160
"""Places are named in whole degrees: each is up to half a degree off in both directions, 79 km, and two of them add up."""


class Located(Protocol):
    """Anything with a place. Degrees, north and east positive."""

    @property
    def latitude(self) -> float: ...

    @property
    def longitude(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in whole degrees, north and east positive."""

    latitude: int
    longitude: int


def distance_km(one: Located, other: Located) -> float:
    """Great-circle distance in kilometres."""
    phi1, phi2 = radians(one.latitude), radians(other.latitude)
    half_lat, half_lon = (phi2 - phi1) / 2, radians(other.longitude - one.longitude) / 2
    chord = sin(half_lat) ** 2 + cos(phi1) * cos(phi2) * sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))


def least_rtt_us(one: Spot, other: Spot) -> int:
    """The shortest round trip in microseconds that physics allows between two places named in whole degrees; 0 if they may be one."""
    return max(0, int((distance_km(one, other) - ROUNDING_KM) * 1000 / ROUND_TRIP_KM_PER_MS))


def is_on_earth(latitude: int, longitude: int) -> bool:
    """Whether degrees are in their range."""
    return abs(latitude) <= 90 and abs(longitude) <= 180
