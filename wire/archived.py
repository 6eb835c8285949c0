"""A file that validators archive, from whoever of them serves it: chunk by chunk, each checked against its name, which the chain says."""

from __future__ import annotations

from collections.abc import Iterable

from chain.errors import CodecError
from chain.types import Digest, to_hex
from wire.files import CHUNK_BYTES, chunk_size, parse_index, sha256
from wire.http import Client, PeerError


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
    index = parse_index(await _blob(client, endpoint, digest, CHUNK_BYTES))
    data = bytearray()
    for number, chunk in enumerate(index.chunks):
        data += await _blob(client, endpoint, chunk, chunk_size(index, number))
    if len(data) != index.size:
        raise CodecError("out_of_range", f"its chunks make {len(data)} bytes, not the {index.size} it names", "size")
    return bytes(data)


async def _blob(client: Client, endpoint: str, digest: Digest, most: int) -> bytes:
    data = await client.get(endpoint, f"/v1/blobs/{to_hex(digest)}", most)
    if sha256(data) != digest:
        raise CodecError("out_of_range", f"other bytes come under the name {to_hex(digest)}")
    return data
