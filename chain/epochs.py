"""Epochs, slots and rounds: every deadline of the protocol as a function of the genesis second and a few lengths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from chain.hashing import keccak

MAX_COVERED = 7
"""The most epochs that one root covers."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The settlement contract's immutable windows, in seconds; `genesis` in UTC seconds."""

    genesis: int
    epoch_length: int
    intake: int
    post_window: int
    challenge: int
    margin: int
    round_length: int
    slots_per_epoch: int

    def epoch_at(self, second: float) -> int:
        """The epoch of a UTC second, from 1 on; 0 before genesis."""
        return 0 if second < self.genesis else int(second - self.genesis) // self.epoch_length + 1

    def start_of(self, epoch: int) -> int:
        return self.genesis + (epoch - 1) * self.epoch_length

    def end_of(self, epoch: int) -> int:
        """The first second that is no longer in the epoch."""
        return self.genesis + epoch * self.epoch_length

    def intake_end(self, epoch: int) -> int:
        """Proofs of the epoch are accepted before this second."""
        return self.end_of(epoch) + self.intake

    def post_end(self, epoch: int) -> int:
        """A root can be posted up to and including this second."""
        return self.end_of(epoch) + self.post_window

    def slot_at(self, second: float) -> int:
        """The slot of a UTC second within its epoch, from 0 on."""
        inside = int(second) - self.start_of(self.epoch_at(second))
        return inside * self.slots_per_epoch // self.epoch_length

    def slot_start(self, epoch: int, slot: int) -> int:
        """The first whole second of a slot; one past the epoch's last is the next epoch's first."""
        return self.start_of(epoch) + -(-slot * self.epoch_length // self.slots_per_epoch)

    @property
    def slot_seconds(self) -> int:
        return self.epoch_length // self.slots_per_epoch

    def round_at(self, epoch: int, second: float) -> int | None:
        """The round of the epoch's close that is open, None outside the posting window."""
        if not self.intake_end(epoch) <= second <= self.post_end(epoch):
            return None
        return int(second - self.intake_end(epoch)) // self.round_length

    def heartbeats_for_slot(self, heartbeat_s: int) -> int:
        """Heartbeats in a slot from which on it counts as up: floor(9 * slot / (10 * heartbeat)), at least 1."""
        return max(1, 9 * self.slot_seconds // (10 * heartbeat_s))


@lru_cache(maxsize=1024)
def proposer_index(epoch: int, round_: int, validators: int) -> int:
    """Which of `validators` (those with stake, by ascending address) proposes: keccak256(abi.encode(epoch, round)) mod n."""
    return int.from_bytes(keccak(epoch.to_bytes(32, "big") + round_.to_bytes(32, "big")), "big") % validators


def covered_epochs(parent_through: int, epoch: int) -> range:
    """The epochs that a root of `epoch` covers: the oldest uncovered ones in order, at most seven; empty if there is none."""
    return range(parent_through + 1, min(epoch, parent_through + MAX_COVERED) + 1)
