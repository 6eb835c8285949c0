"""Proofs that an inventory names and that do not verify. That they are the very ones which are named follows from their digests, so whoever
counted them did what no validator may; it is no fault of who serves them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from chain.canonical import decode
from chain.errors import CodecError
from chain.network import Network
from chain.rules import Rules
from chain.typed import Signed
from chain.types import Digest, to_hex
from chain.view import Listing
from validator.archive import Archive
from validator.peers import Asks
from validator.verification import ListedRoles, verify_contents, verify_envelope
from wire.agreement import InventoryIndex
from wire.http import PeerError
from wire.messages import Inventory
from wire.refusals import Refused

LOOKED_AT = 8
"""Proofs of one inventory that are looked at: one is enough."""


async def refused_proofs(
    network: Network,
    rules: Rules,
    archive: Archive,
    client: Asks,
    signed: Signed[Inventory],
    roles: ListedRoles,
    sources: Sequence[Listing],
) -> Mapping[Digest, str]:
    """Of the first proofs that an inventory names and that are not here, those that are refused, and why. Its index is here."""
    data = archive.file(signed.message.index_digest)
    if data is None:
        return {}
    index: InventoryIndex = decode(InventoryIndex, data)
    named = [entry.proof for entry in index.entries]
    held = await asyncio.to_thread(archive.proof_subjects, named)
    found = {}
    for digest in [one for one in named if one not in held][:LOOKED_AT]:
        for source in sources:
            try:
                raw = await client.get(source.endpoint, f"/v1/proofs/{to_hex(digest)}")
                reason = _why(raw, digest, signed.message.epoch, network, rules, roles)
            except (PeerError, Refused, CodecError):  # the bytes are not those of the proof
                continue
            if reason:
                found[digest] = reason
                break
    return found


def _why(raw: bytes, digest: Digest, epoch: int, network: Network, rules: Rules, roles: ListedRoles) -> str:
    """Why the proof of this digest is refused, empty if it is not or these are other bytes. Raises `Refused` for a wrong envelope."""
    envelope = verify_envelope(raw, network.domain, rules)
    if envelope.digest != digest:
        return ""
    if envelope.signed.message.epoch != epoch:
        return f"it is of epoch {envelope.signed.message.epoch}"
    try:
        verify_contents(envelope, network.domain, network.timing, rules, roles, None)
    except Refused as refused:
        return str(refused)
    return ""
