"""Trees over any leaves, those of frauds too, with the paths of each."""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils.crypto import keccak

from chain.merkle import MerkleTree, Multiproof, leaf_hash
from chain.messages import Leaf
from chain.types import Address, Digest


class AnyTree:
    """As `chain.merkle.MerkleTree`, but an account may have several leaves, as it has in a fraudulent root. No leaf twice."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self.leaves = tuple(sorted(leaves, key=leaf_hash, reverse=True))
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        inner = len(hashes) - 1
        self._nodes = [Digest(b"")] * inner + sorted(hashes, reverse=True)
        for index in range(inner - 1, -1, -1):
            self._nodes[index] = Digest(keccak(b"".join(sorted(self._nodes[2 * index + 1 : 2 * index + 3]))))

    def __repr__(self) -> str:
        return f"<tree {self.root.hex()[:8]}>"

    @property
    def root(self) -> Digest:
        return self._nodes[0]

    def path(self, leaf: Leaf) -> tuple[Digest, ...]:
        """Of a leaf that is not in the tree: some other leaf's path, which leads nowhere for it."""
        index, path = len(self.leaves) - 1 + (self.leaves.index(leaf) if leaf in self.leaves else 0), []
        while index > 0:
            path.append(self._nodes[index + 1 if index % 2 else index - 1])
            index = (index - 1) // 2
        return tuple(path)

    def leaf_of(self, account: Address) -> Leaf | None:
        """The account's first leaf."""
        return next((leaf for leaf in self.leaves if leaf.account == account), None)

    def is_packable(self) -> bool:
        """Whether leaves can be packed and proven together: each account has one, and only reputations may be out of range."""
        fits = all(max(leaf.earned, leaf.spent) < 2**96 and leaf.points < 2**64 for leaf in self.leaves)
        return fits and len({leaf.account for leaf in self.leaves}) == len(self.leaves)

    def multiproof(self, accounts: Sequence[Address]) -> Multiproof:
        """`MerkleError` for a tree with two leaves of one account."""
        return MerkleTree(self.leaves).multiproof(accounts)

    def ascending(self) -> tuple[Leaf, ...]:
        """By leaf hash, as the Judge sums them up."""
        return self.leaves[::-1]
