"""The router's port, forwarded to this machine by UPnP for as long as the provider runs.

What speaks to the router (`provider.reach.gateway`) is loaded only where this is asked for. A mapping is leased for an hour, so that one a
crash leaves behind goes by itself, and renewed long before, so that a router which was restarted learns of it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING

from chain.errors import Recoverable
from runtime.clock import Clock

if TYPE_CHECKING:
    from provider.reach.gateway import Gateway

log = logging.getLogger(__name__)

LEASE_S, RENEW_S = 3_600, 600
AGAIN_S = 60.0
"""Until the next try, where none succeeded."""
UNMAP_S = 3.0


class NotMapped(Recoverable):
    """The router forwards nothing. code: `no_gateway`, `port_taken` or `gateway_refused`."""

    def __init__(self, code: str, sentence: str) -> None:
        self.code = code
        super().__init__(sentence)


class PortMapping:
    """Of the router's TCP port `outside` to `inside` on this machine. state: `mapped`; `second_nat` if it is, and the router stands behind
    another one; or the code of what keeps it from it.

    local_host: this machine's address, where it is bound to one. search_at: whom to ask for gateways, everybody on this network by default.
    """

    def __init__(self, outside: int, inside: int, clock: Clock, local_host: str = "", search_at: tuple[str, int] | None = None) -> None:
        self._outside, self._inside, self._clock, self._search_at = outside, inside, clock, search_at
        self._local_host = "" if not local_host or ipaddress.ip_address(local_host).is_unspecified else local_host
        self._gateway: Gateway | None = None
        self._mapped_by: Gateway | None = None
        self.state = "starting"

    async def step(self) -> float:
        """Maps, or renews; when that is due again. Whatever fails is said, and tried again."""
        try:
            gateway = await self._map()
        except NotMapped as error:
            if self.state != error.code:
                log.warning("port %d is not forwarded: %s", self._outside, error)
            self.state, self._gateway = error.code, None
            return self._clock.now() + AGAIN_S
        state = "mapped" if await gateway.is_outside() else "second_nat"
        if self.state != state:
            log.info("the router forwards its TCP port %d to this machine's %d", self._outside, self._inside)
            if state == "second_nat":
                log.warning("the router's own address is not public: forward the port on what stands before it too, or leave it to a relay")
        self.state = state
        return self._clock.now() + RENEW_S

    async def end(self) -> None:
        """Takes the mapping back, if there may be one and the router answers soon."""
        gateway, self._mapped_by, self._gateway = self._mapped_by, None, None
        if gateway is None:
            return
        with contextlib.suppress(NotMapped, TimeoutError):
            async with asyncio.timeout(UNMAP_S):
                await gateway.remove(self._outside)

    async def _map(self) -> Gateway:
        from provider.reach.gateway import find_gateway

        gateway = self._gateway or await find_gateway(self._local_host, self._search_at)
        client = self._local_host or _address_towards(gateway.host)
        before, self._mapped_by = self._mapped_by, gateway  # from now on it may have been done, whatever it says or does not say
        try:
            await self._add(gateway, client)
        except NotMapped as error:
            if error.code == "port_taken":
                self._mapped_by = None  # another machine's by now: not this one's to take back
            elif error.code != "no_gateway":
                self._mapped_by = before
            raise
        self._gateway = gateway
        return gateway

    async def _add(self, gateway: Gateway, client: str) -> None:
        try:
            await gateway.add(self._outside, self._inside, client, LEASE_S)
        except NotMapped as error:
            if error.code != "only_permanent":
                raise
            await gateway.add(self._outside, self._inside, client, 0)


def _address_towards(host: str) -> str:
    """This machine's address on the way to `host`; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        try:
            plain.connect((host, 9))
        except OSError as error:
            raise NotMapped("no_gateway", f"there is no way to the router ({error.strerror})") from error
        address: str = plain.getsockname()[0]
        return address
