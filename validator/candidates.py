"""Candidates: what a proposer builds from the inventories that are here, and what everyone recomputes before signing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from chain.canonical import encode
from chain.contracts import Candidate
from chain.errors import CodecError
from chain.messages import EpochAttestation
from chain.network import Network
from chain.typed import Signed, digest_of
from chain.types import Address, to_hex
from chain.view import Listing
from validator.agreement import choose_inventories, proposer_of
from validator.archive import Archive
from validator.epoch import Outcome, attestation_of, recompute
from validator.errors import Defect, Wrong
from validator.evidence import Evidence
from validator.frauds import Fraud, LeafTree, frauds_in
from validator.manifests import Basis, check_attestation, manifest_sizes, read_manifest
from validator.peers import Peers
from validator.state import State, decode_state, encode_state, genesis_state, leaves_of
from wire.agreement import ChainSection, Manifest
from wire.files import file_digest
from wire.messages import Inventory

log = logging.getLogger(__name__)

Inventories = Mapping[int, Sequence[Signed[Inventory]]]
"""Inventories by covered epoch."""


class Candidates:
    """Builds and judges candidates over one archive; `others` are the validators to fetch missing bytes from."""

    def __init__(self, network: Network, archive: Archive, peers: Peers) -> None:
        self._archive, self._peers = archive, peers
        self._domain, self._timing, self._rules, self._treasury = network.domain, network.timing, network.rules, network.treasury
        self._evidence = Evidence(archive, peers, network.domain, network.timing, network.rules)

    async def collect(self, basis: Basis, others: Sequence[Listing]) -> Inventories:
        """Per covered epoch the inventories whose bytes are all here."""
        await asyncio.gather(*(self._peers.inventories(others, epoch, stakes) for epoch, stakes in basis.sets.items()))
        ready: dict[int, Sequence[Signed[Inventory]]] = {}
        for section in basis.sections:
            held = self._archive.inventories(section.epoch)
            complete = await asyncio.gather(*(self._is_complete(signed, section, others) for signed in held))
            ready[section.epoch] = [signed for signed, whole in zip(held, complete, strict=True) if whole]
        return ready

    async def build(self, basis: Basis, ready: Inventories, round_: int, others: Sequence[Listing]) -> EpochAttestation | None:
        """The attestation over the inventories that are here, its files stored; None while too few are, or the parent's state is not.

        Raises `ManifestError`, or `Defect` if the own outcome would convict who signs it.
        """
        chosen = {epoch: choose_inventories(ready.get(epoch, ()), stakes) for epoch, stakes in basis.sets.items()}
        inventories = {epoch: found for epoch, found in chosen.items() if found is not None}
        parent = await self._parent_state(basis, others)
        if len(inventories) < len(chosen) or parent is None:
            return None
        manifest = basis.manifest(inventories)
        outcome = await self._recompute(parent, manifest, basis)
        manifest_digest = self._archive.keep_file(encode(manifest))
        return attestation_of(manifest, manifest_digest, outcome, self._archive.keep_file(encode_state(outcome.state)), round_)

    async def judge(self, recorded: Candidate, basis: Basis, others: Sequence[Listing]) -> EpochAttestation | None:
        """The recorded attestation, once the own recomputation from bytes on the own disk is the same; None while bytes are missing.

        Raises `Wrong`, `ManifestError` or `Defect` for a candidate that is never to be signed.
        """
        proposer = proposer_of(recorded.epoch, recorded.round, tuple(basis.stakes))
        peers = sorted(others, key=lambda peer: peer.account != proposer)
        said = await self._peers.candidate(recorded.epoch, recorded.round, recorded.digest, peers)
        parent = await self._parent_state(basis, others)
        if said is None or parent is None:
            return None
        check_attestation(said, basis)
        sizes = await asyncio.to_thread(manifest_sizes, basis)
        manifest = await self._peers.checked_file(
            said.manifest_digest, sizes, lambda data: read_manifest(data, basis, self._domain), {}, peers
        )
        if manifest is None:
            return None
        # Its proposer has all of it, while a validator may withhold what it named, from everybody but the proposer.
        for section, covered in zip(manifest.chain, manifest.covered, strict=True):
            gathered = await asyncio.gather(*(self._gather(one, section, peers) for one in covered.inventories), return_exceptions=True)
            for found in gathered:
                if isinstance(found, BaseException):
                    raise found
            if not all(gathered):
                return None
        outcome = await self._recompute(parent, manifest, basis)
        state = encode_state(outcome.state)
        own = attestation_of(manifest, said.manifest_digest, outcome, file_digest(state), recorded.round)
        if own != said or digest_of(own, self._domain) != recorded.digest:
            raise Wrong(f"recomputed, its root is {to_hex(own.root)}; it says {to_hex(said.root)}")
        self._archive.keep_file(state)
        return own

    async def _is_complete(self, signed: Signed[Inventory], section: ChainSection, others: Sequence[Listing]) -> bool:
        peers = sorted(others, key=lambda peer: peer.account != signed.message.validator)
        try:
            return await self._gather(signed, section, peers)
        except Wrong as wrong:
            log.debug("an inventory is left out: %s", wrong)
            return False

    async def _gather(self, signed: Signed[Inventory], section: ChainSection, peers: Sequence[Listing]) -> bool:
        """Whether every byte is here once each part has been waited for as long as for one request: an inventory may name more than can be
        fetched in a round, by peers as slow as they like. What was fetched is kept, so that the next step goes on where this one ended."""
        return await self._evidence.gather(signed, section, peers, self._peers.timeout_s)

    async def _parent_state(self, basis: Basis, others: Sequence[Listing]) -> State | None:
        if not any(basis.parent_root):
            return genesis_state()
        try:
            data = await self._peers.file(basis.parent_state_digest, others)
            return None if data is None else decode_state(data)
        except (Wrong, CodecError) as error:
            log.error("the state of the active root is not one: %s", error)  # noqa: TRY400 - two thirds of the stake signed it
            return None

    async def _recompute(self, parent: State, manifest: Manifest, basis: Basis) -> Outcome:
        evidence = self._evidence.of(manifest)
        outcome = await asyncio.to_thread(recompute, parent, manifest, evidence, self._timing, self._rules)
        before = LeafTree(leaves_of(parent, self._treasury)) if any(basis.parent_root) else None
        fraud = await asyncio.to_thread(_first_fraud, outcome, before, basis.deposits)
        if fraud is not None:
            raise Defect(fraud.proof.NAME, f"the own root {to_hex(outcome.root)} for epoch {manifest.epoch} could be proven wrong")
        return outcome


def _first_fraud(outcome: Outcome, parent: LeafTree | None, deposits: Mapping[Address, int]) -> Fraud | None:
    return next(frauds_in(LeafTree(outcome.leaves), outcome.total_earned, parent, deposits), None)
