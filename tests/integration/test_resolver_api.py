"""The resolver's HTTP interface on loopback: what it answers, and that every endpoint refuses garbage and near-misses with a code."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.canonical import decode, encode
from chain.keys import NodeKey
from chain.typed import Domain, members, sign, verify
from chain.types import Address, Digest
from resolver.api import FindRelay, build, no_relay
from resolver.service import Resolver
from resolver.store import PoolStore
from runtime.clock import ManualClock
from tests.unit.resolver.pool_world import (
    CONSUMER,
    DOMAIN,
    HOST,
    MASTERS,
    OTHER,
    PREFIX,
    PROVIDER,
    RESOLVER,
    START,
    STRANGER,
    TIMING,
    announcement,
    heartbeat_of,
    leaving_of,
    open_resolver,
    query_of,
    report_of,
    request_of,
    signed_reports,
)
from wire.answers import Matches, MatchQuery, PoolAnswer, PoolView, ProviderView, ReportBatch
from wire.http import MAX_BODY, NETWORK_HEADER, answer, serve
from wire.ranking import Reputation
from wire.refusals import TABLE
from wire.relays import RelayPlace

T = TypeVar("T")

POSTS = ("/v1/announcements", "/v1/heartbeats", "/v1/reports", "/v1/leaving", "/v1/matches")
GETS = ("/v1/providers", "/v1/status", f"/v1/providers/{PROVIDER.address}")


@dataclass(frozen=True)
class Served:
    """A resolver behind a real server; `call` gives status and body."""

    resolver: Resolver
    store: PoolStore
    clock: ManualClock
    http: aiohttp.ClientSession
    port: int

    async def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, f"http://127.0.0.1:{self.port}{path}", data=body, headers=named) as response:
            assert response.headers.get(NETWORK_HEADER) == str(DOMAIN)
            return response.status, await response.read()

    async def post(self, path: str, value: Any) -> tuple[int, bytes]:
        return await self.call("POST", path, value if isinstance(value, bytes) else encode(value))

    async def accepted(self, path: str, value: Any) -> PoolAnswer:
        status, body = await self.post(path, value)
        assert status == 200, body
        found: PoolAnswer = decode(PoolAnswer, body)
        return found

    async def matches(self) -> Matches:
        status, body = await self.post("/v1/matches", query_of(self.clock.now()))
        assert status == 200, body
        found: Matches = decode(Matches, body)
        return found

    async def matched(self) -> list[Address]:
        return [match.provider for match in (await self.matches()).matches]


@contextlib.asynccontextmanager
async def served(path: Path, *, find_relay: FindRelay = no_relay, **options: Any) -> AsyncIterator[Served]:
    clock = ManualClock(START)
    resolver, store = open_resolver(path, clock, **options)
    runner = await serve(build(resolver, DOMAIN, clock, lambda: answer({"role": "resolver"}), find_relay), "127.0.0.1", 0)
    try:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as http:
            yield Served(resolver, store, clock, http, runner.addresses[0][1])
    finally:
        await runner.cleanup()
        store.close()


def on_loopback(path: Path, act: Callable[[Served], Awaitable[T]], **options: Any) -> T:
    async def go() -> T:
        async with served(path, **options) as found:
            return await act(found)

    return asyncio.run(go())


def refused(status: int, body: bytes) -> str:
    """The code, once the envelope is seen to be whole and to fit the status."""
    error = json.loads(body)["error"]
    assert error.keys() == {"code", "message", "observer", "time", "evidence", "nextTry"}
    assert TABLE[error["code"]][0] == status
    assert status != 500
    assert (error["observer"], error["time"]) == (RESOLVER.address, START)
    return str(error["code"])


def test_from_the_first_ping_to_goodbye(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        found = await node.accepted("/v1/announcements", sign(announcement(), DOMAIN, PROVIDER))
        assert (found.state, found.code, found.observer, found.time) == ("pending_verification", "no_report", RESOLVER.address, START)
        assert [(view.master, view.code) for view in found.masters] == [(master.address, "no_report") for master in MASTERS]
        assert found.next_try == START + 30

        found = await node.accepted("/v1/reports", ReportBatch(signed_reports(masters=MASTERS[:1])))
        assert (found.state, [view.code for view in found.masters]) == ("pending_verification", ["ok", "no_report", "no_report"])
        assert await node.matched() == []
        found = await node.accepted("/v1/reports", ReportBatch(signed_reports(masters=MASTERS[1:2])))
        assert (found.state, found.code, found.next_try) == ("connected", "ok", TIMING.slot_start(1, 11))

        assert await node.matched() == [PROVIDER.address]

        for beat in range(1, 18):
            await node.clock.advance(30)
            found = await node.accepted("/v1/heartbeats", sign(heartbeat_of(START + 30 * beat), DOMAIN, PROVIDER))
        ticket = verify(found.tickets[0], DOMAIN)
        assert (ticket.resolver, ticket.provider, ticket.epoch, ticket.group_prefix) == (RESOLVER.address, PROVIDER.address, 1, PREFIX)
        assert ticket.slots == bytes([0, 1 << 2]) + bytes(16)

        await node.clock.advance(1)
        found = await node.accepted("/v1/leaving", sign(leaving_of(node.clock.now()), DOMAIN, PROVIDER))
        assert (found.state, found.code, found.next_try) == ("left", "left", 0)
        view: ProviderView = decode(ProviderView, (await node.call("GET", f"/v1/providers/{PROVIDER.address}"))[1])
        assert (view.state, view.heartbeats, view.group_prefix) == ("left", 17, PREFIX)
        assert await node.matched() == []

    on_loopback(tmp_path, go)


def test_who_falls_silent_is_out_of_matchmaking_at_once(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        await node.accepted("/v1/announcements", sign(announcement(), DOMAIN, PROVIDER))
        await node.accepted("/v1/reports", ReportBatch(signed_reports()))
        for seconds, expected in ((89.9, [PROVIDER.address]), (0.1, [])):
            await node.clock.advance(seconds)
            assert await node.matched() == expected
        view: ProviderView = decode(ProviderView, (await node.call("GET", f"/v1/providers/{PROVIDER.address}"))[1])
        assert (view.state, view.code, view.since) == ("expired", "presence_expired", START + 90)

    on_loopback(tmp_path, go)


def test_neither_host_nor_port_is_shown_to_anyone(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        await node.accepted("/v1/announcements", sign(announcement(host="5.6.7.201", port=61_234), DOMAIN, PROVIDER))
        await node.accepted("/v1/reports", ReportBatch(signed_reports()))
        bodies = [(await node.call("GET", path))[1] for path in GETS]
        bodies.append((await node.post("/v1/matches", sign(request_of(), DOMAIN, CONSUMER)))[1])
        for body in bodies:
            assert b"5.6.7.201" not in body
            assert b"61234" not in body

    on_loopback(tmp_path, go)


def test_consumers_are_sent_to_the_relay_that_is_named_and_nowhere_else(tmp_path: Path) -> None:
    relay = RelayPlace(MASTERS[0].address, "9.0.0.1", 7_300)

    async def find_relay(master: Address) -> RelayPlace | None:
        return relay if master == relay.master else None

    async def go(node: Served) -> None:
        said = announcement(host=relay.host, port=relay.port, relay=relay.master)
        for elsewhere in ({"host": "20.1.2.3"}, {"port": 25}, {"relay": MASTERS[1].address}, {"relay": STRANGER.address}):
            status, body = await node.post("/v1/announcements", sign(replace(said, **elsewhere), DOMAIN, PROVIDER))
            assert refused(status, body) == "not_a_relay"
        assert not node.resolver.entries
        assert (await node.accepted("/v1/announcements", sign(said, DOMAIN, PROVIDER))).state == "pending_verification"

    on_loopback(tmp_path, go, find_relay=find_relay)


def test_the_pool_is_listed_in_pages(tmp_path: Path) -> None:
    keys = [NodeKey(bytes([n]) * 32) for n in range(40, 45)]

    async def go(node: Served) -> None:
        for key in keys:
            await node.accepted("/v1/announcements", sign(announcement(key=key), DOMAIN, key))
        listed: list[Address] = []
        after = ""
        for size in (2, 2, 1, 0):
            page: PoolView = decode(PoolView, (await node.call("GET", f"/v1/providers?limit=2{after}"))[1])
            assert len(page.providers) == size
            listed += [view.provider for view in page.providers]
            after = f"&after={listed[-1]}"
        assert listed == sorted(key.address for key in keys)

    on_loopback(tmp_path, go)


def test_a_flood_of_strangers_leaves_room_for_registered_providers(tmp_path: Path) -> None:
    strangers = [NodeKey(bytes([n]) * 32) for n in range(60, 64)]

    async def go(node: Served) -> None:
        statuses = [await node.post("/v1/announcements", sign(announcement(key=key), DOMAIN, key)) for key in strangers]
        assert [status for status, _ in statuses] == [200, 200, 503, 503]
        assert refused(*statuses[2]) == "busy"
        assert len(node.store.load()) == 2
        for key in (PROVIDER, OTHER):
            await node.accepted("/v1/announcements", sign(announcement(key=key), DOMAIN, key))
        third = strangers[3]
        assert refused(*await node.post("/v1/announcements", sign(announcement(key=third), DOMAIN, third))) == "busy"
        again = announcement(START, key=strangers[0], sequence=2**63)
        await node.accepted("/v1/announcements", sign(again, DOMAIN, strangers[0]))
        await node.clock.advance(400)
        node.resolver.sweep()
        assert node.store.load() == {}
        await node.accepted("/v1/announcements", sign(announcement(START + 400, key=third), DOMAIN, third))

    on_loopback(tmp_path, go, capacity=4)


def test_a_match_shows_the_reputation_and_the_epoch_that_it_is_from(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        await node.accepted("/v1/announcements", sign(announcement(), DOMAIN, PROVIDER))
        await node.accepted("/v1/reports", ReportBatch(signed_reports()))
        for reputations, expected in (({}, (200_000, 0)), ({PROVIDER.address: Reputation(640_000, 7)}, (640_000, 7))):
            node.resolver.surroundings = replace(node.resolver.surroundings, reputations=reputations)
            (match,) = (await node.matches()).matches
            assert (match.reputation_ppm, match.reputation_epoch) == expected

    on_loopback(tmp_path, go)


def test_a_ticket_is_signed_anew_only_when_it_says_more(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        first = await node.accepted("/v1/announcements", sign(announcement(), DOMAIN, PROVIDER))
        await node.clock.advance(30)
        second = await node.accepted("/v1/heartbeats", sign(heartbeat_of(START + 30), DOMAIN, PROVIDER))
        assert first.tickets == second.tickets
        await node.clock.advance(30)
        third = await node.accepted("/v1/heartbeats", sign(heartbeat_of(START + 60, host="5.6.8.8"), DOMAIN, PROVIDER))
        assert third.tickets[0].message.address_changes == 1
        assert third.tickets[0].message.sequence > second.tickets[0].message.sequence

    on_loopback(tmp_path, go)


FOREIGN = Domain(31338, DOMAIN.settlement)

FORGERIES: list[tuple[str, Any, str]] = [
    ("/v1/announcements", lambda: sign(announcement(START, sequence=2**64 - 1), DOMAIN, STRANGER), "wrong_signer"),
    ("/v1/announcements", lambda: sign(announcement(START, sequence=2**64 - 1), FOREIGN, PROVIDER), "wrong_signer"),
    ("/v1/announcements", lambda: sign(announcement(START, host="10.0.0.1"), DOMAIN, OTHER), "wrong_signer"),
    ("/v1/announcements", lambda: sign(announcement(START, OTHER, host="10.0.0.1"), DOMAIN, OTHER), "private_address"),
    ("/v1/announcements", lambda: sign(announcement(START, OTHER, time=START - 121), DOMAIN, OTHER), "stale_time"),
    ("/v1/announcements", lambda: sign(announcement(START), DOMAIN, PROVIDER), "reused_sequence"),
    ("/v1/heartbeats", lambda: sign(heartbeat_of(START + 1), DOMAIN, STRANGER), "wrong_signer"),
    ("/v1/heartbeats", lambda: sign(heartbeat_of(START + 1, key=OTHER), DOMAIN, OTHER), "unknown_presence"),
    ("/v1/leaving", lambda: sign(leaving_of(START + 1), DOMAIN, STRANGER), "wrong_signer"),
    ("/v1/leaving", lambda: sign(leaving_of(START + 1, reason="fun"), DOMAIN, PROVIDER), "absurd_value"),
    ("/v1/reports", lambda: ReportBatch((sign(report_of(MASTERS[0]), DOMAIN, STRANGER),)), "wrong_signer"),
    ("/v1/reports", lambda: ReportBatch((sign(report_of(MASTERS[0]), FOREIGN, MASTERS[0]),)), "wrong_signer"),
    ("/v1/reports", lambda: ReportBatch((sign(report_of(STRANGER), DOMAIN, STRANGER),)), "not_listed"),
    ("/v1/reports", lambda: ReportBatch((*signed_reports(), *signed_reports(key=OTHER))), "wrong_subject"),
    ("/v1/reports", lambda: ReportBatch(signed_reports(key=OTHER)), "unknown_presence"),
    ("/v1/reports", lambda: ReportBatch(()), "absurd_value"),
    ("/v1/matches", lambda: query_of(key=STRANGER), "wrong_signer"),
    ("/v1/matches", lambda: query_of(START - 60), "stale_time"),
]


def test_forgeries_and_replays_store_nothing(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        await node.accepted("/v1/announcements", sign(announcement(), DOMAIN, PROVIDER))
        before = node.store.load()
        for path, make, expected in FORGERIES:
            assert refused(*await node.post(path, make())) == expected
            assert node.store.load() == before == node.resolver.entries

    on_loopback(tmp_path, go)


def test_what_is_wrong_about_a_request_itself(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        for path in POSTS:
            assert refused(*await node.call("GET", path)) == "method_not_allowed"
            assert refused(*await node.call("POST", path, b"x" * (MAX_BODY + 1))) == "body_too_large"
            for encoding in ("gzip", "deflate"):
                assert refused(*await node.call("POST", path, b"\xff\xffnot packed", Content_Encoding=encoding)) == "bad_encoding"
            bomb = gzip.compress(b" " * 20 * MAX_BODY)
            assert refused(*await node.call("POST", path, bomb, Content_Encoding="gzip")) == "bad_encoding"
        for path in GETS:
            assert refused(*await node.call("POST", path, b"{}")) == "method_not_allowed"
        foreign = {NETWORK_HEADER: str(FOREIGN)}
        for method, path in [("POST", POSTS[0]), ("GET", GETS[0])]:
            status, body = await node.call(method, path, None, **foreign)
            assert refused(status, body) == "wrong_network"
            assert json.loads(body)["error"]["evidence"] == {"yours": str(FOREIGN), "mine": str(DOMAIN)}
        for path in ("/", "/v1", "/v1/nobody", "/v2/providers"):
            assert refused(*await node.call("GET", path)) == "not_found"
        assert refused(*await node.call("GET", f"/v1/providers/{STRANGER.address}")) == "not_found"
        for query in ("limit=0", "limit=101", "limit=-1", "limit=x", "limit=", "after=0x12", "after=", "state=connected"):
            assert refused(*await node.call("GET", f"/v1/providers?{query}")) == "bad_parameter"
        assert not node.store.load()

    on_loopback(tmp_path, go)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Served]]:
    """One resolver with one connected provider, for all the garbage below."""

    async def start(stack: contextlib.AsyncExitStack) -> Served:
        node = await stack.enter_async_context(served(tmp_path_factory.mktemp("fuzzed")))
        await node.accepted("/v1/announcements", sign(announcement(), DOMAIN, PROVIDER))
        await node.accepted("/v1/reports", ReportBatch(signed_reports()))
        return node

    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        node = runner.run(start(stack))
        yield runner, node
        runner.run(stack.aclose())


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=12,
)

GENUINE: dict[str, bytes] = {
    "/v1/announcements": encode(sign(announcement(START, sequence=2**60), DOMAIN, PROVIDER)),
    "/v1/heartbeats": encode(sign(heartbeat_of(START, sequence=2**60), DOMAIN, PROVIDER)),
    "/v1/reports": encode(ReportBatch(signed_reports(START + 1))),
    "/v1/leaving": encode(sign(leaving_of(START, sequence=2**60), DOMAIN, PROVIDER)),
    "/v1/matches": encode(query_of()),
}


@st.composite
def near_misses(draw: st.DrawFn) -> tuple[str, bytes]:
    """A path, and a body that was genuine for some path until something about it was changed."""
    path, source = draw(st.sampled_from(POSTS)), draw(st.sampled_from(POSTS))
    genuine = GENUINE[source]
    how = draw(st.sampled_from(["bytes", "cut", "spaces", "value", "missing", "extra", "twice", "other"]))
    if how == "bytes":
        changed = bytearray(genuine)
        for _ in range(draw(st.integers(1, 3))):
            changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
        return path, bytes(changed)
    if how == "cut":
        return path, genuine[: draw(st.integers(0, len(genuine) - 1))]
    if how == "spaces":
        return path, json.dumps(json.loads(genuine), sort_keys=draw(st.booleans())).encode()
    if how == "twice":
        return path, genuine[:-1] + b"," + genuine[1:]
    if how == "other":
        return path, GENUINE[draw(st.sampled_from([other for other in POSTS if other != path]))]
    parsed = json.loads(genuine)
    inner = parsed["reports"][0] if "reports" in parsed else parsed.get("request", parsed)
    target = draw(st.sampled_from([parsed, inner, inner["message"]]))
    name = draw(st.sampled_from(sorted(target)))
    if how == "missing":
        del target[name]
    elif how == "extra":
        target[draw(st.text(max_size=8))] = draw(json_values)
    else:
        target[name] = draw(st.one_of(json_values, st.integers(0, 2**256), st.just(-1), st.just(2**64), st.just("0x")))
    return path, json.dumps(parsed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


bodies = st.one_of(
    st.tuples(st.sampled_from(POSTS), st.binary(max_size=300)),
    st.tuples(st.sampled_from(POSTS), json_values.map(lambda value: json.dumps(value).encode())),
    near_misses(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(bodies)
def test_garbage_and_near_misses_are_refused_with_a_code_and_store_nothing(
    fuzzed: tuple[asyncio.Runner, Served], sent: tuple[str, bytes]
) -> None:
    runner, node = fuzzed
    path, body = sent
    if body == GENUINE[path]:
        return
    before = dict(node.resolver.entries)
    refused(*runner.run(node.post(path, body)))
    assert node.resolver.entries == before == node.store.load()


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type, the ends of its range among them."""
    if annotation is str:
        return st.one_of(st.text(max_size=30), st.sampled_from(["", HOST, "DE", "shutdown", PREFIX, "::1", "127.0.0.1"]))
    if annotation is bool:
        return st.booleans()
    if annotation in (bytes, Digest):
        return st.binary(min_size=32, max_size=32)
    name = annotation.__metadata__[0].name
    bits, signed = int(name.lstrip("uint")), name.startswith("int")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.one_of(st.sampled_from([low, high]), st.integers(low, high))


@st.composite
def signed_oddities(draw: st.DrawFn) -> tuple[str, Any]:
    """A genuine message in which up to three fields have any value, signed by the one it names."""
    sources: list[tuple[str, NodeKey, Any]] = [
        ("/v1/announcements", OTHER, announcement(START, OTHER)),
        ("/v1/announcements", PROVIDER, announcement(START, sequence=2**62)),
        ("/v1/heartbeats", PROVIDER, heartbeat_of(START, sequence=2**62)),
        ("/v1/leaving", PROVIDER, leaving_of(START, sequence=2**62)),
        ("/v1/reports", MASTERS[0], report_of(MASTERS[0], START + 1)),
        ("/v1/matches", CONSUMER, request_of()),
    ]
    path, key, base = draw(st.sampled_from(sources))
    struct: Any = type(base)
    odd = [member for member in members(struct) if member.python_type is not Address]
    for member in draw(st.lists(st.sampled_from(odd), max_size=3)):
        base = replace(base, **{member.name: draw(values_of(member.python_type))})
    signed = sign(base, DOMAIN, key)
    wrapped = {"/v1/reports": ReportBatch((signed,)), "/v1/matches": MatchQuery(signed, (), ())}
    return path, wrapped.get(path, signed)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(signed_oddities(), min_size=1, max_size=6))
def test_signed_messages_with_any_values_are_taken_whole_or_refused_with_a_code(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[str, Any]]
) -> None:
    async def go(node: Served) -> None:
        await node.accepted("/v1/announcements", sign(announcement(), DOMAIN, PROVIDER))
        for path, value in sent:
            before = dict(node.resolver.entries)
            status, body = await node.post(path, value)
            if status != 200:
                refused(status, body)
                assert node.resolver.entries == before
            assert node.store.load() == node.resolver.entries
            await node.call("GET", "/v1/providers")

    on_loopback(tmp_path_factory.mktemp("oddities"), go)


PATHS = ("/v1/providers/{}", "/v1/providers?after={}", "/v1/providers?limit={}", "/v1/{}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.text(min_size=1, max_size=60), st.sampled_from(PATHS))
def test_garbage_in_a_url_is_refused_with_a_code(fuzzed: tuple[asyncio.Runner, Served], text: str, path: str) -> None:
    runner, node = fuzzed
    status, body = runner.run(node.call("GET", path.format(quote(text.encode("utf-8", "replace"), safe=""))))
    if path == PATHS[2] and text in map(str, range(1, 101)):
        assert status == 200
    else:
        refused(status, body)


def test_the_genuine_bodies_are_genuine(tmp_path: Path) -> None:
    """Or the near-misses would miss by more than they say."""

    async def go(node: Served) -> None:
        await node.accepted("/v1/announcements", GENUINE["/v1/announcements"])
        for path in ("/v1/reports", "/v1/matches"):
            assert (await node.post(path, GENUINE[path]))[0] == 200
        later = sign(heartbeat_of(START, sequence=2**60 + 1), DOMAIN, PROVIDER)
        assert (await node.accepted("/v1/heartbeats", later)).state == "connected"
        assert HOST not in str(node.resolver.counts())

    on_loopback(tmp_path, go)
