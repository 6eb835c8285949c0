"""The consumer's money: its deposit, the exit, the withdrawal of what is left. Each is checked against the chain before anything is sent.

What goes wrong is a `CommandFailed` (`runtime.terminal`), or a contract's own refusal.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chain.abi import ContractRefused
from chain.amounts import tokens
from chain.client import ChainClient, open_chain
from chain.contracts import Call
from chain.keys import NodeKey
from chain.permit import Permit, sign_permit
from chain.types import Address, Wei
from chain.view import Deposit
from runtime.account import gas_of, send
from runtime.config import AccountConfig
from runtime.terminal import CommandFailed, NothingToDo, local_time
from wire.http import Client
from wire.leaves import NoActiveRoot, NoVerifiedLeaf, proven_leaf

PERMIT_LIFE_S = 3_600


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What would be paid back, wei, what was spent, and the call. announces: the call pays nothing yet; it says that all of the deposit is
    to be paid back, since the active root has no record of the account."""

    amount: Wei
    spent: Wei
    call: Call
    announces: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """A deposit as the chain has it at the newest block. spent: wei by the active root, None if it says nothing of the account. wallet:
    tokens that are not deposited, wei."""

    deposit: Deposit
    spent: Wei | None
    wallet: Wei


class Wallet:
    """One account's view of its deposit."""

    def __init__(self, chain: ChainClient, client: Client) -> None:
        self.chain, self._client = chain, client

    async def account(self, account: Address) -> Account:
        block = await self.chain.latest()
        try:
            spent: Wei | None = Wei((await proven_leaf(self._client, self.chain, account, block)).leaf.spent)
        except (NoActiveRoot, NoVerifiedLeaf):
            spent = None
        deposit = await self.chain.vault.deposit_of(account, block)
        return Account(deposit, spent, await self.chain.token.balance_of(account, block))

    async def deposit(self, key: NodeKey, amount: Wei) -> str:
        """Deposits tokens of the key's account in one transaction, by a permit; its hash."""
        chain, block = self.chain, await self.chain.latest()
        if (await chain.vault.deposit_of(key.address, block)).exit_epoch is not None:
            raise ContractRefused("HasExited", {"account": key.address})
        held = await chain.token.balance_of(key.address, block)
        if held < amount:
            raise CommandFailed(
                f"{key.address} holds {tokens(held)} DPN, and {tokens(amount)} DPN are to be deposited: send it the rest first."
            )
        nonce, deadline = await chain.token.permit_nonce(key.address, block), block.timestamp + PERMIT_LIFE_S
        permit = Permit(key.address, chain.network.vault, amount, nonce, deadline)
        signature = sign_permit(permit, chain.network.token, await chain.token.name(), chain.network.chain_id, key)
        return await self._send(key, chain.vault.deposit_with_permit(amount, deadline, signature))

    async def exit(self, key: NodeKey) -> tuple[str, str]:
        """Freezes the deposit on its way out; the transaction, and when the rest can be withdrawn."""
        found = await self.chain.vault.deposit_of(key.address)
        if found.exit_epoch is not None:
            raise NothingToDo(f"{key.address} has exited already. {await self._when(found)}")
        if found.held == 0:
            raise NothingToDo(f"{key.address} has no deposit: there is nothing to exit with.")
        transaction = await self._send(key, self.chain.vault.exit())
        return transaction, await self._when(await self.chain.vault.deposit_of(key.address))

    async def offer_withdrawal(self, account: Address) -> Withdrawal:
        """What withdrawing now would bring; says when it will be possible if it is not yet."""
        chain, block = self.chain, await self.chain.latest()
        found = await chain.vault.deposit_of(account, block)
        if found.held == 0:
            raise NothingToDo(f"{account} has no deposit.")
        if found.exit_epoch is None:
            raise CommandFailed(f"{account} has not exited: do that first with `dpn consumer exit`, since what it spends is still counted.")
        active, freed = await chain.settlement.active_record(block), await self._free_at(found)
        if block.timestamp < freed and active.through <= found.exit_epoch:
            raise CommandFailed(await self._when(found))
        try:
            proven = await proven_leaf(self._client, chain, account, block)
        except (NoActiveRoot, NoVerifiedLeaf) as missing:
            if (isinstance(missing, NoVerifiedLeaf) and not missing.absent) or block.timestamp < freed:
                raise
            offer = self._without_leaf(found, block.timestamp)
        else:
            call = chain.vault.withdraw(proven.leaf, proven.path)
            offer = Withdrawal(Wei(found.held - proven.leaf.spent), Wei(proven.leaf.spent), call)
        if not (offer.announces or await chain.settlement.is_quiet(block)):
            raise CommandFailed(
                "A root is pending at the moment, and deposits are paid back only when none is: try again in a few minutes, at the latest "
                f"within {chain.network.timing.epoch_length} s."
            )
        await gas_of(chain.backend, account, offer.call)  # refused here, nothing is sent
        return offer

    def _without_leaf(self, found: Deposit, second: int) -> Withdrawal:
        """For an account that the active root says nothing of: it announces, and is paid two epochs later unless somebody shows a leaf."""
        if not found.payable_at:
            return Withdrawal(Wei(found.held), Wei(0), self.chain.vault.announce_withdrawal(), announces=True)
        if second < found.payable_at:
            raise CommandFailed(
                f"The withdrawal is announced, and can be paid from {local_time(found.payable_at)} on: run `dpn consumer withdraw` then."
            )
        return Withdrawal(Wei(found.held), Wei(0), self.chain.vault.withdraw_announced())

    async def withdraw(self, key: NodeKey, offer: Withdrawal) -> str:
        """Sends the withdrawal; the transaction's hash."""
        return await self._send(key, offer.call)

    async def _when(self, found: Deposit) -> str:
        """When a deposit that has exited can be withdrawn, as a sentence."""
        epoch, freed = found.exit_epoch or 0, await self._free_at(found)
        last = local_time(self.chain.network.timing.end_of(epoch + 1))
        return (
            f"The exit was in epoch {epoch}. The rest can be withdrawn once a root that covers epoch {epoch + 1} is active, some time "
            f"after {last}, or by any root from {local_time(freed)} on: run `dpn consumer withdraw` then."
        )

    async def _free_at(self, found: Deposit) -> int:
        return found.exit_at + await self.chain.vault.number("exitDelay")

    async def _send(self, key: NodeKey, call: Call) -> str:
        return await send(self.chain.backend, self.chain.network.chain_id, key, call)


@contextlib.asynccontextmanager
async def open_wallet(settings: AccountConfig) -> AsyncIterator[Wallet]:
    """A wallet on the configured deployment, closed at the end."""
    async with open_chain(settings.rpc_urls, settings.settlement) as chain:
        client = Client(chain.network.domain)
        try:
            yield Wallet(chain, client)
        finally:
            await client.close()
