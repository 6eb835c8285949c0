"""What the reference's parts share: refusals by name, and the values they keep, all frozen, so that copying a dictionary is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chain.messages import Leaf
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest

MAX_SUM = 2**96 - 1


class Refused(Exception):
    """A call that the contracts must refuse with this custom error."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def require(holds: bool, name: str) -> None:
    if not holds:
        raise Refused(name)


class Tree(Protocol):
    """A tree as the reference sees it: a root, and which leaves lead to it."""

    @property
    def root(self) -> Digest: ...

    @property
    def leaves(self) -> tuple[Leaf, ...]: ...


def leads_to(root: Digest, leaf: Leaf, tree: Tree) -> bool:
    """Whether the path that `tree` has for the leaf leads to this root."""
    return tree.root == root and leaf in tree.leaves


def in_range(leaf: Leaf) -> bool:
    return leaf.earned <= MAX_SUM and leaf.spent <= MAX_SUM and leaf.points < 2**64 and leaf.reputation <= 1_000_000


@dataclass(frozen=True, slots=True)
class Seat:
    """An entry of the lists. Amounts in wei."""

    role: str
    maximum: int
    endpoint: str
    stake: int = 0


@dataclass(frozen=True, slots=True)
class Leaving:
    """Unbonded stake and its release, seconds."""

    amount: int = 0
    release_at: int = 0
    of_validator: bool = False


@dataclass(frozen=True, slots=True)
class Provider:
    """release_at: of a bond that waits, 0 if none does."""

    registered: bool = False
    bond: int = 0
    referrer: Address = ZERO_ADDRESS
    release_at: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """A depositor; exit_at is 0 if it has not exited, payable_at if it has announced nothing."""

    deposited: int = 0
    withdrawn: int = 0
    exit_at: int = 0
    payable_at: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the Settlement keeps of an account; epoch: of the root that the reputation is from."""

    claimed: int = 0
    reputation: int = 0
    epoch: int = 0
    recipient: Address | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """A posted root. signers: bit i for the i-th validator by address. fate: pending until it is `activated`, `cancelled` by the guardian
    or `tried` by the Judge."""

    root: Digest = ZERO_DIGEST
    total_earned: int = 0
    total_spent: int = 0
    epoch: int = 0
    through: int = 0
    round: int = 0
    active_at: int = 0
    signers: int = 0
    fate: str = "activated"

    def record(self, active_at: int) -> tuple[Digest, int, int, int, int, int, int, int]:
        """As the contract's getters tell it."""
        return (self.root, self.total_earned, self.total_spent, self.epoch, self.through, self.round, active_at, self.signers)


@dataclass(frozen=True, slots=True)
class Summation:
    """hashes: of the leaves summed up, in order."""

    earned: int = 0
    hashes: Sequence[Digest] = ()
