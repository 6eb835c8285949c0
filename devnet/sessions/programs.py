"""The programs of the demo's consumers: they know a SOCKS port and a URL, and nothing of the network.

`curl` where it is installed, else an HTTP request over the `python-socks` library; both resolve no name themselves.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

FETCH_S = 60.0
CURL = "curl"
LIBRARY = "python-socks"
_REQUEST = "GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={begin}-\r\nConnection: close\r\n\r\n"


def client() -> str:
    """What `fetch` uses on this machine."""
    return CURL if shutil.which(CURL) else LIBRARY


async def fetch(socks: str, host: str, port: int, path: str, file: Path, *, whole: bool = True) -> bool:
    """Downloads into `file`, from where it ends if not `whole`; whether everything came. socks: host:port."""
    try:
        async with asyncio.timeout(FETCH_S):
            if client() == CURL:
                return await _curl(socks, f"http://{host}:{port}{path}", file, whole)
            return await _library(socks, host, port, path, file, whole)
    except TimeoutError:
        return False


async def reply(socks: str, host: str, port: int) -> int:
    """The SOCKS reply to a CONNECT to a host by name or number, written out by hand (RFC 1928); -1 without one."""
    own, _, at = socks.rpartition(":")
    reader, writer = await asyncio.open_connection(own, int(at))
    try:
        async with asyncio.timeout(FETCH_S):
            writer.write(b"\x05\x01\x00")
            await reader.readexactly(2)
            writer.write(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + port.to_bytes(2))
            return (await reader.readexactly(4))[1]
    except (TimeoutError, asyncio.IncompleteReadError, OSError):
        return -1
    finally:
        writer.close()


async def _curl(socks: str, url: str, file: Path, whole: bool) -> bool:
    resume = () if whole else ("--continue-at", "-")
    process = await asyncio.create_subprocess_exec(
        *(CURL, "--silent", "--fail", "--noproxy", "", "--socks5-hostname", socks, *resume, "--output", str(file), url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _library(socks: str, host: str, port: int, path: str, file: Path, whole: bool) -> bool:
    from python_socks import ProxyError
    from python_socks.async_.asyncio import Proxy

    begin = 0 if whole else await asyncio.to_thread(_size, file)
    try:
        connected = await Proxy.from_url(f"socks5://{socks}", rdns=True).connect(host, port, timeout=FETCH_S)
        reader, writer = await asyncio.open_connection(sock=connected)
    except (ProxyError, OSError):
        return False
    try:
        writer.write(_REQUEST.format(path=path, host=host, begin=begin).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if head.split()[1] not in (b"200", b"206"):
            return False
        left = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        with file.open("wb" if whole else "ab") as out:
            while left and (piece := await reader.read(1 << 16)):
                out.write(piece)
                left -= len(piece)
    except (OSError, ValueError, IndexError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.close()
    return left == 0


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
