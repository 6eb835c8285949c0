"""Attestations read from the transaction that posted a root: its call data holds the struct and every signature. Pure.

Whoever carries a posting to the Settlement may do it through a contract of its own, so the call is looked for anywhere in the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from chain.errors import SignatureError
from chain.events import Posted
from chain.frauds import Equivocation
from chain.hashing import keccak
from chain.messages import ATTESTATION, EpochAttestation
from chain.typed import Domain, Signed, signer_of
from chain.types import Address, Signature

POST = keccak(f"post({ATTESTATION},bytes)".encode())[:4]
EQUIVOCATES = keccak(f"{Equivocation.NAME}({ATTESTATION},bytes,{ATTESTATION},bytes,bytes32)".encode())[:4]
SIGNATURE_BYTES = 65
MOST_SIGNERS = 32
"""The most validators that can be listed."""
LOOKS = 8
"""Places in one transaction's data that look like the call and are looked at."""


def signed_in_post(data: bytes, posted: Posted, domain: Domain) -> tuple[Mapping[Address, Signed[EpochAttestation]], ...]:
    """Who signed the posted root, with the signatures, by each place in the transaction's data that looks like its call, without those that
    nobody signed. Whoever carries it may put others beside the one that the contract took."""
    calls = ((_attestation(values[0]), values[1]) for values in _calls(data, POST, (ATTESTATION, "bytes")))
    wanted = (posted.epoch, posted.round, posted.root)
    found = (dict(_signed(said, joined, domain)) for said, joined in calls if (said.epoch, said.round, said.root) == wanted)
    return tuple(signed for signed in found if signed)


def equivocation_in(data: bytes) -> tuple[int, int] | None:
    """Epoch and round of what a validator signed twice, from the data of the transaction that proved it; None if it cannot be found."""
    for values in _calls(data, EQUIVOCATES, (ATTESTATION, "bytes", ATTESTATION, "bytes", "bytes32")):
        message = _attestation(values[0])
        return message.epoch, message.round
    return None


def _calls(data: bytes, selector: bytes, types: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    start = -1
    for _ in range(LOOKS):
        start = data.find(selector, start + 1)
        if start < 0:
            return
        try:  # as loosely as the contracts read it
            yield decode(types, data[start + len(selector) :], strict=False)
        except (DecodingError, OverflowError):
            continue


def _attestation(values: Sequence[Any]) -> EpochAttestation:
    return EpochAttestation(**{field.name: value for field, value in zip(fields(EpochAttestation), values, strict=True)})


def _signed(message: EpochAttestation, joined: bytes, domain: Domain) -> Iterator[tuple[Address, Signed[EpochAttestation]]]:
    whole = joined[: MOST_SIGNERS * SIGNATURE_BYTES]
    for start in range(0, len(whole) - SIGNATURE_BYTES + 1, SIGNATURE_BYTES):
        signed = Signed(message, Signature(whole[start : start + SIGNATURE_BYTES]))
        try:
            yield signer_of(signed, domain), signed
        except SignatureError:
            continue
