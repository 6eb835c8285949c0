"""Bytes packed for the way and the disk: one Zstandard frame. What is named by a digest is named by its unpacked bytes.

A frame may come from anybody, so it is unpacked into so much memory and no more, whatever it says of itself.
"""

from __future__ import annotations

import zstandard

from chain.errors import CodecError

ENCODING = "zstd"
"""The name of it in `Accept-Encoding` and `Content-Encoding`."""
LEVEL = 1
"""What is kept is hexadecimal digits, which pack to a third at every level, and fastest at this one."""
SMALLEST_WINDOW = 1_024
"""Bytes; a frame that does not say its size cannot ask for less."""
_MAGIC = b"\x28\xb5\x2f\xfd"


def pack(content: bytes) -> bytes:
    """One frame of `content`, which is not empty: with its size, without a dictionary, with a window that is no larger than it."""
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=False, write_content_size=True).compress(content)


def is_packed(content: bytes) -> bool:
    """Whether these bytes begin as a frame does."""
    return content.startswith(_MAGIC)


def unpack(frame: bytes, most: int) -> bytes:
    """What is packed in a frame, in no more than `most` bytes of memory beside it.

    `CodecError`: `body_too_large` if it is more than `most` bytes, or asks for a window larger than that; `bad_encoding` if these bytes are
    not exactly one frame without a dictionary.
    """
    if not is_packed(frame):
        raise CodecError("bad_encoding", "a Zstandard frame is expected")
    try:
        said = zstandard.get_frame_parameters(frame)
        known = said.content_size != zstandard.CONTENTSIZE_UNKNOWN
        if (known and said.content_size > most) or said.window_size > max(most, SMALLEST_WINDOW):
            raise CodecError("body_too_large", f"a frame needs a window or room for more than the {most} bytes that are taken")
        if said.dict_id or said.content_size == 0:
            raise CodecError("bad_encoding", "a frame needs a dictionary, or says that it holds nothing")
        # Into one piece of memory of the size that is said, or of `most`: more than that does not come out of a frame.
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=most, read_across_frames=False, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CodecError("bad_encoding", f"not one whole frame of at most {most} bytes: {error}") from error


def most_packed(most: int) -> int:
    """The size of the largest frame that is taken for `most` bytes: those of what does not get smaller by packing."""
    return most + most // 256 + 256
