"""One account's transactions as commands send them: what they would cost, and sent one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from chain.backend import Backend, Reverted, RpcError
from chain.client import ChainClient, open_chain
from chain.contracts import Call
from chain.keys import NodeKey
from chain.sender import Sender
from chain.types import Address, to_hex
from runtime.config import AccountConfig

T = TypeVar("T")


def with_chain(settings: AccountConfig, work: Callable[[ChainClient], Awaitable[T]]) -> T:
    """What `work` gives, with a client of the configured deployment that is closed at the end."""

    async def opened() -> T:
        async with open_chain(settings.rpc_urls, settings.settlement) as chain:
            return await work(chain)

    return asyncio.run(opened())


async def gas_of(backend: Backend, payer: Address, call: Call) -> int:
    """Gas that a call would take now. `Reverted` if a contract would refuse it, `RpcError` for any other refusal."""
    try:
        found = await backend.request("eth_estimateGas", [{"from": payer, "to": call.to, "data": to_hex(call.data)}])
    except RpcError as error:
        if (reverted := error.revert_data()) is not None:
            raise Reverted(reverted) from error
        raise
    return int(str(found), 16)


async def gas_price(backend: Backend) -> int:
    """Wei of the chain's coin for one gas at present."""
    return int(str(await backend.request("eth_gasPrice", [])), 16)


async def send(backend: Backend, chain_id: int, key: NodeKey, *calls: Call) -> str:
    """Sends calls from the key's account, each once the one before is mined; the hash of the last."""
    sender, transaction = Sender(backend, key, chain_id), ""
    for call in calls:
        transaction = await sender.send(call.to, call.data)
        await sender.wait(transaction)
    return transaction
