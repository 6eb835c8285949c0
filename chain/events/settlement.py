"""What the Settlement logs. Amounts in wei; times in seconds of block time."""

from __future__ import annotations

from dataclasses import dataclass

from chain.events.log import LogPosition
from chain.types import Address, Digest, Wei


@dataclass(frozen=True, slots=True)
class Proposed:
    at: LogPosition
    epoch: int
    round: int
    proposer: Address
    digest: Digest


@dataclass(frozen=True, slots=True)
class Posted:
    """signers: bit i for the i-th validator by address. active_at: from then on it is active, unless it is cancelled before."""

    at: LogPosition
    epoch: int
    round: int
    root: Digest
    through: int
    total_earned: Wei
    total_spent: Wei
    state_digest: Digest
    manifest_digest: Digest
    signers: int
    active_at: int


@dataclass(frozen=True, slots=True)
class Activated:
    """pot: what claims are paid from, from now on."""

    at: LogPosition
    epoch: int
    root: Digest
    pot: Wei


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The epoch is dead. by: the guardian, or the Judge; a root that the guardian cancelled can be tried until its `active_at`."""

    at: LogPosition
    epoch: int
    root: Digest
    by: Address


@dataclass(frozen=True, slots=True)
class Claimed:
    """By a leaf of the root that was activated last."""

    at: LogPosition
    account: Address
    recipient: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class ClaimSkipped:
    """index: of the item in its batch. reason: one of `SKIP_REASONS`."""

    at: LogPosition
    account: Address
    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReputationPushed:
    """reputation: ppm."""

    at: LogPosition
    account: Address
    reputation: int
    epoch: int


@dataclass(frozen=True, slots=True)
class RecipientSet:
    at: LogPosition
    account: Address
    recipient: Address


@dataclass(frozen=True, slots=True)
class GuardianNominated:
    """nominee: the zero address withdraws the nomination."""

    at: LogPosition
    guardian: Address
    nominee: Address


@dataclass(frozen=True, slots=True)
class GuardianSet:
    """guardian: the zero address for nobody. since: when its powers begin."""

    at: LogPosition
    guardian: Address
    since: int


@dataclass(frozen=True, slots=True)
class Paused:
    at: LogPosition
    until: int
    pausable_from: int


@dataclass(frozen=True, slots=True)
class Unpaused:
    """The pause is over before its time. pausable_from: when the next may begin."""

    at: LogPosition
    pausable_from: int


SettlementEvent = (
    Proposed
    | Posted
    | Activated
    | Cancelled
    | Claimed
    | ClaimSkipped
    | ReputationPushed
    | RecipientSet
    | GuardianNominated
    | GuardianSet
    | Paused
    | Unpaused
)
