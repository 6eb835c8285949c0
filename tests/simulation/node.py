"""A validator of a simulated network. What it does next is decided by the real `validator.steps`; here is what carries it out: a disk that
keeps what was written, a memory that a crash empties, and a network that answers or does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from chain.contracts import Candidate
from chain.epochs import covered_epochs
from chain.types import Address, Digest
from tests.simulation.chain import NOTHING, Block, PostRoot, Propose
from tests.simulation.messages import Inventory, Manifest, Offered, Statement, union_of
from validator import steps
from validator.agreement import Stakes, is_quorum, open_epoch

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")


class Crashed(Exception):
    """The process ends here."""


class Waiting(Exception):
    """A transaction of one's own is not mined yet, or the chain cannot be read: the tick ends."""


@dataclass(slots=True)
class Disk:
    """What a crash leaves. accepted: receipted proofs by epoch. proofs: all that are here. states: roots whose state is here."""

    born: int
    accepted: dict[int, set[int]] = field(default_factory=dict)
    proofs: set[int] = field(default_factory=set)
    inventories: dict[tuple[int, Address], Inventory] = field(default_factory=dict)
    candidates: dict[tuple[int, int], Offered] = field(default_factory=dict)
    journal: dict[tuple[int, int], Statement] = field(default_factory=dict)
    signatures: dict[Digest, set[Address]] = field(default_factory=dict)
    said: dict[Digest, Statement] = field(default_factory=dict)
    states: set[Digest] = field(default_factory=lambda: {NOTHING})


@dataclass(slots=True)
class Memory:
    complete: dict[int, list[Address]] = field(default_factory=dict)
    rejected: set[Digest] = field(default_factory=set)
    refused: set[Digest] = field(default_factory=set)
    quorums: dict[Digest, int] = field(default_factory=dict)
    told: dict[Digest, set[Address]] = field(default_factory=dict)
    recorded: dict[Digest, tuple[int, int]] = field(default_factory=dict)
    tried: set[steps.Step] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Basis:
    epoch: int
    parent: Digest
    through: int
    sets: dict[int, Stakes]
    stakes: Stakes


class Node:
    """An honest validator. skew: seconds that its clock is off. lag: blocks that its chain's node is behind at most."""

    def __init__(self, world: World, me: Address, skew: float, lag: int) -> None:
        self.world, self.me, self.skew, self.lag = world, me, skew, lag
        self.disk, self.memory = Disk(int(world.now + skew)), Memory()
        self.up, self.life = True, 0

    # Its process

    def wake(self) -> float:
        """Takes one step; in how many seconds to go on."""
        chance = self.world.chance
        if not self.memory.tried and chance.random() < self.world.trouble.rpc:
            return self.world.poll
        try:
            facts, basis = self._facts()
            step = steps.next_step(facts, self.memory.tried)
            if step is None:
                idle = not self.memory.tried
                self.memory.tried = set()
                return self._until_something(facts) if idle else self.world.poll
            self.memory.tried.add(step)
            self._take(step, basis)
        except Waiting:
            self.memory.tried = set()
            return self.world.poll
        return chance.random() * self.world.trouble.slowness

    def crash(self) -> None:
        """Its memory is gone; what it was about to send, too."""
        self.up, self.memory = False, Memory()
        self.life += 1

    def lose_disk(self) -> None:
        """All it ever wrote is gone, and it begins anew now."""
        self.disk = Disk(int(self.world.now + self.skew))

    @property
    def clock(self) -> float:
        return self.world.now + self.skew

    # The facts

    def _facts(self) -> tuple[steps.Facts, Basis | None]:
        chain = self.world.chain
        latest = chain.blocks[max(0, len(chain.blocks) - 1 - self.world.chance.randint(0, self.lag))]
        final = chain.blocks[max(0, latest.number - chain.depth + 1)]
        timing, active = chain.timing, final.state.active(final.second)
        basis = self._basis(latest, final)
        root = final.state.roots[-1] if final.state.roots else None
        recorded, newest, memory = final.state.candidate, latest.state.candidate, self.memory
        bound = None if recorded is None else self.disk.journal.get((recorded.epoch, recorded.round))
        round_ = None if basis is None else timing.round_at(basis.epoch, latest.second)
        held = steps.Held(
            born=self.disk.born,
            activated=latest.state.last_posted,  # the simulated root matures by itself, as the contract's does: activating moves money
            followed=root is None or root.statement.root in self.disk.states,
            inventories={epoch for epoch, validator in self.disk.inventories if validator == self.me},
            complete=memory.complete,
            candidate=basis is not None and round_ is not None and (basis.epoch, round_) in self.disk.candidates,
            bound=None if bound is None else bound.digest,
            signed=recorded is not None and self.me in self.disk.signatures.get(recorded.digest, ()),
            quorum_since=None if basis is None else self._quorum_since(newest, basis, latest.second),
            told=() if recorded is None else memory.told.get(recorded.digest, ()),
            ask_from=None if recorded is None else memory.recorded.setdefault(recorded.digest, (latest.second, latest.second + 1))[1],
            rejected=memory.rejected,
            refused=memory.refused,
        )
        on_chain = steps.OnChain(
            second=latest.second,
            newest=newest,
            last_posted=latest.state.last_posted,
            through=0 if active is None else active.statement.through,
            recorded=recorded,
            posted=None if root is None else steps.Ripening(root.statement.epoch, root.statement.round, root.active_at),
            validators=tuple(final.state.stakes),
            convicted=False,
        )
        sets, stakes = (None, {}) if basis is None else (basis.sets, basis.stakes)
        return steps.Facts(timing, self.me, self.clock, on_chain, sets, stakes, held), basis

    def _basis(self, latest: Block, final: Block) -> Basis | None:
        chain = self.world.chain
        epoch = open_epoch(chain.timing, latest.second)
        if epoch is None or latest.state.last_posted >= epoch:
            return None
        active = final.state.active(final.second)
        parent, through = (NOTHING, 0) if active is None else (active.statement.root, active.statement.through)
        sets: dict[int, Stakes] = {}
        for covered in covered_epochs(through, epoch):
            block = chain.anchor(covered, final)
            if block is None:
                return None
            sets[covered] = block.state.stakes
        own = chain.anchor(epoch, final)
        return None if own is None or not sets else Basis(epoch, parent, through, sets, own.state.stakes)

    def _quorum_since(self, newest: Candidate | None, basis: Basis, second: int) -> int | None:
        if newest is None or newest.epoch != basis.epoch or not is_quorum(self.disk.signatures.get(newest.digest, ()), basis.stakes):
            return None
        return self.memory.quorums.setdefault(newest.digest, second)

    def _until_something(self, facts: steps.Facts) -> float:
        timing, second = facts.timing, facts.chain.second
        epoch = timing.epoch_at(second) - 1
        if epoch >= 1 and second <= timing.post_end(epoch) and facts.chain.last_posted < epoch:
            return self.world.poll
        return max(self.world.poll, timing.intake_end(epoch + 1) - self.world.now)

    # The steps

    def _take(self, step: steps.Step, basis: Basis | None) -> None:
        match step:
            case steps.CloseIntake(epoch):
                self.write(lambda: self._close_intake(epoch))
            case steps.Follow(epoch):
                for root in self.world.chain.blocks[-1].state.roots:
                    if root.statement.epoch == epoch:
                        self._has_state(root.statement.root)
            case _ if basis is None:
                raise AssertionError(f"{step} without a basis")
            case steps.Gather():
                self._gather(basis)
            case steps.Build(_, round_):
                self._build(basis, round_)
            case steps.Record(epoch, round_):
                offered = self.disk.candidates[epoch, round_]
                self.send_once(Propose(self.me, epoch, round_, offered.statement.digest))
            case steps.Judge(candidate):
                self._judge(candidate, basis)
            case steps.Sign(candidate):
                statement = self.disk.journal[candidate.epoch, candidate.round]
                self.world.signed(self.me, statement)
                self.write(lambda: self.keep_signature(self.me, statement))
            case steps.Tell(candidate):
                self._tell(self.disk.said[candidate.digest])
            case steps.Ask(candidate):
                since, second = self.memory.recorded[candidate.digest][0], self.world.chain.blocks[-1].second
                self.memory.recorded[candidate.digest] = since, steps.ask_again_from(self.world.chain.timing, since, second)
                for _, peer in self.peers():
                    for statement, signers in self.ask(peer, lambda peer: peer.known_signatures(candidate, self)) or ():
                        for signer in signers:
                            self.keep_signature(signer, statement)
            case steps.Post(candidate):
                self._post(candidate)
            case steps.Activate():
                raise AssertionError("nothing is to be activated here")

    def _close_intake(self, epoch: int) -> None:
        inventory = Inventory(self.me, epoch, frozenset(self.disk.accepted.get(epoch, ())))
        self.disk.inventories[epoch, self.me] = self.world.sign_inventory(inventory)

    def _gather(self, basis: Basis) -> None:
        complete = {}
        for epoch, stakes in basis.sets.items():
            for validator in stakes:
                peer = self.world.nodes[validator]
                if (epoch, validator) not in self.disk.inventories and peer is not self:
                    found = self.ask(peer, lambda peer, epoch=epoch: peer.served_inventory(epoch, self))  # type: ignore[misc]
                    if found is not None and (found.validator, found.epoch) == (validator, epoch):
                        self.write(lambda found=found: self.keep_inventory(found))  # type: ignore[misc]
            held = [one for (of, validator), one in self.disk.inventories.items() if of == epoch and validator in stakes]
            complete[epoch] = [one.validator for one in held if self._has_all([one])]
        self.memory.complete = complete

    def _build(self, basis: Basis, round_: int) -> None:
        covered = []
        for epoch, stakes in basis.sets.items():
            ready = [self.disk.inventories[epoch, account] for account in sorted(self.memory.complete.get(epoch, ()))]
            chosen = self.choose(ready, stakes)
            if chosen is None:
                return
            covered.append((epoch, chosen))
        if not self._has_state(basis.parent):
            return
        manifest = Manifest(tuple(covered))
        statement = self.statement(basis, manifest, round_)
        self.write(lambda: self.disk.candidates.setdefault((basis.epoch, round_), Offered(statement, manifest)))

    def choose(self, ready: list[Inventory], stakes: Stakes) -> tuple[Inventory, ...] | None:
        """All that are here, if they are of two thirds of the stake."""
        return tuple(ready) if is_quorum([one.validator for one in ready], stakes) else None

    def statement(self, basis: Basis, manifest: Manifest, round_: int) -> Statement:
        through = list(basis.sets)[-1]
        return Statement(basis.epoch, through, round_, basis.parent, manifest.root_upon(basis.parent), manifest.digest)

    def _judge(self, candidate: Candidate, basis: Basis) -> None:
        key = candidate.epoch, candidate.round
        offered = self.disk.candidates.get(key)
        if offered is None or offered.statement.digest != candidate.digest:
            offered = self._of_anyone(lambda peer: peer.served_candidate(*key, self), lambda one: one.statement.digest == candidate.digest)
            if offered is None:
                return
            known = offered
            self.write(lambda: self.disk.candidates.__setitem__(key, known))
        fault = self._fault_of(offered, candidate, basis)
        if fault:
            self.memory.rejected.add(candidate.digest)
            return
        inventories = [one for _, several in offered.manifest.covered for one in several]
        if not self._has_all(inventories) or not self._has_state(basis.parent):
            return
        if self.statement(basis, offered.manifest, candidate.round) != offered.statement:
            self.memory.rejected.add(candidate.digest)
            return
        if key in self.disk.journal:
            raise AssertionError(f"{self.me} binds itself twice for {key}")
        statement = offered.statement
        self.write(lambda: self.disk.journal.__setitem__(key, statement))
        self.disk.states.add(statement.root)

    def _fault_of(self, offered: Offered, candidate: Candidate, basis: Basis) -> str:
        said, manifest = offered.statement, offered.manifest
        if (said.epoch, said.round, said.parent, said.through) != (candidate.epoch, candidate.round, basis.parent, list(basis.sets)[-1]):
            return "another basis"
        if manifest.digest != said.manifest or [epoch for epoch, _ in manifest.covered] != list(basis.sets):
            return "another manifest, or other epochs"
        for epoch, inventories in manifest.covered:
            names = [one.validator for one in inventories]
            if names != sorted(set(names)) or not is_quorum(names, basis.sets[epoch]) or not set(names) <= set(basis.sets[epoch]):
                return "not of two thirds of the stake"
            if any(one.epoch != epoch or not self.world.is_signed(one) for one in inventories):
                return "not signed"
        return ""

    def _tell(self, statement: Statement) -> None:
        told = self.memory.told.setdefault(statement.digest, set())
        stakes = self.world.chain.blocks[-1].state.stakes
        for account, peer in self.peers():
            if account in stakes and account not in told and self.tell(peer, statement):
                told.add(account)

    def tell(self, peer: Node, statement: Statement) -> bool:
        """Whether the signature was taken, as far as this one hears; it may come twice, later, or without an answer."""
        world = self.world
        if world.chance.random() < world.trouble.twice:
            world.later(world.chance.random() * 60, lambda: peer.up and peer.keep_signature(self.me, statement))
        if self.ask(peer, lambda peer: peer.takes_signature(self.me, statement)) is None:
            return False
        return world.chance.random() >= world.trouble.loss  # the answer may be lost

    def _post(self, candidate: Candidate) -> None:
        statement, signers = self.disk.said[candidate.digest], frozenset(self.disk.signatures[candidate.digest])
        self.send_once(PostRoot(self.me, statement, signers))

    def send_once(self, transaction: Propose | PostRoot) -> None:
        """As the real one does: a call is sent once at a time, and the tick ends until it is mined or lost."""
        if transaction not in self.world.chain.waiting:
            self.world.crash_point()
            self.world.chain.send(transaction)
            self.world.crash_point()
        raise Waiting

    def write(self, change: Callable[[], object]) -> None:
        """One write: it is on disk, or a crash has undone it, before anything else happens."""
        self.world.crash_point()
        change()
        self.world.crash_point()

    # What it asks of others

    def peers(self) -> list[tuple[Address, Node]]:
        """All others that are listed, those last that have no stake any more."""
        stakes = self.world.chain.blocks[-1].state.stakes
        others = ((account, node) for account, node in self.world.nodes.items() if node is not self)
        return sorted(others, key=lambda one: one[0] not in stakes)

    def ask(self, peer: Node, question: Callable[[Node], T | None]) -> T | None:
        """What a peer answers; None if it cannot be reached, is down, or does not say."""
        return question(peer) if self.world.reaches(self, peer) else None

    def _of_anyone(self, question: Callable[[Node], T | None], suits: Callable[[T], bool]) -> T | None:
        for _, peer in self.peers():
            found = self.ask(peer, question)
            if found is not None and suits(found):
                return found
        return None

    def _has_all(self, inventories: Iterable[Inventory]) -> bool:
        """Whether every proof of these is here, after asking everyone for what is not."""
        missing = union_of(inventories) - self.disk.proofs
        for _, peer in self.peers() if missing else ():
            found = self.ask(peer, lambda peer: peer.served_proofs(missing, self))  # noqa: B023 - asked at once
            self.disk.proofs |= found or set()
            missing -= self.disk.proofs
            if not missing:
                break
        return not missing

    def _has_state(self, root: Digest) -> bool:
        if root not in self.disk.states and self._of_anyone(lambda peer: peer.served_state(root, self), bool):
            self.disk.states.add(root)
        return root in self.disk.states

    # What it answers others

    def accept(self, proof: int, epoch: int) -> bool:
        """A provider's proof: whether it is receipted."""
        if (epoch, self.me) in self.disk.inventories or self.clock >= self.world.chain.timing.intake_end(epoch):
            return False
        self.disk.accepted.setdefault(epoch, set()).add(proof)
        self.disk.proofs.add(proof)
        return True

    def keep_inventory(self, inventory: Inventory) -> None:
        self.disk.inventories.setdefault((inventory.epoch, inventory.validator), inventory)

    def keep_signature(self, signer: Address, statement: Statement) -> bool:
        self.disk.said[statement.digest] = statement
        self.disk.signatures.setdefault(statement.digest, set()).add(signer)
        return True

    def takes_signature(self, signer: Address, statement: Statement) -> bool:
        return self.keep_signature(signer, statement)

    def known_signatures(self, candidate: Candidate, _: Node) -> list[tuple[Statement, set[Address]]]:
        said = self.disk.said.get(candidate.digest)
        return [] if said is None else [(said, set(self.disk.signatures[candidate.digest]))]

    def served_inventory(self, epoch: int, _: Node) -> Inventory | None:
        return self.disk.inventories.get((epoch, self.me))

    def served_candidate(self, epoch: int, round_: int, _: Node) -> Offered | None:
        return self.disk.candidates.get((epoch, round_))

    def served_proofs(self, wanted: frozenset[int], _: Node) -> set[int]:
        return self.disk.proofs & wanted

    def served_state(self, root: Digest, _: Node) -> bool:
        return root in self.disk.states
