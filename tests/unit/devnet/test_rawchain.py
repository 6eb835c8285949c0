"""Selectors, topics and logs against the contracts' own ABI, which the module does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from eth_abi.abi import encode

from chain.abi import artifact
from chain.types import Address, to_hex
from devnet import rawchain
from devnet.rawchain import RawChain, selector, topic

SETTLEMENT, TOKEN, ACCOUNT = (Address("0x" + pair * 20) for pair in ("aa", "bb", "cc"))


def canonical(entry: dict[str, Any]) -> str:
    def kind(item: dict[str, Any]) -> str:
        if item["type"].startswith("tuple"):
            return f"({','.join(kind(part) for part in item['components'])}){item['type'][5:]}"
        return str(item["type"])

    return f"{entry['name']}({','.join(kind(item) for item in entry['inputs'])})"


@pytest.mark.parametrize(
    ("contract", "signature"),
    [
        ("Settlement", rawchain.POSTED),
        ("Settlement", rawchain.ACTIVATED),
        ("Settlement", rawchain.CLAIMED),
        ("Settlement", rawchain.POST),
        ("Settlement", "activeRecord()"),
        ("Settlement", "claimedOf(address)"),
        ("Settlement", "reputationOf(address)"),
        ("RewardToken", rawchain.TRANSFER),
        ("RewardToken", "balanceOf(address)"),
    ],
)
def test_signatures_are_the_contracts(contract: str, signature: str) -> None:
    assert signature in {canonical(entry) for entry in artifact(contract)["abi"] if entry["type"] in ("event", "function")}


def test_selector_and_topic_of_a_known_function_and_event() -> None:
    assert selector("transfer(address,uint256)").hex() == "a9059cbb"
    assert topic("Transfer(address,address,uint256)") == "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


class Recorded:
    """A `Backend` that answers from a script: what real nodes answered, by method."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers

    async def request(self, method: str, params: Sequence[object]) -> object:
        answer = self._answers[method]
        return answer(*params) if callable(answer) else answer

    async def close(self) -> None:
        return


def word(number: int) -> str:
    return f"0x{number:064x}"


def address_word(account: str) -> str:
    return "0x" + "0" * 24 + account[2:]


def test_a_posting_is_read_with_its_sender_and_gas() -> None:
    data = encode(
        ["uint256", "uint256", "uint256", "bytes32", "bytes32", "uint256", "uint256"], [4, 900, 0, b"\5" * 32, b"\6" * 32, 0b1011, 1234]
    )
    log = {
        "topics": [topic(rawchain.POSTED), word(5), word(1), to_hex(b"\7" * 32)],
        "data": to_hex(data),
        "blockNumber": "0x10",
        "transactionHash": "0x99",
    }
    backend = Recorded({"eth_getLogs": [log], "eth_getTransactionReceipt": {"from": "0x" + "CC" * 20, "gasUsed": "0x1d4c0"}})
    (found,) = asyncio.run(RawChain(backend, SETTLEMENT).posted())
    assert (found.epoch, found.round, found.through, found.total_earned, found.signers, found.active_at) == (5, 1, 4, 900, 0b1011, 1234)
    assert (found.root, found.state_digest, found.manifest_digest) == (b"\7" * 32, b"\5" * 32, b"\6" * 32)
    assert (found.poster, found.gas, found.block) == (ACCOUNT, 120_000, 16)


def test_a_payment_is_what_the_token_moved_in_the_same_transaction() -> None:
    claim = {
        "topics": [topic(rawchain.CLAIMED), address_word(ACCOUNT)],
        "data": to_hex(encode(["address", "uint256"], [ACCOUNT, 70])),
        "transactionHash": "0x1",
    }

    def move(source: str, target: str, amount: int, transaction: str) -> dict[str, Any]:
        return {
            "topics": [topic(rawchain.TRANSFER), address_word(source), address_word(target)],
            "data": word(amount),
            "transactionHash": transaction,
        }

    moves = [move(SETTLEMENT, ACCOUNT, 69, "0x1"), move(SETTLEMENT, ACCOUNT, 5, "0x2"), move(TOKEN, ACCOUNT, 7, "0x1")]
    logs = {topic(rawchain.CLAIMED): [claim], topic(rawchain.TRANSFER): moves}
    backend = Recorded({"eth_getLogs": lambda query: logs[query["topics"][0]], "eth_call": lambda *_: address_word(TOKEN)})
    (found,) = asyncio.run(RawChain(backend, SETTLEMENT).payments())
    assert (found.account, found.recipient, found.amount, found.transferred) == (ACCOUNT, ACCOUNT, 70, 69)


def test_waiting_transactions_are_read_from_both_pools() -> None:
    entry = {"hash": "0x5", "from": "0x" + "CC" * 20, "to": "0x" + "AA" * 20, "input": "0xdeadbeef"}
    creation = entry | {"hash": "0x6", "to": None, "input": "0x"}
    content = {"pending": {"0xcc": {"0": entry}}, "queued": {"0xcc": {"2": creation}}}
    one, two = asyncio.run(RawChain(Recorded({"txpool_content": content}), SETTLEMENT).waiting())
    assert (one.hash, one.sender, one.to, one.data) == ("0x5", ACCOUNT, SETTLEMENT, b"\xde\xad\xbe\xef")
    assert (two.to, two.data) == (None, b"")
