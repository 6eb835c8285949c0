"""Validators that lie. Each breaks one rule, or several, and keeps to the others where that serves it; none can sign for another."""

from __future__ import annotations

from dataclasses import replace

from chain.contracts import Candidate
from chain.types import Address, Digest
from tests.simulation.chain import Propose
from tests.simulation.messages import Inventory, Manifest, Offered, Statement
from tests.simulation.node import Basis, Node
from validator import steps
from validator.agreement import Stakes, is_quorum


class Sleeper(Node):
    """Signs what others propose, and never proposes or posts itself."""

    def _take(self, step: steps.Step, basis: Basis | None) -> None:
        if not isinstance(step, steps.Build | steps.Record | steps.Post):
            super()._take(step, basis)


class Abstainer(Node):
    """Proposes, and signs nothing."""

    def _take(self, step: steps.Step, basis: Basis | None) -> None:
        if not isinstance(step, steps.Judge | steps.Sign | steps.Tell):
            super()._take(step, basis)


class Ghost(Node):
    """Records a digest of which nobody has the bytes."""

    def _build(self, basis: Basis, round_: int) -> None:
        digest = Digest(self.world.chance.randbytes(32))
        self.send_once(Propose(self.me, basis.epoch, round_, digest))


class Inventor(Node):
    """Proposes another root than the inventories give, and signs it; in odd rounds one of other epochs. It signs nobody else's."""

    def statement(self, basis: Basis, manifest: Manifest, round_: int) -> Statement:
        said = super().statement(basis, manifest, round_)
        return replace(said, root=Digest(b"\x07" * 32)) if round_ % 2 == 0 else replace(said, through=said.through + 1)


class Omitter(Node):
    """Names as few inventories as it may, those with the fewest proofs, and hands in an empty one of its own."""

    def _close_intake(self, epoch: int) -> None:
        self.disk.inventories[epoch, self.me] = self.world.sign_inventory(Inventory(self.me, epoch, frozenset()))

    def choose(self, ready: list[Inventory], stakes: Stakes) -> tuple[Inventory, ...] | None:
        chosen = super().choose(ready, stakes)
        if chosen is None:
            return None
        few = list(chosen)
        for one in sorted(chosen, key=lambda one: (-len(one.proofs), one.validator)):
            if is_quorum([other.validator for other in few if other is not one], stakes):
                few.remove(one)
        return tuple(few)


class Waverer(Omitter):
    """Records a sound candidate, and another sound one of the same round whenever it gets the chance, over other inventories."""

    def _take(self, step: steps.Step, basis: Basis | None) -> None:
        if isinstance(step, steps.Record):
            del self.disk.candidates[step.epoch, step.round]
            step = steps.Build(step.epoch, step.round)
        super()._take(step, basis)

    def _build(self, basis: Basis, round_: int) -> None:
        super()._build(basis, round_)
        built = self.disk.candidates.get((basis.epoch, round_))
        if built is not None:
            self.send_once(Propose(self.me, basis.epoch, round_, built.statement.digest))

    def choose(self, ready: list[Inventory], stakes: Stakes) -> tuple[Inventory, ...] | None:
        few = super().choose(ready, stakes)
        return few if self.world.chance.random() < 0.5 else Node.choose(self, ready, stakes)


class Thinner(Omitter):
    """Leaves one inventory out too many, and of those the one with the most proofs."""

    def choose(self, ready: list[Inventory], stakes: Stakes) -> tuple[Inventory, ...] | None:
        chosen = super().choose(ready, stakes)
        most = max(chosen or (), key=lambda one: len(one.proofs), default=None)
        return None if chosen is None else tuple(one for one in chosen if one is not most)


class Withholder(Node):
    """Shows candidates, proofs, inventories and its own signatures to a part of the others, another part each time."""

    def _shows(self, whom: Node) -> bool:
        return whom is self or (int(whom.me, 16) + int(self.world.now) // 40) % 2 == 0

    def served_candidate(self, epoch: int, round_: int, whom: Node) -> Offered | None:
        return super().served_candidate(epoch, round_, whom) if self._shows(whom) else None

    def served_proofs(self, wanted: frozenset[int], whom: Node) -> set[int]:
        return super().served_proofs(wanted, whom) if self._shows(whom) else set()

    def served_inventory(self, epoch: int, whom: Node) -> Inventory | None:
        return super().served_inventory(epoch, whom) if self._shows(whom) else None

    def tell(self, peer: Node, statement: Statement) -> bool:
        return not self._shows(peer) or super().tell(peer, statement)


class TwoFaced(Node):
    """Signs another inventory for each that asks, and one that names proofs nobody has."""

    def served_inventory(self, epoch: int, whom: Node) -> Inventory | None:
        mine = super().served_inventory(epoch, whom)
        if mine is None:
            return None
        kept = sorted(mine.proofs)[int(whom.me, 16) % 3 :]
        invented = {-1 - epoch} if int(whom.me, 16) % 2 else set()
        return self.world.sign_inventory(Inventory(self.me, epoch, frozenset({*kept, *invented})))


class Equivocator(Node):
    """Signs whatever it hears of, a statement of its own beside each, and records one candidate while it serves another."""

    def _build(self, basis: Basis, round_: int) -> None:
        super()._build(basis, round_)
        honest = self.disk.candidates.get((basis.epoch, round_))
        if honest is not None:
            other = Offered(replace(honest.statement, root=Digest(b"\x08" * 32)), honest.manifest)
            self.disk.candidates[basis.epoch, round_] = other
            chosen = other if self.world.chance.random() < 0.5 else honest
            self.send_once(Propose(self.me, basis.epoch, round_, chosen.statement.digest))

    def _judge(self, candidate: Candidate, basis: Basis) -> None:  # noqa: ARG002
        offered = self._of_anyone(lambda peer: peer.served_candidate(candidate.epoch, candidate.round, self), lambda _: True)
        for statement in [] if offered is None else [offered.statement, replace(offered.statement, root=Digest(b"\x09" * 32))]:
            self.keep_signature(self.me, statement)
            for _, peer in self.peers():
                self.tell(peer, statement)


class Hasty(Node):
    """Takes every block for final: it builds upon, records and signs what may be undone."""

    def wake(self) -> float:
        depth, self.world.chain.depth = self.world.chain.depth, 1
        try:
            return super().wake()
        finally:
            self.world.chain.depth = depth


class Mute(Node):
    """Answers nothing and hears nothing: a dead one that is still listed."""

    def wake(self) -> float:
        return 1_000.0

    def served_inventory(self, epoch: int, whom: Node) -> Inventory | None:  # noqa: ARG002
        return None

    def takes_signature(self, signer: Address, statement: Statement) -> bool:  # noqa: ARG002
        return False

    def accept(self, proof: int, epoch: int) -> bool:  # noqa: ARG002
        return True  # a receipt for what it throws away


LIARS: tuple[type[Node], ...] = (
    Sleeper, Abstainer, Ghost, Inventor, Omitter, Waverer, Thinner, Withholder, TwoFaced, Equivocator, Hasty, Mute,
)  # fmt: skip
