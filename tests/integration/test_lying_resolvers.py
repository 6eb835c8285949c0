"""What a consumer makes of resolvers that lie, refuse, babble or say nothing: the others are asked, and nothing of it reaches a screen."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from aiohttp import web

from chain.canonical import encode
from chain.keys import NodeKey
from chain.typed import Domain, sign
from chain.types import Address, Wei
from chain.view import Listing
from consumer.finding import NobodyAnswers, ask_resolvers
from runtime.clock import SystemClock
from wire.answers import Match, Matches, MatchQuery
from wire.http import Client, PeerRefused, answer, application, serve
from wire.messages import SessionRequest
from wire.refusals import Refused

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
CONSUMER, LIAR, HONEST = (NodeKey(bytes([number]) * 32) for number in (1, 2, 3))
HOST = "127.93.1.1"

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


def match(region: str = "DE") -> Match:
    return Match(Address("0x" + "aa" * 20), "5.6.7.8", 7400, region, 10**8, 1, 0, 1, 0, 0, 0, 0, 0)


def matches(key: NodeKey, *found: Match) -> Matches:
    return Matches(key.address, int(time.time()), 0, found)


def says(value: object) -> Answering:
    async def one(_: web.Request) -> web.StreamResponse:
        if isinstance(value, Refused):
            raise value
        return web.Response(body=value) if isinstance(value, bytes) else answer(value)

    return one


@dataclass(frozen=True)
class Resolver:
    key: NodeKey
    answering: Answering


@contextlib.asynccontextmanager
async def listed(*resolvers: Resolver) -> AsyncIterator[tuple[Client, tuple[Listing, ...]]]:
    async with contextlib.AsyncExitStack() as stack:
        listings = []
        for one in resolvers:
            app = application(DOMAIN, one.key.address, SystemClock())
            app.router.add_post("/v1/matches", one.answering)
            runner = await serve(app, HOST, 0)
            stack.push_async_callback(runner.cleanup)
            listings.append(Listing(one.key.address, "resolver", f"{HOST}:{runner.addresses[0][1]}", Wei(0)))
        client = Client(DOMAIN)
        stack.push_async_callback(client.close)
        yield client, tuple(listings)


def query() -> MatchQuery:
    request = SessionRequest(CONSUMER.address, "", 0, 10**6, 10, 0, 10**18, 1, int(time.time()) + 60)
    return MatchQuery(sign(request, DOMAIN, CONSUMER), (), ())


def asked(*resolvers: Resolver) -> Matches:
    async def scene() -> Matches:
        async with listed(*resolvers) as (client, listings):
            return await ask_resolvers(client, listings, query())

    return asyncio.run(scene())


LIES: dict[str, object] = {
    "garbage": b"\xff{",
    "another thing": matches(LIAR).matches,
    "a number out of the world": encode(matches(LIAR, match())).replace(b'"port":7400', b'"port":99999'),
    "a negative one": encode(matches(LIAR, match())).replace(b'"port":7400', b'"port":-1'),
    "another resolver's name": matches(CONSUMER, match()),
    "a region that moves the cursor": matches(LIAR, match("\x1b[2J")),
    "a region with a line break": matches(LIAR, match("DE\n")),
    "too much": b" " * (9 << 20),
    "a refusal": Refused("busy", next_try=2**40),
    "nobody": matches(LIAR),
}


@pytest.mark.parametrize("lie", LIES)
def test_the_next_one_is_asked(lie: str) -> None:
    found = asked(Resolver(LIAR, says(LIES[lie])), Resolver(HONEST, says(matches(HONEST, match()))))
    assert (found.resolver, len(found.matches)) == (HONEST.address, 1)


def test_if_all_refuse_it_is_said_and_if_none_answers_too() -> None:
    with pytest.raises(PeerRefused) as refused:
        asked(Resolver(LIAR, says(Refused("no_deposit"))), Resolver(HONEST, says(b"?")))
    assert refused.value.code == "no_deposit"
    with pytest.raises(NobodyAnswers):
        asked(Resolver(LIAR, says(b"?")), Resolver(HONEST, says(b"")))
    with pytest.raises(NobodyAnswers):
        asked()


def test_one_that_has_nobody_is_believed_if_the_others_only_refuse() -> None:
    found = asked(Resolver(LIAR, says(Refused("busy"))), Resolver(HONEST, says(matches(HONEST))))
    assert (found.resolver, found.matches) == (HONEST.address, ())
