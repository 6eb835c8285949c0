"""What the chain says, folded from its events (`chain.fold`): everyone who reads the same logs sees the same network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from chain import events as ev
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Wei

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class BlockStamp:
    """A block that reads are pinned to. timestamp: UTC seconds."""

    number: int
    hash: Digest
    timestamp: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A node in a role. endpoint: host:port. max_stake, stake: wei."""

    account: Address
    role: str
    endpoint: str
    max_stake: Wei
    stake: Wei = Wei(0)


@dataclass(frozen=True, slots=True)
class Unbonding:
    """Stake on its way out, wei, slashable until it is withdrawn. release_at: from then on (seconds) it may be.
    of_validator: some of it was a validator's, so that its owner can be convicted of signing twice."""

    amount: Wei
    release_at: int
    of_validator: bool


@dataclass(frozen=True, slots=True)
class Conviction:
    """A convict, barred for good. reporter: who gets its share of the stake. slashed: whether the stake has been taken."""

    reporter: Address
    slashed: bool


@dataclass(frozen=True, slots=True)
class Registration:
    """A provider that is registered and bonded (bond in wei); referrer is the zero address for none."""

    provider: Address
    referrer: Address
    bond: Wei


@dataclass(frozen=True, slots=True)
class FormerProvider:
    """One that is no longer registered. bond: wei that wait, free from `release_at` (seconds) on; both 0 once they were paid back."""

    referrer: Address
    bond: Wei
    release_at: int


@dataclass(frozen=True, slots=True)
class Deposit:
    """An account's deposit; lifetime sums in wei. exit_epoch: that of its exit, None if it has not exited. exit_at: the exit's second, 0
    without one. payable_at: from then on (seconds) an announced withdrawal may be paid, 0 if none is announced."""

    deposited: Wei = Wei(0)
    withdrawn: Wei = Wei(0)
    exit_epoch: int | None = None
    exit_at: int = 0
    payable_at: int = 0

    @property
    def held(self) -> Wei:
        """Deposited and not withdrawn; what was spent is still in it."""
        return Wei(self.deposited - self.withdrawn)


@dataclass(frozen=True, slots=True)
class Summed:
    """What a reporter has summed up of a root at the Judge. earned: wei, at most 2^128 - 1. leaves: their number."""

    earned: Wei
    leaves: int


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may cancel and pause; times in seconds of block time. guardian, nominee: the zero address for nobody.

    since: when its powers begin. paused_until: until then, exclusive, nothing is posted and nobody claims. pausable_from: from then on it
    may pause again.
    """

    guardian: Address = ZERO_ADDRESS
    since: int = 0
    nominee: Address = ZERO_ADDRESS
    paused_until: int = 0
    pausable_from: int = 0


def _none() -> Mapping[K, V]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ChainView:
    """The network at a block.

    listings: validators by ascending address, the others in listing order. shares: what reporters have to collect. rules: the canonical
    JSON of those in force. min_total, provider_bond, funded, fed, pot: wei. registrations: the providers registered now; former: those that
    were. recipients: of every account that ever set one. proposed, posted: so far, in order, cancelled roots included. signers: of each
    posted epoch's root. activated: epochs whose root's activation has been recorded. cancelled: by epoch. proven: the fraud that a root's
    signers were convicted of, by epoch. claimed: wei, lifetime. scored: the epoch of the root whose leaf says the reputation that the
    Settlement keeps of an account. commitments: the block of each, at the Judge. summed: by root and reporter.
    """

    block: BlockStamp
    listings: tuple[Listing, ...] = ()
    unbonding: Mapping[Address, Unbonding] = field(default_factory=_none)
    convictions: Mapping[Address, Conviction] = field(default_factory=_none)
    shares: Mapping[Address, Wei] = field(default_factory=_none)
    rules: bytes = b""
    rules_digest: Digest = ZERO_DIGEST
    min_total: Wei = Wei(0)
    provider_bond: Wei = Wei(0)
    bundle_nonce: int = 0
    registrations: Mapping[Address, Registration] = field(default_factory=_none)
    former: Mapping[Address, FormerProvider] = field(default_factory=_none)
    recipients: Mapping[Address, Address] = field(default_factory=_none)
    funded: Wei = Wei(0)
    fed: Wei = Wei(0)
    deposits: Mapping[Address, Deposit] = field(default_factory=_none)
    proposed: tuple[ev.Proposed, ...] = ()
    posted: tuple[ev.Posted, ...] = ()
    signers: Mapping[int, tuple[Address, ...]] = field(default_factory=_none)
    activated: tuple[int, ...] = ()
    cancelled: Mapping[int, ev.Cancelled] = field(default_factory=_none)
    proven: Mapping[int, ev.Proven] = field(default_factory=_none)
    claimed: Mapping[Address, Wei] = field(default_factory=_none)
    scored: Mapping[Address, int] = field(default_factory=_none)
    pot: Wei = Wei(0)
    guard: Guard = Guard()
    commitments: Mapping[Digest, int] = field(default_factory=_none)
    summed: Mapping[tuple[Digest, Address], Summed] = field(default_factory=_none)

    def validators(self) -> tuple[Listing, ...]:
        """Validators with stake, by ascending address: those among whom rounds are drawn."""
        return tuple(listing for listing in self.listed("validator") if listing.stake > 0)

    def resolvers(self) -> tuple[Listing, ...]:
        return self.listed("resolver")

    def masters(self) -> tuple[Listing, ...]:
        return self.listed("master")

    def listed(self, role: str) -> tuple[Listing, ...]:
        """Everyone in a role; for validators the order of signer bitmaps."""
        return tuple(listing for listing in self.listings if listing.role == role)

    def listing(self, account: Address) -> Listing | None:
        return next((listing for listing in self.listings if listing.account == account), None)

    def unslashed(self) -> tuple[Address, ...]:
        """Convicts whose stake is still to be taken; while there is one no time is quiet."""
        return tuple(account for account, conviction in self.convictions.items() if not conviction.slashed)

    def recipient_of(self, account: Address) -> Address:
        """Where the account's pay goes: to itself unless that was changed."""
        return self.recipients.get(account, account)

    def deposit_of(self, account: Address) -> Deposit:
        return self.deposits.get(account, Deposit())

    def total_deposits(self) -> Wei:
        """Deposited and not withdrawn, of all accounts; what was spent is still in it."""
        return Wei(sum(deposit.held for deposit in self.deposits.values()))

    def posting(self, epoch: int) -> ev.Posted | None:
        """The epoch's posted root, cancelled or not. An epoch is posted once at most."""
        return next((event for event in reversed(self.posted) if event.epoch == epoch), None)

    def roots(self) -> tuple[ev.Posted, ...]:
        """The posted roots that were not cancelled, in order: each is or was active, or is the pending one."""
        return tuple(event for event in self.posted if event.epoch not in self.cancelled)

    def root_before(self, epoch: int) -> ev.Posted | None:
        """What a root of this epoch is built on: the newest one of an earlier epoch; None if there was none."""
        return next((root for root in reversed(self.roots()) if root.epoch < epoch), None)

    def root_covering(self, epoch: int) -> ev.Posted | None:
        """The root that an epoch's evidence is in: its own, or a later one's if that is missing or was cancelled; None until there is."""
        return next((root for root in self.roots() if root.through >= epoch), None)

    def active_posting(self, second: int) -> ev.Posted | None:
        """The active root's posting at a time not before this block's; None if there was no root yet."""
        return next((event for event in reversed(self.roots()) if event.active_at <= second), None)

    def pending_posting(self, second: int) -> ev.Posted | None:
        """The pending root's posting at a time not before this block's; None if none is."""
        newest = self.posted[-1] if self.posted else None
        return newest if newest is not None and newest.epoch not in self.cancelled and second < newest.active_at else None

    def triable_posting(self, second: int) -> ev.Posted | None:
        """The root that fraud proofs are about at a time not before this block's: the pending one, or the one that the guardian cancelled
        until it would have become active; None if there is none, or its signers have been convicted."""
        newest = self.posted[-1] if self.posted else None
        return newest if newest is not None and newest.epoch not in self.proven and second < newest.active_at else None
