"""How deep JSON nests, told before it is parsed.

Python's parser recurses in C, guarded by the interpreter's recursion limit. Libraries for Ethereum raise that limit a
hundredfold when they are imported (py_ecc does, and with it eth_account and the development chain), so a few hundred
kilobytes of `[` then end the process by overflowing its stack. Bytes from others are therefore looked at first.
"""

from __future__ import annotations

import re

MAX_DEPTH = 64
"""More than any message, request or keystore has."""
_LEVELS = bytes.maketrans(b"[]{}", b"()()")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_TOKENS = re.compile(rb'[\[{]|[\]}]|"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def too_deep(text: bytes, limit: int = MAX_DEPTH) -> bool:
    """Whether arrays and objects nest deeper than `limit`. Never false for valid JSON that does; one pass at most.

    True as well for as many brackets in what is not UTF-8: there strings do not end where they seem to.
    """
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    if b"\0" in text:  # no JSON in UTF-8 has one, and all in UTF-16 and UTF-32, which Python's parser takes bytes for, has them
        return True
    if b"\\" not in text:
        # Strings are every second piece between quotes; then each turn takes away the innermost level.
        left = b"".join(text.split(b'"')[::2]).translate(_LEVELS, _OTHERS)
        for _ in range(limit):
            left = left.replace(b"()", b"")
            if not left:
                return False
    depth = 0
    for match in _TOKENS.finditer(text):
        first = text[match.start()]
        if first in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif first in b"]}":
            depth -= 1
    return False
