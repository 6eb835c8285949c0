"""The same expectations of three chains: the EVM in this process, the served development chain, and anvil.

Each test runs unchanged on all of them, so what is written against one backend holds on the others, and the two chains
made here are held to the behaviour of a node somebody else wrote.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from eth_account import Account
from web3 import AsyncWeb3
from web3.exceptions import ContractCustomError

from chain.backend import METHOD_NOT_FOUND, Backend, Reverted, RpcError
from chain.keys import NodeKey
from chain.sender import Sender, TransactionFailed
from chain.types import Address, to_hex
from tests.nodes import CHAIN_ID, KEY, running
from tests.web3_over import BackendProvider, web3_over

ROOT = Path(__file__).resolve().parents[2]
SUPPLY = 10**24
STRANGER = Address("0x" + "00" * 19 + "77")
TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
INSUFFICIENT_BALANCE = "0xe450d38c"
Json = dict[str, Any]


@dataclass(frozen=True)
class Chain:
    """A running chain and the token deployed on it."""

    kind: str
    connect: Callable[[], Backend]
    token: Address
    deployed: Json


@dataclass(frozen=True)
class Client:
    """One connection with a sender on it."""

    backend: Backend
    web3: AsyncWeb3[BackendProvider]
    sender: Sender
    token: Address

    async def ask(self, method: str, *params: object) -> Any:
        return await self.backend.request(method, list(params))

    def encode(self, function: str, *arguments: object) -> bytes:
        contract = self.web3.eth.contract(abi=artifact()["abi"])
        return bytes.fromhex(contract.encode_abi(function, list(arguments))[2:])

    async def read(self, function: str, *arguments: object, block: object = "latest") -> int:
        answer = await self.ask("eth_call", {"to": self.token, "input": to_hex(self.encode(function, *arguments))}, block)
        return int(answer, 16)

    async def transfer(self, to: Address, amount: int, gas: int | None = None) -> Json:
        tx_hash = await self.sender.send(self.token, self.encode("transfer", checksum(to), amount), gas=gas)
        return cast(Json, await self.sender.wait(tx_hash))


@pytest.fixture(scope="module", params=["in-process", "served", "anvil"])
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    with running(request.param) as connect:
        deployed = asyncio.run(deploy(connect))
        yield Chain(request.param, connect, Address(deployed["contractAddress"].lower()), deployed)


def test_names_its_chain(chain: Chain) -> None:
    async def main() -> None:
        async with client(chain) as it:
            assert await it.ask("eth_chainId") == hex(CHAIN_ID)
            assert await it.ask("net_version") == str(CHAIN_ID)
            assert isinstance(await it.ask("web3_clientVersion"), str)
            assert await it.ask("eth_syncing") is False
            assert await it.web3.eth.chain_id == CHAIN_ID

    asyncio.run(main())


def test_contract_calls_decode_through_web3(chain: Chain) -> None:
    async def main() -> None:
        async with client(chain) as it:
            token = it.web3.eth.contract(address=checksum(it.token), abi=artifact()["abi"])
            assert await token.functions.name().call() == "Test"
            assert await token.functions.totalSupply().call() == SUPPLY
            assert await token.functions.balanceOf(checksum(STRANGER)).call() == 0

    asyncio.run(main())


def test_calls_need_neither_sender_nor_money_and_take_input_or_data(chain: Chain) -> None:
    async def main() -> None:
        async with client(chain) as it:
            supply = to_hex(it.encode("totalSupply"))
            unfunded = "0x" + "ab" * 20
            expected = "0x" + SUPPLY.to_bytes(32).hex()
            for call in (
                {"to": it.token, "input": supply},
                {"to": it.token, "data": supply},
                {"to": it.token, "data": supply, "input": supply, "from": None},
                {"to": it.token, "input": supply, "from": unfunded, "gas": "0x186a0"},
            ):
                assert await it.ask("eth_call", call, "latest") == expected
                assert await it.ask("eth_call", call) == expected
            estimate = int(await it.ask("eth_estimateGas", {"to": it.token, "input": supply, "from": unfunded}), 16)
            assert 21_000 < estimate < 60_000

    asyncio.run(main())


def test_receipt_of_a_deployment(chain: Chain) -> None:
    receipt = chain.deployed
    assert receipt["status"] == "0x1"
    assert receipt["to"] is None
    assert receipt["from"] == KEY.address
    assert int(receipt["gasUsed"], 16) <= int(receipt["cumulativeGasUsed"], 16)
    assert int(receipt["effectiveGasPrice"], 16) > 0
    assert receipt["type"] == "0x2"
    assert [log["topics"][0] for log in receipt["logs"]] == [TRANSFER_TOPIC]

    async def main() -> None:
        async with client(chain) as it:
            assert await it.ask("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
            assert await it.ask("eth_getTransactionReceipt", "0x" + "12" * 32) is None
            assert len(await it.ask("eth_getCode", it.token, "latest")) > 2000
            assert await it.ask("eth_getCode", STRANGER, "latest") == "0x"
            assert await it.ask("eth_getCode", it.token, "0x0") == "0x"

    asyncio.run(main())


def test_transactions_and_blocks_refer_to_one_another(chain: Chain) -> None:
    async def main() -> None:
        async with client(chain) as it:
            receipt = await it.transfer(STRANGER, 5)
            transaction = await it.ask("eth_getTransactionByHash", receipt["transactionHash"])
            for key in ("blockHash", "blockNumber", "transactionIndex", "from", "to", "type"):
                assert transaction[key] == receipt[key]
            assert transaction["input"] == to_hex(it.encode("transfer", checksum(STRANGER), 5))
            assert transaction["chainId"] == hex(CHAIN_ID)
            assert transaction["value"] == "0x0"

            block = await it.ask("eth_getBlockByNumber", receipt["blockNumber"], False)
            assert block == await it.ask("eth_getBlockByHash", receipt["blockHash"], False)
            assert receipt["transactionHash"] in block["transactions"]
            full = await it.ask("eth_getBlockByHash", receipt["blockHash"], True)
            assert transaction["hash"] in [one["hash"] for one in full["transactions"]]
            parent = await it.ask("eth_getBlockByNumber", hex(int(block["number"], 16) - 1), False)
            assert parent["hash"] == block["parentHash"]
            assert int(parent["timestamp"], 16) <= int(block["timestamp"], 16)
            assert len(bytes.fromhex(block["logsBloom"][2:])) == 256
            for key in ("number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "difficulty", "size"):
                assert re.fullmatch("0x(0|[1-9a-f][0-9a-f]*)", block[key]), (key, block[key])
            beyond = hex(int(await it.ask("eth_blockNumber"), 16) + 1000)
            assert await it.ask("eth_getBlockByNumber", beyond, False) is None
            assert await it.ask("eth_getBlockByHash", "0x" + "12" * 32, False) is None
            assert (await it.ask("eth_getBlockByNumber", "earliest", False))["number"] == "0x0"
            for tag in ("latest", "pending", "safe", "finalized"):
                assert "timestamp" in await it.ask("eth_getBlockByNumber", tag, False)
            assert await it.web3.eth.get_block("latest")

    asyncio.run(main())


def test_logs_by_range_address_topics_and_block(chain: Chain) -> None:
    first, second = Address("0x" + "a1" * 20), Address("0x" + "b2" * 20)

    async def main() -> None:
        async with client(chain) as it:
            one, two = await it.transfer(first, 1), await it.transfer(second, 2)
            assert one["logs"] != two["logs"]
            ends = {"fromBlock": one["blockNumber"], "toBlock": two["blockNumber"]}
            topics = [topic_of(first), topic_of(second)]

            async def found(**wanted: object) -> list[str]:
                return [log["transactionHash"] for log in await it.ask("eth_getLogs", wanted)]

            both = [one["transactionHash"], two["transactionHash"]]
            assert await found(**ends, address=it.token) == both
            assert await found(**ends, address=[STRANGER, checksum(it.token)]) == both
            assert await found(**ends, address=STRANGER) == []
            assert await found(**ends, topics=[TRANSFER_TOPIC, None, topics[0]]) == both[:1]
            assert await found(**ends, topics=[None, [topic_of(KEY.address)], topics]) == both
            assert await found(**ends, topics=[[TRANSFER_TOPIC, topics[0]]]) == both
            assert await found(**ends, topics=[topics[0]]) == []
            assert await found(**ends, topics=[None, None, None, topics[0]]) == []
            assert await found(fromBlock=hex(int(one["blockNumber"], 16) + 1), toBlock="latest", topics=[None, None, topics[0]]) == []
            assert await found(fromBlock="earliest", topics=[None, None, topics[0]]) == both[:1]
            assert await found(blockHash=two["blockHash"], address=it.token) == both[1:]
            assert (await it.ask("eth_getLogs", {**ends, "topics": [None, None, topics[0]]})) == one["logs"]

    asyncio.run(main())


def test_reverts_carry_what_the_contract_said(chain: Chain) -> None:
    async def main() -> None:
        async with client(chain) as it:
            poor = "0x" + "ab" * 20
            data = it.encode("transfer", checksum(STRANGER), SUPPLY)
            expected = INSUFFICIENT_BALANCE + "".join(word.to_bytes(32).hex() for word in (int(poor, 16), 0, SUPPLY))
            for method in ("eth_call", "eth_estimateGas"):
                with pytest.raises(RpcError) as refusal:
                    await it.ask(method, {"from": poor, "to": it.token, "data": to_hex(data)})
                assert refusal.value.code == 3
                assert refusal.value.data == expected
                assert "execution reverted" in refusal.value.message
                assert refusal.value.revert_data() == bytes.fromhex(expected[2:])
            token = it.web3.eth.contract(address=checksum(it.token), abi=artifact()["abi"])
            with pytest.raises(ContractCustomError):
                await token.functions.transfer(checksum(STRANGER), SUPPLY).call({"from": checksum(Address(poor))})
            with pytest.raises(Reverted) as reverted:
                await it.sender.send(it.token, it.encode("transfer", checksum(STRANGER), 2 * SUPPLY))
            assert to_hex(reverted.value.data[:4]) == INSUFFICIENT_BALANCE

    asyncio.run(main())


def test_a_transaction_that_reverts_is_mined_as_failed(chain: Chain) -> None:
    async def main() -> None:
        async with client(chain) as it:
            before = int(await it.ask("eth_getTransactionCount", KEY.address, "latest"), 16)
            with pytest.raises(TransactionFailed) as failure:
                await it.transfer(STRANGER, 2 * SUPPLY, gas=100_000)
            assert failure.value.receipt["status"] == "0x0"
            assert failure.value.receipt["logs"] == []
            assert int(await it.ask("eth_getTransactionCount", KEY.address, "latest"), 16) == before + 1

    asyncio.run(main())


def test_calls_at_earlier_blocks_see_the_state_of_that_block(chain: Chain) -> None:
    someone = Address("0x" + "c3" * 20)

    async def main() -> None:
        async with client(chain) as it:
            one, two = await it.transfer(someone, 10), await it.transfer(someone, 20)
            before = hex(int(one["blockNumber"], 16) - 1)
            owner = checksum(someone)
            assert await it.read("balanceOf", owner, block=before) == 0
            assert await it.read("balanceOf", owner, block=one["blockNumber"]) == 10
            assert await it.read("balanceOf", owner, block={"blockHash": one["blockHash"]}) == 10
            assert await it.read("balanceOf", owner, block={"blockNumber": two["blockNumber"]}) == 30
            assert await it.read("balanceOf", owner) == 30
            nonces = [
                int(await it.ask("eth_getTransactionCount", KEY.address, number), 16)
                for number in (before, one["blockNumber"], two["blockNumber"])
            ]
            assert nonces == [nonces[0], nonces[0] + 1, nonces[0] + 2]
            beyond = hex(int(await it.ask("eth_blockNumber"), 16) + 1000)
            with pytest.raises(RpcError):
                await it.read("balanceOf", owner, block=beyond)

    asyncio.run(main())


def test_concurrent_sends_get_consecutive_nonces(chain: Chain) -> None:
    someone = Address("0x" + "d4" * 20)

    async def main() -> None:
        async with client(chain) as it:
            before = int(await it.ask("eth_getTransactionCount", KEY.address, "pending"), 16)
            receipts = await asyncio.gather(*(it.transfer(someone, 1) for _ in range(12)))
            sent = [await it.ask("eth_getTransactionByHash", one["transactionHash"]) for one in receipts]
            assert sorted(int(one["nonce"], 16) for one in sent) == list(range(before, before + 12))
            places = [(int(one["blockNumber"], 16), int(one["transactionIndex"], 16)) for one in sent]
            assert [place for _, place in sorted(zip((int(one["nonce"], 16) for one in sent), places, strict=True))] == sorted(places)
            assert await it.read("balanceOf", checksum(someone)) == 12

    asyncio.run(main())


def test_a_gap_in_the_nonces_waits_to_be_filled(chain: Chain) -> None:
    async def main() -> None:
        async with client(chain) as it:
            nonce = int(await it.ask("eth_getTransactionCount", KEY.address, "pending"), 16)
            late, early = raw(nonce + 1), raw(nonce)
            late_hash = await it.ask("eth_sendRawTransaction", late)
            assert await it.ask("eth_getTransactionReceipt", late_hash) is None
            waiting = await it.ask("eth_getTransactionByHash", late_hash)
            assert waiting["blockHash"] is None
            assert int(await it.ask("eth_getTransactionCount", KEY.address, "pending"), 16) == nonce
            early_hash = await it.ask("eth_sendRawTransaction", early)
            await it.sender.wait(early_hash)
            receipt = await it.sender.wait(late_hash)
            assert receipt["status"] == "0x1"
            assert int(await it.ask("eth_getTransactionCount", KEY.address, "latest"), 16) == nonce + 2

    asyncio.run(main())


def test_what_is_refused_and_in_which_words(chain: Chain) -> None:
    async def main() -> None:
        async with client(chain) as it:
            receipt = await it.transfer(STRANGER, 1)
            assert receipt["status"] == "0x1"
            nonce = int(await it.ask("eth_getTransactionCount", KEY.address, "latest"), 16)
            poor = NodeKey(b"\x05" * 32)
            await refused(it, "nonce too low", "eth_sendRawTransaction", raw(nonce - 1, gas=40_000))
            await refused(it, "insufficient funds for gas * price + value", "eth_sendRawTransaction", raw(0, key=poor))
            await refused(it, "", "eth_sendRawTransaction", raw(nonce, chain_id=CHAIN_ID + 1))
            await refused(it, "", "eth_sendRawTransaction", "0x02c0ffee")
            await refused(it, "", "eth_sendRawTransaction", "0x")
            # Something that stays in the pool, to be known already and to be underpriced against.
            waiting = raw(nonce + 5)
            await it.ask("eth_sendRawTransaction", waiting)
            await refused(it, "already", "eth_sendRawTransaction", waiting)
            await refused(it, "replacement transaction underpriced", "eth_sendRawTransaction", raw(nonce + 5, gas=50_000))
            assert await it.ask("eth_sendRawTransaction", raw(nonce + 5, price_percent=150))

            error = await refused(it, "", "eth_noSuchMethod")
            assert error.code == METHOD_NOT_FOUND
            for method, params in (
                ("eth_getBalance", ["0x12"]),
                ("eth_getBalance", [17]),
                ("eth_getBlockByNumber", ["newest", False]),
                ("eth_getTransactionReceipt", ["0x12"]),
                ("eth_call", ["0x"]),
            ):
                error = await refused(it, "", method, *params)
                assert error.code == -32602, (method, params)

    asyncio.run(main())


def test_fees_are_offered_and_a_balance_pays_them(chain: Chain) -> None:
    someone = NodeKey.create()

    async def main() -> None:
        async with client(chain) as it:
            price = int(await it.ask("eth_gasPrice"), 16)
            tip = int(await it.ask("eth_maxPriorityFeePerGas"), 16)
            history = await it.ask("eth_feeHistory", "0x2", "latest", [50])
            assert 0 < tip <= price
            assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1 == len(history["reward"]) + 1
            receipt = await it.sender.wait(await it.sender.send(someone.address, value=10**18))
            before = int(await it.ask("eth_getBalance", someone.address, receipt["blockNumber"]), 16)
            assert before == 10**18
            other = Sender(it.backend, someone, CHAIN_ID, poll_s=0.1)
            paid = await other.wait(await other.send(STRANGER, value=7))
            spent = int(cast(str, paid["gasUsed"]), 16) * int(cast(str, paid["effectiveGasPrice"]), 16)
            assert int(await it.ask("eth_getBalance", someone.address, "latest"), 16) == before - 7 - spent

    asyncio.run(main())


def test_storage_is_read_by_slot(chain: Chain) -> None:
    async def main() -> None:
        async with client(chain) as it:
            words = [await it.ask("eth_getStorageAt", it.token, hex(slot), "latest") for slot in range(6)]
            assert "0x" + SUPPLY.to_bytes(32).hex() in words
            assert words[0] == await it.ask("eth_getStorageAt", it.token, "0x" + "00" * 32, "latest")

    asyncio.run(main())


def test_snapshots_and_time_travel(chain: Chain) -> None:
    someone = Address("0x" + "e5" * 20)

    async def main() -> None:
        async with client(chain) as it:
            snapshot = await it.ask("evm_snapshot")
            receipt = await it.transfer(someone, 9)
            now = int((await it.ask("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
            await it.ask("evm_setNextBlockTimestamp", now + 1000)
            await it.ask("evm_mine")
            assert now + 1000 in await stamps(it, int(cast(str, receipt["blockNumber"]), 16))
            await it.ask("evm_increaseTime", 5000)
            await it.ask("evm_mine")
            assert int((await it.ask("eth_getBlockByNumber", "latest", False))["timestamp"], 16) >= now + 6000
            with pytest.raises(RpcError):
                await it.ask("evm_setNextBlockTimestamp", now)
            assert await it.read("balanceOf", checksum(someone)) == 9
            assert await it.ask("evm_revert", snapshot) is True
            assert await it.read("balanceOf", checksum(someone)) == 0
            assert await it.ask("eth_getTransactionReceipt", receipt["transactionHash"]) is None
            assert await it.ask("evm_revert", snapshot) is False

    asyncio.run(main())


def test_two_hundred_transactions_do_not_hurry_the_served_clock() -> None:
    async def main(connect: Callable[[], Backend]) -> None:
        backend = connect()
        try:
            started = int(time.time())
            for nonce in range(200):
                await backend.request("eth_sendRawTransaction", [raw(nonce)])
            sender = Sender(backend, KEY, CHAIN_ID, poll_s=0.05)
            await sender.wait(to_hex(bytes(Account.sign_transaction(fields(199), KEY.secret()).hash)))
            head = cast(Json, await backend.request("eth_getBlockByNumber", ["latest", False]))
            # The chain is never ahead of the wall, however many transactions came.
            assert started - 1 <= int(head["timestamp"], 16) <= time.time()
            assert await backend.request("eth_getTransactionCount", [KEY.address, "latest"]) == hex(200)
            first, last = int(head["number"], 16), int(head["number"], 16)
            while last < first + 2:
                await asyncio.sleep(0.1)
                last = int(cast(str, await backend.request("eth_blockNumber", [])), 16)
            idle = cast(Json, await backend.request("eth_getBlockByNumber", [hex(first + 2), False]))
            assert int(idle["timestamp"], 16) >= int(head["timestamp"], 16) + 2
            assert int(idle["timestamp"], 16) <= time.time()
        finally:
            await backend.close()

    with running("served") as connect:
        asyncio.run(main(connect))


async def stamps(it: Client, first: int) -> list[int]:
    last = int(await it.ask("eth_blockNumber"), 16)
    blocks = [await it.ask("eth_getBlockByNumber", hex(number), False) for number in range(first, last + 1)]
    return [int(block["timestamp"], 16) for block in blocks]


async def refused(it: Client, words: str, method: str, *params: object) -> RpcError:
    with pytest.raises(RpcError) as error:
        await it.ask(method, *params)
    assert words in error.value.message.lower()
    return error.value


async def deploy(connect: Callable[[], Backend]) -> Json:
    backend = connect()
    try:
        contract = web3_over(backend).eth.contract(abi=artifact()["abi"], bytecode=artifact()["bytecode"])
        code = contract.constructor("Test", "TST", SUPPLY).data_in_transaction
        sender = Sender(backend, KEY, CHAIN_ID, poll_s=0.1)
        return cast(Json, await sender.wait(await sender.send(None, bytes.fromhex(code[2:]))))
    finally:
        await backend.close()


@asynccontextmanager
async def client(chain: Chain) -> AsyncIterator[Client]:
    backend = chain.connect()
    try:
        yield Client(backend, web3_over(backend), Sender(backend, KEY, CHAIN_ID, poll_s=0.1), chain.token)
    finally:
        if chain.kind != "in-process":
            await backend.close()


def artifact() -> Json:
    return cast(Json, json.loads((ROOT / "chain/artifacts/RewardToken.json").read_bytes()))


def fields(nonce: int, *, gas: int = 30_000, chain_id: int = CHAIN_ID, price_percent: int = 100) -> Json:
    return {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "to": bytes.fromhex(STRANGER[2:]),
        "value": 1,
        "gas": gas,
        "maxFeePerGas": 20 * 10**9 * price_percent // 100,
        "maxPriorityFeePerGas": 10**9 * price_percent // 100,
    }


def raw(nonce: int, *, key: NodeKey = KEY, gas: int = 30_000, chain_id: int = CHAIN_ID, price_percent: int = 100) -> str:
    signed = Account.sign_transaction(fields(nonce, gas=gas, chain_id=chain_id, price_percent=price_percent), key.secret())
    return to_hex(bytes(signed.raw_transaction))


def topic_of(address: Address) -> str:
    return "0x" + "00" * 12 + address[2:]


def checksum(address: Address) -> Any:
    return AsyncWeb3.to_checksum_address(address)
