"""A tunnel end to end over real sockets: bytes agree, credit holds to the byte, and what is hostile, half-open or garbage costs little."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import ipaddress
import os
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chain.keys import NodeKey
from chain.typed import sign
from chain.types import Digest
from consumer.carrying import Tunnel
from consumer.socks import SocksServer
from consumer.store import Store as ConsumerStore
from consumer.tunnel import ProviderFailed, dial
from provider.reach.listener import listening
from provider.sessions.caps import Allowance
from provider.sessions.egress import Policy
from provider.sessions.serving import COUNT_BYTES
from provider.sessions.streams import StreamLimits
from runtime.clock import SystemClock
from runtime.loop import run as on_fast_loop
from tests.tunnels import (
    CONSUMER,
    CONSUMER_HOST,
    DOMAIN,
    HOST,
    MIB,
    OPENED,
    ORIGIN_HOST,
    PRICE,
    PROVIDER,
    RULES,
    Served,
    door_to,
    echo,
    give,
    origin,
    provider_at,
    request_by,
    tunnel_to,
)  # fmt: skip
from wire.messages import UsageReceipt
from wire.refusals import Refused
from wire.secure import Channel, ChannelClosed, connect
from wire.splice import CHUNK
from wire.tls import client_context, make_identity
from wire.tunnel import (
    ACCEPTANCE,
    ANSWERED,
    GOODBYE,
    JOIN,
    OFFER,
    OPEN,
    PING,
    RECEIPT,
    REFUSAL,
    REPORTED,
    REQUEST,
    Beat,
    Join,
    Open,
    header,
)  # fmt: skip
from wire.tunnel import (
    OPENED as OPENED_KIND,
)

TINY = replace(RULES, credit_start_bytes=64 * 1024, credit_most_bytes=256 * 1024, receipt_every_s=1)
OTHER = NodeKey(b"\x22" * 32)


def run(scene: Coroutine[Any, Any, None], seconds: float = 90) -> None:
    on_fast_loop(asyncio.wait_for(scene, seconds))  # that of the daemons


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true")


class Program:
    """A program with a connection through a tunnel."""

    def __init__(self, tunnel: Tunnel, host: str, port: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:  # TCP, since a socket pair knows no reset
            self.sock = socket.create_connection(server.getsockname())
            self._far, _ = server.accept()
        self.sock.setblocking(False)
        self._far.setblocking(False)
        self.codes: list[str] = []
        self._task = asyncio.create_task(self._carry(tunnel, host, port))

    async def _carry(self, tunnel: Tunnel, host: str, port: int) -> None:
        async def answered(code: str) -> None:
            self.codes.append(code)

        try:
            await tunnel.carry(self._far, host, port, answered)
        finally:
            self._far.close()

    async def send(self, data: bytes, *, end: bool = False) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)
        if end:
            self.sock.shutdown(socket.SHUT_WR)

    async def read(self, most: int = 1 << 40) -> bytes:
        """All that comes until the end, or `most` bytes."""
        got = bytearray()
        while len(got) < most:
            data = await asyncio.get_running_loop().sock_recv(self.sock, min(262_144, most - len(got)))
            if not data:
                break
            got += data
        return bytes(got)

    async def over(self) -> None:
        await self._task
        self.sock.close()


async def answer_of(tunnel: Tunnel, host: str, port: int) -> str:
    program = Program(tunnel, host, port)
    await until(lambda: bool(program.codes))
    program.sock.shutdown(socket.SHUT_RDWR)
    await program.over()
    return program.codes[0]


class HandMade:
    """A consumer that says what it likes, when it likes. credit: what it was told that it may count on."""

    def __init__(self, channel: Channel, session: Digest, token: Digest, credit: int) -> None:
        self.control, self.session, self.token, self.credit = channel, session, token, credit

    @classmethod
    async def open(cls, served: Served, key: NodeKey = CONSUMER, budget: tuple[int, int] = (0, 1 << 40)) -> HandMade:
        channel = await dialled(served, key)
        request = request_by(key, budget)
        await channel.send(REQUEST, request)
        _, offer = await channel.receive(OFFER)
        from wire.sessions import session_id

        name = session_id(request.message, offer.message, DOMAIN)
        await channel.send(ACCEPTANCE, receipt_of(key, name, 0, 0, 0))
        _, opened = await channel.receive(OPENED_KIND)
        return cls(channel, name, opened.token, opened.credit)

    async def stream(self, served: Served, port: int, key: NodeKey = CONSUMER) -> Channel:
        channel = await dialled(served, key)
        await channel.send(JOIN, Join(self.session, self.token))
        assert (await channel.receive(ANSWERED))[1].code == "ok"
        await channel.send(OPEN, Open(ORIGIN_HOST, port))
        assert (await channel.receive(ANSWERED))[1].code == "ok"
        return channel

    async def last_word(self) -> str:
        while True:
            kind, word = await self.control.receive(GOODBYE, REPORTED)
            if kind == GOODBYE:
                return str(word.code)


async def dialled(served: Served, key: NodeKey = CONSUMER, local: str = CONSUMER_HOST) -> Channel:
    identity = make_identity(key, DOMAIN, int(SystemClock().now()) + 3_600)
    return await connect(HOST, served.listener.port, local, client_context(identity))


def receipt_of(key: NodeKey, session: Digest, sequence: int, up: int, down: int) -> Any:
    return sign(UsageReceipt(key.address, session, sequence, up, down, 0, 0, int(SystemClock().now())), DOMAIN, key)


async def drink(channel: Channel) -> int:
    """Reads what a stream gives until nothing more comes for a while; payload bytes, headers not counted."""
    got, loop = bytearray(), asyncio.get_running_loop()
    try:
        while True:
            async with asyncio.timeout(1.0):
                data = await channel._repeat(lambda: channel.sock.recv(65_536))
            if not data:
                break
            got += data
    except (TimeoutError, ChannelClosed):
        pass
    payload = at = 0
    while at + 4 <= len(got):
        length = int.from_bytes(got[at + 1 : at + 4])
        payload += min(length, len(got) - at - 4) if got[at] == 0 else 0
        at += 4 + length
    assert loop.is_running()
    return payload


# In order


def test_bytes_arrive_whole_and_all_three_counts_agree(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served, origin(echo) as port:
            async with tunnel_to(served, tmp_path) as (tunnel, _):
                blocks = [os.urandom(3 * MIB + number) for number in range(4)]
                programs = [Program(tunnel, ORIGIN_HOST, port) for _ in blocks]
                sending = [asyncio.create_task(p.send(block, end=True)) for p, block in zip(programs, blocks, strict=True)]
                for program, block in zip(programs, blocks, strict=True):
                    assert hashlib.sha256(await program.read()).digest() == hashlib.sha256(block).digest()
                    await program.over()
                await asyncio.gather(*sending)
                total = sum(map(len, blocks))
                assert (tunnel.usage.up, tunnel.usage.down) == (total, total)
            assert (tunnel.reason, tunnel.usage.receipted, tunnel.usage.reported) == ("done", 2 * total, 2 * total)
            known = served.sessions.session(tunnel.session_id)
            assert known is not None
            assert (known.served.up, known.served.down, known.reason) == (total, total, "done")
            assert known.receipt is not None
            assert (known.receipt.message.bytes_up, known.receipt.message.bytes_down) == (total, total)
            assert served.serving.sessions == ()

    run(scene())


def test_a_connection_carries_one_stream_after_another(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served, origin(echo) as port, tunnel_to(served, tmp_path) as (tunnel, _):
            for number in range(30):
                program = Program(tunnel, ORIGIN_HOST, port)
                await program.send(b"%d" % number, end=True)
                assert await program.read() == b"%d" % number
                await program.over()
            assert served.streams.opened == 30
            assert served.streams.joined <= 4

    run(scene())


def test_half_of_a_stream_may_end_before_the_other(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served, origin(give) as port, tunnel_to(served, tmp_path) as (tunnel, _):
            program = Program(tunnel, ORIGIN_HOST, port)
            await program.send(b"5000000\n", end=True)
            assert len(await program.read()) == 5_000_000
            await program.over()

    run(scene())


def test_the_budget_ends_a_session_to_the_byte_and_is_receipted(tmp_path: Path) -> None:
    async def scene() -> None:
        budget = 3 * MIB + 17
        async with provider_at(tmp_path) as served, origin(give) as port:
            async with tunnel_to(served, tmp_path, budget=(5, 5 + budget)) as (tunnel, store):
                program = Program(tunnel, ORIGIN_HOST, port)
                await program.send(b"50000000\n")
                got, was_reset = 0, False
                try:
                    while data := await asyncio.get_running_loop().sock_recv(program.sock, 262_144):
                        got += len(data)
                except ConnectionResetError:
                    was_reset = True
                assert was_reset  # no program takes a part for all
                await program.over()
                await tunnel.closed.wait()
                assert tunnel.reason == "budget_spent"
                known = store.session(tunnel.session_id)
                assert known is not None
                assert known.fee <= budget
            await until(lambda: not served.serving.sessions)
            kept = served.sessions.session(tunnel.session_id)
            assert kept is not None
            assert got == kept.served.down  # what was read was delivered
            assert kept.receipt is not None
            assert kept.served.up + kept.served.down == kept.receipt.message.bytes_up + kept.receipt.message.bytes_down == budget

    run(scene())


def test_an_acceptance_that_is_cancelled_ends_its_session_with_a_reason(tmp_path: Path) -> None:
    async def scene() -> None:
        store = ConsumerStore(tmp_path / "consumer.sqlite", CONSUMER.address, DOMAIN)
        async with provider_at(tmp_path) as served, door_to(served) as door:
            request = request_by()
            offer = await door.ask(request)
            served.validators.answer.clear()
            accepting = asyncio.create_task(door.accept(request, offer, store))
            await until(lambda: bool(served.validators.asked))
            accepting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await accepting
            served.validators.answer.set()
            assert [one.reason for one in store.sessions()] == ["stopped"]
        store.close()

    run(scene())


# Consumers that do not pay


def test_a_consumer_that_never_signs_gets_the_credit_and_not_a_byte_more(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served, origin(give) as port:
            hand = await HandMade.open(served)
            stream = await hand.stream(served, port)
            await stream._repeat(lambda: stream.sock.send(header(0, 9) + b"50000000\n"))
            assert await drink(stream) + 9 == TINY.credit_start_bytes
            async with asyncio.timeout(30):
                assert await hand.last_word() == "receipt_overdue"
            stream.close()
            hand.control.close()
            await until(lambda: not served.serving.sessions)
            kept = served.sessions.session(hand.session)
            assert kept is not None
            assert kept.served.up + kept.served.down == TINY.credit_start_bytes
            figures = served.serving.figures()
            assert (figures["bytesServed"], figures["bytesReceipted"]) == (TINY.credit_start_bytes, 0)
            assert figures["bytesDifference"] == TINY.credit_start_bytes
            assert served.sessions.credit_of(CONSUMER.address) == TINY.credit_start_bytes

    run(scene())


def test_a_session_that_counts_no_more_is_served_no_more(tmp_path: Path) -> None:
    """The consumer exited before it was covered, and validators saw it too late: the next epoch pays nobody for it."""

    async def scene() -> None:
        async with provider_at(tmp_path, TINY, epoch_ends_in=3) as served:
            served.validators.lapse = "no_deposit"
            hand = await HandMade.open(served)
            opened = served.sessions.session(hand.session)
            assert opened is not None
            assert opened.epochs[0] == 1
            async with asyncio.timeout(30):
                assert await hand.last_word() == "no_deposit"
            hand.control.close()
            await until(lambda: not served.serving.sessions)

    run(scene())


def test_fifty_sessions_of_one_consumer_share_one_credit(tmp_path: Path) -> None:
    async def scene() -> None:
        patient = replace(TINY, receipt_every_s=60)
        async with provider_at(tmp_path, patient) as served, origin(give) as port:
            hands = [await HandMade.open(served, budget=(n << 20, n + 1 << 20)) for n in range(50)]
            streams = [await hand.stream(served, port) for hand in hands]
            for stream in streams:
                await stream._repeat(partial(stream.sock.send, header(0, 9) + b"50000000\n"))
            taken = sum(await asyncio.gather(*(drink(stream) for stream in streams)))
            assert 0 < taken < TINY.credit_start_bytes
            assert served.serving.figures()["unreceipted"] == TINY.credit_start_bytes
            for channel in (*streams, *(hand.control for hand in hands)):
                channel.close()
            await until(lambda: not served.serving.sessions)

    run(scene())


@pytest.mark.parametrize(
    ("case", "code"),
    [("other_session", "bad_receipt"), ("rewinds", "bad_receipt"), ("other_key", "bad_receipt"), ("sequence_again", "bad_receipt")],
)
def test_a_receipt_that_is_wrong_ends_the_session(tmp_path: Path, case: str, code: str) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served:
            hand = await HandMade.open(served)
            await hand.control.send(RECEIPT, receipt_of(CONSUMER, hand.session, 5, 100, 100))
            await hand.control.receive(REPORTED)
            wrong = {
                "other_session": receipt_of(CONSUMER, Digest(bytes(32)), 6, 200, 200),
                "rewinds": receipt_of(CONSUMER, hand.session, 6, 99, 100),
                "other_key": receipt_of(OTHER, hand.session, 6, 200, 200),
                "sequence_again": receipt_of(CONSUMER, hand.session, 5, 101, 100),
            }[case]
            await hand.control.send(RECEIPT, wrong)
            assert await hand.last_word() == code
            hand.control.close()
            await until(lambda: not served.serving.sessions)
            kept = served.sessions.receipt(hand.session)
            assert kept is not None
            assert kept.message.sequence == 5

    run(scene())


def test_a_consumer_that_signs_too_little_is_served_only_what_it_signs_for(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served, origin(give) as port:
            hand = await HandMade.open(served)
            stream = await hand.stream(served, port)
            await stream._repeat(lambda: stream.sock.send(header(0, 9) + b"50000000\n"))
            first = await drink(stream)
            await hand.control.send(RECEIPT, receipt_of(CONSUMER, hand.session, 1, 0, 1_000))
            await hand.control.receive(REPORTED)
            second = await drink(stream)
            assert first + 9 == TINY.credit_start_bytes
            assert second == 1_000
            stream.close()
            hand.control.close()
            await until(lambda: not served.serving.sessions)

    run(scene())


def test_a_consumer_that_vanishes_leaves_a_last_report_and_loses_its_credit(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served, origin(give) as port:
            hand = await HandMade.open(served)
            stream = await hand.stream(served, port)
            await stream._repeat(lambda: stream.sock.send(header(0, 6) + b"30000\n"))
            await drink(stream)
            hand.control.close()
            stream.close()
            await until(lambda: not served.serving.sessions)
            kept = served.sessions.session(hand.session)
            assert kept is not None
            assert kept.report is not None
            assert (kept.reason, kept.report.message.bytes_up, kept.report.message.bytes_down) == ("consumer_gone", 6, 30_000)

    run(scene())


def test_what_a_crash_left_open_is_closed_with_a_report_at_the_next_start(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            hand = await HandMade.open(served)
            await hand.control.send(RECEIPT, receipt_of(CONSUMER, hand.session, 1, 0, 0))
            await hand.control.receive(REPORTED)
            with contextlib.closing(hand.control):
                again = served.sessions.open_sessions()
                assert [one.session_id for one in again] == [hand.session]
                served.serving.close_left_open()  # as a new process would find it
            kept = served.sessions.session(hand.session)
            assert kept is not None
            assert kept.reason == "crashed"
            await until(lambda: not served.serving.sessions)

    run(scene())


# Who may join


def test_a_stream_needs_session_token_and_certificate_to_match(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            hand = await HandMade.open(served)
            for key, session, token in (
                (OTHER, hand.session, hand.token),
                (CONSUMER, hand.session, Digest(bytes(32))),
                (CONSUMER, Digest(bytes(32)), hand.token),
            ):
                channel = await dialled(served, key)
                await channel.send(JOIN, Join(session, token))
                assert (await channel.receive(ANSWERED))[1].code == "unknown_session"
                channel.close()
            hand.control.close()
            await until(lambda: not served.serving.sessions)
            late = await dialled(served)
            await late.send(JOIN, Join(hand.session, hand.token))
            assert (await late.receive(ANSWERED))[1].code == "unknown_session"
            late.close()

    run(scene())


def test_an_acceptance_replayed_opens_nothing_twice(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            channel = await dialled(served)
            request = request_by()
            await channel.send(REQUEST, request)
            _, offer = await channel.receive(OFFER)
            from wire.sessions import session_id

            acceptance = receipt_of(CONSUMER, session_id(request.message, offer.message, DOMAIN), 0, 0, 0)
            await channel.send(ACCEPTANCE, acceptance)
            await channel.receive(OPENED_KIND)
            second = await dialled(served)
            await second.send(REQUEST, request)
            assert (await second.receive(OFFER))[1] == offer
            await second.send(ACCEPTANCE, acceptance)
            assert (await second.receive(REFUSAL))[1].code == "session_closed"
            for one in (channel, second):
                one.close()
            await until(lambda: not served.serving.sessions)

    run(scene())


def test_a_request_of_somebody_else_or_beyond_the_price_gets_no_offer(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served, door_to(served) as door:
            for request, code in ((request_by(OTHER), "wrong_signer"), (request_by(max_price=PRICE - 1), "bad_offer")):
                try:
                    await door.ask(request)
                except (Refused, ProviderFailed) as error:
                    assert code in str(error) or isinstance(error, ProviderFailed)
                else:
                    raise AssertionError("an offer was made")
            assert served.serving.sessions == ()

    run(scene())


def test_at_the_cap_sessions_end_and_no_new_one_begins(tmp_path: Path) -> None:
    async def scene() -> None:
        allowance = Allowance(day=2 * MIB)
        async with provider_at(tmp_path, allowance=allowance) as served, origin(give) as port:
            async with tunnel_to(served, tmp_path) as (tunnel, _):
                program = Program(tunnel, ORIGIN_HOST, port)
                await program.send(b"50000000\n")
                with contextlib.suppress(ConnectionResetError):
                    await program.read()
                await program.over()
                await tunnel.closed.wait()
                assert tunnel.reason == "cap_reached"
            day, _ = served.caps.carried(SystemClock().now())
            assert 2 * MIB <= day < 2 * MIB + COUNT_BYTES + CHUNK
            async with door_to(served) as door:
                with pytest.raises(Refused, match="cap_reached"):
                    await door.ask(request_by(budget=(1 << 40, 1 << 41)))

    run(scene())


# Providers that are not what they should be


def test_a_provider_with_another_certificate_is_not_talked_to(tmp_path: Path) -> None:
    async def scene() -> None:
        async with listening(HOST, 0, OTHER, DOMAIN, SystemClock()) as listener:
            with pytest.raises(ProviderFailed, match="shows the certificate of"):
                async with dial(PROVIDER.address, HOST, listener.port, CONSUMER, DOMAIN, RULES, SystemClock(), CONSUMER_HOST):
                    pass

    run(scene())


def test_a_provider_that_dies_in_a_download_is_told_as_failed_and_the_stream_as_cut_off(tmp_path: Path) -> None:
    async def scene() -> None:
        async with origin(give) as port:
            store = ConsumerStore(tmp_path / "c.sqlite", CONSUMER.address, DOMAIN)
            async with provider_at(tmp_path) as served:
                async with door_to(served) as door:
                    request = request_by()
                    tunnel = await door.accept(request, await door.ask(request), store)
                program = Program(tunnel, ORIGIN_HOST, port)
                await program.send(b"500000000\n")
                await program.read(MIB)
            with pytest.raises(ConnectionResetError):  # never a clean end: half a file would pass for a whole one
                await program.read()
            await program.over()
            await tunnel.closed.wait()
            assert tunnel.reason != "done"
            await tunnel.close()
            known = store.session(tunnel.session_id)
            assert known is not None
            assert known.received <= tunnel.usage.total
            store.close()

    run(scene())


# Destinations


def test_refused_destinations_have_their_codes_and_are_counted_by_code_only(tmp_path: Path) -> None:
    async def scene() -> None:
        role = ipaddress.ip_address("127.79.4.4")
        policy = Policy(ports=(9, 80, 443), opened=OPENED, blocked_names=("example.org",))
        async with provider_at(tmp_path, policy=policy, roles=frozenset({role}), own=frozenset({ipaddress.ip_address(HOST)})) as served:
            async with tunnel_to(served, tmp_path) as (tunnel, _):
                for host, port, code in (
                    ("127.0.0.1", 80, "destination_refused"), ("2130706433", 80, "destination_refused"),
                    ("0x7f000001", 80, "destination_refused"), ("0177.0.0.1", 80, "destination_refused"),
                    ("127.1", 80, "destination_refused"), ("::1", 80, "destination_refused"),
                    ("::ffff:127.0.0.1", 80, "destination_refused"), ("64:ff9b::7f00:1", 80, "destination_refused"),
                    ("localhost", 80, "destination_refused"), ("169.254.169.254", 80, "destination_refused"),
                    (HOST, 80, "destination_refused"), (str(role), 9, "destination_refused"), (str(role), 443, "destination_refused"),
                    (ORIGIN_HOST, 25, "port_refused"),
                    ("www.example.org", 443, "destination_blocked"), (ORIGIN_HOST, 80, "connection_refused"),
                    ("no such name", 80, "name_not_found"),
                ):  # fmt: skip
                    assert await answer_of(tunnel, host, port) == code, host
            assert served.serving.figures()["refused"] == {
                "destination_refused": 13, "port_refused": 1, "destination_blocked": 1, "connection_refused": 1, "name_not_found": 1,
            }  # fmt: skip

    run(scene())


def test_connections_of_a_session_are_bounded(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path, limits=StreamLimits(per_session=3, total=3)) as served:
            hand = await HandMade.open(served)
            channels = []
            codes = []
            for _ in range(5):
                channel = await dialled(served)
                await channel.send(JOIN, Join(hand.session, hand.token))
                codes.append((await channel.receive(ANSWERED))[1].code)
                channels.append(channel)
            assert codes == ["ok"] * 3 + ["too_many_streams"] * 2
            for channel in (*channels, hand.control):
                channel.close()
            await until(lambda: not served.serving.sessions)

    run(scene())


# Garbage


@pytest.mark.parametrize(
    "garbage",
    [b"\x00" * 64, b"\x10\xff\xff\xff" + b"a" * 100, b"\x11\x00\x00\x02{}", b"\x10\x00\x00\x03abc", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 9],
)
def test_a_first_word_that_is_none_is_hung_up_on(tmp_path: Path, garbage: bytes) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            channel = await dialled(served)
            channel.sock.send(garbage)
            with contextlib.suppress(ChannelClosed):
                while True:
                    await channel.receive(REFUSAL)
            channel.close()
            async with door_to(served) as door:
                assert door.rtt_us > 0

    run(scene())


def test_slow_connections_end_and_others_are_served_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provider.sessions.serving.FIRST_WORD_S", 0.5)

    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            slow = [await dialled(served, local="127.79.9.1") for _ in range(20)]
            slow[0].sock.send(b"\x10\x00")
            async with door_to(served) as door:
                assert door.rtt_us > 0
            for channel in slow:
                with pytest.raises(ChannelClosed):
                    await channel.receive(PING)
                channel.close()
            assert served.serving.sessions == ()

    run(scene())


def test_a_ping_is_answered_before_and_during_a_session(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            hand = await HandMade.open(served)
            from wire.tunnel import PONG

            await hand.control.send(PING, Beat(7))
            assert (await hand.control.receive(PONG))[1] == Beat(7)
            hand.control.close()
            await until(lambda: not served.serving.sessions)

    run(scene())


# SOCKS


async def say(port: int, *words: bytes) -> bytes:
    """Says the words one by one to the SOCKS port; all it answers until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(OSError, RuntimeError):  # it may have hung up already; asyncio's loop and uvloop's say so differently
            for word in words:
                writer.write(word)
                await writer.drain()
                await asyncio.sleep(0.01)
            writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


GREETING, GREETED = b"\x05\x01\x00", b"\x05\x00"


def reply(code: int) -> bytes:
    return GREETED + bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0))


def test_socks_takes_addresses_and_names_and_never_goes_direct(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served, origin(echo) as port, tunnel_to(served, tmp_path) as (tunnel, _):
            standing: list[Tunnel] = [tunnel]
            async with SocksServer("127.0.0.1", 0, lambda: standing[0] if standing else None) as server:
                at = port.to_bytes(2)
                v4 = b"\x05\x01\x00\x01" + socket.inet_aton(ORIGIN_HOST) + at
                name = b"\x05\x01\x00\x03" + bytes((len(ORIGIN_HOST),)) + ORIGIN_HOST.encode() + at
                v6 = b"\x05\x01\x00\x04" + ipaddress.ip_address("::1").packed + at
                assert await say(server.port, GREETING, v4, b"hello") == reply(0) + b"hello"
                assert await say(server.port, GREETING, name, b"name") == reply(0) + b"name"
                assert await say(server.port, GREETING, v6) == reply(2)
                assert await say(server.port, GREETING + v4 + b"early") == reply(0) + b"early"
                seen = served.streams.opened
                standing.clear()
                assert await say(server.port, GREETING, v4, b"hello") == reply(1)
                assert served.streams.opened == seen

    run(scene())


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ((b"",), b""), ((b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",), b""), ((b"GET / HTTP/1.1\r\n\r\n",), b""),
        ((b"\x05\x00",), b"\x05\xff"), ((b"\x05\x01\x02",), b"\x05\xff"), ((GREETING, b"\x04\x01\x00\x01" + bytes(6)), reply(1)),
        ((GREETING, b"\x05\x02\x00\x01" + bytes(6)), reply(7)), ((GREETING, b"\x05\x03\x00\x01" + bytes(6)), reply(7)),
        ((GREETING, b"\x05\x01\x00\x05" + bytes(6)), reply(8)), ((GREETING, b"\x05\x01\x00\x03\x00\x00\x50"), reply(4)),
        ((GREETING, b"\x05\x01\x00\x03\x02\xff\xfe\x00\x50"), reply(4)), ((GREETING, b"\x05\x01\x00\x03\xff" + b"a" * 100), GREETED),
    ],
)  # fmt: skip
def test_socks_garbage_is_refused_or_hung_up_on(words: tuple[bytes, ...], answer: bytes) -> None:
    async def scene() -> None:
        async with SocksServer("127.0.0.1", 0, lambda: None) as server:
            assert await say(server.port, *words) == answer
            await until(lambda: server.clients == 0)

    run(scene())


def test_a_program_that_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.socks.TALK_S", 0.2)

    async def scene() -> None:
        async with SocksServer("127.0.0.1", 0, lambda: None) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"\x05")
            assert await reader.read() == b""
            writer.transport.abort()

    run(scene())


# Leaks

STREAMS = int(os.environ.get("DPN_TUNNEL_STREAMS", "300"))
"""10,000 in the long runs."""


def test_streams_opened_and_closed_leave_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served, origin(echo) as port, tunnel_to(served, tmp_path) as (tunnel, _):

            async def some(number: int) -> None:
                for at in range(number):
                    program = Program(tunnel, ORIGIN_HOST, port)
                    await program.send(b"x", end=at % 3 != 0)
                    await program.read(1)
                    if at % 3 == 0:
                        program.sock.close()
                    await program.over()

            def held() -> tuple[int, int, int]:
                gc.collect()
                return len(os.listdir("/proc/self/fd")), len(gc.get_objects()), len(asyncio.all_tasks())  # noqa: PTH208

            await some(30)
            await until(lambda: served.streams.live == 0)
            before = held()
            await some(STREAMS)
            await until(lambda: served.streams.live == 0)
            after = held()
            assert after[0] <= before[0] + 20
            assert after[1] <= before[1] + 2_000
            assert after[2] <= before[2] + 20
            assert tunnel.streams == 0

    run(scene(), 90 + STREAMS / 20)
