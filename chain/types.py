"""Values with a meaning: what a number, a string or some bytes stand for, said once.

Solidity types are written as annotations, so that an EIP-712 type can be derived from a dataclass (`chain.typed`)
and its range checked where bytes are parsed (`chain.canonical`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NewType

Address = NewType("Address", str)
"""An account: `0x` and 40 lower-case hexadecimal digits (no checksum; wallets' checksummed form is parsed at the edge)."""

Digest = NewType("Digest", bytes)
"""32 bytes: an EIP-712 digest, a block hash, a Merkle node or a sha-256 sum."""

Signature = NewType("Signature", bytes)
"""65 bytes r, s, v; s in the lower half of the order, v 27 or 28."""

Wei = NewType("Wei", int)
"""Reward tokens in units of 10^-18."""

ZERO_ADDRESS = Address("0x" + "00" * 20)
ZERO_DIGEST = Digest(bytes(32))
PPM = 1_000_000
"""One, in parts per million."""


@dataclass(frozen=True, slots=True)
class SolidityType:
    """Marks an annotation with its Solidity type, such as `uint64`."""

    name: str


U8 = Annotated[int, SolidityType("uint8")]
U16 = Annotated[int, SolidityType("uint16")]
U32 = Annotated[int, SolidityType("uint32")]
U64 = Annotated[int, SolidityType("uint64")]
U96 = Annotated[int, SolidityType("uint96")]
U128 = Annotated[int, SolidityType("uint128")]
U256 = Annotated[int, SolidityType("uint256")]
I16 = Annotated[int, SolidityType("int16")]


def parse_address(text: str) -> Address:
    """The address in `text`, with or without checksum capitals; `ValueError` with the text if it is none.

    A mixed-case address whose EIP-55 checksum is wrong is refused: it is a typing error more often than not.
    """
    from eth_utils.address import is_hex_address, to_checksum_address

    digits = text[2:]
    mixed = digits not in (digits.lower(), digits.upper())
    if not text.startswith("0x") or not is_hex_address(text) or (mixed and to_checksum_address(text.lower()) != text):
        raise ValueError(f"{text!r} is not an address: 0x and 40 hexadecimal digits, capitals only as EIP-55 sets them")
    return Address(text.lower())


def to_hex(data: bytes) -> str:
    """`0x` and two lower-case digits a byte."""
    return "0x" + data.hex()
