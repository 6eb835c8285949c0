"""What roles and referrers are paid, worked out by hand: who is, how much to the last unit, and out of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import pytest

from chain.epochs import Timing
from chain.rules import Rules
from chain.typed import Signed
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Signature
from validator.epoch import Outcome, recompute
from validator.pay import role_budget, role_pay
from validator.state import AccountState, State, genesis_state
from wire.agreement import ChainSection, CoveredEpoch, Depositor, ListedNode, Manifest, RegisteredProvider
from wire.messages import ActivityProof, DemandReceipt, LatencyReport, Offer, SessionEvidence, SessionRequest, UptimeTicket, UsageReceipt
from wire.sessions import GIB

TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
RULES = Rules()
TREASURY = Address("0x" + "fe" * 20)
A, B, C, D = (Address("0x" + digit * 40) for digit in "abcd")
RESOLVER = Address("0x" + "11" * 20)
MASTERS = tuple(Address("0x" + f"2{n}" * 20) for n in range(3))
VALIDATORS = tuple(Address("0x" + f"3{n}" * 20) for n in range(4))
GROUP = "203.0.113.0/24"
POINTS = {"below": 1_999_999, "Member": 2_000_000, "VIP": 20_000_000, "Elite": 150_000_000, "Premier": 10**9, "Exclusive": 5 * 10**9}
M = TypeVar("M")
Evidence = Mapping[int, tuple[Signed[ActivityProof], ...]]


def unsigned(message: M) -> Signed[M]:
    """Recomputation reads no signature: what it is given has been verified."""
    return Signed(message, Signature(bytes(65)))


def staked(*accounts: Address, stake: int = 100) -> tuple[ListedNode, ...]:
    return tuple(ListedNode(account, "validator", stake) for account in accounts)


LISTED = (ListedNode(RESOLVER, "resolver", 1), *(ListedNode(one, "master", 0) for one in MASTERS), *staked(*VALIDATORS))


def section(
    epoch: int,
    referrers: dict[Address, Address],
    *,
    roles: tuple[ListedNode, ...] = (),
    validators: tuple[ListedNode, ...] = (),
    rate: int = 10**16,
    funded: int = 10**20,
) -> ChainSection:
    """referrers: of everyone who is registered. roles: who held one at the start; validators: who has stake at the end."""
    registered = tuple(RegisteredProvider(one, referrers[one], 10**18) for one in sorted(referrers))
    return ChainSection(epoch, epoch, Digest(bytes(32)), roles or LISTED, validators, registered, funded, rate, TREASURY)


def up(provider: Address, epoch: int, *sessions: SessionEvidence) -> Signed[ActivityProof]:
    """All five slots, as everyone saw it."""
    ticket = UptimeTicket(RESOLVER, provider, epoch, 1, b"\x1f", 0, GROUP)
    reports = tuple(LatencyReport(one, provider, epoch, 1, b"\x1f", 0, 0, 0, 0, GROUP, True) for one in MASTERS)
    return unsigned(ActivityProof(provider, epoch, 1, (unsigned(ticket),), tuple(map(unsigned, reports)), sessions, (), ZERO_DIGEST))


def session(epoch: int, provider: Address, fee: int) -> SessionEvidence:
    """One of consumer D's, at a wei a byte."""
    name, at = Digest(bytes([7]) * 32), TIMING.start_of(epoch)
    demand = tuple(unsigned(DemandReceipt(one, D, provider, name, 0, 10**18, at)) for one in VALIDATORS[:3])
    request = unsigned(SessionRequest(D, "", 0, 0, GIB, 0, 10**18, 1, 9**9))
    receipt = unsigned(UsageReceipt(D, name, 1, 0, fee, 0, 0, at))
    return SessionEvidence(request, unsigned(Offer(provider, name, GIB, 9**9)), demand, (receipt,), ())


def root(parent: State, evidence: Evidence, *sections: ChainSection, rules: Rules = RULES, deposits: tuple[Depositor, ...] = ()) -> Outcome:
    covered = tuple(CoveredEpoch(one.epoch, ()) for one in sections)
    last = sections[-1].epoch
    manifest = Manifest(last, last, ZERO_DIGEST, ZERO_DIGEST, rules.digest(), deposits, sections, covered)
    return recompute(parent, manifest, evidence, TIMING, rules)


def earned(outcome: Outcome) -> dict[Address, int]:
    return {leaf.account: leaf.earned for leaf in outcome.leaves if leaf.earned}


def with_points(points_milli: int, account: Address = A) -> State:
    """A parent in which the account has so many thousandths of a point."""
    return State(1, (AccountState(account, 0, 0, points_milli, 200_000, 1, "", 0, (0,)),))


class TestRoles:
    def test_each_role_s_part_in_equal_shares(self) -> None:
        holders = {"resolver": [RESOLVER], "master": MASTERS, "validator": VALIDATORS}
        # of 1,003: 200, 300 and 501; three masters share 300, four validators 501
        assert role_pay(holders, (), 1_003, RULES) == {RESOLVER: 200, **dict.fromkeys(MASTERS, 100), **dict.fromkeys(VALIDATORS, 125)}

    def test_what_one_is_not_paid_nobody_else_gets(self) -> None:
        holders = {"validator": VALIDATORS}
        assert role_pay(holders, VALIDATORS[1:], 1_000, RULES) == {VALIDATORS[0]: 125}

    def test_a_role_without_anyone_leaves_its_part(self) -> None:
        assert role_pay({"resolver": (), "master": MASTERS}, (), 1_000, RULES) == dict.fromkeys(MASTERS, 100)

    def test_one_with_two_roles_has_both_shares(self) -> None:
        assert role_pay({"resolver": [A], "master": [A, B]}, (), 1_000, RULES) == {A: 350, B: 150}

    @pytest.mark.parametrize(
        ("rate", "left", "budget"), [(1_000, 9_999, 50), (1_019, 9_999, 50), (1_000, 49, 49), (1_000, 0, 0), (1_000, -3, 0)]
    )
    def test_a_budget_is_a_share_and_never_beyond_the_funds(self, rate: int, left: int, budget: int) -> None:
        assert role_budget(rate, left, RULES) == budget

    def test_an_epoch_without_any_traffic_pays_roles_alone(self) -> None:
        outcome = root(genesis_state(), {}, section(1, {}, validators=staked(*VALIDATORS)))
        # 5 % of 10^16, of which 1/5, 3/10 and 1/2
        expected = {RESOLVER: 10**14, **dict.fromkeys(MASTERS, 5 * 10**13), **dict.fromkeys(VALIDATORS, 625 * 10**11)}
        assert earned(outcome) == expected
        assert outcome.total_earned == 10**14 + 15 * 10**13 + 25 * 10**13
        for account in outcome.state.accounts:  # no standing comes from it
            assert (account.points, account.reputation, account.first_epoch, account.buckets) == (0, 200_000, 0, ())

    def test_a_validator_has_to_have_stake_at_both_ends(self) -> None:
        began = (*LISTED[:4], *staked(*VALIDATORS[:2]), *staked(VALIDATORS[2], stake=0))
        ended = (*staked(*VALIDATORS[1:]),)  # the first is out, the last two came during the epoch
        outcome = root(genesis_state(), {}, section(1, {}, roles=began, validators=ended))
        assert {one: pay for one, pay in earned(outcome).items() if one in VALIDATORS} == {VALIDATORS[1]: 125 * 10**12}

    def test_the_funds_pay_availability_first_then_sessions_then_roles(self) -> None:
        shown = {1: (up(A, 1, session(1, A, 1_000)),)}
        held = (Depositor(D, 10**18, 0, 0),)
        # 700 for availability, 45 for the session beside what is left of its fee, 50 for roles, if the funds reach so far
        for funded, pay, masters in (
            (10**6, 700 + 995, 5),
            (745, 700 + 995, 0),
            (755, 700 + 995, 1),
            (720, 700 + 950 + 20, 0),
            (5, 5 + 950, 0),
        ):
            at = section(1, {A: ZERO_ADDRESS}, rate=1_000, funded=funded, validators=staked(*VALIDATORS))
            outcome = root(genesis_state(), shown, at, deposits=held)
            assert [earned(outcome).get(one, 0) for one in (A, *MASTERS)] == [pay, *[masters] * 3]
            assert outcome.total_earned <= funded + outcome.total_spent

    def test_a_lost_account_is_not_paid_and_nobody_gets_its_share(self) -> None:
        parent = State(1, (AccountState(RESOLVER, 900, 40, 0, 200_000, 0, "", 0, ()),))
        outcome = root(parent, {}, section(2, {}, rate=1_000))
        assert earned(outcome) == dict.fromkeys(MASTERS, 5)
        assert outcome.total_earned == 900 + 15

    def test_it_adds_up_over_epochs_and_stays_once_the_role_is_lost(self) -> None:
        sections = [section(1, {}, rate=1_000), section(2, {}, rate=1_000), section(3, {}, rate=1_000, roles=LISTED[1:])]
        assert earned(root(genesis_state(), {}, *sections)) == {RESOLVER: 20, **dict.fromkeys(MASTERS, 15)}

    def test_a_provider_with_a_role_has_both_in_one_leaf(self) -> None:
        listed = (*LISTED, ListedNode(A, "resolver", 1))
        outcome = root(genesis_state(), {1: (up(A, 1),)}, section(1, {A: ZERO_ADDRESS}, roles=listed))
        (account,) = (one for one in outcome.state.accounts if one.account == A)
        assert account.earned == 3 * 10**15 + 5 * 10**13
        assert (account.first_epoch, account.points) == (1, 55)

    def test_pay_by_a_role_alone_is_no_past_as_a_provider(self) -> None:
        """Whoever first had a role begins as a provider like anyone else, with what it earned."""
        first = root(genesis_state(), {}, section(1, {}, roles=(*LISTED, ListedNode(A, "resolver", 1))))
        second = root(first.state, {2: (up(A, 2),)}, section(2, {A: ZERO_ADDRESS}))
        (account,) = (one for one in second.state.accounts if one.account == A)
        assert (account.first_epoch, account.earned) == (2, 5 * 10**13 + 3 * 10**15)


class TestReferral:
    REWARD = 3 * 10**15
    """Of a newcomer with all slots up."""

    @pytest.mark.parametrize(
        ("tier", "percent"), [("below", 0), ("Member", 3), ("VIP", 5), ("Elite", 7), ("Premier", 10), ("Exclusive", 12)]
    )
    def test_the_referrer_has_its_tier_s_share_of_the_provider_s_reward(self, tier: str, percent: int) -> None:
        outcome = root(with_points(POINTS[tier]), {2: (up(B, 2),)}, section(2, {A: ZERO_ADDRESS, B: A}))
        part = self.REWARD * percent // 100
        found = {account.account: account for account in outcome.state.accounts}
        assert (found[B].earned, found[B].shared, found[A].earned, found[A].shared) == (self.REWARD - part, part, part, 0)

    def test_a_part_is_rounded_down_and_the_provider_keeps_the_rest(self) -> None:
        at = section(2, {A: ZERO_ADDRESS, B: A}, rate=47)  # 32 wei for availability, 1.6 of them 5 %; 2 for roles
        outcome = root(with_points(POINTS["VIP"]), {2: (up(B, 2),)}, at)
        assert [earned(outcome).get(one, 0) for one in (A, B)] == [1, 31]

    def test_fees_are_the_provider_s_own_and_the_subsidy_is_shared(self) -> None:
        held = (Depositor(D, 10**18, 0, 0),)
        at = section(2, {A: ZERO_ADDRESS, B: A}, rate=10**9)
        outcome = root(with_points(POINTS["Exclusive"]), {2: (up(B, 2, session(2, B, 10_000)),)}, at, deposits=held)
        # availability 7 * 10^8, fee 10,000 less 500, of which 450 come back
        part = (7 * 10**8 + 450) * 12 // 100
        assert [earned(outcome).get(one, 0) for one in (A, B)] == [part, 7 * 10**8 + 450 - part + 9_500]

    def test_without_registration_there_is_nothing_to_share(self) -> None:
        held = (Depositor(D, 10**18, 0, 0),)
        outcome = root(with_points(POINTS["VIP"]), {2: (up(B, 2, session(2, B, 10_000)),)}, section(2, {A: ZERO_ADDRESS}), deposits=held)
        assert [earned(outcome).get(one, 0) for one in (A, B)] == [0, 9_950]

    def test_the_points_of_an_epoch_count_from_the_next_one_on(self) -> None:
        one_short = POINTS["Member"] - 1
        shown = {e: (up(A, e), up(B, e)) for e in (2, 3)}
        sections = [section(e, {A: ZERO_ADDRESS, B: A}, rate=10**20) for e in (2, 3)]
        outcomes = [root(with_points(one_short), shown, *sections[:n]) for n in (1, 2)]
        shared = [next(one.shared for one in outcome.state.accounts if one.account == B) for outcome in outcomes]
        reputation = next(one.reputation for one in outcomes[0].state.accounts if one.account == B)
        assert shared == [0, 5 * (500_000 + reputation // 2) * 10**9 * 3 // 100]

    def test_only_one_who_is_registered_too_is_paid(self) -> None:
        for registered, part in (({A: ZERO_ADDRESS, B: A}, self.REWARD // 20), ({B: A}, 0)):
            outcome = root(with_points(POINTS["VIP"]), {2: (up(B, 2),)}, section(2, registered))
            assert earned(outcome)[B] == self.REWARD - part
            assert earned(outcome).get(A, 0) == part

    def test_a_bond_of_nothing_is_none(self) -> None:
        unbonded = section(2, {A: ZERO_ADDRESS, B: A})
        unbonded = replace(unbonded, providers=(replace(unbonded.providers[0], bond=0), unbonded.providers[1]))
        assert earned(root(with_points(POINTS["VIP"]), {2: (up(B, 2),)}, unbonded))[B] == self.REWARD

    def test_nobody_is_his_own_referrer(self) -> None:
        outcome = root(with_points(POINTS["VIP"], B), {2: (up(B, 2),)}, section(2, {B: B}))
        (account,) = (one for one in outcome.state.accounts if one.account == B)
        assert account.shared == 0

    def test_a_lost_referrer_gets_nothing(self) -> None:
        parent = State(1, (replace(with_points(POINTS["VIP"]).accounts[0], spent=40),))
        outcome = root(parent, {2: (up(B, 2),)}, section(2, {A: ZERO_ADDRESS, B: A}))
        assert earned(outcome)[B] == self.REWARD
        assert A not in earned(outcome)

    def test_a_chain_of_referrers_shares_once_each(self) -> None:
        """C's part is of what B drew itself, not of what B has from A's provider."""
        parent = State(1, (*with_points(POINTS["Member"], A).accounts, *with_points(POINTS["Premier"], B).accounts))
        outcome = root(parent, {2: (up(B, 2), up(C, 2))}, section(2, {A: ZERO_ADDRESS, B: A, C: B}, rate=10**18))
        assert [earned(outcome)[one] for one in (A, B, C)] == [9 * 10**13, 3 * 10**15 - 9 * 10**13 + 3 * 10**14, 27 * 10**14]

    def test_what_was_shared_is_kept_by_who_leaves_the_registry_and_comes_back(self) -> None:
        shared = []
        state = with_points(POINTS["VIP"])
        for epoch, registered in ((2, {A: ZERO_ADDRESS, B: A}), (3, {A: ZERO_ADDRESS}), (4, {A: ZERO_ADDRESS, B: A})):
            state = root(state, {epoch: (up(B, epoch),)} if epoch < 4 else {}, section(epoch, registered)).state
            shared.append(next(one.shared for one in state.accounts if one.account == B))
        assert shared == [self.REWARD // 20] * 3
