"""Files are named by their bytes alone, and put together only from the right pieces."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.canonical import encode
from chain.errors import CodecError
from chain.types import Digest
from wire.agreement import FileIndex
from wire.files import CHUNK_BYTES, MAX_FILE_BYTES, assemble, chunks_of, file_digest, index_of, parse_index, sha256


def blobs_of(data: bytes) -> dict[Digest, bytes]:
    return {sha256(blob): blob for blob in (*chunks_of(data), encode(index_of(data)))}


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_a_file_comes_back_from_its_pieces(size: int) -> None:
    data = bytes(i % 251 for i in range(min(size, 1_000))) * (size // 1_000 + 1)
    data = data[:size]
    blobs = blobs_of(data)
    assert all(len(blob) <= CHUNK_BYTES for blob in blobs.values())
    assert assemble(file_digest(data), blobs.get) == data
    for missing in blobs:
        left = {digest: blob for digest, blob in blobs.items() if digest != missing}
        assert assemble(file_digest(data), left.get) is None


def test_the_name_is_the_sha_256_of_the_index() -> None:
    chunk = hashlib.sha256(b"abc").hexdigest()
    index = f'{{"chunks":["0x{chunk}"],"size":3}}'.encode()
    assert file_digest(b"abc") == hashlib.sha256(index).digest()


@given(st.binary(max_size=200))
def test_garbage_is_no_index(data: bytes) -> None:
    with pytest.raises(CodecError):
        parse_index(data)


@pytest.mark.parametrize(
    "index",
    [
        FileIndex(MAX_FILE_BYTES + 1, (Digest(bytes(32)),) * 129),
        FileIndex(CHUNK_BYTES + 1, (Digest(bytes(32)),)),
        FileIndex(0, (Digest(bytes(32)),)),
        FileIndex(2**64 - 1, ()),
    ],
    ids=["too large", "too few chunks", "too many chunks", "largest size"],
)
def test_an_index_that_does_not_fit_its_file_is_refused(index: FileIndex) -> None:
    with pytest.raises(CodecError):
        parse_index(encode(index))


def test_a_chunk_of_another_length_is_refused() -> None:
    index = FileIndex(4, (sha256(b"abc"),))
    blobs = {sha256(b"abc"): b"abc", sha256(encode(index)): encode(index)}
    with pytest.raises(CodecError):
        assemble(sha256(encode(index)), blobs.get)
