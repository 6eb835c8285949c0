"""How a daemon runs, repeats its duties, and stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from chain.errors import Recoverable
from runtime.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, for the daemons that carry data: on uvloop's event loop, which spends a third less on a wake-up, where it is
    installed, else on asyncio's own."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


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
