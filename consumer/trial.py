"""Trying a connection as a program would: through the local SOCKS port, names unresolved, so that all of it is done at the provider.

TrialFailed     CommandFailed, 4: what did not work, and what to do
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from runtime.terminal import CommandFailed, NoAnswer, UsageError

TIMEOUT_S = 20.0
MOST_HEAD = 65_536
PIECE = 262_144
REPLIES: Mapping[int, str] = {
    1: "the provider failed to connect",
    2: "the provider's policy does not allow this destination or port",
    3: "the provider has no way to that network",
    4: "the name has no address, or the host is not reached from the provider",
    5: "the destination refuses the connection",
    6: "the destination does not answer in time",
}
"""By SOCKS5 reply code (RFC 1928)."""


class TrialFailed(CommandFailed):
    """The port answers, and the way through it does not work."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """connect_ms: until the provider had resolved the name and connected. seconds: of the body. body: its first bytes, size: all of it."""

    connect_ms: float
    seconds: float
    body: bytes
    size: int

    @property
    def mbit_s(self) -> float:
        return self.size * 8 / 1e6 / self.seconds if self.seconds else 0.0


async def fetch(socks: tuple[str, int], url: str, most: int) -> Fetched:
    """GETs a URL (http or https) through the SOCKS port and reads `most` bytes of the body at most. `NoAnswer` if the port is closed."""
    try:
        parts = urlsplit(url)
        name, port = (parts.hostname or "").encode("idna"), parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, name, port = urlsplit(""), b"", 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not 0 < len(name) < 256:
        raise UsageError(f"{url[:200]} is not an http or https address.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(*socks)
    except (OSError, TimeoutError) as error:
        raise NoAnswer(f"Nothing listens at {socks[0]}:{socks[1]}. Start it with: dpn consumer connect") from error
    try:
        began = time.monotonic()
        async with asyncio.timeout(TIMEOUT_S):
            await _greet(reader, writer, name, port)
            connected = time.monotonic()
            if parts.scheme == "https":
                await writer.start_tls(ssl.create_default_context(), server_hostname=parts.hostname)
            host = parts.netloc.rpartition("@")[2]
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: dpn\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0] + b" ":
            raise TrialFailed(f"{parts.hostname} answers with {head.split(bytes((13,)), 1)[0][:80].decode('ascii', 'replace')}.")
        body, size = await _body(reader, most)
        return Fetched((connected - began) * 1000, time.monotonic() - connected, body, size)
    except TimeoutError as error:
        raise TrialFailed(f"Nothing came back within {TIMEOUT_S:g} s: see `dpn consumer status`.") from error
    except ssl.SSLError as error:
        raise TrialFailed(f"TLS with {parts.hostname} fails: {error.reason or 'no handshake'}.") from error
    except (OSError, EOFError, asyncio.LimitOverrunError) as error:  # EOFError: what is read in whole ended before
        raise TrialFailed("The connection was closed on the way: see `dpn consumer status`.") from error
    finally:
        writer.transport.abort()


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: bytes, port: int) -> None:
    """SOCKS5 without authentication, the destination by name."""
    writer.write(b"\x05\x01\x00")
    if await reader.readexactly(2) != b"\x05\x00":
        raise TrialFailed("The port does not speak SOCKS5 without authentication: is it this connection's?")
    writer.write(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
    head = await reader.readexactly(4)
    if head[1] != 0:
        raise TrialFailed(f"{name.decode()}:{port} is not reached: {REPLIES.get(head[1], f'reply {head[1]}')}.")
    length = {1: 4, 4: 16}.get(head[3])
    await reader.readexactly((length if length is not None else (await reader.readexactly(1))[0]) + 2)


async def _body(reader: asyncio.StreamReader, most: int) -> tuple[bytes, int]:
    """The first bytes, and how many there were up to `most`."""
    first, size = bytearray(), 0
    while size < most:
        async with asyncio.timeout(TIMEOUT_S):
            piece = await reader.read(min(PIECE, most - size))
        if not piece:
            break
        size += len(piece)
        first += piece[: 256 - len(first)]
    return bytes(first), size
