"""The input of a root on the own disk: inventories with their indices and every proof they name, verified.

An index is one validator's word. It is held in memory until it is seen to be what its inventory says, and what is fetched for it is
bounded: by how many proofs the epoch can have, and, where nobody but their senders has signed them, by the bytes that an intake takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock

from chain.canonical import decode
from chain.epochs import MAX_COVERED, Timing
from chain.rules import Rules
from chain.typed import Domain, Signed
from chain.types import Digest
from chain.view import Listing
from validator.archive import Archive
from validator.errors import Wrong
from validator.manifests import index_size, most_entries, read_index
from validator.peers import Peers
from validator.verification import STRANGERS_QUOTA_BYTES, ListedRoles, VerifiedProof, is_unsigned, verify_proof
from wire.agreement import ChainSection, InventoryIndex, Manifest
from wire.messages import ActivityProof, Inventory

MOST_PARTS = 256
"""Chunks of indices, of 1 MiB, that wait in memory for the rest of theirs; beyond that those begun first are forgotten."""

Key = tuple[int, Digest, int]
"""An inventory's epoch, index and count."""


@dataclass(slots=True)
class Begun:
    """Of an inventory that is not complete. parts: of its index, by their numbers. unsigned: proofs that came for it with nothing in them
    that anybody else has signed, of so many bytes. wrong: why it will never be complete."""

    parts: dict[int, bytes] = field(default_factory=dict)
    unsigned: set[Digest] = field(default_factory=set)
    unsigned_bytes: int = 0
    wrong: str = ""
    counting: Lock = field(default_factory=Lock)

    def count_unsigned(self, proof: Digest, size: int) -> int:
        """All their bytes with this one, which counts once, however often and in however many threads it comes."""
        with self.counting:
            if proof not in self.unsigned:
                self.unsigned.add(proof)
                self.unsigned_bytes += size
            return self.unsigned_bytes


class Evidence:
    """Gathers the bytes behind inventories, and hands them out as values once they are all here."""

    def __init__(self, archive: Archive, peers: Peers, domain: Domain, timing: Timing, rules: Rules) -> None:
        self._archive, self._peers = archive, peers
        self._domain, self._timing, self._rules = domain, timing, rules
        self._complete: set[Key] = set()
        self._begun: dict[Key, Begun] = {}

    async def gather(
        self, signed: Signed[Inventory], section: ChainSection, peers: Sequence[Listing], patience_s: float | None = None
    ) -> bool:
        """Whether every byte behind an inventory is here, after asking these peers in turn for what is not: first the one that is bound to
        have it all.

        section: of its epoch. patience_s: how long its index is waited for, and then its proofs. Looking at what is here is not broken off,
        however long it takes, as it would begin anew each time.

        Raises `Wrong` if its index is not what the inventory says, or names what no intake can have taken.
        """
        inventory = signed.message
        key = (inventory.epoch, inventory.index_digest, inventory.count)  # all that is checked of it here
        if key in self._complete:
            return True
        begun = self._begun_with(key)
        try:
            if begun.wrong:
                raise Wrong(begun.wrong)
            whole = await self._gather(inventory, section, begun, peers, patience_s)
        except Wrong as wrong:
            begun.wrong, begun.parts = str(wrong), {}  # for good, as digests name what is wrong
            raise
        if whole:
            self._complete.add(key)
            self._begun.pop(key, None)
        return whole

    async def _gather(
        self, inventory: Inventory, section: ChainSection, begun: Begun, peers: Sequence[Listing], patience_s: float | None
    ) -> bool:
        index = await self._index(inventory, section, begun, peers, patience_s)
        if index is None:
            return False
        roles, entries = ListedRoles.of(section.roles), {entry.proof: entry.provider for entry in index.entries}
        whose = f"the index of {inventory.validator} names"

        def check(raw: bytes) -> VerifiedProof:
            found = verify_proof(raw, self._domain, self._timing, self._rules, roles, None)
            if found.digest in entries:  # else another one was served than was asked for
                subject = (found.signed.message.provider, found.signed.message.epoch)
                if subject != (entries[found.digest], inventory.epoch):  # without statements it verifies whatever epoch it names
                    begun.wrong = f"{whose} a proof as another provider's or epoch's"
                if is_unsigned(raw) and begun.count_unsigned(found.digest, len(raw)) > STRANGERS_QUOTA_BYTES:
                    begun.wrong = f"{whose} more proofs without a statement by anybody else than an intake takes"
                if begun.wrong:
                    raise Wrong(begun.wrong)
            return found

        held = await asyncio.to_thread(self._archive.proof_subjects, tuple(entries))
        if len(held) < len(entries):
            missing = [digest for digest in entries if digest not in held]
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._peers.proofs(missing, peers, check, self._rules.proof_max_bytes)
            held = await asyncio.to_thread(self._archive.proof_subjects, tuple(entries))
        if begun.wrong:
            raise Wrong(begun.wrong)
        if any(subject != (entries[digest], inventory.epoch) for digest, subject in held.items()):
            raise Wrong(f"{whose} a proof as another provider's or epoch's")
        if len(held) < len(entries):
            return False
        if await asyncio.to_thread(self._unsigned_bytes, tuple(entries)) > STRANGERS_QUOTA_BYTES:
            raise Wrong(f"{whose} more proofs without a statement by anybody else than an intake takes")
        return True

    def _unsigned_bytes(self, proofs: Sequence[Digest]) -> int:
        """Of these proofs, those in which nobody else has signed anything; 0 if all of them together are fewer than an intake takes."""
        if self._archive.proof_bytes(proofs) <= STRANGERS_QUOTA_BYTES:
            return 0
        return sum(len(raw) for _, raw in self._archive.proofs(proofs) if is_unsigned(raw))

    async def _index(
        self, inventory: Inventory, section: ChainSection, begun: Begun, peers: Sequence[Listing], patience_s: float | None
    ) -> InventoryIndex | None:
        if inventory.count > most_entries(section):
            raise Wrong(
                f"the inventory of {inventory.validator} names {inventory.count} proofs; there can be {most_entries(section)} at most"
            )
        size = index_size(inventory)

        async def from_(some: Sequence[Listing]) -> InventoryIndex | None:
            sizes = range(size, size + 1)
            return await self._peers.checked_file(
                inventory.index_digest, sizes, lambda data: read_index(data, inventory), begun.parts, some
            )

        index = await from_(())
        if index is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    index = await from_(peers)
        if index is not None:
            begun.parts = {}
        return index

    def _begun_with(self, key: Key) -> Begun:
        """What has come of an inventory so far; of epochs that no root covers any more all is forgotten."""
        self._begun = {each: begun for each, begun in self._begun.items() if each[0] > key[0] - MAX_COVERED}
        while sum(len(begun.parts) for begun in self._begun.values()) > MOST_PARTS:
            del self._begun[next(iter(self._begun))]
        return self._begun.setdefault(key, Begun())

    def of(self, manifest: Manifest) -> Mapping[int, tuple[Signed[ActivityProof], ...]]:
        """The union of a manifest's inventories per covered epoch, in the order of the proofs' digests. All of it has been gathered."""
        return {covered.epoch: self._proofs(sorted(self._digests(covered.inventories))) for covered in manifest.covered}

    def _digests(self, inventories: Sequence[Signed[Inventory]]) -> set[Digest]:
        found: set[Digest] = set()
        for signed in inventories:
            data = self._archive.file(signed.message.index_digest)
            if data is None:
                raise KeyError(f"the index of {signed.message.validator} for epoch {signed.message.epoch} was not gathered")
            found |= {entry.proof for entry in read_index(data, signed.message).entries}
        return found

    def _proofs(self, digests: Sequence[Digest]) -> tuple[Signed[ActivityProof], ...]:
        found: dict[Digest, Signed[ActivityProof]] = {
            digest: decode(Signed[ActivityProof], raw) for digest, raw in self._archive.proofs(digests)
        }
        return tuple(found[digest] for digest in digests)  # `KeyError` if one was not gathered
