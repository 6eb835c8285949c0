"""Takes proofs: the checks of section 6 of the protocol in its order, then disk, then the receipt.

Whoever sends the same proof again gets the same receipt. Nothing is stored of what is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from chain.client import ChainClient
from chain.keys import NodeKey
from chain.typed import Signed, sign
from chain.types import Address, Digest
from runtime.clock import Clock
from validator.archive import Archive
from validator.chain_section import roles_of
from validator.verification import STRANGERS_QUOTA_BYTES, Envelope, ListedRoles, is_unsigned, verify_contents, verify_envelope
from wire.messages import ProofReceipt
from wire.refusals import Refused

MAX_AT_ONCE = 64
"""Proofs being verified; more are told to come back."""


@dataclass(frozen=True, slots=True)
class EpochStart:
    """What intake reads of the chain for an epoch: at the block before its start."""

    roles: ListedRoles
    registered: frozenset[Address]

    def is_stranger(self, envelope: Envelope) -> bool:
        """Whether what is kept of it counts against the quota that all strangers share: keys are free, a bond is not."""
        return envelope.signed.message.provider not in self.registered or is_unsigned(envelope.raw)


class Intake:
    """One validator's intake. Counts what it accepted and refused since it started."""

    def __init__(self, key: NodeKey, chain: ChainClient, archive: Archive, clock: Clock, reached: Callable[[str], None]) -> None:
        self._key, self._chain, self._archive, self._clock, self._reached = key, chain, archive, clock, reached
        self._at_once = 0
        self._starts: dict[int, EpochStart] = {}
        self.accepted = self.refused = 0

    async def accept(self, raw: bytes) -> Signed[ProofReceipt]:
        """The receipt, once proof and receipt are on disk; `Refused` otherwise."""
        if self._at_once >= MAX_AT_ONCE:
            raise Refused("busy", next_try=int(self._clock.now()) + 1)
        self._at_once += 1
        try:
            receipt = await self._accept(raw)
        except Refused:
            self.refused += 1
            raise
        finally:
            self._at_once -= 1
        return receipt

    async def _accept(self, raw: bytes) -> Signed[ProofReceipt]:
        domain, timing, rules = self._chain.network.domain, self._chain.network.timing, self._chain.network.rules
        envelope = await asyncio.to_thread(verify_envelope, raw, domain, rules)
        known = self._admit(envelope)
        if known is not None:
            return known
        start = await self._start_of(envelope.signed.message.epoch)
        now = int(self._clock.now())
        await asyncio.to_thread(verify_contents, envelope, domain, timing, rules, start.roles, now)
        # Others may have been accepted meanwhile. From here to the commit nothing else runs.
        return self._admit(envelope) or self._store(envelope, start.is_stranger(envelope))

    def _admit(self, envelope: Envelope) -> Signed[ProofReceipt] | None:
        """The receipt if this proof has one; None if it may have one; `Refused` otherwise."""
        proof = envelope.signed.message
        known = self._archive.receipt(envelope.digest)
        if known is not None:
            return known
        self._require_open(proof.epoch)
        held = self._archive.holdings(proof.provider, proof.epoch)
        if proof.sequence <= held.sequence:
            raise Refused("reused_sequence", "", {"yours": str(proof.sequence), "newest": str(held.sequence)})
        quota = self._chain.network.rules.intake_quota_bytes
        if held.size + len(envelope.raw) > quota:
            raise Refused("quota_exceeded", "", {"used": str(held.size), "bytes": str(len(envelope.raw)), "quota": str(quota)})
        return None

    def _require_open(self, epoch: int) -> None:
        timing, now = self._chain.network.timing, self._clock.now()
        if epoch < 1 or now < timing.start_of(epoch):
            begins = timing.start_of(epoch) if 1 <= epoch <= timing.epoch_at(now) + 1 else 0
            raise Refused("unknown_epoch", "", {"epoch": str(epoch), "current": str(timing.epoch_at(now))}, begins)
        # Once the inventory is signed the epoch stays closed, whatever the clock says.
        if now >= timing.intake_end(epoch) or self._archive.inventory(epoch, self._key.address) is not None:
            raise Refused("intake_closed", "", {"epoch": str(epoch), "closedAt": str(timing.intake_end(epoch))})

    async def _start_of(self, epoch: int) -> EpochStart:
        """Who held a role and who was registered when the epoch began; `not_yet` until the block that tells is final."""
        if epoch not in self._starts:
            anchor = await self._chain.anchor(epoch - 1)
            if anchor is None:
                raise Refused("not_yet", "the block that says who signs in this epoch is not final", next_try=int(self._clock.now()) + 1)
            view = await self._chain.view(anchor)
            self._starts = {e: start for e, start in self._starts.items() if e >= epoch - 1}
            self._starts[epoch] = EpochStart(ListedRoles.of(roles_of(view)), frozenset(view.registrations))
        return self._starts[epoch]

    def _store(self, envelope: Envelope, is_stranger: bool) -> Signed[ProofReceipt]:
        proof = envelope.signed.message
        if is_stranger and self._archive.stranger_bytes(proof.epoch) + len(envelope.raw) > STRANGERS_QUOTA_BYTES:
            raise Refused("busy", "unregistered providers have used their quota of this epoch", next_try=int(self._clock.now()) + 60)
        message = ProofReceipt(self._key.address, proof.provider, proof.epoch, Digest(envelope.digest), int(self._clock.now()))
        receipt = sign(message, self._chain.network.domain, self._key)
        self._archive.keep_proof(envelope.digest, envelope.raw, proof, receipt, is_stranger)
        self.accepted += 1
        self._reached("proof_stored")
        return receipt
