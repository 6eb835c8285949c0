"""Amounts as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.amounts import parse_tokens, tokens


@given(st.integers(1, 2**96 - 1))
def test_what_is_shown_parses_to_the_same_amount(amount: int) -> None:
    assert parse_tokens(tokens(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "0"), (1, "0.000000000000000001"), (10**18, "1"), (1_500 * 10**15, "1.5"), (10**20, "100")]
)
def test_amounts_are_shown_without_rounding(amount: int, shown: str) -> None:
    assert tokens(amount) == shown


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "nan", "inf", "-inf", "1e999999", "0.0000000000000000001", "1,5", str(2**96)])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_tokens(text)
