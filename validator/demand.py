"""When a validator promises that a deposit covers a session: the rules of its ledger, as values. Pure.

A consumer's lifetime authorised amount is a line of wei; each session reserves an interval of it. Why no set of payable sessions exceeds
what the consumer holds stands in docs/protocol.md, section 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chain.types import U256
from chain.view import ChainView
from wire.refusals import Refused

ROOTS_BACK = 3
"""An own promise of epoch e is released once the root that was active this many roots before the active one covers e + 1: demand receipts
of one session may be given under roots so far apart."""
MOST_RELEASED = 64
"""Intervals kept of one consumer above what is settled, the widest: what is dropped is released later, by what is settled."""


@dataclass(frozen=True, slots=True)
class Interval:
    """[start, end) of a consumer's lifetime authorised amount, wei."""

    start: U256
    end: U256


@dataclass(frozen=True, slots=True)
class Standing:
    """What a validator reads of a consumer. held: deposited and not withdrawn; spent, settled: by the active root's state, wei.
    leaving: whether it has exited, or announced a withdrawal. released_before: own promises of earlier epochs than this are released."""

    held: int
    spent: int
    settled: int
    leaving: bool
    released_before: int


def released_before(view: ChainView) -> int:
    """The epoch whose own promises are the oldest that still bind under the root active at `view`."""
    throughs = [root.through for root in view.roots() if root.active_at <= view.block.timestamp]
    return throughs[-1 - ROOTS_BACK] if len(throughs) > ROOTS_BACK else 0


def limit(standing: Standing, released: Iterable[Interval]) -> int:
    """Where a consumer's next interval has to end, wei: what it holds and has not spent, on top of all that is over and done with."""
    above = sum(max(0, one.end - max(one.start, standing.settled)) for one in released)
    return max(0, standing.held + standing.settled + above - standing.spent)


def check_interval(wanted: Interval, next_from: int, most: int, standing: Standing) -> None:
    """Raises `Refused` unless the interval may be promised: `no_deposit`, `budget_used` (it begins below the end of an earlier one) or
    `budget_not_covered`. most: see `limit`."""
    if standing.leaving or not standing.held:
        raise Refused("no_deposit", "it is on its way out" if standing.leaving else "", {"held": str(standing.held)})
    if wanted.start < next_from:
        raise Refused("budget_used", "", {"budgetFrom": str(wanted.start), "nextFrom": str(next_from)})
    if wanted.end > most:
        raise Refused("budget_not_covered", "", {"budgetTo": str(wanted.end), "limit": str(most), "spent": str(standing.spent)})


def merged(released: Sequence[Interval], newly: Sequence[Interval], settled: int) -> tuple[Interval, ...]:
    """Released intervals, disjoint and ascending: those that touch as one, without what is settled, of too many the widest."""
    found: list[Interval] = []
    for one in sorted((*released, *newly), key=lambda one: (one.start, one.end)):
        if found and one.start <= found[-1].end:
            found[-1] = Interval(found[-1].start, max(found[-1].end, one.end))
        else:
            found.append(one)
    above = [Interval(max(one.start, settled), one.end) for one in found if one.end > settled]
    widest = sorted(above, key=lambda one: (one.start - one.end, one.start))[:MOST_RELEASED]
    return tuple(sorted(widest, key=lambda one: one.start))
