"""Demand receipts that were signed, and not for this session: a provider cannot lend them from one of its sessions to another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.typed import sign
from tests.session_parts import Parties
from tests.unit.validator.test_session_evidence import AT, DOMAIN, OTHER, PARTIES, VALIDATORS, refusal, verified, whole

ELSEWHERE: dict[str, Parties] = {
    "another session of the same two": replace(PARTIES, nonce=1),
    "another consumer's": replace(PARTIES, consumer=OTHER),
    "another provider's": replace(PARTIES, provider=OTHER),
}


@pytest.mark.parametrize("whose", ELSEWHERE)
@pytest.mark.parametrize("lent", [1, 3])
def test_receipts_of_another_session_cover_nothing(whose: str, lent: int) -> None:
    borrowed = tuple(ELSEWHERE[whose].demand(validator, AT) for validator in VALIDATORS[:lent])
    shown = replace(whole(), demand=(*borrowed, *whole().demand[lent:]))
    assert refusal(lambda: verified(shown)) == "wrong_subject"


@pytest.mark.parametrize("changes", [{"consumer": OTHER.address}, {"provider": OTHER.address}])
def test_a_receipt_that_names_the_session_and_others_than_its_two_covers_nothing(changes: dict[str, object]) -> None:
    first, *rest = whole().demand
    wrong = sign(replace(first.message, **changes), DOMAIN, VALIDATORS[0])  # type: ignore[arg-type]
    assert refusal(lambda: verified(replace(whole(), demand=(wrong, *rest)))) == "wrong_subject"
