"""What opens a connection to a relay, and which registrations it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import CodecError
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, sign
from chain.types import Address, Digest
from wire.refusals import Refused
from wire.relay import (
    CALL,
    MOST_REGISTRATION,
    OPENING_BYTES,
    REFUSED,
    REGISTER,
    RelayRegistration,
    check_registration,
    opening,
    parse_opening,
    refusal_bytes,
    refusal_code,
    registration_bytes,
)
from wire.relays import port_in

DOMAIN, ELSEWHERE = Domain(31337, Address("0x" + "22" * 20)), Domain(31337, Address("0x" + "23" * 20))
PROVIDER, OTHER, MASTER = NodeKey(b"\x01" * 32), NodeKey(b"\x02" * 32), NodeKey(b"\x03" * 32)
NONCE, NOW = Digest(b"\x07" * 32), 1_000_000
SAID = RelayRegistration(PROVIDER.address, MASTER.address, NOW, NONCE)


def judged(said: RelayRegistration = SAID, key: NodeKey = PROVIDER, domain: Domain = DOMAIN) -> str:
    content = registration_bytes(sign(said, domain, key))[2:]
    try:
        check_registration(content, PROVIDER.address, MASTER.address, NONCE, DOMAIN, Rules(), NOW)
    except (Refused, CodecError) as error:
        return error.code
    return "ok"


@pytest.mark.parametrize("kind", [CALL, REGISTER])
def test_an_opening_is_what_it_says(kind: int) -> None:
    data = opening(kind, PROVIDER.address)
    assert len(data) == OPENING_BYTES
    assert parse_opening(data) == (kind, PROVIDER.address)


@given(st.one_of(st.binary(max_size=40), st.binary(min_size=20, max_size=20).map(lambda account: b"DPNR\x03" + account)))
def test_anything_else_is_none(data: bytes) -> None:
    assert parse_opening(data) is None


def test_a_tls_hello_is_no_opening() -> None:
    assert parse_opening(b"\x16\x03\x01\x02\x00\x01" + bytes(19)) is None


def test_a_registration_is_for_one_connection_at_one_relay_of_one_network() -> None:
    assert judged() == "ok"
    assert judged(replace(SAID, relay=OTHER.address)) == "wrong_subject"
    assert judged(replace(SAID, provider=OTHER.address), OTHER) == "wrong_subject", "not the one that the opening names"
    assert judged(replace(SAID, nonce=Digest(bytes(32)))) == "wrong_subject", "what was signed for another connection is worth nothing"
    assert judged(key=OTHER) == "wrong_signer"
    assert judged(domain=ELSEWHERE) == "wrong_signer"
    assert judged(replace(SAID, time=NOW - 200)) == "stale_time"
    assert judged(replace(SAID, time=NOW + 200)) == "future_time"


@given(st.binary(max_size=300))
def test_bytes_that_are_no_registration_are_refused_with_a_code(content: bytes) -> None:
    with pytest.raises(CodecError):
        check_registration(content, PROVIDER.address, MASTER.address, NONCE, DOMAIN, Rules(), NOW)


def test_a_registration_is_short_and_a_refusal_names_a_known_code() -> None:
    assert len(registration_bytes(sign(SAID, DOMAIN, PROVIDER))) < MOST_REGISTRATION
    assert refusal_bytes("no_echo") == REFUSED + b"\x07no_echo"
    assert refusal_code(b"no_echo") == "no_echo"
    assert refusal_code(b"\xff<script>") == "internal"


def test_whose_relay_a_status_names() -> None:
    assert port_in({"address": MASTER.address, "relay": 7_300}, MASTER.address) == 7_300
    for said in ({}, {"relay": 0}, {"relay": True}, {"relay": 70_000}, {"relay": "7300"}):
        assert port_in({"address": MASTER.address, **said}, MASTER.address) is None
    assert port_in({"address": OTHER.address, "relay": 7_300}, MASTER.address) is None
    assert port_in([], MASTER.address) is None
