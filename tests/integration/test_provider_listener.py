"""The announced port against real TLS, garbage, silence and floods."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from chain.keys import NodeKey
from chain.typed import Domain
from chain.types import Address
from master.dialback import Dialer
from provider.reach.listener import IDENTITY_S, MOST_OF_ONE_PREFIX, MOST_RELAYED, RENEW_S, Listener, listening
from runtime.clock import ManualClock, SystemClock
from wire.tls import client_context, peer_address

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
KEY = NodeKey(b"\x07" * 32)
HOST = "127.78.1.1"


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 30))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true")


async def dial(listener: Listener, local: str = "127.78.2.1", now: float | None = None) -> str:
    """What a master finds there."""
    found = await Dialer(local, DOMAIN).dial(ipaddress.ip_address(HOST), listener.port, KEY.address, now or SystemClock().now())
    return found.code


async def connect(listener: Listener, local: str) -> socket.socket:
    opened = socket.socket()
    opened.setblocking(False)
    opened.bind((local, 0))
    await asyncio.get_running_loop().sock_connect(opened, (HOST, listener.port))
    return opened


def test_a_dial_back_finds_the_node_key_and_nothing_else_happens() -> None:
    async def scene() -> None:
        async with listening(HOST, 0, KEY, DOMAIN, SystemClock()) as listener:
            assert [await dial(listener) for _ in range(3)] == ["ok"] * 3
            reader, writer = await asyncio.open_connection(HOST, listener.port, ssl=client_context())
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            assert await reader.read() == b""
            writer.close()
            await until(lambda: listener.under_way == 0)

    run(scene())


def test_old_tls_is_refused() -> None:
    async def scene() -> None:
        async with listening(HOST, 0, KEY, DOMAIN, SystemClock()) as listener:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises((ssl.SSLError, ConnectionResetError)):  # an alert, or a reset where that came first
                await asyncio.open_connection(HOST, listener.port, ssl=context)
            assert await dial(listener) == "ok"

    run(scene())


def test_garbage_is_hung_up_on_and_the_next_one_is_served() -> None:
    async def scene() -> None:
        async with listening(HOST, 0, KEY, DOMAIN, SystemClock()) as listener:
            for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(5_000), b"\x16\x03\x01\xff\xff" + b"\xff" * 9_000, b"\x16"):
                reader, writer = await asyncio.open_connection(HOST, listener.port)
                writer.write(garbage)
                writer.write_eof()
                with contextlib.suppress(ConnectionResetError):
                    assert len(await reader.read()) < 100
                writer.close()
            assert await dial(listener) == "ok"
            await until(lambda: listener.under_way == 0)

    run(scene())


def test_of_relayed_callers_that_come_at_once_the_newest_stay_and_all_end() -> None:
    async def scene() -> None:
        async with listening(HOST, 0, KEY, DOMAIN, SystemClock(), handshake_s=1.0) as listener:
            pairs = [socket.socketpair() for _ in range(3 * MOST_RELAYED)]
            for ours, _ in pairs:
                ours.setblocking(False)
                listener.take(ours)
            assert listener.under_way == MOST_RELAYED
            await until(lambda: listener.under_way == 0)
            for _, theirs in pairs:
                assert theirs.recv(1) == b""
                theirs.close()

    run(scene())


def test_half_open_handshakes_are_bounded_for_a_prefix_and_time_out() -> None:
    async def scene() -> None:
        async with listening(HOST, 0, KEY, DOMAIN, SystemClock(), handshake_s=1.0) as listener:
            silent = [await connect(listener, "127.78.66.1") for _ in range(3 * MOST_OF_ONE_PREFIX)]
            await until(lambda: listener.under_way > 0)
            await asyncio.sleep(0)
            assert listener.under_way <= MOST_OF_ONE_PREFIX
            assert await dial(listener, "127.78.2.1") == "ok", "others are served meanwhile"
            await until(lambda: listener.under_way == 0)
            assert await dial(listener, "127.78.66.2") == "ok", "and so is the prefix, afterwards"
            for opened in silent:
                opened.close()

    run(scene())


def test_closing_ends_half_open_handshakes() -> None:
    async def scene() -> None:
        async with listening(HOST, 0, KEY, DOMAIN, SystemClock(), handshake_s=60.0) as listener:
            opened = await connect(listener, "127.78.66.1")
            await until(lambda: listener.under_way == 1)
        opened.close()

    run(scene())


def test_the_certificate_is_renewed_before_its_time_is_over() -> None:
    async def scene() -> None:
        clock = ManualClock(1_700_000_000.0)
        async with listening(HOST, 0, KEY, DOMAIN, clock) as listener:
            for _ in range(4):
                _, writer = await asyncio.open_connection(HOST, listener.port, ssl=client_context())
                shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                writer.close()
                assert peer_address(shown, DOMAIN, clock.now()) == KEY.address
                await clock.advance(RENEW_S)
            assert 4 * RENEW_S > IDENTITY_S

    run(scene())
