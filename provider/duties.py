"""A duty that knows itself when it is due next, and that another one can wake."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any

from chain.errors import Recoverable
from runtime.clock import Clock
from runtime.loop import attempt, wait_for_either

log = logging.getLogger(__name__)

SHORTEST_PAUSE_S = 0.05


class Duty:
    """Repeats `step`, which returns the UTC second of its next turn. A `Recoverable` error is logged and tried again after `pause_s`;
    every other error ends the daemon."""

    def __init__(self, step: Callable[[], Awaitable[float]], clock: Clock, pause_s: float) -> None:
        self._step, self._clock, self._pause_s = step, clock, pause_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """The next turn is now."""
        self._woken.set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            self._woken.clear()
            due = await attempt(self._step, self._pause_s)
            if due is None:
                due = self._clock.now() + self._pause_s
            await wait_for_either(self._woken, max(SHORTEST_PAUSE_S, due - self._clock.now()), self._clock)


class Errands:
    """What a duty has others do at the same time, one errand a name: a peer that is slow to answer holds up nobody else.

    They run in the daemon's task group, so that what is not `Recoverable` ends the daemon. `woken` is called after each.
    """

    def __init__(self) -> None:
        self.group: asyncio.TaskGroup | None = None
        self.woken: Callable[[], None] = lambda: None
        self._under_way: dict[Hashable, asyncio.Task[None]] = {}

    def __contains__(self, name: Hashable) -> bool:
        """Whether it is under way."""
        return name in self._under_way

    def start(self, name: Hashable, errand: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Starts it, unless one of that name is under way."""
        if self.group is None:
            raise RuntimeError("errands run in the daemon's task group, and it has not begun")
        if name not in self._under_way:
            self._under_way[name] = self.group.create_task(self._run(name, errand))

    def cancel(self) -> None:
        """Ends all of them."""
        for task in self._under_way.values():
            task.cancel()

    async def _run(self, name: Hashable, errand: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await errand()
        except Recoverable as error:
            log.warning("an errand to be tried again: %s", error)
        finally:
            del self._under_way[name]
            self.woken()
