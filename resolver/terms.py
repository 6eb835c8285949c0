"""What the resolver judges by: the network's windows, its rules, and the masters listed on chain."""

from __future__ import annotations

from dataclasses import dataclass

from chain.epochs import Timing
from chain.rules import Rules
from chain.types import Address

BEFORE_GENESIS = -1


@dataclass(frozen=True, slots=True)
class Master:
    """A listed master. endpoint: host:port, UDP and TCP."""

    address: Address
    endpoint: str


@dataclass(frozen=True, slots=True)
class Terms:
    """Arguments that every judgement needs. masters: in listing order.

    Slots are counted through from the first of epoch 1 (index 0), so that the slot before the first of an epoch is the last of the
    one before.
    """

    timing: Timing
    rules: Rules
    masters: tuple[Master, ...]

    def slot_index(self, now: float) -> int:
        """The slot of a UTC second; `BEFORE_GENESIS` if there is none yet."""
        epoch = self.timing.epoch_at(now)
        return (epoch - 1) * self.timing.slots_per_epoch + self.timing.slot_at(now) if epoch else BEFORE_GENESIS

    def slot_begin(self, index: int) -> int:
        """The first UTC second of a slot; genesis for `BEFORE_GENESIS`."""
        epoch, slot = divmod(max(0, index), self.timing.slots_per_epoch)
        return self.timing.slot_start(epoch + 1, slot)

    def next_slot_begin(self, now: float) -> int:
        """When everything is measured anew: the first second of the next slot."""
        return self.slot_begin(self.slot_index(now) + 1)
