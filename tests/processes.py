"""A node as its own process: its folder, its start, its first answer and its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from chain.keys import SCRYPT_LIGHT, NodeKey, save
from wire.http import Client, PeerUnavailable


def config_file(folder: Path, key: NodeKey, url: str, settlement: str, host: str, port: int, **more: int) -> Path:
    """The settings of a node with this key and endpoint, on the chain at `url`, with its keystore beside them. more: the role's own."""
    keystore = save(folder, key, "open", scrypt_n=SCRYPT_LIGHT)
    (folder / "passphrase").write_text("open\n")
    file = folder / "config.toml"
    file.write_text(
        f'rpc_urls = ["{url}"]\nsettlement = "{settlement}"\nkeystore = "{keystore.name}"\npassphrase_file = "passphrase"\n'
        f'data_dir = "data"\nbind_host = "{host}"\nport = {port}\n' + "".join(f"{name} = {value}\n" for name, value in more.items())
    )
    return file


def free_port(host: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody listens at this moment."""
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind((host, 0))
        port: int = free.getsockname()[1]
        return port


async def start(*arguments: str) -> asyncio.subprocess.Process:
    """This Python with these arguments; its output is kept."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=pipe, stderr=pipe)


async def finish(process: asyncio.subprocess.Process) -> str:
    """Tells it to end, and returns what it has said on standard error."""
    process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    return errors.decode()


async def status_of(client: Client, endpoint: str) -> dict[str, Any]:
    """The node's first answer to `GET /v1/status`."""
    for _ in range(300):
        try:
            found: dict[str, Any] = json.loads(await client.get(endpoint, "/v1/status"))
        except PeerUnavailable:
            await asyncio.sleep(0.1)
        else:
            return found
    pytest.fail(f"{endpoint} never answered")
