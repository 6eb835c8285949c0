"""A provider that speaks the protocol and lies in it: what it can do to a consumer is to be left, for what was received at most."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chain.keys import NodeKey
from chain.typed import Signed, digest_of, sign
from chain.types import Digest
from consumer.store import Store as ConsumerStore
from consumer.tunnel import ProviderFailed, Tunnel, dial
from provider.reach.listener import listening
from runtime.clock import SystemClock
from tests.integration.test_tunnels import OTHER, TINY, Program, run, until
from tests.tunnels import CONSUMER, CONSUMER_HOST, DOMAIN, GIB, HOST, ORIGIN_HOST, PRICE, PROVIDER, request_by
from wire.messages import Offer, UsageReceipt, UsageReport
from wire.refusals import Refused
from wire.secure import Channel, ChannelError
from wire.tunnel import (
    ACCEPTANCE,
    ANSWERED,
    DATA,
    END,
    GOODBYE,
    JOIN,
    OFFER,
    OK,
    OPEN,
    OPENED,
    PING,
    PONG,
    RECEIPT,
    REPORTED,
    REQUEST,
    Answered,
    Opened,
    Reported,
    header,
)  # fmt: skip

TEN = b"0123456789"

Report = Callable[[UsageReceipt], Signed[UsageReport] | None]
Carry = Callable[[Channel], Awaitable[None]]


def report_of(receipt: UsageReceipt, *, by: NodeKey = PROVIDER, times: int = 1, **changes: Any) -> Signed[UsageReport]:
    """The report that answers the receipt, as an honest provider would sign it but for the changes."""
    up, down, now = times * receipt.bytes_up, times * receipt.bytes_down, int(SystemClock().now())
    report = UsageReport(PROVIDER.address, receipt.session_id, receipt.sequence, up, down, receipt.duration, 0, now)
    return sign(replace(report, **changes), DOMAIN, by)


async def give_ten(channel: Channel) -> None:
    """Ten bytes, an end, and whatever the program sends is taken."""
    await say(channel, header(DATA, 10) + TEN + header(END, 0))
    await asyncio.Event().wait()


async def say(channel: Channel, data: bytes) -> None:
    assert await channel._repeat(lambda: channel.sock.send(data)) == len(data)


@dataclass
class Liar:
    """report: how it answers a receipt, None for not at all. carry: what it does with a stream. names: which session it says it opens."""

    report: Report = report_of
    carry: Carry = give_ten
    names: Callable[[Digest], Digest] = lambda name: name
    offers: dict[str, Any] = field(default_factory=dict)
    receipts: list[UsageReceipt] = field(default_factory=list)
    joined: int = 0
    pings: int = 0

    async def attend(self, channel: Channel) -> None:
        with contextlib.suppress(ChannelError):
            while True:
                kind, word = await channel.receive(PING, REQUEST, ACCEPTANCE, RECEIPT, GOODBYE, JOIN, OPEN)
                if kind == PING:
                    self.pings += 1
                    await channel.send(PONG, word)
                elif kind == REQUEST:
                    offer = Offer(PROVIDER.address, digest_of(word.message, DOMAIN), PRICE, word.message.expiry)
                    await channel.send(OFFER, sign(replace(offer, **self.offers), DOMAIN, PROVIDER))
                elif kind == ACCEPTANCE:
                    await channel.send(OPENED, Opened(self.names(word.message.session_id), Digest(bytes(32)), 1 << 20))
                elif kind == RECEIPT:
                    self.receipts.append(word.message)
                    report = self.report(word.message)
                    if report is not None:
                        await channel.send(REPORTED, Reported(report, 1 << 20))
                elif kind == GOODBYE:
                    await channel.send(GOODBYE, word)
                elif kind == JOIN:
                    self.joined += 1
                    await channel.send(ANSWERED, Answered(OK))
                elif kind == OPEN:
                    await channel.send(ANSWERED, Answered(OK))
                    await self.carry(channel)
                    return


@contextlib.asynccontextmanager
async def tunnel_through(liar: Liar, folder: Path, port: int | None = None) -> AsyncIterator[tuple[Tunnel, ConsumerStore]]:
    """The real consumer's, signing every second. port: where it dials, the liar's own by default."""
    store = ConsumerStore(folder / "consumer.sqlite", CONSUMER.address, DOMAIN)
    try:
        async with listening(HOST, 0, PROVIDER, DOMAIN, SystemClock()) as listener:
            listener.attend = liar.attend
            at = port or listener.port
            async with dial(PROVIDER.address, HOST, at, CONSUMER, DOMAIN, TINY, SystemClock(), CONSUMER_HOST) as door:
                request = request_by(budget=(0, GIB))
                tunnel = await door.accept(request, await door.ask(request), store)
            try:
                yield tunnel, store
            finally:
                await tunnel.close()
    finally:
        store.close()


async def ask(tunnel: Tunnel) -> Program:
    program = Program(tunnel, ORIGIN_HOST, 80)
    await program.send(b"four", end=True)
    return program


def test_who_reports_more_than_it_carried_is_paid_what_was_received_and_the_difference_shows(tmp_path: Path) -> None:
    async def scene() -> None:
        liar = Liar(report=lambda receipt: report_of(receipt, times=1_000))
        async with tunnel_through(liar, tmp_path) as (tunnel, store):
            program = await ask(tunnel)
            assert await program.read(10) == TEN
            await until(lambda: tunnel.usage.receipted == 14)
            assert tunnel.usage.reported == 14_000
            await tunnel.close()
            await program.over()
            known = store.session(tunnel.session_id)
            assert known is not None
            assert (known.received, known.reported, known.fee) == (14, 14_000, 14)
        assert [(one.bytes_up, one.bytes_down) for one in liar.receipts] == [(4, 10)]

    run(scene())


def test_who_reports_less_is_paid_less(tmp_path: Path) -> None:
    async def scene() -> None:
        async with tunnel_through(Liar(report=lambda receipt: report_of(receipt, bytes_down=1)), tmp_path) as (tunnel, store):
            program = await ask(tunnel)
            await until(lambda: tunnel.usage.receipted == 14)
            await tunnel.close()
            await program.over()
            known = store.session(tunnel.session_id)
            assert known is not None
            assert (known.received, known.reported, known.fee) == (14, 5, 5)

    run(scene())


@pytest.mark.parametrize("said", [header(DATA, 1_000) + TEN, b"\x00", b"", header(7, 5) + b"01234", header(DATA, 10) + TEN])
def test_a_stream_that_is_cut_off_or_garbled_is_never_taken_for_whole(tmp_path: Path, said: bytes) -> None:
    """Within a frame, within its header, before the first, by a frame that is none, after a whole one: the program is told by a reset, and
    no byte is signed for that did not come."""

    async def carry(channel: Channel) -> None:
        await say(channel, said)

    async def scene() -> None:
        liar = Liar(carry=carry)
        async with tunnel_through(liar, tmp_path) as (tunnel, store):
            program = await ask(tunnel)
            got, was_reset = b"", False
            try:
                while data := await asyncio.get_running_loop().sock_recv(program.sock, 1):
                    got += data
            except ConnectionResetError:
                was_reset = True
            assert was_reset
            await program.over()
            await tunnel.close()
            known = store.session(tunnel.session_id)
            assert known is not None
            assert len(got) <= known.received <= 4 + 10 * (TEN in said)
            assert TEN.startswith(got)

    run(scene())


LIES: dict[str, Report] = {
    "about another session": lambda receipt: report_of(receipt, session_id=Digest(bytes(32))),
    "for another receipt": lambda receipt: report_of(receipt, sequence=receipt.sequence + 1),
    "replayed": lambda receipt: report_of(receipt, sequence=receipt.sequence - 1),
    "of another provider": lambda receipt: report_of(receipt, by=OTHER, provider=OTHER.address),
    "signed by somebody else": lambda receipt: report_of(receipt, by=OTHER),
    "none at all": lambda receipt: None,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_report_that_does_not_answer_the_receipt_ends_the_session(tmp_path: Path, lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.carrying.TALK_S", 1.0)

    async def scene() -> None:
        async with tunnel_through(Liar(report=LIES[lie]), tmp_path) as (tunnel, store):
            program = await ask(tunnel)
            async with asyncio.timeout(20):
                await tunnel.closed.wait()
            assert tunnel.reason == "provider_failed"
            await program.over()
            known = store.session(tunnel.session_id)
            assert known is not None
            assert (known.received, known.report, known.fee, known.reason) == (14, None, 14, "provider_failed")

    run(scene())


@pytest.mark.parametrize(
    ("liar", "error"),
    [
        (Liar(names=lambda name: Digest(bytes(32))), ProviderFailed),
        (Liar(offers={"provider": OTHER.address}), ProviderFailed),
        (Liar(offers={"price": PRICE + 1}), Refused),
        (Liar(offers={"request": Digest(bytes(32))}), Refused),
    ],
)
def test_an_offer_or_a_session_that_is_not_what_was_asked_for_opens_nothing(tmp_path: Path, liar: Liar, error: type[Exception]) -> None:
    async def scene() -> None:
        with pytest.raises(error):
            async with tunnel_through(liar, tmp_path):
                pytest.fail("it stands")

    run(scene())


@contextlib.asynccontextmanager
async def in_between(first: int, later: int) -> AsyncIterator[int]:
    """A port whose first connection leads to one port of the provider's host, and all later ones to another."""
    came, tasks = 0, set[asyncio.Task[None] | None]()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        tasks.add(asyncio.current_task())
        there, back = await asyncio.open_connection(HOST, first if came == 1 else later)
        try:
            await asyncio.gather(carry(reader, back), carry(there, writer))
        finally:
            for one in (writer, back):
                one.transport.abort()

    server = await asyncio.start_server(take, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
        await asyncio.sleep(0)


def test_a_certificate_swapped_after_the_session_was_opened_gets_no_stream_and_no_token(tmp_path: Path) -> None:
    async def scene() -> None:
        honest, impostor, seen = Liar(), Liar(), 0

        async def attend(channel: Channel) -> None:
            nonlocal seen
            seen += 1
            await impostor.attend(channel)

        store = ConsumerStore(tmp_path / "consumer.sqlite", CONSUMER.address, DOMAIN)
        clock = SystemClock()
        async with listening(HOST, 0, PROVIDER, DOMAIN, clock) as real, listening(HOST, 0, OTHER, DOMAIN, clock) as other:
            real.attend, other.attend = honest.attend, attend
            async with in_between(real.port, other.port) as port:
                async with dial(PROVIDER.address, HOST, port, CONSUMER, DOMAIN, TINY, clock, CONSUMER_HOST) as door:
                    request = request_by()
                    tunnel = await door.accept(request, await door.ask(request), store)
                program = Program(tunnel, ORIGIN_HOST, 80)
                await until(lambda: bool(program.codes))
                assert program.codes == ["session_closed"]
                await program.over()
                assert not tunnel.closed.is_set(), "the session itself is proven, and stands"
                await tunnel.close()
                assert (seen > 0, impostor.joined, honest.joined) == (True, 0, 0)
        store.close()

    run(scene())


def test_a_consumer_with_nothing_to_sign_says_that_it_is_there(tmp_path: Path) -> None:
    """A provider takes one that is silent for gone."""

    async def scene() -> None:
        liar = Liar()
        async with tunnel_through(liar, tmp_path):
            before = liar.pings
            await until(lambda: liar.pings >= before + 2)
            assert liar.receipts == []

    run(scene())


def test_garbage_on_the_control_connection_ends_the_session(tmp_path: Path) -> None:
    async def scene() -> None:
        store = ConsumerStore(tmp_path / "consumer.sqlite", CONSUMER.address, DOMAIN)
        control: list[Channel] = []
        liar = Liar()

        async def attend(channel: Channel) -> None:
            control.append(channel)
            await liar.attend(channel)

        async with listening(HOST, 0, PROVIDER, DOMAIN, SystemClock()) as listener:
            listener.attend = attend
            async with dial(PROVIDER.address, HOST, listener.port, CONSUMER, DOMAIN, TINY, SystemClock(), CONSUMER_HOST) as door:
                request = request_by()
                tunnel = await door.accept(request, await door.ask(request), store)
            await say(control[0], b"HTTP/1.1 200 OK\r\n\r\n")
            async with asyncio.timeout(20):
                await tunnel.closed.wait()
            assert tunnel.reason == "provider_failed"
            await tunnel.close()
        store.close()

    run(scene())
