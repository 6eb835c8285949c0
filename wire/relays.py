"""Which master runs a relay, and where: the host of its endpoint on chain, the port that its status names.

The host is not the status's to say: a master that lies sends nobody anywhere but to its own machine.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass
from typing import Any

from chain.canonical import parse
from chain.errors import CodecError
from chain.types import Address
from runtime.clock import Clock
from wire.http import Client, PeerError
from wire.timing import Unreachable, split_endpoint

log = logging.getLogger(__name__)

FRESH_S = 60.0
SILENT_S = 5.0
"""How long a master that did not answer is left alone."""


@dataclass(frozen=True, slots=True)
class RelayPlace:
    """Where a master's relay is. host: an IP address."""

    master: Address
    host: str
    port: int


class RelayFinder:
    """Asks masters for their relays, each at most once in `FRESH_S`; what it said last serves while it is silent."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._known: dict[Address, tuple[float, RelayPlace | None]] = {}

    async def find(self, master: Address, endpoint: str) -> RelayPlace | None:
        """The relay of the master listed at `endpoint`; None if it runs none, or has never answered."""
        until, known = self._known.get(master, (0.0, None))
        now = self._clock.now()
        if now < until:
            return known
        try:
            found, life = await self._ask(master, endpoint), FRESH_S
        except (PeerError, CodecError, Unreachable, OSError, UnicodeError) as error:
            log.debug("master %s does not say whether it relays: %s", master, error)
            found, life = known, SILENT_S
        self._known[master] = now + life, found
        return found

    async def _ask(self, master: Address, endpoint: str) -> RelayPlace | None:
        port = port_in(parse(await self._client.get(endpoint, "/v1/status")), master)
        if port is None:
            return None
        host, _ = split_endpoint(endpoint)
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return RelayPlace(master, min(str(info[4][0]) for info in found), port)


def port_in(status: Any, master: Address) -> int | None:
    """The port of the relay that a master's status names; None without one, or if it is another node's."""
    if not isinstance(status, dict) or status.get("address") != master:
        return None
    port = status.get("relay")
    return port if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65_536 else None
