"""The devnet's Internet: it owns the nodes' public addresses and carries traffic between them, rewriting both ends like a router.

What arrives at node B's public host:port from node A's bind address leaves for B's bind host:port from A's *public* address.
Datagrams keep the port on both sides, streams get a port of the system's choice. Both are held for the one-way delay between the two
cities: were streams not, a request would overtake the datagrams sent before it. So B observes the address that A announces, and answers
to it find their way back by the same rule.

A source that is no node of the devnet (its observer, a `dig` by hand) is carried without delay and keeps its address; its port changes.

Everything is bounded: faces (sockets), datagrams in flight, spliced connections. What is beyond a bound is dropped, as a full router does.
A face that nothing has passed for `IDLE_S` is closed, unless it belongs to a configured port.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devnet.cities import City, one_way_ms
from runtime.log import start as start_log
from runtime.loop import stop_on_signals

log = logging.getLogger(__name__)

IDLE_S = 60.0
SWEEP_S = 5.0
MAX_FACES = 2048
MAX_IN_FLIGHT = 16_384
MAX_SPLICES = 1024
CLOSE_S = 5.0
"""What both ends of a finished connection get to take the rest."""
MAX_PIECES = 16
"""Of one direction of a stream, held at once."""
CHUNK = 65_536
BATCH = 64
"""Datagrams read from one socket before the others get their turn."""

Host = str
HostPort = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RelayNode:
    """A node behind the relay; `tcp` and `udp` are the ports it listens on, at both of its addresses."""

    name: str
    bind_host: Host
    public_host: Host
    city: City
    tcp: tuple[int, ...]
    udp: tuple[int, ...]


@dataclass(slots=True)
class _Face:
    """A UDP socket that stands for one endpoint behind the relay. inside: where that endpoint really is; node: None for a stranger."""

    socket: socket.socket
    inside: HostPort
    node: RelayNode | None
    kept: bool
    used: float = field(default_factory=time.monotonic)


class Relay:
    """Carries traffic between `nodes` from `start` to `close`."""

    def __init__(self, nodes: Iterable[RelayNode]) -> None:
        self._nodes = tuple(nodes)
        self._by_bind = {node.bind_host: node for node in self._nodes}
        self._faces: dict[HostPort, _Face] = {}
        self._in_flight: set[asyncio.TimerHandle] = set()
        self._servers: list[asyncio.Server] = []
        self._splices: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.Task[None] | None = None
        self.dropped = 0

    async def start(self) -> None:
        """Binds every configured public port; `OSError` if one is taken."""
        for node in self._nodes:
            for port in node.udp:
                self._open_face(node.public_host, (node.bind_host, port), node, kept=True)
            for port in node.tcp:
                self._servers.append(await asyncio.start_server(self._splicer(node, port), node.public_host, port))
        self._sweep = asyncio.create_task(self._close_idle())

    async def close(self) -> None:
        """Closes every socket; what is in flight is lost."""
        for server in self._servers:
            server.close()
        tasks = [*self._splices, *([self._sweep] if self._sweep else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        for timer in self._in_flight:
            timer.cancel()
        self._in_flight.clear()
        for inside in list(self._faces):
            self._close_face(inside)

    # datagrams

    def _open_face(self, host: Host, inside: HostPort, node: RelayNode | None, *, kept: bool = False) -> _Face:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.bind((host, inside[1] if node else 0))
        except OSError:
            opened.close()
            raise
        face = self._faces[inside] = _Face(opened, inside, node, kept)
        asyncio.get_running_loop().add_reader(opened, self._read, face)
        return face

    def _close_face(self, inside: HostPort) -> None:
        face = self._faces.pop(inside)
        asyncio.get_running_loop().remove_reader(face.socket)
        face.socket.close()

    def _face_of(self, source: HostPort) -> _Face | None:
        """The face that stands for the sender `source`, opened when it is new; None if it cannot be."""
        if face := self._faces.get(source):
            return face
        if len(self._faces) >= MAX_FACES:
            return None
        node = self._by_bind.get(source[0])
        try:
            return self._open_face(node.public_host if node else source[0], source, node)
        except OSError as error:
            log.warning("no face can be opened for %s:%d: %s", *source, error.strerror)
            return None

    def _read(self, face: _Face) -> None:
        for _ in range(BATCH):
            try:
                data, source = face.socket.recvfrom(CHUNK)
            except OSError:
                return
            self._carry(data, source, face)

    def _carry(self, data: bytes, source: HostPort, to: _Face) -> None:
        sender = self._face_of(source)
        if sender is None or len(self._in_flight) >= MAX_IN_FLIGHT:
            self.dropped += 1
            return
        sender.used = to.used = time.monotonic()
        if sender.node is None or to.node is None:
            self._send(data, sender, to.inside)
            return
        loop = asyncio.get_running_loop()
        # The loop may wake a timer up to its clock's resolution early; the delay is a promise, so that is added.
        due = loop.time() + one_way_ms(sender.node.city, to.node.city) / 1000 + time.get_clock_info("monotonic").resolution

        def deliver() -> None:
            self._in_flight.discard(timer)
            self._send(data, sender, to.inside)

        timer = loop.call_at(due, deliver)
        self._in_flight.add(timer)

    def _send(self, data: bytes, sender: _Face, to: HostPort) -> None:
        if sender.socket.fileno() < 0:  # its face was closed while this was in flight
            return
        try:
            sender.socket.sendto(data, to)
        except OSError as error:
            self.dropped += 1
            if error.errno not in (errno.EAGAIN, errno.ECONNREFUSED):
                log.warning("a datagram to %s:%d could not be sent: %s", *to, error.strerror)

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            before = time.monotonic() - IDLE_S
            for inside in [inside for inside, face in self._faces.items() if not face.kept and face.used < before]:
                self._close_face(inside)

    # streams

    def _splicer(self, node: RelayNode, port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None or len(self._splices) >= MAX_SPLICES:
                self.dropped += 1
                writer.transport.abort()
                return
            self._splices.add(task)
            try:
                await self._splice(reader, writer, node, port)
            except (OSError, TimeoutError, asyncio.CancelledError):
                pass  # nobody listens there, an end was reset, or the relay ends: so does the other end, below
            finally:
                self._splices.discard(task)
                writer.transport.abort()

        return accepted

    async def _splice(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, node: RelayNode, port: int) -> None:
        host: Host = writer.get_extra_info("peername")[0]
        sender = self._by_bind.get(host)
        local = sender.public_host if sender else host
        inner_reader, inner_writer = await asyncio.open_connection(node.bind_host, port, local_addr=(local, 0))
        held_s = one_way_ms(sender.city, node.city) / 1000 if sender else 0.0
        pumps = [asyncio.create_task(_pump(*ends, held_s)) for ends in ((reader, inner_writer), (inner_reader, writer))]
        try:
            await asyncio.gather(*pumps)
            async with asyncio.timeout(CLOSE_S):
                for end in (inner_writer, writer):
                    end.close()
                    await end.wait_closed()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            inner_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held_s: float) -> None:
    """Carries one direction until it ends, each piece `held_s` after it came, and passes its end on. `OSError` if an end was reset."""
    pieces: asyncio.Queue[tuple[float, bytes | OSError]] = asyncio.Queue(MAX_PIECES)
    loop = asyncio.get_running_loop()

    async def take() -> None:
        data: bytes | OSError = b"-"
        while isinstance(data, bytes) and data:
            try:
                data = await reader.read(CHUNK)
            except OSError as error:
                data = error
            await pieces.put((loop.time() + held_s, data))

    taking = asyncio.create_task(take())
    try:
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(due - loop.time())
            if isinstance(data, OSError):
                raise data
            if not data:
                break
            writer.write(data)
            await writer.drain()
    finally:
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
    if writer.can_write_eof():
        writer.write_eof()


def read_nodes(file: Path) -> tuple[RelayNode, ...]:
    """The nodes of a relay's own file, see `write_nodes`. Raises `OSError`, `ValueError`, `KeyError` for a file that is none."""
    nodes = json.loads(file.read_text())["nodes"]
    return tuple(RelayNode(n["name"], n["bind_host"], n["public_host"], City(**n["city"]), tuple(n["tcp"]), tuple(n["udp"])) for n in nodes)


def write_nodes(file: Path, nodes: Iterable[RelayNode]) -> None:
    """Writes the file that `python -m devnet.relay --config FILE` reads."""
    file.write_text(json.dumps({"nodes": [asdict(node) for node in nodes]}, indent=1))


async def run(file: Path) -> None:
    """The relay's process: carries until SIGTERM or SIGINT."""
    relay = Relay(read_nodes(file))
    with stop_on_signals() as stop:
        try:
            await relay.start()
            log.info("carries between %d nodes", len(read_nodes(file)))
            await stop.wait()
        finally:
            await relay.close()


def main() -> None:
    """`python -m devnet.relay --config FILE`. Exit code 2 for a file that describes no nodes, 1 if an address is taken."""
    parser = argparse.ArgumentParser(prog="python -m devnet.relay", description="Carries traffic between the nodes of a devnet.")
    parser.add_argument("--config", type=Path, required=True, help="the nodes, as the devnet writes them")
    file = parser.parse_args().config
    start_log("info", "relay")
    try:
        asyncio.run(run(file))
    except (ValueError, KeyError, TypeError) as error:
        parser.error(f"{file} describes no nodes of a devnet: {error!r}")
    except OSError as error:
        log.error("the public addresses cannot be bound: %s. Is another devnet running on them?", error)  # noqa: TRY400 - a sentence
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
