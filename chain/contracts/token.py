"""The reward token: a plain ERC-20 with permit."""

from __future__ import annotations

from chain.contracts.base import Call, Contract
from chain.types import Address, Wei
from chain.view import BlockStamp


class TokenContract(Contract):
    NAME = "RewardToken"

    async def name(self, at: BlockStamp | None = None) -> str:
        return str(await self._read("name", at=at))

    async def symbol(self, at: BlockStamp | None = None) -> str:
        return str(await self._read("symbol", at=at))

    async def balance_of(self, account: Address, at: BlockStamp | None = None) -> Wei:
        return Wei(await self._read("balanceOf", account, at=at))

    async def allowance(self, owner: Address, spender: Address, at: BlockStamp | None = None) -> Wei:
        return Wei(await self._read("allowance", owner, spender, at=at))

    async def permit_nonce(self, owner: Address, at: BlockStamp | None = None) -> int:
        """The nonce of the owner's next permit, see `chain.permit`."""
        return int(await self._read("nonces", owner, at=at))

    def approve(self, spender: Address, amount: Wei) -> Call:
        return self._call("approve", spender, amount)

    def transfer(self, to: Address, amount: Wei) -> Call:
        return self._call("transfer", to, amount)
