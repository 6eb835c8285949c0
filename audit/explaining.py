"""Takes one account's terms out of a recomputed epoch. Pure.

Nothing is computed beside the recomputation: every amount is one that it paid, and the steps in between are its own functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from audit.explanation import (
    Availability,
    Bucket,
    Customer,
    Explanation,
    Gap,
    Mark,
    Mean,
    Passed,
    Points,
    SessionPay,
    Split,
    Subsidies,
    Witness,
)
from audit.warning import warnings_of
from chain.epochs import Timing
from chain.rules import Rules
from chain.typed import Signed
from chain.types import PPM, Address, Digest
from validator import pay, reputation
from validator.earnings import referrers
from validator.epoch import SILENT, Counting, Reckoning
from validator.state import AccountState, State
from validator.verification import ListedRoles
from wire.messages import ActivityProof, UsageReceipt
from wire.slots import count, has_slot, union
from wire.statements import slots_up
from wire.tiers import MILLI, tier_after, tier_of


def explain(reckoning: Reckoning, account: Address, proofs: Iterable[Signed[ActivityProof]], timing: Timing, rules: Rules) -> Explanation:
    """The account's epoch. proofs: of the epoch, the evidence that the reckoning was made of."""
    before, after = _of(reckoning.before, account), _of(reckoning.after, account)
    roles = tuple(sorted({node.role for node in reckoning.section.roles if node.account == account}))
    earned, treasury = reckoning.earned, reckoning.section.treasury
    found = Explanation(
        account=account,
        epoch=reckoning.section.epoch,
        registered=account in reckoning.bonded,
        lost=account in reckoning.lost,
        earned_before=before.earned if before is not None else 0,
        availability=_availability(reckoning, account, timing, rules),
        sessions=tuple(_sessions(reckoning, account)),
        passed_over=tuple(_passed_over(reckoning, account, proofs)),
        subsidies=Subsidies(
            reckoning.charges.subsidies.get(account, 0),
            sum(reckoning.charges.subsidies.values()),
            earned.budgets.sessions,
            earned.subsidies.get(account, 0),
        ),
        given=_given(reckoning, account, rules),
        received=tuple(_received(reckoning, account, rules)),
        roles=roles,
        role_pay=earned.roles.get(account, 0),
        protocol_fees=sum(reckoning.charges.protocol_fees.values()) if account == treasury else 0,
        earned_after=after.earned if after is not None else 0,
        spent=reckoning.charges.spent.get(account, 0),
        points=_points(reckoning, account, before, after, timing, rules),
        bucket=_bucket(reckoning, account, timing, rules),
        mean=_mean(reckoning, account, after, rules),
    )
    return replace(found, warnings=tuple(warnings_of(found)))


def ranges(slots: Sequence[int]) -> str:
    """Ascending numbers as `0-3, 7`."""
    runs = [[slot for _, slot in run] for _, run in groupby(enumerate(slots), key=lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _of(state: State, account: Address) -> AccountState | None:
    return next((one for one in state.accounts if one.account == account), None)


# Availability


def _availability(reckoning: Reckoning, account: Address, timing: Timing, rules: Rules) -> Availability:
    measured, placed = reckoning.measured.get(account, SILENT), reckoning.placed.get(account)
    weight, total = reckoning.weights.get(account, 0), sum(reckoning.weights.values())
    budget = reckoning.earned.budgets.availability
    witnesses = tuple(_witnesses(reckoning, account, timing.slots_per_epoch))
    return Availability(
        up=measured.up,
        slots=timing.slots_per_epoch,
        witnesses=tuple(witness for witness, _ in witnesses),
        gaps=tuple(_gaps(witnesses, reckoning.counting.get(account, Counting()), reckoning, timing.slots_per_epoch)),
        group=measured.group,
        rank=_rank(reckoning, account),
        rank_weight_ppm=reckoning.ranks.get(account, 0),
        reputation_ppm=placed.reputation if placed is not None else 0,
        weight=weight,
        all_weights=total,
        budget=budget,
        share=budget * weight // total if total else 0,
        cap=weight * rules.slot_cap_wei // PPM,
        pay=reckoning.earned.availability.get(account, 0),
    )


def _witnesses(reckoning: Reckoning, account: Address, slots: int) -> Iterator[tuple[Witness, bytes]]:
    """Everyone listed who could have said something, with the map of what it said."""
    told, listed = reckoning.counting.get(account, Counting()), ListedRoles.of(reckoning.section.roles)
    for role, accounts in (("resolver", listed.resolvers), ("master", listed.masters)):
        for one in sorted(accounts):
            said = (
                [t.slots for t in told.tickets if t.resolver == one]
                if role == "resolver"
                else [r.slots for r in told.reports if r.master == one]
            )
            map_ = union(said, slots)
            yield Witness(role, one, count(map_), ranges([slot for slot in range(slots) if has_slot(map_, slot)])), map_


def _gaps(witnesses: Sequence[tuple[Witness, bytes]], told: Counting, reckoning: Reckoning, slots: int) -> Iterator[Gap]:
    """Slots that are not up, those that as many saw together."""
    up = slots_up(told.tickets, told.reports, len(ListedRoles.of(reckoning.section.roles).masters), slots)
    missed: dict[tuple[int, int], list[int]] = {}
    for slot in range(slots):
        if not has_slot(up, slot):
            by = [sum(has_slot(map_, slot) for witness, map_ in witnesses if witness.role == role) for role in ("resolver", "master")]
            missed.setdefault((by[0], by[1]), []).append(slot)
    for (resolvers, masters), found in missed.items():
        yield Gap(ranges(found), resolvers, masters)


def _rank(reckoning: Reckoning, account: Address) -> int:
    if account not in reckoning.ranks:
        return 0
    members = sorted(pay.Member(reckoning.placed[one].group_since, one, reckoning.placed[one].group) for one in reckoning.ranks)
    group = [member.provider for member in members if member.group == reckoning.placed[account].group]
    return group.index(account) + 1


# Sessions


def _sessions(reckoning: Reckoning, account: Address) -> Iterator[SessionPay]:
    for charge in reckoning.charges.each:
        shown = charge.session
        if shown.offer.provider == account:
            yield SessionPay(
                session=shown.session_id,
                consumer=shown.request.consumer,
                price=shown.offer.price,
                received_bytes=shown.received,
                reported_bytes=shown.reported,
                unpaid_bytes=max(shown.received, shown.reported if shown.reported is not None else 0) - shown.payload,
                fee=shown.fee,
                paid=charge.paid,
                due=charge.due,
                protocol_fee=charge.protocol_fee,
                kept=charge.due - charge.protocol_fee,
                subsidy=charge.subsidy,
            )


def _passed_over(reckoning: Reckoning, account: Address, proofs: Iterable[Signed[ActivityProof]]) -> Iterator[Passed]:
    """What its proofs show and nothing was charged for."""
    charged = {charge.session.session_id for charge in reckoning.charges.each}
    covered = {session.session_id: session.request.consumer for session in reckoning.sessions}
    told: set[Digest] = set()
    for signed in proofs:
        for session in signed.message.sessions if signed.message.provider == account else ():
            receipts: list[UsageReceipt] = [one.message for one in session.receipts]
            told |= {one.session_id for one in receipts}
    for name in sorted(told - charged):
        lost = account in reckoning.lost
        yield Passed(name, "the account took its deposit away" if lost else _why_passed(reckoning, name, covered.get(name)))


def _why_passed(reckoning: Reckoning, session: Digest, consumer: Address | None) -> str:
    if consumer is None:
        return "in this epoch and the one before it was not promised by two thirds of the stake, or has no receipt"
    if consumer == reckoning.section.treasury:
        return "the treasury pays for no session"
    if consumer in reckoning.lost:
        return "its consumer took its deposit away"
    known = _of(reckoning.before, consumer)
    ends = next(one.request.budget_to for one in reckoning.sessions if one.session_id == session)
    if known is not None and ends <= known.settled:
        return "it is settled: nothing can be added to it any more"
    return "its consumer has no deposit, or has exited before the last epoch"


# Referral


def _given(reckoning: Reckoning, account: Address, rules: Rules) -> Split | None:
    found = referrers(reckoning.section, reckoning.before, reckoning.lost, rules).get(account)
    if found is None:
        return None
    referrer, tier = found
    return Split(referrer, tier.name, tier.share_ppm, reckoning.earned.shared.get(account, 0))


def _received(reckoning: Reckoning, account: Address, rules: Rules) -> Iterator[Split]:
    for provider, (referrer, tier) in sorted(referrers(reckoning.section, reckoning.before, reckoning.lost, rules).items()):
        if referrer == account and (amount := reckoning.earned.shared.get(provider, 0)):
            yield Split(provider, tier.name, tier.share_ppm, amount)


# Standing


def _points(
    reckoning: Reckoning, account: Address, before: AccountState | None, after: AccountState | None, timing: Timing, rules: Rules
) -> Points:
    bonded = account in reckoning.bonded
    up = reckoning.measured.get(account, SILENT).up
    by_slots = pay.points_milli(up, timing.slot_seconds, rules) if bonded else 0
    by_sessions = pay.session_points_milli(reckoning.charges.protocol_fees.get(account, 0), rules) if bonded else 0
    now = after.points if after is not None else 0
    tier = tier_of(now, rules)
    following = tier_after(tier, rules)
    missing = following.points * MILLI - now if following is not None else 0
    return Points(
        before.points if before is not None else 0, by_slots, by_sessions, now, tier.name, following.name if following else "", missing
    )


def _bucket(reckoning: Reckoning, account: Address, timing: Timing, rules: Rules) -> Bucket | None:
    placed = reckoning.placed.get(account)
    if placed is None:
        return None
    measured, bonded, slots = reckoning.measured.get(account, SILENT), account in reckoning.bonded, timing.slots_per_epoch
    told, masters = reckoning.counting.get(account, Counting()), sorted(ListedRoles.of(reckoning.section.roles).masters)
    by_master = {of_one[0].master: reputation.master_mark(of_one, slots, rules.max_rtt_us) for of_one in pay.by_signer(told.reports)}
    fees = reckoning.charges.fees.get(account, {})
    sessions_ppm = reputation.sessions(fees.values(), rules)
    tenure = reckoning.section.epoch - placed.first_epoch
    standing = reputation.standing(tenure, bonded)
    return Bucket(
        availability_ppm=measured.up * PPM // slots,
        performance_ppm=measured.performance_ppm,
        sessions_ppm=sessions_ppm,
        standing_ppm=standing if measured.up else 0,
        weights_ppm=(rules.availability_weight_ppm, rules.performance_weight_ppm, rules.sessions_weight_ppm, rules.standing_weight_ppm),
        marks=tuple(Mark(master, by_master.get(master, 0)) for master in masters),
        customers=tuple(_customer(consumer, fee, rules) for consumer, fee in sorted(fees.items())),
        tenure=tenure,
        bonded=bonded,
        score_ppm=reputation.score(measured.up, slots, measured.performance_ppm, sessions_ppm, standing, rules),
    )


def _customer(consumer: Address, fees: int, rules: Rules) -> Customer:
    part = reputation.sessions((fees,), rules)
    return Customer(consumer, fees, part, fees * PPM // rules.session_target_wei > part)


def _mean(reckoning: Reckoning, account: Address, after: AccountState | None, rules: Rules) -> Mean | None:
    placed = reckoning.placed.get(account)
    if placed is None or after is None or not after.buckets:
        return None
    silent, same = (reputation.reputation(reputation.with_bucket(after.buckets, one, rules), rules) for one in (0, after.buckets[0]))
    full = PPM // 2 + after.reputation // 2
    return Mean(
        before=placed.reputation,
        after=after.reputation,
        buckets=after.buckets,
        weights_ppm=reputation.AGE_WEIGHTS[: len(after.buckets)],
        prior=rules.reputation_prior_ppm,
        prior_weight_ppm=rules.reputation_prior_weight_ppm,
        if_silent=silent,
        if_the_same=same,
        weight_lost_ppm=(full - (PPM // 2 + silent // 2)) * PPM // full,
    )
