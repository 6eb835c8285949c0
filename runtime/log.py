"""One line an event on standard error: UTC time, level, module, sentence. Secrets, destinations and home addresses are never passed in."""

from __future__ import annotations

import logging
import sys
import time


def start(level: str, role: str) -> None:
    """Sets up the process's log; `ValueError` for a level that does not exist."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(f"%(asctime)s.%(msecs)03dZ %(levelname)-7s {role} %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("web3", "urllib3", "asyncio", "aiohttp.access", "eth"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
