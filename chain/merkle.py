"""The tree of a root: OpenZeppelin's StandardMerkleTree over `chain.messages.Leaf`.

Leaf hash: keccak256(keccak256(abi.encode(account, earned, spent, points, reputation))). Leaves are sorted by hash; a node is
keccak256 of its two children in ascending order; the tree is a heap array of 2n - 1 nodes, leaf i at index 2n - 2 - i.
Source: `@openzeppelin/merkle-tree` 1.0, format `standard-v1`, whose dumps this module reads and writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.errors import ChainError
from chain.hashing import keccak
from chain.messages import Leaf
from chain.types import Address, Digest

LEAF_ENCODING = ("address", "uint256", "uint256", "uint256", "uint256")


class MerkleError(ChainError):
    """No tree, or not a tree of this kind: `detail` says what is wrong."""


@dataclass(frozen=True, slots=True)
class Multiproof:
    """One proof for several leaves of a tree, in the order in which it takes them.

    flags: one a hashing; the first operand is the head of the queue of leaves and inner nodes, the second the next of the queue (True)
    or of `proof` (False); the result goes to the queue's end. As OpenZeppelin's `MerkleProof.multiProofVerify` takes it.
    """

    leaves: tuple[Leaf, ...]
    proof: tuple[Digest, ...]
    flags: tuple[bool, ...]

    def packed_leaves(self) -> bytes:
        """64 bytes each, as `claimPacked` takes them; `MerkleError` for a leaf that is out of range."""
        return b"".join(map(_packed, self.leaves))

    def packed_steps(self) -> bytes:
        """The flags as bits, the most significant of the first byte first."""
        bits = sum(1 << (7 - index % 8 + 8 * (self._steps() - 1 - index // 8)) for index, flag in enumerate(self.flags) if flag)
        return bits.to_bytes(self._steps(), "big")

    def _steps(self) -> int:
        return (len(self.flags) + 7) // 8


def leaf_hash(leaf: Leaf) -> Digest:
    """The hash that stands in the tree for an account's record."""
    account = bytes(12) + bytes.fromhex(leaf.account[2:])
    numbers = (leaf.earned, leaf.spent, leaf.points, leaf.reputation)
    return Digest(keccak(keccak(account + b"".join(number.to_bytes(32, "big") for number in numbers))))


def verify(root: Digest, leaf: Leaf, path: Sequence[Digest]) -> bool:
    """Whether `path` leads from the leaf to the root."""
    node = leaf_hash(leaf)
    for sibling in path:
        node = _parent(node, sibling)
    return node == root


class MerkleTree:
    """The tree over distinct accounts' leaves; their order does not matter. `MerkleError` for none, or two of one account."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        if not leaves:
            raise MerkleError("a tree has at least one leaf")
        self.leaves = tuple(leaves)
        hashed = sorted((leaf_hash(leaf), index) for index, leaf in enumerate(self.leaves))
        size = 2 * len(hashed) - 1
        self._nodes: list[Digest] = [Digest(b"")] * size
        self._tree_index = [0] * len(hashed)
        for position, (digest, index) in enumerate(hashed):
            self._nodes[size - 1 - position] = digest
            self._tree_index[index] = size - 1 - position
        for index in range(size - len(hashed) - 1, -1, -1):
            self._nodes[index] = _parent(self._nodes[2 * index + 1], self._nodes[2 * index + 2])
        self._by_account = {leaf.account: index for index, leaf in enumerate(self.leaves)}
        if len(self._by_account) != len(self.leaves):
            raise MerkleError("two leaves are of one account")

    @property
    def root(self) -> Digest:
        return self._nodes[0]

    def leaf(self, account: Address) -> Leaf | None:
        """The account's record, None if it has none."""
        index = self._by_account.get(account)
        return None if index is None else self.leaves[index]

    def path(self, account: Address) -> tuple[Digest, ...]:
        """The siblings from the account's leaf up to the root; `MerkleError` if it has no leaf."""
        if account not in self._by_account:
            raise MerkleError(f"{account} has no leaf in this tree")
        index, path = self._tree_index[self._by_account[account]], []
        while index > 0:
            path.append(self._nodes[index + 1 if index % 2 else index - 1])
            index = (index - 1) // 2
        return tuple(path)

    def multiproof(self, accounts: Iterable[Address]) -> Multiproof:
        """One proof for these accounts' leaves, at least one, each once. `MerkleError` if one has no leaf or none is given."""
        wanted = set(accounts)
        if not wanted or (missing := wanted - self._by_account.keys()):
            raise MerkleError(f"{min(missing)} has no leaf in this tree" if wanted else "a proof is for at least one leaf")
        chosen = sorted(((self._tree_index[self._by_account[one]], self._by_account[one]) for one in wanted), reverse=True)
        queue, proof, flags = deque(index for index, _ in chosen), [], []
        while queue[0] > 0:
            index = queue.popleft()
            sibling = index + 1 if index % 2 else index - 1
            together = bool(queue) and queue[0] == sibling
            flags.append(together)
            if together:
                queue.popleft()
            else:
                proof.append(self._nodes[sibling])
            queue.append((index - 1) // 2)
        return Multiproof(tuple(self.leaves[leaf] for _, leaf in chosen), tuple(proof), tuple(flags))

    def dump(self) -> dict[str, Any]:
        """The tree as `StandardMerkleTree.load` takes it."""
        return {
            "format": "standard-v1",
            "leafEncoding": list(LEAF_ENCODING),
            "tree": ["0x" + node.hex() for node in self._nodes],
            "values": [
                {
                    "value": [leaf.account, *(str(n) for n in (leaf.earned, leaf.spent, leaf.points, leaf.reputation))],
                    "treeIndex": self._tree_index[index],
                }
                for index, leaf in enumerate(self.leaves)
            ],
        }


def load(dump: Mapping[str, Any]) -> MerkleTree:
    """The tree that `StandardMerkleTree.dump` wrote, rebuilt from its values and compared node by node; `MerkleError` otherwise."""
    try:
        if dump["format"] != "standard-v1" or tuple(dump["leafEncoding"]) != LEAF_ENCODING:
            raise MerkleError("the dump is not a standard-v1 tree of this leaf")
        values = [entry["value"] for entry in dump["values"]]
        tree = MerkleTree([Leaf(Address(str(v[0]).lower()), *(int(n) for n in v[1:])) for v in values])
        nodes = [str(node).lower() for node in dump["tree"]]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise MerkleError(f"the dump is malformed: {error}") from error
    if nodes != tree.dump()["tree"]:
        raise MerkleError("the dump's nodes are not the ones its values make")
    return tree


def _packed(leaf: Leaf) -> bytes:
    widths = ((leaf.earned, 12), (leaf.spent, 12), (leaf.points, 8), (leaf.reputation, 4))
    try:
        return bytes.fromhex(leaf.account[2:]) + b"".join(number.to_bytes(width, "big") for number, width in widths) + bytes(8)
    except OverflowError:
        raise MerkleError(f"the leaf of {leaf.account} is out of range") from None


def _parent(left: bytes, right: bytes) -> Digest:
    return Digest(keccak(left + right if left < right else right + left))
