"""What a connection says about itself: a file in its data_dir, for this machine's user alone, so that it listens nowhere for that.

No destination and no address on the internet is in it. `dpn consumer status` reads it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runtime.terminal import NoAnswer, UsageError

FILE, LOCK = "connection.json", "connection.lock"

LOOKING, WAITING, CONNECTED, ENDED = "looking", "waiting", "connected", "ended"


@dataclass(frozen=True, slots=True)
class Left:
    """Why a provider was left, and when (UTC second)."""

    provider: str
    code: str
    said: str
    time: int


@dataclass(frozen=True, slots=True)
class Connection:
    """state: `looking` for a provider, `waiting` until `next_try`, `connected` or `ended`; code and said: why, `ok` and empty while all is
    well. since, time, next_try: UTC seconds. Wei are text, as they outgrow numbers: budget of this run, spent by its receipts, left;
    session: what the present one reserves; price: for one GiB. bytes: payload both ways; receipted: what receipts were signed for;
    reported: the provider's own count; difference: reported less receipted. reputation: the provider's, in ppm, from the root of
    reputation_epoch (0: the prior); verified: whether this connection has seen the proof, or took the resolver's word. sessions: so far.
    aside: providers left alone for a while.
    """

    pid: int
    account: str
    network: str
    socks: str
    state: str
    code: str
    said: str
    since: int
    time: int
    next_try: int
    provider: str
    region: str
    price: str
    rtt_us: int
    reputation: int
    reputation_epoch: int
    verified: bool
    bytes: int
    receipted: int
    reported: int
    difference: int
    budget: str
    spent: str
    left: str
    session: str
    sessions: int
    aside: int
    last_left: Left | None


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder belongs to this connection until it ends, however it ends; `UsageError` while it is another one's, which would take the
    other's sessions for left open by a crash."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"Another connection runs with {folder}: stop that one, or give this one a --data-dir of its own.") from error
        yield
    finally:
        os.close(descriptor)


def write(folder: Path, connection: Connection) -> None:
    """Replaces the file at once; it is readable by its owner only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = folder / f"{FILE}.new"
    descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(connection), file)
    fresh.replace(folder / FILE)


def read(folder: Path) -> dict[str, Any]:
    """What the connection with this data_dir said last, and whether it `runs`; `NoAnswer` if there never was one."""
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_text())
    except (OSError, ValueError) as error:
        raise NoAnswer(f"No connection has run with {folder}. Start one with: dpn consumer connect") from error
    return {**found, "runs": found.get("state") != ENDED and is_alive(int(found.get("pid", 0)))}


def is_alive(pid: int) -> bool:
    """Whether a process of this number is there."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
