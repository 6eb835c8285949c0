"""What a player chooses from: times at and around every boundary, accounts, amounts, signers, leaves."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from chain.frauds import FraudProof
from chain.messages import Leaf
from chain.types import Address, Digest
from tests.histories.roots import EARNERS, Drafts
from tests.histories.table import ACCOUNTS, KEYS
from tests.histories.trees import AnyTree
from tests.reference.network import Reference

Report = tuple[Address, FraudProof, Digest, tuple[AnyTree, ...], tuple[Address, ...]]
"""Reporter, proof, salt, the trees of the proof's paths, the signers of its statements."""


class Choices:
    """By a source of randomness, from the reference as it is, and from the drafts and reports so far."""

    def __init__(self, world: Reference, drafts: Drafts | None = None) -> None:
        self.world, self.drafts = world, drafts or Drafts()
        self.reports: list[Report] = []
        self.rng = Random(0)

    # Times

    def _time(self) -> int:
        now = self.world.now
        if self.rng.random() < 0.55:
            return now + self.rng.choice((1, 1, 1, self.rng.randint(1, 7_000)))
        ahead = sorted(one for one in self._boundaries() if one >= now)
        place = min(int(self.rng.expovariate(0.9)), len(ahead) - 1)
        return max(now + 1, ahead[place] + self.rng.choice((-1, 0, 0, 1)))

    def _boundaries(self) -> set[int]:
        w, t = self.world, self.world.timing
        epoch = t.epoch_at(w.now)
        found = {t.end_of(epoch), t.intake_end(epoch), t.post_end(epoch), t.post_end(max(0, epoch - 1)), t.end_of(epoch + 7)}
        guard = w.settlement.guard
        found |= {w.settlement.newest.active_at, guard.paused_until, guard.pausable_from, guard.since}
        found |= {one.release_at for one in w.registry.leaving.values()} | {one.release_at for one in w.registry.providers.values()}
        found |= {one.payable_at for one in w.vault.accounts.values()}
        return found | {one.exit_at + w.vault.exit_delay for one in w.vault.accounts.values() if one.exit_at}

    def _window_time(self) -> int:
        """In a round of the next window that is open, or around its edges."""
        t, now = self.world.timing, self.world.now
        epoch = max(1, self.world.last_ended())
        if now + 1 > t.post_end(epoch) or self.world.settlement.last_posted >= epoch:
            epoch += 1
        first = max(now + 1, t.intake_end(epoch))
        starts = [t.intake_end(epoch) + round_ * t.round_length for round_ in range(4)]
        edge = self.rng.choice((*starts, t.post_end(epoch))) + self.rng.choice((-1, 0, 1))
        return max(now + 1, edge if self.rng.random() < 0.2 else first + self.rng.randint(0, 3))

    # Choices

    def _anyone(self) -> Address:
        return self.rng.choice(ACCOUNTS)

    def _one_of(self, known: dict[Address, Any]) -> Address:
        return self.rng.choice(list(known)) if known and self.rng.random() < 0.95 else self._anyone()

    def _owner(self, account: Address) -> Address:
        return self.world.settlement.recipient_of(account) if self.rng.random() < 0.7 else self.rng.choice((account, self._anyone()))

    def _depositor(self) -> Address:
        return self._one_of(dict(self.world.vault.accounts))

    def _guardian(self) -> Address:
        guardian = self.world.settlement.guard.guardian
        return guardian if guardian in KEYS and self.rng.random() < 0.9 else self._anyone()

    def _around(self, amount: int) -> int:
        return max(0, self.rng.choice((amount, amount, amount + 1, self.rng.randint(0, max(0, amount)), 1)))

    def _signers(self) -> list[Address | None]:
        """The validators with stake in order, mostly."""
        signers: list[Address | None] = list(self.world.registry.staked())
        match self.rng.randrange(14):
            case 0:
                signers = signers[: len(signers) // 2]
            case 1:
                signers = signers[::-1]
            case 2:
                signers = [*sorted((*self.world.registry.staked(), self._anyone()))]
            case 3:
                signers[self.rng.randrange(len(signers) + 1) :] = [None]
            case 4 | 5 if signers:
                del signers[self.rng.randrange(len(signers))]
            case _:
                pass
        return signers

    def _trees(self) -> list[AnyTree]:
        """The active root's tree first, then others."""
        active = self.drafts.tree(self.world.settlement.active().root)
        others = [draft.tree for draft in list(self.drafts.by_root.values())[-2:]]
        return [*([active] if active else []), *others] or [AnyTree([Leaf(EARNERS[0], 1, 0, 0, 0)])]

    def _leaf(self, account: Address | None = None) -> tuple[Any, AnyTree]:
        """A leaf and a tree that mostly has it."""
        trees = self._trees()
        tree = trees[0] if self.rng.random() < 0.92 else self.rng.choice(trees)
        leaf = tree.leaf_of(account) if account else None
        leaf = leaf or self.rng.choice(tree.leaves)
        return (leaf if self.rng.random() < 0.95 else replace(leaf, earned=leaf.earned + self.rng.choice((1, 2**96)))), tree
