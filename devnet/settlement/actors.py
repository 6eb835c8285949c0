"""Whoever sends transactions in the demo, each with a key and a nonce of its own: consumer, provider, guardian, stranger, hostile ones."""

from __future__ import annotations

from chain.backend import Backend
from chain.contracts import Call
from chain.keys import NodeKey
from chain.sender import Receipt, Sender
from chain.types import Address

POLL_S = 0.1


class Actor:
    """One account at work. A call that would be refused raises `Reverted`, one that is mined in vain `TransactionFailed`."""

    def __init__(self, backend: Backend, key: NodeKey, chain_id: int) -> None:
        self.key = key
        self._sender = Sender(backend, key, chain_id, poll_s=POLL_S)

    @property
    def address(self) -> Address:
        return self.key.address

    async def send(self, call: Call, gas: int | None = None) -> str:
        """Hands a call to the chain's node; its transaction, not mined yet. With `gas` nothing is estimated before."""
        return await self._sender.send(call.to, call.data, gas=gas)

    async def mined(self, transaction: str) -> Receipt:
        """The receipt of a transaction once it is in a block."""
        return await self._sender.wait(transaction)

    async def do(self, call: Call) -> Receipt:
        """Sends a call and returns once it is mined."""
        return await self.mined(await self.send(call))

    async def give_coin(self, to: Address, wei: int) -> None:
        """Some of the chain's own coin, for gas."""
        await self.mined(await self._sender.send(to, value=wei))
