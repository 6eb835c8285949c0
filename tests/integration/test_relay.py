"""The relay between real sockets: both ends rewritten, datagrams held for the distance, streams whole."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from devnet import relay as relay_module
from devnet.cities import city, one_way_ms
from devnet.relay import Relay, RelayNode, read_nodes, write_nodes

PORT = 17400
STRANGER = "127.0.0.1"
A = RelayNode("a", "127.61.1.1", "127.62.1.1", city("Paris"), (PORT,), (PORT,))
B = RelayNode("b", "127.61.2.1", "127.62.2.1", city("Singapore"), (PORT,), (PORT,))
BOUND_S = 20.0


@asynccontextmanager
async def running(*nodes: RelayNode) -> AsyncIterator[Relay]:
    relay = Relay(nodes)
    try:
        await relay.start()
        yield relay
    finally:
        await relay.close()


@contextmanager
def udp(host: str, port: int = 0) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as opened:
        opened.setblocking(False)
        opened.bind((host, port))
        yield opened


async def receive(opened: socket.socket) -> tuple[bytes, tuple[str, int]]:
    async with asyncio.timeout(BOUND_S):
        return await asyncio.get_running_loop().sock_recvfrom(opened, 65_536)


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def test_a_datagram_and_its_answer_wear_public_addresses_and_keep_their_ports() -> None:
    async def scene() -> None:
        async with running(A, B):
            with udp(A.bind_host) as client, udp(B.bind_host, PORT) as server:
                port = client.getsockname()[1]
                client.sendto(b"question", (B.public_host, PORT))
                assert await receive(server) == (b"question", (A.public_host, port))
                server.sendto(b"answer", (A.public_host, port))
                assert await receive(client) == (b"answer", (B.public_host, PORT))

    run(scene())


def test_a_round_trip_takes_twice_the_way_at_least() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with running(A, B):
            with udp(A.bind_host) as client, udp(B.bind_host, PORT) as server:
                for _ in range(3):
                    sent = loop.time()
                    client.sendto(b"ping", (B.public_host, PORT))
                    data, source = await receive(server)
                    server.sendto(data, source)
                    await receive(client)
                    # not a measurement of this machine: what the relay promises, and no machine is ever early
                    assert loop.time() - sent >= 2 * one_way_ms(A.city, B.city) / 1000

    run(scene())


def test_each_sender_is_somebody_else_to_the_receiver() -> None:
    async def scene() -> None:
        async with running(A, B):
            with udp(B.bind_host, PORT) as server, udp(A.bind_host) as one, udp(A.bind_host) as two:
                one.sendto(b"1", (B.public_host, PORT))
                two.sendto(b"2", (B.public_host, PORT))
                seen = dict([await receive(server), await receive(server)])
                assert seen == {b"1": (A.public_host, one.getsockname()[1]), b"2": (A.public_host, two.getsockname()[1])}
                server.sendto(b"2", seen[b"2"])
                assert (await receive(two))[0] == b"2"

    run(scene())


def test_a_stranger_keeps_its_address_and_gets_its_answer() -> None:
    async def scene() -> None:
        async with running(A, B):
            with udp(STRANGER) as stranger, udp(B.bind_host, PORT) as server:
                stranger.sendto(b"who", (B.public_host, PORT))
                data, (host, port) = await receive(server)
                assert (data, host) == (b"who", STRANGER)
                server.sendto(b"me", (host, port))
                assert await receive(stranger) == (b"me", (B.public_host, PORT))

    run(scene())


def test_faces_on_demand_are_bounded_and_the_rest_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "MAX_FACES", 3)

    async def scene() -> None:
        async with running(A, B) as relay:  # two configured faces, so one more fits
            with udp(A.bind_host) as first, udp(A.bind_host) as second, udp(B.bind_host, PORT) as server:
                first.sendto(b"1", (B.public_host, PORT))
                assert (await receive(server))[0] == b"1"
                second.sendto(b"2", (B.public_host, PORT))
                first.sendto(b"3", (B.public_host, PORT))
                assert (await receive(server))[0] == b"3"
                assert relay.dropped == 1

    run(scene())


def test_idle_faces_are_closed_and_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "IDLE_S", 0.0)
    monkeypatch.setattr(relay_module, "SWEEP_S", 0.01)

    async def scene() -> None:
        async with running(A, B):
            with udp(A.bind_host) as client, udp(B.bind_host, PORT) as server:
                port = client.getsockname()[1]
                client.sendto(b"1", (B.public_host, PORT))
                async with asyncio.timeout(BOUND_S):  # until its face is gone, somebody else can have the address
                    while True:
                        await asyncio.sleep(0.02)
                        try:
                            with udp(A.public_host, port):
                                break
                        except OSError:
                            continue
                monkeypatch.setattr(relay_module, "IDLE_S", 60.0)
                client.sendto(b"2", (B.public_host, PORT))
                assert await receive(server) == (b"2", (A.public_host, port))

    run(scene())


async def echo_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with who called, and, once the caller has ended, with everything it said."""
    writer.write(writer.get_extra_info("peername")[0].encode() + b"\n" + await reader.read())
    await writer.drain()
    writer.close()


async def heard(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the other end closes or resets."""
    with contextlib.suppress(ConnectionResetError):
        return await reader.read()
    return b""


def test_a_stream_wears_the_public_address_and_loses_nothing() -> None:
    async def scene() -> None:
        server = await asyncio.start_server(echo_once, B.bind_host, PORT)
        async with running(A, B), server, asyncio.timeout(BOUND_S):
            for local, seen in ((A.bind_host, A.public_host), (STRANGER, STRANGER)):
                reader, writer = await asyncio.open_connection(B.public_host, PORT, local_addr=(local, 0))
                said = bytes(range(256)) * 8192
                writer.write(said)
                writer.write_eof()
                assert await reader.read() == seen.encode() + b"\n" + said
                writer.close()
                await writer.wait_closed()

    run(scene())


def test_a_stream_does_not_overtake_a_datagram_sent_before_it() -> None:
    async def scene() -> None:
        heard_by_udp: list[bytes] = []

        async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            heard_by_udp.extend(waiting(inbox))
            writer.close()

        with udp(A.bind_host) as client, udp(B.bind_host, PORT) as inbox:
            server = await asyncio.start_server(tell, B.bind_host, PORT)
            async with running(A, B), server, asyncio.timeout(BOUND_S):
                client.sendto(b"first", (B.public_host, PORT))
                await asyncio.sleep(0)
                reader, writer = await asyncio.open_connection(B.public_host, PORT, local_addr=(A.bind_host, 0))
                writer.write_eof()
                await heard(reader)
                writer.transport.abort()
        assert heard_by_udp == [b"first"]

    run(scene())


def waiting(opened: socket.socket) -> list[bytes]:
    """What has arrived already."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(opened.recv(65_536))
    return found


def test_a_stream_to_a_node_that_does_not_listen_ends_at_once() -> None:
    async def scene() -> None:
        async with running(A, B), asyncio.timeout(BOUND_S):
            reader, writer = await asyncio.open_connection(B.public_host, PORT, local_addr=(A.bind_host, 0))
            assert await heard(reader) == b""
            writer.transport.abort()

    run(scene())


def test_closing_ends_open_streams_and_frees_every_address() -> None:
    async def scene() -> None:
        server = await asyncio.start_server(echo_once, B.bind_host, PORT)
        async with server, asyncio.timeout(BOUND_S):
            async with running(A, B):
                reader, writer = await asyncio.open_connection(B.public_host, PORT, local_addr=(A.bind_host, 0))
                writer.write(b"half a word")
                await writer.drain()
            assert await heard(reader) == b""
            writer.transport.abort()
            async with running(A, B):
                pass

    run(scene())


def test_a_taken_public_address_is_said_and_nothing_stays_bound() -> None:
    async def scene() -> None:
        with udp(B.public_host, PORT):
            with pytest.raises(OSError, match="in use"):
                async with running(A, B):
                    pass
            with udp(A.public_host, PORT):
                pass

    run(scene())


def test_the_file_holds_the_nodes(tmp_path: Path) -> None:
    write_nodes(tmp_path / "relay.json", (A, B))
    assert read_nodes(tmp_path / "relay.json") == (A, B)


def test_as_a_process_of_its_own_it_carries_and_ends_when_told(tmp_path: Path) -> None:
    async def scene() -> None:
        write_nodes(tmp_path / "relay.json", (A, B))
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "devnet.relay", "--config", str(tmp_path / "relay.json"))
        try:
            with udp(A.bind_host) as client, udp(B.bind_host, PORT) as server:
                async with asyncio.timeout(BOUND_S):
                    while True:
                        client.sendto(b"there?", (B.public_host, PORT))
                        try:
                            async with asyncio.timeout(0.5):
                                data, source = await asyncio.get_running_loop().sock_recvfrom(server, 100)
                        except TimeoutError:
                            continue
                        assert (data, source[0]) == (b"there?", A.public_host)
                        break
            process.terminate()
            async with asyncio.timeout(BOUND_S):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    run(scene())


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        (tmp_path / "relay.json").write_text("{}")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "devnet.relay", "--config", str(tmp_path / "relay.json"), stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(BOUND_S):
            _, said = await process.communicate()
        assert process.returncode == 2
        assert b"describes no nodes" in said

    run(scene())
