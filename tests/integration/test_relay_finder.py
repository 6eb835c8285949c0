"""Whom masters are asked for their relays: how often, and whose word counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain
from chain.types import Address
from runtime.clock import ManualClock
from tests.integration.test_tunnels import until
from wire.http import Client, answer, application, serve
from wire.relays import FRESH_S, SILENT_S, RelayFinder, RelayPlace

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
MASTER = NodeKey(b"\x41" * 32).address
HOST = "127.96.1.1"


@dataclass
class Status:
    """What a master answers; asked: how often it was."""

    relay: object = 7_300
    silent: bool = False
    asked: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(self, _: web.Request) -> web.Response:
        self.asked += 1
        await self.may_answer.wait()
        return web.Response(status=503) if self.silent else answer({"address": MASTER, "relay": self.relay})


@contextlib.asynccontextmanager
async def a_finder(status: Status, rules: Rules, clock: ManualClock) -> AsyncIterator[tuple[RelayFinder, str]]:
    app = application(DOMAIN, MASTER, clock)
    app.router.add_get("/v1/status", status.get)
    runner = await serve(app, HOST, 0)
    client = Client(DOMAIN)
    try:
        yield RelayFinder(client, clock, rules), f"{HOST}:{runner.addresses[0][1]}"
    finally:
        await client.close()
        await runner.cleanup()


def test_many_who_want_to_know_at_once_are_one_question() -> None:
    async def scene() -> None:
        clock, status = ManualClock(1_000.0), Status()
        async with a_finder(status, Rules(allow_private_addresses=True), clock) as (finder, endpoint):
            asking = [asyncio.create_task(finder.find(MASTER, endpoint)) for _ in range(50)]
            await until(lambda: status.asked > 0)
            status.may_answer.set()
            assert set(await asyncio.gather(*asking)) == {RelayPlace(MASTER, HOST, 7_300)}
            assert status.asked == 1
            await clock.advance(FRESH_S)
            status.silent = True
            for _ in range(3):
                assert await finder.find(MASTER, endpoint) == RelayPlace(MASTER, HOST, 7_300), "what it said last"
            assert status.asked == 2
            await clock.advance(SILENT_S)
            status.silent, status.relay = False, 7_301
            assert await finder.find(MASTER, endpoint) == RelayPlace(MASTER, HOST, 7_301)

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_relay_in_somebodys_own_network_is_none() -> None:
    async def scene() -> None:
        clock, status = ManualClock(1_000.0), Status()
        status.may_answer.set()
        async with a_finder(status, Rules(), clock) as (finder, endpoint):
            assert await finder.find(MASTER, endpoint) is None

    asyncio.run(asyncio.wait_for(scene(), 30))
