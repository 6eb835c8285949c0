"""The demo's origin: files over HTTP/1.1 that count what passes, byte for byte, below HTTP.

It is nobody's node: it knows no chain and no key. Consumers and providers count payload; this is what they are held against.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

HEAD_BYTES = 16_384
HEAD_S = 10.0
PIECE = 65_536
_REQUEST = re.compile(rb"GET (/\S*) HTTP/1\.[01]\r\n")
_RANGE = re.compile(rb"\r\nrange: bytes=(\d+)-\r\n", re.IGNORECASE)


@dataclass(slots=True)
class Visit:
    """One connection: the address it came from, the path asked for, payload bytes taken in and handed out, whether all was taken."""

    source: str
    path: str = ""
    received: int = 0
    sent: int = 0
    whole: bool = False


@dataclass(slots=True)
class Origin:
    """Serves `files` (by path) until it is closed. visits: every connection so far, in order."""

    files: Mapping[str, bytes]
    visits: list[Visit] = field(default_factory=list)
    bytes_per_s: int = 0
    """How fast a file is handed out, 0 for as fast as it is taken: what has to last long enough to be interrupted."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(str(writer.get_extra_info("peername")[0]))
        self.visits.append(visit)
        try:
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            visit.received = len(head)
            await self._answer(head, visit, writer)
            visit.whole = True
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks badly or goes away gets nothing more
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, head: bytes, visit: Visit, writer: asyncio.StreamWriter) -> None:
        asked = _REQUEST.match(head)
        visit.path = asked[1].decode("ascii", "replace") if asked else ""
        content = self.files.get(visit.path)
        if content is None:
            await self._send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", visit, writer)
            return
        begin = int(found[1]) if (found := _RANGE.search(head)) else 0
        status = f"206 Partial Content\r\nContent-Range: bytes {begin}-{len(content) - 1}/{len(content)}" if found else "200 OK"
        fields = f"HTTP/1.1 {status}\r\nContent-Length: {len(content) - begin}\r\nAccept-Ranges: bytes\r\nConnection: close\r\n\r\n"
        await self._send(fields.encode(), visit, writer)
        for place in range(begin, len(content), PIECE):
            piece = content[place : place + PIECE]
            await self._send(piece, visit, writer)
            if self.bytes_per_s:
                await asyncio.sleep(len(piece) / self.bytes_per_s)

    @staticmethod
    async def _send(data: bytes, visit: Visit, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        visit.sent += len(data)


@contextlib.asynccontextmanager
async def origin(host: str, port: int, files: Mapping[str, bytes]) -> AsyncIterator[Origin]:
    """An origin on host and port, closed at the end. `OSError` if they are taken."""
    serving = Origin(files)
    server = await asyncio.start_server(serving.serve, host, port, limit=HEAD_BYTES)
    try:
        yield serving
    finally:
        server.close()
        await server.wait_closed()
