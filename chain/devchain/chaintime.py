"""The time stamped on the next block.

With a clock (served): the clock's second, plus what tests have skipped. Without one (in-process): one second per block,
so a test decides every stamp. In both cases later than the parent, since the EVM demands it.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_TIMESTAMP = 2**63


class ChainTime:
    """`clock` returns unix seconds. A stamp is looked at with `following` and used up with `took`."""

    def __init__(self, clock: Callable[[], float] | None) -> None:
        self._clock = clock
        self._pinned: int | None = None
        self.offset = 0
        """Seconds the chain is ahead of its clock; without a clock, seconds to skip before the next block."""

    def following(self, parent: int) -> int:
        """The stamp of a block after one of time `parent`, if it were sealed now."""
        if self._pinned is not None:
            return max(parent + 1, self._pinned)
        if self._clock is None:
            return parent + max(1, self.offset)
        return max(parent + 1, int(self._clock()) + self.offset)

    def took(self, stamp: int) -> None:
        """A block with this stamp was sealed."""
        if self._clock is None:
            self.offset = 0
        elif self._pinned is not None:
            # A chain sent ahead of its clock stays ahead by as much and keeps the clock's pace.
            self.offset = stamp - int(self._clock())
        self._pinned = None

    def pin(self, stamp: int) -> None:
        """The next block gets exactly this stamp."""
        self._pinned = stamp

    def increase(self, seconds: int) -> int:
        """Skip this many seconds more; returns the offset."""
        self.offset += seconds
        return self.offset

    def restore(self, offset: int) -> None:
        """Back to an earlier offset; nothing is pinned."""
        self.offset, self._pinned = offset, None
