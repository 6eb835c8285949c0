"""Epochs, slots, rounds and windows at their edges, with the network's and the devnet's lengths."""

from __future__ import annotations

import pytest

from chain.epochs import Timing, proposer_index

NETWORK = Timing(1_000_000, 86_400, 1_800, 21_600, 43_200, 3_600, 1_200, 144)
DEVNET = Timing(1_000_000, 20, 3, 11, 5, 4, 4, 5)


@pytest.mark.parametrize("timing", [NETWORK, DEVNET])
def test_epochs_begin_at_one_and_end_where_the_next_begins(timing: Timing) -> None:
    assert timing.epoch_at(timing.genesis - 1) == 0
    assert timing.epoch_at(timing.genesis) == 1
    assert timing.epoch_at(timing.end_of(1) - 0.001) == 1
    assert timing.epoch_at(timing.end_of(1)) == 2
    assert timing.start_of(2) == timing.end_of(1)


@pytest.mark.parametrize("timing", [NETWORK, DEVNET])
def test_every_slot_is_reached_and_starts_where_it_says(timing: Timing) -> None:
    slots = [timing.slot_at(second) for second in range(timing.start_of(3), timing.end_of(3), max(1, timing.slot_seconds // 4))]
    assert sorted(set(slots)) == list(range(timing.slots_per_epoch))
    for slot in range(timing.slots_per_epoch):
        assert timing.slot_at(timing.slot_start(3, slot)) == slot
        assert slot == 0 or timing.slot_at(timing.slot_start(3, slot) - 1) == slot - 1
    assert timing.slot_start(3, timing.slots_per_epoch) == timing.start_of(4)


def test_rounds_open_when_intake_closes_and_end_with_the_window() -> None:
    assert DEVNET.round_at(1, DEVNET.intake_end(1) - 1) is None
    assert DEVNET.round_at(1, DEVNET.intake_end(1)) == 0
    assert DEVNET.round_at(1, DEVNET.intake_end(1) + 4) == 1
    assert DEVNET.round_at(1, DEVNET.post_end(1)) == 2
    assert DEVNET.round_at(1, DEVNET.post_end(1) + 1) is None


def test_nine_tenths_of_a_slots_heartbeats_are_enough() -> None:
    assert NETWORK.heartbeats_for_slot(30) == 18
    assert DEVNET.heartbeats_for_slot(2) == 1


def test_every_validator_proposes_at_times() -> None:
    assert {proposer_index(epoch, 0, 4) for epoch in range(40)} == {0, 1, 2, 3}
