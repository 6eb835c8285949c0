"""When a consumer signs: by its share of the credit, and earlier when sessions beside it may have used that up."""

from __future__ import annotations

import pytest

from consumer.metering import UsageMeter

CREDIT = 1_000


def meter() -> tuple[UsageMeter, list[int]]:
    """With what was counted each time that a receipt was due."""
    due: list[int] = []
    made = UsageMeter(1 << 40, CREDIT, lambda: due.append(made.up + made.down), lambda: None)
    return made, due


def test_a_receipt_is_due_when_three_quarters_of_the_credit_are_unreceipted_both_ways_together() -> None:
    made, due = meter()
    made.sent(700)
    made.received(49)
    assert due == []
    made.received(1)
    assert due == [750]


def test_the_next_one_is_counted_from_what_was_signed_and_by_the_credit_that_was_told_last() -> None:
    made, due = meter()
    made.received(750)
    made.note_receipt(750)
    made.credit = 2_000  # as the provider's answer says
    made.note_receipt(750)
    made.received(1_499)
    assert due == [750]
    made.received(1)
    assert due == [750, 2_250]


@pytest.mark.parametrize(
    ("signed", "received", "could"),
    [(0, 249, False), (0, 250, True), (250, 499, False), (250, 500, True), (500, 500, False)],
)
def test_it_may_be_held_up_by_others_once_a_quarter_of_its_credit_is_unreceipted(signed: int, received: int, could: bool) -> None:
    """With less a receipt would free too little to be worth its while."""
    made, _ = meter()
    made.received(received)
    made.note_receipt(signed)
    assert made.could_stall is could


def test_a_provider_that_names_no_credit_gets_a_receipt_for_each_read_and_no_more() -> None:
    made, due = meter()
    made.credit = 0
    made.note_receipt(0)
    made.received(1)
    assert due == [1]
