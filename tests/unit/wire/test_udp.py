"""The datagrams of docs/protocol.md section 4: exact bytes, and nothing else parses."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address
from wire.udp import COOKIE_BYTES, HELLO_BYTES, MAGIC, Cookie, Echo, Hello, cookie_tag, make_nonce, pack, parse

PROVIDER = Address("0x" + "ab" * 20)
NONCE = bytes(range(7)) + b"\x04"

addresses = st.binary(min_size=20, max_size=20).map(lambda b: Address("0x" + b.hex()))
nonces = st.binary(min_size=8, max_size=8)
hellos = st.builds(Hello, addresses, nonces)
cookies = st.builds(Cookie, addresses, nonces, st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32))
datagrams = st.one_of(hellos, cookies, cookies.map(Echo))


def test_the_bytes_are_those_of_the_specification() -> None:
    assert pack(Hello(PROVIDER, NONCE)) == b"DPN1\x01" + b"\xab" * 20 + NONCE + bytes(47)
    cookie = Cookie(PROVIDER, NONCE, 0x0102030405060708, b"\xee" * 32)
    body = b"\xab" * 20 + NONCE + bytes(range(1, 9)) + b"\xee" * 32
    assert pack(cookie) == b"DPN1\x02" + body
    assert pack(Echo(cookie)) == b"DPN1\x03" + body
    assert (len(body), HELLO_BYTES, COOKIE_BYTES) == (68, 80, 73)


def test_the_answer_is_never_longer_than_the_question() -> None:
    assert COOKIE_BYTES <= HELLO_BYTES


def test_the_round_is_the_last_byte_of_the_nonce() -> None:
    assert Hello(PROVIDER, make_nonce(bytes(7), 3)).round == 3
    assert Cookie(PROVIDER, NONCE, 0, bytes(32)).round == 4
    with pytest.raises(ValueError, match="7 random bytes"):
        make_nonce(bytes(8), 3)
    with pytest.raises(ValueError, match="256"):
        make_nonce(bytes(7), 256)


@given(datagrams)
def test_every_datagram_parses_to_itself(datagram: Hello | Cookie | Echo) -> None:
    assert parse(pack(datagram)) == datagram


@given(st.binary(max_size=120))
def test_garbage_is_no_datagram_unless_it_is_one(data: bytes) -> None:
    parsed = parse(data)
    assert parsed is None or pack(parsed) == data


@given(st.sampled_from([1, 2, 3]), st.binary(min_size=60, max_size=80))
def test_near_misses_are_no_datagram_unless_they_are_one(kind: int, body: bytes) -> None:
    data = MAGIC + bytes([kind]) + body
    parsed = parse(data)
    assert parsed is None or pack(parsed) == data


@given(datagrams, st.integers(0, 79), st.integers(1, 255))
def test_a_changed_byte_never_parses_as_the_same(datagram: Hello | Cookie | Echo, at: int, change: int) -> None:
    data = bytearray(pack(datagram))
    data[at % len(data)] ^= change
    assert parse(bytes(data)) != datagram


@given(datagrams, st.integers(0, 79), st.binary(min_size=1, max_size=9))
def test_no_length_but_the_right_one(datagram: Hello | Cookie | Echo, cut: int, more: bytes) -> None:
    data = pack(datagram)
    assert parse(data[: cut % len(data)]) is None
    assert parse(data + more) is None


def test_a_hello_is_padded_with_zeros_only() -> None:
    data = bytearray(pack(Hello(PROVIDER, NONCE)))
    data[-1] = 1
    assert parse(bytes(data)) is None


def test_the_tag_is_the_hmac_of_everything_that_must_not_change() -> None:
    source = ipaddress.ip_address("192.0.2.7")
    expected = hmac.new(b"k" * 32, b"\xab" * 20 + NONCE + (99).to_bytes(8, "big") + bytes([192, 0, 2, 7]) + b"\x04\xd2", hashlib.sha256)
    assert cookie_tag(b"k" * 32, PROVIDER, NONCE, 99, source, 1234) == expected.digest()


def test_any_other_input_makes_another_tag() -> None:
    four, six = ipaddress.ip_address("192.0.2.7"), ipaddress.ip_address("2001:db8::7")
    other = Address("0x" + "ac" * 20)
    tags = {
        cookie_tag(b"k" * 32, PROVIDER, NONCE, 99, four, 1234),
        cookie_tag(b"K" * 32, PROVIDER, NONCE, 99, four, 1234),
        cookie_tag(b"k" * 32, other, NONCE, 99, four, 1234),
        cookie_tag(b"k" * 32, PROVIDER, NONCE[::-1], 99, four, 1234),
        cookie_tag(b"k" * 32, PROVIDER, NONCE, 100, four, 1234),
        cookie_tag(b"k" * 32, PROVIDER, NONCE, 99, six, 1234),
        cookie_tag(b"k" * 32, PROVIDER, NONCE, 99, four, 1235),
    }
    assert len(tags) == 7
