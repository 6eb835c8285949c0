"""Consumers that speak the protocol and abuse it: what they cost is bounded by what they were trusted with, and by time."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chain.keys import NodeKey
from chain.typed import Signed, sign
from chain.types import Digest
from provider.sessions import serving, streams
from provider.sessions.streams import StreamLimits
from runtime.clock import SystemClock
from tests.integration.test_tunnels import (
    OTHER,
    TINY,
    HandMade,
    Program,
    answer_of,
    dialled,
    drink,
    receipt_of,
    run,
    until,
)  # fmt: skip
from tests.tunnels import CONSUMER, DOMAIN, MIB, ORIGIN_HOST, Served, echo, give, origin, provider_at, request_by, tunnel_to
from wire.messages import SessionRequest, UsageReceipt
from wire.secure import Channel, ChannelClosed
from wire.sessions import session_id
from wire.tunnel import (
    ACCEPTANCE,
    ANSWERED,
    JOIN,
    OFFER,
    OPEN,
    OPENED,
    PING,
    PONG,
    RECEIPT,
    REFUSAL,
    REPORTED,
    REQUEST,
    Beat,
    Join,
    Open,
    header,
)  # fmt: skip

START, MOST = TINY.credit_start_bytes, TINY.credit_most_bytes
MUCH = b"50000000\n"


async def ask_for_much(stream: Channel) -> None:
    await stream._repeat(lambda: stream.sock.send(header(0, len(MUCH)) + MUCH))


async def all_gone(served: Served) -> None:
    await until(lambda: not served.serving.sessions)


# Receipts


def test_a_receipt_for_another_open_session_of_the_same_consumer_counts_in_neither(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served, origin(give) as port:
            dear, cheap = await HandMade.open(served, budget=(0, MIB)), await HandMade.open(served, budget=(MIB, 2 * MIB))
            stream = await dear.stream(served, port)
            await ask_for_much(stream)
            got = await drink(stream)
            await dear.control.send(RECEIPT, receipt_of(CONSUMER, cheap.session, 1, len(MUCH), got))
            assert await dear.last_word() == "bad_receipt"
            assert [served.sessions.receipt(one.session) for one in (dear, cheap)] == [None, None]
            await until(lambda: len(served.serving.sessions) == 1)
            for channel in (stream, dear.control, cheap.control):
                channel.close()
            await all_gone(served)
            assert dict(served.serving.ended) == {"bad_receipt": 1, "consumer_gone": 1}

    run(scene())


@pytest.mark.parametrize(("off", "code"), [(-1, "stale_time"), (1, "future_time")])
def test_a_receipt_of_another_time_ends_the_session(tmp_path: Path, off: int, code: str) -> None:
    """It would count in another epoch than the one in which it was served."""

    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served:
            hand = await HandMade.open(served)
            second = int(SystemClock().now()) + off * (TINY.tolerance_s + 30)
            receipt = UsageReceipt(CONSUMER.address, hand.session, 1, 0, 0, 0, 0, second)
            await hand.control.send(RECEIPT, sign(receipt, DOMAIN, CONSUMER))
            assert await hand.last_word() == code
            hand.control.close()
            await all_gone(served)
            assert served.sessions.receipt(hand.session) is None

    run(scene())


def test_who_pays_until_it_is_trusted_with_most_and_then_vanishes_takes_that_and_begins_anew(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served, origin(give) as port:
            hand = await HandMade.open(served, budget=(0, 1 << 30))
            stream = await hand.stream(served, port)
            await ask_for_much(stream)
            got = 0
            for sequence in (1, 2, 3):
                got += await drink(stream)
                await hand.control.send(RECEIPT, receipt_of(CONSUMER, hand.session, sequence, len(MUCH), got))
                await hand.control.receive(REPORTED)
            taken = await drink(stream)
            assert taken == MOST
            stream.close()
            hand.control.close()
            await all_gone(served)
            figures = served.serving.figures()
            assert figures["bytesDifference"] == MOST
            assert figures["bytesReceipted"] == got + len(MUCH)
            again = await HandMade.open(served, budget=(1 << 30, 2 << 30))
            assert again.credit == START
            again.control.close()
            await all_gone(served)

    run(scene())


def test_a_crash_while_something_is_unreceipted_costs_the_consumer_its_trust_too(tmp_path: Path) -> None:
    """As far as the provider knows: it has kept what it had served when it answered the last receipt."""

    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served, origin(give) as port:
            for key, receipted in ((CONSUMER, 1), (OTHER, START)):
                served.sessions.set_credit(key.address, MOST)
                hand = await HandMade.open(served, key)
                assert hand.credit == MOST
                stream = await hand.stream(served, port, key)
                await stream._repeat(partial(stream.sock.send, header(0, 6) + b"30000\n"))
                assert await drink(stream) == 30_000
                await hand.control.send(RECEIPT, receipt_of(key, hand.session, 1, 6, min(30_000, receipted)))
                await hand.control.receive(REPORTED)
                served.serving.close_left_open()  # as a new process would find it
                assert served.sessions.credit_of(key.address) == (START if receipted == 1 else MOST)
                stream.close()
                hand.control.close()
                await all_gone(served)

    run(scene())


# Those who hold a place


def test_who_says_nothing_any_more_loses_its_place_also_if_it_owes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that lost its power closes no connection."""
    monkeypatch.setattr(serving, "SILENT_TURNS", 2)

    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served:
            silent, alive = await HandMade.open(served), await HandMade.open(served, OTHER)
            async with asyncio.timeout(30):
                while len(served.serving.sessions) == 2:
                    await alive.control.send(PING, Beat(1))
                    await alive.control.receive(PONG)
                    await asyncio.sleep(0.1)
            assert [session.consumer for session in served.serving.sessions] == [OTHER.address]
            kept = served.sessions.session(silent.session)
            assert kept is not None
            assert kept.reason == "consumer_gone"
            for hand in (silent, alive):
                hand.control.close()
            await all_gone(served)

    run(scene())


def test_who_talks_without_end_or_too_slowly_and_never_accepts_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "ASKING_S", 0.5)

    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            talker, slow = await dialled(served), await dialled(served)
            for number in range(serving.MOST_QUESTIONS):
                await talker.send(PING, Beat(number))
                await talker.receive(PONG)
            await slow.send(REQUEST, request_by())
            await slow.receive(OFFER)
            slow.sock.send(b"\x12\x00")
            for channel in (talker, slow):
                with pytest.raises(ChannelClosed):
                    await channel.receive(PONG)
                channel.close()
            assert not served.validators.asked

    run(scene())


def test_those_who_only_ask_are_bounded_and_sessions_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_ASKING", 3)

    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            hand = await HandMade.open(served)
            asking = [await dialled(served) for _ in range(4)]
            for channel in asking[:3]:
                await channel.send(PING, Beat(0))
                await channel.receive(PONG)
            await asking[3].send(PING, Beat(0))
            assert (await asking[3].receive(REFUSAL))[1].code == "busy"
            await hand.control.send(PING, Beat(1))
            await hand.control.receive(PONG)
            for channel in (*asking, hand.control):
                channel.close()
            await all_gone(served)

    run(scene())


def test_an_acceptance_of_nothing_or_of_another_offer_opens_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            channel = await dialled(served)
            await channel.send(PING, Beat(0))
            await channel.receive(PONG)
            await channel.send(ACCEPTANCE, receipt_of(CONSUMER, Digest(bytes(32)), 0, 0, 0))
            assert (await channel.receive(REFUSAL))[1].code == "not_accepted"
            request = request_by()
            await channel.send(REQUEST, request)
            _, offer = await channel.receive(OFFER)
            name = session_id(request.message, offer.message, DOMAIN)
            for wrong in (
                receipt_of(CONSUMER, Digest(bytes(32)), 0, 0, 0),
                receipt_of(CONSUMER, name, 1, 0, 0),
                receipt_of(CONSUMER, name, 0, 1, 0),
                receipt_of(OTHER, name, 0, 0, 0),
            ):
                await channel.send(ACCEPTANCE, wrong)
                assert (await channel.receive(REFUSAL))[1].code == "not_accepted"
            channel.close()
            assert not served.validators.asked
            assert served.serving.sessions == ()

    run(scene())


async def agreed(served: Served, seconds: int = 30) -> tuple[Channel, Signed[SessionRequest], Signed[UsageReceipt]]:
    """A connection with an offer in hand, the request, and the acceptance. seconds: until the request expires."""
    channel = await dialled(served)
    request = request_by()
    if seconds != 30:
        request = sign(replace(request.message, expiry=int(SystemClock().now()) + seconds), DOMAIN, CONSUMER)
    await channel.send(REQUEST, request)
    _, offer = await channel.receive(OFFER)
    return channel, request, receipt_of(CONSUMER, session_id(request.message, offer.message, DOMAIN), 0, 0, 0)


def test_an_offer_is_taken_in_time_or_not_at_all(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            channel, request, acceptance = await agreed(served, 2)
            await until(lambda: SystemClock().now() >= request.message.expiry)
            await channel.send(ACCEPTANCE, acceptance)
            assert (await channel.receive(REFUSAL))[1].code == "stale_time"
            channel.close()
            assert not served.validators.asked

    run(scene())


def test_a_session_that_is_over_is_not_opened_again(tmp_path: Path) -> None:
    """Its request and its offer are still good."""

    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            channel, request, acceptance = await agreed(served)
            await channel.send(ACCEPTANCE, acceptance)
            await channel.receive(OPENED)
            channel.close()
            await all_gone(served)
            again = await dialled(served)
            await again.send(REQUEST, request)
            await again.receive(OFFER)
            await again.send(ACCEPTANCE, acceptance)
            assert (await again.receive(REFUSAL))[1].code == "session_closed"
            again.close()
            assert len(served.validators.asked) == 1

    run(scene())


async def joined(served: Served, hand: HandMade, key: NodeKey = CONSUMER) -> tuple[Channel, str]:
    channel = await dialled(served, key)
    await channel.send(JOIN, Join(hand.session, hand.token))
    return channel, (await channel.receive(ANSWERED))[1].code


def test_a_session_that_is_about_to_end_takes_no_stream(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path) as served:
            hand = await HandMade.open(served)
            served.serving.end_all("leaving")
            channel, code = await joined(served, hand)
            assert code == "session_closed"
            assert await hand.last_word() == "leaving"
            for one in (channel, hand.control):
                one.close()
            await all_gone(served)

    run(scene())


def test_connections_of_all_sessions_together_are_bounded(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path, limits=StreamLimits(per_session=2, total=3)) as served:
            mine, theirs = await HandMade.open(served), await HandMade.open(served, OTHER)
            found = [await joined(served, mine) for _ in range(2)]
            found += [await joined(served, theirs, OTHER) for _ in range(2)]
            assert [code for _, code in found] == ["ok", "ok", "ok", "busy"]
            for channel in (*(channel for channel, _ in found), mine.control, theirs.control):
                channel.close()
            await all_gone(served)

    run(scene())


def test_destinations_that_do_not_answer_are_tried_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_CONNECTING", 1)
    answer = threading.Event()
    system: Callable[..., Any] = socket.getaddrinfo

    def slow(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host == "slow.example":
            answer.wait(30)
            return []
        return system(host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def scene() -> None:
        async with provider_at(tmp_path) as served, origin(echo) as port:
            hand = await HandMade.open(served)
            first, _ = await joined(served, hand)
            second, _ = await joined(served, hand)
            await first.send(OPEN, Open("slow.example", port))
            (session,) = served.serving.sessions
            await until(lambda: session.connecting == 1)
            for code in ("too_many_streams", "ok"):
                await second.send(OPEN, Open(ORIGIN_HOST, port))
                assert (await second.receive(ANSWERED))[1].code == code
                answer.set()
                await until(lambda: session.connecting == 0)
            assert (await first.receive(ANSWERED))[1].code == "name_not_found"
            for channel in (first, second, hand.control):
                channel.close()
            await all_gone(served)

    try:
        run(scene())
    finally:
        answer.set()


# Destinations

LOOPBACK = [
    "127.0.0.1", "127.0.0.1.", "2130706433", "017700000001", "0x7f000001", "0X7F000001", "0x7f.0.0.1", "0177.0.0.1", "0177.0x0.0.1",
    "127.1", "127.0.1", "0", "0.0.0.0", "0x0", "localhost", "LOCALHOST", "localhost.", "::1", "0:0:0:0:0:0:0:1", "::", "::ffff:127.0.0.1",
    "::ffff:7f00:1", "::FFFF:0:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::",
    "2001:0:7f00:1::", "fe80::1", "fe80::1%lo", "fe80::1%1", "::1%lo",
]  # fmt: skip
OTHERS = [
    "10.0.0.1", "167772161", "0xa000001", "012.0.0.1", "10.1", "172.16.0.1", "192.168.0.1", "3232235521", "0xc0.0xa8.0.1", "100.64.0.1",
    "100.100.100.200", "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe",
    "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "168.63.129.16", "224.0.0.1", "255.255.255.255", "4294967295", "fc00::1", "fec0::1", "ff02::1",
    "192.0.2.1", "198.18.0.1", "192.88.99.1", "2001:db8::1",
]  # fmt: skip
NO_NAMES = ["127.0.0.1 ", " 127.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "127.0.0.1\x00.example.org", "[::1]", "127.0.0.1/8", "256.0.0.1",
            "0x7f.0.0.0.1", "08.0.0.1", "localhost\n"]  # fmt: skip


def test_no_notation_of_a_refused_address_leads_anywhere(tmp_path: Path) -> None:
    """Through the consumer's own tunnel and the provider's own resolver; a listener on every loopback address would see a visit."""

    async def scene() -> None:
        visits: list[Any] = []

        async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            visits.append(writer.get_extra_info("sockname"))

        async with provider_at(tmp_path) as served, origin(note, "0.0.0.0") as port, tunnel_to(served, tmp_path) as (tunnel, _):
            for host in LOOPBACK + OTHERS:
                assert await answer_of(tunnel, host, port) in ("destination_refused", "name_not_found"), host
            counted = served.streams.refused["destination_refused"]
            assert counted >= len(LOOPBACK + OTHERS) - 3, "the system's resolver takes all but a few for addresses"
            for host in NO_NAMES:
                assert await answer_of(tunnel, host, port) in ("name_not_found", "destination_refused"), host
            assert visits == []
            assert await answer_of(tunnel, ORIGIN_HOST, port) == "ok"
            assert [sockname[0] for sockname in visits] == [ORIGIN_HOST]

    run(scene())


def test_a_name_that_rebinds_is_looked_up_once_and_leads_where_it_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner answers with a harmless address first, and with the provider's own ones from then on."""
    asked: list[str] = []
    system: Callable[..., Any] = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host != "rebinds.example":
            return system(host, port, *args, **more)
        asked.append(host)
        return system(ORIGIN_HOST if len(asked) == 1 else "127.0.0.1", port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)

    async def scene() -> None:
        async with provider_at(tmp_path) as served, origin(echo) as port, tunnel_to(served, tmp_path) as (tunnel, _):
            program = Program(tunnel, "rebinds.example", port)
            await program.send(b"hello", end=True)
            assert await program.read() == b"hello"
            await program.over()
            assert len(asked) == 1, "what was checked is what was connected to"
            assert await answer_of(tunnel, "rebinds.example", port) == "destination_refused"
            assert len(asked) == 2
            assert "rebinds" not in f"{served.serving.figures()}"

    run(scene())
