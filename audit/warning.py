"""What an account should know before it costs it something, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chain.types import PPM
from wire.tiers import MILLI

if TYPE_CHECKING:
    from audit.explanation import Bucket, Explanation

NEAR_EPOCHS = 10
"""A tier that comes within so many epochs like this one is near."""
WEAK_PPM = 500_000
"""A signal below it is worth a word."""


def warnings_of(found: Explanation) -> Iterator[str]:
    """Nothing if all is well."""
    if found.lost:
        yield "It withdrew what it had spent: it has no leaf in this root, is paid nothing, and begins anew in a later one."
    if not found.registered and (found.availability.up or found.sessions):
        yield "It is not registered with a bond, so slots, points and a referrer's part are not counted: `dpn provider register`."
    if found.availability.up and (silent := [one for one in found.availability.witnesses if not one.slots]):
        named = ", ".join(f"{one.role} {one.account}" for one in silent)
        yield f"Not a slot was seen by {named}: a master that says nothing counts 0 for performance; `dpn provider doctor` looks into it."
    if found.bucket is not None and found.mean is not None:
        yield from _of_reputation(found, found.bucket)
    if found.points.missing and (gained := found.points.by_slots + found.points.by_sessions):
        epochs = -(-found.points.missing // gained)
        if epochs <= NEAR_EPOCHS:
            missing = f"{found.points.missing / MILLI:g} points"
            yield f"The tier {found.points.following} is near: {missing} are missing, {epochs} epochs like this one. A tier is never lost."
    if found.passed_over:
        yield f"{len(found.passed_over)} sessions that it showed were not counted."
    if unpaid := sum(session.unpaid_bytes for session in found.sessions):
        yield f"Receipts and reports differ by {unpaid} bytes, which are paid to nobody: the smaller of both counts."


def _of_reputation(found: Explanation, bucket: Bucket) -> Iterator[str]:
    mean = found.mean
    if mean is None:
        return
    if mean.after < mean.before:
        yield f"Reputation fell from {mean.before} to {mean.after} ppm, since this epoch scored {bucket.score_ppm}: {_weakest(bucket)}."
    elif mean.if_the_same < mean.after:
        yield f"Another epoch like this one lowers reputation from {mean.after} to {mean.if_the_same} ppm: {_weakest(bucket)}."
    if mean.if_silent < mean.after:
        cost = f"and the weight of its availability pay by {mean.weight_lost_ppm / 10_000:.1f} %"
        yield f"If it is silent in the next epoch, reputation falls from {mean.after} to {mean.if_silent} ppm, {cost}."


def _weakest(bucket: Bucket) -> str:
    """The signal that costs the score most."""
    signals = (bucket.availability_ppm, bucket.performance_ppm, bucket.sessions_ppm, bucket.standing_ppm)
    names = ("availability", "performance", "sessions", "standing")
    costs = [
        (weight * (PPM - signal) // PPM, name, signal) for weight, signal, name in zip(bucket.weights_ppm, signals, names, strict=True)
    ]
    cost, name, signal = max(costs)
    said = "weak" if signal < WEAK_PPM else "not full"
    return f"its {name} is {said}, {signal} of {PPM} ppm, which costs {cost}"
