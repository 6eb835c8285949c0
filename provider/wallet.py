"""The provider's money: registration, balances, rewards and claims, checked against the chain before anything is sent.

What goes wrong is a `CommandFailed` of `provider.errors`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from chain.abi import decode_revert
from chain.amounts import ONE_TOKEN, tokens
from chain.backend import Backend, Reverted
from chain.client import ChainClient, open_chain
from chain.contracts import Call
from chain.errors import ChainError
from chain.keys import NodeKey
from chain.messages import Leaf
from chain.sender import TransactionFailed
from chain.types import PPM, ZERO_ADDRESS, Address, Digest, Wei
from provider.errors import FeeTooHigh, NothingToDo, RootMoved
from provider.referrals import Referrals, referrals_of
from runtime.account import gas_of, gas_price, send
from runtime.config import AccountConfig, NodeConfig
from runtime.terminal import CommandFailed
from wire.http import Client
from wire.leaves import NoVerifiedLeaf, proven_leaf
from wire.tiers import Tier, tier_after, tier_of

T = TypeVar("T")
LOOKS, LOOK_AGAIN_S = 3, 1.5
LOOK_AT_THE_NEW_ROOT = "A newer root became active, or somebody claimed, meanwhile: the reward is looked up anew."


@dataclass(frozen=True, slots=True)
class Balance:
    """tokens: reward tokens in wei; coins: the chain's own coin in wei, which pays fees."""

    account: Address
    recipient: Address
    tokens: Wei
    coins: int


@dataclass(frozen=True, slots=True)
class Rewards:
    """An account's record in the active root, seen to verify against it. claimable: earned less claimed, wei. tier: by its points;
    following: the next one, None in the last."""

    leaf: Leaf
    path: tuple[Digest, ...]
    epoch: int
    root: Digest
    claimed: Wei
    recipient: Address
    tier: Tier
    following: Tier | None

    @property
    def claimable(self) -> Wei:
        return Wei(self.leaf.earned - self.claimed)


@dataclass(frozen=True, slots=True)
class ClaimOffer:
    """A claim that could be sent: its reward in token wei, and its fee in wei of the chain's coin at the current price."""

    rewards: Rewards
    call: Call
    gas: int
    fee: int

    def fee_share_ppm(self, token_price: int) -> int:
        """The fee as a share of the reward, `token_price` being wei of the chain's coin for one whole token; rounded up."""
        worth = self.rewards.claimable * token_price // ONE_TOKEN
        return -(-self.fee * PPM // worth) if worth else PPM * PPM


class Wallet:
    """One account's view of one deployment."""

    def __init__(self, backend: Backend, chain: ChainClient, client: Client) -> None:
        self.chain = chain
        self._backend, self._client = backend, client

    async def balance(self, account: Address) -> Balance:
        coins = await self._backend.request("eth_getBalance", [account, "latest"])
        recipient = await self.chain.settlement.recipient_of(account)
        return Balance(account, recipient, await self.chain.token.balance_of(recipient), int(str(coins), 16))

    async def rewards(self, account: Address) -> Rewards:
        """The account's record, from the first validator that can prove it. `NothingToDo` before there is a root."""
        return await _looked_at(lambda: self._rewards_now(account))

    async def referrals(self, account: Address) -> Referrals:
        """Whom the account referred and who referred it, and what that brings."""
        return await _looked_at(lambda: referrals_of(self.chain, self._client, account, self.chain.network.rules))

    async def _rewards_now(self, account: Address) -> Rewards:
        block = await self.chain.latest()
        found = await proven_leaf(self._client, self.chain, account, block)
        claimed = await self.chain.settlement.claimed_of(account, block)
        recipient = await self.chain.settlement.recipient_of(account, block)
        rules = self.chain.network.rules
        tier = tier_of(found.leaf.points, rules)
        return Rewards(found.leaf, found.path, found.epoch, found.root, claimed, recipient, tier, tier_after(tier, rules))

    async def offer_claim(self, account: Address, payer: Address) -> ClaimOffer:
        """What claiming now would bring and cost; `NothingToDo` if all is claimed."""
        rewards = await self.rewards(account)
        if rewards.claimable <= 0:
            raise NothingToDo(f"Everything that {account} earned up to epoch {rewards.epoch} has been claimed.")
        call = self.chain.settlement.claim(rewards.leaf, rewards.path)
        try:
            gas = await gas_of(self._backend, payer, call)
        except Reverted as error:
            raise _claim_refused(error.data) from error
        return ClaimOffer(rewards, call, gas, gas * await gas_price(self._backend))

    async def claim(self, offer: ClaimOffer, key: NodeKey, max_fee_ppm: int, token_price: int, *, force: bool) -> str:
        """Sends the claim and waits for it; its transaction hash. `FeeTooHigh` unless forced; `RootMoved` if the offer is out of date."""
        share = offer.fee_share_ppm(token_price)
        if share > max_fee_ppm and not force:
            raise FeeTooHigh(
                f"The fee would be {share / 10_000:.2f} % of the reward, more than the {max_fee_ppm / 10_000:.2f} % allowed. "
                "Wait for more rewards or a lower gas price, raise --max-fee-percent, or use --force."
            )
        try:
            return await self.send(key, offer.call)
        except Reverted as error:
            raise _claim_refused(error.data) from error
        except TransactionFailed as error:  # what was true when gas was estimated no longer was when it was mined
            raise RootMoved(f"{error}. {LOOK_AT_THE_NEW_ROOT}") from error

    async def register(self, key: NodeKey, recipient: Address, referrer: Address = ZERO_ADDRESS) -> str:
        """Bonds and registers the key's account as a provider; the transaction hash."""
        record = await self.chain.registry.provider_of(key.address)
        if record.registered:
            raise NothingToDo(f"{key.address} is registered already; change its recipient with `dpn wallet set-recipient`.")
        asked = await self.chain.registry.provider_bond()
        need = Wei(max(0, asked - record.bond))  # a bond that waits is used again
        held = await self.chain.token.balance_of(key.address)
        if held < need:
            raise CommandFailed(f"The bond is {tokens(asked)} DPN, and {key.address} holds {tokens(held)} DPN: send it the rest first.")
        if await self.chain.token.allowance(key.address, self.chain.network.registry) < need:
            await self.send(key, self.chain.token.approve(self.chain.network.registry, need))
        return await self.send(key, self.chain.registry.register(recipient, referrer))

    async def unregister(self, key: NodeKey) -> int:
        """Ends the registration; the second (block time) from which the bond can be withdrawn."""
        if not (await self.chain.registry.provider_of(key.address)).registered:
            raise NothingToDo(f"{key.address} is not registered.")
        await self.send(key, self.chain.registry.unregister())
        return (await self.chain.registry.provider_of(key.address)).release_at

    async def withdraw_bond(self, key: NodeKey) -> str:
        """Pays a bond that is free to the account's recipient; the transaction hash. `NothingToDo` if none waits."""
        if (await self.chain.registry.provider_of(key.address)).release_at == 0:
            raise NothingToDo(f"No bond of {key.address} waits to be paid back: unregister first.")
        return await self.send(key, self.chain.registry.withdraw_bond())

    async def set_recipient(self, key: NodeKey, account: Address, recipient: Address) -> str:
        return await self.send(key, self.chain.settlement.set_recipient(account, recipient))

    async def send(self, key: NodeKey, call: Call) -> str:
        """Sends a call from the key's account and waits until it is mined."""
        return await send(self._backend, self.chain.network.chain_id, key, call)


@contextlib.asynccontextmanager
async def open_wallet(config: AccountConfig | NodeConfig) -> AsyncIterator[Wallet]:
    """A wallet on the configured deployment, closed at the end."""
    async with open_chain(config.rpc_urls, config.settlement) as chain:
        client = Client(chain.network.domain)
        try:
            yield Wallet(chain.backend, chain, client)
        finally:
            await client.close()


async def _looked_at(look: Callable[[], Awaitable[T]]) -> T:
    """What a look at the active root finds: a root may become active between two answers, and validators know it within a poll."""
    for _ in range(LOOKS - 1):
        try:
            return await look()
        except NoVerifiedLeaf:
            await asyncio.sleep(LOOK_AGAIN_S)
    return await look()


def _claim_refused(data: bytes) -> ChainError | RootMoved:
    """`RootMoved` if the contract refused because another root is active or the claim was made meanwhile, else the refusal itself."""
    refused = decode_revert(data)
    if refused.name in ("NotInTree", "NothingToClaim"):
        return RootMoved(f"{refused}. {LOOK_AT_THE_NEW_ROOT}")
    return refused
