"""The scenes of the sessions demo: each makes something happen and waits for what comes of it. What is true is judged later."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from chain.types import Digest
from consumer.status import CONNECTED, read
from devnet.ground import socks_of
from devnet.layout import Place
from devnet.network import Devnet, dpn
from devnet.processes import Command, ProcessError
from devnet.sessions import programs
from devnet.sessions.facts import Counted, Download, Kill
from devnet.sessions.origin import Origin
from devnet.story import wait_for
from runtime.terminal import NoAnswer

ORIGIN_HOST, ORIGIN_PORT = "127.40.0.1", 8_040
CONNECT_S, MOVE_S, CLOSE_S = 40.0, 60.0, 20.0
SLOW_BYTES_PER_S = 8 << 20
"""So that a download lasts long enough to be interrupted."""


@dataclass(frozen=True, slots=True)
class Cast:
    """The network, the origin, and a folder for what programs download."""

    devnet: Devnet
    origin: Origin
    folder: Path

    @property
    def consumers(self) -> tuple[Place, ...]:
        return self.devnet.layout.of("consumer")

    def socks(self, consumer: Place) -> str:
        return socks_of(self.devnet.layout, consumer)

    def connection(self, consumer: Place) -> dict[str, Any]:
        """What the consumer says of its connection; empty if it says nothing yet."""
        try:
            return read(self.devnet.ground.home(consumer) / "data")
        except NoAnswer:
            return {}

    def via(self, consumer: Place) -> str:
        """The place it is connected through now; empty for none."""
        said = self.connection(consumer)
        return self.devnet.name_of(said["provider"]) if said.get("state") == CONNECTED else ""


async def deposit(cast: Cast, amount: str) -> None:
    """Every consumer deposits by the command its user would type, in parallel; `ProcessError` if one fails."""

    async def one(consumer: Place) -> None:
        result = await dpn("consumer", "deposit", amount, "--yes", "--config", str(cast.devnet.ground.config_of(consumer)), "--json")
        if result.code:
            raise ProcessError(f"`dpn consumer deposit` for {consumer.name} ended with {result.code}: {result.err.strip()[-300:]}")

    await asyncio.gather(*(one(consumer) for consumer in cast.consumers))


async def connect(cast: Cast, regions: dict[str, str]) -> None:
    """Starts `dpn consumer connect` for each, for a region by the consumer's name, and waits until all are connected."""
    for consumer in cast.consumers:
        options = ("--config", str(cast.devnet.ground.config_of(consumer)), "--region", regions[consumer.name])
        await cast.devnet.processes.start(Command(consumer.name, "consumer", ("cli", "consumer", "connect", *options)))

    async def connected() -> bool:
        return all(cast.via(consumer) for consumer in cast.consumers)

    await wait_for(cast.devnet.processes, "that every consumer has a provider", connected, CONNECT_S)


async def download(cast: Cast, consumer: Place, path: str) -> Download:
    """One file, whole."""
    via, file = cast.via(consumer), _file(cast, consumer, path)
    await programs.fetch(cast.socks(consumer), ORIGIN_HOST, ORIGIN_PORT, path, file)
    return _downloaded(cast, consumer, path, (via,))


async def kill_in_mid_download(cast: Cast, consumer: Place, path: str) -> tuple[Download, Kill]:
    """The consumer's provider is killed when a third of the file has come. The program goes on from there once there is another one, and
    the dead provider is started again: it has something to hand in."""
    processes, file, before = cast.devnet.processes, _file(cast, consumer, path), cast.via(consumer)
    size, seen = len(cast.origin.files[path]), len(cast.origin.visits)
    cast.origin.bytes_per_s = SLOW_BYTES_PER_S
    fetching = asyncio.create_task(programs.fetch(cast.socks(consumer), ORIGIN_HOST, ORIGIN_PORT, path, file))

    async def third() -> bool:
        return file.exists() and file.stat().st_size >= size // 3

    await wait_for(processes, "that a third of the file has come", third, MOVE_S, look_s=0.05)
    processes.signal(before, signal.SIGKILL)
    await fetching
    carried = sum(visit.received + visit.sent for visit in cast.origin.visits[seen:] if visit.path == path)
    cast.origin.bytes_per_s = 0

    async def moved_on() -> bool:
        return cast.via(consumer) not in ("", before)

    await wait_for(processes, f"that {consumer.name} has another provider", moved_on, MOVE_S)
    after = cast.via(consumer)
    await programs.fetch(cast.socks(consumer), ORIGIN_HOST, ORIGIN_PORT, path, file, whole=False)
    await processes.restart(before)
    kill = Kill(consumer.name, before, after, carried, 0, cast.devnet.network.rules.credit_most_bytes)
    return _downloaded(cast, consumer, path, (before, after)), kill


async def disconnect(cast: Cast) -> None:
    """Every consumer is told to stop, and closes its session with a final receipt."""
    for consumer in cast.consumers:
        cast.devnet.processes.signal(consumer.name, signal.SIGTERM)
    await asyncio.gather(*(cast.devnet.processes.ended(consumer.name, CLOSE_S) for consumer in cast.consumers))


async def sessions(cast: Cast) -> tuple[Counted, ...]:
    """Every consumer's sessions by `dpn consumer receipts`."""
    found: list[Counted] = []
    for consumer in cast.consumers:
        result = await dpn("consumer", "receipts", "--config", str(cast.devnet.ground.config_of(consumer)), "--json")
        if result.code:
            raise ProcessError(f"`dpn consumer receipts` for {consumer.name} ended with {result.code}: {result.err.strip()[-300:]}")
        found += [
            Counted(
                consumer=consumer.name,
                provider=cast.devnet.name_of(one["provider"]),
                session=one["session"],
                price=_wei(one["price"]),
                receipted=int(one["receipted"]),
                reported=int(one["reported"]),
                fee=_wei(one["fee"]),
                closed=one["closed"],
            )
            for one in json.loads(result.out)["sessions"]
        ]
    return tuple(found)


def _file(cast: Cast, consumer: Place, path: str) -> Path:
    return cast.folder / f"{consumer.name}-{path.rpartition('/')[2]}"


def _downloaded(cast: Cast, consumer: Place, path: str, via: tuple[str, ...]) -> Download:
    file, content = _file(cast, consumer, path), cast.origin.files[path]
    got = file.read_bytes() if file.exists() else b""
    return Download(consumer.name, path, len(content), _sha256(content), _sha256(got), via, programs.client())


def _sha256(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).digest())


def _wei(tokens: str) -> int:
    return int(Decimal(tokens) * 10**18)
