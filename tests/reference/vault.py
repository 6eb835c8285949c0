"""The Vault's rules: funds, deposits and their withdrawal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chain.messages import Leaf
from chain.parameters import DeploymentParameters
from chain.types import ZERO_DIGEST, Address
from tests.reference.values import MAX_SUM, Account, Tree, in_range, leads_to, require

if TYPE_CHECKING:
    from tests.reference.network import Reference


class VaultRules:
    def __init__(self, world: Reference, parameters: DeploymentParameters) -> None:
        self.world = world
        self.rate, self.min_deposit, self.exit_delay = parameters.rate, parameters.min_deposit, parameters.exit_delay
        self.funded, self.fed = int(parameters.funding), 0
        self.accounts: dict[Address, Account] = {}

    def deposits(self) -> int:
        """Deposited and not withdrawn, of all."""
        return sum(one.deposited - one.withdrawn for one in self.accounts.values())

    def account(self, account: Address) -> Account:
        return self.accounts.get(account, Account())

    def fund(self, caller: Address, amount: int) -> None:
        require(amount != 0, "ZeroAmount")
        require(self.funded + amount + self.deposits() <= MAX_SUM, "FundedTooHigh")
        self.funded += amount
        self.world.move(caller, self.world.network.vault, amount)

    def feed(self, amount: int) -> None:
        """Called by the Settlement, whose rules make sure that it is there."""
        self.fed += amount
        self.world.move(self.world.network.vault, self.world.network.settlement, amount)

    def deposit(self, caller: Address, amount: int) -> None:
        require(amount >= self.min_deposit, "BelowMinDeposit")
        account = self.account(caller)
        require(account.exit_at == 0, "HasExited")
        require(self.funded + self.deposits() + amount <= MAX_SUM, "DepositsTooHigh")
        require(account.deposited + amount <= MAX_SUM, "DepositedTooHigh")
        self.accounts[caller] = replace(account, deposited=account.deposited + amount)
        self.world.move(caller, self.world.network.vault, amount)

    def exit(self, caller: Address) -> None:
        account = self.account(caller)
        require(account.exit_at == 0, "HasExited")
        require(account.deposited != account.withdrawn, "NothingDeposited")
        self.accounts[caller] = replace(account, exit_at=self.world.now)

    def withdraw(self, caller: Address, leaf: Leaf, tree: Tree) -> None:
        """`leaf` is the caller's in any case: the contract takes its account from the caller."""
        account = self.account(caller)
        require(account.exit_at != 0, "NotExited")
        require(self.world.is_quiet(), "NotQuiet")
        active = self.world.settlement.active()
        self._require_leaf(replace(leaf, account=caller), tree)
        if self.world.now < account.exit_at + self.exit_delay:
            require(active.through > self.world.timing.epoch_at(account.exit_at), "RootTooOld")
        held = account.deposited - account.withdrawn
        require(leaf.spent <= held, "SpentAboveDeposit")
        self._pay(caller, held - leaf.spent)

    def announce_withdrawal(self, caller: Address) -> None:
        account = self.account(caller)
        require(account.exit_at != 0, "NotExited")
        require(self.world.now >= account.exit_at + self.exit_delay, "TooEarly")
        require(account.payable_at == 0, "AlreadyAnnounced")
        self.accounts[caller] = replace(account, payable_at=self.world.now + 2 * self.world.timing.epoch_length)

    def refute_announcement(self, caller: Address, leaf: Leaf, tree: Tree) -> None:
        del caller
        account = self.account(leaf.account)
        require(account.payable_at != 0, "NothingAnnounced")
        self._require_leaf(leaf, tree)
        self.accounts[leaf.account] = replace(account, payable_at=0)

    def withdraw_announced(self, caller: Address) -> None:
        account = self.account(caller)
        require(account.payable_at != 0, "NothingAnnounced")
        require(self.world.now >= account.payable_at, "TooEarly")
        require(self.world.is_quiet(), "NotQuiet")
        self._pay(caller, account.deposited - account.withdrawn)

    def _require_leaf(self, leaf: Leaf, tree: Tree) -> None:
        root = self.world.settlement.active().root
        require(root != ZERO_DIGEST, "NoActiveRoot")
        require(in_range(leaf), "LeafOutOfRange")
        require(leads_to(root, leaf, tree), "NotInTree")

    def _pay(self, caller: Address, amount: int) -> None:
        require(self.deposits() - amount >= self.world.settlement.active().total_spent, "SpentNotCovered")
        account = self.account(caller)
        self.accounts[caller] = Account(account.deposited, account.withdrawn + amount)
        self.world.move(self.world.network.vault, caller, amount)
