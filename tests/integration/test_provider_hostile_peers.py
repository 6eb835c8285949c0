"""What a listed node that lies can do to a provider that asks it: be without effect, and nothing else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from chain.canonical import encode
from chain.typed import Domain
from chain.types import Address, Wei
from chain.view import Listing
from provider.peers import ask_pool
from wire.answers import PoolAnswer
from wire.http import NETWORK_HEADER, Client, PeerMisbehaved, PeerRefused, serve

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
RESOLVER = Address("0x" + "33" * 20)
HOST = "127.66.1.1"


def _asked(status: int, body: bytes) -> PoolAnswer:
    """What a provider makes of this answer to an announcement."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={NETWORK_HEADER: str(DOMAIN)})

    async def run() -> PoolAnswer:
        app = web.Application()
        app.router.add_post("/v1/announcements", answer)
        runner, client = await serve(app, HOST, 0), Client(DOMAIN, HOST)
        try:
            listing = Listing(RESOLVER, "resolver", f"{HOST}:{runner.addresses[0][1]}", Wei(1))
            return await ask_pool(client, listing, "/v1/announcements", ())
        finally:
            await client.close()
            await runner.cleanup()

    return asyncio.run(run())


@pytest.mark.parametrize("value", [10**400, -1, True, "9", None, 2**53])
@pytest.mark.parametrize("field", ["time", "nextTry"])
def test_a_refusal_names_a_second_or_none(field: str, value: Any) -> None:
    """A number that no clock can hold would end whoever adds it to its own."""
    with pytest.raises(PeerRefused) as refused:
        _asked(429, json.dumps({"error": {"code": "busy", field: value}}).encode())
    assert (refused.value.time, refused.value.next_try) == (0, 0)


def test_a_refusal_is_short() -> None:
    long = "x" * 100_000
    error = {"code": long, "message": long, "observer": long, "evidence": {str(n) + long: long for n in range(8)}}
    with pytest.raises(PeerRefused) as refused:
        _asked(400, json.dumps({"error": error}).encode())
    told = refused.value
    assert len(told.code) + len(told.message) + len(told.observer) + len(str(told)) < 2_000
    assert len(str(told.evidence)) < 10_000


def test_a_refusal_draws_nothing_on_a_terminal_and_begins_no_line_of_a_log() -> None:
    said = "no\n2026-01-01 INFO all is well\x1b[2J\u202e"
    with pytest.raises(PeerRefused) as refused:
        _asked(400, json.dumps({"error": {"code": "busy", "message": said, "observer": said, "evidence": {said: said}}}).encode())
    told = refused.value
    shown = (str(told), told.observer, *told.evidence, *told.evidence.values())
    assert all(text.isprintable() for text in shown)
    assert "all is well" in str(told)


@pytest.mark.parametrize(("state", "code"), [("connected", "x" * 70_000), ("y" * 70_000, "ok")])
def test_a_state_or_code_without_end_is_no_answer(state: str, code: str) -> None:
    """Both go into the activity log, and with it into proofs, which have a size."""
    with pytest.raises(PeerMisbehaved):
        _asked(200, encode(PoolAnswer(state, code, RESOLVER, 1, 2, (), ())))


def test_an_answer_as_it_should_be_is_taken() -> None:
    honest = PoolAnswer("pending_verification", "address_mismatch", RESOLVER, 1, 2, (), ())
    assert _asked(200, encode(honest)) == honest
