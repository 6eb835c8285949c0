"""Which rules make sense, and that they come through files and the chain's log as they are."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from chain.canonical import decode, encode
from chain.errors import CodecError
from chain.rules import Rules, rules_of
from chain.types import PPM


def test_the_whole_budget_may_be_shared_out() -> None:
    assert Rules().availability_share_ppm + Rules().session_share_ppm + Rules().role_share_ppm == PPM


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"role_share_ppm": 50_001}, "role_share_ppm"),
        ({"availability_share_ppm": 750_001, "role_share_ppm": 0}, "availability_share_ppm"),
        ({"validator_part_ppm": 500_001}, "validator_part_ppm"),
        ({"tier_points": (1, 2, 3, 4)}, "tier_points"),
        ({"tier_points": (1, 2, 3, 4, 5, 6)}, "tier_points"),
        ({"tier_points": (0, 2, 3, 4, 5)}, "tier_points"),
        ({"tier_points": (1, 2, 2, 4, 5)}, "tier_points"),
        ({"tier_share_ppm": (1, 2, 3, 4)}, "tier_share_ppm"),
        ({"tier_share_ppm": (3, 2, 3, 4, 5)}, "tier_share_ppm"),
        ({"tier_share_ppm": (1, 2, 3, 4, PPM + 1)}, "tier_share_ppm"),
    ],
)
def test_what_makes_no_sense_is_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Rules(**changed)


def test_bounds_themselves_are_allowed() -> None:
    Rules(tier_points=(1, 2, 3, 4, 5), tier_share_ppm=(0, 0, 5, 5, PPM), role_share_ppm=0, resolver_part_ppm=500_000, master_part_ppm=0)


def test_canonical_bytes_read_back_with_their_lists() -> None:
    rules = Rules(tier_points=(1, 2, 3, 4, 2**60))
    assert decode(Rules, encode(rules)) == rules
    assert b'"tierPoints":[1,2,3,4,"1152921504606846976"]' in encode(rules)
    assert rules.digest() != Rules().digest()
    assert hash(rules) == hash(decode(Rules, encode(rules)))


def test_bytes_of_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(CodecError, match="out_of_range"):
        decode(Rules, encode(Rules()).replace(b'"tierPoints":[2000,', b'"tierPoints":[20000,'))


def test_a_file_s_lists_make_the_same_rules() -> None:
    table = tomllib.loads("heartbeat_s = 2\npresence_ttl_s = 6\ntier_share_ppm = [30_000, 50_000, 70_000, 100_000, 120_000]")
    assert rules_of(table) == Rules(heartbeat_s=2, presence_ttl_s=6)
