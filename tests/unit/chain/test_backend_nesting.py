"""Deep JSON is recognised before a parser sees it, and honest JSON is never mistaken for it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.nesting import too_deep


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max((depth(member) for member in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth(member) for member in value), default=0)
    return 0


@given(
    st.recursive(
        st.none() | st.text() | st.sampled_from(['"[[[', "{{{", "\\", '\\"[', "]]"]),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.integers(min_value=0, max_value=8),
)
def test_tells_the_depth_of_any_json(value: object, limit: int) -> None:
    assert too_deep(json.dumps(value).encode(), limit) == (depth(value) > limit)
    assert too_deep(json.dumps(value, ensure_ascii=False).encode(), limit) == (depth(value) > limit)


@pytest.mark.parametrize(
    "text", [b"[" * 100, b'{"a":' * 100, b"[{" * 50, ("[" * 100).encode("utf-16"), b'"\\' + b"[" * 65 + b'"' + b"[" * 65]
)
def test_unfinished_nesting_counts(text: bytes) -> None:
    assert too_deep(text)


@pytest.mark.parametrize("text", [b"", b"[]", b"[" * 64, b"[]," * 1000, b'"' + b"[" * 1000 + b'"', b'"\\"' + b"[" * 1000])
def test_breadth_and_text_do_not(text: bytes) -> None:
    assert not too_deep(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ['["\u0122",', '["\u2201",', '["\u5c22",', '["\u225c",'])
def test_what_ends_a_string_in_utf_8_alone_hides_nothing(text: str, encoding: str) -> None:
    assert too_deep((text + "[" * 100).encode(encoding))


def test_looks_at_every_byte_once() -> None:
    # Quadratic work would take hours for these, linear takes a moment; pytest's own limit is what fails the test.
    for text in (b'"\\' * 1_000_000, b"[" * 65 + b'"' + b'\\"' * 1_000_000, b"]" * 1_000_000 + b"[" * 65, b'["]"],' * 200_000):
        started = time.process_time()
        too_deep(text)
        assert started <= time.process_time()
