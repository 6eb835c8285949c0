"""Caps by day and month and hours of service, in UTC, across restarts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chain.typed import Domain
from chain.types import Address
from provider.sessions.caps import Allowance, Caps, Hours

DOMAIN = Domain(31337, Address("0x" + "11" * 20))


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_day_s_cap_ends_service_until_midnight(tmp_path: Path) -> None:
    caps = Caps(tmp_path / "carried.sqlite", Allowance(day=1_000), DOMAIN)
    noon = at("2026-11-26 12:00")
    caps.count(999, noon)
    assert caps.refusal(noon) == ""
    caps.count(1, noon)
    assert caps.refusal(noon) == "cap_reached"
    assert caps.next_try(noon) == at("2026-11-27 00:00")
    assert caps.refusal(at("2026-11-27 00:00")) == ""
    assert caps.carried(at("2026-11-27 00:00")) == (0, 1_000)
    caps.close()


def test_a_month_s_cap_ends_service_until_the_next_month(tmp_path: Path) -> None:
    caps = Caps(tmp_path / "carried.sqlite", Allowance(day=900, month=1_000), DOMAIN)
    caps.count(600, at("2026-12-30 12:00"))
    caps.count(500, at("2026-12-31 12:00"))
    assert caps.refusal(at("2026-12-31 13:00")) == "cap_reached"
    assert caps.next_try(at("2026-12-31 13:00")) == at("2027-01-01 00:00")
    assert caps.refusal(at("2027-01-01 00:00")) == ""
    caps.close()


def test_what_was_carried_survives_a_restart(tmp_path: Path) -> None:
    now = at("2026-11-26 12:00")
    caps = Caps(tmp_path / "carried.sqlite", Allowance(day=1_000), DOMAIN)
    caps.count(1_000, now)
    caps.close()
    again = Caps(tmp_path / "carried.sqlite", Allowance(day=1_000), DOMAIN)
    assert again.carried(now) == (1_000, 1_000)
    assert again.refusal(now) == "cap_reached"
    again.close()


@pytest.mark.parametrize(
    ("hours", "moment", "holds"),
    [
        ("08:00-22:00", "08:00", True), ("08:00-22:00", "07:59", False), ("08:00-22:00", "22:00", False),
        ("22:00-06:30", "23:00", True), ("22:00-06:30", "06:29", True), ("22:00-06:30", "06:30", False), ("00:00-24:00", "13:00", True),
    ],
)  # fmt: skip
def test_hours_may_go_across_midnight(hours: str, moment: str, holds: bool) -> None:
    parsed = Hours.parse(hours)
    assert parsed is not None
    assert parsed.holds(at(f"2026-11-26 {moment}")) is holds


def test_outside_its_hours_the_next_begin_is_named(tmp_path: Path) -> None:
    caps = Caps(tmp_path / "carried.sqlite", Allowance(hours=Hours.parse("22:00-06:30")), DOMAIN)
    assert caps.refusal(at("2026-11-26 12:00")) == "outside_hours"
    assert caps.next_try(at("2026-11-26 12:00")) == at("2026-11-26 22:00")
    assert caps.refusal(at("2026-11-26 22:00")) == ""
    caps.close()


@pytest.mark.parametrize("text", ["22", "22:00", "25:00-01:00", "22:61-23:00", "a:b-c:d", "24:30-01:00", "-"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|form"):
        Hours.parse(text)
