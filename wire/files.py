"""Files as the network names them: chunks of at most 1 MiB, an index of their sha-256 sums, and the index's own sha-256 as the name.

A file's digest depends on nothing but its bytes, so what was fetched from a stranger is checked piece by piece before it is kept.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator

from chain.canonical import decode, encode
from chain.errors import CodecError
from chain.types import Digest
from wire.agreement import FileIndex

CHUNK_BYTES = 1 << 20
MAX_FILE_BYTES = 128 * CHUNK_BYTES
"""The largest file that is taken from another validator: a manifest of seven epochs names 130,000 depositors in it."""


def sha256(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).digest())


def chunks_of(data: bytes) -> Iterator[bytes]:
    """The chunks of a file, in order, one after the other; every chunk but the last is full. An empty file has none."""
    return (data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))


def index_of(data: bytes) -> FileIndex:
    return FileIndex(len(data), tuple(sha256(chunk) for chunk in chunks_of(data)))


def file_digest(data: bytes) -> Digest:
    """The name of a file with these bytes."""
    return sha256(encode(index_of(data)))


def parse_index(blob: bytes) -> FileIndex:
    """A file's index. `CodecError`: not canonical, `out_of_range` for a file that is too large or whose size does not fit its chunks."""
    index: FileIndex = decode(FileIndex, blob)
    if index.size > MAX_FILE_BYTES:
        raise CodecError("out_of_range", f"a file of {index.size} bytes is larger than the {MAX_FILE_BYTES} that are taken", "size")
    if len(index.chunks) != -(-index.size // CHUNK_BYTES):
        raise CodecError("out_of_range", f"{len(index.chunks)} chunks do not make a file of {index.size} bytes", "chunks")
    return index


def chunk_size(index: FileIndex, number: int) -> int:
    """How long the chunk of this number has to be."""
    return min(CHUNK_BYTES, index.size - number * CHUNK_BYTES)


def assemble(digest: Digest, blob: Callable[[Digest], bytes | None]) -> bytes | None:
    """The file of this digest from blobs by their digests; None while one is missing. `CodecError` if its index is no index."""
    head = blob(digest)
    if head is None:
        return None
    index, whole = parse_index(head), io.BytesIO()
    for number, name in enumerate(index.chunks):
        part = blob(name)
        if part is None:
            return None
        if len(part) != chunk_size(index, number):
            raise CodecError("out_of_range", f"chunk {number} has {len(part)} bytes", "chunks")
        whole.write(part)
    return whole.getvalue()  # without a copy
