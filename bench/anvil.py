"""Anvil, the development node from Foundry, as a chain for measurements."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANVIL = Path(__file__).resolve().parent.parent / "node_modules" / ".bin" / "anvil"
CHAIN_ID = 31337
HARDFORK = "osaka"


@contextmanager
def anvil() -> Iterator[str]:
    """The URL of a fresh chain that mines each transaction at once, ended with the context. `RuntimeError` if it does not start."""
    command = (str(ANVIL), "--port", "0", "--hardfork", HARDFORK, "--chain-id", str(CHAIN_ID))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield f"http://{_listening(process)}"
        finally:
            process.kill()


def _listening(process: subprocess.Popen[str]) -> str:
    """Host and port, once it says them."""
    said = []
    for line in process.stdout or ():
        said.append(line)
        if found := re.search(r"Listening on (\S+)", line):
            return found[1]
    raise RuntimeError("anvil ended at once: " + "".join(said))
