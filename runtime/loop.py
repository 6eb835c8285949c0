"""How a daemon repeats its duties, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from chain.errors import Recoverable
from runtime.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")


async def every(seconds: float, step: Callable[[], Awaitable[object]], stop: asyncio.Event, clock: Clock) -> None:
    """Runs `step` now and then every `seconds` after it ended, until `stop` is set.

    A `Recoverable` error is logged and the next tick tries again; every other error ends the daemon.
    """
    while not stop.is_set():
        await attempt(step, seconds)
        await wait_for_either(stop, seconds, clock)


async def attempt(step: Callable[[], Awaitable[T]], again_s: float) -> T | None:
    """What `step` gives; None after a `Recoverable` error, which is logged as tried again in `again_s`. Every other error is raised."""
    try:
        return await step()
    except Recoverable as error:
        log.warning("%s will be tried again in %g s: %s", getattr(step, "__qualname__", "a duty"), again_s, error)
        return None


async def wait_for_either(event: asyncio.Event, seconds: float, clock: Clock) -> bool:
    """Returns once the event is set or `seconds` have passed; whether it is set."""
    waits = {asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds))}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return event.is_set()
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
