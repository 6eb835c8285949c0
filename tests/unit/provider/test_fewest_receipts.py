"""A proof shows as few demand receipts as cover the session, and none that do not count."""

from __future__ import annotations

import pytest

from chain.epochs import Timing
from chain.typed import Domain
from chain.types import Address
from provider.sessions.records import fewest
from tests.session_parts import Parties, key

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
PARTIES = Parties(DOMAIN, key("consumer"), key("provider"))
VALIDATORS = sorted((key(f"validator {n}") for n in range(4)), key=lambda one: one.address)


@pytest.mark.parametrize(
    ("stakes", "given", "shown"),
    [
        ((1, 1, 1, 1), (2, 2, 2, 2), (0, 1, 2)),
        ((1, 1, 1, 1), (2, 2, 2, 3), (0, 1, 2)),
        ((1, 5, 1, 1), (2, 2, 2, 2), (0, 1)),  # the heaviest first, and then by account
        ((1, 1, 1, 9), (2, 2, 2, 2), (3,)),
        ((3, 1, 1, 1), (1, 2, 2, 2), ()),  # the heaviest signed two epochs before
        ((2, 2, 2, 2), (1, 2, 2, 2), (1, 2, 3)),  # one that counts no more is not shown beside those that do
        ((2, 2, 2, 2), (4, 2, 2, 2), (1, 2, 3)),  # nor one of an epoch to come
        ((1, 1, 1, 0), (2, 2, None, 2), (0, 1)),
        ((1, 1, 1, 1), (2, 2, None, None), ()),
    ],
)
def test_what_is_shown_in_epoch_3(stakes: tuple[int, ...], given: tuple[int | None, ...], shown: tuple[int, ...]) -> None:
    demand = [
        PARTIES.demand(validator, TIMING.start_of(epoch)) for validator, epoch in zip(VALIDATORS, given, strict=True) if epoch is not None
    ]
    staked = {validator.address: stake for validator, stake in zip(VALIDATORS, stakes, strict=True)}
    found = fewest(demand[::-1], 3, TIMING, staked)
    assert [one.message.validator for one in found] == [VALIDATORS[n].address for n in shown]


def test_one_who_is_no_validator_any_more_is_not_shown() -> None:
    demand = [PARTIES.demand(validator, TIMING.start_of(3)) for validator in VALIDATORS]
    staked = {validator.address: 1 for validator in VALIDATORS[1:]}
    assert {one.message.validator for one in fewest(demand, 3, TIMING, staked)} < set(staked)
