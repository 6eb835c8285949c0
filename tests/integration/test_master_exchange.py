"""A master and a provider on loopback: real datagrams, real HTTP, a real TLS listener with the right key and with others."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.canonical import decode, encode
from chain.epochs import Timing
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed, sign, verify
from chain.types import Address, Digest
from master.api import MAX_BODY, api
from master.checks import Checks
from master.datagrams import answering
from master.dialback import Dialer
from master.echo import Responder
from master.report import Ledger
from runtime.clock import SystemClock
from wire.http import Client, PeerRefused, answer, serve
from wire.messages import Announcement, LatencyReport
from wire.refusals import TABLE
from wire.tls import make_identity, server_context
from wire.udp import Cookie, Echo, Hello, make_nonce, pack, parse

DOMAIN = Domain(31337, Address("0x" + "33" * 20))
RULES = Rules(allow_private_addresses=True)
MASTER, PROVIDER, OTHER = NodeKey(b"\x01" * 32), NodeKey(b"\x02" * 32), NodeKey(b"\x03" * 32)
MASTER_HOST, HOME, ELSEWHERE = "127.20.0.1", "127.21.0.1", "127.22.0.1"


@dataclass
class Served:
    """A running master. endpoint: host:port, UDP and TCP."""

    endpoint: str
    port: int
    responder: Responder
    checks: Checks
    client: Client

    async def report_on(self, announcement: Announcement, key: NodeKey = PROVIDER) -> LatencyReport:
        body = await self.client.post(self.endpoint, "/v1/checks", sign(announcement, DOMAIN, key))
        signed: Signed[LatencyReport] = decode(Signed[LatencyReport], body)
        return verify(signed, DOMAIN)


@contextlib.asynccontextmanager
async def master() -> AsyncIterator[Served]:
    """A master whose first epoch began a minute ago, so that no slot ends during a test."""
    clock = SystemClock()
    timing = Timing(int(clock.now()) - 60, 86_400, 1800, 21_600, 43_200, 3600, 1200, 144)
    responder, ledger = Responder(os.urandom(32), timing, RULES.echo_rounds), Ledger(MASTER.address, timing, RULES.echo_rounds)
    dialer = Dialer(MASTER_HOST, DOMAIN, timeout_s=2)
    checks = Checks(MASTER, DOMAIN, timing, RULES, clock, responder, ledger, dialer.dial)

    def status() -> web.Response:
        return answer({"role": "master", "datagrams": dict(responder.counts)})

    runner = await serve(api(checks, ledger, status, DOMAIN, MASTER.address, clock), MASTER_HOST, 0)
    client = Client(DOMAIN, HOME)
    try:
        with answering(responder, MASTER_HOST, port := runner.addresses[0][1], clock):
            yield Served(f"{MASTER_HOST}:{port}", port, responder, checks, client)
    finally:
        await client.close()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def listening(host: str, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """A listener that hangs up when its peer does; yields its port."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(served, host, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def exchange(port: int, source: str, rounds: int = 5, provider: Address = PROVIDER.address, hold_s: float = 0.0) -> None:
    """The provider's end, from this source address; holds each echo back for `hold_s` seconds."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.setblocking(False)
        plain.bind((source, 0))
        plain.connect((MASTER_HOST, port))
        for round_ in range(rounds):
            await loop.sock_sendall(plain, pack(Hello(provider, make_nonce(os.urandom(7), round_))))
            cookie = parse(await asyncio.wait_for(loop.sock_recv(plain, 200), 5))
            assert isinstance(cookie, Cookie)
            await asyncio.sleep(hold_s)
            await loop.sock_sendall(plain, pack(Echo(cookie)))


async def counted(master: Served, echoes: int) -> None:
    """Waits until the master has judged this many echoes."""
    for _ in range(500):
        if master.responder.counts["echoes"] >= echoes:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"the master counted {master.responder.counts}")


def announcement(port: int, host: str = HOME, sequence: int = 1) -> Announcement:
    return Announcement(PROVIDER.address, Digest(bytes(32)), sequence, int(time.time()), host, port, 10**8, 1, "", 0, 0, False)


def tls(key: NodeKey, domain: Domain = DOMAIN, not_after: int = 2_000_000_000) -> ssl.SSLContext:
    return server_context(make_identity(key, domain, not_after))


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_a_master_held_up_between_its_clocks_makes_no_round_trip_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    class HeldUp:
        """The clocks, of a process that loses the processor after each reading."""

        @staticmethod
        def _then_wait(now: int) -> int:
            time.sleep(0.02)
            return now

        def monotonic_ns(self) -> int:
            return self._then_wait(time.monotonic_ns())

        def time_ns(self) -> int:
            return self._then_wait(time.time_ns())

    async def scenario() -> None:
        async with master() as here:
            loop = asyncio.get_running_loop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
                plain.setblocking(False)
                plain.bind((HOME, 0))
                plain.connect((MASTER_HOST, here.port))
                await loop.sock_sendall(plain, pack(Hello(PROVIDER.address, make_nonce(os.urandom(7), 0))))
                cookie = parse(await asyncio.wait_for(loop.sock_recv(plain, 200), 5))
                assert isinstance(cookie, Cookie)
                monkeypatch.setattr("master.datagrams.time", HeldUp())
                await asyncio.sleep(0.05)
                await loop.sock_sendall(plain, pack(Echo(cookie)))
                await counted(here, 1)
            (found,) = here.responder.exchanges(PROVIDER.address, time.time())
            assert found.rtts_us[0] >= 50_000

    run(scenario)


def test_a_provider_is_timed_dialled_back_and_reported() -> None:
    async def scenario() -> None:
        async with master() as here, listening(HOME, tls(PROVIDER)) as port:
            await exchange(here.port, HOME)
            await counted(here, 5)
            report = await here.report_on(announcement(port))
            assert (report.master, report.provider, report.epoch) == (MASTER.address, PROVIDER.address, 1)
            assert (report.slots[0], report.loss_ppm, report.address_ok, report.group_prefix) == (1, 0, True, "127.21.0.0/24")
            assert 0 < report.rtt_min_us <= report.rtt_median_us < 2_000_000
            kept = await here.client.get(here.endpoint, f"/v1/reports/1/{PROVIDER.address}")
            held: Signed[LatencyReport] = decode(Signed[LatencyReport], kept)
            assert held.message == report

    run(scenario)


def test_holding_echoes_back_only_makes_a_provider_slower() -> None:
    async def scenario() -> None:
        async with master() as here, listening(HOME, tls(PROVIDER)) as port:
            await exchange(here.port, HOME, rounds=3, hold_s=0.1)
            await counted(here, 3)
            report = await here.report_on(announcement(port))
            assert report.rtt_min_us >= 100_000
            assert report.loss_ppm == 400_000

    run(scenario)


@pytest.mark.parametrize(
    ("context", "code"),
    [
        (tls(OTHER), "dial_back_wrong_key"),
        (tls(PROVIDER, Domain(1, DOMAIN.settlement)), "dial_back_wrong_key"),
        (tls(PROVIDER, not_after=1_600_000_000), "dial_back_wrong_key"),
        (None, "dial_back_failed"),
    ],
    ids=["another node", "another network", "expired", "no TLS"],
)
def test_what_does_not_prove_the_key_is_refused(context: ssl.SSLContext | None, code: str) -> None:
    async def scenario() -> None:
        async with master() as here, listening(HOME, context) as port:
            await exchange(here.port, HOME)
            await counted(here, 5)
            with pytest.raises(PeerRefused) as caught:
                await here.report_on(announcement(port))
            assert (caught.value.code, caught.value.status, caught.value.observer) == (code, 422, MASTER.address)
            assert caught.value.evidence["observed"] == HOME
            assert caught.value.next_try > 0
            with pytest.raises(PeerRefused) as nothing:
                await here.client.get(here.endpoint, f"/v1/reports/1/{PROVIDER.address}")
            assert nothing.value.code == "not_found"

    run(scenario)


def test_tls_1_2_proves_nothing() -> None:
    async def scenario() -> None:
        context = tls(PROVIDER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        async with master() as here, listening(HOME, context) as port:
            await exchange(here.port, HOME)
            await counted(here, 5)
            with pytest.raises(PeerRefused) as caught:
                await here.report_on(announcement(port))
            assert caught.value.code == "dial_back_failed"

    run(scenario)


def test_a_closed_port_is_a_failed_dial_back_and_the_third_try_waits() -> None:
    async def scenario() -> None:
        async with master() as here:
            async with listening(HOME, None) as port:
                pass
            await exchange(here.port, HOME)
            await counted(here, 5)
            codes = []
            for _ in range(3):
                with pytest.raises(PeerRefused) as caught:
                    await here.report_on(announcement(port))
                codes.append(caught.value.code)
            assert codes == ["dial_back_failed", "dial_back_failed", "dial_back_limit"]

    run(scenario)


def test_a_listener_that_says_nothing_costs_two_seconds_at_most() -> None:
    async def scenario() -> None:
        verdict = await Dialer(MASTER_HOST, DOMAIN, timeout_s=0.2).dial(ipaddress.ip_address(HOME), silent_port, PROVIDER.address, 0)
        assert verdict.code == "dial_back_failed"
        assert "0.2 s" in verdict.detail

    with socket.socket() as silent:
        silent.bind((HOME, 0))
        silent.listen()
        silent_port = silent.getsockname()[1]
        run(scenario)


def test_a_dial_back_comes_from_the_masters_own_address() -> None:
    async def scenario() -> None:
        seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def served(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.set_result(writer.get_extra_info("peername")[0])
            writer.transport.abort()

        server = await asyncio.start_server(served, HOME, 0, ssl=tls(PROVIDER))
        async with server:
            port = server.sockets[0].getsockname()[1]
            verdict = await Dialer(MASTER_HOST, DOMAIN).dial(ipaddress.ip_address(HOME), port, PROVIDER.address, 0)
            assert verdict.code == "ok"
            assert await seen == MASTER_HOST

    run(scenario)


def test_a_stranger_who_echoes_in_a_providers_name_gets_nothing_and_takes_nothing() -> None:
    async def scenario() -> None:
        async with master() as here, listening(HOME, tls(PROVIDER)) as port:
            await exchange(here.port, ELSEWHERE)
            await counted(here, 5)
            with pytest.raises(PeerRefused) as caught:
                await here.report_on(announcement(port))
            assert caught.value.code == "dial_back_failed", "nothing listens at the stranger's address"
            await exchange(here.port, HOME, hold_s=0.05)
            await counted(here, 10)
            report = await here.report_on(announcement(port))
            assert report.address_ok
            assert report.rtt_min_us >= 50_000, "the stranger's faster echoes are not the provider's"

    run(scenario)


def test_without_echoes_nobody_is_dialled() -> None:
    async def scenario() -> None:
        async with master() as here, listening(HOME, tls(PROVIDER)) as port:
            with pytest.raises(PeerRefused) as caught:
                await here.report_on(announcement(port))
            assert (caught.value.code, caught.value.status) == ("no_echo", 409)
            assert here.checks.counts["dials"] == 0

    run(scenario)


@pytest.mark.parametrize("path", ["x/" + PROVIDER.address, "-1/" + PROVIDER.address, "1/0xabc", "9" * 30 + "/" + PROVIDER.address])
def test_a_path_that_names_nothing_is_a_bad_parameter(path: str) -> None:
    async def scenario() -> None:
        async with master() as here:
            with pytest.raises(PeerRefused) as caught:
                await here.client.get(here.endpoint, f"/v1/reports/{path}")
            assert (caught.value.code, caught.value.status) == ("bad_parameter", 400)

    run(scenario)


GOOD = encode(sign(announcement(4433), DOMAIN, PROVIDER))
near_misses = st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)).map(lambda c: GOOD[: c[0]] + bytes([c[1]]) + GOOD[c[0] + 1 :])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


def test_garbage_bodies_and_datagrams_leave_no_trace() -> None:
    """One master takes all of it; each answer is a coded refusal, and it still works in the end."""

    async def scenario() -> None:
        async with master() as here, listening(HOME, tls(PROVIDER)) as port:
            loop = asyncio.get_running_loop()

            async def refused(body: bytes) -> str:
                with pytest.raises(PeerRefused) as caught:
                    await here.client.post(here.endpoint, "/v1/checks", body)
                return caught.value.code

            def drive() -> None:
                codes: set[str] = set()

                @settings(max_examples=60)
                @given(st.binary(max_size=300) | near_misses | json_values.map(encode_loosely))
                def bodies(body: bytes) -> None:
                    codes.add(asyncio.run_coroutine_threadsafe(refused(body), loop).result(20))

                bodies()
                assert codes <= TABLE.keys() - {"internal", "chain_unavailable"}

            await asyncio.to_thread(drive)
            assert await refused(b"[" * (MAX_BODY + 1)) == "body_too_large"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind((ELSEWHERE, 0))
                for size in (0, 1, 4, 5, 72, 73, 74, 79, 80, 81, 1400, 60_000):
                    stranger.sendto(b"DPN1\x03" + os.urandom(size), (MASTER_HOST, here.port))
                    stranger.sendto(os.urandom(size), (MASTER_HOST, here.port))
            assert here.responder.exchanges(PROVIDER.address, time.time()) == ()
            assert here.checks.counts["dials"] == 0
            await exchange(here.port, HOME)
            await counted(here, 5)
            assert (await here.report_on(announcement(port))).address_ok

    run(scenario)


def encode_loosely(value: object) -> bytes:
    """JSON that need not be canonical."""
    import json

    return json.dumps(value).encode()
