"""The Vault: the reward funds and the consumers' deposits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from chain.contracts.base import Call, Contract
from chain.messages import Leaf
from chain.types import Address, Digest, Signature, Wei
from chain.view import BlockStamp, Deposit


@dataclass(frozen=True, slots=True)
class Limits:
    """The sums that bound a root, wei. rate: one epoch's budget. funded: lifetime. deposits: deposited and not withdrawn, of all."""

    rate: Wei
    funded: Wei
    deposits: Wei


class VaultContract(Contract):
    NAME = "Vault"

    # Reads

    async def limits(self, at: BlockStamp | None = None) -> Limits:
        return Limits(*map(Wei, await self._read("limits", at=at)))

    async def deposit_of(self, account: Address, at: BlockStamp | None = None) -> Deposit:
        deposited, withdrawn, exit_epoch, exit_at, payable_at = await self._read("depositOf", account, at=at)
        return Deposit(Wei(deposited), Wei(withdrawn), exit_epoch - 1 if exit_epoch else None, exit_at, payable_at)

    async def funded(self, at: BlockStamp | None = None) -> Wei:
        return Wei(await self.number("funded", at))

    async def fed(self, at: BlockStamp | None = None) -> Wei:
        """Lifetime sum of what went to the Settlement."""
        return Wei(await self.number("fed", at))

    async def deposits(self, at: BlockStamp | None = None) -> Wei:
        """Deposited and not withdrawn, of all accounts; what was spent is still in it."""
        return Wei(await self.number("deposits", at))

    # Funds

    def fund(self, amount: Wei) -> Call:
        """Adds the sender's tokens, approved before, to the funds for good."""
        return self._call("fund", amount)

    # Deposits, each of the sender's own account

    def deposit(self, amount: Wei) -> Call:
        """At least `minDeposit`, of tokens approved before; not after an exit."""
        return self._call("deposit", amount)

    def deposit_with_permit(self, amount: Wei, deadline: int, signature: Signature) -> Call:
        """As `deposit`, with a signature of `chain.permit` for the Vault instead of an approval."""
        return self._call("depositWithPermit", amount, deadline, signature[64], signature[:32], signature[32:64])

    def exit(self) -> Call:
        """Freezes the deposit on its way out."""
        return self._call("exit")

    def withdraw(self, leaf: Leaf, path: Sequence[Digest]) -> Call:
        """Pays deposited less withdrawn less spent by the sender's leaf of the active root, after an exit, in quiet time."""
        return self._call("withdraw", *astuple(leaf)[1:], list(path))

    def announce_withdrawal(self) -> Call:
        """For whom the active root has no leaf, `exitDelay` after the exit; it can be paid two epochs later."""
        return self._call("announceWithdrawal")

    def withdraw_announced(self) -> Call:
        """Pays an announced withdrawal whose time has come, in quiet time."""
        return self._call("withdrawAnnounced")

    def refute_announcement(self, leaf: Leaf, path: Sequence[Digest]) -> Call:
        """Ends another's announced withdrawal by its leaf of the active root. By anyone."""
        return self._call("refuteAnnouncement", *astuple(leaf), list(path))
