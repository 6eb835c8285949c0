"""EIP-712: types, digests and signatures, against vectors made by other people's code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from chain.canonical import build
from chain.errors import SignatureError
from chain.keys import CURVE_ORDER, NodeKey
from chain.messages import EpochAttestation
from chain.typed import Domain, Signed, digest_of, members, sign, signer_of, struct_name, typed_data, verify
from chain.types import ZERO_DIGEST, Address, Signature, to_hex
from wire.messages import ActivityProof, UptimeTicket

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
KEY = NodeKey(bytes(31) + b"\x01")


def ticket(resolver: Address = KEY.address) -> UptimeTicket:
    return UptimeTicket(resolver, Address("0x" + "22" * 20), 3, 4, b"\x05", 0, "203.0.113.0/24")


def test_attestation_digests_are_those_of_the_vectors(root: Path) -> None:
    vectors = json.loads((root / "tests/vectors/typed_attestation.json").read_text())
    declared = ",".join(f"{m.solidity_type} {m.wire_name}" for m in members(EpochAttestation))
    assert vectors["type"] == f"{struct_name(EpochAttestation)}({declared})"
    assert vectors["cases"]
    for case in vectors["cases"]:
        domain = Domain(case["domain"]["chainId"], Address(case["domain"]["verifyingContract"].lower()))
        assert to_hex(digest_of(build(EpochAttestation, case["message"]), domain)) == case["digest"]


def test_nested_structs_are_named_after_what_they_sign() -> None:
    proof = ActivityProof(KEY.address, 1, 1, (sign(ticket(), DOMAIN, KEY),), (), (), (), ZERO_DIGEST)
    data = typed_data(ActivityProof, proof, DOMAIN)
    assert {"name": "tickets", "type": "SignedUptimeTicket[]"} in data["types"]["ActivityProof"]
    assert data["types"]["SignedUptimeTicket"] == [{"name": "message", "type": "UptimeTicket"}, {"name": "signature", "type": "bytes"}]
    assert digest_of(proof, DOMAIN) != digest_of(replace(proof, tickets=()), DOMAIN)


def test_a_signature_is_bound_to_signer_chain_and_contract() -> None:
    signed = sign(ticket(), DOMAIN, KEY)
    assert verify(signed, DOMAIN) == signed.message
    other = NodeKey(bytes(31) + b"\x02")
    forged = Signed(ticket(other.address), signed.signature)
    for wrong, domain in [
        (forged, DOMAIN),
        (signed, replace(DOMAIN, chain_id=1)),
        (signed, replace(DOMAIN, settlement=Address("0x" + "12" * 20))),
        (sign(ticket(), DOMAIN, other), DOMAIN),
    ]:
        with pytest.raises(SignatureError) as refused:
            verify(wrong, domain)
        assert refused.value.code == "wrong_signer"


def test_malleable_and_malformed_signatures_are_refused() -> None:
    signed = sign(ticket(), DOMAIN, KEY)
    r, s, v = signed.signature[:32], int.from_bytes(signed.signature[32:64]), signed.signature[64]
    high = r + (CURVE_ORDER - s).to_bytes(32) + bytes([55 - v])
    short_v = signed.signature[:64] + bytes([v - 27])
    for bad in (high, short_v, signed.signature[:64], bytes(65), bytes(64) + b"\x1b"):
        with pytest.raises(SignatureError) as refused:
            signer_of(Signed(signed.message, Signature(bad)), DOMAIN)
        assert refused.value.code == "bad_signature"


def test_a_type_eip712_cannot_say_is_refused() -> None:
    from dataclasses import dataclass

    from chain.typed import solidity_type

    @dataclass(frozen=True)
    class Odd:
        price: float

    with pytest.raises(TypeError, match="no Solidity type"):
        solidity_type(Odd.__dataclass_fields__["price"].type and float)
