"""Where an audit's bytes come from: validators over HTTP, or an exported folder that is laid out as their paths are. Neither is trusted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from validator.peers import Asks
from wire.http import MAX_ANSWER, PeerMisbehaved, PeerRefused


class Files:
    """A folder as `dpn validator export` writes it: what is asked for as `/v1/blobs/0x…` is in `blobs/0x…`, and so are proofs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def get(self, endpoint: str, path: str, most: int = MAX_ANSWER) -> bytes:
        return await asyncio.to_thread(self._read, endpoint, path, most)

    async def post(self, endpoint: str, path: str, value: Any) -> bytes:
        raise PeerRefused(endpoint, 405, {"code": "method_not_allowed", "message": f"{len(str(value))} characters for {path}"})

    def _read(self, endpoint: str, path: str, most: int) -> bytes:
        file = self._folder / path.removeprefix("/v1/")
        try:
            if file.stat().st_size > most:
                raise PeerMisbehaved(f"{file} has more than {most} bytes")
            return file.read_bytes()
        except OSError as error:
            reason = {"code": "not_found", "message": f"{path.removeprefix('/v1/')}: {error.strerror or error}"}
            raise PeerRefused(endpoint, 404, reason) from error


class Metered:
    """Asks as `inner` does. received: bytes so far, unpacked."""

    def __init__(self, inner: Asks) -> None:
        self._inner, self.received = inner, 0

    async def get(self, endpoint: str, path: str, most: int = MAX_ANSWER) -> bytes:
        content = await self._inner.get(endpoint, path, most)
        self.received += len(content)
        return content

    async def post(self, endpoint: str, path: str, value: Any) -> bytes:
        return await self._inner.post(endpoint, path, value)
