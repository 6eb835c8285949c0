"""Time as an argument: daemons take a `Clock`, pure code takes numbers."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol

SETTLING = 20
"""Turns of the event loop after which a task that was woken has come to its next wait, if it waits for nothing real."""


class Clock(Protocol):
    def now(self) -> float:
        """UTC seconds."""

    async def sleep(self, seconds: float) -> None:
        """Returns once `seconds` have passed on this clock."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when `advance` is called, waking sleepers in order of their deadlines."""

    def __init__(self, start: float) -> None:
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float, settle: float = 0.0) -> None:
        """Moves time on, waking each sleeper at its own instant; before and after each, other tasks run for `SETTLING` turns of the
        event loop, and real input and output get `settle` real seconds."""
        target = self._now + seconds
        while True:
            await self._settle(settle)
            if not self._sleepers or self._sleepers[0][0] > target:
                break
            self._now, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
        self._now = target
        await self._settle(settle)

    @staticmethod
    async def _settle(seconds: float) -> None:
        for _ in range(SETTLING):
            await asyncio.sleep(0)
        if seconds:
            await asyncio.sleep(seconds)
