"""What all demos share while they run: the story, told line by line with times, and waiting for something to come true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from rich.console import Console

from devnet.processes import Processes

LOOK_S = 0.25


class Untrue(Exception):
    """Something that a demo waits for has not happened in time; a sentence."""


class Story:
    """A console that puts the seconds since the story began before each line. Lines may hold rich's markup."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def say(self, line: str) -> None:
        self.console.print(f"[dim]{self.seconds:5.1f} s[/]  {line}")


async def wait_for(
    processes: Processes, what: str, condition: Callable[[], Awaitable[bool]], seconds: float, look_s: float = LOOK_S
) -> None:
    """Returns once `condition` holds; `Untrue` after `seconds`, `ProcessError` if a process ends by itself."""
    deadline = time.monotonic() + seconds
    while not await condition():
        processes.require_alive()
        if time.monotonic() > deadline:
            raise Untrue(f"{what} has not come true within {seconds:.0f} s")
        await asyncio.sleep(look_s)
