"""What a consumer never forgets: promised intervals, and receipts that only rise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.keys import NodeKey
from chain.typed import Domain, Signed, digest_of, sign
from chain.types import Address, Digest
from consumer.metering import UsageMeter
from consumer.store import ForeignStore, Store
from wire.messages import Offer, SessionRequest, UsageReceipt, UsageReport
from wire.refusals import Refused

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
CONSUMER, PROVIDER = NodeKey(b"\x01" * 32), NodeKey(b"\x02" * 32)
REQUEST = SessionRequest(CONSUMER.address, "DE", 0, 80_000, 1 << 30, 100, 1_100, 1, 60)
OFFER = Offer(PROVIDER.address, digest_of(REQUEST, DOMAIN), 1 << 30, 60)


def store_at(folder: Path, consumer: Address = CONSUMER.address) -> Store:
    return Store(folder / "consumer.sqlite", consumer, DOMAIN)


def receipt(session: Digest, sequence: int, down: int) -> Signed[UsageReceipt]:
    return sign(UsageReceipt(CONSUMER.address, session, sequence, 0, down, 1, 1, 10), DOMAIN, CONSUMER)


def report(session: Digest, sequence: int, down: int) -> Signed[UsageReport]:
    return sign(UsageReport(PROVIDER.address, session, sequence, 0, down, 1, 1, 10), DOMAIN, PROVIDER)


def test_intervals_follow_one_another_also_across_a_restart(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert store.reserve(100, 0, 1_000) == (0, 100)
    assert store.reserve(100, 50, 1_000) == (100, 200)
    store.close()
    again = store_at(tmp_path)
    assert again.reserved_until() == 200
    assert again.reserve(100, 500, 550) == (500, 550)
    with pytest.raises(Refused, match="budget_not_covered"):
        again.reserve(100, 0, 550)
    assert again.reserve(1, 0, 1 << 90) == (550, 551)
    again.close()


def test_the_newest_receipt_and_report_are_kept_and_never_fall(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    name = store.begin(REQUEST, OFFER, 5.0)
    assert store.begin(REQUEST, OFFER, 9.0) == name
    store.keep_receipt(receipt(name, 1, 400))
    store.note_report(report(name, 1, 300))
    with pytest.raises(ValueError, match="less"):
        store.keep_receipt(receipt(name, 2, 399))
    store.keep_receipt(receipt(name, 2, 500))
    store.note_report(report(name, 2, 450))
    store.end(name, "done", 20.0)
    store.end(name, "provider_failed", 30.0)
    store.close()
    again = store_at(tmp_path)
    known = again.session(name)
    assert known is not None
    assert (known.provider, known.region, known.opened, known.closed, known.reason) == (PROVIDER.address, "DE", 5, 20, "done")
    assert (known.received, known.reported, known.fee) == (500, 450, 450)
    with pytest.raises(ValueError, match="less"):
        again.keep_receipt(receipt(name, 1, 400))
    again.close()


def test_a_fee_stays_within_the_interval(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    name = store.begin(REQUEST, OFFER, 5.0)
    store.keep_receipt(receipt(name, 1, 5_000))
    known = store.session(name)
    assert known is not None
    assert known.fee == 1_000
    store.close()


def test_what_a_crash_left_open_is_ended_once(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    name = store.begin(REQUEST, OFFER, 5.0)
    store.close()
    again = store_at(tmp_path)
    assert [one.session_id for one in again.end_left_open(7.0)] == [name]
    assert again.end_left_open(8.0) == ()
    assert [one.reason for one in again.sessions()] == ["crashed"]
    again.close()


def test_a_store_belongs_to_one_account(tmp_path: Path) -> None:
    store_at(tmp_path).close()
    with pytest.raises(ForeignStore):
        store_at(tmp_path, PROVIDER.address)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3_000)), max_size=40))
def test_a_meter_never_goes_beyond_what_the_budget_affords(reads: list[tuple[bool, int]]) -> None:
    due: list[int] = []
    spent: list[int] = []
    meter = UsageMeter(20_000, 4_000, lambda: due.append(1), lambda: spent.append(1))
    for up, size in reads:
        allowed = meter.allow(size)
        (meter.sent if up else meter.received)(allowed)
    assert meter.usage.total <= 20_000
    assert bool(due) == (meter.usage.total >= 3_000)
