"""A relay with real sockets: a session through it, what it can see and do, and what strangers and floods get."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import master.relay
from chain.keys import NodeKey
from chain.typed import sign
from chain.types import Address, Digest
from consumer.store import Store as ConsumerStore
from consumer.tunnel import ProviderFailed, Tunnel, dial
from master.relay import MOST_WAITING_OF_ONE, Relay, RelayLimits, relaying
from runtime.clock import SystemClock
from tests.integration.test_tunnels import Program, until
from tests.tunnels import (
    CONSUMER,
    CONSUMER_HOST,
    DOMAIN,
    HOST,
    MIB,
    ORIGIN_HOST,
    PROVIDER,
    RULES,
    Served,
    give,
    origin,
    provider_at,
    request_by,
)
from wire.relay import CALL, CALLED, CHALLENGE, REFUSED, REGISTER, WAITING, RelayRegistration, opening, registration_bytes

MASTER, STRANGER = NodeKey(b"\x41" * 32), NodeKey(b"\x42" * 32)
RELAY_HOST = "127.79.8.1"
SIZE = 2 * MIB


@contextlib.asynccontextmanager
async def a_relay(limits: RelayLimits | None = None, timed: Callable[[Address], bool] = lambda _: True) -> AsyncIterator[Relay]:
    clock = SystemClock()
    async with relaying(RELAY_HOST, 0, MASTER.address, DOMAIN, RULES, clock, timed, limits or RelayLimits(), os.urandom) as relay:
        yield relay


async def connected(port: int, source: str = HOST) -> socket.socket:
    plain = socket.socket()
    plain.setblocking(False)
    plain.bind((source, 0))
    await asyncio.get_running_loop().sock_connect(plain, (RELAY_HOST, port))
    return plain


async def heard(plain: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size and (more := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(plain, size - len(got)), 8)):
        got += more
    return got


async def register(
    relay: Relay, key: NodeKey = PROVIDER, claimed: Address | None = None, source: str = HOST
) -> tuple[socket.socket, bytes]:
    """A connection, and the relay's last word on it."""
    loop, plain, account = asyncio.get_running_loop(), await connected(relay.port, source), claimed or key.address
    await loop.sock_sendall(plain, opening(REGISTER, account))
    word = await heard(plain, 1)
    if word == CHALLENGE:
        said = RelayRegistration(account, MASTER.address, int(SystemClock().now()), Digest(await heard(plain, 32)))
        await loop.sock_sendall(plain, registration_bytes(sign(said, DOMAIN, key)))
        word = await heard(plain, 1)
    if word == REFUSED:
        word = await heard(plain, (await heard(plain, 1))[0])
    return plain, word


@contextlib.asynccontextmanager
async def reachable_by(relay: Relay, served: Served, lines: int = 4) -> AsyncIterator[None]:
    """The provider's end: as many connections wait as it is told, each called one is handed to its listener."""

    async def keep_waiting() -> None:
        while True:
            plain, word = await register(relay)
            assert word == WAITING
            try:
                while (word := await asyncio.get_running_loop().sock_recv(plain, 1)) == WAITING:
                    pass
            finally:
                if word != CALLED:
                    plain.close()
            if word != CALLED:
                return
            served.listener.take(plain)

    tasks = [asyncio.create_task(keep_waiting()) for _ in range(lines)]
    try:
        await until(lambda: relay.figures()["waiting"] == lines)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def tunnel_by(port: int, folder: Path, host: str = RELAY_HOST) -> AsyncIterator[Tunnel]:
    store = ConsumerStore(folder / "consumer.sqlite", CONSUMER.address, DOMAIN)
    try:
        calling = dial(PROVIDER.address, host, port, CONSUMER, DOMAIN, RULES, SystemClock(), CONSUMER_HOST, relayed=True)
        async with calling as door:
            request = request_by()
            tunnel = await door.accept(request, await door.ask(request), store)
        try:
            yield tunnel
        finally:
            await tunnel.close()
    finally:
        store.close()


async def downloaded(tunnel: Tunnel, port: int) -> int:
    """How many bytes of `SIZE` came through."""
    program = Program(tunnel, ORIGIN_HOST, port)
    try:
        await program.send(b"%d\n" % SIZE)
        return len(await program.read(SIZE))
    except OSError:
        return 0
    finally:
        program.sock.close()
        await program.over()


@dataclass
class Onlooker:
    """Stands in the relay's place on the line: keeps what goes by, and flips a bit once so many bytes have come from the provider."""

    to: tuple[str, int]
    flip_at: int = -1
    seen: bytearray = field(default_factory=bytearray)

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[int]:
        tasks: set[asyncio.Task[None]] = set()

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with contextlib.suppress(OSError, asyncio.CancelledError):
                there, on = await asyncio.open_connection(*self.to, local_addr=(CONSUMER_HOST, 0))
                await asyncio.gather(self._pass(reader, on, flip=False), self._pass(there, writer, flip=True))
            writer.transport.abort()

        server = await asyncio.start_server(served, "127.79.8.2", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, flip: bool) -> None:
        try:
            while data := await reader.read(65_536):
                before, self.seen = len(self.seen), self.seen + data
                if flip and 0 <= self.flip_at < len(self.seen) and before <= self.flip_at:
                    data = data[:-1] + bytes([data[-1] ^ 1])
                writer.write(data)
                await writer.drain()
        finally:
            writer.transport.abort()


def test_a_session_goes_through_and_the_relay_sees_ciphertext_only(tmp_path: Path) -> None:
    async def scene() -> None:
        secret = os.urandom(64)

        async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(secret * (SIZE // len(secret)))
            await writer.drain()

        async with a_relay() as relay, provider_at(tmp_path) as served, origin(tell) as port, reachable_by(relay, served):
            onlooker = Onlooker((RELAY_HOST, relay.port))
            async with onlooker.standing() as line, tunnel_by(line, tmp_path, "127.79.8.2") as tunnel:
                assert await downloaded(tunnel, port) == SIZE
                assert relay.figures()["pairs"] >= 2, "the control connection, and streams"
            assert len(onlooker.seen) > SIZE
            assert secret not in onlooker.seen
            assert ORIGIN_HOST.encode() not in onlooker.seen
            assert CONSUMER.address[2:].encode() not in onlooker.seen
            await until(lambda: relay.figures()["pairs"] == 0)
            assert relay.figures()["waiting"] == 4, "each one that was called was replaced"

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_a_flipped_bit_breaks_the_tunnel_and_is_paid_by_nobody(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_relay() as relay, provider_at(tmp_path) as served, origin(give) as port, reachable_by(relay, served):
            onlooker = Onlooker((RELAY_HOST, relay.port), flip_at=SIZE // 2)
            async with onlooker.standing() as line, tunnel_by(line, tmp_path, "127.79.8.2") as tunnel:
                got = await downloaded(tunnel, port)
                assert got < SIZE
                session = tunnel.session_id
            await until(lambda: not served.sessions.open_sessions())
            receipt = served.sessions.receipt(session)
            assert receipt is not None
            assert receipt.message.bytes_down <= SIZE // 2 + 65_536, "what did not arrive whole is not receipted"

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_nobody_waits_in_the_name_of_another() -> None:
    async def scene() -> None:
        async with a_relay() as relay:
            plain, word = await register(relay, STRANGER, claimed=PROVIDER.address)
            assert word == b"wrong_signer"
            assert await heard(plain, 1) == b"", "and is hung up on"
            plain.close()
            assert relay.figures()["waiting"] == 0

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_without_an_echo_no_signature_is_looked_at() -> None:
    async def scene() -> None:
        async with a_relay(timed=lambda account: account == PROVIDER.address) as relay:
            (timed, first), (stranger, second) = await register(relay), await register(relay, STRANGER)
            assert (first, second) == (WAITING, b"no_echo")
            caller = await connected(relay.port)
            await asyncio.get_running_loop().sock_sendall(caller, opening(CALL, STRANGER.address))
            assert await heard(caller, 1) == b"", "who is not known here cannot be waited for either"
            for plain in (timed, stranger, caller):
                plain.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n", b"\x16\x03\x01" + bytes(30), b"DPNR\x07" + bytes(20)])
def test_what_is_no_opening_is_hung_up_on(said: bytes) -> None:
    async def scene() -> None:
        async with a_relay() as relay:
            plain = await connected(relay.port)
            await asyncio.get_running_loop().sock_sendall(plain, said)
            with contextlib.suppress(ConnectionError):
                assert await heard(plain, 1) == b""
            plain.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_floods_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master.relay, "OPENING_S", 0.5)

    async def scene() -> None:
        async with a_relay(RelayLimits(pairs_of_one=4), timed=lambda account: account == PROVIDER.address) as relay:
            held = [await register(relay) for _ in range(MOST_WAITING_OF_ONE)]
            assert {word for _, word in held} == {WAITING}
            more, word = await register(relay)
            assert word == b"busy", "one provider"
            silent = [await connected(relay.port, "127.79.66.1") for _ in range(3 * master.relay.MOST_OPENING_OF_PREFIX)]
            await until(lambda: relay.counts["cut"] >= 2 * master.relay.MOST_OPENING_OF_PREFIX)
            callers = [await connected(relay.port, "127.79.67.1") for _ in range(5)]
            for caller in callers:
                await asyncio.get_running_loop().sock_sendall(caller, opening(CALL, PROVIDER.address))
            await until(lambda: relay.figures()["pairs"] == 2)  # half of a provider's pairs for one prefix
            assert relay.counts["unanswered"] == 3
            assert relay.figures()["waiting"] == MOST_WAITING_OF_ONE - 2
            for plain in (*(plain for plain, _ in held), more, *silent, *callers):
                plain.close()
            await until(lambda: relay.figures()["pairs"] == relay.figures()["waiting"] == 0)
            assert relay._opening.total() == 0

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_silent_pair_ends_and_a_busy_one_has_its_rate() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with a_relay(RelayLimits(idle_s=0.4, rate=400_000)) as relay:
            waiting, _ = await register(relay)
            caller = await connected(relay.port, CONSUMER_HOST)
            await loop.sock_sendall(caller, opening(CALL, PROVIDER.address) + b"first")
            assert await heard(waiting, 6) == CALLED + b"first", "what came with the call is handed on"
            began = loop.time()
            sending = asyncio.create_task(loop.sock_sendall(caller, bytes(200_000)))
            assert len(await heard(waiting, 200_000)) == 200_000
            assert loop.time() - began > 0.3, "200 kB at 400 kB/s, less what is under way"
            await sending
            assert await heard(waiting, 1) == b""
            assert await heard(caller, 1) == b""
            caller.close()
            waiting.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_caller_waits_a_moment_for_a_connection_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with a_relay() as relay:
            early = await connected(relay.port, CONSUMER_HOST)
            await loop.sock_sendall(early, opening(CALL, PROVIDER.address) + b"hello")
            await until(lambda: relay.counts["calls"] == 1)
            waiting, _ = await register(relay)
            assert await heard(waiting, 6) == CALLED + b"hello"
            monkeypatch.setattr(master.relay, "CALLER_S", 0.1)
            late = await connected(relay.port, CONSUMER_HOST)
            await loop.sock_sendall(late, opening(CALL, PROVIDER.address))
            assert await heard(late, 1) == b""
            for plain in (early, waiting, late):
                plain.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_who_hangs_up_waits_no_more(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_relay() as relay:
            waiting, _ = await register(relay)
            await until(lambda: relay.figures()["waiting"] == 1)
            waiting.close()
            await until(lambda: relay.figures()["waiting"] == 0)
            with pytest.raises(ProviderFailed):
                async with tunnel_by(relay.port, tmp_path):
                    pass

    asyncio.run(asyncio.wait_for(scene(), 30))
