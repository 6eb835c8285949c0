"""What simulated validators sign and hand to each other. A proof is a number; nobody can make another's signature, since only whoever signs
makes the value."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from chain.types import Address, Digest


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a validator signed as its proofs of an epoch."""

    validator: Address
    epoch: int
    proofs: frozenset[int]


@dataclass(frozen=True)
class Manifest:
    """covered: the inventories that each covered epoch's input is the union of, as its proposer chose them."""

    covered: tuple[tuple[int, tuple[Inventory, ...]], ...]

    @cached_property
    def digest(self) -> Digest:
        said = [(epoch, [(one.validator, sorted(one.proofs)) for one in inventories]) for epoch, inventories in self.covered]
        return _hash(said)

    def root_upon(self, parent: Digest) -> Digest:
        """The recomputation: of a set, whatever inventories it comes from."""
        union = [(epoch, sorted(frozenset[int]().union(*(one.proofs for one in inventories)))) for epoch, inventories in self.covered]
        return _hash((parent, union))


@dataclass(frozen=True)
class Statement:
    """An `EpochAttestation`, as far as it matters here."""

    epoch: int
    through: int
    round: int
    parent: Digest
    root: Digest
    manifest: Digest

    @cached_property
    def digest(self) -> Digest:
        return _hash((self.epoch, self.through, self.round, self.parent, self.root, self.manifest))


@dataclass(frozen=True, slots=True)
class Offered:
    """A candidate as it is served: with its manifest."""

    statement: Statement
    manifest: Manifest


def accounts(count: int) -> list[Address]:
    return [Address(f"0x{number:040x}") for number in range(1, count + 1)]


def _hash(said: object) -> Digest:
    return Digest(hashlib.sha256(repr(said).encode()).digest())


def union_of(inventories: Iterable[Inventory]) -> frozenset[int]:
    return frozenset[int]().union(*(one.proofs for one in inventories))
