"""DNS packets: questions are read here byte by byte, so that no byte of a stranger reaches a parser that may fail; dnslib packs answers."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dnslib.dns as _untyped

from wire.addresses import IPAddress

dnslib: Any = _untyped
"""It is published without types."""

MAX_ANSWER = 512
MAX_QUESTION = 1232
"""Bytes; a larger datagram is no question that this server can be asked."""

TYPES: Mapping[str, int] = {"A": 1, "SOA": 6, "AAAA": 28, "SRV": 33}
RCODES: Mapping[str, int] = {"NOERROR": 0, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}


@dataclass(frozen=True, slots=True)
class Question:
    """One question. name: its labels as asked, without the root."""

    id: int
    recursion_desired: bool
    opcode: int
    name: tuple[bytes, ...]
    type: int
    class_: int


@dataclass(frozen=True, slots=True)
class Service:
    """An SRV record's data."""

    port: int
    target: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Authority:
    """An SOA record's data. negative_ttl: seconds that "no such name" may be kept."""

    server: tuple[bytes, ...]
    mailbox: tuple[bytes, ...]
    serial: int
    negative_ttl: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record of class IN. kind: of `TYPES`. ttl: seconds."""

    name: tuple[bytes, ...]
    kind: str
    ttl: int
    data: IPAddress | Service | Authority


def read_question(packet: bytes) -> Question | None:
    """The question in a packet; None for what is none: answers, several questions, compressed or overlong names, anything cut short.

    What follows the question (as EDNS does) is not looked at.
    """
    if not 12 <= len(packet) <= MAX_QUESTION:
        return None
    id_, flags, questions, answers, authorities, _ = struct.unpack_from("!6H", packet)
    if flags & 0x8000 or questions != 1 or answers or authorities:
        return None
    labels, at, size = [], 12, 1
    while True:
        length = packet[at] if at < len(packet) else 64
        if length == 0:
            break
        size += length + 1
        if length > 63 or size > 255 or at + 1 + length > len(packet):
            return None
        labels.append(packet[at + 1 : at + 1 + length])
        at += 1 + length
    if at + 5 > len(packet):
        return None
    type_, class_ = struct.unpack_from("!2H", packet, at + 1)
    return Question(id_, bool(flags & 0x0100), flags >> 11 & 15, tuple(labels), type_, class_)


def pack(question: Question, rcode: str, records: Sequence[Record] = (), authority: Sequence[Record] = ()) -> bytes:
    """The answer as at most 512 bytes: if it would be longer, without the authority, or with the TC bit and no records."""
    whole = _pack(question, rcode, records, authority)
    if len(whole) > MAX_ANSWER and not records:
        return _pack(question, rcode, (), ())  # how long to remember that there is nothing can be left out
    return whole if len(whole) <= MAX_ANSWER else _pack(question, rcode, (), (), truncated=True)


def cut(question: Question) -> bytes:
    """The answer's head with the TC bit: never longer than the question was."""
    return _pack(question, "NOERROR", (), (), truncated=True)


def _pack(question: Question, rcode: str, records: Sequence[Record], authority: Sequence[Record], truncated: bool = False) -> bytes:
    own = rcode in ("NOERROR", "NXDOMAIN")
    flags = {"aa": int(own), "tc": int(truncated), "rd": int(question.recursion_desired), "ra": 0}
    header = dnslib.DNSHeader(id=question.id, qr=1, opcode=question.opcode, rcode=RCODES[rcode], **flags)
    asked = dnslib.DNSQuestion(dnslib.DNSLabel(question.name), question.type, question.class_)
    reply = dnslib.DNSRecord(header, questions=[asked], rr=[_rr(r) for r in records], auth=[_rr(r) for r in authority])
    return bytes(reply.pack())


def _rr(record: Record) -> Any:
    match record.data:
        case Service(port, target):
            data = dnslib.SRV(10, 10, port, dnslib.DNSLabel(target))
        case Authority(server, mailbox, serial, negative_ttl):
            data = dnslib.SOA(dnslib.DNSLabel(server), dnslib.DNSLabel(mailbox), (serial, 3600, 600, 86_400, negative_ttl))
        case address:
            data = (dnslib.A if address.version == 4 else dnslib.AAAA)(str(address))
    return dnslib.RR(dnslib.DNSLabel(record.name), TYPES[record.kind], 1, record.ttl, data)
