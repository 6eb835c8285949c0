"""HTTP between nodes, over real sockets: coded refusals, bounded bodies, other networks, hostile answers."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from chain.backend import BackendUnavailable
from chain.canonical import encode
from chain.typed import PROTOCOL_VERSION, Domain
from chain.types import Address, Digest
from runtime.clock import ManualClock
from runtime.storage import DatabaseUnavailable
from wire.agreement import InventoryEntry
from wire.http import (
    MAX_ANSWER,
    MAX_BODY,
    NETWORK_HEADER,
    Client,
    PeerMisbehaved,
    PeerRefused,
    PeerUnavailable,
    answer,
    application,
    packed_answer,
    read,
    serve,
)
from wire.packing import pack
from wire.refusals import Refused

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
OTHER = Domain(1, Address("0x" + "22" * 20))
OBSERVER = Address("0x" + "33" * 20)
HOST = "127.66.0.1"


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = await serve(app, HOST, 0)
    try:
        yield f"{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await asyncio.sleep(0.05)  # a connection that was cut short ends a few turns later


def application_under_test() -> web.Application:
    async def echo(request: web.Request) -> web.Response:
        entry: InventoryEntry = await read(request, InventoryEntry)
        return answer(entry)

    async def refuse(_: web.Request) -> web.Response:
        raise Refused("not_yet", "in a while", {"epoch": "3"}, next_try=1_234)

    app = application(DOMAIN, OBSERVER, ManualClock(1_000.5))
    app.router.add_post("/v1/echo", echo)
    app.router.add_get("/v1/refuse", refuse)
    return app


def test_a_refusal_says_what_who_when_why_and_when_again() -> None:
    async def run() -> None:
        client = Client(DOMAIN, HOST)
        try:
            async with serving(application_under_test()) as endpoint:
                with pytest.raises(PeerRefused) as refused:
                    await client.get(endpoint, "/v1/refuse")
        finally:
            await client.close()
        error = refused.value
        assert (error.status, error.code, error.observer, error.time, error.next_try) == (425, "not_yet", OBSERVER, 1_000, 1_234)
        assert error.evidence == {"epoch": "3"}
        assert "in a while" in error.message

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "/v1/echo", b"{", "malformed_json"),
        ("POST", "/v1/echo", b"[" * 100_000, "malformed_json"),
        ("POST", "/v1/echo", b"\xff", "malformed_json"),
        ("POST", "/v1/echo", b"{}", "missing_field"),
        ("POST", "/v1/echo", encode(InventoryEntry(OBSERVER, Digest(bytes(31)))), "wrong_type"),
        ("POST", "/v1/echo", b" " * (MAX_BODY + 1), "body_too_large"),
        ("GET", "/v1/echo", b"", "method_not_allowed"),
        ("GET", "/v1/nothing", b"", "not_found"),
        ("GET", "/%2e%2e/etc/passwd", b"", "not_found"),
    ],
)
def test_whatever_is_wrong_has_a_code(method: str, path: str, body: bytes, code: str) -> None:
    async def run() -> None:
        async with (
            serving(application_under_test()) as endpoint,
            aiohttp.ClientSession() as http,
            http.request(method, f"http://{endpoint}{path}", data=body) as response,
        ):
            found = await response.json()
        assert found["error"]["code"] == code
        assert found["error"]["observer"] == OBSERVER

    asyncio.run(run())


def test_another_network_is_refused_by_both_sides_naming_both() -> None:
    async def run() -> None:
        ours, theirs = Client(DOMAIN, HOST), Client(OTHER, HOST)
        try:
            async with serving(application_under_test()) as endpoint:
                with pytest.raises(PeerMisbehaved, match=f"{DOMAIN}.*{OTHER}"):
                    await theirs.get(endpoint, "/v1/refuse")
                headers = {NETWORK_HEADER: str(OTHER)}
                async with aiohttp.ClientSession() as http, http.get(f"http://{endpoint}/v1/refuse", headers=headers) as response:
                    error = (await response.json())["error"]
                assert response.status == 421
                assert error["evidence"] == {"yours": str(OTHER), "mine": str(DOMAIN)}
                with pytest.raises(PeerRefused):
                    await ours.get(endpoint, "/v1/refuse")
        finally:
            await ours.close()
            await theirs.close()
        assert str(DOMAIN).endswith(f"/{PROTOCOL_VERSION}")

    asyncio.run(run())


@pytest.mark.parametrize("endpoint", ["a..b:80", "a" * 64 + ".test:80", "\ufffd:80", "[::1", "a b:80", "x:99999", "/", ""])
def test_an_endpoint_that_is_none_is_a_peer_that_does_not_answer(endpoint: str) -> None:
    """A listed node sets its endpoint on chain to any text."""

    async def run() -> None:
        client = Client(DOMAIN, HOST, timeout_s=1.0)
        try:
            with pytest.raises(PeerUnavailable):
                await client.get(endpoint, "/v1/status")
        finally:
            await client.close()

    asyncio.run(run())


def test_a_peer_leaves_nothing_behind_with_who_asks_it() -> None:
    """Cookies of a listed node would grow without bound, and tell it who comes again."""

    async def bake(request: web.Request) -> web.Response:
        response = web.Response(text=request.headers.get("Cookie", "none"), headers={NETWORK_HEADER: str(DOMAIN)})
        response.set_cookie("crumb", "1")
        return response

    async def run() -> list[bytes]:
        app = web.Application()
        app.router.add_get("/", bake)
        runner, client = await serve(app, "127.0.0.1", 0), Client(DOMAIN)
        try:
            return [await client.get(f"localhost:{runner.addresses[0][1]}", "/") for _ in range(2)]
        finally:
            await client.close()
            await runner.cleanup()

    assert asyncio.run(run()) == [b"none", b"none"]


GARBAGE = {
    "no version": b"GET / HTTP/9.9\r\n\r\n",
    "a long line": b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "no chunk": b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    "no gzip": b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "no URL": b"GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n",
}


def _talk(garbage: bytes, caplog: pytest.LogCaptureFixture) -> bytes:
    """What a stranger at 127.88.0.9 is answered; everything that is logged meanwhile is in `caplog`."""

    async def run() -> bytes:
        async with serving(application_under_test()) as endpoint:
            host, port = endpoint.split(":")
            reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.88.0.9", 0))
            writer.write(garbage)
            answered = await reader.read(200)
            writer.close()
            await writer.wait_closed()
        return answered

    with caplog.at_level("INFO"):
        return asyncio.run(run())


@pytest.mark.parametrize("kind", sorted(GARBAGE))
def test_garbage_fills_no_log_and_leaves_no_address_there(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    assert b" 400 " in _talk(GARBAGE[kind], caplog)
    assert caplog.text == ""


def test_a_mistake_of_our_own_is_answered_in_code_and_logged_once_without_who_asked(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: web.Request) -> web.Response:
        raise KeyError("our own mistake")

    async def run() -> PeerRefused:
        app = application_under_test()
        app.router.add_get("/v1/fail/{what}", fail)
        client = Client(DOMAIN, "127.88.0.9")
        try:
            async with serving(app) as endpoint:
                with pytest.raises(PeerRefused) as refused:
                    await client.get(endpoint, "/v1/fail/a%0Astranger's%20line")
        finally:
            await client.close()
        return refused.value

    with caplog.at_level("INFO"):
        error = asyncio.run(run())
    assert (error.status, error.code, error.observer, error.time, error.evidence) == (500, "internal", OBSERVER, 1_000, {})
    assert "our own mistake" not in error.message
    assert caplog.text.count("KeyError: 'our own mistake'") == caplog.text.count("Traceback") == len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith("GET /v1/fail/{what} failed")
    assert "127.88.0.9" not in caplog.text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DatabaseUnavailable("its server is away"), "database_unavailable"),
        (BackendUnavailable("node:1", "it says nothing"), "chain_unavailable"),
    ],
)
def test_what_this_node_lacks_for_a_moment_is_named(error: Exception, code: str) -> None:
    async def fail(_: web.Request) -> web.Response:
        raise error

    async def run() -> PeerRefused:
        app = application_under_test()
        app.router.add_get("/v1/fail", fail)
        client = Client(DOMAIN, HOST)
        try:
            async with serving(app) as endpoint:
                with pytest.raises(PeerRefused) as refused:
                    await client.get(endpoint, "/v1/fail")
        finally:
            await client.close()
        return refused.value

    found = asyncio.run(run())
    assert (found.status, found.code) == (503, code)


def test_hostile_answers_are_bounded_and_end_nothing() -> None:
    """A peer that answers without end, nests without end, says another network, or does not answer."""

    async def endless(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * (MAX_ANSWER + 1), headers={NETWORK_HEADER: str(DOMAIN)})

    async def nested(_: web.Request) -> web.Response:
        return web.Response(status=500, body=b"[" * 1_000_000, headers={NETWORK_HEADER: str(DOMAIN)})

    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(2)
        return web.Response()

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/endless", endless)
        app.router.add_get("/nested", nested)
        app.router.add_get("/silent", silent)
        client = Client(DOMAIN, HOST, timeout_s=1.0)
        try:
            async with serving(app) as endpoint:
                with pytest.raises(PeerMisbehaved, match="more than"):
                    await client.get(endpoint, "/endless")
                with pytest.raises(PeerRefused) as refused:
                    await client.get(endpoint, "/nested")
                assert (refused.value.status, refused.value.code) == (500, "internal")
                with pytest.raises(PeerUnavailable):
                    await client.get(endpoint, "/silent")
                with pytest.raises(PeerMisbehaved, match="serves network none"):
                    await client.get(endpoint, "/missing")
            with pytest.raises(PeerUnavailable):
                await client.get(endpoint, "/gone")
        finally:
            await client.close()

    asyncio.run(run())


def test_connections_have_so_many_places_and_whoever_goes_gives_one_back() -> None:
    async def run() -> None:
        runner = await serve(application_under_test(), HOST, 0, most_connections=2)
        port = runner.addresses[0][1]

        async def connected() -> tuple[bool, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"GET /v1/refuse HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                return (await reader.read(12)).startswith(b"HTTP/1.1 425"), writer
            except ConnectionError:
                return False, writer

        try:
            held = [await connected(), await connected()]
            over = await connected()
            assert [answered for answered, _ in (*held, over)] == [True, True, False]
            for _, writer in (held.pop(0), over):
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            for _ in range(100):  # the server notices a moment later
                answered, writer = await connected()
                held.append((answered, writer))
                if answered:
                    break
                await asyncio.sleep(0.05)
            assert answered
        finally:
            for _, writer in held:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            await runner.cleanup()

    asyncio.run(run())


def test_a_body_that_does_not_come_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wire.http.BODY_S", 0.2)

    async def run() -> None:
        async with serving(application_under_test()) as endpoint:
            host, port = endpoint.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            answered = await asyncio.wait_for(reader.read(4_096), 10)
            assert answered.startswith(b"HTTP/1.1 408")
            assert b"body_too_slow" in answered
        writer.close()  # after the server, which would otherwise linger for the rest of the body
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    asyncio.run(run())


CONTENT = b"0123456789abcdef" * 4_096


def _packing(frame: bytes, encoding: str | None = "zstd") -> web.Application:
    """A peer that answers with these bytes and says that they are encoded like this."""

    async def answered(_: web.Request) -> web.Response:
        headers = {NETWORK_HEADER: str(DOMAIN)} | ({"Content-Encoding": encoding} if encoding else {})
        return web.Response(body=frame, headers=headers)

    app = web.Application()
    app.router.add_get("/blob", answered)
    return app


async def _fetched(app: web.Application, most: int) -> bytes:
    client = Client(DOMAIN, HOST)
    try:
        async with serving(app) as endpoint:
            return await client.get(endpoint, "/blob", most)
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        (["zstd"], True),
        (["gzip, ZSTD;q=0.5"], True),
        (["gzip", "br, zstd"], True),
        (["identity"], False),
        (["zstd;q=0"], False),
        (["zstd; q=0.000"], False),
        (["gzip;q=1, xzstd"], False),
        (["*"], False),
        ([""], False),
        ([], False),
    ],
)
def test_only_who_takes_it_packed_gets_it_packed(accepted: list[str], packed: bool) -> None:
    frame = pack(CONTENT)

    async def blob(request: web.Request) -> web.Response:
        return packed_answer(request, frame, len(CONTENT), "application/octet-stream")

    async def run() -> tuple[str | None, bytes]:
        app = application(DOMAIN, OBSERVER, ManualClock(1_000.0))
        app.router.add_get("/blob", blob)
        headers = [("Accept-Encoding", one) for one in accepted]
        skipped = {"Accept-Encoding"}  # aiohttp's own
        async with (
            serving(app) as endpoint,
            aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=skipped) as http,
            http.get(f"http://{endpoint}/blob", headers=headers) as response,
        ):
            assert response.headers["Vary"] == "Accept-Encoding"
            return response.headers.get("Content-Encoding"), await response.read()

    assert asyncio.run(run()) == (("zstd", frame) if packed else (None, CONTENT))


def test_an_answer_is_the_same_packed_or_not() -> None:
    for frame, encoding in ((pack(CONTENT), "zstd"), (CONTENT, None), (CONTENT, "identity")):
        assert asyncio.run(_fetched(_packing(frame, encoding), len(CONTENT))) == CONTENT
        with pytest.raises(PeerMisbehaved):
            asyncio.run(_fetched(_packing(frame, encoding), len(CONTENT) - 1))


@pytest.mark.parametrize(
    ("frame", "encoding", "said"),
    [
        (pack(b"a" * (1 << 28)), "zstd", "body_too_large"),
        (pack(CONTENT) + b"\0", "zstd", "bad_encoding"),
        (pack(CONTENT) * 2, "zstd", "bad_encoding"),
        (CONTENT, "zstd", "bad_encoding"),
        (os.urandom(1 << 21), "zstd", "more than"),
        (gzip.compress(bytes(1 << 28)), "gzip", "not asked for"),
        (gzip.compress(CONTENT), "gzip", "not asked for"),
        (pack(CONTENT), "zstd, zstd", "not asked for"),
    ],
    ids=["bomb", "garbage behind", "two frames", "no frame", "endless", "gzip bomb", "gzip", "packed twice"],
)
def test_a_peer_that_packs_in_another_way_is_refused_in_bounded_memory(frame: bytes, encoding: str, said: str) -> None:
    most = 1 << 20

    async def run() -> int:
        app = _packing(frame, encoding)
        tracemalloc.start()
        try:
            with pytest.raises(PeerMisbehaved, match=said):
                await _fetched(app, most)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert asyncio.run(run()) < 4 * most + len(frame)
