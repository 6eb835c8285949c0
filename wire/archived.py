"""A file that validators archive, from whoever of them serves it: chunk by chunk, each checked against its name, which the chain says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from chain.canonical import decode
from chain.errors import CodecError
from chain.types import Digest, to_hex
from wire.agreement import FileIndex
from wire.http import Client, PeerError

MAX_BYTES = 128 << 20
"""The largest file that is taken."""


class NotServed(Exception):
    """No validator serves the file as its name says; each one's reason is in the sentence."""


async def archived_file(client: Client, endpoints: Iterable[str], digest: Digest) -> bytes:
    """The file whose index has this sha-256, from the first endpoint that serves all of it. Raises `NotServed`."""
    reasons = []
    for endpoint in endpoints:
        try:
            return await _from_one(client, endpoint, digest)
        except (PeerError, CodecError) as error:
            reasons.append(f"{endpoint}: {error}")
    raise NotServed(f"No validator serves the file {to_hex(digest)}. " + "; ".join(reasons))


async def _from_one(client: Client, endpoint: str, digest: Digest) -> bytes:
    index: FileIndex = decode(FileIndex, await _blob(client, endpoint, digest))
    if index.size > MAX_BYTES or len(index.chunks) > index.size:
        raise CodecError("out_of_range", f"a file of {index.size} bytes in {len(index.chunks)} chunks is not taken", "size")
    data = bytearray()
    for chunk in index.chunks:
        data += await _blob(client, endpoint, chunk)
        if len(data) > index.size:
            break
    if len(data) != index.size:
        raise CodecError("out_of_range", f"its chunks make {len(data)} bytes or more, not the {index.size} it names", "size")
    return bytes(data)


async def _blob(client: Client, endpoint: str, digest: Digest) -> bytes:
    data = await client.get(endpoint, f"/v1/blobs/{to_hex(digest)}")
    if hashlib.sha256(data).digest() != digest:
        raise CodecError("out_of_range", f"other bytes come under the name {to_hex(digest)}")
    return data
