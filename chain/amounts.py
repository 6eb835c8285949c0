"""Amounts as people write them: whole tokens; inside, an amount is an integer in wei."""

from __future__ import annotations

from decimal import Context, Decimal

from chain.types import Wei

ONE_TOKEN = 10**18
"""Wei in one whole token."""
EXACT = Context(prec=100)
"""Python rounds to 28 digits by default, and an amount may have 29."""


def tokens(amount: int) -> str:
    """An amount in wei as whole tokens, without rounding: `1.5`."""
    whole, rest = divmod(amount, ONE_TOKEN)
    return f"{whole}.{rest:018d}".rstrip("0").rstrip(".")


def parse_tokens(text: str) -> Wei:
    """Whole tokens such as `1.5` in wei; `ValueError` for what is no positive amount, or finer than a wei."""
    try:
        amount = EXACT.multiply(Decimal(text), ONE_TOKEN)
        fits = 0 < amount < 2**96 and amount == int(amount)
    except (ArithmeticError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"{text!r} is not an amount of tokens: a positive number with at most 18 decimals is expected")
    return Wei(int(amount))
