"""What a part of a URL may say, each value in one notation. Everything else is `Refused("bad_parameter")`."""

from __future__ import annotations

import re

from chain.types import Address, Digest, parse_address
from wire.refusals import Refused

LARGEST = 2**63 - 1
"""Of a number in a path: databases hold no larger one."""


def address(text: str) -> Address:
    """An account: `0x` and 40 hexadecimal digits, in lower case or with the capitals of EIP-55."""
    from eth_utils.address import to_checksum_address

    try:
        found = parse_address(text)
    except ValueError:
        raise Refused("bad_parameter", "an address is expected: 0x and 40 hexadecimal digits, capitals only as EIP-55 sets them") from None
    if text not in (found, to_checksum_address(found)):
        raise Refused("bad_parameter", "an address is expected in lower case, or with the capitals that EIP-55 sets")
    return found


def number(text: str) -> int:
    """An epoch or a round: decimal digits without leading zeros, up to `LARGEST`."""
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text) or int(text) > LARGEST:
        raise Refused("bad_parameter", "a number is expected: decimal digits, the first of several not 0, below 2^63")
    return int(text)


def digest(text: str) -> Digest:
    """`0x` and 64 lower-case hexadecimal digits."""
    if not re.fullmatch("0x[0-9a-f]{64}", text):
        raise Refused("bad_parameter", "a digest is expected: 0x and 64 lower-case hexadecimal digits")
    return Digest(bytes.fromhex(text[2:]))
