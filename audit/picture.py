"""An explanation as people read it, line by line, and as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from audit.explanation import Availability, Bucket, Explanation, Mean, SessionPay
from chain.amounts import tokens
from chain.types import PPM, to_hex
from wire.tiers import MILLI

SHOWN_BUCKETS = 5
WEI = frozenset(
    (
        *("pay", "budget", "share", "cap", "price", "fee", "fees", "paid", "due", "protocol_fee", "protocol_fees", "kept", "subsidy"),
        *("asked", "asked_by_all", "amount", "earned_before", "earned_after", "spent", "role_pay"),
    )
)
"""Fields that are amounts."""


def as_data(found: Explanation) -> Mapping[str, Any]:
    """For programs: amounts as text, their names end with `_wei`."""
    data: dict[str, Any] = _data(found)
    return data | {"fees_wei": str(found.fees), "earned_wei": str(found.earned)}


def as_text(found: Explanation) -> str:
    return "\n".join(_lines(found))


def _data(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {f"{name}_wei" if name in WEI else name: str(one) if name in WEI else _data(one) for name, one in pairs}
    if isinstance(value, tuple):
        return [_data(one) for one in value]
    return to_hex(value) if isinstance(value, bytes) else value


def _lines(found: Explanation) -> Iterator[str]:
    what = "registered with a bond" if found.registered else "not registered with a bond"
    yield f"{found.account} in epoch {found.epoch}, {what}: earned {_dpn(found.earned)}"
    yield from _availability(found.availability)
    if found.sessions or found.passed_over:
        yield f"sessions: {len(found.sessions)} count, fees less the protocol fee {_dpn(found.fees)}"
        for session in found.sessions:
            yield from _session(session)
        yield from (f"  {to_hex(one.session)} does not count: {one.reason}" for one in found.passed_over)
        subsidies = found.subsidies
        short = f"all ask for {_dpn(subsidies.asked_by_all)} of {_dpn(subsidies.budget)}"
        yield f"  subsidy: asked {_dpn(subsidies.asked)}, {short}: paid {_dpn(subsidies.pay)}"
    if found.given is not None:
        rate = f"{found.given.share_ppm / 10_000:g} % of availability and subsidy"
        yield f"referral: {found.given.account} ({found.given.tier or 'no tier'}) receives {rate}: -{_dpn(found.given.amount)}"
    for split in found.received:
        yield f"referral: from {split.account} {split.share_ppm / 10_000:g} % ({split.tier}): {_dpn(split.amount)}"
    if found.roles:
        yield f"role pay as {' and '.join(found.roles)}: {_dpn(found.role_pay)}"
    if found.protocol_fees:
        yield f"protocol fees of all sessions, as the treasury: {_dpn(found.protocol_fees)}"
    yield f"sum: {_dpn(found.earned_before)} before + {_dpn(found.earned)} = {_dpn(found.earned_after)}"
    if found.spent:
        yield f"spent on sessions of its own: {_dpn(found.spent)}"
    points = found.points
    following = f", {points.missing / MILLI:g} to {points.following}" if points.following else ""
    gained = f"{points.before / MILLI:g} + {points.by_slots / MILLI:g} by slots + {points.by_sessions / MILLI:g} by sessions"
    yield f"points: {gained} = {points.after / MILLI:g} ({points.tier or 'no tier'}{following})"
    if found.bucket is not None:
        yield from _bucket(found.bucket)
    if found.mean is not None:
        yield from _mean(found.mean)
    yield from (f"! {warning}" for warning in found.warnings)


def _availability(found: Availability) -> Iterator[str]:
    yield f"availability: {found.up} of {found.slots} slots up, {_dpn(found.pay)}"
    for witness in found.witnesses:
        yield f"  {witness.role} {witness.account} saw {witness.slots}" + (f": {witness.saw}" if witness.saw else "")
    masters = sum(witness.role == "master" for witness in found.witnesses)
    for gap in found.gaps:
        seen = f"{gap.resolvers} resolvers (of 1 needed) and {gap.masters} masters (of {masters // 2 + 1} needed)"
        yield f"  not up: {gap.slots}: seen by {seen}"
    if found.weight:
        ranked = f"rank {found.rank} in {found.group} weighs {found.rank_weight_ppm} ppm"
        yield f"  weight {found.weight} = {found.up} slots x (1/2 + {found.reputation_ppm} ppm / 2) x rank weight; {ranked}"
        share = f"share {found.weight} of {found.all_weights} of the budget {_dpn(found.budget)} = {_dpn(found.share)}"
        yield f"  {share}; at the cap of a slot {_dpn(found.cap)}; the smaller is paid"


def _session(found: SessionPay) -> Iterator[str]:
    reported = "no report" if found.reported_bytes is None else f"report {found.reported_bytes}, difference {found.unpaid_bytes}"
    yield f"  {to_hex(found.session)} of {found.consumer}: receipt {found.received_bytes} bytes, {reported}, at {_dpn(found.price)} a GiB"
    yield (
        f"    fee since it began {_dpn(found.fee)}, {_dpn(found.paid)} paid before, {_dpn(found.due)} now: "
        f"{_dpn(found.kept)} and {_dpn(found.protocol_fee)} protocol fee"
    )


def _bucket(found: Bucket) -> Iterator[str]:
    signals = (found.availability_ppm, found.performance_ppm, found.sessions_ppm, found.standing_ppm)
    names = ("availability", "performance", "sessions", "standing")
    parts = zip(names, signals, found.weights_ppm, strict=True)
    said = " + ".join(f"{weight / 10_000:g} % x {signal} {name}" for name, signal, weight in parts)
    yield f"score of the epoch: {said} = {found.score_ppm} ppm"
    yield f"  performance: the median of {', '.join(f'{mark.master} {mark.ppm}' for mark in found.marks) or 'no master'}"
    for customer in found.customers:
        yield f"  sessions: {customer.consumer} paid {_dpn(customer.fees)}: {customer.part_ppm} ppm" + (
            ", the most of one" if customer.capped else ""
        )
    yield f"  standing: {found.tenure} epochs since it was first seen, {'a bond' if found.bonded else 'no bond'}"


def _mean(found: Mean) -> Iterator[str]:
    shown = [f"{bucket} x {weight}" for bucket, weight in zip(found.buckets, found.weights_ppm, strict=True)]
    more = f" + {len(shown) - SHOWN_BUCKETS} older epochs" if len(shown) > SHOWN_BUCKETS else ""
    above = f"{found.prior} x {found.prior_weight_ppm} + " + " + ".join(shown[:SHOWN_BUCKETS]) + more
    below = found.prior_weight_ppm + sum(found.weights_ppm)
    yield f"reputation: ({above}) / {below} = {found.after} of {PPM} ppm, {found.before} before"


def _dpn(amount: int) -> str:
    return f"{tokens(amount)} DPN"
