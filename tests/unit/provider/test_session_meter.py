"""Nobody is served a byte more than credit, budget and rate leave; only receipts that cover something earn trust."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from provider.sessions.metering import SMALLEST_BURST, Credit, Rate, SessionMeter

START, MOST = 1_000, 16_000


def meter_with(credit: Credit, most: int = 1 << 40, rates: tuple[Rate, ...] = ()) -> SessionMeter:
    return SessionMeter(credit, most, rates, lambda size: None, lambda: None)


def test_credit_doubles_with_receipts_that_cover_half_of_it_and_not_with_many_small_ones() -> None:
    credit = Credit(START, MOST, START)
    meter = meter_with(credit)
    meter.sent(400)
    for total in range(1, 101):
        meter.receipt(total)
    assert credit.limit == START
    limits = []
    for _ in range(6):
        meter.sent(meter.allow(1 << 30))
        meter.receipt(meter.served)
        limits.append(credit.limit)
    assert limits == [2_000, 4_000, 8_000, 16_000, 16_000, 16_000]


def test_sessions_of_one_consumer_share_its_credit() -> None:
    credit = Credit(START, MOST, START)
    meters = [meter_with(credit) for _ in range(50)]
    for meter in meters:
        meter.received(meter.allow(100))
    assert sum(meter.served for meter in meters) == START


def test_a_default_loses_what_is_unreceipted_and_the_trust() -> None:
    credit = Credit(START, MOST, 8_000)
    meter = meter_with(credit)
    meter.sent(meter.allow(1 << 30))
    meter.receipt(3_000)
    meter.close()
    assert (credit.limit, credit.owed) == (START, 0)
    paid = Credit(START, MOST, 8_000)
    other = meter_with(paid)
    other.sent(500)
    other.receipt(500)
    other.close()
    assert paid.limit == 8_000


def test_a_receipt_over_more_than_was_served_earns_nothing_beyond_it() -> None:
    credit = Credit(START, MOST, START)
    meter = meter_with(credit)
    meter.sent(10)
    meter.receipt(1 << 50)
    assert (meter.receipted, credit.owed, credit.limit) == (10, 0, START)


def test_the_budget_is_a_hard_limit_and_is_told_once_a_stream_waits() -> None:
    told: list[str] = []
    credit = Credit(MOST, MOST, MOST)
    meter = SessionMeter(credit, 700, (), lambda size: None, lambda: told.append("spent"))
    meter.received(meter.allow(500))
    meter.sent(meter.allow(500))
    assert (meter.served, meter.allow(500), told) == (700, 0, [])
    meter.park(lambda: None)
    assert told == ["spent"]


def test_a_parked_stream_is_woken_by_a_receipt_once() -> None:
    woken: list[int] = []
    credit = Credit(START, MOST, START)
    meter = meter_with(credit)
    meter.sent(meter.allow(1 << 30))

    def resume() -> None:
        woken.append(meter.allow(1 << 30))

    meter.park(resume)
    meter.receipt(600)
    meter.receipt(600)
    assert woken == [1_600]


@given(st.lists(st.tuples(st.sampled_from(["sent", "received", "receipt"]), st.integers(0, 3_000)), max_size=60))
def test_what_is_owed_never_exceeds_the_limit(steps: list[tuple[str, int]]) -> None:
    credit = Credit(START, MOST, START)
    meter = meter_with(credit, most=20_000)
    for kind, size in steps:
        if kind == "receipt":
            meter.receipt(size)
        else:
            getattr(meter, kind)(meter.allow(size))
        assert meter.unreceipted <= credit.owed <= credit.limit <= MOST
        assert meter.served <= 20_000


def test_a_rate_lets_a_burst_through_then_what_time_brings() -> None:
    now = [0.0]
    rate = Rate(SMALLEST_BURST, lambda: now[0])
    assert rate.left() == SMALLEST_BURST
    rate.take(SMALLEST_BURST)
    assert rate.left() == 0
    now[0] = 0.5
    assert rate.left() == SMALLEST_BURST // 2
    now[0] = 100.0
    assert rate.left() == SMALLEST_BURST
    assert Rate(0, lambda: now[0]).left() > 1 << 60


def test_a_stream_that_waits_for_a_rate_wakes_by_itself() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        meter = meter_with(Credit(1 << 30, 1 << 30, 1 << 30), rates=(Rate(100 * SMALLEST_BURST, loop.time),))
        while (size := meter.allow(1 << 30)) > 0:
            meter.sent(size)
        woken = asyncio.Event()
        meter.park(woken.set)
        await asyncio.wait_for(woken.wait(), 10)
        meter.close()

    asyncio.run(scene())
