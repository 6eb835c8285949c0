"""Sequences, and the seconds at which things are due."""

from __future__ import annotations

import pytest

from chain.epochs import Timing
from chain.types import Address, Digest
from provider.heartbeat import (
    Offering,
    announcement,
    final_second,
    heartbeat,
    leaving,
    measuring_second,
    next_heartbeat,
    sequence_after,
    spread,
)

TIMING = Timing(1_000, 86_400, 1_800, 21_600, 43_200, 3_600, 1_200, 144)
PROVIDERS = [Address(f"0x{number:040x}") for number in range(1, 200)]
MASTER = Address("0x" + "ee" * 20)
NEVER = 0.0


@pytest.mark.parametrize(("last", "now", "expected"), [(0, 12.5, 12_500), (12_500, 12.5, 12_501), (99_999, 12.5, 100_000)])
def test_a_sequence_is_the_time_or_one_more(last: int, now: float, expected: int) -> None:
    assert sequence_after(last, now) == expected


def test_the_beat_does_not_drift_with_slow_answers() -> None:
    assert next_heartbeat(100.0, 103.5, 30, NEVER) == 130.0


def test_after_a_pause_the_beat_begins_anew() -> None:
    assert next_heartbeat(100.0, 250.0, 30, NEVER) == 280.0


def test_the_final_heartbeat_comes_in_between_and_the_beat_goes_on_from_there() -> None:
    assert next_heartbeat(100.0, 101.0, 30, 117.0) == 117.0
    assert next_heartbeat(117.0, 118.0, 30, NEVER) == 147.0
    assert next_heartbeat(100.0, 101.0, 30, 131.0) == 130.0


def test_final_statements_are_collected_early_in_the_intake_and_not_by_all_at_once() -> None:
    seconds = [final_second(TIMING, 3, provider) for provider in PROVIDERS]
    assert all(TIMING.end_of(3) <= second < TIMING.end_of(3) + 1_800 / 8 for second in seconds)
    assert len({int(second) for second in seconds}) > 100


def test_measurements_are_spread_over_the_first_third_of_a_slot() -> None:
    seconds = [measuring_second(TIMING, 3, 7, provider, MASTER) for provider in PROVIDERS]
    begin = TIMING.slot_start(3, 7)
    assert all(begin <= second < begin + 200 for second in seconds)
    assert len({int(second) for second in seconds}) > 80
    first = PROVIDERS[0]
    assert measuring_second(TIMING, 3, 7, first, MASTER) - begin != measuring_second(TIMING, 3, 8, first, MASTER) - TIMING.slot_start(3, 8)


def test_a_name_always_has_the_same_place() -> None:
    assert spread("a") == spread("a") != spread("b")
    assert 0 <= spread("a") < 1


def test_messages_say_what_they_are_given() -> None:
    offering = Offering("10.0.0.1", 443, 5, 6, "DE", 52, 13, dns=True)
    presence = Digest(b"\x01" * 32)
    told = announcement(PROVIDERS[0], presence, 7, 99.9, offering)
    assert (told.host, told.port, told.bandwidth, told.price, told.region) == ("10.0.0.1", 443, 5, 6, "DE")
    assert (told.latitude, told.longitude, told.dns, told.time, told.sequence) == (52, 13, True, 99, 7)
    beat = heartbeat(PROVIDERS[0], presence, 8, 100.2, offering)
    assert (beat.presence_id, beat.sequence, beat.time, beat.host, beat.port, beat.bandwidth, beat.price) == (
        presence, 8, 100, "10.0.0.1", 443, 5, 6,
    )  # fmt: skip
    assert leaving(PROVIDERS[0], presence, 9, 101.0, "cap").reason == "cap"
