"""The in-process chain against eth-tester's: the same signed transactions give the same receipts, logs and code on both."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from eth_tester.backends.pyevm.main import PyEVMBackend
from eth_tester.main import EthereumTester

from chain.client import ChainClient
from chain.deploy import bond, deploy
from chain.inprocess import InProcessBackend
from chain.keys import NodeKey
from chain.sender import Sender, TransactionFailed
from chain.types import Wei
from tests.deployments import DEPLOYER, ETHER, listed, parameters

CHAIN_ID = 131277322940537
"""The one that eth-tester's py-evm backend always has."""
GENESIS_TIME = 1_900_000_000
NODES = [NodeKey(bytes(31) + bytes([number])) for number in range(2, 5)]


class Recording:
    """A backend that remembers the raw transactions that went through it."""

    def __init__(self, backend: InProcessBackend) -> None:
        self.backend = backend
        self.sent: list[str] = []

    async def request(self, method: str, params: Sequence[object]) -> object:
        answer = await self.backend.request(method, params)
        if method == "eth_sendRawTransaction":
            self.sent.append(str(params[0]))
        return answer

    async def close(self) -> None:
        await self.backend.close()


async def history(backend: Recording) -> None:
    """A deployment, a bond, a registration and a transaction that reverts."""
    sender = Sender(backend, DEPLOYER, CHAIN_ID, poll_s=0.01)
    roles = ("validator", "resolver", "master")
    listings = tuple(listed(role, key, "127.1.0.1:7000") for key, role in zip(NODES, roles, strict=True))
    chain = ChainClient(backend, await deploy(backend, sender, parameters(genesis_delay=10_000, listings=listings)))
    await bond(chain, sender, NODES[0].address, Wei(100 * ETHER))
    for call in (chain.token.approve(chain.network.registry, Wei(10 * ETHER)), chain.registry.register(NODES[1].address)):
        await sender.wait(await sender.send(call.to, call.data))
    refused = chain.settlement.activate()
    try:
        await sender.wait(await sender.send(refused.to, refused.data, gas=200_000))
    except TransactionFailed:
        return
    raise AssertionError("activating nothing went through")


def receipt_of(raw: dict[str, Any]) -> dict[str, object]:
    return {
        "status": int(raw["status"], 16),
        "gasUsed": int(raw["gasUsed"], 16),
        "contract": (raw["contractAddress"] or "").lower(),
        "logs": [(log["address"].lower(), log["topics"], log["data"]) for log in raw["logs"]],
    }


def receipt_of_theirs(raw: dict[str, Any]) -> dict[str, object]:
    return {
        "status": raw["status"],
        "gasUsed": raw["gas_used"],
        "contract": (raw["contract_address"] or "").lower(),
        "logs": [(log["address"].lower(), list(log["topics"]), log["data"]) for log in raw["logs"]],
    }


def test_both_chains_do_the_same() -> None:
    async def ours() -> tuple[list[str], list[dict[str, object]], dict[str, str]]:
        backend = Recording(InProcessBackend(chain_id=CHAIN_ID, balances={DEPLOYER.address: 10**6 * ETHER}, genesis_time=GENESIS_TIME))
        await history(backend)
        receipts, code = [], {}
        for raw in backend.sent:
            receipt: Any = await backend.request("eth_getTransactionReceipt", [tx_hash(raw)])
            receipts.append(receipt_of(receipt))
            if receipt["contractAddress"]:
                code[receipt["contractAddress"]] = str(await backend.request("eth_getCode", [receipt["contractAddress"], "latest"]))
        return backend.sent, receipts, code

    sent, receipts, code = asyncio.run(ours())
    state = PyEVMBackend.generate_genesis_state(overrides={"balance": 10**6 * ETHER}, num_accounts=0)
    state[bytes.fromhex(DEPLOYER.address[2:])] = {"balance": 10**6 * ETHER, "nonce": 0, "code": b"", "storage": {}}
    genesis = PyEVMBackend.generate_genesis_params(overrides={"timestamp": GENESIS_TIME, "gas_limit": 500_000_000})
    theirs: Any = EthereumTester(PyEVMBackend(genesis_parameters=genesis, genesis_state=state))
    found = [receipt_of_theirs(theirs.get_transaction_receipt(theirs.send_raw_transaction(raw))) for raw in sent]
    assert found == receipts
    assert [receipt["status"] for receipt in receipts].count(0) == 1
    assert len(code) == 5
    for address, deployed in code.items():
        assert theirs.get_code(address) == deployed


def tx_hash(raw: str) -> str:
    from eth_utils.crypto import keccak

    return "0x" + keccak(hexstr=raw).hex()
