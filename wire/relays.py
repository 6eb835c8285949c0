"""Which master runs a relay, and where: the host of its endpoint on chain, the port that its status names.

The host is not the status's to say, and one of somebody's own network is none: a master that lies sends nobody there, nor anywhere but to
where its endpoint's name leads.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass
from typing import Any

from chain.canonical import parse
from chain.errors import CodecError
from chain.rules import Rules
from chain.types import Address
from runtime.clock import Clock
from wire.announcements import check_place
from wire.http import Client, PeerError
from wire.refusals import Refused
from wire.timing import Unreachable, split_endpoint

log = logging.getLogger(__name__)

FRESH_S = 60.0
SILENT_S = 5.0
"""How long a master that did not answer is left alone."""
NAMED_S = 5.0
"""The longest that the name of an endpoint may take to be resolved."""


@dataclass(frozen=True, slots=True)
class RelayPlace:
    """Where a master's relay is. host: an IP address."""

    master: Address
    host: str
    port: int


class RelayFinder:
    """Asks masters for their relays, each at most once in `FRESH_S`, or in `SILENT_S` if it does not answer, however many want to know at
    once; what it said last serves while it is silent. It remembers each master that it was asked for: ask it for listed ones only."""

    def __init__(self, client: Client, clock: Clock, rules: Rules) -> None:
        self._client, self._clock, self._rules = client, clock, rules
        self._known: dict[Address, tuple[float, RelayPlace | None]] = {}
        self._asking: dict[Address, asyncio.Lock] = {}

    async def find(self, master: Address, endpoint: str) -> RelayPlace | None:
        """The relay of the master listed at `endpoint`; None if it runs none, or has never answered."""
        async with self._asking.setdefault(master, asyncio.Lock()):
            until, known = self._known.get(master, (0.0, None))
            if self._clock.now() < until:
                return known
            try:
                found, life = await self._ask(master, endpoint), FRESH_S
            except (PeerError, CodecError, Unreachable, OSError, UnicodeError, Refused) as error:
                log.debug("master %s does not say whether it relays: %s", master, error)
                found, life = known, SILENT_S
            self._known[master] = self._clock.now() + life, found
            return found

    async def _ask(self, master: Address, endpoint: str) -> RelayPlace | None:
        port = port_in(parse(await self._client.get(endpoint, "/v1/status")), master)
        if port is None:
            return None
        host, _ = split_endpoint(endpoint)
        async with asyncio.timeout(NAMED_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        lowest = min(str(info[4][0]) for info in found)
        check_place(lowest, port, self._rules)
        return RelayPlace(master, lowest, port)


def port_in(status: Any, master: Address) -> int | None:
    """The port of the relay that a master's status names; None without one, or if it is another node's."""
    if not isinstance(status, dict) or status.get("address") != master:
        return None
    port = status.get("relay")
    return port if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65_536 else None
