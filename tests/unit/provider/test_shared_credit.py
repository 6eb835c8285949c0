"""Sessions of one consumer at one provider share what it may leave unreceipted: one that pays frees it for all, one that does not loses it
for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.sessions.metering import Credit, SessionMeter

START, MOST, MUCH = 1_000, 16_000, 1 << 40


def meter_on(credit: Credit, most: int = MUCH) -> SessionMeter:
    return SessionMeter(credit, most, (), lambda size: None, lambda: None)


def nothing() -> None:
    """What waits here has nothing to do when it is woken."""


def test_a_receipt_in_one_session_wakes_the_streams_of_the_others() -> None:
    credit, woken = Credit(START, MOST, START), []
    busy, waiting = meter_on(credit), meter_on(credit)
    busy.sent(busy.allow(MUCH))
    assert waiting.allow(MUCH) == 0
    waiting.park(lambda: woken.append(waiting.allow(MUCH)))
    busy.receipt(400)
    assert woken == [400]
    busy.receipt(500)
    assert woken == [400], "it was woken once, and did not wait again"


def test_a_session_that_ends_unpaid_leaves_the_others_what_trust_begins_with() -> None:
    credit, woken = Credit(START, MOST, 8_000), []
    gone, waiting = meter_on(credit), meter_on(credit)
    waiting.sent(300)
    gone.sent(gone.allow(MUCH))
    waiting.park(lambda: woken.append(waiting.allow(MUCH)))
    gone.close()
    assert (credit.limit, credit.owed, woken) == (START, 300, [START - 300])


def test_a_default_of_one_stops_the_other_until_it_owes_less_than_trust_begins_with() -> None:
    credit = Credit(START, MOST, 8_000)
    gone, other = meter_on(credit), meter_on(credit)
    other.sent(5_000)
    gone.sent(1)
    gone.close()
    assert (credit.limit, credit.left, other.allow(MUCH)) == (START, 0, 0)
    other.receipt(4_001)
    assert other.allow(MUCH) == credit.limit - 999


def test_receipts_of_all_sessions_together_earn_trust() -> None:
    credit = Credit(START, MOST, START)
    one, other = meter_on(credit), meter_on(credit)
    for meter, receipted in ((one, 300), (other, 200)):
        assert credit.limit == START
        meter.sent(400)
        meter.receipt(receipted)
    assert credit.limit == 2 * START


def test_a_receipt_covers_its_own_session_alone() -> None:
    credit = Credit(START, MOST, START)
    one, other = meter_on(credit), meter_on(credit)
    one.sent(500)
    other.sent(500)
    one.receipt(1_000)
    assert (credit.owed, one.unreceipted, other.unreceipted) == (500, 0, 500)


def test_while_one_waits_the_others_are_served_no_more_than_their_share() -> None:
    credit, woken = Credit(START, START, START), []
    busy, waiting, third = meter_on(credit), meter_on(credit), meter_on(credit)
    assert credit.share == START // 3
    busy.sent(busy.allow(MUCH))
    waiting.park(lambda: woken.append(waiting.allow(MUCH)))
    busy.receipt(900)
    assert woken == [900]
    assert (busy.allow(MUCH), third.allow(MUCH)) == (START // 3 - 100, START // 3)
    third.sent(third.allow(MUCH))
    assert (busy.allow(MUCH), third.allow(MUCH), waiting.allow(MUCH)) == (START // 3 - 100, 0, 900 - START // 3)
    waiting.sent(1)
    assert busy.allow(MUCH) == third.allow(MUCH) == credit.left == 900 - START // 3 - 1, "nobody waits any more"


LEAVE: dict[str, Callable[[SessionMeter], None]] = {
    "served": lambda meter: meter.sent(1),
    "its stream is over": lambda meter: meter.unpark(nothing),
    "closed": SessionMeter.close,
}


@pytest.mark.parametrize("how", LEAVE)
def test_who_was_held_to_its_share_goes_on_once_the_other_one_is_served_or_gone(how: str) -> None:
    credit, woken = Credit(START, START, START), list[int]()
    busy, waiting = meter_on(credit), meter_on(credit)
    busy.sent(busy.allow(MUCH))
    waiting.park(nothing)
    busy.receipt(100)
    busy.park(lambda: woken.append(1))
    waiting.park(nothing)
    assert (busy.allow(MUCH), credit.left, woken) == (0, 100, [])
    LEAVE[how](waiting)
    assert (woken, busy.allow(MUCH)) == ([1], credit.left)


def test_a_session_that_is_closed_is_not_woken_and_holds_nobody_up() -> None:
    credit, woken = Credit(START, MOST, START), []
    busy, closed, third = meter_on(credit), meter_on(credit), meter_on(credit)
    busy.sent(busy.allow(MUCH))
    closed.park(lambda: woken.append(1))
    closed.close()
    busy.receipt(START)
    assert (woken, credit.share, credit.left) == ([], credit.limit // 2, credit.limit)
    assert busy.allow(MUCH) == third.allow(MUCH) == credit.left


@dataclass
class Stream:
    """Reads as long as it may, and waits otherwise."""

    meter: SessionMeter
    wants: int = 0
    waits: bool = False

    def read(self) -> None:
        self.waits = False
        while self.wants:
            size = self.meter.allow(min(self.wants, 256))
            if size == 0:
                self.waits = True
                self.meter.park(self.read)
                return
            self.wants -= size
            self.meter.sent(size)


steps = st.lists(
    st.tuples(st.sampled_from(["read", "receipt", "close", "open"]), st.integers(0, 4), st.integers(0, 1_200)), min_size=5, max_size=60
)


@given(steps)
def test_whatever_they_do_all_together_owe_no_more_than_the_credit_and_nobody_waits_while_some_is_left(
    steps: list[tuple[str, int, int]],
) -> None:
    credit = Credit(START, MOST, START)
    live = [Stream(meter_on(credit)) for _ in range(3)]
    allowed = START
    for kind, which, size in steps:
        if kind == "open":
            live.append(Stream(meter_on(credit)))
        elif live:
            one = live[which % len(live)]
            if kind == "read":
                one.wants += size
                if not one.waits:
                    one.read()
            elif kind == "receipt":
                one.meter.receipt(one.meter.receipted + size)
            else:
                live.remove(one)
                one.meter.close()
        allowed = max(allowed, credit.limit)
        assert credit.owed == sum(one.meter.unreceipted for one in live) <= allowed <= MOST
        assert not any(one.waits and one.meter.allow(1) for one in live)
        assert not credit.left or sum(one.waits for one in live) < max(1, len(live))
