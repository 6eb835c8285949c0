"""What a session may still carry: credit of the consumer, budget of the session, the operator's rates. Exact to the byte.

A consumer's sessions at one provider share one `Credit`: bytes served and not receipted, of all of them together, never exceed it. Each
may count on an equal share: while one waits for credit none of the others is served beyond its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

BURST_S = 0.1
"""What a rate lets through at once, in seconds of it."""
SMALLEST_BURST = 64 * 1024


@dataclass(slots=True)
class Credit:
    """What one consumer may leave unreceipted. limit, owed: bytes; owed is never above the limit by what is served here. sessions: how many
    share it; waiting: how those are told to try again that have been served nothing since it did not suffice."""

    start: int
    most: int
    limit: int
    owed: int = 0
    sessions: int = 0
    waiting: dict[Callable[[], None], None] = field(default_factory=dict)
    _honoured: int = 0

    @property
    def left(self) -> int:
        return max(0, self.limit - self.owed)

    @property
    def share(self) -> int:
        """What each session may count on."""
        return self.limit // max(1, self.sessions)

    def honour(self, receipted: int) -> None:
        """So many more bytes were receipted. The limit doubles once receipts have covered half of it: many small receipts earn nothing."""
        self.owed = max(0, self.owed - receipted)
        self._honoured += receipted
        if 2 * self._honoured >= self.limit and self.limit < self.most:
            self.limit, self._honoured = min(self.most, 2 * self.limit), 0

    def default(self, unpaid: int) -> None:
        """A session ended with so many bytes unreceipted: they are lost, and trust begins anew."""
        self.owed = max(0, self.owed - unpaid)
        if unpaid:
            self.limit, self._honoured = self.start, 0

    def wake(self) -> None:
        """Lets all sessions that wait try again, who waits longest first."""
        for resume in tuple(self.waiting):
            resume()


@dataclass(slots=True)
class Rate:
    """Lets `bytes_per_s` through, with short bursts; 0 for no limit. now: seconds of a clock that never goes back."""

    bytes_per_s: float
    now: Callable[[], float]
    _tokens: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens, self._at = self._burst, self.now()

    @property
    def _burst(self) -> float:
        return max(SMALLEST_BURST, self.bytes_per_s * BURST_S)

    def left(self) -> int:
        """Bytes that may pass now; none while it is less than an eighth of a burst, so that a stream is not cut into crumbs."""
        if not self.bytes_per_s:
            return 1 << 62
        now = self.now()
        self._tokens, self._at = min(self._burst, self._tokens + (now - self._at) * self.bytes_per_s), now
        return int(self._tokens) if 8 * self._tokens >= self._burst else 0

    def take(self, size: int) -> None:
        if self.bytes_per_s:
            self._tokens -= size

    def wait_s(self) -> float:
        """Until a fair part of a burst may pass."""
        return max(0.001, (self._burst / 2 - self._tokens) / self.bytes_per_s) if self.bytes_per_s else 0.0


class SessionMeter:
    """The meter of all streams of one session.

    most: bytes that its budget affords. rates: its own and the provider's. carried: is told of each read, for the operator's caps.
    spent: called when the budget is used up.
    """

    def __init__(
        self, credit: Credit, most: int, rates: tuple[Rate, ...], carried: Callable[[int], None], spent: Callable[[], None]
    ) -> None:
        self._credit, self._left, self._rates = credit, most, tuple(rate for rate in rates if rate.bytes_per_s)
        self._carried, self._spent = carried, spent
        self.up = self.down = self.receipted = 0
        self._parked: set[Callable[[], None]] = set()
        self._resume = self.resume
        credit.sessions += 1
        self._waking: asyncio.TimerHandle | None = None

    @property
    def served(self) -> int:
        return self.up + self.down

    @property
    def unreceipted(self) -> int:
        return max(0, self.served - self.receipted)

    def allow(self, most: int) -> int:
        allowed = min(most, self._credit_left(), self._left)
        for rate in self._rates:
            allowed = min(allowed, rate.left())
        return max(0, allowed)

    def sent(self, size: int) -> None:
        self.down += size
        self._count(size)

    def received(self, size: int) -> None:
        self.up += size
        self._count(size)

    def park(self, resume: Callable[[], None]) -> None:
        self._parked.add(resume)
        if self._left <= 0:
            self._spent()
        elif self._credit_left() <= 0:
            self._credit.waiting[self._resume] = None
        elif self._waking is None and self._rates:  # it is a rate that holds the stream up
            self._wake_later()

    def unpark(self, resume: Callable[[], None]) -> None:
        self._parked.discard(resume)
        if not self._parked:
            self._wait_no_more()

    def receipt(self, total: int) -> None:
        """The newest receipt is over `total` bytes both ways; what is above what was served counts for nothing."""
        total = min(total, self.served)
        if total > self.receipted:
            honoured, self.receipted = total - self.receipted, total
            self._credit.honour(honoured)
            self._credit.wake()

    def resume(self) -> None:
        """Lets every stream that waits try again."""
        parked, self._parked = self._parked, set()
        for resume in parked:
            resume()

    def close(self) -> None:
        """No stream is woken any more; what is unreceipted is lost."""
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        self._parked.clear()
        self._credit.waiting.pop(self._resume, None)
        self._credit.sessions -= 1
        self._credit.default(self.unreceipted)
        self._credit.wake()

    def _wake_later(self) -> None:
        wait = max(rate.wait_s() for rate in self._rates)
        self._waking = asyncio.get_running_loop().call_later(wait, self._woken)

    def _woken(self) -> None:
        self._waking = None
        self.resume()

    def _count(self, size: int) -> None:
        self._left -= size
        self._credit.owed += size
        for rate in self._rates:
            rate.take(size)
        self._carried(size)
        if self._credit.waiting:
            self._wait_no_more()

    def _credit_left(self) -> int:
        credit = self._credit
        left = credit.limit - credit.owed
        if len(credit.waiting) > (self._resume in credit.waiting):  # others wait
            left = min(left, credit.share - self.unreceipted)
        return left

    def _wait_no_more(self) -> None:
        """What was kept for this session the others may have now."""
        if self._resume in self._credit.waiting:
            del self._credit.waiting[self._resume]
            self._credit.wake()
