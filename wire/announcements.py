"""What resolvers and masters both refuse about an announcement: its time and the place it names. Pure.

No refusal repeats the address: it may be somebody's home, and refusals end up in logs.
"""

from __future__ import annotations

from chain.rules import Rules
from wire.addresses import IPAddress, is_public, parse_ip
from wire.refusals import Refused


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
