"""What the events say of a root that is pending, cancelled, proven fraudulent or active, and of an exit, before any contract is asked."""

from __future__ import annotations

from chain import events as ev
from chain.fold import fold
from chain.types import ZERO_DIGEST, Address, Digest, Wei
from chain.view import BlockStamp, ChainView, Deposit

AT = ev.LogPosition(1, 0, ZERO_DIGEST)
START = ChainView(BlockStamp(0, ZERO_DIGEST, 0))
GUARDIAN, JUDGE, REPORTER, ANNE = (Address("0x" + digit * 40) for digit in "1234")
ACTIVE_AT = 1_000


def posted(epoch: int, active_at: int = ACTIVE_AT) -> ev.Posted:
    root = Digest(bytes([epoch]) * 32)
    return ev.Posted(AT, epoch, 0, root, epoch, Wei(5), Wei(0), ZERO_DIGEST, ZERO_DIGEST, 1, active_at)


def cancelled(epoch: int, by: Address) -> ev.Cancelled:
    return ev.Cancelled(AT, epoch, posted(epoch).root, by)


def proven(name: str = "falls", epoch: int = 1) -> ev.Proven:
    return ev.Proven(AT, name, posted(epoch).root, REPORTER)


def seen(*events: ev.Event) -> ChainView:
    return fold(START, events, BlockStamp(1, ZERO_DIGEST, 500))


def told(view: ChainView, second: int) -> tuple[int | None, int | None, int | None]:
    """The epochs of the active, the pending and the triable root."""
    active, pending, triable = (of(second) for of in (view.active_posting, view.pending_posting, view.triable_posting))
    return tuple(one.epoch if one else None for one in (active, pending, triable))  # type: ignore[return-value]


def test_a_pending_root_is_triable_until_it_is_active() -> None:
    view = seen(posted(1))
    assert told(view, ACTIVE_AT - 1) == (None, 1, 1)
    assert told(view, ACTIVE_AT) == (1, None, None)


def test_one_that_the_guardian_cancelled_stays_triable_until_it_would_have_been_active() -> None:
    view = seen(posted(1), cancelled(1, GUARDIAN))
    assert told(view, ACTIVE_AT - 1) == (None, None, 1)
    assert told(view, ACTIVE_AT) == (None, None, None)


def test_one_that_was_proven_fraudulent_is_triable_no_more_whoever_cancelled_it() -> None:
    for events in ((proven(), cancelled(1, JUDGE)), (cancelled(1, GUARDIAN), proven())):
        view = seen(posted(1), *events)
        assert told(view, ACTIVE_AT - 1) == (None, None, None)
        assert view.proven.keys() == {1}


def test_a_root_is_upon_the_one_before_and_covers_what_lies_between() -> None:
    view = seen(posted(2), posted(3), cancelled(3, GUARDIAN), posted(5))
    before, covering = ([of(epoch) for epoch in range(1, 7)] for of in (view.root_before, view.root_covering))
    assert [one and one.epoch for one in before] == [None, None, 2, 2, 2, 5]
    assert [one and one.epoch for one in covering] == [2, 2, 5, 5, 5, None]


def test_two_statements_of_one_validator_leave_the_root_triable() -> None:
    assert told(seen(posted(1), proven("equivocates")), ACTIVE_AT - 1) == (None, 1, 1)


def test_the_same_root_posted_again_is_tried_anew() -> None:
    again = ev.Posted(AT, 2, 0, posted(1).root, 2, Wei(5), Wei(0), ZERO_DIGEST, ZERO_DIGEST, 1, 2_000)
    assert told(seen(posted(1), proven(), cancelled(1, JUDGE), again), 1_500) == (None, 2, 2)


def test_an_exit_is_kept_with_its_second_and_ends_with_the_withdrawal() -> None:
    deposited, exited = ev.Deposited(AT, ANNE, Wei(9), Wei(9)), ev.Exited(AT, ANNE, 3, 777)
    assert seen(deposited, exited).deposit_of(ANNE) == Deposit(Wei(9), Wei(0), exit_epoch=3, exit_at=777)
    paid = ev.Withdrawn(AT, ANNE, Wei(4), Wei(4))
    assert seen(deposited, exited, paid).deposit_of(ANNE) == Deposit(Wei(9), Wei(4))


def test_the_next_pause_is_counted_from_the_end_of_the_last() -> None:
    guard = seen(ev.Paused(AT, 300, 900), ev.Unpaused(AT, 700)).guard
    assert (guard.paused_until, guard.pausable_from) == (0, 700)


def test_a_reputation_is_of_the_newest_root_it_was_claimed_or_pushed_by() -> None:
    claim = ev.Claimed(AT, ANNE, ANNE, Wei(1))
    events: list[ev.Event] = [posted(1), ev.Activated(AT, 1, posted(1).root, Wei(5)), claim]
    assert seen(*events).scored == {ANNE: 1}
    pushed = [*events, posted(2, 2_000), ev.ReputationPushed(AT, ANNE, 7, 2), claim]
    assert seen(*pushed).scored == {ANNE: 2}
