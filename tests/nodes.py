"""Chains for tests: in this process, served by a process of our own, and anvil."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from chain.backend import Backend
from chain.inprocess import InProcessBackend
from chain.keys import NodeKey
from chain.rpc import RpcBackend

ROOT = Path(__file__).resolve().parents[1]
ANVIL_PLACES = (ROOT / "node_modules/.bin/anvil", ROOT / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")
CHAIN_ID = 31337
# The first account of the well-known test mnemonic: anvil funds it by itself, the other two are told to.
KEY = NodeKey(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))


@contextmanager
def running(kind: str) -> Iterator[Callable[[], Backend]]:
    if kind == "in-process":
        one = InProcessBackend(chain_id=CHAIN_ID, balances={KEY.address: 10**22})
        yield lambda: one
        return
    if kind == "served":
        command = [sys.executable, "-m", "chain", "--port", "0", "--chain-id", str(CHAIN_ID), "--fund", f"{KEY.address}:10000"]
    else:
        command = [str(anvil()), "--port", "0", "--chain-id", str(CHAIN_ID), "--hardfork", "prague"]
    draining = Thread()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment())
    try:
        url = listening(process)
        draining = Thread(target=drain, args=(process,))  # a node that nobody listens to stops once the pipe is full
        draining.start()
        yield lambda: RpcBackend(url)
    finally:
        process.terminate()
        code = process.wait(timeout=30)
        if draining.ident is not None:
            draining.join()
        if process.stdout is not None:
            process.stdout.close()
    if kind == "served":
        assert code == 0, "the served chain ends cleanly when told to"


def drain(process: subprocess.Popen[bytes]) -> None:
    """Reads what the process prints, to its end."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), True)
    while process.stdout.read(65_536):
        pass


def anvil() -> Path:
    found = next((place for place in ANVIL_PLACES if place.exists()), None)
    if found is None and not os.environ.get("CI"):
        pytest.skip("anvil is not installed here; `npm ci` in the project's root brings it")
    assert found is not None, "anvil is missing, and CI is where it must not be; run `npm ci` first"
    return found


def environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


def listening(process: subprocess.Popen[bytes]) -> str:
    """The URL a chain prints when it is ready; waits 30 s at most."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline, printed = time.monotonic() + 30, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and selector.select(left):
            chunk = process.stdout.read()
            if chunk == b"":
                break
            printed += chunk or b""
            if match := re.search(rb"[Ll]istening on (?:http://)?(127\.0\.0\.1:\d+)\s", printed):
                return "http://" + match[1].decode()
    raise AssertionError(f"no chain came up; it printed {printed.decode(errors='replace')!r}")
