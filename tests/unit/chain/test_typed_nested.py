"""The quick digest of messages that hold others is eth-account's, and what does not fit inside one is still refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_abi.exceptions import EncodingError
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from chain.typed import Domain, Signed, digest_of, typed_data
from chain.types import Address, Digest, Signature
from tests.session_parts import Parties, key
from wire.messages import ActivityEntry, ActivityProof, LatencyReport, SessionEvidence, UptimeTicket

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
PARTIES = Parties(DOMAIN, key("consumer"), key("provider"))
VALIDATORS = [key(f"validator {n}") for n in range(3)]
SIGNED = Signature(b"\x05" * 65)
TICKET = Signed(UptimeTicket(PARTIES.consumer.address, PARTIES.provider.address, 1, 1, b"\x1f", 0, "203.0.113.0/24"), SIGNED)
REPORT = Signed(
    LatencyReport(PARTIES.consumer.address, PARTIES.provider.address, 1, 1, b"\x1f", 1, 2, 3, 4, "203.0.113.0/24", True), SIGNED
)
SESSIONS = (PARTIES.evidence(VALIDATORS, 700, 1_050, served=650), replace(PARTIES, nonce=1).evidence((), 0, 0))


def slow(message: object, struct: object = None) -> bytes:
    encoded = encode_typed_data(full_message=typed_data(struct or type(message), message, DOMAIN))
    return keccak(b"\x19" + encoded.version + encoded.header + encoded.body)


@given(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), st.integers(0, 3), st.binary(min_size=32, max_size=32))
def test_both_ways_give_the_same_digest(tickets: int, reports: int, sessions: int, entries: int, head: bytes) -> None:
    log = tuple(ActivityEntry(n, n, "proof", "x" * n, Digest(head)) for n in range(entries))
    proof = ActivityProof(PARTIES.provider.address, 3, 7, (TICKET,) * tickets, (REPORT,) * reports, SESSIONS[:sessions], log, Digest(head))
    assert digest_of(proof, DOMAIN) == slow(proof)
    signed = Signed(proof, SIGNED)
    assert digest_of(signed, DOMAIN, Signed[ActivityProof]) == slow(signed, Signed[ActivityProof])
    for session in SESSIONS:
        assert digest_of(session, DOMAIN) == slow(session)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda one: replace(one, receipts=(Signed(replace(one.receipts[0].message, sequence=2**64), SIGNED),)),
        lambda one: replace(one, receipts=(Signed(replace(one.receipts[0].message, session_id=b"\x01" * 33), SIGNED),)),
        lambda one: replace(one, offer=Signed(replace(one.offer.message, price=-1), SIGNED)),
        lambda one: replace(one, request=Signed(replace(one.request.message, consumer="0x12"), SIGNED)),
    ],
)
def test_what_does_not_fit_inside_has_no_digest(wrong: Callable[[SessionEvidence], SessionEvidence]) -> None:
    session = wrong(SESSIONS[0])
    with pytest.raises((EncodingError, ValueError, TypeError)):
        digest_of(session, DOMAIN)
