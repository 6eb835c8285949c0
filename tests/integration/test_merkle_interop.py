"""Our dumps in OpenZeppelin's own library, and its dumps here: random trees both ways."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from chain.merkle import MerkleTree, load
from chain.messages import Leaf
from chain.types import Address, to_hex


def random_leaves(count: int, seed: int) -> list[Leaf]:
    source = random.Random(seed)
    return [
        Leaf(
            Address("0x" + source.randbytes(20).hex()),
            source.randrange(2**96),
            source.randrange(2**96),
            source.randrange(2**64),
            source.randrange(1_000_001),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 50])
def test_trees_cross_over_unchanged(root: Path, count: int) -> None:
    if shutil.which("node") is None or not (root / "node_modules/@openzeppelin/merkle-tree").is_dir():
        pytest.skip("Node or node_modules is missing: run `make test` once, which installs them.")
    tree = MerkleTree(random_leaves(count, seed=count))
    script = root / "tests/integration/load_tree.mjs"
    ran = subprocess.run(("node", str(script)), input=json.dumps(tree.dump()), capture_output=True, text=True, cwd=root, env=os.environ)
    assert ran.returncode == 0, ran.stderr
    theirs = json.loads(ran.stdout)
    assert theirs["root"] == to_hex(tree.root)
    for account, path in theirs["paths"].items():
        assert path == [to_hex(node) for node in tree.path(Address(account.lower()))]
    assert load(theirs["dump"]).root == tree.root
