"""What a validator promises of a deposit, and that it stays promised across every reopening."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from chain.typed import Domain, Signed
from chain.types import Address, Digest
from chain.view import BlockStamp, ChainView
from runtime.database import open_database
from runtime.storage import Storage
from tests.session_parts import Parties, key
from tests.unit.validator.postings_made import posted
from validator.demand import MOST_RELEASED, Interval, Standing, limit, merged, released_before
from validator.ledger import MOST_PROMISED, Ledger
from validator.tables import TABLES
from wire.messages import DemandReceipt
from wire.refusals import Refused

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
CONSUMER, PROVIDER, VALIDATOR = key("consumer"), key("provider"), key("validator")
STANDING = Standing(held=1_000, spent=0, settled=0, leaving=False, released_before=0)


@pytest.fixture
def reopened(storage: Storage) -> Iterator[Callable[[], Ledger]]:
    """Opens the same ledger anew at each call, as a process does that follows one that was killed."""
    opened: list[Engine] = []

    def anew() -> Ledger:
        for engine in opened:
            engine.dispose()
        opened[:] = [open_database(storage, TABLES, DOMAIN, alone=True)]
        return Ledger(opened[0])

    yield anew
    for engine in opened:
        engine.dispose()


def ask(ledger: Ledger, start: int, end: int, *, nonce: int = 0, epoch: int = 5, standing: Standing = STANDING) -> Signed[DemandReceipt]:
    parties = Parties(DOMAIN, CONSUMER, PROVIDER, start, end, nonce=nonce)
    made = parties.demand(VALIDATOR, 1_000 + nonce)
    return ledger.promise(made.message.session_id, CONSUMER.address, Interval(start, end), epoch, standing, lambda: made)


def refusal(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as refused:
        act()
    return refused.value


def test_intervals_ascend_and_never_overlap(reopened: Callable[[], Ledger]) -> None:
    ask(reopened(), 100, 400)
    for n, (start, end) in enumerate([(100, 400), (0, 100), (399, 500), (200, 300)], 1):
        refused = refusal(lambda start=start, end=end, n=n: ask(reopened(), start, end, nonce=n))  # type: ignore[misc]
        assert (refused.code, refused.evidence["nextFrom"]) == ("budget_used", "400")
    ask(reopened(), 400, 400, nonce=5)
    ask(reopened(), 600, 1_000, nonce=6)
    assert reopened().look(CONSUMER.address, STANDING) == (1_000, 1_000)


def test_the_same_session_gets_the_same_receipt_whatever_has_changed(reopened: Callable[[], Ledger]) -> None:
    first = ask(reopened(), 0, 400)
    ask(reopened(), 400, 800, nonce=1)
    gone = replace(STANDING, held=0, leaving=True)
    assert ask(reopened(), 0, 400, epoch=7, standing=gone) == first
    assert reopened().receipt(first.message.session_id) == first


def test_fifty_at_once_on_one_deposit_get_no_more_than_it_holds(reopened: Callable[[], Ledger]) -> None:
    ledger, covered = reopened(), 0
    for n in range(50):
        try:
            ask(ledger, 300 * n, 300 * n + 300, nonce=n)
        except Refused as refused:
            assert refused.code == "budget_not_covered"
        else:
            covered += 300
    assert covered == 900


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"held": 0}, "no_deposit"),
        ({"leaving": True}, "no_deposit"),
        ({"held": 399}, "budget_not_covered"),
        ({"spent": 601}, "budget_not_covered"),
        ({"held": 400}, None),
        ({"spent": 600}, None),
        ({"spent": 2_000, "settled": 1_400}, None),
        ({"spent": 2_000, "settled": 1_399}, "budget_not_covered"),
    ],
)
def test_what_is_held_and_not_spent_is_covered(reopened: Callable[[], Ledger], change: dict[str, int], code: str | None) -> None:
    standing = replace(STANDING, **change)  # type: ignore[arg-type]
    if code is None:
        ask(reopened(), 0, 400, standing=standing)
    else:
        assert refusal(lambda: ask(reopened(), 0, 400, standing=standing)).code == code
        assert reopened().look(CONSUMER.address, STANDING) == (0, 1_000)


def test_unused_promises_come_back_once_they_are_surely_over(reopened: Callable[[], Ledger]) -> None:
    ask(reopened(), 0, 300, epoch=5)
    ask(reopened(), 300, 1_000, nonce=1, epoch=6)
    later = [replace(STANDING, released_before=epoch) for epoch in (5, 6, 7)]
    assert [reopened().look(CONSUMER.address, one) for one in later] == [(1_000, 1_000), (1_000, 1_300), (1_000, 2_000)]
    ask(reopened(), 1_000, 1_300, nonce=2, epoch=9, standing=later[1])
    assert reopened().look(CONSUMER.address, later[2]) == (1_300, 2_000)


def test_what_others_promised_comes_back_only_when_it_is_settled(reopened: Callable[[], Ledger]) -> None:
    ask(reopened(), 600, 1_000, epoch=5)
    assert reopened().look(CONSUMER.address, replace(STANDING, released_before=6)) == (1_000, 1_400)
    assert reopened().look(CONSUMER.address, replace(STANDING, released_before=6, settled=600)) == (1_000, 2_000)
    assert reopened().look(CONSUMER.address, replace(STANDING, released_before=6, settled=800, spent=50)) == (1_000, 1_950)


def test_a_clock_that_goes_back_releases_nothing_early(reopened: Callable[[], Ledger]) -> None:
    ask(reopened(), 0, 300, epoch=8)
    ask(reopened(), 300, 600, nonce=1, epoch=2)
    assert reopened().look(CONSUMER.address, replace(STANDING, released_before=8)) == (600, 1_000)


def test_the_table_holds_what_binds_and_no_more(reopened: Callable[[], Ledger]) -> None:
    ledger = reopened()
    for n in range(200):
        settled = replace(STANDING, held=5_000, settled=10 * n, spent=10 * n, released_before=n)
        first = ask(ledger, 10 * n, 10 * n + 10, nonce=n, epoch=n, standing=settled)
    assert ledger.receipt(first.message.session_id) is not None
    assert ledger.receipt(Parties(DOMAIN, CONSUMER, PROVIDER, 0, 10).name) is None
    assert refusal(lambda: ask(ledger, 0, 10, epoch=200)).code == "budget_used"


def test_a_consumer_binds_so_many_promises_and_no_more(reopened: Callable[[], Ledger], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validator.ledger.MOST_PROMISED", 5)
    ledger = reopened()
    for n in range(5):
        ask(ledger, n, n + 1, nonce=n)
    assert refusal(lambda: ask(ledger, 5, 6, nonce=5)).code == "busy"
    ask(ledger, 5, 6, nonce=6, standing=replace(STANDING, released_before=6))
    assert MOST_PROMISED == 1_024


def test_what_binds_follows_the_roots() -> None:
    roots = tuple(posted(epoch, through=2 * epoch, active_at=100 * epoch) for epoch in range(1, 6))
    seen = [released_before(ChainView(BlockStamp(1, Digest(bytes(32)), second), posted=roots)) for second in (99, 399, 400, 499, 500)]
    assert seen == [0, 0, 2, 2, 4]


points = st.integers(0, 60)
intervals = st.lists(st.tuples(points, points).map(lambda pair: Interval(min(pair), max(pair))), max_size=12)


@given(intervals, intervals, points)
def test_merging_loses_nothing_above_what_is_settled(kept: list[Interval], newly: list[Interval], settled: int) -> None:
    found = merged(kept, newly, settled)
    wanted = {wei for one in (*kept, *newly) for wei in range(max(one.start, settled), one.end)}
    assert {wei for one in found for wei in range(one.start, one.end)} == wanted
    assert all(one.end < other.start for one, other in pairwise(found))
    standing = replace(STANDING, held=7, settled=settled)
    assert limit(standing, found) == 7 + settled + len(wanted)


def test_of_too_many_intervals_the_widest_are_kept() -> None:
    many = [Interval(10 * n, 10 * n + 1 + (n % 7 == 0)) for n in range(7 * MOST_RELEASED)]
    assert merged(many, (), 0) == tuple(one for one in many if one.end - one.start == 2)
