"""The Judge's rules: commitments and proofs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chain.frauds import Equivocation, ExcessiveSum, Fall, FraudProof, OutOfRange, Overspending, Repeat, running_hash
from chain.merkle import leaf_hash
from chain.messages import Leaf
from chain.types import ZERO_DIGEST, Address, Digest
from tests.reference.values import Refused, Root, Summation, Tree, in_range, leads_to, require

if TYPE_CHECKING:
    from tests.reference.network import Reference

MAX_SUMMED = 2**128 - 1


class JudgeRules:
    def __init__(self, world: Reference) -> None:
        self.world = world
        self.commitments: dict[tuple[Address, FraudProof, Digest], Address] = {}
        """What was committed to (reporter, proof, salt), and by whom."""
        self.sums: dict[tuple[Digest, Address], Summation] = {}

    def commit(self, caller: Address, reporter: Address, proof: FraudProof, salt: Digest) -> None:
        require((reporter, proof, salt) not in self.commitments, "AlreadyCommitted")
        self.commitments[reporter, proof, salt] = caller

    def prove(self, caller: Address, proof: FraudProof, salt: Digest, trees: Sequence[Tree], signers: Sequence[Address]) -> None:
        """trees: those of the proof's paths, in order. signers: of an equivocation's statements."""
        if isinstance(proof, ExcessiveSum):
            root = self._triable()
            summed = self.sums.get((root.root, caller), Summation())
            proof = ExcessiveSum(root.root, running_hash(summed.hashes))
            self._require_committed(caller, proof, salt)
            require(summed.earned > root.total_earned, "WithinTotal")
        else:
            self._require_committed(caller, proof, salt)
            if isinstance(proof, Equivocation):
                self._equivocates(proof, signers, caller)
                return
            self._require_wrong(proof, self._triable().root, trees)
        self.world.settlement.convict(caller)

    def sum(self, caller: Address, leaves: Sequence[Leaf], trees: Sequence[Tree]) -> None:
        root = self._triable().root
        before = self.sums.get((root, caller), Summation())
        earned, hashes = before.earned, list(before.hashes)
        for leaf, tree in zip(leaves, trees, strict=True):
            require(leads_to(root, leaf, tree), "NotInTree")
            require(leaf_hash(leaf) > (hashes[-1] if hashes else ZERO_DIGEST), "NotAscending")
            hashes.append(leaf_hash(leaf))
            earned = min(earned + leaf.earned, MAX_SUMMED)
        self.sums[root, caller] = Summation(earned, tuple(hashes))

    def _triable(self) -> Root:
        root = self.world.settlement.triable()
        if root is None:
            raise Refused("NothingTriable")
        return root

    def _require_committed(self, caller: Address, proof: FraudProof, salt: Digest) -> None:
        require((caller, proof, salt) in self.commitments, "NotCommitted")

    def _equivocates(self, proof: Equivocation, signers: Sequence[Address], reporter: Address) -> None:
        a, b = proof.a.message, proof.b.message
        require((a.epoch, a.round) == (b.epoch, b.round), "DifferentRounds")
        require(a != b, "SameStatement")
        require(signers[0] == signers[1], "DifferentSigners")
        self.world.registry.convict(signers[0], reporter)

    def _require_wrong(self, proof: FraudProof, root: Digest, trees: Sequence[Tree]) -> None:
        match proof:
            case Fall(leaf=leaf, parent_leaf=parent):
                require(leads_to(root, leaf, trees[0]), "NotInTree")
                require(leads_to(self.world.settlement.active().root, parent, trees[1]), "NotInTree")
                require(leaf.account == parent.account, "DifferentAccounts")
                fell = leaf.earned < parent.earned or leaf.spent < parent.spent or leaf.points < parent.points
                require(fell, "NotFallen")
            case Repeat(a=a, b=b):
                require(leads_to(root, a, trees[0]) and leads_to(root, b, trees[1]), "NotInTree")
                require(a.account == b.account, "DifferentAccounts")
                require(a != b, "SameLeaf")
            case Overspending(leaf=leaf):
                require(leads_to(root, leaf, trees[0]), "NotInTree")
                account = self.world.vault.account(leaf.account)
                require(leaf.spent > account.deposited - account.withdrawn, "NotOverspent")
            case OutOfRange(leaf=leaf):
                require(leads_to(root, leaf, trees[0]), "NotInTree")
                require(not in_range(leaf), "InRange")
            case _:
                raise AssertionError("no other proof is about a root")
