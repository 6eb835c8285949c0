"""What validators archive, read back by a stranger: files by their digests, chunk by chunk, each checked against its name.

The digests come from the chain (`Posted`), so a validator that serves something else is found out here, not believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from chain.canonical import decode
from chain.merkle import MerkleTree
from chain.messages import Leaf
from chain.typed import Signed
from chain.types import Address, Digest, to_hex
from devnet.layout import Place
from wire.agreement import FileIndex, InventoryIndex, Manifest
from wire.http import Client, PeerError
from wire.messages import ActivityProof


class NotServed(Exception):
    """A validator does not serve something, or serves other bytes under its name; a sentence."""


async def blob(client: Client, validator: Place, digest: Digest) -> bytes:
    """The bytes whose sha-256 is `digest`; `NotServed` otherwise."""
    try:
        data = await client.get(validator.endpoint, f"/v1/blobs/{to_hex(digest)}")
    except PeerError as error:
        raise NotServed(f"{validator.name} does not serve {to_hex(digest)}: {error}") from error
    if hashlib.sha256(data).digest() != digest:
        raise NotServed(f"{validator.name} serves other bytes under {to_hex(digest)}")
    return data


async def file(client: Client, validator: Place, digest: Digest) -> bytes:
    """A whole file by the digest of its index."""
    index: FileIndex = decode(FileIndex, await blob(client, validator, digest))
    data = b"".join([await blob(client, validator, chunk) for chunk in index.chunks])
    if len(data) != index.size:
        raise NotServed(f"{validator.name} serves {len(data)} bytes of {index.size} under {to_hex(digest)}")
    return data


async def tree_of(client: Client, validator: Place, state: Digest, treasury: Address) -> MerkleTree:
    """The tree of a root, built here from the bytes of its state file."""
    return tree_of_bytes(await file(client, validator, state), treasury)


def tree_of_bytes(state: bytes, treasury: Address) -> MerkleTree:
    """The tree of a state file's bytes: a leaf an account, and always the treasury's."""
    accounts = json.loads(state)["accounts"]
    leaves = {
        one["account"]: Leaf(Address(one["account"]), *(int(one[name]) for name in ("earned", "spent", "points", "reputation")))
        for one in accounts
    }
    leaves.setdefault(treasury, Leaf(treasury, 0, 0, 0, 0))
    return MerkleTree(tuple(leaves.values()))


async def manifest_digest(client: Client, validator: Place, epoch: int) -> str:
    """What the validator names as the manifest of a posted epoch, `0x` hex; empty if it names none."""
    try:
        answer = json.loads(await client.get(validator.endpoint, f"/v1/manifests/{epoch}"))
    except (PeerError, ValueError):
        return ""
    return str(answer.get("digest", "")) if isinstance(answer, dict) else ""


async def slots_proven(client: Client, validator: Place, digest: str, masters: int) -> int:
    """Slots up by an archived proof: set in a resolver's map and in those of more than half of `masters`; 0 if it is not archived."""
    try:
        raw = await client.get(validator.endpoint, f"/v1/proofs/{digest}")
    except PeerError:
        return 0
    signed: Signed[ActivityProof] = decode(Signed[ActivityProof], raw)
    seen = 0
    by_master: dict[Address, int] = {}
    for ticket in signed.message.tickets:
        seen |= int.from_bytes(ticket.message.slots, "little")
    for report in signed.message.reports:
        by_master[report.message.master] = by_master.get(report.message.master, 0) | int.from_bytes(report.message.slots, "little")
    return sum(seen >> slot & 1 and 2 * sum(map_ >> slot & 1 for map_ in by_master.values()) > masters for slot in range(seen.bit_length()))


async def proofs_of(client: Client, validator: Place, manifest: Digest) -> Mapping[int, Mapping[Address, frozenset[str]]]:
    """By covered epoch and provider, the digests of the proofs that a manifest's inventories name."""
    parsed: Manifest = decode(Manifest, await file(client, validator, manifest))
    found: dict[int, dict[Address, frozenset[str]]] = {}
    for covered in parsed.covered:
        by_provider: dict[Address, set[str]] = {}
        for signed in covered.inventories:
            index: InventoryIndex = decode(InventoryIndex, await file(client, validator, signed.message.index_digest))
            for entry in index.entries:
                by_provider.setdefault(entry.provider, set()).add(to_hex(entry.proof))
        found[covered.epoch] = {provider: frozenset(digests) for provider, digests in by_provider.items()}
    return found
