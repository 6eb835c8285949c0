"""The input of a root on the own disk: inventories with their indices and every proof they name, verified."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from chain.canonical import decode
from chain.epochs import Timing
from chain.errors import CodecError
from chain.rules import Rules
from chain.typed import Domain, Signed
from chain.types import Digest
from chain.view import Listing
from validator.archive import Archive
from validator.errors import Wrong
from validator.manifests import check_index
from validator.peers import Peers
from validator.verification import ListedRoles, VerifiedProof, verify_proof
from wire.agreement import InventoryIndex, Manifest
from wire.messages import ActivityProof, Inventory


class Evidence:
    """Gathers the bytes behind inventories, and hands them out as values once they are all here."""

    def __init__(self, archive: Archive, peers: Peers, domain: Domain, timing: Timing, rules: Rules) -> None:
        self._archive, self._peers = archive, peers
        self._domain, self._timing, self._rules = domain, timing, rules
        self._complete: set[tuple[int, Digest, int]] = set()

    async def gather(self, signed: Signed[Inventory], roles: ListedRoles, peers: Sequence[Listing]) -> bool:
        """Whether every byte behind an inventory is here, after asking its validator first and then the others for what is not.

        Raises `Wrong` if its index is not what the inventory says, or names a proof as another provider's or epoch's.
        """
        inventory = signed.message
        key = (inventory.epoch, inventory.index_digest, inventory.count)  # all that is checked of it here
        if key in self._complete:
            return True
        owner_first = sorted(peers, key=lambda peer: peer.account != inventory.validator)
        data = await self._peers.file(inventory.index_digest, owner_first)
        if data is None:
            return False
        index = await asyncio.to_thread(_parse, data, inventory)
        entries = {entry.proof: entry.provider for entry in index.entries}
        held = await asyncio.to_thread(self._archive.proof_subjects, tuple(entries))

        def check(raw: bytes) -> VerifiedProof:
            found = verify_proof(raw, self._domain, self._timing, self._rules, roles, None)
            if found.signed.message.epoch != inventory.epoch:  # without statements it verifies whatever epoch it names
                raise Wrong(f"the index of {inventory.validator} names a proof of another epoch")
            return found

        if len(held) < len(entries):
            await self._peers.proofs([digest for digest in entries if digest not in held], owner_first, check)
            held = await asyncio.to_thread(self._archive.proof_subjects, tuple(entries))
        if len(held) < len(entries):
            return False
        for digest, provider in entries.items():
            if held[digest] != (provider, inventory.epoch):
                raise Wrong(f"the index of {inventory.validator} names a proof as another provider's or epoch's")
        self._complete.add(key)
        return True

    def of(self, manifest: Manifest) -> Mapping[int, tuple[Signed[ActivityProof], ...]]:
        """The union of a manifest's inventories per covered epoch, in the order of the proofs' digests. All of it has been gathered."""
        return {
            covered.epoch: tuple(self._proof(digest) for digest in sorted(self._digests(covered.inventories)))
            for covered in manifest.covered
        }

    def _digests(self, inventories: Sequence[Signed[Inventory]]) -> set[Digest]:
        found: set[Digest] = set()
        for signed in inventories:
            data = self._archive.file(signed.message.index_digest)
            if data is None:
                raise KeyError(f"the index of {signed.message.validator} for epoch {signed.message.epoch} was not gathered")
            found |= {entry.proof for entry in _parse(data, signed.message).entries}
        return found

    def _proof(self, digest: Digest) -> Signed[ActivityProof]:
        raw = self._archive.proof(digest)
        if raw is None:
            raise KeyError(f"the proof 0x{digest.hex()} was not gathered")
        return decode(Signed[ActivityProof], raw)


def _parse(data: bytes, inventory: Inventory) -> InventoryIndex:
    try:
        index: InventoryIndex = decode(InventoryIndex, data)
    except CodecError as error:
        raise Wrong(f"the index of {inventory.validator} for epoch {inventory.epoch}: {error}") from error
    check_index(index, inventory)
    return index
