"""Our trees and those of OpenZeppelin's library, read from golden vectors that forge reads too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.merkle import MerkleError, MerkleTree, leaf_hash, load, verify
from chain.messages import Leaf
from chain.types import Address, to_hex


def vectors(root: Path) -> list[dict[str, Any]]:
    trees: list[dict[str, Any]] = json.loads((root / "tests/vectors/merkle.json").read_text())["trees"]
    assert len(trees) >= 4
    return trees


def leaves_of(tree: dict[str, Any]) -> list[Leaf]:
    return [Leaf(Address(x["account"]), *(int(x[name]) for name in ("earned", "spent", "points", "reputation"))) for x in tree["leaves"]]


def test_roots_hashes_and_paths_are_those_of_the_library(root: Path) -> None:
    for vector in vectors(root):
        leaves = leaves_of(vector)
        tree = MerkleTree(leaves)
        assert to_hex(tree.root) == vector["root"]
        for leaf, expected in zip(leaves, vector["leaves"], strict=True):
            assert to_hex(leaf_hash(leaf)) == expected["hash"]
            assert [to_hex(node) for node in tree.path(leaf.account)] == expected["proof"]
            assert verify(tree.root, leaf, tree.path(leaf.account))
            assert not verify(tree.root, replace(leaf, earned=leaf.earned + 1), tree.path(leaf.account))


def test_the_order_of_leaves_does_not_matter(root: Path) -> None:
    leaves = leaves_of(vectors(root)[-1])
    assert MerkleTree(leaves).root == MerkleTree(leaves[::-1]).root


def test_dumps_of_the_library_load(root: Path) -> None:
    for vector in vectors(root):
        assert to_hex(load(vector["dump"]).root) == vector["root"]


def test_a_dump_with_a_changed_node_or_value_is_refused(root: Path) -> None:
    dump = vectors(root)[-1]["dump"]
    changed = {**dump, "tree": ["0x" + "00" * 32, *dump["tree"][1:]]}
    with pytest.raises(MerkleError, match="not the ones"):
        load(changed)
    for missing in dump:
        with pytest.raises(MerkleError):
            load({key: value for key, value in dump.items() if key != missing})


def test_no_tree_without_leaves_or_with_two_of_one_account() -> None:
    leaf = Leaf(Address("0x" + "22" * 20), 1, 0, 0, 0)
    with pytest.raises(MerkleError):
        MerkleTree([])
    with pytest.raises(MerkleError):
        MerkleTree([leaf, replace(leaf, earned=2)])
    with pytest.raises(MerkleError):
        MerkleTree([leaf]).path(Address("0x" + "23" * 20))
