"""What recomputation looks at again although intake has: whose a session is, of when its statements are, and who may pay and be paid."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.types import Address
from tests.unit.validator.test_session_pay import RULES, TIMING, TREASURY, VALIDATORS, C, D, P, Q, deposited, proof, session, unsigned
from validator.session_pay import Charges, Deposits, charge, shown
from validator.state import State, genesis_state
from wire.messages import SessionEvidence

EMPTY = genesis_state()
STAKES = dict.fromkeys(VALIDATORS, 100)


def payload(one: SessionEvidence, epoch: int = 3) -> list[int]:
    return [found.payload for found in shown((proof(epoch, one),), epoch, STAKES, TIMING)]


@pytest.mark.parametrize(("epoch", "counts"), [(1, False), (2, True), (3, True), (4, False)])
def test_receipts_and_reports_of_this_epoch_and_the_one_before_count(epoch: int, counts: bool) -> None:
    second = TIMING.start_of(epoch)
    one = session(1, 3, 400, served=300)
    receipt, report = one.receipts[0].message, one.reports[0].message
    assert payload(replace(one, receipts=(unsigned(replace(receipt, time=second)),))) == ([300] if counts else [])
    assert payload(replace(one, reports=(unsigned(replace(report, time=second)),))) == ([300] if counts else [400])


def charged(
    one: SessionEvidence, barred: frozenset[Address] = frozenset(), treasury: Address = TREASURY, state: State = EMPTY, epoch: int = 1
) -> Charges:
    sessions = shown((proof(epoch, one),), epoch, STAKES, TIMING)
    return charge(sessions, state, Deposits.of(deposited((C, 10_000))), epoch, treasury, barred, RULES)


@pytest.mark.parametrize(("barred", "counts"), [((), True), ((C,), False), ((P,), False), ((D, Q), True), ((C, P), False)])
def test_who_is_barred_neither_pays_nor_is_paid(barred: tuple[Address, ...], counts: bool) -> None:
    found = charged(session(1, 1, 400), frozenset(barred))
    assert (dict(found.spent), dict(found.paid)) == (({C: 400}, {P: 380}) if counts else ({}, {}))
    assert len(found.open) == counts


def test_the_treasury_is_paid_for_sessions_and_pays_for_none() -> None:
    assert dict(charged(session(1, 1, 400), treasury=C).spent) == {}
    assert dict(charged(session(1, 1, 400), treasury=P).spent) == {C: 400}


def test_the_protocol_fee_is_rounded_over_the_session_and_not_in_each_epoch() -> None:
    state, fees, paid = EMPTY, [], 0
    for epoch, received in ((1, 19), (2, 38)):
        found = charged(session(1, epoch, received, covered=1), state=state, epoch=epoch)
        fees.append(found.protocol_fees[P])
        paid += found.spent[C]
        state = replace(state, sessions=tuple(found.open))
    assert (fees, paid) == ([0, 1], 38), "a twentieth of 38 is 1, and of 19 it is 0 each time"


def test_no_more_is_spent_than_all_hold_together() -> None:
    assert charged(session(1, 1, 400), state=replace(EMPTY, lost_spent=9_700)).spent[C] == 300
