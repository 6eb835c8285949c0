"""The chain of a simulated network: the settlement contract's rules about candidates and roots, over blocks that may be undone until they
are final, and a pool of transactions in which they wait, are lost and change places."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from chain.contracts import Candidate
from chain.epochs import Timing, covered_epochs
from chain.types import Address, Digest
from tests.simulation.messages import Statement
from validator.agreement import Stakes, is_quorum, proposer_of

NOTHING = Digest(bytes(32))


@dataclass(frozen=True, slots=True)
class Root:
    """A posted root that was not cancelled."""

    statement: Statement
    signers: frozenset[Address]
    active_at: int


@dataclass(frozen=True, slots=True)
class State:
    """What the contract holds at a block. stakes: of those listed, ascending."""

    stakes: Stakes
    candidate: Candidate | None = None
    last_posted: int = 0
    roots: tuple[Root, ...] = ()

    def active(self, second: int) -> Root | None:
        return next((root for root in reversed(self.roots) if root.active_at <= second), None)

    def is_pending(self, second: int) -> bool:
        return bool(self.roots) and second < self.roots[-1].active_at


@dataclass(frozen=True, slots=True)
class Propose:
    sender: Address
    epoch: int
    round: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class PostRoot:
    sender: Address
    statement: Statement
    signers: frozenset[Address]


Transaction = Propose | PostRoot


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    second: int
    state: State
    mined: tuple[Transaction, ...] = ()


@dataclass(slots=True)
class Chain:
    """depth: how many blocks make one final, itself included; a reorganisation undoes fewer than that."""

    timing: Timing
    depth: int
    chance: random.Random
    blocks: list[Block]
    waiting: list[Transaction] = field(default_factory=list)
    refused: int = 0

    # What everyone may do

    def send(self, transaction: Transaction) -> None:
        self.waiting.append(transaction)

    def mine(self, second: int, *, lost: float, held_up: float) -> None:
        """The next block: what waits, in any order; some of it is lost, some is left for later."""
        state, mined, left = self.blocks[-1].state, [], []
        self.chance.shuffle(self.waiting)
        for transaction in self.waiting:
            luck = self.chance.random()
            if luck < lost:
                continue
            if luck < lost + held_up:
                left.append(transaction)
                continue
            after = self._applied(state, transaction, second)
            self.refused += after is state
            state = after
            mined.append(transaction)
        self.waiting = left
        self.blocks.append(Block(self.blocks[-1].number + 1, second, state, tuple(mined)))

    def reorganise(self, most: int) -> None:
        """Undoes at most so many blocks, and mines as many others at the same seconds; some of what was in them waits again."""
        count = self.chance.randint(0, min(most, len(self.blocks) - 1))
        undone = [self.blocks.pop() for _ in range(count)]
        for block in reversed(undone):
            self.waiting += [one for one in block.mined if self.chance.random() < 0.7]
            self.mine(block.second, lost=0.0, held_up=0.5)

    def change_stakes(self, stakes: Mapping[Address, int]) -> None:
        """Bonding and unbonding, by whoever watches for quiet time."""
        newest = self.blocks[-1]
        self.blocks[-1] = replace(newest, state=replace(newest.state, stakes=dict(sorted(stakes.items()))))  # type: ignore[arg-type]

    def cancel(self) -> None:
        """The guardian's: the pending root's epoch is dead."""
        newest = self.blocks[-1]
        if newest.state.is_pending(newest.second):
            self.blocks[-1] = replace(newest, state=replace(newest.state, roots=newest.state.roots[:-1]))

    # What everyone may read

    def is_quiet(self) -> bool:
        newest = self.blocks[-1]
        ended = self.timing.epoch_at(newest.second) - 1
        over = ended < 1 or ended == newest.state.last_posted or newest.second > self.timing.post_end(ended)
        return over and not newest.state.is_pending(newest.second)

    def anchor(self, epoch: int, final: Block) -> Block | None:
        """The last block before the epoch's end, once the one after it is final."""
        end = self.timing.end_of(epoch)
        if final.second < end:
            return None
        low, high = 0, final.number
        while low < high:  # the first one at or after the end
            middle = (low + high) // 2
            low, high = (low, middle) if self.blocks[middle].second >= end else (middle + 1, high)
        return self.blocks[low - 1]

    # The contract

    def _applied(self, state: State, transaction: Transaction, second: int) -> State:
        if isinstance(transaction, Propose):
            return self._proposed(state, transaction, second)
        return self._posted(state, transaction, second)

    def _proposed(self, state: State, call: Propose, second: int) -> State:
        is_open = self.timing.epoch_at(second) - 1 == call.epoch >= 1 and self.timing.round_at(call.epoch, second) == call.round
        if not is_open or call.epoch <= state.last_posted or state.is_pending(second):
            return state
        newest = state.candidate
        if newest is not None and (newest.epoch, newest.round) == (call.epoch, call.round):
            return state
        if not state.stakes or call.sender != proposer_of(call.epoch, call.round, tuple(state.stakes)):
            return state
        return replace(state, candidate=Candidate(call.epoch, call.round, call.digest))

    def _posted(self, state: State, call: PostRoot, second: int) -> State:
        said = call.statement
        opens, closes = self.timing.intake_end(said.epoch), self.timing.post_end(said.epoch)
        in_time = self.timing.epoch_at(second) - 1 == said.epoch and opens < second <= closes
        if not in_time or said.epoch <= state.last_posted or state.is_pending(second):
            return state
        active = state.active(second)
        parent, through = (NOTHING, 0) if active is None else (active.statement.root, active.statement.through)
        covered = covered_epochs(through, said.epoch)
        if said.parent != parent or not covered or said.through != covered[-1]:
            return state
        if state.candidate != Candidate(said.epoch, said.round, said.digest) or not is_quorum(call.signers, state.stakes):
            return state
        root = Root(said, frozenset(call.signers & set(state.stakes)), second + self.timing.challenge)
        return replace(state, last_posted=said.epoch, roots=(*state.roots, root))
