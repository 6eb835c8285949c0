"""`dpn devnet`: set up, look every two seconds, end in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.live import Live
from rich.text import Text

from devnet.layout import Layout
from devnet.network import Devnet, open_devnet
from devnet.observer import Observer, Sight, observing
from devnet.table import picture, plain
from runtime.loop import stop_on_signals

LOOK_S = 2.0
T = TypeVar("T")


async def until_signal(work: Coroutine[Any, Any, T]) -> T | None:
    """The outcome of `work`; None if SIGTERM or SIGINT came first, once `work` has cleaned up after itself."""
    with stop_on_signals() as stop:
        task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not task.done():
            task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, asyncio.CancelledError):
            return None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


async def show(layout: Layout, folder: Path, seconds: float | None, console: Console, as_json: bool) -> bool:
    """Runs a devnet for `seconds` or until cancelled, which after set-up is how it is meant to end: then the answer is True.

    With `as_json` the last look is printed as one JSON object; else a table lives on a terminal, or the last one is printed. Raises what
    `open_devnet` does, and `ProcessError` if a process ends by itself.
    """
    progress = Console(stderr=True)
    async with (
        open_devnet(layout, folder, folder, lambda line: progress.print(f"  {line}", style="dim")) as devnet,
        observing(devnet) as eye,
    ):
        progress.print(f"Set up in {devnet.setup_s:.0f} s. RPC {devnet.rpc_url}, settlement {devnet.network.settlement}. Logs: {folder}/")
        until = time.monotonic() + seconds if seconds is not None else float("inf")
        sight = await _watch(devnet, eye, until, console, live=console.is_terminal and not as_json)
        if sight is not None and as_json:
            console.print_json(json.dumps(plain(sight, eye.masters)))
        elif sight is not None and not console.is_terminal:
            console.print(_picture(devnet, eye, sight))
    progress.print("Every process has ended.", style="dim")
    return True


async def _watch(devnet: Devnet, eye: Observer, until: float, console: Console, *, live: bool) -> Sight | None:
    """Looks until then, or until cancelled; the last look."""
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(Live(Text("Looking …"), console=console, auto_refresh=False)) if live else None
        try:
            while time.monotonic() < until:
                devnet.processes.require_alive()
                if shown is not None and (sight := await eye.look()) is not None:
                    shown.update(_picture(devnet, eye, sight), refresh=True)
                await asyncio.sleep(min(LOOK_S, max(0.0, until - time.monotonic())))
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None:
                task.uncancel()  # whoever watches has seen enough; what follows is an orderly end
    return await eye.look()


def _picture(devnet: Devnet, eye: Observer, sight: Sight) -> Any:
    relay = "" if devnet.layout.relayed else " without its relay"
    return picture(sight, eye.masters, f"devnet{relay}   chain {devnet.network.chain_id}   {devnet.rpc_url}")
