"""What a session's connections carry: frames, and the messages in them. The specification is docs/protocol.md, "Data plane".

A frame is a kind (one byte), a length (three bytes, big-endian) and so many bytes. `DATA`, `END` and `RESET` belong to a stream; every
other kind is a message, in canonical JSON, of the type that `MESSAGES` names. TLS has no half-close that could be used, so `END` is one;
a stream that stops without `END` or `RESET` was cut off, and is told as failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain.canonical import decode, encode
from chain.errors import CodecError
from chain.typed import Signed
from chain.types import U16, U64, Digest
from wire.messages import Offer, SessionRequest, UsageReceipt, UsageReport

HEADER = 4
LONGEST = (1 << 24) - 1
"""Of a frame, without its header. Data is passed on while it comes, so that a long frame takes no memory."""
MOST_MESSAGE = 16_384
"""Of a message, which is held in memory."""
OK = "ok"

DATA, END, RESET = 0, 1, 2
PING, PONG, REQUEST, OFFER, ACCEPTANCE, OPENED, RECEIPT, REPORTED, GOODBYE, REFUSAL, JOIN, OPEN, ANSWERED = range(16, 29)


@dataclass(frozen=True, slots=True)
class Beat:
    """A `PING`, and the `PONG` that answers it with the same number: for round trips, and to keep a silent connection known as alive."""

    number: U64


@dataclass(frozen=True, slots=True)
class Opened:
    """The session is covered and served. token: 32 random bytes that its streams show. credit: see `Reported`."""

    session_id: Digest
    token: Digest
    credit: U64


@dataclass(frozen=True, slots=True)
class Reported:
    """The provider's answer to a receipt, of the same sequence. credit: bytes that it serves this consumer unreceipted from now on."""

    report: Signed[UsageReport]
    credit: U64


@dataclass(frozen=True, slots=True)
class Word:
    """A `REFUSAL` or a `GOODBYE`. code: of `wire.refusals`, or `done`. detail: a few words on it; never a destination or an address."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Join:
    """The first frame of a stream's connection. Answered by `ANSWERED`."""

    session_id: Digest
    token: Digest


@dataclass(frozen=True, slots=True)
class Open:
    """Asks for a connection to an IP address or a name, which is resolved at the provider. Answered by `ANSWERED`; data follows `ok`."""

    host: str
    port: U16


@dataclass(frozen=True, slots=True)
class Answered:
    """code: `ok`, or one of `wire.refusals`."""

    code: str


MESSAGES: Mapping[int, Any] = {
    PING: Beat,
    PONG: Beat,
    REQUEST: Signed[SessionRequest],
    OFFER: Signed[Offer],
    ACCEPTANCE: Signed[UsageReceipt],
    OPENED: Opened,
    RECEIPT: Signed[UsageReceipt],
    REPORTED: Reported,
    GOODBYE: Word,
    REFUSAL: Word,
    JOIN: Join,
    OPEN: Open,
    ANSWERED: Answered,
}


def header(kind: int, length: int) -> bytes:
    """The four bytes before a frame's content."""
    return (kind << 24 | length).to_bytes(HEADER)


def parse_header(head: bytes | bytearray) -> tuple[int, int]:
    """Kind and length."""
    return head[0], int.from_bytes(head[1:HEADER])


def frame(kind: int, message: Any) -> bytes:
    """A message with its header; `ValueError` if it is too long to be taken."""
    content = encode(message)
    if len(content) > MOST_MESSAGE:
        raise ValueError(f"a message of {len(content)} bytes is longer than {MOST_MESSAGE}")
    return header(kind, len(content)) + content


def read_message(kind: int, content: bytes) -> Any:
    """The message in a frame of this kind; `CodecError` if it is none."""
    struct = MESSAGES.get(kind)
    if struct is None:
        raise CodecError("malformed_json", f"a frame of kind {kind} has no place here")
    return decode(struct, content)
