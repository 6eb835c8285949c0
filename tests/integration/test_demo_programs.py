"""What the sessions demo's programs download with: both ways through a real SOCKS port, whole and from where a file ends."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from consumer.socks import SocksServer
from devnet.sessions import programs
from devnet.sessions.origin import origin
from tests.tunnels import ORIGIN_HOST, provider_at, tunnel_to

PORT = 8_046


@pytest.mark.parametrize("client", [programs.CURL, programs.LIBRARY])
def test_a_file_comes_whole_and_from_where_it_ended(client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if client == programs.CURL and not shutil.which(programs.CURL):
        pytest.skip("curl is missing: install your system's curl")
    monkeypatch.setattr(programs, "client", lambda: client)
    content, file = os.urandom(300_001), tmp_path / "file"

    async def scene() -> None:
        async with (
            provider_at(tmp_path) as served,
            tunnel_to(served, tmp_path) as (tunnel, _),
            SocksServer("127.0.0.1", 0, lambda: tunnel) as server,
            origin(ORIGIN_HOST, PORT, {"/file": content}) as there,
        ):
            socks = f"127.0.0.1:{server.port}"
            assert await programs.fetch(socks, ORIGIN_HOST, PORT, "/file", file)
            assert file.read_bytes() == content
            file.write_bytes(content[:100_000])
            assert await programs.fetch(socks, ORIGIN_HOST, PORT, "/file", file, whole=False)
            assert file.read_bytes() == content
            assert not await programs.fetch(socks, ORIGIN_HOST, PORT, "/nothing", tmp_path / "other")
            assert await programs.reply(socks, "10.0.0.1", 80) == 2
            assert [visit.path for visit in there.visits] == ["/file", "/file", "/nothing"]

    asyncio.run(asyncio.wait_for(scene(), 60))
