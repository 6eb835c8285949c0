"""Writes the files that an audit of an epoch needs into a folder, each named by its digest as on the network's paths.

Folders are laid out as the paths of a validator are, so one may be put behind any web server, and several epochs go into one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chain.canonical import decode
from chain.client import ChainClient
from chain.errors import CodecError
from chain.events import Posted
from chain.typed import Domain, Signed, digest_of
from chain.types import Digest, to_hex
from runtime.terminal import CommandFailed, NothingToDo
from wire.agreement import InventoryIndex, Manifest
from wire.files import CHUNK_BYTES, parse_index, sha256
from wire.http import MAX_ANSWER, Client, PeerError
from wire.messages import ActivityProof

AT_ONCE = 8


@dataclass(slots=True)
class Exported:
    """What lies in the folder now. bytes: of all that was written."""

    blobs: int = 0
    proofs: int = 0
    bytes: int = 0


async def export(chain: ChainClient, client: Client, endpoint: str, epoch: int, folder: Path) -> Exported:
    """Everything behind the epoch's root from one validator, checked against its digests. What is in the folder already stays.

    `NothingToDo` without a root; `CommandFailed` if the validator does not have it all.
    """
    view = await chain.view(await chain.latest())
    posted = view.posting(epoch)
    if posted is None:
        raise NothingToDo(f"No root was posted for epoch {epoch}: there is nothing to export.")
    try:
        return await _Export(client, endpoint, folder, chain.network.domain).of(posted, view.root_before(epoch))
    except (PeerError, CodecError) as error:
        raise CommandFailed(f"{endpoint} does not serve all of epoch {epoch}: {error}. What has come so far is in {folder}.") from error


class _Export:
    def __init__(self, client: Client, endpoint: str, folder: Path, domain: Domain) -> None:
        self._client, self._endpoint, self._folder, self._domain = client, endpoint, folder, domain
        self._done = Exported()

    async def of(self, posted: Posted, parent: Posted | None) -> Exported:
        for kind in ("blobs", "proofs"):
            (self._folder / kind).mkdir(parents=True, exist_ok=True)
        manifest: Manifest = decode(Manifest, await self._file(posted.manifest_digest))
        for digest in {posted.state_digest, *([parent.state_digest] if parent is not None else [])}:
            await self._file(digest)
        proofs: set[Digest] = set()
        for covered in manifest.covered:
            for signed in covered.inventories:
                index: InventoryIndex = decode(InventoryIndex, await self._file(signed.message.index_digest))
                proofs |= {entry.proof for entry in index.entries}
        gate = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._proof(digest, gate) for digest in sorted(proofs)))
        return self._done

    async def _file(self, digest: Digest) -> bytes:
        """A file's bytes; its index and its chunks are written."""
        index = parse_index(await self._blob(digest))
        return b"".join([await self._blob(chunk) for chunk in index.chunks])

    async def _blob(self, digest: Digest) -> bytes:
        content = await self._kept("blobs", digest, CHUNK_BYTES, sha256)
        self._done.blobs += 1
        return content

    async def _proof(self, digest: Digest, gate: asyncio.Semaphore) -> None:
        async with gate:
            await self._kept("proofs", digest, MAX_ANSWER, lambda raw: digest_of(decode(Signed[ActivityProof], raw).message, self._domain))
        self._done.proofs += 1

    async def _kept(self, kind: str, digest: Digest, most: int, name: Callable[[bytes], Digest]) -> bytes:
        file = self._folder / kind / to_hex(digest)
        if file.exists():
            content = file.read_bytes()
            if name(content) == digest:
                return content
        content = await self._client.get(self._endpoint, f"/v1/{kind}/{to_hex(digest)}", most)
        if name(content) != digest:
            raise CodecError("out_of_range", f"other bytes come under the name {to_hex(digest)}")
        part = file.with_suffix(f".{os.getpid()}")
        part.write_bytes(content)
        part.replace(file)
        self._done.bytes += len(content)
        return content
