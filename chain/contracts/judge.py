"""The Judge: fraud proofs, by anyone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from chain.contracts.base import Call, Contract
from chain.frauds import ExcessiveSum, FraudProof
from chain.messages import Leaf
from chain.types import ZERO_DIGEST, Address, Digest, Wei
from chain.view import BlockStamp


@dataclass(frozen=True, slots=True)
class Summation:
    """How far a reporter has come with a root's sum. last: the last leaf's hash, zero if none yet. running: `chain.frauds.running_hash`
    of all. earned: their sum in wei, at most 2^128 - 1. leaves: their number."""

    last: Digest
    running: Digest
    earned: Wei
    leaves: int


class JudgeContract(Contract):
    NAME = "Judge"

    async def commitment_of(self, reporter: Address, evidence: Digest, salt: Digest, at: BlockStamp | None = None) -> Digest:
        """The contract's own `chain.frauds.commitment`."""
        return Digest(await self._read("commitmentOf", reporter, evidence, salt, at=at))

    async def committed_at(self, commitment: Digest, at: BlockStamp | None = None) -> int:
        """The block in which a commitment was made; 0 if it was not."""
        return int(await self._read("committedAt", commitment, at=at))

    async def summed(self, root: Digest, reporter: Address, at: BlockStamp | None = None) -> Summation:
        last, running, earned, leaves = await self._read("summed", root, reporter, at=at)
        return Summation(Digest(last), Digest(running), Wei(earned), leaves)

    def commit(self, commitment: Digest) -> Call:
        """Records a commitment of `chain.frauds`; its proof counts from the next block on."""
        return self._call("commit", commitment)

    def prove(self, proof: FraudProof, salt: Digest = ZERO_DIGEST) -> Call:
        """Shows a proof that the sender has committed to with this salt."""
        arguments = () if isinstance(proof, ExcessiveSum) else proof.arguments()
        return self._call(proof.NAME, *arguments, salt)

    def sum(self, leaves: Sequence[Leaf], paths: Sequence[Sequence[Digest]]) -> Call:
        """Adds leaves of the triable root, hashes strictly ascending from the last of the step before on, to the sender's sum."""
        return self._call("sum", [astuple(leaf) for leaf in leaves], [list(path) for path in paths])
