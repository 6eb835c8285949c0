"""What is refused about an announcement: by resolvers and masters its time and address, by resolvers its figures and location. Pure.

No refusal repeats the address: it may be somebody's home, and refusals end up in logs.
"""

from __future__ import annotations

from chain.rules import Rules
from wire.addresses import IPAddress, is_public, parse_ip
from wire.geography import is_on_earth
from wire.refusals import Refused
from wire.regions import may_lie_in
from wire.sessions import is_region

MAX_BANDWIDTH = 10**12
"""bit/s"""
MAX_PRICE = 10**24
"""Wei per GiB."""


def check_time(time: int, rules: Rules, now: float) -> None:
    """Raises `Refused`, `stale_time` or `future_time`, unless `time` and the whole UTC second of `now` are `tolerance_s` apart at most."""
    second = int(now)
    evidence = {"time": str(time), "now": str(second)}
    if time < second - rules.tolerance_s:
        raise Refused("stale_time", "", evidence)
    if time > second + rules.tolerance_s:
        raise Refused("future_time", "", evidence)


def check_place(host: str, port: int, rules: Rules) -> IPAddress:
    """The address of one machine that others may reach. Raises `Refused`: `absurd_value` or `private_address`."""
    try:
        address = parse_ip(host)
    except ValueError:
        raise Refused("absurd_value", "the host is an IP address in canonical notation", {"field": "host"}) from None
    if address.is_unspecified or address.is_multicast or getattr(address, "ipv4_mapped", None):
        raise Refused("absurd_value", "the host is the address of one machine", {"field": "host"})
    if port == 0:
        raise Refused("absurd_value", "", {"field": "port", "value": "0"})
    if not rules.allow_private_addresses and not is_public(address):
        raise Refused("private_address", "", {"field": "host"})
    return address


def check_figures(bandwidth: int, price: int) -> None:
    """Raises `Refused` (`absurd_value`) for a bandwidth (bit/s) of 0 or above MAX_BANDWIDTH, or a price (wei per GiB) above MAX_PRICE."""
    for field, value, holds in (("bandwidth", bandwidth, 0 < bandwidth <= MAX_BANDWIDTH), ("price", price, price <= MAX_PRICE)):
        if not holds:
            raise Refused("absurd_value", "", {"field": field, "value": str(value)})


def check_location(region: str, latitude: int, longitude: int) -> None:
    """Raises `Refused` (`absurd_value`) for a region that has not the form of one, or for degrees out of range, without a region or outside
    it."""
    if region and not is_region(region):
        raise Refused("absurd_value", "a region is two capitals, or empty", {"field": "region"})
    if not is_on_earth(latitude, longitude) or (not region and (latitude or longitude)):
        raise Refused("absurd_value", "degrees are out of range, or given without a region", {"field": "latitude, longitude"})
    if region and not may_lie_in(region, latitude, longitude):
        raise Refused(
            "absurd_value", f"{region} does not lie there: set latitude and longitude to where this is", {"field": "latitude, longitude"}
        )
