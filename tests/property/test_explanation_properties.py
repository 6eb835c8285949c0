"""An explanation says what the recomputation paid, to the last unit, whatever the world: for every account, in every epoch of a root."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from audit.explaining import explain
from audit.explanation import Explanation
from chain.epochs import Timing
from chain.rules import Rules
from chain.typed import Signed
from chain.types import PPM, ZERO_DIGEST, Address
from tests.property import test_recompute_properties as by_slots
from tests.property import test_session_properties as by_sessions
from validator.epoch import Reckoning, reckonings, recompute
from validator.reputation import reputation
from validator.state import AccountState, State, genesis_state
from wire.agreement import CoveredEpoch, Depositor, Manifest
from wire.messages import ActivityProof

Evidence = Mapping[int, tuple[Signed[ActivityProof], ...]]


def by_account(state: State) -> dict[Address, AccountState]:
    return {one.account: one for one in state.accounts}


def explained(parent: State, manifest: Manifest, evidence: Evidence, timing: Timing, rules: Rules, others: Iterable[Address]) -> None:
    """Every account's explanation of every epoch is held against the states; all of an epoch add up to what it paid."""
    state = parent
    for reckoning in reckonings(parent, manifest, evidence, timing, rules):
        proofs = evidence.get(reckoning.section.epoch, ())
        accounts = {*by_account(reckoning.before), *by_account(reckoning.after), *others}
        told = {account: explain(reckoning, account, proofs, timing, rules) for account in accounts}
        for account, found in told.items():
            agrees(found, by_account(reckoning.before).get(account), by_account(reckoning.after).get(account))
        assert sum(found.earned for found in told.values()) == reckoning.after.total_earned - reckoning.before.total_earned
        assert sum(found.spent for found in told.values()) == reckoning.after.total_spent - reckoning.before.total_spent
        gives_what_is_taken(told.values(), reckoning)
        state = reckoning.after
    assert state == recompute(parent, manifest, evidence, timing, rules).state


def agrees(found: Explanation, before: AccountState | None, after: AccountState | None) -> None:
    assert found.earned == found.earned_after - found.earned_before == (after.earned if after else 0) - (before.earned if before else 0)
    assert found.spent == (after.spent if after else 0) - (before.spent if before else 0)
    points = found.points
    assert (
        points.after - points.before
        == points.by_slots + points.by_sessions
        == (after.points if after else 0) - (before.points if before else 0)
    )
    given = found.given.amount if found.given else 0
    assert given == (after.shared if after else 0) - (before.shared if before else 0)
    slots = found.availability
    assert slots.pay == min(slots.share, slots.cap)
    assert slots.weight == slots.up * (PPM // 2 + slots.reputation_ppm // 2) * slots.rank_weight_ppm // PPM
    assert sum(gap.slots.count(",") + 1 for gap in slots.gaps) <= slots.slots - slots.up
    for session in found.sessions:
        assert session.kept + session.protocol_fee == session.due <= max(0, session.fee - session.paid)  # later words may say less
        assert session.unpaid_bytes == (0 if session.reported_bytes is None else abs(session.received_bytes - session.reported_bytes))
    assert found.subsidies.pay <= found.subsidies.asked == sum(session.subsidy for session in found.sessions)
    if found.bucket is not None:
        bucket = found.bucket
        signals = (bucket.availability_ppm, bucket.performance_ppm, bucket.sessions_ppm, bucket.standing_ppm)
        assert sum(weight * signal for weight, signal in zip(bucket.weights_ppm, signals, strict=True)) // PPM == bucket.score_ppm
        assert bucket.sessions_ppm == min(PPM, sum(customer.part_ppm for customer in bucket.customers))
        marks = sorted(mark.ppm for mark in bucket.marks)
        assert bucket.performance_ppm == (marks[(len(marks) - 1) // 2] if marks else 0)
        if after is not None and after.buckets:
            assert after.buckets[0] == bucket.score_ppm
    if found.mean is not None and after is not None:
        mean = found.mean
        above = mean.prior * mean.prior_weight_ppm + sum(weight * one for weight, one in zip(mean.weights_ppm, mean.buckets, strict=True))
        assert above // (mean.prior_weight_ppm + sum(mean.weights_ppm)) == mean.after == after.reputation
        assert mean.if_silent <= mean.after
        assert (mean.before, mean.if_silent) == (found.availability.reputation_ppm, reputation((0, *mean.buckets)[:30], by_slots.RULES))
        assert any("silent in the next epoch" in warning for warning in found.warnings) == (mean.if_silent < mean.after)
        assert any("Reputation fell" in warning for warning in found.warnings) == (mean.after < mean.before)


def gives_what_is_taken(told: Iterable[Explanation], reckoning: Reckoning) -> None:
    """Between providers and their referrers nothing is added or lost, and no part of the budget is overdrawn."""
    every = list(told)
    given = sum(found.given.amount for found in every if found.given)
    assert given == sum(split.amount for found in every for split in found.received)
    budgets = reckoning.earned.budgets
    assert sum(found.availability.pay for found in every) <= budgets.availability
    assert sum(found.subsidies.pay for found in every) <= budgets.sessions
    assert sum(found.role_pay for found in every) <= budgets.roles


@given(by_slots.worlds)
def test_what_slots_pay_is_explained_to_the_last_unit(world: by_slots.World) -> None:
    epochs = range(1, by_slots.LAST + 1)
    sections, covered = tuple(world.section(epoch) for epoch in epochs), tuple(CoveredEpoch(epoch, ()) for epoch in epochs)
    last = by_slots.LAST
    manifest = Manifest(last, last, ZERO_DIGEST, ZERO_DIGEST, by_slots.RULES.digest(), (), sections, covered)
    explained(genesis_state(), manifest, world.evidence(), by_slots.TIMING, by_slots.RULES, (*by_slots.PROVIDERS, by_slots.TREASURY))


@given(by_sessions.worlds, by_sessions.words, st.booleans())
def test_what_sessions_and_referrals_pay_is_explained_to_the_last_unit(
    world: by_sessions.World, told: list[by_sessions.Word], is_treasury_a_provider: bool
) -> None:
    epochs = range(1, by_sessions.LAST + 1)
    evidence = {epoch: tuple(proof for of, proof in by_sessions.proofs(told) if of == epoch) for epoch in epochs}
    depositors = tuple(Depositor(account, amount, 0, 0) for account, amount in sorted(world.deposits().items()))
    sections, covered = tuple(world.section(epoch) for epoch in epochs), tuple(CoveredEpoch(epoch, ()) for epoch in epochs)
    if is_treasury_a_provider:
        sections = tuple(replace(section, treasury=by_sessions.PROVIDERS[0]) for section in sections)
    last = by_sessions.LAST
    manifest = Manifest(last, last, ZERO_DIGEST, ZERO_DIGEST, by_sessions.RULES.digest(), depositors, sections, covered)
    others = (*by_sessions.PROVIDERS, *by_sessions.CONSUMERS, by_sessions.TREASURY)
    explained(world.before(), manifest, evidence, by_sessions.TIMING, by_sessions.RULES, others)
