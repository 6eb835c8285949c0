"""Tiers against the numbers of the specification."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.rules import TIERS, Rules
from wire.tiers import NO_TIER, Tier, tier_after, tier_of, tiers

RULES = Rules()


def test_all_tiers() -> None:
    assert tiers(RULES) == (
        NO_TIER,
        Tier("Member", 2_000, 30_000),
        Tier("VIP", 20_000, 50_000),
        Tier("Elite", 150_000, 70_000),
        Tier("Premier", 1_000_000, 100_000),
        Tier("Exclusive", 5_000_000, 120_000),
    )


@pytest.mark.parametrize(
    ("points_milli", "name", "share_ppm"),
    [
        (0, "", 0),
        (1_999_999, "", 0),
        (2_000_000, "Member", 30_000),
        (19_999_999, "Member", 30_000),
        (20_000_000, "VIP", 50_000),
        (150_000_000, "Elite", 70_000),
        (999_999_999, "Elite", 70_000),
        (1_000_000_000, "Premier", 100_000),
        (5_000_000_000, "Exclusive", 120_000),
        (2**64 - 1, "Exclusive", 120_000),
    ],
)
def test_a_tier_begins_with_its_points_and_not_a_thousandth_before(points_milli: int, name: str, share_ppm: int) -> None:
    found = tier_of(points_milli, RULES)
    assert (found.name, found.share_ppm) == (name, share_ppm)


def test_the_next_tier_and_none_after_the_last() -> None:
    following = [tier_after(tier, RULES) for tier in tiers(RULES)]
    assert [tier.name if tier else None for tier in following] == [*TIERS, None]


@pytest.mark.parametrize(
    ("share_ppm", "reward", "part"), [(30_000, 100, 3), (30_000, 99, 2), (120_000, 10**18 + 9, 12 * 10**16 + 1), (0, 10**18, 0)]
)
def test_a_part_is_rounded_down(share_ppm: int, reward: int, part: int) -> None:
    assert Tier("x", 1, share_ppm).share_of(reward) == part


def test_other_rules_make_other_tiers() -> None:
    rules = replace(RULES, tier_points=(1, 2, 3, 4, 5), tier_share_ppm=(1, 1, 1, 1, 2))
    assert tier_of(4_999, rules) == Tier("Premier", 4, 1)
