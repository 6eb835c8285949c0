"""The settlement demo's raw logs against the contracts' own ABI; what its hostile validators write, as a validator reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from eth_abi.abi import encode

from chain.abi import artifact
from chain.backend import EXECUTION_REVERTED, SERVER_ERROR, RpcError
from chain.merkle import MerkleTree
from chain.types import ZERO_DIGEST, Address, Digest, to_hex
from devnet.rawchain import RawChain, argument_types, selector, topic
from devnet.settlement import rawlogs
from devnet.settlement.drafts import contradiction, edited
from devnet.settlement.rawlogs import Mark, refusal, rows
from validator.state import AccountState, State, decode_state, encode_state, leaves_of
from wire.files import file_digest

SETTLEMENT, ONE, OTHER, TREASURY = (Address("0x" + pair * 20) for pair in ("aa", "11", "22", "fe"))

EVENTS = [
    ("Judge", rawlogs.PROVEN, 3),
    ("Registry", rawlogs.CONVICTED, 2),
    ("Registry", rawlogs.SLASHED, 2),
    ("Registry", rawlogs.SHARE_COLLECTED, 1),
    ("Vault", rawlogs.DEPOSITED, 1),
    ("Vault", rawlogs.EXITED, 1),
    ("Vault", rawlogs.WITHDRAWN, 1),
]


@pytest.mark.parametrize(("contract", "signature", "indexed"), EVENTS)
def test_events_are_the_contracts(contract: str, signature: str, indexed: int) -> None:
    found = {
        f"{entry['name']}({','.join(item['type'] for item in entry['inputs'])})": [item["indexed"] for item in entry["inputs"]]
        for entry in artifact(contract)["abi"]
        if entry["type"] == "event"
    }
    assert found[signature] == [True] * indexed + [False] * (len(argument_types(signature)) - indexed)


@pytest.mark.parametrize("signature", rawlogs.ERRORS)
def test_errors_are_the_contracts(signature: str) -> None:
    entries = [entry for name in ("Vault", "Settlement", "Judge") for entry in artifact(name)["abi"] if entry["type"] == "error"]
    assert signature in {f"{entry['name']}({','.join(item['type'] for item in entry['inputs'])})" for entry in entries}


class Answering:
    """A `Backend` that gives one answer, or refuses."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def request(self, method: str, params: Sequence[object]) -> object:
        assert method in ("eth_call", "eth_getLogs")
        assert params
        if isinstance(self._answer, RpcError):
            raise self._answer
        return self._answer

    async def close(self) -> None:
        return


def test_a_row_holds_indexed_and_other_values_in_their_order() -> None:
    log = {
        "topics": [topic(rawlogs.SLASHED), *("0x" + "0" * 24 + who[2:].upper() for who in (ONE, OTHER))],
        "data": to_hex(encode(["uint256", "uint256"], [1000, 100])),
        "blockNumber": "0x10",
        "logIndex": "0x2",
        "transactionHash": "0x99",
    }
    (found,) = asyncio.run(rows(RawChain(Answering([log]), SETTLEMENT), SETTLEMENT, rawlogs.SLASHED, 2))
    assert (found.values, found.mark, found.transaction) == ((ONE, OTHER, 1000, 100), Mark(16, 2), "0x99")


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("0x", ""),
        (RpcError(EXECUTION_REVERTED, "reverted", to_hex(selector("NotQuiet()"))), "NotQuiet"),
        (RpcError(EXECUTION_REVERTED, "reverted", to_hex(selector("IsPaused(uint256)") + bytes(32))), "IsPaused"),
        (RpcError(EXECUTION_REVERTED, "reverted", "0xdeadbeef"), "0xdeadbeef"),
    ],
)
def test_a_refusal_is_named_by_its_selector(answer: Any, name: str) -> None:
    assert asyncio.run(refusal(RawChain(Answering(answer), SETTLEMENT), ONE, SETTLEMENT, b"\1")) == name


def test_a_node_that_does_not_run_the_call_has_refused_nothing() -> None:
    with pytest.raises(RpcError, match="busy"):
        asyncio.run(refusal(RawChain(Answering(RpcError(SERVER_ERROR, "busy")), SETTLEMENT), ONE, SETTLEMENT, b"\1"))


def state() -> State:
    return State(1, (AccountState(ONE, 500, 0, 30, 400_000, 1, "127.0.0.0/24", 1, (400_000,)),))


def test_an_edited_state_is_one_a_validator_reads_and_makes_the_drafts_root() -> None:
    draft = edited(encode_state(state()), 2, {ONE: (0, 0), OTHER: (500, 7)}, TREASURY)
    read = decode_state(draft.state)
    assert read.through == 2
    assert [(one.account, one.earned, one.spent, one.points) for one in read.accounts] == [(ONE, 0, 0, 30), (OTHER, 500, 7, 0)]
    assert MerkleTree(leaves_of(read, TREASURY)).root == draft.tree.root
    assert (draft.total_earned, draft.total_spent) == (read.total_earned, read.total_spent) == (500, 7)


def test_a_draft_signs_the_digest_of_its_bytes_and_contradicts_itself_about_one_round() -> None:
    draft = edited(encode_state(state()), 2, {ONE: (600, 0)}, TREASURY)
    parent = Digest(b"\3" * 32)
    said = draft.attestation(2, 1, parent, parent, ZERO_DIGEST, ZERO_DIGEST)
    assert (said.state_digest, said.root, said.through, said.total_earned) == (file_digest(draft.state), draft.tree.root, 2, 600)
    second = contradiction(said)
    assert second != said
    assert (second.epoch, second.round, second.root) == (said.epoch, said.round, parent)
