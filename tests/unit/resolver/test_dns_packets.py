"""DNS answers, read back with dnslib; garbage is dropped, and nothing makes the reader raise."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dnslib.dns as untyped
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chain.types import Address
from resolver.dns import MOST_SERVICES, Published, answer_to, parse_zone
from resolver.packets import MAX_ANSWER, read_question

dnslib: Any = untyped
ZONE = parse_zone("dpn.test")
ONE = Published(Address("0x" + "a1" * 20), "5.6.7.8", 7400, 61)
SIX = Published(Address("0x" + "a2" * 20), "2606:4700::1111", 7401, 17)
NAME = f"{'a1' * 20}.p.dpn.test"


@dataclass(frozen=True)
class Listed:
    """A directory of fixed providers, all in DE."""

    providers: tuple[Published, ...] = (ONE, SIX)

    def find(self, provider: Address) -> Published | None:
        return next((p for p in self.providers if p.provider == provider), None)

    def draw(self, region: str, start: int, most: int) -> Sequence[Published]:
        first = start % 1  # always the same ones, whatever the question's id
        return self.providers[first:most] if region in ("", "DE") else ()


def ask(name: str, kind: str = "A", directory: Listed | None = None, zone: tuple[bytes, ...] = ZONE, **header: int) -> Any:
    question = dnslib.DNSRecord(dnslib.DNSHeader(id=77, rd=1, **header), q=dnslib.DNSQuestion(name, getattr(dnslib.QTYPE, kind)))
    packed = answer_to(bytes(question.pack()), zone, directory or Listed(), 1_700_000_000.5, 30)
    assert packed is not None
    assert len(packed) <= MAX_ANSWER
    reply = dnslib.DNSRecord.parse(packed)
    assert (reply.header.id, reply.header.qr, reply.header.rd, reply.header.ra) == (77, 1, 1, 0)
    assert reply.q == question.q
    return reply


def rcode(reply: Any) -> str:
    return str(dnslib.RCODE[reply.header.rcode])


def test_a_provider_is_read_by_its_address() -> None:
    reply = ask(NAME)
    assert (rcode(reply), reply.header.aa, str(reply.rr[0].rdata), reply.rr[0].ttl) == ("NOERROR", 1, "5.6.7.8", 61)
    reply = ask(f"{'a2' * 20}.p.dpn.test", "AAAA")
    assert (str(reply.rr[0].rdata), reply.rr[0].ttl) == ("2606:4700::1111", 17)
    assert [str(record.rdata) for record in ask(NAME, "ANY").rr] == ["5.6.7.8"]


def test_names_are_asked_in_any_case_and_answered_as_asked() -> None:
    reply = ask(NAME.upper())
    assert str(reply.rr[0].rname).startswith(("A1" * 20) + ".P.DPN.TEST")


@pytest.mark.parametrize("name", ["_dpn._tcp.dpn.test", "_dpn._tcp.de.dpn.test"])
def test_services_name_port_and_target_with_one_ttl(name: str) -> None:
    reply = ask(name, "SRV")
    assert [(r.rdata.port, str(r.rdata.target), r.ttl) for r in reply.rr] == [
        (7400, f"{NAME}.", 17),
        (7401, f"{'a2' * 20}.p.dpn.test.", 17),
    ]


def test_no_data_is_not_no_name() -> None:
    for name, kind in [
        (NAME, "AAAA"),
        (NAME, "TXT"),
        ("_dpn._tcp.fr.dpn.test", "SRV"),
        ("_dpn._tcp.dpn.test", "A"),
        ("p.dpn.test", "A"),
        ("_tcp.dpn.test", "A"),
        ("de.dpn.test", "A"),
        ("_tcp.de.dpn.test", "A"),
        ("dpn.test", "A"),
    ]:
        reply = ask(name, kind)
        assert (rcode(reply), reply.rr, reply.auth[0].rdata.times[4]) == ("NOERROR", [], 30), name
    for name in ["b1" * 20 + ".p.dpn.test", "a1.p.dpn.test", "x.dpn.test", f"x.{NAME}", "_dpn._tcp.usa.dpn.test", "_dpn._udp.dpn.test"]:
        reply = ask(name)
        assert (rcode(reply), reply.rr, reply.auth[0].ttl) == ("NXDOMAIN", [], 30), name


def test_the_zone_has_an_soa() -> None:
    assert ask("dpn.test", "SOA").rr[0].rdata.times[4] == 30


def test_what_is_not_ours_is_refused() -> None:
    for name in ["example.org", "test", ".", "adpn.test", "dpn.test.example"]:
        reply = ask(name)
        assert (rcode(reply), reply.rr, reply.auth, reply.header.aa) == ("REFUSED", [], [], 0), name
    assert rcode(ask("dpn.test", "AXFR")) == "REFUSED"
    assert rcode(ask(NAME, opcode=4)) == "NOTIMP"
    chaos = struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\x03dpn\x04test\x00" + struct.pack("!2H", 1, 3)
    packed = answer_to(chaos, ZONE, Listed(), 0, 30)
    assert rcode(dnslib.DNSRecord.parse(packed)) == "REFUSED"


def test_an_answer_that_is_too_long_is_cut_to_its_head() -> None:
    crowd = Listed(tuple(Published(Address(f"0x{n:040x}"), "5.6.7.8", 7400, 9) for n in range(1, 40)))
    assert len(ask("_dpn._tcp.dpn.test", "SRV", crowd).rr) == MOST_SERVICES
    long_zone = ".".join(["z" * 58] * 2)
    reply = ask(f"_dpn._tcp.{long_zone}", "SRV", crowd, parse_zone(long_zone))
    assert (reply.header.tc, reply.rr) == (1, [])
    deep = ".".join(["y" * 60] * 2 + [long_zone])
    assert rcode(ask(deep, "A", crowd, parse_zone(long_zone))) == "NXDOMAIN"


@pytest.mark.parametrize("zone", ["", ".", "a..b", "ä.test", "x" * 64, "a b", ".".join(["z" * 60] * 2), "_dpn"])
def test_zones_that_are_none(zone: str) -> None:
    with pytest.raises(ValueError, match="zone"):
        parse_zone(zone)


HEADER = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0)
GOOD = HEADER + b"\x28" + b"a1" * 20 + b"\x01p\x03dpn\x04test\x00" + struct.pack("!2H", 1, 1)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        HEADER,
        GOOD[:-1],
        GOOD[:40],
        HEADER + b"\xc0\x0c" + struct.pack("!2H", 1, 1),
        HEADER + b"\x40" + b"a" * 64 + b"\x00" + struct.pack("!2H", 1, 1),
        HEADER + (b"\x3f" + b"a" * 63) * 4 + b"\x00" + struct.pack("!2H", 1, 1),
        struct.pack("!6H", 1, 0x8100, 1, 0, 0, 0) + GOOD[12:],
        struct.pack("!6H", 1, 0x0100, 2, 0, 0, 0) + GOOD[12:],
        struct.pack("!6H", 1, 0x0100, 0, 0, 0, 0) + GOOD[12:],
        struct.pack("!6H", 1, 0x0100, 1, 1, 0, 0) + GOOD[12:],
        GOOD + bytes(1232),
    ],
)
def test_garbage_is_dropped(packet: bytes) -> None:
    assert answer_to(GOOD, ZONE, Listed(), 0, 30) is not None
    assert answer_to(packet, ZONE, Listed(), 0, 30) is None


@st.composite
def near_misses(draw: st.DrawFn) -> bytes:
    """The good question with some bytes changed, cut or added."""
    packet = bytearray(GOOD)
    for _ in range(draw(st.integers(0, 4))):
        packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(packet[: draw(st.integers(0, len(packet)))] if draw(st.booleans()) else packet) + draw(st.binary(max_size=20))


labels = st.lists(st.binary(min_size=1, max_size=63), max_size=6)
well_formed = st.builds(
    lambda name, kind, class_, flags: (
        struct.pack("!6H", 9, flags & 0x7FFF, 1, 0, 0, 0)
        + b"".join(bytes([len(part)]) + part for part in name)
        + b"\x00"
        + struct.pack("!2H", kind, class_)
    ),
    st.one_of(labels, labels.map(lambda found: [*found[:2], b"dpn", b"test"])),
    st.integers(0, 65_535),
    st.sampled_from([1, 3, 255]),
    st.integers(0, 65_535),
)


@given(st.one_of(st.binary(max_size=600), near_misses(), well_formed))
@example(GOOD)
def test_any_bytes_are_dropped_or_answered_in_bounds(packet: bytes) -> None:
    answer = answer_to(packet, ZONE, Listed(), 1_700_000_000, 30)
    question = read_question(packet)
    assert (answer is None) is (question is None)
    if answer is not None and question is not None:
        assert 12 <= len(answer) <= MAX_ANSWER
        assert answer[:2] == packet[:2]
        assert answer[2] & 0x80
        records = dnslib.DNSHeader.parse(dnslib.DNSBuffer(answer)).a
        assert records <= MOST_SERVICES
