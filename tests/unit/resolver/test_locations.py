"""Which claims of a place are refuted, and by whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.types import Address
from resolver.location import location_code, refutations
from tests.unit.resolver.pool_world import MASTERS, connected, pending
from wire.answers import MasterView, Refutation
from wire.geography import Spot, least_rtt_us

FRANKFURT, TOKYO, SYDNEY = Spot(50, 9), Spot(36, 140), Spot(-34, 151)
A, B, C = (master.address for master in MASTERS)
PLACES = {A: FRANKFURT, B: Spot(52, 5), C: TOKYO}
IN_TOKYO = pending(region="JP", latitude=36, longitude=140).presence
LEAST = {A: least_rtt_us(TOKYO, FRANKFURT), B: least_rtt_us(TOKYO, Spot(52, 5))}


def views(*rtts: int, code: str = "ok") -> list[MasterView]:
    return [MasterView(master, "9.0.0.1:1", code, rtt, 1) for master, rtt in zip((A, B, C), rtts, strict=False)]


def test_light_in_vacuum_takes_at_least_so_long() -> None:
    """Frankfurt and Tokyo are some 9,370 km apart, of which 160 km are rounding: 61.4 ms there and back at 150 km per ms."""
    assert LEAST[A] == pytest.approx(61_400, rel=0.02)
    assert least_rtt_us(TOKYO, FRANKFURT) == least_rtt_us(FRANKFURT, TOKYO)
    assert least_rtt_us(FRANKFURT, FRANKFURT) == 0
    assert least_rtt_us(FRANKFURT, Spot(51, 9)) == 0, "neighbouring degrees may be the same place"


@pytest.mark.parametrize(
    ("rtts", "by"),
    [
        ((1_000, 9_000, 250_000), [A, B]),
        ((LEAST[A] - 1, LEAST[B] - 1, 250_000), [A, B]),
        ((LEAST[A], LEAST[B] - 1, 250_000), []),
        ((1_000, 200_000, 250_000), []),
        ((250_000, 260_000, 1), []),
    ],
)
def test_two_masters_refute_and_one_does_not(rtts: tuple[int, ...], by: list[Address]) -> None:
    found = refutations(IN_TOKYO, views(*rtts), PLACES)
    assert [one.master for one in found] == by
    assert location_code(IN_TOKYO, found) == ("location_refuted" if by else "ok")
    for one in found:
        assert one == Refutation(one.master, dict(zip((A, B, C), rtts, strict=True))[one.master], LEAST[one.master])


def test_only_reports_that_count_and_masters_with_a_place_refute() -> None:
    assert len(refutations(IN_TOKYO, views(1_000, 9_000), PLACES)) == 2
    assert refutations(IN_TOKYO, views(1_000, 9_000, code="address_mismatch"), PLACES) == ()
    assert refutations(IN_TOKYO, views(1_000, 9_000), {A: FRANKFURT}) == ()
    assert refutations(IN_TOKYO, views(1_000, 9_000), {}) == ()


def test_who_claims_nothing_is_not_refuted() -> None:
    nowhere = replace(IN_TOKYO, region="", latitude=0, longitude=0)
    assert refutations(nowhere, views(1, 1, 1), PLACES) == ()
    assert location_code(nowhere, ()) == "none"


def test_the_antipodes_are_out_of_reach_for_everyone() -> None:
    far = connected(region="AU", latitude=-34, longitude=151).presence
    assert len(refutations(far, views(80_000, 80_000, 40_000), PLACES)) == 3
    assert refutations(far, views(120_000, 120_000, 60_000), PLACES) == ()
    assert least_rtt_us(SYDNEY, FRANKFURT) < 110_000
