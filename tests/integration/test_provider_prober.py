"""Being timed: what a provider echoes, and what it does not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from chain.types import Address
from runtime.clock import SystemClock
from wire.timing import Unreachable, be_timed, split_endpoint, time_master
from wire.udp import Cookie, Echo, Hello, pack, parse

PROVIDER, OTHER = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)
LOCAL, HOST = "127.79.1.1", "127.79.2.1"
TAG = b"\x05" * 32

Answer = Callable[[Hello, int], list[bytes]]


class ScriptedMaster(asyncio.DatagramProtocol):
    """Answers the n-th hello as it is told to; keeps what it got."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.hellos: list[Hello] = []
        self.echoes: list[Echo] = []
        self.sources: set[Any] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.sources.add(addr[0])
        match parse(data):
            case Hello() as hello:
                self.hellos.append(hello)
                for reply in self._answer(hello, len(self.hellos)):
                    self._transport.sendto(reply, addr)
            case Echo() as echo:
                self.echoes.append(echo)


def cookie(hello: Hello) -> Cookie:
    return Cookie(hello.provider, hello.nonce, 77, TAG)


def timed(answer: Answer, rounds: int = 5) -> tuple[int, ScriptedMaster]:
    async def scene() -> tuple[int, ScriptedMaster]:
        loop = asyncio.get_running_loop()
        transport, master = await loop.create_datagram_endpoint(lambda: ScriptedMaster(answer), local_addr=(HOST, 0))
        try:
            port = transport.get_extra_info("sockname")[1]
            found = await be_timed(f"{HOST}:{port}", PROVIDER, rounds, LOCAL, SystemClock(), os.urandom)
            await asyncio.sleep(0.05)
            return found, master
        finally:
            transport.close()

    return asyncio.run(scene())


def test_every_round_is_echoed_as_it_came_from_the_bound_address() -> None:
    echoed, master = timed(lambda hello, _: [pack(cookie(hello))])
    assert echoed == 5
    assert sorted(hello.round for hello in master.hellos) == [0, 1, 2, 3, 4]
    assert len({hello.nonce for hello in master.hellos}) == 5
    assert sorted(echo.cookie.round for echo in master.echoes) == [0, 1, 2, 3, 4]
    assert all(echo.cookie == Cookie(PROVIDER, echo.cookie.nonce, 77, TAG) for echo in master.echoes)
    assert master.sources == {LOCAL}


def test_a_lost_cookie_is_asked_for_again_with_another_nonce() -> None:
    echoed, master = timed(lambda hello, number: [] if number <= 2 else [pack(cookie(hello))], rounds=2)
    assert echoed == 2
    assert len(master.hellos) == 4
    assert len({hello.nonce for hello in master.hellos}) == 4


def test_a_cookie_that_comes_twice_is_echoed_once() -> None:
    echoed, master = timed(lambda hello, _: [pack(cookie(hello))] * 3, rounds=2)
    assert echoed == len(master.echoes) == 2


def test_what_was_not_asked_for_is_not_echoed() -> None:
    def strange(hello: Hello, _: int) -> list[bytes]:
        invented = Cookie(PROVIDER, bytes(7) + hello.nonce[-1:], 77, TAG)
        return [pack(invented), pack(hello), b"DPN1", os.urandom(73), pack(cookie(hello))[:-1], pack(Echo(cookie(hello)))]

    echoed, master = timed(strange, rounds=1)
    assert echoed == 0
    assert master.echoes == []
    assert len(master.hellos) == 3, "it gives up after a few tries"


def test_a_master_that_is_not_there_costs_nothing_but_time() -> None:
    assert asyncio.run(be_timed(f"{HOST}:9", PROVIDER, 2, LOCAL, SystemClock(), os.urandom)) == 0


@pytest.mark.parametrize("endpoint", ["nonsense", "10.0.0.1:", "10.0.0.1:99999", ":17", "10.0.0.1:seven"])
def test_an_endpoint_that_is_none_is_said_to_be(endpoint: str) -> None:
    with pytest.raises(Unreachable, match="host:port"):
        split_endpoint(endpoint)


def test_endpoints() -> None:
    assert split_endpoint("10.0.0.1:17") == ("10.0.0.1", 17)
    assert split_endpoint("[2001:db8::1]:17") == ("2001:db8::1", 17)


@pytest.mark.parametrize("endpoint", ["[::1]:9", "a..b:9", "\0:9", "\ufffd:9", "a" * 64 + ".test:9"])
def test_an_endpoint_that_cannot_be_reached_from_here_is_unreachable(endpoint: str) -> None:
    """A master sets its endpoint on chain to any text: IPv6 for a provider on IPv4, or no host at all."""
    with pytest.raises(Unreachable, match="on chain"):
        asyncio.run(be_timed(endpoint, PROVIDER, 1, LOCAL, SystemClock(), os.urandom))


def test_a_consumer_takes_the_time_and_echoes_nothing() -> None:
    """Under a name of nobody's, another one each time; the least of its rounds counts."""

    async def scene() -> tuple[int | None, int | None, ScriptedMaster]:
        loop = asyncio.get_running_loop()
        transport, master = await loop.create_datagram_endpoint(
            lambda: ScriptedMaster(lambda hello, _: [pack(cookie(hello))]), local_addr=(HOST, 0)
        )
        try:
            endpoint = f"{HOST}:{transport.get_extra_info('sockname')[1]}"
            first = await time_master(endpoint, 3, LOCAL, SystemClock(), os.urandom)
            return first, await time_master(endpoint, 3, LOCAL, SystemClock(), os.urandom), master
        finally:
            transport.close()

    first, second, master = asyncio.run(scene())
    assert first is not None
    assert second is not None
    assert 0 < first < 500_000
    assert master.echoes == []
    assert len({hello.provider for hello in master.hellos}) == 2


def test_a_master_that_says_nothing_has_no_distance() -> None:
    assert asyncio.run(time_master(f"{HOST}:9", 1, LOCAL, SystemClock(), os.urandom)) is None
