"""An account's epoch term by term: the values that `audit.explaining` finds. Pure.

Wei unless a name says otherwise: ppm parts per million, milli thousandths of a point, bytes of payload.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.types import Address, Digest


@dataclass(frozen=True, slots=True)
class Witness:
    """What one listed resolver or master said. slots: how many; saw: which, as `0-3, 7`, empty for none."""

    role: str
    account: Address
    slots: int
    saw: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Slots that are not up. resolvers, masters: how many saw them; one of the former and more than half of all the latter are needed."""

    slots: str
    resolvers: int
    masters: int


@dataclass(frozen=True, slots=True)
class Availability:
    """Pay is the smaller of the weight's share of the budget and what it is worth at the cap of a slot.

    up, slots: of the epoch. rank: in its group, from 1 on, 0 without one. reputation_ppm: before the epoch. weight: up * (1/2 +
    reputation / 2) * rank weight, in ppm of a slot; all_weights: of everyone who is paid.
    """

    up: int
    slots: int
    witnesses: tuple[Witness, ...]
    gaps: tuple[Gap, ...]
    group: str
    rank: int
    rank_weight_ppm: int
    reputation_ppm: int
    weight: int
    all_weights: int
    budget: int
    share: int
    cap: int
    pay: int


@dataclass(frozen=True, slots=True)
class SessionPay:
    """One session that counts. fee: since it began, by this epoch's evidence; paid: before it; due: in it. kept: what is due less the
    protocol fee. reported_bytes: None without a report. subsidy: what it asks of the budget."""

    session: Digest
    consumer: Address
    price: int
    received_bytes: int
    reported_bytes: int | None
    unpaid_bytes: int
    fee: int
    paid: int
    due: int
    protocol_fee: int
    kept: int
    subsidy: int


@dataclass(frozen=True, slots=True)
class Passed:
    """A session that was shown and does not count, and why."""

    session: Digest
    reason: str


@dataclass(frozen=True, slots=True)
class Subsidies:
    """asked: by the account's sessions; asked_by_all: of the budget; pay: the former, scaled down alike if the budget is short."""

    asked: int
    asked_by_all: int
    budget: int
    pay: int


@dataclass(frozen=True, slots=True)
class Split:
    """What goes from a provider's budget reward to its referrer. account: the other one of the two. tier: of the referrer."""

    account: Address
    tier: str
    share_ppm: int
    amount: int


@dataclass(frozen=True, slots=True)
class Points:
    """In thousandths. tier: of all of them after the epoch; following: the next one, with what is missing to it; empty in the last."""

    before: int
    by_slots: int
    by_sessions: int
    after: int
    tier: str
    following: str
    missing: int


@dataclass(frozen=True, slots=True)
class Mark:
    """One listed master's mark, ppm; 0 if it said nothing."""

    master: Address
    ppm: int


@dataclass(frozen=True, slots=True)
class Customer:
    """part_ppm: of the signal, capped at what one consumer makes up."""

    consumer: Address
    fees: int
    part_ppm: int
    capped: bool


@dataclass(frozen=True, slots=True)
class Bucket:
    """The epoch's score: signals, each with its weight by the rules, in ppm. performance is the median of the marks, the lower of two.
    tenure: epochs since the first one seen."""

    availability_ppm: int
    performance_ppm: int
    sessions_ppm: int
    standing_ppm: int
    weights_ppm: tuple[int, int, int, int]
    marks: tuple[Mark, ...]
    customers: tuple[Customer, ...]
    tenure: int
    bonded: bool
    score_ppm: int


@dataclass(frozen=True, slots=True)
class Mean:
    """Reputation, ppm. buckets: newest first; weights_ppm: theirs; the prior counts with its own. if_silent: after one more epoch without
    evidence; if_the_same: after one more like this one. weight_lost_ppm: by how much silence lowers the weight of availability pay."""

    before: int
    after: int
    buckets: tuple[int, ...]
    weights_ppm: tuple[int, ...]
    prior: int
    prior_weight_ppm: int
    if_silent: int
    if_the_same: int
    weight_lost_ppm: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an account earned in an epoch, by what, and what it is thought of. registered: with a bond when the epoch ended. lost: it has no
    leaf in this root and is paid nothing. bucket, mean: None for an account that no evidence is about."""

    account: Address
    epoch: int
    registered: bool
    lost: bool
    earned_before: int
    availability: Availability
    sessions: tuple[SessionPay, ...]
    passed_over: tuple[Passed, ...]
    subsidies: Subsidies
    given: Split | None
    received: tuple[Split, ...]
    roles: tuple[str, ...]
    role_pay: int
    protocol_fees: int
    earned_after: int
    spent: int
    points: Points
    bucket: Bucket | None
    mean: Mean | None
    warnings: tuple[str, ...] = ()

    @property
    def fees(self) -> int:
        """What is left to it of its sessions' fees."""
        return sum(session.kept for session in self.sessions)

    @property
    def earned(self) -> int:
        """The sum of all terms of the epoch."""
        given = self.given.amount if self.given is not None else 0
        drawn = self.availability.pay + self.subsidies.pay - given + sum(split.amount for split in self.received)
        return self.fees + drawn + self.role_pay + self.protocol_fees
