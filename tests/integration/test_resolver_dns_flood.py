"""Who forges the sender of questions cannot make the resolver flood that sender: beyond a bound answers are no longer than questions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import dnslib.dns as untyped

from chain.types import Address
from resolver.dns import MOST_LONGER, DnsProtocol, Published, parse_zone, serve_dns
from runtime.clock import ManualClock

dnslib: Any = untyped
QUESTION = bytes(dnslib.DNSRecord(q=dnslib.DNSQuestion("_dpn._tcp.dpn.test", dnslib.QTYPE.SRV)).pack())
FIVE = tuple(Published(Address(f"0x{number:040x}"), "203.0.113.7", 443, 60) for number in range(5))


class Five:
    """A directory of five providers."""

    def find(self, provider: Address) -> Published | None:
        return next((one for one in FIVE if one.provider == provider), None)

    def draw(self, region: str, start: int, most: int) -> Sequence[Published]:
        return [FIVE[(start + offset) % len(FIVE)] for offset in range(most)] if not region else ()


class Asker(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002 - the socket is connected
        self.answers.put_nowait(data)


def test_a_prefix_gets_only_so_many_long_answers_a_second() -> None:
    async def run() -> list[list[bytes]]:
        clock = ManualClock(1_000.0)
        server = await serve_dns("127.0.0.1", 0, DnsProtocol(parse_zone("dpn.test"), Five(), clock, 30))
        loop = asyncio.get_running_loop()
        place = server.get_extra_info("sockname")

        async def ask(host: str, times: int) -> list[bytes]:
            transport, asker = await loop.create_datagram_endpoint(Asker, local_addr=(host, 0), remote_addr=place)
            found = []
            for _ in range(times):
                transport.sendto(QUESTION)
                found.append(await asyncio.wait_for(asker.answers.get(), 5))
            transport.close()
            return found

        flooded = await ask("127.0.1.1", MOST_LONGER) + await ask("127.0.1.2", 3)
        elsewhere = await ask("127.0.2.1", 1)
        await clock.advance(1.0)
        later = await ask("127.0.1.1", 1)
        server.close()
        return [flooded, elsewhere, later]

    flooded, elsewhere, later = asyncio.run(run())
    for answer in (*flooded[:MOST_LONGER], *elsewhere, *later):
        assert len(dnslib.DNSRecord.parse(answer).rr) == 5
    for answer in flooded[MOST_LONGER:]:
        assert len(answer) <= len(QUESTION)
        assert dnslib.DNSRecord.parse(answer).header.tc == 1
