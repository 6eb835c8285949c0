"""Canonical JSON: every value has one form, and whatever is not that form is refused with a code."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.canonical import LARGEST_NUMBER, build, decode, encode, parse
from chain.errors import CodecError
from chain.messages import EpochAttestation
from chain.typed import Signed
from chain.types import Address, Digest, Signature
from wire.messages import ActivityEntry, ActivityProof, Announcement, LatencyReport, UptimeTicket
from wire.refusals import TABLE

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex()))
digests = st.binary(min_size=32, max_size=32).map(Digest)
signatures = st.binary(min_size=65, max_size=65).map(Signature)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(0, 2**bits - 1), st.sampled_from([0, 1, 2**bits - 1, min(LARGEST_NUMBER, 2**bits - 1)]))


tickets = st.builds(
    UptimeTicket, addresses, addresses, unsigned(64), unsigned(64), st.binary(max_size=20), unsigned(32), st.just("1.2.3.0/24")
)
reports = st.builds(
    LatencyReport,
    addresses,
    addresses,
    unsigned(64),
    unsigned(64),
    st.binary(max_size=20),
    *([unsigned(32)] * 4),
    st.just("1.2.3.0/24"),
    st.booleans(),
)
proofs = st.builds(
    ActivityProof,
    addresses,
    unsigned(64),
    unsigned(64),
    st.lists(st.builds(Signed, tickets, signatures), max_size=3).map(tuple),
    st.lists(st.builds(Signed, reports, signatures), max_size=3).map(tuple),
    st.just(()),
    st.lists(st.builds(ActivityEntry, unsigned(64), unsigned(64), texts, texts, digests), max_size=3).map(tuple),
    digests,
)
attestations = st.builds(
    EpochAttestation,
    *([unsigned(256)] * 3),
    *([digests] * 4),
    *([unsigned(256)] * 2),
    *([digests] * 3),
)


@given(st.one_of(proofs, attestations, tickets, reports))
def test_what_is_encoded_decodes_to_the_same_value(value: ActivityProof | EpochAttestation | UptimeTicket | LatencyReport) -> None:
    assert decode(type(value), encode(value)) == value


@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
def test_garbage_is_refused_with_a_code_of_the_table(data: bytes) -> None:
    with pytest.raises(CodecError) as refused:
        decode(Signed[ActivityProof], data)
    assert refused.value.code in TABLE


@given(proofs, st.data())
def test_one_changed_byte_is_refused_or_another_value(proof: ActivityProof, data: st.DataObject) -> None:
    encoded = bytearray(encode(proof))
    index = data.draw(st.integers(0, len(encoded) - 1))
    encoded[index] ^= data.draw(st.integers(1, 255))
    try:
        changed: ActivityProof = decode(ActivityProof, bytes(encoded))
    except CodecError as refused:
        assert refused.code in TABLE
    else:
        assert changed != proof
        assert encode(changed) == bytes(encoded)


def read_slowly(data: bytes) -> ActivityProof:
    value: ActivityProof = build(ActivityProof, parse(data))
    if encode(value) != data:
        raise CodecError("not_canonical", "")
    return value


def outcome(read: Callable[[bytes], ActivityProof], data: bytes) -> ActivityProof | tuple[str, str]:
    try:
        return read(data)
    except CodecError as refused:
        return refused.code, refused.path


insertions = st.one_of(st.binary(max_size=2), st.sampled_from([b"1.0", b" ", b'"a":1,', b"[[", b"\\"]))


@given(proofs, st.lists(st.tuples(st.integers(0), insertions), max_size=3))
def test_the_short_way_to_read_takes_and_refuses_what_the_long_one_does(proof: ActivityProof, changes: list[tuple[int, bytes]]) -> None:
    data = encode(proof)
    for place, put in changes:
        at = place % len(data)
        data = data[:at] + put + data[at + 1 :]
    assert outcome(lambda raw: decode(ActivityProof, raw), data) == outcome(read_slowly, data)


ANNOUNCEMENT = Announcement(Address("0x" + "ab" * 20), Digest(bytes(32)), 7, 8, "203.0.113.9", 443, 10**8, 2**60, "DE", -5, 13, True)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body.replace(b'"port":443', b'"port":443.0'), "malformed_json"),
        (lambda body: body.replace(b'"port":443', b'"port":65536'), "out_of_range"),
        (lambda body: body.replace(b'"port":443', b'"port":-1'), "out_of_range"),
        (lambda body: body.replace(b'"port":443', b'"port":"443"'), "not_canonical"),
        (lambda body: body.replace(b'"port":443', b'"port":true'), "wrong_type"),
        (lambda body: body.replace(b'"port":443', b'"port":null'), "wrong_type"),
        (lambda body: body.replace(b'"port":443', b'"port":443,"port":443'), "malformed_json"),
        (lambda body: body.replace(b'"port":443', b'"port":443,"extra":1'), "unknown_field"),
        (lambda body: body.replace(b'"port":443,', b""), "missing_field"),
        (lambda body: body.replace(b"ab" * 20, b"AB" * 20), "wrong_type"),
        (lambda body: body.replace(b"ab" * 20, b"ab" * 19), "wrong_type"),
        (lambda body: body.replace(b'"port":443', b'"port": 443'), "not_canonical"),
        (lambda body: body.replace(str(2**60).encode(), b"0" + str(2**60).encode()), "not_canonical"),
        (lambda body: body.replace(b'"DE"', b'"\\u0044E"'), "not_canonical"),
        (lambda body: body.replace(b'"DE"', b'"\\ud800"'), "malformed_json"),
        (lambda body: b"[" * 5_000 + b"]" * 5_000, "malformed_json"),
        (lambda body: b"9" * 10_000, "malformed_json"),
        (lambda body: b"NaN", "malformed_json"),
        (lambda body: b"[]", "wrong_type"),
        (lambda body: body + b"\n", "not_canonical"),
        (lambda body: b"\xef\xbb\xbf" + body, "malformed_json"),
        (lambda body: body.decode().encode("utf-16-le"), "malformed_json"),
    ],
)
def test_near_misses(change: Callable[[bytes], bytes], code: str) -> None:
    body = encode(ANNOUNCEMENT)
    assert decode(Announcement, body) == ANNOUNCEMENT
    changed = change(body)
    with pytest.raises(CodecError) as refused:
        decode(Announcement, changed)
    assert refused.value.code == code


def test_numbers_above_what_a_double_holds_are_strings() -> None:
    parsed = json.loads(encode(ANNOUNCEMENT))
    assert parsed["price"] == str(2**60)
    assert parsed["bandwidth"] == 10**8
