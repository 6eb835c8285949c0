"""Limits as people write them, `80ms`, `50Mbit`, `0.02` DPN, and as messages carry them: microseconds, bit/s, wei. Pure.

Every function raises `ValueError` with a sentence that says what is expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from chain.amounts import EXACT, ONE_TOKEN

MICROSECONDS: Mapping[str, int] = {"us": 1, "ms": 1_000, "s": 1_000_000}
BITS: Mapping[str, int] = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
WEI: Mapping[str, int] = {"": ONE_TOKEN, "dpn": ONE_TOKEN, "wei": 1}

_NUMBER = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?) ?([A-Za-z]*)")


def parse_rtt(text: str) -> int:
    """A round trip such as `80ms`, in microseconds, below 2^32."""
    return _parsed(text, MICROSECONDS, 2**32, "a time such as 80ms or 0.2s is expected")


def parse_bandwidth(text: str) -> int:
    """A bandwidth such as `50Mbit` (a second), in bit/s, below 2^64."""
    return _parsed(text.removesuffix("/s"), BITS, 2**64, "a bandwidth such as 50Mbit or 1Gbit is expected")


def parse_price(text: str) -> int:
    """A price for one GiB such as `0.02` (DPN) or `500wei`, in wei, below 2^128."""
    return _parsed(text, WEI, 2**128, "a price for one GiB such as 0.02 (DPN) or 500wei is expected")


def parse_budget(text: str) -> int:
    """An amount such as `5` (DPN) or `500wei`, in wei, above 0 and below 2^96."""
    amount = _parsed(text, WEI, 2**96, "an amount such as 5 (DPN) or 500wei is expected")
    if amount == 0:
        raise ValueError(f"{text!r} buys nothing: an amount above 0 is expected")
    return amount


def _parsed(text: str, units: Mapping[str, int], below: int, expected: str) -> int:
    found = _NUMBER.fullmatch(text.strip())
    factor = units.get(found[2].lower()) if found else None
    if found is None or factor is None:
        raise ValueError(f"{text[:40]!r} is not understood: {expected}")
    exact = EXACT.multiply(Decimal(found[1]), factor)
    if exact != int(exact) or exact >= below:
        raise ValueError(f"{text[:40]!r} is too fine or too large: {expected}")
    return int(exact)
