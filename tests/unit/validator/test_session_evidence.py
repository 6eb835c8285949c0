"""Every way a session in a proof is refused, the cheap ones first, and what covers one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from chain.canonical import encode
from chain.epochs import Timing
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed, sign
from chain.types import ZERO_DIGEST, Address, Digest
from tests.session_parts import Parties, key
from validator.verification import ListedRoles, verify_proof
from wire.messages import ActivityProof, SessionEvidence
from wire.refusals import Refused

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
RULES = Rules(proof_max_sessions=3)
CONSUMER, PROVIDER, OTHER = key("consumer"), key("provider"), key("other")
VALIDATORS = sorted((key(f"validator {n}") for n in range(4)), key=lambda one: one.address)
ROLES = ListedRoles(frozenset(), frozenset(), {one.address: 100 for one in VALIDATORS})
EPOCH, AT = 3, 1_050  # 1,040 to 1,060
PARTIES = Parties(DOMAIN, CONSUMER, PROVIDER)


@cache
def whole() -> SessionEvidence:
    return PARTIES.evidence(VALIDATORS[:3], 700, AT, served=650)


def verified(*sessions: SessionEvidence, roles: ListedRoles = ROLES, rules: Rules = RULES, by: NodeKey = PROVIDER) -> None:
    proof = ActivityProof(by.address, EPOCH, 1, (), (), sessions, (), ZERO_DIGEST)
    verify_proof(encode(sign(proof, DOMAIN, by)), DOMAIN, TIMING, rules, roles, AT)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        act()
    return refused.value.code


def test_what_goes_together_is_taken() -> None:
    verified(whole())
    verified(replace(whole(), reports=()))
    verified(
        PARTIES.evidence(VALIDATORS, 700, AT, covered=AT - 20),
        replace(PARTIES, nonce=1, start=1_000, end=1_000).evidence(VALIDATORS, 0, AT),
    )


class TestCover:
    @pytest.mark.parametrize(("covered", "counts"), [(AT - 31, False), (AT - 30, True), (AT, True), (AT + 9, True), (AT + 10, False)])
    def test_it_lasts_for_the_epoch_it_was_given_in_and_the_next(self, covered: int, counts: bool) -> None:
        shown = PARTIES.evidence(VALIDATORS, 700, AT, covered=covered)
        if counts:
            verified(shown)
        else:
            assert refusal(lambda: verified(shown)) == "session_not_covered"

    def test_it_takes_two_thirds_of_the_stake_and_not_of_the_heads(self) -> None:
        shown = PARTIES.evidence(VALIDATORS[:3], 700, AT)
        stakes = {one.address: 100 for one in VALIDATORS}
        assert refusal(lambda: verified(replace(shown, demand=shown.demand[:2]))) == "session_not_covered"
        heavy = stakes | {VALIDATORS[0].address: 400}
        verified(replace(shown, demand=shown.demand[:1] + shown.demand[2:]), roles=replace(ROLES, validators=heavy))
        light = stakes | {VALIDATORS[3].address: 151}
        assert refusal(lambda: verified(shown, roles=replace(ROLES, validators=light))) == "session_not_covered"
        verified(shown, roles=replace(ROLES, validators=stakes | {VALIDATORS[3].address: 150}))

    def test_receipts_of_which_only_some_are_in_time(self) -> None:
        late, others = PARTIES.demand(VALIDATORS[0], AT - 40), PARTIES.evidence(VALIDATORS[1:3], 700, AT)
        assert refusal(lambda: verified(replace(others, demand=(late, *others.demand)))) == "session_not_covered"

    def test_nobody_at_all(self) -> None:
        assert refusal(lambda: verified(replace(whole(), demand=()))) == "session_not_covered"
        assert refusal(lambda: verified(replace(whole(), demand=()), roles=replace(ROLES, validators={}))) == "session_not_covered"

    def test_the_same_receipt_twice_or_out_of_order(self) -> None:
        a, b, c = whole().demand
        assert refusal(lambda: verified(replace(whole(), demand=(a, a, b)))) == "bad_statement"
        assert refusal(lambda: verified(replace(whole(), demand=(b, a, c)))) == "bad_statement"

    def test_by_one_who_is_no_validator(self) -> None:
        strangers = sorted((*VALIDATORS[:2], OTHER), key=lambda one: one.address)
        assert refusal(lambda: verified(PARTIES.evidence(strangers, 700, AT))) == "not_listed"

    def test_for_another_interval(self) -> None:
        wider = sign(replace(whole().demand[0].message, budget_to=2_000), DOMAIN, VALIDATORS[0])
        assert refusal(lambda: verified(replace(whole(), demand=(wider, *whole().demand[1:])))) == "bad_statement"


CHANGES: dict[str, tuple[Callable[[], SessionEvidence], str]] = {
    "another provider's": (lambda: replace(PARTIES, provider=OTHER).evidence(VALIDATORS, 700, AT), "wrong_subject"),
    "an offer for another request": (lambda: replace(whole(), offer=replace(PARTIES, nonce=1).claim().offer), "bad_offer"),
    "an offer above the request's price": (
        lambda: replace(whole(), offer=sign(replace(PARTIES.offer, price=PARTIES.price + 1), DOMAIN, PROVIDER)),
        "bad_offer",
    ),
    "an offer of another price": (
        lambda: replace(whole(), offer=sign(replace(PARTIES.offer, price=PARTIES.price - 1), DOMAIN, PROVIDER)),
        "wrong_subject",
    ),
    "without a receipt": (lambda: replace(whole(), receipts=()), "bad_statement"),
    "another session's receipt": (lambda: replace(whole(), receipts=(replace(PARTIES, nonce=1).receipt(1, 700, AT),)), "wrong_subject"),
    "another consumer's receipt": (
        lambda: replace(whole(), receipts=(sign(replace(PARTIES.usage(1, 700, AT), consumer=OTHER.address), DOMAIN, OTHER),)),
        "wrong_subject",
    ),
    "a receipt of two epochs before": (lambda: replace(whole(), receipts=(PARTIES.receipt(1, 700, 1_019),)), "wrong_subject"),
    "a receipt of the next epoch": (lambda: replace(whole(), receipts=(PARTIES.receipt(1, 700, 1_060),)), "wrong_subject"),
    "a receipt of the end of time": (lambda: replace(whole(), receipts=(PARTIES.receipt(1, 700, 2**64 - 1),)), "wrong_subject"),
    "a report of the next epoch": (lambda: replace(whole(), reports=(PARTIES.report(1, 700, 1_060),)), "wrong_subject"),
    "another session's report": (lambda: replace(whole(), reports=(replace(PARTIES, nonce=1).report(1, 1, AT),)), "wrong_subject"),
    "a receipt that the provider signed": (
        lambda: replace(whole(), receipts=(sign(PARTIES.usage(1, 10**9, AT), DOMAIN, PROVIDER),)),
        "bad_statement",
    ),
    "a receipt changed after signing": (
        lambda: replace(whole(), receipts=(Signed(PARTIES.usage(1, 701, AT), whole().receipts[0].signature),)),
        "bad_statement",
    ),
    "a request that the provider signed": (lambda: replace(whole(), request=sign(PARTIES.request, DOMAIN, PROVIDER)), "bad_statement"),
    "a demand receipt that the provider signed": (
        lambda: replace(whole(), demand=(*whole().demand[:2], sign(whole().demand[2].message, DOMAIN, PROVIDER))),
        "bad_statement",
    ),
    "two receipts": (lambda: replace(whole(), receipts=whole().receipts * 2), "too_many_statements"),
    "two reports": (lambda: replace(whole(), reports=whole().reports * 2), "too_many_statements"),
    "more demand receipts than validators": (lambda: replace(whole(), demand=whole().demand * 2), "too_many_statements"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_go_together_is_refused(change: str) -> None:
    made, code = CHANGES[change]
    assert refusal(lambda: verified(made())) == code


def test_a_consumer_s_own_provider_is_none() -> None:
    own = Parties(DOMAIN, PROVIDER, PROVIDER).evidence(VALIDATORS, 700, AT)
    assert refusal(lambda: verified(own)) == "bad_offer"


def test_a_session_stands_once_and_sessions_have_a_limit() -> None:
    several = [replace(PARTIES, nonce=n).evidence(VALIDATORS[:3], 1, AT) for n in range(4)]
    verified(*several[:3])
    assert refusal(lambda: verified(*several)) == "too_many_statements"
    assert refusal(lambda: verified(several[0], several[0])) == "too_many_statements"


def test_counting_comes_before_any_hash_and_signatures_last() -> None:
    forged = replace(whole(), request=sign(PARTIES.request, DOMAIN, OTHER))
    assert refusal(lambda: verified(replace(forged, receipts=()), forged, forged, forged)) == "too_many_statements"
    assert refusal(lambda: verified(replace(forged, receipts=(), demand=()))) == "bad_statement"
    assert refusal(lambda: verified(replace(forged, demand=()))) == "session_not_covered"
    assert refusal(lambda: verified(replace(forged, receipts=(PARTIES.receipt(1, 1, 0),), demand=()))) == "wrong_subject"
    zero = replace(whole(), receipts=(sign(replace(PARTIES.usage(1, 1, AT), session_id=Digest(bytes(32))), DOMAIN, CONSUMER),))
    assert refusal(lambda: verified(zero)) == "wrong_subject"
