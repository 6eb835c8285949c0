"""Parts of URLs, each in one notation."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chain.types import Address, Digest
from wire import paths
from wire.refusals import Refused

CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # of EIP-55 itself
LOWER = CHECKSUMMED.lower()


def test_what_is_taken() -> None:
    assert paths.address(LOWER) == paths.address(CHECKSUMMED) == Address(LOWER)
    assert paths.address("0x" + "1" * 40) == Address("0x" + "1" * 40)
    assert paths.address("0x" + "0" * 39 + "A") == Address("0x" + "0" * 39 + "a")  # its checksum has capitals only
    assert [paths.number(text) for text in ("0", "7", str(2**63 - 1))] == [0, 7, 2**63 - 1]
    assert paths.digest("0x" + "0a" * 32) == Digest(b"\x0a" * 32)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (paths.address, ""),
        (paths.address, LOWER[2:]),
        (paths.address, LOWER[:-1]),
        (paths.address, LOWER + "\n"),
        (paths.address, "0X" + LOWER[2:]),
        (paths.address, "0x" + LOWER[2:].upper()),
        (paths.address, CHECKSUMMED.replace("5aA", "5AA")),
        (paths.number, ""),
        (paths.number, "-1"),
        (paths.number, "+1"),
        (paths.number, "01"),
        (paths.number, "00"),
        (paths.number, "1\n"),
        (paths.number, "1_0"),
        (paths.number, "1.0"),
        (paths.number, "\u0661"),
        (paths.number, "\u00b2"),
        (paths.number, str(2**63)),
        (paths.number, "9" * 5_000),
        (paths.digest, "0x00"),
        (paths.digest, "00" * 32),
        (paths.digest, "0x" + "0A" * 32),
        (paths.digest, "0x" + "00" * 32 + "\n"),
        (paths.digest, "0x" + "0g" * 32),
    ],
)
def test_everything_else_is_a_bad_parameter(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(text)
    assert refused.value.code == "bad_parameter"
