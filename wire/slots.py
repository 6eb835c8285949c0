"""Slot maps: one bit a slot of an epoch, bit i in byte i // 8 under mask 1 << i % 8; always as long as the epoch's slots need."""

from __future__ import annotations

from collections.abc import Iterable


def empty(slots: int) -> bytes:
    """The map of `slots` slots with none set."""
    return bytes(-(-slots // 8))


def with_slot(map_: bytes, slot: int) -> bytes:
    """The map with one more slot set."""
    changed = bytearray(map_)
    changed[slot // 8] |= 1 << slot % 8
    return bytes(changed)


def has_slot(map_: bytes, slot: int) -> bool:
    return bool(map_[slot // 8] >> slot % 8 & 1)


def union(maps: Iterable[bytes], slots: int) -> bytes:
    """The OR of maps of `slots` slots each."""
    total = 0
    for map_ in maps:
        total |= int.from_bytes(map_, "little")
    return total.to_bytes(-(-slots // 8), "little")


def count(map_: bytes) -> int:
    """How many slots are set."""
    return int.from_bytes(map_, "little").bit_count()


def is_map(map_: bytes, slots: int) -> bool:
    """Whether the bytes are a map of exactly `slots` slots: the right length, no bit beyond the last slot."""
    return len(map_) == -(-slots // 8) and int.from_bytes(map_, "little") >> slots == 0
