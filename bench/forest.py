"""A tree of 2^20 leaves of which a few are known; what lies below a node without any is a hash of its place.

As deep as a real one with a million accounts, and made in no time: a claim cannot tell the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eth_utils.crypto import keccak

from chain.merkle import Multiproof, leaf_hash
from chain.messages import Leaf
from chain.types import Address, Digest

DEPTH = 20


@dataclass(frozen=True, slots=True)
class Forest:
    """paths: of each known account, from its leaf up. together: one proof for all of them."""

    root: Digest
    paths: Mapping[Address, tuple[Digest, ...]]
    together: Multiproof


def grow(planted: Mapping[int, Leaf]) -> Forest:
    """The tree with these leaves at these places, below 2^20."""
    level = {place: leaf_hash(leaf) for place, leaf in sorted(planted.items())}
    below: dict[int, list[Address]] = {place: [leaf.account] for place, leaf in planted.items()}
    paths: dict[Address, list[Digest]] = {leaf.account: [] for leaf in planted.values()}
    proof: list[Digest] = []
    flags: list[bool] = []
    for height in range(DEPTH):
        above: dict[int, Digest] = {}
        over: dict[int, list[Address]] = {}
        for place, node in level.items():
            known = level.get(place ^ 1)
            sibling = known or _made_up(height, place ^ 1)
            for account in below[place]:
                paths[account].append(sibling)
            over[place // 2] = over.get(place // 2, []) + below[place]
            if place // 2 in above:
                continue
            above[place // 2] = Digest(keccak(b"".join(sorted((node, sibling)))))
            flags.append(known is not None)
            if known is None:
                proof.append(sibling)
        level, below = above, over
    leaves = tuple(leaf for _, leaf in sorted(planted.items()))
    return Forest(level[0], {account: tuple(path) for account, path in paths.items()}, Multiproof(leaves, tuple(proof), tuple(flags)))


def _made_up(height: int, place: int) -> Digest:
    return Digest(keccak(height.to_bytes(32, "big") + place.to_bytes(32, "big")))
