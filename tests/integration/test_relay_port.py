"""A relay with real sockets: a session through it, what it can see and do, and what strangers and floods get."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import master.relay
import master.waiting
import provider.reach.listener
from chain.keys import NodeKey
from chain.typed import sign
from chain.types import Address, Digest
from consumer.store import Store as ConsumerStore
from consumer.tunnel import ProviderFailed, Tunnel, dial
from master.dialback import Dialer
from master.relay import Relay, RelayLimits, relaying
from master.waiting import MOST_CALLERS, MOST_CALLERS_OF_PREFIX, MOST_WAITING
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
from wire.handover import handed_over
from wire.relay import (
    CALL,
    CALLED,
    CHALLENGE,
    MOST_REGISTRATION,
    OPENING_BYTES,
    REFUSED,
    REGISTER,
    WAITING,
    RelayRegistration,
    opening,
    registration_bytes,
)
from wire.relays import RelayPlace
from wire.secure import ChannelError, wrap
from wire.tls import make_identity, server_context

MASTER, STRANGER = NodeKey(b"\x41" * 32), NodeKey(b"\x42" * 32)
RELAY_HOST = "127.79.8.1"
SIZE = 2 * MIB


@dataclass
class Known:
    """Everybody is timed and registered, except strangers."""

    strangers: tuple[Address, ...] = ()
    unregistered: tuple[Address, ...] = ()

    def is_timed(self, provider: Address) -> bool:
        return provider not in self.strangers

    def is_registered(self, provider: Address) -> bool:
        return provider not in self.unregistered


@contextlib.asynccontextmanager
async def a_relay(limits: RelayLimits | None = None, known: Known | None = None) -> AsyncIterator[Relay]:
    args = (SystemClock(), known or Known(), limits or RelayLimits(), os.urandom)
    async with relaying(RELAY_HOST, 0, MASTER.address, DOMAIN, RULES, *args) as relay:
        yield relay


async def connected(port: int, source: str = HOST) -> socket.socket:
    plain = socket.socket()
    try:
        plain.setblocking(False)
        plain.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(plain, (RELAY_HOST, port))
    except BaseException:
        plain.close()
        raise
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
    plain = await connected(relay.port, source)
    try:
        return plain, await registered(plain, key, claimed or key.address)
    except BaseException:
        plain.close()
        raise


async def registered(plain: socket.socket, key: NodeKey, account: Address) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(plain, opening(REGISTER, account))
    word = await heard(plain, 1)
    if word == CHALLENGE:
        said = RelayRegistration(account, MASTER.address, int(SystemClock().now()), Digest(await heard(plain, 32)))
        await loop.sock_sendall(plain, registration_bytes(sign(said, DOMAIN, key)))
        word = await heard(plain, 1)
    if word == REFUSED:
        word = await heard(plain, (await heard(plain, 1))[0])
    return word


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
        async with a_relay(known=Known(strangers=(STRANGER.address,))) as relay:
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
        async with a_relay(RelayLimits(pairs_of_one=4)) as relay:
            held = [await register(relay) for _ in range(MOST_WAITING.of_one)]
            assert {word for _, word in held} == {WAITING}
            more, word = await register(relay)
            assert word == WAITING
            assert await heard(held[0][0], 1) == b"", "the newest takes the oldest's place"
            assert relay.figures()["waiting"] == MOST_WAITING.of_one
            silent = [await connected(relay.port, "127.79.66.1") for _ in range(3 * master.relay.MOST_OPENING_OF_PREFIX)]
            await until(lambda: relay.counts["cut"] >= 2 * master.relay.MOST_OPENING_OF_PREFIX)
            callers = [await connected(relay.port, "127.79.67.1") for _ in range(5)]
            for caller in callers:
                await asyncio.get_running_loop().sock_sendall(caller, opening(CALL, PROVIDER.address))
            await until(lambda: relay.figures()["pairs"] == 2)  # half of a provider's pairs for one prefix
            await until(lambda: relay.counts["unanswered"] == 3)
            await until(lambda: relay.figures()["waiting"] == MOST_WAITING.of_one - 2)
            for plain in (*(plain for plain, _ in held), more, *silent, *callers):
                plain.close()
            await until(lambda: relay.figures()["pairs"] == relay.figures()["waiting"] == 0)
            assert relay.figures()["opening"] == 0

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
            monkeypatch.setattr(master.waiting, "CALLER_S", 0.1)
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


async def calling(relay: Relay, provider: Address, source: str) -> socket.socket:
    plain = await connected(relay.port, source)
    await asyncio.get_running_loop().sock_sendall(plain, opening(CALL, provider))
    return plain


def test_one_neighbourhood_does_not_take_all_pairs_by_calling_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master.waiting, "CALLER_S", 5.0)

    async def scene() -> None:
        async with a_relay(RelayLimits(pairs=16, pairs_of_one=4)) as relay:
            greedy = [await calling(relay, NodeKey(bytes([n]) * 32).address, "127.79.67.1") for n in range(1, 21)]
            await until(lambda: relay.counts["calls"] == len(greedy))
            assert (relay.figures()["pairs"], relay.counts["unanswered"]) == (4, 16)
            waiting, _ = await register(relay)
            honest = await calling(relay, PROVIDER.address, CONSUMER_HOST)
            assert await heard(waiting, 1) == CALLED
            for plain in (*greedy, waiting, honest):
                plain.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_one_neighbourhood_does_not_take_all_turns_of_a_provider() -> None:
    async def scene() -> None:
        async with a_relay() as relay:
            greedy = [await calling(relay, PROVIDER.address, "127.79.67.1") for _ in range(MOST_CALLERS)]
            await until(lambda: relay.counts["unanswered"] == MOST_CALLERS - MOST_CALLERS_OF_PREFIX)
            honest = await calling(relay, PROVIDER.address, CONSUMER_HOST)
            await until(lambda: relay.counts["calls"] == MOST_CALLERS + 1)
            assert relay.counts["unanswered"] == MOST_CALLERS - MOST_CALLERS_OF_PREFIX
            for plain in (*greedy, honest):
                plain.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_who_is_not_registered_leaves_half_to_those_who_are() -> None:
    async def scene() -> None:
        async with a_relay(RelayLimits(pairs=8, pairs_of_one=8), Known(unregistered=(STRANGER.address,))) as relay:
            lines = [await register(relay, STRANGER) for _ in range(6)]
            callers = [await calling(relay, STRANGER.address, f"127.79.{n}.1") for n in range(70, 76)]
            await until(lambda: relay.counts["calls"] == len(callers))
            await until(lambda: relay.counts["unanswered"] == 2)
            assert relay.figures()["pairs"] == 4
            waiting, _ = await register(relay)
            caller = await calling(relay, PROVIDER.address, CONSUMER_HOST)
            assert await heard(waiting, 1) == CALLED
            for plain in (*(plain for plain, _ in lines), *callers, waiting, caller):
                plain.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_the_newest_connection_is_called_first() -> None:
    """The older ones of a provider that was cut off and has come back are dead, and nobody has said so yet."""

    async def scene() -> None:
        async with a_relay() as relay:
            dead, _ = await register(relay)
            alive, _ = await register(relay)
            caller = await calling(relay, PROVIDER.address, CONSUMER_HOST)
            assert await heard(alive, 1) == CALLED
            assert relay.figures()["waiting"] == 1
            for plain in (dead, alive, caller):
                plain.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_who_calls_and_says_nothing_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider sees one relay, and not whom its connections come from."""
    monkeypatch.setattr(provider.reach.listener, "MOST_RELAYED", 2)

    async def scene() -> None:
        async with a_relay() as relay, provider_at(tmp_path) as served, reachable_by(relay, served):
            silent = [await calling(relay, PROVIDER.address, "127.79.67.1") for _ in range(2)]
            await until(lambda: served.listener.under_way == 2)
            async with tunnel_by(relay.port, tmp_path):
                assert await heard(silent[0], 1) == b"", "the oldest gives way"
            for plain in silent:
                plain.close()

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_the_last_bytes_arrive_also_where_the_other_direction_has_broken() -> None:
    """A close with something unread is a reset, which would drop what a slow caller has not taken yet."""

    async def scene() -> None:
        loop, size = asyncio.get_running_loop(), 300_000
        async with a_relay() as relay:
            waiting, _ = await register(relay)
            caller = socket.socket()
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            caller.setblocking(False)
            await loop.sock_connect(caller, (RELAY_HOST, relay.port))
            await loop.sock_sendall(caller, opening(CALL, PROVIDER.address))
            assert await heard(waiting, 1) == CALLED
            await loop.sock_sendall(waiting, bytes(size))
            await handed_over(waiting)
            waiting.close()
            for _ in range(20):  # to a provider that is gone
                await loop.sock_sendall(caller, bytes(1_000))
                await asyncio.sleep(0.02)
            assert len(await heard(caller, size)) == size
            caller.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.mark.parametrize("length", [MOST_REGISTRATION + 1, 65_535])
def test_a_registration_that_is_too_long_is_not_read(length: int) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with a_relay() as relay:
            plain = await connected(relay.port)
            await loop.sock_sendall(plain, opening(REGISTER, PROVIDER.address))
            assert (await heard(plain, 33))[:1] == CHALLENGE
            await loop.sock_sendall(plain, length.to_bytes(2))
            assert (await heard(plain, 2))[:1] == REFUSED
            assert await heard(plain, 100) == b"body_too_large"
            plain.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.mark.parametrize("said", [b"DPN", opening(REGISTER, PROVIDER.address), opening(REGISTER, PROVIDER.address) + b"\x01\x00{"])
def test_who_stops_half_way_is_cut_off(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master.relay, "OPENING_S", 0.3)

    async def scene() -> None:
        async with a_relay() as relay:
            plain = await connected(relay.port)
            await asyncio.get_running_loop().sock_sendall(plain, said)
            await heard(plain, 100)
            assert relay.figures()["opening"] == relay.figures()["waiting"] == 0
            plain.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_relay_that_answers_in_the_providers_place_is_nobody(tmp_path: Path) -> None:
    """To consumers, and to masters that dial back through it."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        context = server_context(make_identity(STRANGER, DOMAIN, int(SystemClock().now()) + 600))

        async def answer(plain: socket.socket) -> None:
            assert len(await heard(plain, OPENING_BYTES)) == OPENING_BYTES
            channel = wrap(plain, context, server_side=True)
            try:
                with contextlib.suppress(ChannelError):
                    await channel.handshake()
                    await channel.receive()
            finally:
                channel.close()

        with socket.create_server((RELAY_HOST, 0)) as listening:
            listening.setblocking(False)
            port = listening.getsockname()[1]

            async def serve() -> None:
                while True:
                    await answer((await loop.sock_accept(listening))[0])

            serving = asyncio.create_task(serve())
            with pytest.raises(ProviderFailed, match=f"shows the certificate of {STRANGER.address}"):
                async with tunnel_by(port, tmp_path):
                    pass
            dialer = Dialer(HOST, DOMAIN)
            place = RelayPlace(MASTER.address, RELAY_HOST, port)
            assert (await dialer.dial_relay(place, PROVIDER.address, SystemClock().now())).code == "dial_back_wrong_key"
            assert (await dialer.dial_relay(place, STRANGER.address, SystemClock().now())).code == "ok"
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scene(), 30))
