"""Two sessions of one consumer at one provider, over real sockets: each is told its share, neither starves the other, and together they owe
no more than one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from consumer.carrying import Tunnel
from consumer.store import Store as ConsumerStore
from tests.integration.test_tunnels import OTHER, TINY, HandMade, Program, drink, receipt_of, run, until
from tests.tunnels import CONSUMER, DOMAIN, GIB, MIB, ORIGIN_HOST, Served, door_to, give, origin, provider_at, request_by
from wire.secure import Channel
from wire.tunnel import RECEIPT, REPORTED, header

START = TINY.credit_start_bytes
MUCH = b"50000000\n"


async def ask_for_much(stream: Channel) -> None:
    await stream._repeat(lambda: stream.sock.send(header(0, len(MUCH)) + MUCH))


async def pay(hand: HandMade, sequence: int, received: int) -> int:
    """A receipt over what was received; the credit that its answer names."""
    await hand.control.send(RECEIPT, receipt_of(CONSUMER, hand.session, sequence, len(MUCH), received))
    _, reported = await hand.control.receive(REPORTED)
    credit: int = reported.credit
    return credit


async def hang_up(served: Served, *hands: HandMade) -> None:
    for hand in hands:
        hand.control.close()
    await until(lambda: not served.serving.sessions)


async def both_tunnels(served: Served, store: ConsumerStore) -> list[Tunnel]:
    tunnels = []
    for number in range(2):
        async with door_to(served, rules=TINY) as door:
            request = request_by(budget=(number * GIB, (number + 1) * GIB))
            tunnels.append(await door.accept(request, await door.ask(request), store))
    return tunnels


def test_each_session_is_told_its_share_of_the_credit(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served, origin(give) as port:
            first = await HandMade.open(served, budget=(0, MIB))
            second = await HandMade.open(served, budget=(MIB, 2 * MIB))
            stranger = await HandMade.open(served, OTHER)
            assert (first.credit, second.credit, stranger.credit) == (START, START // 2, START)
            stream = await first.stream(served, port)
            await ask_for_much(stream)
            got = await drink(stream)
            assert await pay(first, 1, got) == START, "it has doubled, and there are two of them"
            second.control.close()
            await until(lambda: len(served.serving.sessions) == 2)
            got += await drink(stream)
            assert await pay(first, 2, got) == 4 * START, "it is alone, and is TINY's most"
            stream.close()
            await hang_up(served, first, stranger)

    run(scene())


def test_a_session_that_waits_for_credit_goes_on_when_the_other_one_pays(tmp_path: Path) -> None:
    """Nothing of its own is unreceipted, so that it has no receipt to sign that would help it."""

    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served, origin(give) as port:
            first = await HandMade.open(served, budget=(0, MIB))
            second = await HandMade.open(served, budget=(MIB, 2 * MIB))
            streams = [await hand.stream(served, port) for hand in (first, second)]
            await ask_for_much(streams[0])
            taken = await drink(streams[0])
            assert taken + len(MUCH) == START
            await ask_for_much(streams[1])
            assert await drink(streams[1]) == 0
            await pay(first, 1, taken)  # now what the second one asks for is read; its answer waits for what the first one leaves
            both = await asyncio.gather(*(drink(stream) for stream in streams))
            assert sum(both) + len(MUCH) == 2 * START
            await pay(first, 2, taken + both[0])
            more = await asyncio.gather(*(drink(stream) for stream in streams))
            assert both[1] + more[1] >= START, "it waited, so it has its share, as far as its origin gave it at once"
            assert both[1] + sum(more) + len(MUCH) == 4 * START
            for stream in streams:
                stream.close()
            await hang_up(served, first, second)
            figures = served.serving.figures()
            assert figures["bytesDifference"] == 4 * START, "both together lose the provider no more than one could"

    run(scene())


def test_a_session_that_waits_for_credit_goes_on_when_the_other_one_ends_unpaid(tmp_path: Path) -> None:
    async def scene() -> None:
        async with provider_at(tmp_path, TINY) as served, origin(give) as port:
            first = await HandMade.open(served, budget=(0, MIB))
            second = await HandMade.open(served, budget=(MIB, 2 * MIB))
            streams = [await hand.stream(served, port) for hand in (first, second)]
            await ask_for_much(streams[0])
            await drink(streams[0])
            await ask_for_much(streams[1])
            assert await drink(streams[1]) == 0
            first.control.close()
            await until(lambda: len(served.serving.sessions) == 1)
            assert await drink(streams[1]) + len(MUCH) == START
            for stream in streams:
                stream.close()
            await hang_up(served, second)
            assert served.sessions.credit_of(CONSUMER.address) == START

    run(scene())


def test_two_tunnels_at_once_both_come_to_an_end_and_all_is_receipted(tmp_path: Path) -> None:
    """The real consumer: each signs by its share, and early when it is held up."""

    async def scene() -> None:
        store = ConsumerStore(tmp_path / "consumer.sqlite", CONSUMER.address, DOMAIN)
        try:
            async with provider_at(tmp_path, TINY) as served, origin(give) as port:
                tunnels = await both_tunnels(served, store)
                programs = [Program(tunnel, ORIGIN_HOST, port) for tunnel in (*tunnels, *tunnels)]
                for program in programs:
                    await program.send(b"%d\n" % (2 * MIB), end=True)
                got = await asyncio.gather(*(program.read() for program in programs))
                assert [len(one) for one in got] == [2 * MIB] * 4
                for program in programs:
                    await program.over()
                for tunnel in tunnels:
                    await tunnel.close()
                await until(lambda: not served.serving.sessions)
                figures = served.serving.figures()
                assert figures["bytesServed"] == figures["bytesReceipted"] == 4 * (2 * MIB + len(b"%d\n" % (2 * MIB)))
                assert [tunnel.reason for tunnel in tunnels] == ["done", "done"]
        finally:
            store.close()

    run(scene())
