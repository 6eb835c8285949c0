"""Frames and the messages in them: what is written is read, everything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import CodecError
from chain.types import Digest
from wire.tunnel import (
    ANSWERED,
    DATA,
    HEADER,
    JOIN,
    LONGEST,
    MESSAGES,
    MOST_MESSAGE,
    OPEN,
    PING,
    Answered,
    Beat,
    Join,
    Open,
    Word,
    frame,
    header,
    parse_header,
    read_message,
)


@given(st.integers(0, 255), st.integers(0, LONGEST))
def test_a_header_is_read_as_it_was_written(kind: int, length: int) -> None:
    head = header(kind, length)
    assert len(head) == HEADER
    assert parse_header(head) == (kind, length)


@pytest.mark.parametrize(
    ("kind", "message"),
    [(PING, Beat(7)), (JOIN, Join(Digest(b"a" * 32), Digest(b"b" * 32))), (OPEN, Open("example.org", 443)), (ANSWERED, Answered("ok"))],
)
def test_a_message_is_read_as_it_was_written(kind: int, message: object) -> None:
    framed = frame(kind, message)
    assert parse_header(framed[:HEADER]) == (kind, len(framed) - HEADER)
    assert read_message(kind, framed[HEADER:]) == message


@pytest.mark.parametrize(
    ("kind", "content", "code"),
    [
        (DATA, b"{}", "malformed_json"), (255, b"{}", "malformed_json"), (PING, b"", "malformed_json"), (PING, b"{}", "missing_field"),
        (PING, b'{"number":1,"x":2}', "unknown_field"), (PING, b'{"number": 1}', "not_canonical"), (PING, b'{"number":-1}', "out_of_range"),
        (OPEN, b'{"host":"a","port":65536}', "out_of_range"), (OPEN, b'{"host":1,"port":1}', "wrong_type"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(kind: int, content: bytes, code: str) -> None:
    with pytest.raises(CodecError) as caught:
        read_message(kind, content)
    assert caught.value.code == code


@given(st.sampled_from(sorted(MESSAGES)), st.binary(max_size=300))
def test_garbage_is_refused_with_a_code(kind: int, content: bytes) -> None:
    with pytest.raises(CodecError):
        read_message(kind, content)


def test_a_message_too_long_to_be_taken_is_not_made() -> None:
    with pytest.raises(ValueError, match="longer than"):
        frame(25, Word("busy", "a" * MOST_MESSAGE))
