"""What sessions pay, worked out by hand: fees, the treasury, the budget's part, caps, exits, and accounts that took what they had spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import pytest

from chain.epochs import Timing
from chain.messages import Leaf
from chain.rules import Rules
from chain.typed import Signed
from chain.types import PPM, ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Signature
from validator.epoch import Outcome, recompute
from validator.frauds import LeafTree, frauds_in
from validator.state import AccountState, OpenSession, State, decode_state, encode_state, genesis_state, leaves_of
from wire.agreement import ChainSection, CoveredEpoch, Depositor, ListedNode, Manifest, RegisteredProvider
from wire.messages import ActivityProof, DemandReceipt, Offer, SessionEvidence, SessionRequest, UsageReceipt, UsageReport
from wire.sessions import GIB

TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
RULES = Rules()
TREASURY = Address("0x" + "fe" * 20)
P, Q = Address("0x" + "a1" * 20), Address("0x" + "a2" * 20)
C, D = Address("0x" + "c1" * 20), Address("0x" + "c2" * 20)
VALIDATORS = tuple(Address(f"0x{n:040x}") for n in range(1, 5))
M = TypeVar("M")
Shows = Mapping[int, tuple[Signed[ActivityProof], ...]]
NONE: Shows = {}


def unsigned(message: M) -> Signed[M]:
    """Recomputation reads no signature: what it is given has been verified."""
    return Signed(message, Signature(bytes(65)))


def section(epoch: int, *providers: Address, rate: int = 10**18, funded: int = 10**24) -> ChainSection:
    roles = tuple(ListedNode(one, "validator", 100) for one in VALIDATORS)
    registered = tuple(RegisteredProvider(provider, ZERO_ADDRESS, 10**18) for provider in providers)
    return ChainSection(epoch, epoch, Digest(bytes(32)), roles, (), registered, funded, rate, TREASURY)


def deposited(*accounts: tuple[Address, int], withdrawn: int = 0, exited: int = 0) -> tuple[Depositor, ...]:
    return tuple(Depositor(account, amount, withdrawn, exited) for account, amount in sorted(accounts))


def session(
    number: int,
    epoch: int,
    received: int,
    *,
    of: tuple[Address, Address] = (C, P),
    interval: tuple[int, int] = (0, 1_000),
    served: int | None = None,
    covered: int | None = None,
    price: int = GIB,
) -> SessionEvidence:
    """At a wei a byte unless a price is said; the receipt is of `epoch`, as are the demand receipts, unless they are of `covered`."""
    (consumer, provider), name = of, Digest(number.to_bytes(32))
    second, given = TIMING.start_of(epoch), TIMING.start_of(covered or epoch)
    demand = tuple(unsigned(DemandReceipt(one, consumer, provider, name, *interval, given)) for one in VALIDATORS[:3])
    receipt = UsageReceipt(consumer, name, 1, 0, received, 0, 0, second)
    reports = () if served is None else (unsigned(UsageReport(provider, name, 1, served, 0, 0, 0, second)),)
    request = SessionRequest(consumer, "", 0, 0, price, *interval, number, 9**9)
    return SessionEvidence(unsigned(request), unsigned(Offer(provider, name, price, 9**9)), demand, (unsigned(receipt),), reports)


def proof(epoch: int, *sessions: SessionEvidence, by: Address = P, sequence: int = 1) -> Signed[ActivityProof]:
    return unsigned(ActivityProof(by, epoch, sequence, (), (), sessions, (), ZERO_DIGEST))


def root(
    parent: State, shows: Shows, deposits: tuple[Depositor, ...], *sections: ChainSection, rules: Rules = RULES, epoch: int | None = None
) -> Outcome:
    covered = tuple(CoveredEpoch(one.epoch, ()) for one in sections)
    last = sections[-1].epoch
    manifest = Manifest(epoch or last, last, ZERO_DIGEST, ZERO_DIGEST, rules.digest(), deposits, sections, covered)
    return recompute(parent, manifest, shows, TIMING, rules)


def leaf(outcome: Outcome, account: Address) -> Leaf:
    return next(leaf for leaf in outcome.leaves if leaf.account == account)


def account(outcome: Outcome, address: Address) -> AccountState:
    return next(one for one in outcome.state.accounts if one.account == address)


HELD = deposited((C, 10_000), (D, 10_000))


class TestFees:
    def test_a_session_to_the_last_unit(self) -> None:
        rich = deposited((C, 10**20))
        shown = session(1, 1, 5 * GIB + 1, interval=(0, 10**20), price=3 * 10**17 + 1)
        outcome = root(genesis_state(), {1: (proof(1, shown),)}, rich, section(1, P))
        fee = 5 * (3 * 10**17 + 1) + 279_396_773  # the last byte costs 279,396,772.38 wei
        protocol_fee = fee * 50_000 // PPM
        subsidy = protocol_fee * 900_000 // PPM
        assert leaf(outcome, C).spent == fee
        assert leaf(outcome, P).earned == fee - protocol_fee + subsidy
        assert leaf(outcome, TREASURY).earned == protocol_fee
        assert leaf(outcome, P).points == protocol_fee * 100_000 // 10**18
        assert (outcome.total_earned, outcome.total_spent) == (fee + subsidy, fee)
        # one consumer is 5 % of the signal, which is 15 % of the score; tenure 0, no slot up
        assert account(outcome, P).buckets == (7_500,)
        assert outcome.state.sessions == (OpenSession(Digest((1).to_bytes(32)), C, 10**20, fee),)

    @pytest.mark.parametrize(("received", "served", "fee"), [(700, None, 700), (700, 600, 600), (600, 700, 600), (700, 0, 0), (0, 9, 0)])
    def test_the_smaller_of_receipt_and_report_counts(self, received: int, served: int | None, fee: int) -> None:
        outcome = root(genesis_state(), {1: (proof(1, session(1, 1, received, served=served)),)}, HELD, section(1, P))
        assert leaf(outcome, C).spent == fee

    def test_no_session_costs_more_than_its_interval(self) -> None:
        shown = session(1, 1, 2**64 - 1, interval=(0, 300))
        assert leaf(root(genesis_state(), {1: (proof(1, shown),)}, HELD, section(1, P)), C).spent == 300

    def test_two_epochs_pay_what_each_adds(self) -> None:
        shows = {1: (proof(1, session(1, 1, 410)),), 2: (proof(2, session(1, 2, 1_000, covered=1)),)}
        first = root(genesis_state(), shows, HELD, section(1, P))
        second = root(first.state, shows, HELD, section(2, P))
        assert [leaf(one, C).spent for one in (first, second)] == [410, 1_000]
        assert [leaf(one, TREASURY).earned for one in (first, second)] == [20, 50]  # 20.5 and 50
        assert second.state.sessions == ()
        assert [account(one, C).settled for one in (first, second)] == [0, 1_000]

    def test_no_report_chooses_how_the_subsidy_is_rounded(self) -> None:
        paid = {}
        for served in (None, 0):  # the fee of 40 wei in two epochs, or all in the second
            shows = {1: (proof(1, session(1, 1, 20, served=served)),), 2: (proof(2, session(1, 2, 40, covered=1)),)}
            paid[served] = leaf(root(genesis_state(), shows, HELD, section(1, P), section(2, P)), P).earned
        assert paid == {None: 39, 0: 39}

    def test_a_third_epoch_pays_nothing_even_if_two_thirds_cover_it_anew(self) -> None:
        state = genesis_state()
        for epoch in (1, 2, 3, 4):
            state = root(state, {epoch: (proof(epoch, session(1, epoch, 400)),)}, HELD, section(epoch, P)).state
        assert state.total_spent == 400

    def test_a_later_receipt_that_says_less_takes_nothing_back(self) -> None:
        shows = {1: (proof(1, session(1, 1, 400)),), 2: (proof(2, session(1, 2, 100, covered=1)),)}
        assert root(genesis_state(), shows, HELD, section(1, P), section(2, P)).total_spent == 400

    def test_a_receipt_shown_an_epoch_late_is_paid_then_and_once(self) -> None:
        late = session(1, 1, 400)
        shows = {2: (proof(2, late),), 3: (proof(3, late),)}
        outcome = root(genesis_state(), shows, HELD, section(1, P), section(2, P), section(3, P))
        assert leaf(outcome, C).spent == 400
        both = {1: (proof(1, late),), 2: (proof(2, late),)}
        assert leaf(root(genesis_state(), both, HELD, section(1, P), section(2, P)), C).spent == 400

    def test_evidence_withheld_in_the_first_epoch_counts_in_the_second_alone(self) -> None:
        shows = {2: (proof(2, session(1, 2, 400, covered=1)),), 3: (proof(3, session(1, 3, 900, covered=1)),)}
        outcome = root(genesis_state(), shows, HELD, section(1, P), section(2, P), section(3, P))
        assert leaf(outcome, C).spent == 400
        assert account(outcome, C).settled == 1_000

    def test_dead_epochs_caught_up_at_once_are_as_one_after_the_other(self) -> None:
        own = {n: (1_000 * n, 1_000 * n + 1_000) for n in range(1, 8)}
        shows = {
            e: (proof(e, session(e, e, 300, interval=own[e]), session(e - 1, e, 700, covered=e - 1, interval=own[e - 1])),)
            for e in range(2, 8)
        }
        state = genesis_state()
        for epoch in range(1, 8):
            state = root(state, shows, HELD, section(epoch, P)).state
        assert root(genesis_state(), shows, HELD, *(section(epoch, P) for epoch in range(1, 8)), epoch=9).state == state
        assert state.total_spent == 6 * 700 + 300  # session 1 began in epoch 1, and showed nothing then

    def test_several_receipts_merge_by_maximum_wherever_they_stand(self) -> None:
        three = [session(1, 1, received, served=served) for received, served in ((500, None), (800, 900), (200, 700))]
        for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
            shows = {1: tuple(proof(1, three[n], sequence=n + 1) for n in order)}
            assert root(genesis_state(), shows, HELD, section(1, P)).total_spent == 800
        assert root(genesis_state(), {1: (proof(1, three[0]), proof(1, three[2]))}, HELD, section(1, P)).total_spent == 500

    def test_what_another_provider_shows_of_a_session_is_nothing(self) -> None:
        assert root(genesis_state(), {1: (proof(1, session(1, 1, 400), by=Q),)}, HELD, section(1, P, Q)).total_spent == 0

    def test_a_session_that_the_own_lists_do_not_cover_is_passed_over(self) -> None:
        stakes = tuple(ListedNode(one, "validator", 10**6 if one == VALIDATORS[3] else 1) for one in VALIDATORS)
        other = replace(section(1, P), roles=stakes)
        assert root(genesis_state(), {1: (proof(1, session(1, 1, 400)),)}, HELD, other).total_spent == 0

    def test_an_unregistered_provider_is_paid_and_has_no_points(self) -> None:
        rich = deposited((C, 10**20))
        outcome = root(genesis_state(), {1: (proof(1, session(1, 1, 10**19, interval=(0, 10**19))),)}, rich, section(1))
        assert leaf(outcome, P) == Leaf(P, 10**19 - 5 * 10**17 + 25 * 10**16, 0, 0, account(outcome, P).reputation)


class TestCaps:
    def test_a_consumer_pays_what_it_holds_lower_ids_first(self) -> None:
        shown = [session(n, 1, 700, interval=(1_000 * n, 1_000 * n + 1_000)) for n in (3, 1, 2)]
        outcome = root(genesis_state(), {1: (proof(1, *shown),)}, deposited((C, 1_000)), section(1, P))
        assert [one.paid for one in outcome.state.sessions] == [700, 300, 0]
        assert leaf(outcome, C).spent == 1_000

    def test_it_is_what_is_held_when_the_root_is_posted_that_counts(self) -> None:
        shows = {1: (proof(1, session(1, 1, 1_000)),)}
        outcome = root(genesis_state(), shows, deposited((C, 1_000), withdrawn=600), section(1, P), epoch=1)
        assert leaf(outcome, C).spent == 400

    def test_nobody_without_a_deposit_pays(self) -> None:
        outcome = root(genesis_state(), {1: (proof(1, session(1, 1, 400)),)}, (), section(1, P))
        assert outcome.total_spent == 0
        assert outcome.state.accounts == ()

    @pytest.mark.parametrize(("exited_in", "counts"), [(None, True), (1, False), (2, True), (3, True), (4, True)])
    def test_after_an_exit_receipts_count_until_the_end_of_the_next_epoch(self, exited_in: int | None, counts: bool) -> None:
        exited = 0 if exited_in is None else exited_in + 1
        sections = [section(epoch, P) for epoch in (1, 2, 3)]
        outcome = root(genesis_state(), {3: (proof(3, session(1, 3, 400)),)}, deposited((C, 1_000), exited=exited), *sections)
        assert outcome.total_spent == (400 if counts else 0)

    def test_the_treasury_pays_no_session(self) -> None:
        """It would pay the protocol fee to itself, and draw the budget's part for nothing."""
        shown = session(1, 1, 400, of=(TREASURY, P))
        assert root(genesis_state(), {1: (proof(1, shown),)}, deposited((TREASURY, 10_000)), section(1, P)).total_earned == 0

    def test_a_short_share_is_split_by_what_each_would_have(self) -> None:
        shows = {1: (proof(1, session(1, 1, 1_000)), proof(1, session(2, 1, 400, of=(D, Q)), by=Q))}
        outcome = root(genesis_state(), shows, HELD, section(1, P, Q, rate=100))
        # 45 and 18 are wanted, 25 are there
        assert leaf(outcome, P).earned == 950 + 25 * 45 // 63
        assert leaf(outcome, Q).earned == 380 + 25 * 18 // 63

    def test_funds_that_are_out_leave_the_fee_alone(self) -> None:
        outcome = root(genesis_state(), {1: (proof(1, session(1, 1, 1_000)),)}, HELD, section(1, P, funded=10))
        assert leaf(outcome, P).earned == 950 + 10
        outcome = root(genesis_state(), {1: (proof(1, session(1, 1, 1_000)),)}, HELD, section(1, P, funded=0))
        assert (leaf(outcome, P).earned, outcome.total_earned, outcome.total_spent) == (950, 1_000, 1_000)


class TestLost:
    """An account that holds less than it has spent: it announced a withdrawal and nobody refuted it."""

    PARENT = State(
        3,
        (
            AccountState(P, 500, 0, 7, 200_000, 1, "", 0, (0,)),
            AccountState(C, 60, 900, 5, 200_000, 1, "", 0, (0,), 1_000),
            AccountState(D, 0, 100, 0, 200_000, 0, "", 0, ()),
        ),
    )

    def test_it_loses_its_leaf_and_the_totals_stay(self) -> None:
        outcome = root(self.PARENT, NONE, deposited((C, 0), (D, 10_000)), section(4, P))
        assert C not in [leaf.account for leaf in outcome.leaves]
        assert (outcome.total_earned, outcome.total_spent) == (560, 1_000)
        assert (outcome.state.lost_earned, outcome.state.lost_spent) == (60, 900)
        assert decode_state(encode_state(outcome.state)) == outcome.state

    def test_nothing_of_it_can_be_proven(self) -> None:
        held = {C: 0, D: 10_000}
        outcome = root(self.PARENT, NONE, deposited(*held.items()), section(4, P))
        parent = LeafTree(leaves_of(self.PARENT, TREASURY))
        assert list(frauds_in(LeafTree(outcome.leaves), outcome.total_earned, parent, held)) == []

    def test_it_neither_pays_nor_is_paid_in_that_root_and_begins_anew_in_the_next(self) -> None:
        shows = {
            4: (proof(4, session(1, 4, 50)), proof(4, session(2, 4, 50, of=(D, C)), by=C)),
            5: (proof(5, session(3, 5, 50, interval=(1_000, 2_000))),),
        }
        lost = root(self.PARENT, shows, deposited((C, 800), (D, 10_000)), section(4, P))
        assert (lost.total_earned, lost.total_spent) == (560, 1_000)
        again = root(lost.state, shows, deposited((C, 950), (D, 10_000)), section(5, P))
        assert leaf(again, C) == Leaf(C, 0, 50, 0, RULES.reputation_prior_ppm)
        assert again.total_spent == 1_050

    def test_what_it_took_others_cannot_spend(self) -> None:
        """All that was ever spent has to stay in the Vault, or no root could be posted any more."""
        shown = session(1, 4, 1_000, of=(D, P))
        outcome = root(self.PARENT, {4: (proof(4, shown),)}, deposited((C, 0), (D, 1_200)), section(4, P))
        assert outcome.total_spent == 1_200
        assert leaf(outcome, D).spent == 300


class TestSettled:
    def test_an_interval_is_settled_an_epoch_after_it_was_first_counted(self) -> None:
        state, settled = genesis_state(), []
        for epoch in (1, 2, 3, 4):
            shows = {epoch: (proof(epoch, session(epoch, epoch, 1, interval=(100 * epoch, 100 * epoch + 100))),)} if epoch < 3 else NONE
            outcome = root(state, shows, HELD, section(epoch, P))
            state = outcome.state
            settled.append(account(outcome, C).settled)
        assert settled == [0, 200, 300, 300]

    def test_a_session_below_what_is_settled_is_over(self) -> None:
        parent = State(3, (AccountState(C, 0, 0, 0, 200_000, 0, "", 0, (), 1_000),))
        below, above = session(1, 4, 400, interval=(0, 1_000)), session(2, 4, 40, interval=(1_000, 2_000))
        assert root(parent, {4: (proof(4, below, above),)}, HELD, section(4, P)).total_spent == 40

    def test_a_session_of_the_epoch_before_may_lie_below_one_of_the_same_epoch(self) -> None:
        first = root(genesis_state(), {1: (proof(1, session(2, 1, 40, interval=(1_000, 2_000))),)}, HELD, section(1, P))
        second = root(first.state, {2: (proof(2, session(1, 2, 400, covered=1)),)}, HELD, section(2, P))
        assert second.total_spent == 440

    def test_who_deposited_and_is_forgotten_as_a_provider_keeps_it(self) -> None:
        parent = State(3, (AccountState(C, 0, 0, 0, 150_000, 1, "", 0, (0, 0), 700),))
        assert account(root(parent, NONE, HELD, section(4)), C) == AccountState(C, 0, 0, 0, 200_000, 0, "", 0, (), 700)


def test_a_deposit_that_spent_gives_no_standing_as_a_provider() -> None:
    parent = State(3, (AccountState(C, 0, 50, 0, 200_000, 0, "", 0, ()),))
    empty = unsigned(ActivityProof(C, 4, 1, (), (), (), (), ZERO_DIGEST))
    assert account(root(parent, {4: (empty,)}, HELD, section(4, C)), C).first_epoch == 0


def test_a_treasury_that_only_earned_fees_stays_in_the_state() -> None:
    outcome = root(genesis_state(), {1: (proof(1, session(1, 1, 1_000)),)}, HELD, section(1, P))
    later = root(outcome.state, NONE, HELD, section(2, P), section(3, P))
    assert leaf(later, TREASURY).earned == 50
