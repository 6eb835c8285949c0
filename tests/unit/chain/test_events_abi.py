"""Every event of the contracts' ABIs is decoded, field by field; what the contracts log besides is named here."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chain.abi import artifact, event_decoder
from chain.events import ROLES, SKIP_REASONS, ClaimSkipped, Event, LogPosition
from chain.typed import camel

CONTRACTS = ("Registry", "Vault", "Judge", "Settlement")
NEVER_LOGGED = {"EIP712DomainChanged"}
"""Declared by OpenZeppelin's EIP712 for contracts that can be upgraded."""
ABIS: dict[str, dict[str, Any]] = {
    entry["name"]: entry
    for contract in CONTRACTS
    for entry in artifact(contract)["abi"]
    if entry["type"] == "event" and entry["name"] not in NEVER_LOGGED
}
KINDS = {kind.__name__: kind for kind in get_args(Event)}


def test_there_is_a_kind_for_every_event_and_no_other() -> None:
    assert KINDS.keys() == ABIS.keys()


@pytest.mark.parametrize("name", sorted(ABIS))
def test_an_event_is_decoded_with_all_it_says(name: str) -> None:
    inputs = ABIS[name]["inputs"]
    values = {item["name"]: sample(item["type"], place) for place, item in enumerate(inputs)}
    types = [item["type"] for item in inputs]
    plain = [item for item in inputs if not item["indexed"]]
    log = {
        "topics": [
            "0x" + keccak(text=f"{name}({','.join(types)})").hex(),
            *("0x" + encode([item["type"]], [values[item["name"]]]).hex() for item in inputs if item["indexed"]),
        ],
        "data": "0x" + encode([item["type"] for item in plain], [values[item["name"]] for item in plain]).hex(),
        "blockNumber": "0x7",
        "logIndex": "0x2",
        "transactionHash": "0x" + "22" * 32,
    }
    (event,) = event_decoder().decode([log])
    assert type(event) is KINDS[name]
    assert event.at == LogPosition(7, 2, event.at.transaction)
    told = {camel(field.name): getattr(event, field.name) for field in fields(event) if field.name != "at"}
    assert told == {key: as_told(name, key, value) for key, value in values.items()}


def sample(kind: str, place: int) -> object:
    """A value of its own for each place."""
    known = {
        "address": f"0x{place + 1:040x}",
        "uint256": 1_000 + place,
        "uint8": 1,
        "bytes32": bytes([place + 65]) * 32,
        "string": "text",
        "bytes": b"\x01",
    }
    return known[kind]


def as_told(name: str, key: str, value: Any) -> object:
    """Numbers that are names, and names that are bytes, are told as names."""
    if key == "role":
        return ROLES[value]
    if key == "reason" and name == ClaimSkipped.__name__:
        return SKIP_REASONS[value]
    return value.decode() if (name, key) == ("Proven", "name") else value
