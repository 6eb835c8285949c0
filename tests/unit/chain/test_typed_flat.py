"""The quick digest of flat messages is eth-account's, for every type and at every bound; what does not fit is still refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from eth_abi.exceptions import ValueOutOfBounds
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from chain.typed import Domain, digest_of, typed_data
from chain.types import I16, U8, U64, U256, Address, Digest, Signature

DOMAIN = Domain(31337, Address("0x" + "11" * 20))


@dataclass(frozen=True, slots=True)
class Everything:
    SIGNER: ClassVar[str] = "account"

    account: Address
    digest: Digest
    signature: Signature
    content: bytes
    text: str
    truth: bool
    small: U8
    middle: U64
    large: U256
    below: I16


def slow(message: Everything) -> bytes:
    encoded = encode_typed_data(full_message=typed_data(Everything, message, DOMAIN))
    return keccak(b"\x19" + encoded.version + encoded.header + encoded.body)


@given(
    st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32), st.binary(min_size=65, max_size=65), st.binary(max_size=100),
    st.text(max_size=40), st.booleans(), st.integers(0, 255), st.integers(0, 2**64 - 1), st.integers(0, 2**256 - 1),
    st.integers(-(2**15), 2**15 - 1),
)  # fmt: skip
def test_both_ways_give_the_same_digest(
    account: bytes, digest: bytes, signature: bytes, content: bytes, text: str, truth: bool, small: int, middle: int, large: int, below: int
) -> None:
    message = Everything(
        Address("0x" + account.hex()), Digest(digest), Signature(signature), content, text, truth, small, middle, large, below
    )
    assert digest_of(message, DOMAIN) == slow(message)


@pytest.mark.parametrize(("small", "below"), [(256, 0), (-1, 0), (0, 2**15), (0, -(2**15) - 1)])
def test_what_does_not_fit_its_type_has_no_digest(small: int, below: int) -> None:
    message = Everything(Address("0x" + "11" * 20), Digest(bytes(32)), Signature(bytes(65)), b"", "", True, small, 0, 0, below)
    with pytest.raises(ValueOutOfBounds):
        digest_of(message, DOMAIN)
