"""What is said in the clear at a relay's port. After it TLS runs from end to end, and the relay sees ciphertext only. Pure.

    opening     `DPNR`, kind (1), provider (20)                     25 bytes, of a caller or of the provider itself
    caller      sends its TLS bytes at once after the opening; gets the provider's, or the connection ends
    provider    gets `CHALLENGE` and 32 random bytes; answers with a length (2, big-endian) and so much canonical JSON of a
                `Signed[RelayRegistration]`; gets `WAITING`, then `WAITING` again every `ALIVE_S`, then `CALLED`: what follows is a caller's
    refusal     `REFUSED`, a length (1) and a code of `wire.refusals`; only the provider gets one

A registration is good for one connection, since it signs what the relay has just drawn: whoever reads it can do nothing with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chain.canonical import decode, encode
from chain.rules import Rules
from chain.typed import Domain, Signed, verify
from chain.types import U64, Address, Digest
from wire.announcements import check_time
from wire.refusals import TABLE, Refused

MAGIC = b"DPNR"
OPENING_BYTES = 25
CALL, REGISTER = 1, 2
CHALLENGE, WAITING, CALLED, REFUSED = b"\x00", b"\x01", b"\x02", b"\x03"
NONCE_BYTES = 32
MOST_REGISTRATION = 1_024
ALIVE_S = 20.0
"""Shorter than the time after which a NAT forgets a silent TCP connection."""


@dataclass(frozen=True, slots=True)
class RelayRegistration:
    """A provider's word that this connection to this relay waits for callers. nonce: as drawn by the relay for this connection."""

    SIGNER: ClassVar[str] = "provider"

    provider: Address
    relay: Address
    time: U64
    nonce: Digest


def opening(kind: int, provider: Address) -> bytes:
    """The first bytes of a connection to a relay. kind: `CALL` or `REGISTER`."""
    return MAGIC + bytes([kind]) + bytes.fromhex(provider[2:])


def parse_opening(data: bytes) -> tuple[int, Address] | None:
    """Kind and provider, or None for what is exactly neither. Raises nothing, whatever the bytes."""
    kind = data[len(MAGIC)] if len(data) == OPENING_BYTES and data.startswith(MAGIC) else 0
    return (kind, Address("0x" + data[len(MAGIC) + 1 :].hex())) if kind in (CALL, REGISTER) else None


def registration_bytes(signed: Signed[RelayRegistration]) -> bytes:
    """A registration with its length before it."""
    content = encode(signed)
    return len(content).to_bytes(2) + content


def check_registration(
    content: bytes, provider: Address, relay: Address, nonce: bytes, domain: Domain, rules: Rules, now: float
) -> RelayRegistration:
    """The registration, by this provider, at this relay, for the connection that drew `nonce`. Raises `CodecError` (a bad signature is one)
    or `Refused`: `wrong_subject`, `stale_time` or `future_time`."""
    signed: Signed[RelayRegistration] = decode(Signed[RelayRegistration], content)
    said = signed.message
    if (said.provider, said.relay, said.nonce) != (provider, relay, nonce):
        raise Refused("wrong_subject", "the registration is for another connection")
    check_time(said.time, rules, now)
    return verify(signed, domain)


def refusal_bytes(code: str) -> bytes:
    """A refusal as it is sent."""
    return REFUSED + bytes([len(code)]) + code.encode()


def refusal_code(text: bytes) -> str:
    """The code in a refusal; `internal` for what is none."""
    code = text.decode("ascii", "replace")
    return code if code in TABLE else "internal"
