"""The addresses that no consumer is let to: this machine's own, and those of the network's roles."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable

from chain.view import ChainView
from provider.sessions.egress import Resolver, own_addresses
from wire.addresses import IPAddress
from wire.refusals import Refused

FRESH_S = 10.0
"""How often this machine's own addresses are looked at."""
NAMES_FRESH_S = 300.0
"""How often the names that roles are listed by are resolved anew."""


class Surroundings:
    """Looks at the machine's interfaces and at the lists on chain. announced, bound: this machine's addresses, or empty. view: the newest
    one of the chain. resolver: what consumers' names are resolved by as well."""

    def __init__(self, announced: str, bound: str, view: Callable[[], Awaitable[ChainView]], resolver: Resolver) -> None:
        self._announced, self._bound, self._view, self._resolver = announced, bound, view, resolver
        self._own: frozenset[IPAddress] = frozenset()
        self._looked_at = self._resolved_at = float("-inf")
        self._named: dict[str, tuple[IPAddress, ...]] = {}
        self._resolving = asyncio.Lock()

    async def places(self) -> tuple[frozenset[IPAddress], frozenset[IPAddress]]:
        """This machine's addresses, and those of the roles that the chain lists, by their address or by a name."""
        now = time.monotonic()
        if now - self._looked_at >= FRESH_S:
            self._looked_at = now
            self._own = own_addresses(self._announced) | own_addresses(self._bound)
        roles: set[IPAddress] = set()
        names: set[str] = set()
        for listing in (await self._view()).listings:
            host = listing.endpoint.rpartition(":")[0].strip("[]")
            try:
                roles.add(ipaddress.ip_address(host))
            except ValueError:
                names.add(host)
        await self._resolve(names)
        return self._own, frozenset(roles.union(*(self._named.get(name, ()) for name in names)))

    async def _resolve(self, names: set[str]) -> None:
        """Has every name resolved once and now and then again. One that cannot be resolved stays what it was; whoever has been resolved
        before need not wait for the others."""
        if self._resolving.locked() and names <= self._named.keys():
            return
        async with self._resolving:
            if names <= self._named.keys() and time.monotonic() - self._resolved_at < NAMES_FRESH_S:
                return
            ordered = sorted(names)
            found = await asyncio.gather(*(self._addresses(name) for name in ordered))
            self._named = {name: new or self._named.get(name, ()) for name, new in zip(ordered, found, strict=True)}
            self._resolved_at = time.monotonic()

    async def _addresses(self, name: str) -> tuple[IPAddress, ...]:
        try:
            return await self._resolver.addresses(name, 0)
        except Refused:
            return ()
