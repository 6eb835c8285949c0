"""Roots for a history: honest ones at and around every limit, and each fraud that can be proven."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from chain.frauds import ExcessiveSum, Fall, FraudProof, OutOfRange, Overspending, Repeat, running_hash
from chain.merkle import leaf_hash
from chain.messages import EpochAttestation, Leaf
from chain.types import ZERO_DIGEST, Address, Digest
from tests.histories.table import DEPLOYER, PEOPLE, VALIDATORS
from tests.histories.trees import AnyTree
from tests.reference.network import Reference

EARNERS: tuple[Address, ...] = (DEPLOYER.address, *(key.address for key in PEOPLE), VALIDATORS[0].address)
LIES = ("falls", "repeats", "overspends", "out_of_range", "exceeds")


@dataclass(frozen=True, slots=True)
class Draft:
    """A root that somebody computed. proof: what shows it to be a fraud, with the trees of its paths."""

    attestation: EpochAttestation
    tree: AnyTree
    proof: FraudProof | None = None
    trees: tuple[AnyTree, ...] = ()


class Drafts:
    """All drafts so far by their root, the newest last."""

    def __init__(self, known: Mapping[Digest, Draft] | None = None) -> None:
        self.by_root = dict(known or {})

    def tree(self, root: Digest) -> AnyTree | None:
        draft = self.by_root.get(root)
        return draft.tree if draft else None

    def draw(self, world: Reference, rng: Random, epoch: int, round_: int) -> Draft:
        """A root of the epoch on top of the active one: mostly honest, else with one lie."""
        parent = world.settlement.active()
        before = self.tree(parent.root)
        known = {leaf.account: leaf for leaf in before.leaves} if before else {}
        leaves = {one: known.get(one, Leaf(one, 0, 0, 0, 0)) for one in EARNERS if one in known or rng.random() < 0.8}
        for one, leaf in leaves.items():
            account = world.vault.account(one)
            held = account.deposited - account.withdrawn
            spent = rng.choice((leaf.spent, held, rng.randint(0, held))) if held > leaf.spent else leaf.spent
            points, reputation = leaf.points + rng.randint(0, 9), rng.randint(0, 10**6)
            leaves[one] = replace(leaf, spent=max(leaf.spent, spent), points=points, reputation=reputation)
        through = world.settlement.through_of(epoch)
        spent = max(parent.total_spent, sum(leaf.spent for leaf in leaves.values()))
        budget = world.vault.rate * max(0, through - parent.through) + spent - parent.total_spent
        most = min(parent.total_earned + budget, world.vault.funded + spent)
        room = max(0, most - sum(leaf.earned for leaf in leaves.values()))
        for one in rng.sample(sorted(leaves), len(leaves)):
            grown = rng.choice((0, room, rng.randint(0, room)))
            leaves[one], room = replace(leaves[one], earned=leaves[one].earned + grown), room - grown
        earned = max(parent.total_earned, sum(leaf.earned for leaf in leaves.values()))
        earned = rng.choice((earned, earned, most, most + 1)) if rng.random() < 0.4 else earned
        lie = rng.choice(LIES) if rng.random() < 0.35 and leaves else "none"
        tree, proof, trees = self._lie(lie, world, rng, list(leaves.values()) or [Leaf(EARNERS[0], 0, 0, 0, 0)], before)
        if lie == "exceeds":
            total = sum(leaf.earned for leaf in tree.leaves)
            earned = max(parent.total_earned, total - rng.randint(1, max(1, total)))
        made = EpochAttestation(
            epoch, through, round_, parent.root, ZERO_DIGEST, Digest(rng.randbytes(32)), tree.root, earned, spent,
            ZERO_DIGEST, world.registry.rules_digest, ZERO_DIGEST,
        )  # fmt: skip
        draft = self.by_root[tree.root] = Draft(made, tree, proof, trees)
        return draft

    def _lie(
        self, lie: str, world: Reference, rng: Random, leaves: list[Leaf], before: AnyTree | None
    ) -> tuple[AnyTree, FraudProof | None, tuple[AnyTree, ...]]:
        """The tree of the leaves with this lie among them, and its proof."""
        place = rng.randrange(len(leaves))
        leaf = leaves[place]
        parent = before.leaf_of(leaf.account) if before else None
        if lie == "falls" and parent is not None:
            name = rng.choice(("earned", "spent", "points"))
            lied: dict[str, Any] = {name: max(0, getattr(parent, name) - 1)}
        elif lie == "overspends":
            account = world.vault.account(leaf.account)
            lied = {"spent": account.deposited - account.withdrawn + 1}
        elif lie == "out_of_range":
            lied = dict([rng.choice((("earned", 2**96), ("spent", 2**96), ("points", 2**64), ("reputation", 1_000_001)))])
        else:
            lied = {}
        leaves[place] = replace(leaf, **lied)
        if lie == "repeats":
            leaves.append(replace(leaf, points=leaf.points + 1))
        tree = AnyTree(leaves)
        path = tree.path(leaves[place])
        if lie == "falls" and parent is not None and before is not None:
            return tree, Fall(leaves[place], path, parent, before.path(parent)), (tree, before)
        if lie == "repeats":
            return tree, Repeat(leaf, path, leaves[-1], tree.path(leaves[-1])), (tree, tree)
        if lie == "overspends":
            return tree, Overspending(leaves[place], path), (tree,)
        if lie == "out_of_range":
            return tree, OutOfRange(leaves[place], path), (tree,)
        if lie == "exceeds":
            return tree, ExcessiveSum(tree.root, running_hash(leaf_hash(one) for one in tree.ascending())), ()
        return tree, None, ()
