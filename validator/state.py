"""What a later epoch reads of all the earlier ones: one record an account, one canonical file an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from chain.canonical import decode, encode
from chain.messages import Leaf
from chain.types import PPM, U32, U64, U256, Address, Digest


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account's lifetime sums, and what its next epoch's weight is computed from.

    earned, spent: wei. points: thousandths. reputation: ppm, over `buckets`. first_epoch: the first one with evidence; 0 for an account
    of which nothing but its deposit is known, whose reputation is the prior.
    group: prefix of the newest epoch in which it was up and registered, empty if it is not registered; group_since: the epoch
    from which on it has been in that group. buckets: the score of each epoch in ppm, newest first, 0 for a silent one.
    settled: wei of its lifetime authorised amount below which no session of its can be paid any more, see `validator.session_pay`.
    shared: wei of its rewards that went to its referrer, lifetime, and are not in `earned`.
    """

    account: Address
    earned: U256
    spent: U256
    points: U64
    reputation: U32
    first_epoch: U64
    group: str
    group_since: U64
    buckets: tuple[U32, ...]
    settled: U256 = 0
    shared: U256 = 0

    def __post_init__(self) -> None:
        if self.reputation > PPM or max(self.buckets, default=0) > PPM:
            raise ValueError(f"a score of {self.account} is above {PPM} ppm")


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session whose evidence was first counted in the state's epoch: the next one may still add to it. paid: wei so far.
    budget_to: where its interval ends."""

    session_id: Digest
    consumer: Address
    budget_to: U256
    paid: U256


@dataclass(frozen=True, slots=True)
class State:
    """All accounts once the epoch `through` is accounted for, ascending by address, and the sessions that are still open, ascending by id;
    `ValueError` in another order.

    lost_earned, lost_spent: wei that accounts without a leaf any more had earned and spent, since totals never fall.
    """

    through: U64
    accounts: tuple[AccountState, ...]
    sessions: tuple[OpenSession, ...] = ()
    lost_earned: U256 = 0
    lost_spent: U256 = 0

    def __post_init__(self) -> None:
        for one, other in pairwise(self.accounts):
            if one.account >= other.account:
                raise ValueError(f"accounts ascend, {other.account} does not follow {one.account}")
        if any(one.session_id >= other.session_id for one, other in pairwise(self.sessions)):
            raise ValueError("sessions ascend by id")

    @property
    def total_earned(self) -> int:
        """Wei, over all accounts that ever were."""
        return sum(account.earned for account in self.accounts) + self.lost_earned

    @property
    def total_spent(self) -> int:
        """Wei, over all accounts that ever were."""
        return sum(account.spent for account in self.accounts) + self.lost_spent


def genesis_state() -> State:
    """Before the first root: no epoch, no account. Its digest is written as zero, since no root has it as its state."""
    return State(0, ())


def encode_state(state: State) -> bytes:
    """The canonical bytes, whose file digest is the `stateDigest` of a root."""
    return encode(state)


def decode_state(data: bytes) -> State:
    """The state in canonical bytes; `chain.errors.CodecError` if they are not, or if accounts do not ascend."""
    return decode(State, data)


def signed_leaves(data: bytes, treasury: Address) -> tuple[Leaf, ...]:
    """The leaves of whatever validators signed as a state: read as loosely as canonical bytes allow, in the order of the file, also with
    an account twice or a field out of range, so that such a state can be held against those who signed it.

    `chain.errors.CodecError` for bytes that name no leaves.
    """
    state: _SignedState = decode(_SignedState, data)
    leaves = tuple(Leaf(one.account, one.earned, one.spent, one.points, one.reputation) for one in state.accounts)
    named = {leaf.account for leaf in leaves}
    return leaves if treasury in named else (*leaves, Leaf(treasury, 0, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class _SignedAccount:
    """The fields of `AccountState` with the ranges of a leaf on chain."""

    account: Address
    earned: U256
    spent: U256
    points: U256
    reputation: U256
    first_epoch: U256
    group: str
    group_since: U256
    buckets: tuple[U256, ...]
    settled: U256 = 0
    shared: U256 = 0


@dataclass(frozen=True, slots=True)
class _SignedState:
    through: U256
    accounts: tuple[_SignedAccount, ...]
    sessions: tuple[OpenSession, ...] = ()
    lost_earned: U256 = 0
    lost_spent: U256 = 0


def leaves_of(state: State, treasury: Address) -> tuple[Leaf, ...]:
    """One leaf an account and always the treasury's, ascending by address."""
    leaves = {a.account: Leaf(a.account, a.earned, a.spent, a.points, a.reputation) for a in state.accounts}
    leaves.setdefault(treasury, Leaf(treasury, 0, 0, 0, 0))
    return tuple(leaves[account] for account in sorted(leaves))
