"""The devnet's operating-system processes: started, signalled and ended by their own ids, never by name.

    ProcessError    one did not start, or ended when it should not have; the sentence names its log

Each has a log of its own. Processes are in a session apart from the terminal, so Ctrl-C reaches the devnet alone, which then ends them in
order; should the devnet itself be killed, the kernel kills them (`devnet.leash`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

LEASH = Path(__file__).with_name("leash.py")
GRACE_S = 6.0
"""Between SIGTERM and SIGKILL."""
ROOT = Path(__file__).parent.parent
"""Where the packages lie: the working directory of `python -m ROLE` in a checkout."""


class ProcessError(Exception):
    """A sentence for whoever started the devnet."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: a name that is unique in the devnet, a role, and `python -m`'s arguments."""

    name: str
    role: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """A process that was started once. A restart is another one, under the same name."""

    name: str
    role: str
    pid: int


class Processes:
    """Starts and ends processes; `logs` is the folder of their logs. Call `end_all` at the end, whatever happened."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._commands: dict[str, Command] = {}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._expected: set[str] = set()
        self.started: list[Started] = []
        """Every process started so far, in order, restarts included."""

    async def start(self, command: Command) -> Started:
        """Starts a process, its output appended to `<name>.log`. `ProcessError` if one of that name runs."""
        if command.name in self.alive():
            raise ProcessError(f"{command.name} is running already.")
        self._logs.mkdir(parents=True, exist_ok=True)
        leash = (sys.executable, "-I", "-S", str(LEASH), str(os.getpid()))
        with self.log_of(command.name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *leash, sys.executable, "-m", *command.arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=ROOT,
            )  # fmt: skip
        self._commands[command.name], self._running[command.name] = command, process
        self._expected.discard(command.name)
        self.started.append(Started(command.name, command.role, process.pid))
        return self.started[-1]

    async def restart(self, name: str) -> Started:
        """Starts a process again as it was started first."""
        return await self.start(self._commands[name])

    def log_of(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def pid_of(self, name: str) -> int:
        """The process id of the newest process of that name."""
        return self._running[name].pid

    def alive(self) -> set[str]:
        """The names of the processes that run."""
        return {name for name, process in self._running.items() if process.returncode is None}

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal; the end of this process, if it ends, is then as it should be. A process that has ended is passed over."""
        self._expected.add(name)
        process = self._running[name]
        if process.returncode is None:
            process.send_signal(number)

    async def ended(self, name: str, timeout_s: float) -> int:
        """The exit code of a process once it has ended (negative: a signal's number); `ProcessError` if it does not in time."""
        try:
            return await asyncio.wait_for(self._running[name].wait(), timeout_s)
        except TimeoutError:
            raise ProcessError(f"{name} has not ended within {timeout_s:g} s; see {self.log_of(name)}.") from None

    def require_alive(self) -> None:
        """`ProcessError` if any process has ended that nobody told to, with the last lines of its log."""
        for name, process in self._running.items():
            if process.returncode is not None and name not in self._expected:
                raise ProcessError(f"{name} has ended with {process.returncode}; its log {self.log_of(name)} ends:\n{self._tail(name)}")

    def _tail(self, name: str, lines: int = 8) -> str:
        return "\n".join(self.log_of(name).read_text(errors="replace").splitlines()[-lines:])

    async def end(self, names: Iterable[str]) -> None:
        """SIGTERM to all of them, SIGKILL after `GRACE_S` to those still there; a stopped process is let run first."""
        running = [self._running[name] for name in names if name in self.alive()]
        self._expected.update(names)
        for process in running:
            _send(process, (signal.SIGTERM, signal.SIGCONT))
        waits = [asyncio.ensure_future(process.wait()) for process in running]
        if waits:
            await asyncio.wait(waits, timeout=GRACE_S)
        for process in running:
            if process.returncode is None:
                _send(process, (signal.SIGKILL,))
        await asyncio.gather(*waits)

    async def end_all(self, order: Sequence[Sequence[str]] = ()) -> None:
        """Ends everything, group after group, then what no group names. Safe to call again."""
        for group in order:
            await self.end([name for name in group if name in self._running])
        await self.end(list(self._running))


def _send(process: asyncio.subprocess.Process, numbers: Iterable[signal.Signals]) -> None:
    for number in numbers:
        if process.returncode is None:
            process.send_signal(number)
