"""A network of validators in one seed: who is honest, what goes wrong and when, and what has to be true all the same.

Time is virtual and everything happens in the order of one queue, drawn from one generator of random numbers: a seed is a history.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from chain.epochs import Timing, covered_epochs
from chain.types import Address, Wei
from tests.simulation.chain import NOTHING, Block, Chain, State
from tests.simulation.liars import LIARS
from tests.simulation.messages import Inventory, Statement, accounts, union_of
from tests.simulation.node import Crashed, Node
from validator.agreement import is_quorum, proposer_of

TIMING = Timing(genesis=1_000, epoch_length=240, intake=20, post_window=140, challenge=60, margin=20, round_length=24, slots_per_epoch=5)
BLOCK_S = 2
TOLERANCE_S = 4
DEEP = 12
"""Blocks that are undone at most where the chain's finality is broken."""
WHOLE_ROUNDS = (TIMING.post_window - TIMING.intake) // TIMING.round_length


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong, as probabilities for each occasion; slowness: seconds that a step takes at most."""

    loss: float = 0.0
    twice: float = 0.0
    rpc: float = 0.0
    crash: float = 0.0
    disk: float = 0.0
    reorganisation: float = 0.0
    cancel: float = 0.0
    transaction_lost: float = 0.0
    transaction_late: float = 0.1
    partition: float = 0.0
    slowness: float = 0.4


CALM = Trouble(transaction_late=0.0)


@dataclass(frozen=True, slots=True)
class Setting:
    """epochs: how many are played. calm_from: the epoch from whose beginning on nothing goes wrong any more but for the liars. changes:
    whether validators join and leave. deep: whether blocks are undone that were final: then the chain may lose roots, but nobody's word may
    change."""

    seed: int
    nodes: int
    epochs: int
    calm_from: int
    trouble: Trouble
    liars: tuple[type[Node], ...]
    depth: int
    changes: bool
    deep: bool = False


@dataclass(slots=True)
class Found:
    """What a history came to. lost: epochs that no root was posted for, of those that were to be closed in it."""

    posted: int = 0
    lost: list[int] = field(default_factory=list)
    crashes: int = 0
    reorganisations: int = 0
    signatures: int = 0


class Broken(AssertionError):
    """A property does not hold; the text says which, and the seed that shows it."""


class World:
    def __init__(self, setting: Setting) -> None:
        self.setting, self.chance = setting, random.Random(setting.seed)
        self.now, self.trouble, self.poll = float(TIMING.genesis), setting.trouble, 2.0
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._groups: dict[Address, int] = {}
        self._inventories: dict[tuple[Address, int], set[Inventory]] = {}
        self._signed: dict[tuple[Address, int, int], Statement] = {}
        self._receipted: dict[int, dict[int, set[Address]]] = {}
        self._checked = 0
        self.found = Found()
        self.nodes = self._people()
        self._faulty = {account for account, node in self.nodes.items() if type(node) is not Node}
        stakes = {account: Wei(self.chance.randint(80, 120)) for account in self.nodes}
        if not setting.deep:
            self._keep_liars_below_a_third(stakes)
        self._bonded = dict(stakes)
        self.chain = Chain(TIMING, setting.depth, self.chance, [Block(0, TIMING.genesis - 1, State(stakes))])

    def _people(self) -> dict[Address, Node]:
        found: dict[Address, Node] = {}
        names = accounts(self.setting.nodes)
        liars = dict(zip(self.chance.sample(names, len(self.setting.liars)), self.setting.liars, strict=True))
        for account in names:
            kind = liars.get(account, Node)
            found[account] = kind(self, account, self.chance.uniform(-TOLERANCE_S, TOLERANCE_S), self.chance.randint(0, 1))
        return found

    def _keep_liars_below_a_third(self, stakes: dict[Address, Wei]) -> None:
        while 3 * sum(stakes[one] for one in self._faulty if one in stakes) >= sum(stakes.values()):
            for one in self._faulty & stakes.keys():
                stakes[one] = Wei(stakes[one] * 3 // 4)

    # Time

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._order), what))

    def run(self) -> Found:
        """The whole history. `Broken` if a property does not hold in it."""
        for node in self.nodes.values():
            self._begin(node)
        self.later(BLOCK_S, self._block)
        for epoch in range(1, self.setting.epochs + 1):
            start = TIMING.start_of(epoch) - TIMING.genesis
            for n in range(3):
                self.later(start + self.chance.uniform(0, TIMING.epoch_length + TIMING.intake), self._proof(10 * epoch + n, epoch))
        for epoch in range(1, self.setting.calm_from):
            self.later(TIMING.start_of(epoch) - TIMING.genesis + self.chance.uniform(0, 240), self._divide)
        self.later(TIMING.start_of(self.setting.calm_from) - TIMING.genesis, self._calm_down)
        end = TIMING.post_end(self.setting.epochs) + TIMING.challenge + 2 * BLOCK_S
        while self._queue and self._queue[0][0] <= end:
            self.now, _, what = heapq.heappop(self._queue)
            what()
        if not self.setting.deep:
            self._judge_liveness()
        return self.found

    def _begin(self, node: Node) -> None:
        life = node.life

        def wake() -> None:
            if node.up and node.life == life:
                try:
                    again = node.wake()
                except Crashed:
                    self._crash(node)
                else:
                    self.later(again, wake)

        self.later(self.chance.random() * self.poll, wake)

    def _block(self) -> None:
        if self.chance.random() < self.trouble.reorganisation:
            self.found.reorganisations += 1
            self.chain.reorganise(DEEP if self.setting.deep else self.chain.depth - 1)
        self.chain.mine(int(self.now), lost=self.trouble.transaction_lost, held_up=self.trouble.transaction_late)
        if self.chance.random() < self.trouble.cancel:
            self.chain.cancel()
        if self.setting.changes and self.chance.random() < 0.05 and self.chain.is_quiet():
            self._change_stakes()
        if not self.setting.deep:
            self._judge_roots()
        self.later(BLOCK_S, self._block)

    # What goes wrong

    def crash_point(self) -> None:
        if self.chance.random() < self.trouble.crash:
            raise Crashed

    def _crash(self, node: Node) -> None:
        self.found.crashes += 1
        node.crash()
        # A disk that is lost counts as a liar's: of such there must be less than a third.
        if self.chance.random() < self.trouble.disk and self._may_lose(node):
            self._faulty.add(node.me)
            node.lose_disk()

        def restart() -> None:
            node.up = True
            self._begin(node)

        self.later(self.chance.uniform(1, 5 if self.setting.deep else 60), restart)

    def _may_lose(self, node: Node) -> bool:
        stakes = self._bonded
        if self.setting.deep:
            return True
        lost = sum(stakes.get(one, 0) for one in {*self._faulty, node.me})
        return 3 * lost < sum(stakes.values()) and 3 * lost < sum(self.chain.blocks[-1].state.stakes.values())

    def _divide(self) -> None:
        if self.chance.random() < self.trouble.partition:
            self._groups = {account: self.chance.randint(0, 1) for account in self.nodes}
            self.later(self.chance.uniform(10, 200), self._unite)

    def _unite(self) -> None:
        self._groups = {}

    def _calm_down(self) -> None:
        self.trouble = CALM
        self._unite()

    def _change_stakes(self) -> None:
        stakes = dict(self.chain.blocks[-1].state.stakes)
        account = self.chance.choice(list(self.nodes))
        if account in stakes and len(stakes) > 4:
            del stakes[account]
        elif account not in stakes:
            stakes[account] = self._bonded[account]
        if 3 * sum(stakes.get(one, 0) for one in self._faulty) < sum(stakes.values()):
            self.chain.change_stakes(stakes)

    def reaches(self, one: Node, other: Node) -> bool:
        """Whether a question comes there and its answer back."""
        apart = self._groups and self._groups[one.me] != self._groups[other.me]
        return other.up and not apart and self.chance.random() >= self.trouble.loss

    # Providers

    def _proof(self, proof: int, epoch: int) -> Callable[[], None]:
        holders = self._receipted.setdefault(epoch, {}).setdefault(proof, set())

        def hand_in() -> None:
            """To all that can be reached, until two thirds of the stake have receipted or intake is closed."""
            stakes = self.chain.blocks[-1].state.stakes
            for account in self.chance.sample(list(stakes), len(stakes)):
                if is_quorum(holders, stakes):
                    break  # no validator has it that need not
                node = self.nodes[account]
                if account not in holders and node.up and self.chance.random() >= self.trouble.loss and node.accept(proof, epoch):
                    holders.add(account)
            if not is_quorum(holders, stakes) and self.now < TIMING.intake_end(epoch) + TOLERANCE_S:
                self.later(10, hand_in)

        return hand_in

    # What is signed, and what has to be true

    def sign_inventory(self, inventory: Inventory) -> Inventory:
        """Whoever signs: an honest one never two for one epoch, whatever it has lost."""
        known = self._inventories.setdefault((inventory.validator, inventory.epoch), set())
        if known and inventory not in known and type(self.nodes[inventory.validator]) is Node:
            raise Broken(f"seed {self.setting.seed}: {inventory.validator} signed two inventories of epoch {inventory.epoch}")
        known.add(inventory)
        return inventory

    def is_signed(self, inventory: Inventory) -> bool:
        """Nobody can make another's signature."""
        return inventory in self._inventories.get((inventory.validator, inventory.epoch), ())

    def signed(self, signer: Address, statement: Statement) -> None:
        """An honest validator signs: never two things for one epoch and round, whatever it has lost."""
        self.found.signatures += 1
        known = self._signed.setdefault((signer, statement.epoch, statement.round), statement)
        if known != statement and type(self.nodes[signer]) is Node:
            raise Broken(f"seed {self.setting.seed}: {signer} signed two statements for epoch {statement.epoch}, round {statement.round}")

    def _judge_roots(self) -> None:
        """Every posted root is the recomputation of inventories of two thirds, upon its parent, and has all that was receipted."""
        block = self.chain.blocks[max(0, len(self.chain.blocks) - self.chain.depth)]
        posted = [root.statement for root in block.state.roots]
        if any(one.epoch >= other.epoch for one, other in pairwise(posted)):
            raise Broken(f"seed {self.setting.seed}: an epoch has two roots, or they are out of order")
        for before, root in zip((None, *posted), block.state.roots, strict=False):
            said = root.statement
            if said.epoch <= self._checked:
                continue
            self._checked = said.epoch
            self.found.posted += 1
            parent, through = (NOTHING, 0) if before is None else (before.root, before.through)
            if said.parent != parent:
                raise Broken(f"seed {self.setting.seed}: the root of epoch {said.epoch} is not upon the one before")
            honest = [self.nodes[one] for one in root.signers if one not in self._faulty and one in self.nodes]
            if not honest:
                raise Broken(f"seed {self.setting.seed}: the root of epoch {said.epoch} has no honest signer")
            offered = next((node.disk.candidates.get((said.epoch, said.round)) for node in honest), None)
            if offered is None or offered.statement != said or offered.manifest.root_upon(said.parent) != said.root:
                raise Broken(f"seed {self.setting.seed}: the root of epoch {said.epoch} is not what its manifest gives")
            whole = union_of(one for _, several in offered.manifest.covered for one in several)
            if not all(whole <= node.disk.proofs for node in honest):
                raise Broken(f"seed {self.setting.seed}: who signed the root of epoch {said.epoch} has not every byte of it")
            if [epoch for epoch, _ in offered.manifest.covered] != list(covered_epochs(through, said.epoch)):
                raise Broken(f"seed {self.setting.seed}: the root of epoch {said.epoch} covers other epochs than are due")
            for epoch, inventories in offered.manifest.covered:
                self._judge_input(epoch, inventories)

    def _judge_input(self, epoch: int, inventories: tuple[Inventory, ...]) -> None:
        union = union_of(inventories)
        final = self.chain.blocks[max(0, len(self.chain.blocks) - self.chain.depth)]
        anchor = self.chain.anchor(epoch, final)
        if anchor is None:
            raise Broken(f"seed {self.setting.seed}: epoch {epoch} was covered before its anchor was final")
        if not is_quorum([one.validator for one in inventories], anchor.state.stakes):
            raise Broken(f"seed {self.setting.seed}: the inventories of epoch {epoch} are of less than two thirds")
        for proof, holders in self._receipted[epoch].items():
            if is_quorum(holders, anchor.state.stakes) and proof not in union:
                raise Broken(f"seed {self.setting.seed}: proof {proof} was receipted by two thirds and is not in the root of epoch {epoch}")

    def proposers(self, epoch: int) -> list[Address]:
        """Whose rounds the epoch's are, as far as they are whole."""
        anchor = self.chain.anchor(epoch, self.chain.blocks[-1])
        assert anchor is not None
        return [proposer_of(epoch, round_, tuple(anchor.state.stakes)) for round_ in range(WHOLE_ROUNDS)]

    def _judge_liveness(self) -> None:
        """From the first whole epoch of calm on each is posted in which an honest validator has a round, and nothing stays uncovered."""
        newest = self.chain.blocks[-1]
        posted = {root.statement.epoch for root in newest.state.roots}
        self.found.lost = [epoch for epoch in range(1, self.setting.epochs + 1) if epoch not in posted]
        for epoch in range(self.setting.calm_from + 1, self.setting.epochs + 1):
            drawn = self.proposers(epoch)
            if epoch not in posted and any(one not in self._faulty for one in drawn):
                raise Broken(f"seed {self.setting.seed}: epoch {epoch} was not posted in calm, though {drawn} had its rounds")
        if self.setting.epochs - self.setting.calm_from >= 2 and posted and newest.state.roots:
            last = newest.state.roots[-1].statement
            if last.through != last.epoch:
                raise Broken(f"seed {self.setting.seed}: the root of epoch {last.epoch} covers no more than {last.through}")


def one_liar(kind: type[Node], seed: int, epochs: int = 8) -> Setting:
    """Four validators, one of which lies, and nothing else goes wrong."""
    return Setting(seed, 4, epochs, epochs, CALM, (kind,), 2, changes=False)


def drawn(seed: int) -> Setting:
    """The setting of a seed: from a calm network of honest validators to everything at once."""
    chance = random.Random(f"setting {seed}")
    nodes = chance.randint(4, 7)
    liars = tuple(chance.choice(LIARS) for _ in range(chance.randint(0, (nodes - 1) // 3)))
    trouble = Trouble(
        loss=chance.choice((0.0, 0.05, 0.3)),
        twice=chance.choice((0.0, 0.2)),
        rpc=chance.choice((0.0, 0.1)),
        crash=chance.choice((0.0, 0.01, 0.05)),
        disk=chance.choice((0.0, 0.2)),
        reorganisation=chance.choice((0.0, 0.05, 0.2)),
        cancel=chance.choice((0.0, 0.0, 0.01)),
        transaction_lost=chance.choice((0.0, 0.1)),
        transaction_late=chance.choice((0.1, 0.5)),
        partition=chance.choice((0.0, 0.5, 1.0)),
        slowness=chance.choice((0.4, 3.0)),
    )
    calm_from = chance.randint(2, 4)
    changes, deep = chance.random() < 0.5, chance.random() < 0.1
    return Setting(seed, nodes, calm_from + 3, calm_from, trouble, liars, chance.randint(1, 4), changes, deep)
