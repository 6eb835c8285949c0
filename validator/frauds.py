"""What code can tell to be wrong: the proofs of the Judge's (a) to (e) that a root's leaves give, and of signing twice. Pure.

A validator holds its own outcome against this before it signs, and others' roots before they become active. An honest root gives no
proof: its leaves never fall, are one an account, within their ranges and within the deposits, and add up to its total.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chain.frauds import Equivocation, ExcessiveSum, Fall, FraudProof, OutOfRange, Overspending, Path, Repeat, running_hash
from chain.hashing import keccak
from chain.merkle import leaf_hash
from chain.messages import EpochAttestation, Leaf
from chain.typed import Domain, Signed, digest_of
from chain.types import PPM, Address, Digest

LARGEST_AMOUNT = 2**96 - 1
LARGEST_POINTS = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Fraud:
    """A proof, and for (d) the leaves to sum up at the Judge before it counts, by ascending hash, with their paths."""

    proof: FraudProof
    summands: tuple[tuple[Leaf, Path], ...] = ()


class LeafTree:
    """The tree over any leaves, also several of one account, which `chain.merkle.MerkleTree` refuses. At least one leaf."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        hashed = sorted((leaf_hash(leaf), index) for index, leaf in enumerate(leaves))
        size = 2 * len(hashed) - 1
        self.leaves = tuple(leaves)
        self._nodes = [Digest(b"")] * size
        self._places = [0] * len(hashed)
        for position, (digest, index) in enumerate(hashed):
            self._nodes[size - 1 - position] = digest
            self._places[index] = size - 1 - position
        for place in range(size - len(hashed) - 1, -1, -1):
            left, right = self._nodes[2 * place + 1], self._nodes[2 * place + 2]
            self._nodes[place] = Digest(keccak(left + right if left < right else right + left))

    @property
    def root(self) -> Digest:
        return self._nodes[0]

    def hash(self, index: int) -> Digest:
        """Of the leaf at this index of `leaves`."""
        return self._nodes[self._places[index]]

    def path(self, index: int) -> tuple[Digest, ...]:
        """The siblings from this leaf up to the root."""
        place, path = self._places[index], []
        while place > 0:
            path.append(self._nodes[place + 1 if place % 2 else place - 1])
            place = (place - 1) // 2
        return tuple(path)


def frauds_in(tree: LeafTree, total_earned: int, parent: LeafTree | None, deposits: Mapping[Address, int]) -> Iterator[Fraud]:
    """Each provable fraud of the root of `tree`, cheapest first.

    total_earned: what the root says all leaves earned, wei. parent: the tree of the active root, None if there is none.
    deposits: deposited and not withdrawn, wei, by account; 0 for others.
    """
    for index, leaf in enumerate(tree.leaves):
        if not in_range(leaf):
            yield Fraud(OutOfRange(leaf, tree.path(index)))
        if leaf.spent > deposits.get(leaf.account, 0):
            yield Fraud(Overspending(leaf, tree.path(index)))
    yield from _repeats(tree)
    if parent is not None:
        yield from _falls(tree, parent)
    yield from _excess(tree, total_earned)


def in_range(leaf: Leaf) -> bool:
    """Whether the contracts take the leaf for a payment."""
    return max(leaf.earned, leaf.spent) <= LARGEST_AMOUNT and leaf.points <= LARGEST_POINTS and leaf.reputation <= PPM


def equivocations(signed: Mapping[Address, Iterable[Signed[EpochAttestation]]], domain: Domain) -> Iterator[tuple[Address, Equivocation]]:
    """For each signer two of its statements about one epoch and round that differ, one pair an epoch and round; the lower digest first,
    so that the same two always make the same evidence. Each statement stands under who was seen to have signed it."""
    for signer, statements in sorted(signed.items()):
        of_round: dict[tuple[int, int], dict[Digest, Signed[EpochAttestation]]] = defaultdict(dict)
        for statement in statements:
            of_round[statement.message.epoch, statement.message.round].setdefault(digest_of(statement.message, domain), statement)
        for _, different in sorted(of_round.items()):
            if len(different) > 1:
                one, other, *_ = sorted(different)
                yield signer, Equivocation(different[one], different[other])


def _repeats(tree: LeafTree) -> Iterator[Fraud]:
    places: dict[Address, list[int]] = defaultdict(list)
    for index, leaf in enumerate(tree.leaves):
        places[leaf.account].append(index)
    for first, *others in places.values():
        for other in others:
            if tree.leaves[first] != tree.leaves[other]:
                yield Fraud(Repeat(tree.leaves[first], tree.path(first), tree.leaves[other], tree.path(other)))


def _falls(tree: LeafTree, parent: LeafTree) -> Iterator[Fraud]:
    before: dict[Address, list[int]] = defaultdict(list)
    for index, leaf in enumerate(parent.leaves):
        before[leaf.account].append(index)
    for index, leaf in enumerate(tree.leaves):
        for earlier in before.get(leaf.account, ()):
            was = parent.leaves[earlier]
            if leaf.earned < was.earned or leaf.spent < was.spent or leaf.points < was.points:
                yield Fraud(Fall(leaf, tree.path(index), was, parent.path(earlier)))


def _excess(tree: LeafTree, total_earned: int) -> Iterator[Fraud]:
    """The fewest leaves that exceed the total, the largest first; what stands twice counts once, as the hashes have to ascend."""
    chosen: dict[Digest, int] = {}
    earned = 0
    for index in sorted(range(len(tree.leaves)), key=lambda one: (-tree.leaves[one].earned, tree.hash(one))):
        if earned > total_earned or tree.leaves[index].earned == 0:
            break
        if tree.hash(index) not in chosen:
            chosen[tree.hash(index)] = index
            earned += tree.leaves[index].earned
    if earned > total_earned:
        summands = tuple((tree.leaves[chosen[one]], tree.path(chosen[one])) for one in sorted(chosen))
        yield Fraud(ExcessiveSum(tree.root, running_hash(sorted(chosen))), summands)
