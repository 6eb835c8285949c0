"""Every custom error of the contracts has a sentence, which says its facts; what is no error of ours is told as it came."""

from __future__ import annotations

from string import Formatter
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chain.abi import CONTRACTS, artifact, decode_revert
from chain.refusals import SENTENCES

ERRORS: dict[str, dict[str, Any]] = {
    entry["name"]: entry for name in CONTRACTS for entry in artifact(name)["abi"] if entry["type"] == "error"
}
SAMPLES: dict[str, object] = {
    "address": "0x" + "ab" * 20,
    "uint256": 3 * 10**18,
    "uint8": 1,
    "bytes32": b"\x11" * 32,
    "string": "text",
}


def reverted(name: str) -> bytes:
    types = [item["type"] for item in ERRORS[name]["inputs"]]
    return keccak(text=f"{name}({','.join(types)})")[:4] + encode(types, [SAMPLES[one] for one in types])


def test_the_table_has_the_contracts_errors_and_no_others() -> None:
    assert SENTENCES.keys() == ERRORS.keys() | {"Error", "Panic"}


def test_an_error_of_several_contracts_has_the_same_arguments_in_all() -> None:
    for name in CONTRACTS:
        for entry in artifact(name)["abi"]:
            if entry["type"] == "error":
                assert [(i["name"], i["type"]) for i in entry["inputs"]] == [
                    (i["name"], i["type"]) for i in ERRORS[entry["name"]]["inputs"]
                ]


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_each_error_is_said_with_facts_it_has(name: str) -> None:
    refused = decode_revert(reverted(name))
    assert refused.name == name
    assert refused.facts.keys() == {item["name"] for item in ERRORS[name]["inputs"]}
    named = {field for _, field, _, _ in Formatter().parse(SENTENCES[name]) if field}
    assert named <= refused.facts.keys()
    assert refused.sentence is not None
    assert "{" not in refused.sentence
    assert str(refused).endswith(f" ({name})")


def test_amounts_times_and_roles_are_said_in_words() -> None:
    def data(signature: str, *values: object) -> bytes:
        types = signature[signature.index("(") + 1 : -1].split(",")
        return keccak(text=signature)[:4] + encode(types, list(values))

    locked = decode_revert(data("StakeLocked(uint256)", 1_735_689_645))
    assert locked.sentence == "the stake can be withdrawn from 2025-01-01 00:00:45 UTC on; try again then"
    assert "second 0" in str(decode_revert(data("NothingToActivate(uint256)", 0)))
    assert "second 1" + "0" * 30 in str(decode_revert(data("StakeLocked(uint256)", 10**30)))
    poor = decode_revert(data("QuorumNotReached(uint256,uint256)", 15 * 10**17, 3 * 10**18))
    assert "1.5 of 3 tokens" in str(poor)
    assert "32 resolvers" in str(decode_revert(data("ListFull(uint8,uint256)", 1, 32)))


@pytest.mark.parametrize(
    ("data", "name", "shown"),
    [
        (b"", "", "the contract refused: no reason given"),
        (bytes.fromhex("deadbeef"), "0xdeadbeef", "the contract refused: 0xdeadbeef"),
        (reverted("StakeLocked")[:20], "0x" + reverted("StakeLocked")[:4].hex(), "the contract refused: 0x"),
        (bytes.fromhex("08c379a0") + encode(["string"], ["not\x1b now"]), "Error", "the contract refused: not\ufffd now (Error)"),
        (bytes.fromhex("08c379a0") + encode(["bytes"], [b"\xff"]), "0x08c379a0", "the contract refused: 0x08c379a0"),
        (bytes.fromhex("4e487b71") + encode(["uint256"], [17]), "Panic", "the contract refused: its code failed with panic 17"),
    ],
)
def test_what_is_not_ours_or_malformed_ends_no_reader(data: bytes, name: str, shown: str) -> None:
    refused = decode_revert(data)
    assert refused.name == name
    assert str(refused).startswith(shown)
