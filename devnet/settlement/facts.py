"""What the settlement demo saw: raw logs and calls, state files read anew, and what the processes were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chain.messages import Leaf
from chain.types import Address, Digest
from devnet.processes import Started
from devnet.rawchain import Payment, PostedLog
from devnet.settlement.rawlogs import Records, Row

MINT = Address("0x" + "00" * 20)
"""Where the token's log says that the supply came from."""
DEAD = Address("0x" + "00" * 18 + "dead")
"""Where slashed stake goes."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who is who. validators: by ascending address, as signer bitmaps have them; honest, equivocator: one of them each."""

    validators: tuple[Address, ...]
    honest: Address
    equivocator: Address
    consumer: Address
    provider: Address
    stranger: Address
    guardian: Address
    registry: Address
    vault: Address
    settlement: Address
    judge: Address

    def names(self) -> dict[Address, str]:
        """Every account that tokens may be found at, by address."""
        found = {account: f"hostile validator {number}" for number, account in enumerate(self.hostile(), 1)}
        found |= {self.honest: "honest validator", MINT: "nobody", DEAD: "dead address"}
        found |= {getattr(self, name): name for name in ("consumer", "provider", "stranger", "guardian", "registry", "vault", "settlement")}
        return found

    def hostile(self) -> tuple[Address, ...]:
        return tuple(account for account in self.validators if account != self.honest)

    def signers(self, bitmap: int) -> frozenset[Address]:
        """The validators in a signer bitmap."""
        return frozenset(account for bit, account in enumerate(self.validators) if bitmap >> bit & 1)


@dataclass(frozen=True, slots=True)
class Refusals:
    """The names of the errors that calls were refused with, empty for one that would have gone through.

    while_paused: the provider's claim. while_pending: the consumer's withdrawal. old_leaf: the same in quiet time, with its leaf of the
    first root. late: a stranger's report of what had been reported.
    """

    while_paused: str
    while_pending: str
    old_leaf: str
    late: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the checks look at; amounts in wei.

    epochs: of the first root, of the one that a hostile quorum wrote within the totals, and of the fraudulent one. stake: of each of the
    validators. deposit: the consumer's; its_transactions: how many it had sent when the deposit stood. posted: by raw RPC, as are
    `records`. leaves, roots: per posted epoch what its state file holds, by account, and makes. pending: what `pendingRoot()` and
    `activeRoot()` said while the withdrawal was refused; active: `activeRoot()` at the end, at block time `second`. stakes: at the end,
    by `stakeOf`. barred: who `convictionOf` knows. shares: what `shareOf` says is left to collect. balances: by `balanceOf`; supply: by
    `totalSupply`. started: the processes; alive: the names of those that run at the end.
    """

    accounts: Accounts
    epochs: tuple[int, int, int]
    stake: int
    deposit: int
    its_transactions: int
    posted: tuple[PostedLog, ...]
    payments: tuple[Payment, ...]
    records: Records
    leaves: Mapping[int, Mapping[Address, Leaf]]
    roots: Mapping[int, Digest]
    refusals: Refusals
    pending: tuple[Digest, Digest]
    active: Digest
    second: int
    last_posted: int
    activated: tuple[Digest, ...]
    stakes: Mapping[Address, int]
    barred: frozenset[Address]
    shares: Mapping[Address, int]
    balances: Mapping[Address, int]
    supply: int
    started: tuple[Started, ...]
    alive: frozenset[str]

    def posting(self, epoch: int) -> PostedLog | None:
        return next((log for log in self.posted if log.epoch == epoch), None)

    def earned(self, epoch: int, account: Address) -> int:
        """By the state file of a posted epoch; 0 without a leaf."""
        leaf = self.leaves.get(epoch, {}).get(account)
        return leaf.earned if leaf else 0

    def of(self, kind: str, account: Address) -> list[Row]:
        """The logs of a kind whose first value is the account."""
        rows: tuple[Row, ...] = getattr(self.records, kind)
        return [row for row in rows if row.values[0] == account]

    def moved(self, source: Address, target: Address, transaction: str = "") -> int:
        """What the token's log says went from one to the other, in one transaction or in all."""
        found = (row for row in self.records.transfers if row.values[:2] == (source, target) and transaction in ("", row.transaction))
        return sum(row.values[2] for row in found)

    def named(self, account: Address) -> str:
        return self.accounts.names().get(account, account)
