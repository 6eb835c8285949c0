"""The Registry: lists, stakes, convicts and providers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chain.contracts.base import Call, Contract, address_of
from chain.events.log import ROLES
from chain.messages import Changes
from chain.types import ZERO_ADDRESS, Address, Digest, Signature, Wei
from chain.view import BlockStamp, Conviction, Listing


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """bond and the time (seconds) from which a waiting bond is free, 0 if none waits. referrer: kept for ever once it was named."""

    registered: bool
    bond: Wei
    referrer: Address
    release_at: int


@dataclass(frozen=True, slots=True)
class UnbondingRecord:
    """Stake on its way out, wei, still slashable, and from when on (seconds) it may be withdrawn; both 0 if there is none."""

    amount: Wei
    release_at: int


class RegistryContract(Contract):
    NAME = "Registry"

    # Reads

    async def listed(self, role: str, at: BlockStamp | None = None) -> tuple[Listing, ...]:
        """The nodes of a role: validators by ascending address, others in listing order."""
        return tuple(_listing(member) for member in await self._read("listed", ROLES.index(role), at=at))

    async def listing_of(self, account: Address, at: BlockStamp | None = None) -> Listing:
        """`ContractRefused` (`NotListed`) if it is not listed."""
        return _listing(await self._read("listingOf", account, at=at))

    async def validators(self, at: BlockStamp | None = None) -> dict[Address, Wei]:
        """All listed validators and their stakes, by ascending address, which is the order of signer bitmaps."""
        accounts, stakes = await self._read("validators", at=at)
        return {address_of(account): Wei(stake) for account, stake in zip(accounts, stakes, strict=True)}

    async def draw(self, seed: int, at: BlockStamp | None = None) -> Address:
        """The validator number `seed mod n` of the n with stake, by ascending address; the zero address if n is 0."""
        return address_of(await self._read("draw", seed, at=at))

    async def roster(self, at: BlockStamp | None = None) -> Address:
        """The contract whose code holds what a quorum is counted by; another one after each change of stakes, validators or rules."""
        return await self.part("roster", at)

    async def stake_of(self, account: Address, at: BlockStamp | None = None) -> Wei:
        """What it has bonded; 0 for one that is not listed."""
        return Wei(await self._read("stakeOf", account, at=at))

    async def total_stake(self, at: BlockStamp | None = None) -> Wei:
        """Sum of the validators' stakes."""
        return Wei(await self.number("totalStake", at))

    async def unbonding_of(self, account: Address, at: BlockStamp | None = None) -> UnbondingRecord:
        amount, release_at = await self._read("unbondingOf", account, at=at)
        return UnbondingRecord(Wei(amount), release_at)

    async def conviction_of(self, account: Address, at: BlockStamp | None = None) -> Conviction | None:
        """None if it was never convicted."""
        reporter, slashed = await self._read("convictionOf", account, at=at)
        return None if int(reporter, 16) == 0 else Conviction(address_of(reporter), slashed)

    async def unslashed(self, at: BlockStamp | None = None) -> int:
        """How many convicts are still to be slashed; no time is quiet before there is none."""
        return await self.number("unslashed", at)

    async def share_of(self, reporter: Address, at: BlockStamp | None = None) -> Wei:
        """What a reporter has to collect."""
        return Wei(await self._read("shareOf", reporter, at=at))

    async def bundle_nonce(self, at: BlockStamp | None = None) -> int:
        """The nonce the next bundle must be signed with."""
        return await self.number("bundleNonce", at)

    async def rules_digest(self, at: BlockStamp | None = None) -> Digest:
        return Digest(await self._read("rulesDigest", at=at))

    async def min_total(self, at: BlockStamp | None = None) -> Wei:
        """The validators' total stake below which no root can be posted."""
        return Wei(await self.number("minTotal", at))

    async def provider_bond(self, at: BlockStamp | None = None) -> Wei:
        """What a provider bonds when it registers."""
        return Wei(await self.number("providerBond", at))

    async def provider_of(self, provider: Address, at: BlockStamp | None = None) -> ProviderRecord:
        registered, bond, referrer, release_at = await self._read("providerOf", provider, at=at)
        return ProviderRecord(registered, Wei(bond), address_of(referrer), release_at)

    # Stake

    def bond(self, account: Address, amount: Wei) -> Call:
        """For a listed account, in quiet time, with tokens that the sender has approved."""
        return self._call("bond", account, amount)

    def unbond(self, account: Address, amount: Wei) -> Call:
        """By the account or its recipient, in quiet time. It can be withdrawn after `unbondDelay`, and slashed until then."""
        return self._call("unbond", account, amount)

    def withdraw_stake(self, account: Address) -> Call:
        """Pays what was unbonded, once its delay is over, to the account's recipient. By anyone, in quiet time."""
        return self._call("withdrawStake", account)

    def slash(self, account: Address) -> Call:
        """Takes all stake of a convict. By anyone."""
        return self._call("slash", account)

    def collect(self) -> Call:
        """Pays the sender's shares of what was slashed."""
        return self._call("collect")

    # Lists

    def change(self, changes: Changes, deadline: int, signatures: Sequence[Signature]) -> Call:
        """Applies a bundle; signatures over its `chain.messages.Bundle`, by strictly ascending signer. By anyone, in quiet time."""
        return self._call("change", changes.words(), deadline, b"".join(signatures))

    def set_endpoint(self, endpoint: str) -> Call:
        return self._call("setEndpoint", endpoint)

    # Providers

    def register(self, recipient: Address, referrer: Address = ZERO_ADDRESS) -> Call:
        return self._call("register", recipient, referrer)

    def unregister(self) -> Call:
        return self._call("unregister")

    def withdraw_bond(self) -> Call:
        return self._call("withdrawBond")


def _listing(member: Sequence[Any]) -> Listing:
    account, role, most, stake, endpoint = member
    return Listing(address_of(account), ROLES[role], endpoint, Wei(most), Wei(stake))
