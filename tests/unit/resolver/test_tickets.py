"""Slot maps from heartbeats, and which epochs tickets are given for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.epochs import Timing
from chain.rules import Rules
from resolver.terms import Terms
from resolver.tickets import EpochUptime, count_heartbeat, open_uptime, ticket_for
from tests.unit.resolver.pool_world import PREFIX, PROVIDER, RESOLVER, TERMS, TIMING, slot_map
from wire.slots import count, has_slot

GENESIS = TIMING.genesis


def beats(times: list[float], terms: Terms = TERMS) -> tuple[EpochUptime, ...]:
    uptime: tuple[EpochUptime, ...] = ()
    for now in times:
        uptime = count_heartbeat(uptime, PREFIX, False, terms, now)
    return uptime


@pytest.mark.parametrize(("slot_s", "heartbeat_s", "needed"), [(600, 30, 18), (4, 2, 1), (600, 600, 1), (60, 7, 7), (600, 31, 17)])
def test_a_slot_is_up_from_nine_tenths_of_its_heartbeats_on(slot_s: int, heartbeat_s: int, needed: int) -> None:
    rules = Rules(heartbeat_s=heartbeat_s, presence_ttl_s=3 * heartbeat_s)
    terms = Terms(Timing(GENESIS, 5 * slot_s, 3, 11, 5, 4, 4, 5), rules, ())
    times = [GENESIS + slot_s + slot_s * n / needed for n in range(needed)]
    assert not has_slot(beats([GENESIS, *times[:-1]], terms)[0].slots, 1)
    assert has_slot(beats([GENESIS, *times], terms)[0].slots, 1)


def test_heartbeats_of_different_slots_do_not_add_up() -> None:
    uptime = beats([GENESIS + 60 * n for n in range(1000)])
    assert count(uptime[0].slots) == 0
    assert uptime[0].count == 10


def test_a_burst_is_no_presence() -> None:
    """All of a slot's heartbeats at once would otherwise claim the whole slot."""
    needed = TIMING.heartbeats_for_slot(TERMS.rules.heartbeat_s)
    assert count(beats([GENESIS + n / 100 for n in range(10 * needed)])[0].slots) == 0
    assert count(beats([GENESIS + n * TERMS.rules.heartbeat_s / 2 for n in range(needed)])[0].slots) == 1


def test_nothing_is_counted_before_genesis() -> None:
    assert beats([GENESIS - 1.0] * 40) == ()


def test_only_this_epoch_and_the_last_are_kept() -> None:
    starts = [TIMING.start_of(epoch) for epoch in (1, 2, 3)]
    assert [u.epoch for u in beats([s + n for s in starts for n in range(18)])] == [2, 3]
    assert [u.epoch for u in beats([float(starts[0]), float(starts[2])])] == [3]


def test_the_last_epochs_ticket_is_given_until_its_intake_closes() -> None:
    uptime = beats([TIMING.end_of(1) - 1, TIMING.end_of(1)])
    assert [u.epoch for u in open_uptime(uptime, TERMS, TIMING.intake_end(1) - 0.001)] == [1, 2]
    assert [u.epoch for u in open_uptime(uptime, TERMS, TIMING.intake_end(1))] == [2]


def test_address_changes_and_prefix_are_of_the_epoch() -> None:
    uptime = count_heartbeat(beats([TIMING.end_of(1) - 1]), "9.9.9.0/24", True, TERMS, TIMING.end_of(1))
    assert [(u.address_changes, u.group_prefix) for u in uptime] == [(0, PREFIX), (1, "9.9.9.0/24")]


@given(st.lists(st.floats(GENESIS, GENESIS + 3 * 86_400), max_size=60).map(sorted))
def test_a_ticket_is_a_map_of_slots_that_have_begun(times: list[float]) -> None:
    for uptime in beats(times):
        ticket = ticket_for(uptime, RESOLVER.address, PROVIDER.address, times[-1])
        assert len(ticket.slots) == 18
        last = int.from_bytes(ticket.slots, "little").bit_length() - 1
        assert last < 0 or TIMING.slot_start(ticket.epoch, last) <= times[-1]
        assert ticket.sequence == int(times[-1] * 1000)


def test_a_slot_once_set_stays_set_when_the_clock_is_set_back() -> None:
    uptime = beats([GENESIS + 600 + 30 * n for n in range(18)])
    back = count_heartbeat(uptime, PREFIX, False, TERMS, GENESIS + 5)
    assert back[0].slots == slot_map(1)
    assert back[0] == replace(uptime[0], slot=0, count=1, counted_ms=(GENESIS + 5) * 1000)
