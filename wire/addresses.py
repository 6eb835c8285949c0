"""IP addresses as the network speaks of them: parsed, judged public or not, and reduced to the prefix that archives hold."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_SHARED = ipaddress.ip_network("100.64.0.0/10")


def parse_ip(text: str) -> IPAddress:
    """The address in `text` in its one canonical notation; `ValueError` otherwise (names, zones, other notations)."""
    address = ipaddress.ip_address(text)
    if str(address) != text or "%" in text:
        raise ValueError(f"{text[:60]!r} is not the canonical notation of {address}")
    return address


def observed_ip(text: str | None) -> IPAddress | None:
    """The address that a socket shows of its peer, without a zone; an IPv4 address in IPv6 form is itself again. None for none."""
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_public(address: IPAddress) -> bool:
    """Whether the address is globally routable unicast and no translation of another."""
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.sixtofour or address.teredo):
        return False
    if address in ipaddress.ip_network("64:ff9b::/96") or address in _SHARED:
        return False
    return address.is_global and not address.is_multicast


def group_prefix(address: IPAddress) -> str:
    """The group of an address: its IPv4 /24 or IPv6 /48, as text."""
    length = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network(f"{address}/{length}", strict=False))


@lru_cache(maxsize=1 << 14)
def site_prefix(group: str) -> str | None:
    """The IPv6 /32 that a group lies in, None for IPv4; `ValueError` if `group` is no prefix that `group_prefix` makes."""
    if len(group) > len("xxxx:xxxx:xxxx::/48") or "%" in group:  # a zone makes many texts of one prefix
        raise ValueError("a prefix is at most 19 characters long and has no zone")
    network = ipaddress.ip_network(group)
    if str(network) != group or network.prefixlen != (24 if network.version == 4 else 48):
        raise ValueError(f"{group!r} is not an IPv4 /24 or IPv6 /48")
    return None if network.version == 4 else str(network.supernet(new_prefix=32))
