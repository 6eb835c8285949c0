"""The state as a file, and the leaves it makes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.errors import CodecError
from chain.messages import Leaf
from chain.types import Address
from validator.state import AccountState, State, decode_state, encode_state, genesis_state, leaves_of, signed_leaves

A, B, C = (Address("0x" + digit * 40) for digit in "abc")
ACCOUNT = AccountState(A, 2**60, 7, 55, 337_500, 2, "203.0.113.0/24", 3, (750_000, 0))
STATE = State(4, (ACCOUNT, replace(ACCOUNT, account=B, earned=1)))


def test_a_state_reads_back_from_its_bytes() -> None:
    assert decode_state(encode_state(STATE)) == STATE
    assert decode_state(encode_state(genesis_state())) == genesis_state()


def test_the_bytes_are_the_canonical_ones() -> None:
    assert encode_state(State(4, (ACCOUNT,))) == (
        b'{"accounts":[{"account":"0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","buckets":[750000,0],"earned":"1152921504606846976",'
        b'"firstEpoch":2,"group":"203.0.113.0/24","groupSince":3,"points":55,"reputation":337500,"settled":0,"shared":0,"spent":7}],'
        b'"lostEarned":0,"lostSpent":0,"sessions":[],"through":4}'
    )


def test_accounts_ascend_and_stand_once() -> None:
    for accounts in [(STATE.accounts[1], STATE.accounts[0]), (ACCOUNT, ACCOUNT)]:
        with pytest.raises(ValueError, match="ascend"):
            State(4, accounts)


def test_bytes_with_accounts_out_of_order_are_refused() -> None:
    swapped = encode_state(STATE).replace(A.encode(), C.encode())
    with pytest.raises(CodecError) as refused:
        decode_state(swapped)
    assert refused.value.code == "out_of_range"


@pytest.mark.parametrize("change", [{"reputation": 1_000_001}, {"buckets": (0, 1_000_001)}])
def test_no_score_is_above_one(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ppm"):
        replace(ACCOUNT, **change)  # type: ignore[arg-type]


def test_totals_are_sums() -> None:
    assert (STATE.total_earned, STATE.total_spent) == (2**60 + 1, 14)


def test_every_account_and_the_treasury_has_a_leaf() -> None:
    expected = Leaf(A, 2**60, 7, 55, 337_500), Leaf(B, 1, 7, 55, 337_500), Leaf(C, 0, 0, 0, 0)
    assert leaves_of(STATE, C) == expected
    assert leaves_of(genesis_state(), C) == (Leaf(C, 0, 0, 0, 0),)


def test_a_treasury_with_a_record_keeps_it() -> None:
    assert leaves_of(STATE, A) == (Leaf(A, 2**60, 7, 55, 337_500), Leaf(B, 1, 7, 55, 337_500))


def test_what_was_signed_as_a_state_is_read_as_it_is() -> None:
    """Order, repetition and range are what it is held against, so reading it asks for none of them."""
    assert signed_leaves(encode_state(STATE), C) == leaves_of(STATE, C)
    assert signed_leaves(encode_state(STATE), A) == leaves_of(STATE, A)
    wrong = encode_state(STATE).replace(B.encode(), A.encode()).replace(b'"reputation":337500', b'"reputation":1000001')
    wrong = wrong.replace(b'"points":55', b'"points":"18446744073709551616"')
    with pytest.raises(CodecError):
        decode_state(wrong)
    assert signed_leaves(wrong, C) == (
        Leaf(A, 2**60, 7, 2**64, 1_000_001),
        Leaf(A, 1, 7, 2**64, 1_000_001),
        Leaf(C, 0, 0, 0, 0),
    )
    for none in (b"", b"{}", encode_state(STATE)[:-1], encode_state(STATE) + b" "):
        with pytest.raises(CodecError):
            signed_leaves(none, C)
