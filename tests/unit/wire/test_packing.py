"""One frame in, one frame out, and no more memory than was agreed, whatever a frame says of itself."""

from __future__ import annotations

import os
import struct
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import CodecError
from wire.packing import most_packed, pack, unpack

MOST = 1 << 20
FRAME = pack(b"a" * MOST)
BOMB = pack(b"a" * (1 << 28))
"""8 KiB that say that they are 256 MiB, and are."""


def without_size(content: bytes, window_log: int) -> bytes:
    """As a sender packs who does not know how much there will be."""
    chosen = zstandard.ZstdCompressionParameters.from_level(3, window_log=window_log, write_content_size=False)
    return zstandard.ZstdCompressor(compression_params=chosen).compress(content)


def asking(window_log: int) -> bytes:
    """A small frame that asks for this window."""
    frame = without_size(b"a" * 100, 17)
    assert frame[4] & 0b1110_0000 == 0  # no size, no segment: the window comes next
    return frame[:5] + bytes([(window_log - 10) << 3]) + frame[6:]


def with_dictionary(content: bytes) -> bytes:
    words = zstandard.train_dictionary(2_000, [b"words %d" % number * 20 for number in range(2_000)])
    return zstandard.ZstdCompressor(dict_data=words).compress(content)


def saying(frame: bytes, size: int) -> bytes:
    """A frame of more than 64 KiB with another size in its head."""
    assert frame[4] >> 6 == 2  # four bytes of size
    place = 5 if frame[4] & 0b10_0000 else 6  # behind the window, if it is no single segment
    return frame[:place] + struct.pack("<I", size) + frame[place + 4 :]


@given(st.binary(min_size=1, max_size=3_000))
def test_what_is_packed_comes_back(content: bytes) -> None:
    frame = pack(content)
    assert unpack(frame, len(content)) == content
    assert len(frame) <= most_packed(len(content))
    with pytest.raises(CodecError):
        unpack(frame, len(content) - 1)


def test_what_cannot_get_smaller_hardly_gets_larger() -> None:
    noise = os.urandom(MOST)
    assert len(pack(noise)) <= most_packed(MOST) < MOST + MOST // 100
    assert unpack(pack(noise), MOST) == noise


def test_a_frame_without_its_size_is_taken_up_to_the_bound() -> None:
    assert unpack(without_size(b"ab" * 5_000, window_log=17), MOST) == b"ab" * 5_000
    assert unpack(without_size(b"a" * MOST, window_log=20), MOST) == b"a" * MOST


HOSTILE = {
    "a bomb": (BOMB, "body_too_large"),
    "a bomb that does not say so": (without_size(b"a" * (1 << 28), window_log=20), "bad_encoding"),
    "a bomb that says it is small": (saying(BOMB, MOST), "bad_encoding"),
    "one byte too many": (without_size(b"a" * (MOST + 1), window_log=20), "bad_encoding"),
    "less than it says": (saying(pack(b"a" * 70_000), 70_001), "bad_encoding"),
    "a window above the bound": (asking(21), "body_too_large"),
    "the largest window": (asking(31), "body_too_large"),
    "two frames": (FRAME + FRAME, "bad_encoding"),
    "garbage behind": (FRAME + b"\0", "bad_encoding"),
    "an empty frame before": (zstandard.ZstdCompressor().compress(b"") + FRAME, "bad_encoding"),
    "a frame to skip before": (b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + FRAME, "bad_encoding"),
    "a frame to skip behind": (FRAME + b"\x50\x2a\x4d\x18\x04\0\0\0abcd", "bad_encoding"),
    "nothing in it": (zstandard.ZstdCompressor().compress(b""), "bad_encoding"),
    "a dictionary": (with_dictionary(b"words 12" * 50), "bad_encoding"),
    "cut short": (FRAME[:-1], "bad_encoding"),
    "its head": (FRAME[:9], "bad_encoding"),
    "its name": (FRAME[:4], "bad_encoding"),
    "nothing": (b"", "bad_encoding"),
    "not packed": (b"{}", "bad_encoding"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_else_comes_is_refused_in_bounded_memory(what: str) -> None:
    frame, code = HOSTILE[what]
    tracemalloc.start()
    try:
        with pytest.raises(CodecError) as refused:
            unpack(frame, MOST)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.code == code
    assert peak < MOST + 100_000
    assert len(str(refused.value)) < 300


@given(st.binary(max_size=300), st.integers(0, 200))
def test_bytes_of_a_stranger_are_a_refusal_or_within_the_bound(noise: bytes, place: int) -> None:
    changed = pack(b"0123456789abcdef" * 64)[:place] + noise
    try:
        assert len(unpack(changed, 2_048)) <= 2_048
    except CodecError as error:
        assert error.code in ("bad_encoding", "body_too_large")
