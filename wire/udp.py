"""The three datagrams by which a master times a provider, as bytes; no sockets, no clock.

    type 1 hello    provider -> master   provider (20), nonce (8), zeros up to 80 bytes in all
    type 2 cookie   master -> provider   provider (20), nonce (8), send time (8), tag (32): 73 bytes
    type 3 echo     provider -> master   the same 68 bytes as in the cookie

Big-endian, each begins with `DPN1` and the type byte. The nonce's last byte is the round. The cookie is shorter than the hello, so a
master amplifies nothing. What is not exactly one of these parses as None: datagrams are refused by silence.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from chain.types import Address
from wire.addresses import IPAddress

MAGIC = b"DPN1"
HELLO_BYTES = 80
COOKIE_BYTES = 73
MAX_COOKIE_AGE_NS = 2_000_000_000
"""An echo whose cookie is this old, or older, is ignored."""

NONCE_BYTES = 8

_HELLO, _COOKIE, _ECHO = 1, 2, 3
_HEAD = len(MAGIC) + 1
_PADDING = bytes(HELLO_BYTES - _HEAD - 20 - NONCE_BYTES)


@dataclass(frozen=True, slots=True)
class Hello:
    """A provider asks for a cookie. nonce: 8 bytes, the last one is the round."""

    provider: Address
    nonce: bytes

    @property
    def round(self) -> int:
        return self.nonce[-1]


@dataclass(frozen=True, slots=True)
class Cookie:
    """A master's answer. sent_ns: its own monotonic clock in nanoseconds, below 2^64. tag: 32 bytes, see `cookie_tag`."""

    provider: Address
    nonce: bytes
    sent_ns: int
    tag: bytes

    @property
    def round(self) -> int:
        return self.nonce[-1]


@dataclass(frozen=True, slots=True)
class Echo:
    """A provider's word that the cookie has arrived."""

    cookie: Cookie


Datagram = Hello | Cookie | Echo


def make_nonce(fresh: bytes, round_: int) -> bytes:
    """The nonce of a round: 7 fresh random bytes and the round, 0 to 255. `ValueError` for other lengths or rounds."""
    if len(fresh) != NONCE_BYTES - 1:
        raise ValueError(f"a nonce begins with {NONCE_BYTES - 1} random bytes, not {len(fresh)}")
    return fresh + bytes([round_])


def cookie_tag(key: bytes, provider: Address, nonce: bytes, sent_ns: int, source: IPAddress, port: int) -> bytes:
    """HMAC-SHA-256 over provider, nonce, send time, source address (4 or 16 bytes) and source port (2 bytes)."""
    covered = _account(provider) + nonce + sent_ns.to_bytes(8, "big") + source.packed + port.to_bytes(2, "big")
    return hmac.digest(key, covered, "sha256")


def pack(datagram: Datagram) -> bytes:
    """The bytes of a datagram: 80 for a hello, 73 for a cookie or an echo."""
    match datagram:
        case Hello(provider, nonce):
            return MAGIC + bytes([_HELLO]) + _account(provider) + nonce + _PADDING
        case Cookie():
            return MAGIC + bytes([_COOKIE]) + _cookie_body(datagram)
        case Echo(cookie):
            return MAGIC + bytes([_ECHO]) + _cookie_body(cookie)


def parse(data: bytes) -> Datagram | None:
    """The datagram that `data` is, exactly, or None. Raises nothing, whatever the bytes."""
    if len(data) < _HEAD or data[: len(MAGIC)] != MAGIC:
        return None
    kind, body = data[_HEAD - 1], data[_HEAD:]
    if kind == _HELLO and len(data) == HELLO_BYTES and body[20 + NONCE_BYTES :] == _PADDING:
        return Hello(_address(body), body[20 : 20 + NONCE_BYTES])
    if kind in (_COOKIE, _ECHO) and len(data) == COOKIE_BYTES:
        cookie = Cookie(_address(body), body[20:28], int.from_bytes(body[28:36], "big"), body[36:])
        return cookie if kind == _COOKIE else Echo(cookie)
    return None


def _cookie_body(cookie: Cookie) -> bytes:
    return _account(cookie.provider) + cookie.nonce + cookie.sent_ns.to_bytes(8, "big") + cookie.tag


def _account(address: Address) -> bytes:
    return bytes.fromhex(address[2:])


def _address(body: bytes) -> Address:
    return Address("0x" + body[:20].hex())
