"""The Settlement: candidates, roots, claims, recipients and the guard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from chain.contracts.base import Call, Contract, address_of
from chain.merkle import Multiproof
from chain.messages import EpochAttestation, Leaf
from chain.types import ZERO_DIGEST, Address, Digest, Signature, Wei
from chain.view import BlockStamp, Guard


@dataclass(frozen=True, slots=True)
class RootRecord:
    """A root as the contract keeps it; its state digest stands in its `Posted` event, see `ChainView.posting`.

    Amounts in wei. active_at: when a pending one becomes active (block time), 0 once it was activated. signers: bit i for the i-th
    validator by address. All zero if there is no such root.
    """

    root: Digest
    total_earned: Wei
    total_spent: Wei
    epoch: int
    through: int
    round: int
    active_at: int
    signers: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """The newest recorded candidate."""

    epoch: int
    round: int
    digest: Digest


class SettlementContract(Contract):
    NAME = "Settlement"

    # Reads

    async def active_root(self, at: BlockStamp | None = None) -> Digest:
        """The one root that verifies; zero if there is none yet."""
        return Digest(await self._read("activeRoot", at=at))

    async def pending_root(self, at: BlockStamp | None = None) -> Digest:
        """The root that waits for its activation; zero if there is none."""
        return Digest(await self._read("pendingRoot", at=at))

    async def active_record(self, at: BlockStamp | None = None) -> RootRecord:
        return _record(await self._read("activeRecord", at=at))

    async def pending_record(self, at: BlockStamp | None = None) -> RootRecord:
        return _record(await self._read("pendingRecord", at=at))

    async def triable_record(self, at: BlockStamp | None = None) -> RootRecord:
        """Of the root that fraud proofs are about: the pending one, or the one that the guardian cancelled, until it would have become
        active, which is then its `active_at`."""
        return _record(await self._read("triableRecord", at=at))

    async def candidate(self, at: BlockStamp | None = None) -> Candidate | None:
        epoch, round_, digest = await self._read("candidate", at=at)
        return None if digest == ZERO_DIGEST else Candidate(epoch, round_, Digest(digest))

    async def proposer_of(self, epoch: int, round_: int, at: BlockStamp | None = None) -> Address:
        """By the stakes of then; the zero address if no validator has stake."""
        return address_of(await self._read("proposerOf", epoch, round_, at=at))

    async def digest_of(self, attestation: EpochAttestation, at: BlockStamp | None = None) -> Digest:
        """The contract's own EIP-712 digest of an attestation."""
        return Digest(await self._read("digestOf", astuple(attestation), at=at))

    async def last_posted_epoch(self, at: BlockStamp | None = None) -> int:
        """The newest epoch that was posted, cancelled ones included; 0 if there is none."""
        return await self.number("lastPostedEpoch", at)

    async def is_quiet(self, at: BlockStamp | None = None) -> bool:
        """Whether stake, lists, rules and deposits may change."""
        return bool(await self._read("isQuiet", at=at))

    async def claimed_of(self, account: Address, at: BlockStamp | None = None) -> Wei:
        return Wei(await self._read("claimedOf", account, at=at))

    async def reputation_of(self, account: Address, at: BlockStamp | None = None) -> tuple[int, int]:
        """Reputation in ppm, and the epoch of the root it was read from (0 if never)."""
        reputation, epoch = await self._read("reputationOf", account, at=at)
        return reputation, epoch

    async def recipient_of(self, account: Address, at: BlockStamp | None = None) -> Address:
        """Where the account's pay goes: to itself unless that was changed."""
        return address_of(await self._read("recipientOf", account, at=at))

    async def pot(self, at: BlockStamp | None = None) -> Wei:
        """What is left to pay claims from, growth not yet activated excluded."""
        return Wei(await self.number("pot", at))

    async def guard(self, at: BlockStamp | None = None) -> Guard:
        guardian, since, nominee, paused_until, pausable_from = await self._read("guard", at=at)
        return Guard(address_of(guardian), since, address_of(nominee), paused_until, pausable_from)

    # Candidates and roots

    def propose(self, epoch: int, round_: int, digest: Digest) -> Call:
        return self._call("propose", epoch, round_, digest)

    def post(self, attestation: EpochAttestation, signatures: Sequence[Signature]) -> Call:
        """signatures: by strictly ascending signer."""
        return self._call("post", astuple(attestation), b"".join(signatures))

    def activate(self) -> Call:
        return self._call("activate")

    # Claims

    def claim(self, leaf: Leaf, path: Sequence[Digest]) -> Call:
        return self._call("claim", *astuple(leaf), list(path))

    def claim_many(self, leaves: Sequence[Leaf], paths: Sequence[Sequence[Digest]]) -> Call:
        """An item that cannot be paid is passed over with a `ClaimSkipped`."""
        return self._call("claimMany", [astuple(leaf) for leaf in leaves], [list(path) for path in paths])

    def claim_packed(self, proof: Multiproof) -> Call:
        """As `claim_many`, cheaper; but one leaf that is not in the tree spoils the whole. `MerkleError` for a leaf out of range."""
        return self._call("claimPacked", proof.packed_leaves(), list(proof.proof), proof.packed_steps())

    def push(self, leaf: Leaf, path: Sequence[Digest]) -> Call:
        """Stores reputation and epoch of a leaf of the active root; moves no money, and works while paused."""
        return self._call("push", *astuple(leaf), list(path))

    def set_recipient(self, account: Address, recipient: Address) -> Call:
        """By the current recipient, which is the account itself until changed."""
        return self._call("setRecipient", account, recipient)

    # The guard

    def cancel(self) -> Call:
        """Cancels the pending root: its epoch is dead. Until it would have become active it can still be tried. By the guardian."""
        return self._call("cancel")

    def pause(self) -> Call:
        """For 72 hours nothing is posted and nobody claims. By the guardian, 14 days after the end of the last pause."""
        return self._call("pause")

    def unpause(self) -> Call:
        return self._call("unpause")

    def nominate_guardian(self, nominee: Address) -> Call:
        """Names who may take over; the zero address withdraws the nomination. By the guardian."""
        return self._call("nominateGuardian", nominee)

    def accept_guard(self) -> Call:
        """By the nominee."""
        return self._call("acceptGuard")


def _record(values: Sequence[Any]) -> RootRecord:
    root, earned, spent, *rest = values
    return RootRecord(Digest(root), Wei(earned), Wei(spent), *rest)
