"""Holds receipts against the inventories of those who signed them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from audit.inclusion import Omission, check_omission, is_included
from chain.canonical import decode
from chain.client import ChainClient
from chain.errors import CodecError
from chain.typed import Signed, verify
from chain.types import Address, Digest
from chain.view import Listing
from runtime.clock import SystemClock
from validator.archive import Archive
from validator.errors import Wrong
from validator.journal import Journal
from validator.manifests import check_inventory
from validator.peers import Asks, Peers
from validator.verification import VerifiedProof, verify_envelope
from wire.agreement import InventoryIndex, Manifest
from wire.messages import ActivityProof, Inventory, ProofReceipt

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Held:
    """What became of one receipt. outcome: `included`, `superseded` (a newer proof of the provider is), `omitted`, `too_early` (the epoch's
    end is not final), `unknown`: `detail` says what is missing. omission: the evidence, if it was omitted."""

    receipt: Signed[ProofReceipt]
    outcome: str
    detail: str = ""
    omission: Omission | None = None


class Receipts:
    """Looks receipts up; bytes come from the validators listed on chain, and are known by their digests."""

    def __init__(self, chain: ChainClient, archive: Archive, journal: Journal, client: Asks) -> None:
        self._chain, self._archive = chain, archive
        self._peers = Peers(client, archive, journal, chain.network.domain, SystemClock(), TIMEOUT_S)
        self._inventories: dict[int, Mapping[Address, Signed[Inventory]]] = {}

    async def look_up(self, receipts: Iterable[Signed[ProofReceipt]], own: Mapping[Digest, Signed[ActivityProof]]) -> list[Held]:
        """own: proofs that are at hand, by digest. Raises what the chain's node fails in."""
        return [await self._look_up(receipt, own) for receipt in receipts]

    async def _look_up(self, receipt: Signed[ProofReceipt], own: Mapping[Digest, Signed[ActivityProof]]) -> Held:
        said = receipt.message
        try:
            verify(receipt, self._chain.network.domain)
        except CodecError as error:
            return Held(receipt, "unknown", f"it is no receipt of {said.validator}: {error}")
        listed = (await self._chain.view(await self._chain.latest())).listed("validator")
        inventories = await self._of_epoch(said.epoch, listed)
        if inventories is None:
            return Held(receipt, "too_early")
        inventory = inventories.get(said.validator)
        if inventory is None:
            return Held(receipt, "unknown", f"nobody shows an inventory of {said.validator} for epoch {said.epoch}")
        index = await self._index(inventory.message, listed)
        if index is None:
            return Held(receipt, "unknown", f"nobody serves the index of {said.validator}'s inventory")
        return await self._judge(receipt, inventory, index, own, listed)

    async def _judge(
        self,
        receipt: Signed[ProofReceipt],
        inventory: Signed[Inventory],
        index: InventoryIndex,
        own: Mapping[Digest, Signed[ActivityProof]],
        listed: Collection[Listing],
    ) -> Held:
        included = is_included(receipt.message, index)
        if included:
            return Held(receipt, "included")
        shown: list[tuple[Signed[ActivityProof], ...]] = [(), ()]
        if included is None:
            entry = next(one.proof for one in index.entries if one.provider == receipt.message.provider)
            for place, digest in enumerate((receipt.message.proof, entry)):
                proof = own.get(digest) or await self._proof(digest, listed)
                if proof is None:
                    return Held(receipt, "unknown", f"nobody serves the proof 0x{digest.hex()}, so it is not known which one is newer")
                shown[place] = (proof,)
            if shown[1][0].message.sequence >= shown[0][0].message.sequence:
                return Held(receipt, "superseded")
        omission = Omission(receipt, shown[0], inventory, index, shown[1])
        try:
            check_omission(omission, self._chain.network.domain)
        except Wrong as wrong:
            return Held(receipt, "unknown", str(wrong))
        return Held(receipt, "omitted", omission=omission)

    async def _of_epoch(self, epoch: int, listed: Collection[Listing]) -> Mapping[Address, Signed[Inventory]] | None:
        """By validator: those that the validators show of themselves, and those in the epoch's manifest."""
        if epoch not in self._inventories:
            anchor = await self._chain.anchor(epoch)
            if anchor is None:
                return None
            stakes = {one.account: one.stake for one in (await self._chain.view(anchor)).validators()}
            await self._peers.inventories(listed, epoch, stakes)
            found = {signed.message.validator: signed for signed in self._archive.inventories(epoch)}
            for signed in await self._in_manifest(epoch, listed):
                try:
                    check_inventory(signed, epoch, stakes, self._chain.network.domain)
                except Wrong:
                    continue
                found.setdefault(signed.message.validator, signed)
            self._inventories[epoch] = found
        return self._inventories[epoch]

    async def _in_manifest(self, epoch: int, listed: Collection[Listing]) -> tuple[Signed[Inventory], ...]:
        posted = (await self._chain.view(await self._chain.latest())).root_covering(epoch)
        try:
            data = None if posted is None else await self._peers.file(posted.manifest_digest, tuple(listed))
            manifest: Manifest | None = None if data is None else decode(Manifest, data)
        except (Wrong, CodecError):
            return ()
        covered = () if manifest is None else manifest.covered
        return next((one.inventories for one in covered if one.epoch == epoch), ())

    async def _index(self, inventory: Inventory, listed: Collection[Listing]) -> InventoryIndex | None:
        try:
            data = await self._peers.file(inventory.index_digest, tuple(listed))
            return None if data is None else decode(InventoryIndex, data)
        except (Wrong, CodecError):
            return None

    async def _proof(self, digest: Digest, listed: Collection[Listing]) -> Signed[ActivityProof] | None:
        network = self._chain.network

        def check(raw: bytes) -> VerifiedProof:
            envelope = verify_envelope(raw, network.domain, network.rules)
            return VerifiedProof(envelope.signed, envelope.digest, envelope.raw)

        await self._peers.proofs([digest], tuple(listed), check)
        raw = self._archive.proof(digest)
        return None if raw is None else decode(Signed[ActivityProof], raw)
