"""What a tunnel carried, as the consumer counts it: payload read from its programs and from the tunnel, never beyond the budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Payload bytes, cumulative. up: read from programs; down: from the tunnel. receipted: both ways, by the newest receipt that the
    provider has answered; reported: both ways, by its newest report."""

    up: int
    down: int
    receipted: int
    reported: int

    @property
    def total(self) -> int:
        return self.up + self.down


class UsageMeter:
    """The meter of all streams of one session.

    most: bytes that the budget affords. due: called when three quarters of the credit are unreceipted: the last one
    is for what comes while the receipt is on its way, and fewer receipts cost less. spent: called when the budget is used up.
    """

    def __init__(self, most: int, credit: int, due: Callable[[], None], spent: Callable[[], None]) -> None:
        self._left, self._due, self._spent = most, due, spent
        self.up = self.down = self.receipted = self.reported = 0
        self.credit = credit
        self._due_at = self._noted = 0
        self.note_receipt(0)

    @property
    def usage(self) -> Usage:
        return Usage(self.up, self.down, self.receipted, self.reported)

    @property
    def could_stall(self) -> bool:
        """Whether a quarter of the credit is unreceipted."""
        return 4 * (self.up + self.down - self._noted) >= self.credit

    def note_receipt(self, signed: int) -> None:
        """A receipt over `signed` bytes has left: the next one is due after three quarters of the credit."""
        self._noted = signed
        self._due_at = signed + max(1, self.credit * 3 // 4)

    def allow(self, most: int) -> int:
        if self._left <= 0:
            self._spent()
            return 0
        return min(most, self._left)

    def sent(self, size: int) -> None:
        self.up += size
        self._count(size)

    def received(self, size: int) -> None:
        self.down += size
        self._count(size)

    def park(self, resume: Callable[[], None]) -> None:
        """Nobody is woken: a budget that is used up does not grow."""

    def unpark(self, resume: Callable[[], None]) -> None:
        """There is nothing to forget."""

    def _count(self, size: int) -> None:
        self._left -= size
        if self.up + self.down >= self._due_at:
            self._due()
