"""Tiers of those who refer providers: where an account stands, and what it gets of what it referred. Pure.

Tiers follow from points alone, which never fall: what was reached stays. Source of the rule: docs/protocol.md, section 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from chain.rules import TIERS, Rules
from chain.types import PPM

MILLI = 1_000
"""Points are kept in thousandths."""


@dataclass(frozen=True, slots=True)
class Tier:
    """name: empty below the first one. points: whole points from which on. share_ppm: of a referred provider's budget reward."""

    name: str
    points: int
    share_ppm: int

    def share_of(self, reward: int) -> int:
        """What of a reward in wei goes to a referrer in this tier, rounded down: the provider keeps the rest."""
        return reward * self.share_ppm // PPM


NO_TIER = Tier("", 0, 0)


def tiers(rules: Rules) -> tuple[Tier, ...]:
    """All of them, ascending, the one without a name first."""
    return (NO_TIER, *(Tier(*one) for one in zip(TIERS, rules.tier_points, rules.tier_share_ppm, strict=True)))


def tier_of(points_milli: int, rules: Rules) -> Tier:
    """The tier of an account with so many thousandths of a point."""
    return next(tier for tier in reversed(tiers(rules)) if points_milli >= tier.points * MILLI)


def tier_after(tier: Tier, rules: Rules) -> Tier | None:
    """The next higher one; None after the last."""
    return next((higher for lower, higher in pairwise(tiers(rules)) if lower == tier), None)
