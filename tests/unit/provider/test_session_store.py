"""What a provider's store keeps of sessions across every reopening, and what of it a proof shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chain.epochs import Timing
from chain.typed import Domain, Signed, sign
from chain.types import Address, Digest
from provider.sessions.store import Served, SessionStore
from provider.store import Store
from tests.session_parts import Parties, key
from wire.messages import DemandReceipt, UsageReceipt
from wire.refusals import Refused

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
CONSUMER, PROVIDER, OTHER = key("consumer"), key("provider"), key("other")
VALIDATORS = sorted((key(f"validator {n}") for n in range(4)), key=lambda one: one.address)
STAKES = {one.address: 100 for one in VALIDATORS}
PARTIES = Parties(DOMAIN, CONSUMER, PROVIDER)
OPENED = 1_045  # in epoch 3, from 1,040 on
Reopened = Callable[[], SessionStore]


@pytest.fixture
def reopened(tmp_path: Path) -> Reopened:
    """Opens the same store anew at each call, as a process that was killed does."""
    return lambda: Store(tmp_path / "provider.sqlite", PROVIDER.address, DOMAIN).sessions(TIMING)


def covered(parties: Parties = PARTIES, time: int = OPENED, count: int = 3) -> list[Signed[DemandReceipt]]:
    return [parties.demand(one, time) for one in VALIDATORS[:count]]


def opened(store: SessionStore, parties: Parties = PARTIES, time: int = OPENED) -> Digest:
    return store.open(parties.claim(), covered(parties, time), STAKES, time).session_id


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        act()
    return refused.value.code


class TestLife:
    def test_what_was_opened_is_there_again(self, reopened: Reopened) -> None:
        name = opened(reopened())
        found = reopened().session(name)
        assert found is not None
        assert (found.claim, found.demand, found.opened, found.epochs) == (PARTIES.claim(), tuple(covered()), OPENED, (3, 4))
        assert (found.consumer, found.price, found.budget) == (CONSUMER.address, PARTIES.price, 1_000)
        assert (found.reason, found.served, found.receipt, found.report) == ("", Served(), None, None)
        assert reopened().open_sessions() == (found,)

    def test_without_two_thirds_nothing_is_opened(self, reopened: Reopened) -> None:
        assert refusal(lambda: reopened().open(PARTIES.claim(), covered(count=2), STAKES, OPENED)) == "not_covered"
        assert reopened().open_sessions() == ()

    def test_receipts_across_a_boundary_make_it_payable_in_the_later_epoch_alone(self, reopened: Reopened) -> None:
        mixed = [*covered(time=1_059, count=2), PARTIES.demand(VALIDATORS[2], 1_060)]
        assert reopened().open(PARTIES.claim(), mixed, STAKES, 1_060).epochs == (4, 4)
        reopened().add_demand(PARTIES.name, [PARTIES.demand(VALIDATORS[3], 1_060), PARTIES.demand(VALIDATORS[2], 1_999)])
        found = reopened().session(PARTIES.name)
        assert found is not None
        assert [one.message.time for one in found.demand] == [1_059, 1_059, 1_060, 1_060]

    def test_a_closed_session_stays_closed_for_its_first_reason(self, reopened: Reopened) -> None:
        name = opened(reopened())
        reopened().close(name, "consumer_gone", 1_050)
        reopened().close(name, "restarted", 1_051)
        opened(reopened())
        found = reopened().session(name)
        assert found is not None
        assert found.reason == "consumer_gone"
        assert reopened().open_sessions() == ()

    def test_after_a_crash_what_was_served_is_what_was_written_last(self, reopened: Reopened) -> None:
        name = opened(reopened())
        reopened().keep_receipt(PARTIES.receipt(1, 500, 1_046), Served(3, 600, 1, 9), 1_046)
        reopened().keep_report(PARTIES.report(1, 610, 1_046))
        (found,) = reopened().open_sessions()
        assert found.served == Served(3, 610, 1, 0)
        assert found.receipt == PARTIES.receipt(1, 500, 1_046)
        assert found.report == PARTIES.report(1, 610, 1_046)
        assert name == found.session_id

    def test_old_ones_are_forgotten_and_open_ones_never(self, reopened: Reopened) -> None:
        later = replace(PARTIES, nonce=1)
        opened(reopened())
        opened(reopened(), later, 1_065)
        assert reopened().forget(9) == 0
        for name in (PARTIES.name, later.name):
            reopened().close(name, "done", 1_070)
        assert reopened().forget(4) == 0
        assert reopened().forget(5) == 1
        assert reopened().session(PARTIES.name) is None
        assert reopened().session(later.name) is not None

    def test_credit_lasts(self, reopened: Reopened) -> None:
        assert reopened().credit_of(CONSUMER.address) is None
        for credit in (1 << 20, 1 << 21, 1 << 20):
            reopened().set_credit(CONSUMER.address, credit)
            assert reopened().credit_of(CONSUMER.address) == credit


WRONG: dict[str, tuple[Signed[UsageReceipt], str]] = {
    "a sequence that falls": (PARTIES.receipt(4, 900, 1_047), "bad_receipt"),
    "the same sequence for something else": (PARTIES.receipt(5, 501, 1_047), "bad_receipt"),
    "fewer bytes": (PARTIES.receipt(6, 499, 1_047), "bad_receipt"),
    "an earlier time": (PARTIES.receipt(6, 900, 1_046), "bad_receipt"),
    "another consumer's": (sign(replace(PARTIES.usage(6, 900, 1_048), consumer=OTHER.address), DOMAIN, OTHER), "bad_receipt"),
    "a session that is not known": (replace(PARTIES, nonce=7).receipt(6, 900, 1_048), "unknown_session"),
    "the acceptance": (sign(PARTIES.usage(0, 0, 0), DOMAIN, CONSUMER), "bad_receipt"),
    "an epoch too late": (PARTIES.receipt(6, 900, 1_080), "future_time"),
    "the end of time": (PARTIES.receipt(2**64 - 1, 2**64 - 1, 2**64 - 1), "future_time"),
}


class TestReceipts:
    @pytest.mark.parametrize("what", WRONG)
    def test_what_is_worth_nothing_is_refused_and_leaves_everything_as_it_was(self, reopened: Reopened, what: str) -> None:
        name, (wrong, code) = opened(reopened()), WRONG[what]
        reopened().keep_receipt(PARTIES.receipt(5, 500, 1_047), Served(0, 500), 1_047)
        before = reopened().session(name)
        assert refusal(lambda: reopened().keep_receipt(wrong, Served(0, 900), 1_048)) == code
        assert reopened().session(name) == before

    def test_of_an_epoch_before_it_was_covered(self, reopened: Reopened) -> None:
        opened(reopened())
        assert refusal(lambda: reopened().keep_receipt(PARTIES.receipt(1, 1, 1_039), Served(), OPENED)) == "stale_time"

    def test_of_an_epoch_whose_intake_has_closed(self, reopened: Reopened) -> None:
        opened(reopened())
        assert refusal(lambda: reopened().keep_receipt(PARTIES.receipt(1, 1, 1_059), Served(), 1_063)) == "stale_time"
        reopened().keep_receipt(PARTIES.receipt(1, 1, 1_059), Served(), 1_062)

    def test_the_same_again_changes_nothing(self, reopened: Reopened) -> None:
        opened(reopened())
        receipt = PARTIES.receipt(1, 500, 1_047)
        assert reopened().keep_receipt(receipt, Served(0, 500), 1_047)
        assert not reopened().keep_receipt(receipt, Served(0, 900), 1_048)

    def test_an_answered_receipt_is_as_both_kept_one_after_the_other(self, reopened: Reopened) -> None:
        name, other = opened(reopened()), opened(reopened(), replace(PARTIES, nonce=1))
        answering = reopened()
        for n, at in ((1, 1_046), (2, 1_050), (3, 1_061)):
            reopened().keep_receipt(PARTIES.receipt(n, 100 * n, at), Served(0, 101 * n), at)
            reopened().keep_report(PARTIES.report(n, 101 * n, at))
            again = replace(PARTIES, nonce=1)
            answering.keep_answer(again.receipt(n, 100 * n, at), again.report(n, 101 * n, at), at)
        one, two = reopened().session(name), reopened().session(other)
        assert one is not None
        assert two is not None
        assert two.served == one.served
        for found, parties in ((one, PARTIES), (two, replace(PARTIES, nonce=1))):
            assert (found.receipt, found.report) == (parties.receipt(3, 300, 1_061), parties.report(3, 303, 1_061))
            assert reopened().receipt(found.session_id, 3) == parties.receipt(2, 200, 1_050)
        again = replace(PARTIES, nonce=1)
        assert refusal(lambda: answering.keep_answer(again.receipt(2, 900, 1_062), again.report(4, 900, 1_062), 1_062)) == "bad_receipt"
        with pytest.raises(ValueError, match="less"):
            answering.keep_answer(again.receipt(4, 900, 1_062), again.report(4, 302, 1_062), 1_062)
        assert reopened().session(other) == two

    def test_one_that_comes_after_the_close_is_worth_the_same(self, reopened: Reopened) -> None:
        name = opened(reopened())
        reopened().close(name, "consumer_gone", 1_048)
        assert reopened().keep_receipt(PARTIES.receipt(1, 500, 1_049), Served(0, 500), 1_049)
        assert reopened().receipt(name) is not None

    def test_the_newest_of_each_epoch_stays(self, reopened: Reopened) -> None:
        name = opened(reopened())
        said = [PARTIES.receipt(1, 10, 1_046), PARTIES.receipt(2, 20, 1_059), PARTIES.receipt(3, 30, 1_060)]
        for receipt in said:
            reopened().keep_receipt(receipt, Served(), receipt.message.time)
        assert [reopened().receipt(name, epoch) for epoch in (2, 3, 4, None)] == [None, said[1], said[2], said[2]]

    def test_an_own_report_never_says_less(self, reopened: Reopened) -> None:
        name = opened(reopened())
        reopened().keep_report(PARTIES.report(1, 500, 1_047))
        with pytest.raises(ValueError, match="less"):
            reopened().keep_report(PARTIES.report(2, 499, 1_048))
        assert reopened().report(name) == reopened().report(name, 3) == PARTIES.report(1, 500, 1_047)


class TestEvidence:
    def test_the_newest_receipt_of_the_epoch_with_its_report_and_no_more_demand_than_it_takes(self, reopened: Reopened) -> None:
        store = reopened()
        name = opened(store)
        store.add_demand(name, [PARTIES.demand(VALIDATORS[3], OPENED)])
        store.keep_receipt(PARTIES.receipt(1, 500, 1_047), Served(), 1_047)
        store.keep_report(PARTIES.report(1, 505, 1_047))
        (shown,) = store.evidence(3, STAKES, 10)
        assert shown == replace(PARTIES.evidence(VALIDATORS[:3], 500, 1_047, served=505, covered=OPENED))
        heavy = STAKES | {VALIDATORS[3].address: 10**6}
        assert [one.message.validator for one in store.evidence(3, heavy, 10)[0].demand] == [VALIDATORS[3].address]

    def test_a_report_older_than_the_receipt_is_left_out(self, reopened: Reopened) -> None:
        store = reopened()
        opened(store)
        store.keep_report(PARTIES.report(1, 100, 1_046))
        store.keep_receipt(PARTIES.receipt(2, 500, 1_059), Served(), 1_059)
        store.keep_report(PARTIES.report(2, 500, 1_060))  # of the next epoch
        assert store.evidence(3, STAKES, 10)[0].reports == ()

    def test_only_what_is_payable(self, reopened: Reopened) -> None:
        store = reopened()
        opened(store)
        assert store.evidence(3, STAKES, 10) == ()  # no receipt
        store.keep_receipt(PARTIES.receipt(1, 500, 1_047), Served(), 1_047)
        assert store.evidence(5, STAKES, 10) == ()
        assert store.evidence(3, {OTHER.address: 1}, 10) == ()
        assert store.evidence(3, STAKES | {OTHER.address: 151}, 10) == ()
        assert len(store.evidence(3, STAKES | {OTHER.address: 50}, 10)) == 1

    def test_what_came_too_late_for_one_epoch_is_shown_in_the_next(self, reopened: Reopened) -> None:
        store = reopened()
        opened(store)
        early, late = PARTIES.receipt(1, 500, 1_047), PARTIES.receipt(2, 700, 1_059)
        for receipt in (early, late):
            store.keep_receipt(receipt, Served(), receipt.message.time)
        assert [one.receipts for one in store.evidence(4, STAKES, 10, {early.message})] == [(late,)]
        assert store.evidence(4, STAKES, 10, {late.message}) == ()
        newest = PARTIES.receipt(3, 700, 1_061)
        store.keep_receipt(newest, Served(), 1_061)
        assert [one.receipts for one in store.evidence(4, STAKES, 10, {late.message})] == [(newest,)]

    def test_the_highest_fee_outstanding_comes_first(self, reopened: Reopened) -> None:
        store = reopened()
        for nonce, (early, late) in enumerate([(0, 300), (800, 900), (0, 700), (100, 2_000)]):
            parties = replace(PARTIES, nonce=nonce)
            opened(store, parties)
            store.keep_receipt(parties.receipt(1, early, 1_050), Served(), 1_050)
            store.keep_receipt(parties.receipt(2, late, 1_065), Served(), 1_065)
        ranked = [one.request.message.nonce for one in store.evidence(4, STAKES, 3)]
        assert ranked == [3, 2, 0]  # 900 (of an interval of 1,000), 700, 300, and 100 left out
