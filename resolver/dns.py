"""DNS over UDP for the providers that opted in.

    <address without 0x>.p.<zone>     A or AAAA    a connected provider
    _dpn._tcp.<zone>                  SRV          up to MOST_SERVICES connected providers, others at each question
    _dpn._tcp.<region>.<zone>         SRV          the same, of a region
    <zone>                            SOA

What is no question is dropped. An answer has at most 512 bytes; one that would be longer is cut to its head with the TC bit,
and so is what one prefix asks too often for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol, cast

from chain.types import Address
from resolver.packets import TYPES, Authority, Question, Record, Service, cut, pack, read_question
from runtime.clock import Clock
from wire.addresses import group_prefix, parse_ip

log = logging.getLogger(__name__)

MAX_ZONE = 120
MOST_SERVICES = 5
MAX_UNSENT = 65_536
"""Bytes waiting for the network card from which on answers are dropped."""

MOST_LONGER = 50
"""Answers longer than their questions, to one IPv4 /24 or IPv6 /48 in one second: the sender of a datagram is easily forged, and what is
answered then floods somebody else. Beyond, the answer is cut to its head with the TC bit."""

IN = 1
ANY, AXFR, IXFR = 255, 252, 251


@dataclass(frozen=True, slots=True)
class Published:
    """A connected provider that opted in. ttl: whole seconds until its presence expires."""

    provider: Address
    host: str
    port: int
    ttl: int


class Directory(Protocol):
    """Whom the zone may name at this moment."""

    def find(self, provider: Address) -> Published | None:
        """The provider, if it is connected and opted in."""

    def draw(self, region: str, start: int, most: int) -> Sequence[Published]:
        """Up to `most` connected providers that opted in, of `region` (empty: any); `start` says where to begin."""


def parse_zone(text: str) -> tuple[bytes, ...]:
    """The labels of a zone such as `dpn.test`, lower case; `ValueError` if it is none or longer than MAX_ZONE."""
    labels = tuple(text.lower().rstrip(".").encode("ascii", "replace").split(b"."))
    for label in labels:
        if not 1 <= len(label) <= 63 or not label.replace(b"-", b"").isalnum():
            raise ValueError(f"{text[:80]!r} is not a DNS zone: labels of letters, digits and hyphens are expected")
    if sum(len(label) + 1 for label in labels) > MAX_ZONE:
        raise ValueError(f"the zone {text[:20]}… is longer than {MAX_ZONE} bytes")
    return labels


def answer_to(packet: bytes, zone: tuple[bytes, ...], directory: Directory, now: float, negative_ttl: int) -> bytes | None:
    """The answer to a packet, at most 512 bytes; None if it deserves none. negative_ttl: seconds that "no such name" may be kept."""
    question = read_question(packet)
    if question is None:
        return None
    name = tuple(label.lower() for label in question.name)
    if question.opcode != 0:
        return pack(question, "NOTIMP")
    if question.class_ != IN or question.type in (AXFR, IXFR) or name[len(name) - len(zone) :] != zone:
        return pack(question, "REFUSED")
    found = _records(question, name[: len(name) - len(zone)], zone, directory, now, negative_ttl)
    records = [record for record in found or () if question.type in (TYPES[record.kind], ANY)]
    if records:
        return pack(question, "NOERROR", records)
    return pack(question, "NXDOMAIN" if found is None else "NOERROR", authority=[_soa(zone, now, negative_ttl)])


def _records(
    question: Question, inside: tuple[bytes, ...], zone: tuple[bytes, ...], directory: Directory, now: float, negative_ttl: int
) -> Sequence[Record] | None:
    """All records of a name below the zone, None if there is no such name."""
    match inside:
        case ():
            return [_soa(zone, now, negative_ttl)]
        case (b"p",) | (b"_tcp",):
            return []
        case (label, b"p"):
            published = _find(label, directory)
            return None if published is None else [_address_record(question.name, published)]
        case (b"_dpn", b"_tcp"):
            return _services(question, "", zone, directory)
        case (b"_dpn", b"_tcp", region) if _is_region(region):
            return _services(question, region.decode().upper(), zone, directory)
        case (region,) | (b"_tcp", region) if _is_region(region):
            return []
        case _:
            return None


def _find(label: bytes, directory: Directory) -> Published | None:
    if len(label) != 40 or label.strip(b"0123456789abcdef"):
        return None
    return directory.find(Address("0x" + label.decode()))


def _is_region(label: bytes) -> bool:
    return len(label) == 2 and label.isalpha()


def _address_record(name: tuple[bytes, ...], published: Published) -> Record:
    host = parse_ip(published.host)
    return Record(name, "A" if host.version == 4 else "AAAA", published.ttl, host)


def _services(question: Question, region: str, zone: tuple[bytes, ...], directory: Directory) -> Sequence[Record]:
    """A record set has one TTL: that of the presence which may end first."""
    drawn = directory.draw(region, question.id, MOST_SERVICES)
    ttl = min((published.ttl for published in drawn), default=0)
    return [
        Record(question.name, "SRV", ttl, Service(published.port, (published.provider[2:].encode(), b"p", *zone))) for published in drawn
    ]


def _soa(zone: tuple[bytes, ...], now: float, negative_ttl: int) -> Record:
    return Record(zone, "SOA", negative_ttl, Authority((b"ns", *zone), (b"hostmaster", *zone), int(now) % 2**32, negative_ttl))


class DnsProtocol(asyncio.DatagramProtocol):
    """Answers each datagram at once and keeps nothing but how many long answers each prefix got in this second."""

    def __init__(self, zone: tuple[bytes, ...], directory: Directory, clock: Clock, negative_ttl: int) -> None:
        self._zone, self._directory, self._clock, self._negative_ttl = zone, directory, clock, negative_ttl
        self._transport: Any = None
        self._second, self._longer = 0, Counter[str]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(Any, transport)  # typeshed does not know that datagram transports tell what is unsent

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if self._transport is None or self._transport.get_write_buffer_size() > MAX_UNSENT:
            return
        reply = answer_to(data, self._zone, self._directory, self._clock.now(), self._negative_ttl)
        if reply is None:
            return
        if len(reply) > len(data) and not self._may_be_longer(addr[0]):
            question = read_question(data)
            if question is None:
                return
            reply = cut(question)
        self._transport.sendto(reply, addr)

    def _may_be_longer(self, host: str) -> bool:
        second = int(self._clock.now())
        if second != self._second:
            self._second = second
            self._longer.clear()
        prefix = group_prefix(ip_address(host.partition("%")[0]))
        self._longer[prefix] += 1
        return self._longer[prefix] <= MOST_LONGER

    def error_received(self, exc: Exception) -> None:
        log.debug("a DNS answer could not be sent: %s", exc)


async def serve_dns(host: str, port: int, protocol: DnsProtocol) -> asyncio.DatagramTransport:
    """Listens; `close()` ends it. `OSError` if the address cannot be bound."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: protocol, local_addr=(host, port))
    return transport
