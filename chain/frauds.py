"""Fraud proofs as values: what each shows, and the commitment that the Judge wants to see first.

A proof counts if its reporter committed to it in an earlier block: `commitment(reporter, proof.digest(), salt)`, with a salt that nobody
can guess. Against a root it counts only while that root is triable: pending, or cancelled by the guardian before its time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, ClassVar

from chain.hashing import keccak
from chain.messages import ATTESTATION, LEAF, EpochAttestation, Leaf
from chain.typed import Signed
from chain.types import ZERO_DIGEST, Address, Digest

Path = Sequence[Digest]
"""Siblings from a leaf up to the root."""


class FraudProof(ABC):
    """NAME: the Judge's function. TYPES: the ABI types of its arguments without the salt."""

    __slots__ = ()
    NAME: ClassVar[str]
    TYPES: ClassVar[tuple[str, ...]]

    @abstractmethod
    def arguments(self) -> tuple[Any, ...]:
        """The values of `TYPES`."""

    def digest(self) -> Digest:
        """The evidence a commitment is about: keccak256(abi.encode(name, arguments...))."""
        return _hash(("bytes32", *self.TYPES), (self.NAME.encode(), *self.arguments()))


@dataclass(frozen=True, slots=True)
class Equivocation(FraudProof):
    """Two different statements of one validator about one epoch and round; convicts that validator."""

    a: Signed[EpochAttestation]
    b: Signed[EpochAttestation]

    NAME: ClassVar[str] = "equivocates"
    TYPES: ClassVar[tuple[str, ...]] = (ATTESTATION, "bytes", ATTESTATION, "bytes")

    def arguments(self) -> tuple[Any, ...]:
        return (astuple(self.a.message), self.a.signature, astuple(self.b.message), self.b.signature)


@dataclass(frozen=True, slots=True)
class Fall(FraudProof):
    """(a) Earned, spent or points of the triable root's leaf are below those of the account's leaf in the active root."""

    leaf: Leaf
    path: Path
    parent_leaf: Leaf
    parent_path: Path

    NAME: ClassVar[str] = "falls"
    TYPES: ClassVar[tuple[str, ...]] = (LEAF, "bytes32[]", LEAF, "bytes32[]")

    def arguments(self) -> tuple[Any, ...]:
        return (astuple(self.leaf), list(self.path), astuple(self.parent_leaf), list(self.parent_path))


@dataclass(frozen=True, slots=True)
class Repeat(FraudProof):
    """(b) Two different leaves of one account in the triable root."""

    a: Leaf
    path_a: Path
    b: Leaf
    path_b: Path

    NAME: ClassVar[str] = "repeats"
    TYPES: ClassVar[tuple[str, ...]] = (LEAF, "bytes32[]", LEAF, "bytes32[]")

    def arguments(self) -> tuple[Any, ...]:
        return (astuple(self.a), list(self.path_a), astuple(self.b), list(self.path_b))


@dataclass(frozen=True, slots=True)
class Overspending(FraudProof):
    """(c) A leaf of the triable root has spent more than its account has deposited and not withdrawn."""

    leaf: Leaf
    path: Path

    NAME: ClassVar[str] = "overspends"
    TYPES: ClassVar[tuple[str, ...]] = (LEAF, "bytes32[]")

    def arguments(self) -> tuple[Any, ...]:
        return (astuple(self.leaf), list(self.path))


@dataclass(frozen=True, slots=True)
class ExcessiveSum(FraudProof):
    """(d) The leaves that the reporter has summed up at the Judge earned more than the triable root's total.

    running: `running_hash` of the hashes of all leaves summed up; it is known, and best committed to, before the first `sum`.
    """

    root: Digest
    running: Digest

    NAME: ClassVar[str] = "exceedsTotal"
    TYPES: ClassVar[tuple[str, ...]] = ("bytes32", "bytes32")

    def arguments(self) -> tuple[Any, ...]:
        return (self.root, self.running)


@dataclass(frozen=True, slots=True)
class OutOfRange(FraudProof):
    """(e) A field of a leaf of the triable root is out of range."""

    leaf: Leaf
    path: Path

    NAME: ClassVar[str] = "outOfRange"
    TYPES: ClassVar[tuple[str, ...]] = (LEAF, "bytes32[]")

    def arguments(self) -> tuple[Any, ...]:
        return (astuple(self.leaf), list(self.path))


def commitment(reporter: Address, evidence: Digest, salt: Digest) -> Digest:
    """What to commit to: keccak256(abi.encode(reporter, evidence, salt))."""
    return _hash(("address", "bytes32", "bytes32"), (reporter, evidence, salt))


def running_hash(hashes: Iterable[Digest]) -> Digest:
    """The hash over leaf hashes, strictly ascending, that the Judge has after summing these leaves up."""
    running = ZERO_DIGEST
    for one in hashes:
        running = _hash(("bytes32", "bytes32"), (running, one))
    return running


def _hash(types: Sequence[str], values: Sequence[Any]) -> Digest:
    from eth_abi.abi import encode

    return Digest(keccak(encode(list(types), list(values))))
