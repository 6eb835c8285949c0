"""Where a provider connects on behalf of consumers, and where it does not: policy without state, and one resolution.

Whatever a name or a number in any notation stands for is resolved once, by the system's own resolver, and judged as the address it gives;
the connection then goes to that very address. So no notation and no name that changes its mind gets past a check.
A refusal names a code of `wire.refusals` and never the destination.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from wire.addresses import IPAddress
from wire.refusals import Refused

DEFAULT_PORTS = (20, 21, 22, 43, 53, 80, 110, 143, 443, 465, 587, 853, 873, 989, 990, 993, 995, 1194, 3478, 5222, 5223, 5349, 6667, 6697)
"""Allowed with every port from 1024 on, unless the operator lists others. 25 is never among them: mail servers take it for spam."""
FIRST_OPEN_PORT = 1024
RESOLVE_S = 5.0
RESOLVERS = 16
"""Names that are looked up at the same time."""
LONGEST_NAME = 253

_IPv4 = ipaddress.IPv4Network
_IPv6 = ipaddress.IPv6Network
REFUSED_V4 = tuple(
    _IPv4(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # private
        "100.64.0.0/10",  # shared by a carrier's customers; 100.100.100.200 is a cloud's metadata
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, with clouds' metadata
        "192.0.0.0/24", "192.88.99.0/24",  # protocol assignments, 6to4 relays
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # documentation
        "198.18.0.0/15",  # benchmarking
        "224.0.0.0/4", "240.0.0.0/4",  # multicast, reserved, broadcast
        "168.63.129.16/32", "192.0.0.192/32",  # metadata at addresses that look public
    )
)  # fmt: skip
ALLOWED_V6 = _IPv6("2000::/3")
"""Global unicast; everything else is refused: `::`, loopback, mapped, NAT64, unique local, link-local, site-local, multicast."""
REFUSED_V6 = tuple(
    _IPv6(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32", "3fff::/20",  # documentation
        "2002::/16",  # 6to4
        "64:ff9b::/96", "64:ff9b:1::/48",  # NAT64
        "5f00::/16",  # segment routing
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Destination:
    """A checked address to connect to."""

    address: IPAddress
    port: int


@dataclass(frozen=True, slots=True)
class Policy:
    """ports: those allowed; empty for `DEFAULT_PORTS` and all from 1024 on. opened: networks that the operator lets through although they
    are not public, as a test's origin on loopback. blocked, blocked_names: networks and ends of names that the operator does not reach.
    """

    ports: tuple[int, ...] = ()
    opened: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    blocked: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    blocked_names: tuple[str, ...] = ()

    def check_port(self, port: int) -> None:
        """`Refused` (`port_refused`) unless the port is allowed."""
        allowed = port in self.ports if self.ports else port in DEFAULT_PORTS or port >= FIRST_OPEN_PORT
        if not allowed or port == 0:
            raise Refused("port_refused")

    def check_name(self, host: str) -> None:
        """`Refused`: `destination_blocked`, or `name_not_found` for what cannot be a name."""
        name = host.rstrip(".").lower()
        if not name or len(name) > LONGEST_NAME or not name.isascii() or not name.isprintable() or " " in name:
            raise Refused("name_not_found")
        if any(name == end or name.endswith("." + end) for end in self.blocked_names):
            raise Refused("destination_blocked")

    def check(self, address: IPAddress, own: Iterable[IPAddress], roles: Iterable[IPAddress]) -> None:
        """`Refused` (`destination_refused`, `destination_blocked`) unless the address may be reached.

        own: all of this machine's, with the announced one. roles: those of the nodes that the chain lists, which are refused on every port:
        what else listens there is the operator's own, and was opened for other nodes at most.
        """
        if address in set(own) or address in set(roles):
            raise Refused("destination_refused")
        if any(address in network for network in self.blocked if network.version == address.version):
            raise Refused("destination_blocked")
        if any(address in network for network in self.opened if network.version == address.version):
            return
        if not is_reachable(address):
            raise Refused("destination_refused")


def is_reachable(address: IPAddress) -> bool:
    """Whether the address is a public unicast one, and no translation of another."""
    if isinstance(address, ipaddress.IPv6Address):
        return address in ALLOWED_V6 and not any(address in network for network in REFUSED_V6) and address.scope_id is None
    return not any(address in network for network in REFUSED_V4)


class Resolver:
    """Looks names up, a bounded number at a time, in threads: the system's resolver knows no other way."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="names")
        self._places = asyncio.Semaphore(RESOLVERS)

    def close(self) -> None:
        """Waits for no look-up that is under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def addresses(self, host: str, port: int) -> tuple[IPAddress, ...]:
        """What the name or the number in any notation stands for, best first. `Refused`: `name_not_found`, or `busy`."""
        try:
            return (ipaddress.ip_address(host),)
        except ValueError:
            pass
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_S):
                async with self._places:
                    found = await loop.run_in_executor(self._threads, _look_up, host, port)
        except TimeoutError:
            raise Refused("name_not_found", "it was not resolved in time") from None
        if not found:
            raise Refused("name_not_found")
        return found


def _look_up(host: str, port: int) -> tuple[IPAddress, ...]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        return ()
    return tuple(dict.fromkeys(ipaddress.ip_address(str(place[0])) for *_, place in found))


def choose(policy: Policy, found: Iterable[IPAddress], port: int, own: Iterable[IPAddress], roles: Iterable[IPAddress]) -> Destination:
    """The first of these addresses that may be reached; `Refused` as the first one is if none may."""
    own, roles = frozenset(own), frozenset(roles)
    refusals = []
    for address in found:
        try:
            policy.check(address, own, roles)
        except Refused as refused:
            refusals.append(refused)
        else:
            return Destination(address, port)
    raise refusals[0] if refusals else Refused("name_not_found")


def own_addresses(announced: str) -> frozenset[IPAddress]:
    """This machine's addresses as far as the system tells, with the announced one."""
    found = {ipaddress.ip_address(announced)} if announced else set()
    try:
        import fcntl
        import struct

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _, name in socket.if_nameindex():
                try:
                    answer = fcntl.ioctl(sock, 0x8915, struct.pack("256s", name.encode()[:15]))  # SIOCGIFADDR
                except OSError:
                    continue
                found.add(ipaddress.ip_address(answer[20:24]))
    except (ImportError, OSError):
        pass
    return frozenset(found | _own_v6())


def _own_v6() -> set[IPAddress]:
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as lines:  # noqa: PTH123 - a file of the kernel's
            return {ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines}
    except (OSError, ValueError, IndexError):
        return set()
