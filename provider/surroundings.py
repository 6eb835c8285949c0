"""The addresses that no consumer is let to: this machine's own, and those of the network's roles."""

from __future__ import annotations

import ipaddress
import time

from provider.config import ProviderConfig
from provider.egress import own_addresses
from provider.peers import Roster
from wire.addresses import IPAddress

FRESH_S = 10.0
"""How often this machine's own addresses are looked at."""


class Surroundings:
    """Looks at the machine's interfaces and at the lists on chain."""

    def __init__(self, config: ProviderConfig, roster: Roster) -> None:
        self._announced, self._bound, self._roster = config.reachable_host, config.bind_host, roster
        self._own: frozenset[IPAddress] = frozenset()
        self._looked_at = float("-inf")

    async def places(self) -> tuple[frozenset[IPAddress], tuple[tuple[IPAddress, int], ...]]:
        """This machine's addresses, and the endpoints that the chain lists by their address."""
        now = time.monotonic()
        if now - self._looked_at >= FRESH_S:
            self._looked_at = now
            self._own = own_addresses(self._announced) | own_addresses(self._bound)
        roles = []
        for listing in (await self._roster.view()).listings:
            host, _, port = listing.endpoint.rpartition(":")
            try:
                roles.append((ipaddress.ip_address(host.strip("[]")), int(port)))
            except ValueError:  # a name: whoever resolves to a role by name is public there
                continue
        return self._own, tuple(roles)
