"""What validators ask one another to close an epoch: as much as is derived, and what does not come by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench import agreement
from tests.validators import VALIDATORS, a_world
from wire.http import Client, PeerUnavailable


def test_closing_an_epoch_takes_the_requests_and_bytes_that_the_protocol_derives() -> None:
    figures = asyncio.run(agreement.alone(4, providers=6))
    assert figures["measured"] == figures["derived"]
    assert figures["derived"]["requests"]["proofs"] == 6  # each of one validator that had not got it


def test_signatures_that_nobody_is_told_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    request = Client._request

    async def without_telling(self: Client, method: str, endpoint: str, path: str, body: bytes | None, most: int) -> bytes:
        if method == "POST" and path == "/v1/attestations":
            raise PeerUnavailable(f"{endpoint} does not answer")
        if path.startswith("/v1/attestations/"):
            asked.append(endpoint)
        return await request(self, method, endpoint, path, body, most)

    monkeypatch.setattr(Client, "_request", without_telling)

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            await world.hand_in(1)
            await world.until_posted(1)

    asyncio.run(scene())
    everybody = len(VALIDATORS) * (len(VALIDATORS) - 1)
    assert 0 < len(asked) <= 2 * everybody  # not at every look
