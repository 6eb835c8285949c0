"""Whom the resolver names in DNS: those who opted in, as long as they are connected, and not a moment longer."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import dnslib.dns as untyped
import pytest

from chain.keys import NodeKey
from chain.typed import sign
from resolver.directory import PoolDirectory
from resolver.dns import MOST_SERVICES, DnsProtocol, answer_to, parse_zone, serve_dns
from resolver.node import read_surroundings
from runtime.clock import ManualClock
from tests.deployments import MASTER, deployed
from tests.deployments import PROVIDER as REGISTERED
from tests.unit.resolver.pool_world import (
    DOMAIN,
    OTHER,
    PROVIDER,
    START,
    announcement,
    heartbeat_of,
    leaving_of,
    open_resolver,
    signed_reports,
)
from wire.answers import ReportBatch

dnslib: Any = untyped
ZONE = parse_zone("dpn.test")


def join(resolver: Any, key: NodeKey, **changes: Any) -> None:
    resolver.announce(sign(announcement(key=key, **changes), DOMAIN, key))
    resolver.take_reports(ReportBatch(signed_reports(key=key)))


def ask(directory: PoolDirectory, clock: ManualClock, name: str, kind: str) -> Any:
    question = dnslib.DNSRecord(q=dnslib.DNSQuestion(name, getattr(dnslib.QTYPE, kind)))
    packed = answer_to(bytes(question.pack()), ZONE, directory, clock.now(), 30)
    assert packed is not None
    return dnslib.DNSRecord.parse(packed)


def name_of(key: NodeKey) -> str:
    return f"{key.address[2:]}.p.dpn.test"


def test_only_connected_providers_that_opted_in_are_named(tmp_path: Path) -> None:
    clock = ManualClock(START)
    resolver, store = open_resolver(tmp_path, clock)
    silent, pending = NodeKey(b"\x51" * 32), NodeKey(b"\x52" * 32)
    join(resolver, PROVIDER)
    join(resolver, silent, dns=False)
    resolver.announce(sign(announcement(key=pending), DOMAIN, pending))
    directory = PoolDirectory(resolver, clock)
    assert [str(record.rdata) for record in ask(directory, clock, name_of(PROVIDER), "A").rr] == ["5.6.7.8"]
    for key in (silent, pending, OTHER):
        assert ask(directory, clock, name_of(key), "A").header.rcode == dnslib.RCODE.NXDOMAIN
    for name in ("_dpn._tcp.dpn.test", "_dpn._tcp.de.dpn.test"):
        assert [str(record.rdata.target) for record in ask(directory, clock, name, "SRV").rr] == [f"{name_of(PROVIDER)}."]
    assert ask(directory, clock, "_dpn._tcp.fr.dpn.test", "SRV").rr == []
    store.close()


def test_the_ttl_is_never_longer_than_the_presence(tmp_path: Path) -> None:
    async def go() -> None:
        clock = ManualClock(START)
        resolver, store = open_resolver(tmp_path, clock)
        directory = PoolDirectory(resolver, clock)
        join(resolver, PROVIDER)
        for step, ttl in ((0, 90), (0.5, 89), (29.5, 60), (59.5, 0)):
            await clock.advance(step)
            (record,) = ask(directory, clock, name_of(PROVIDER), "A").rr
            assert record.ttl == ttl
        await clock.advance(0.5)
        assert ask(directory, clock, name_of(PROVIDER), "A").header.rcode == dnslib.RCODE.NXDOMAIN
        assert ask(directory, clock, "_dpn._tcp.dpn.test", "SRV").rr == []
        store.close()

    asyncio.run(go())


def test_who_leaves_or_moves_is_answered_so_at_once(tmp_path: Path) -> None:
    clock = ManualClock(START)
    resolver, store = open_resolver(tmp_path, clock)
    directory = PoolDirectory(resolver, clock)
    join(resolver, PROVIDER)
    join(resolver, OTHER, dns=True)
    assert len(ask(directory, clock, "_dpn._tcp.dpn.test", "SRV").rr) == 2
    resolver.heartbeat(sign(heartbeat_of(START + 1, key=OTHER, time=START, host="5.6.9.9", port=7499), DOMAIN, OTHER))
    assert str(ask(directory, clock, name_of(OTHER), "A").rr[0].rdata) == "5.6.9.9"
    resolver.leave(sign(leaving_of(START + 1, time=START), DOMAIN, PROVIDER))
    assert [record.rdata.port for record in ask(directory, clock, "_dpn._tcp.dpn.test", "SRV").rr] == [7499]
    store.close()


def test_different_questions_draw_different_providers(tmp_path: Path) -> None:
    clock = ManualClock(START)
    resolver, store = open_resolver(tmp_path, clock)
    keys = [NodeKey(bytes([0x60 + n]) * 32) for n in range(2 * MOST_SERVICES)]
    for key in keys:
        join(resolver, key)
    directory = PoolDirectory(resolver, clock)
    drawn = {published.provider for start in range(20) for published in directory.draw("DE", start, MOST_SERVICES)}
    assert drawn == {key.address for key in keys}
    assert len(ask(directory, clock, "_dpn._tcp.dpn.test", "SRV").rr) == MOST_SERVICES
    store.close()


class Caller(asyncio.DatagramProtocol):
    """Collects what comes back."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        assert addr
        self.received.put_nowait(data)


def test_over_udp_garbage_is_dropped_and_the_next_question_answered(tmp_path: Path) -> None:
    async def go() -> None:
        clock = ManualClock(START)
        resolver, store = open_resolver(tmp_path, clock)
        join(resolver, PROVIDER)
        server = await serve_dns("127.0.0.1", 0, DnsProtocol(ZONE, PoolDirectory(resolver, clock), clock, 30))
        caller = Caller()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: caller, remote_addr=server.get_extra_info("sockname"))
        try:
            question = dnslib.DNSRecord(q=dnslib.DNSQuestion(name_of(PROVIDER), dnslib.QTYPE.A))
            for garbage in (b"\x00", b"\xff" * 600, bytes(question.pack())[:-1], bytes(question.reply().pack())):
                transport.sendto(garbage)
            transport.sendto(bytes(question.pack()))
            reply = dnslib.DNSRecord.parse(await asyncio.wait_for(caller.received.get(), 10))
            assert (reply.header.id, str(reply.rr[0].rdata)) == (question.header.id, "5.6.7.8")
            assert caller.received.empty()
        finally:
            transport.close()
            server.close()
            store.close()
            await asyncio.sleep(0)

    asyncio.run(go())


def test_dig_reads_a_provider(tmp_path: Path) -> None:
    """With the tool that people use; it sends EDNS options, which the small packets of the other tests lack."""
    if shutil.which("dig") is None:
        assert os.environ.get("CI") != "true", "bind9-dnsutils should have been installed"
        pytest.skip("dig is missing: install your system's bind9-dnsutils or bind-utils.")

    async def go() -> None:
        clock = ManualClock(START)
        resolver, store = open_resolver(tmp_path, clock)
        join(resolver, PROVIDER)
        server = await serve_dns("127.0.0.1", 0, DnsProtocol(ZONE, PoolDirectory(resolver, clock), clock, 30))
        port = str(server.get_extra_info("sockname")[1])

        async def dig(*question: str) -> list[list[str]]:
            command = ("dig", "@127.0.0.1", "-p", port, "+noall", "+answer", "+tries=1", "+time=5", *question)
            ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            return [line.split() for line in ran.stdout.splitlines() if line and not line.startswith(";")]

        try:
            assert await dig(name_of(PROVIDER), "A") == [[f"{name_of(PROVIDER)}.", "90", "IN", "A", "5.6.7.8"]]
            ((_, ttl, _, kind, *_, target),) = await dig("_dpn._tcp.de.dpn.test", "SRV")
            assert (ttl, kind, target) == ("90", "SRV", f"{name_of(PROVIDER)}.")
        finally:
            server.close()
            store.close()
            await asyncio.sleep(0)

    asyncio.run(go())


def test_masters_are_read_from_the_chain() -> None:
    async def go() -> None:
        _, chain, _ = await deployed()
        found = await read_surroundings(chain)
        assert [(master.address, master.endpoint) for master in found.terms.masters] == [(MASTER.address, "127.3.0.1:7000")]
        assert found.terms.timing == chain.network.timing
        assert REGISTERED.address not in found.registered
        assert found.reputations == {}

    asyncio.run(go())
