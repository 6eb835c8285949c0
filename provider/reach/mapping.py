"""The router's port, forwarded to this machine by UPnP for as long as the provider runs.

The library that speaks to the router is loaded only where this is asked for. A mapping is leased for an hour and renewed at half of it, so
that one a crash leaves behind goes by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chain.errors import Recoverable
from runtime.clock import Clock

if TYPE_CHECKING:
    from async_upnp_client.client import UpnpService
    from async_upnp_client.utils import CaseInsensitiveDict

log = logging.getLogger(__name__)

LEASE_S = 3_600
AGAIN_S = 60.0
"""Until the next try, where none succeeded."""
SEARCH_S = 2
ANSWER_S = 5
UNMAP_S = 3.0
GATEWAY = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
CONNECTIONS = ("urn:schemas-upnp-org:service:WANIPConnection:", "urn:schemas-upnp-org:service:WANPPPConnection:")
ONLY_PERMANENT, TAKEN = 725, 718


class NotMapped(Recoverable):
    """The router forwards nothing. code: `no_gateway`, `port_taken` or `gateway_refused`."""

    def __init__(self, code: str, sentence: str) -> None:
        self.code = code
        super().__init__(sentence)


class PortMapping:
    """Of the router's TCP port `outside` to `inside` on this machine. state: `mapped`, or the code of what keeps it from it.

    local_host: this machine's address, where it is bound to one. search_at: whom to ask for gateways, everybody on this network by default.
    """

    def __init__(self, outside: int, inside: int, clock: Clock, local_host: str = "", search_at: tuple[str, int] | None = None) -> None:
        self._outside, self._inside, self._clock, self._search_at = outside, inside, clock, search_at
        self._local_host = "" if not local_host or ipaddress.ip_address(local_host).is_unspecified else local_host
        self._service: UpnpService | None = None
        self.state = "starting"

    async def step(self) -> float:
        """Maps, or renews; when that is due again. Whatever fails is said, and tried again."""
        try:
            await self._map()
        except NotMapped as error:
            if self.state != error.code:
                log.warning("port %d is not forwarded: %s", self._outside, error)
            self.state, self._service = error.code, None
            return self._clock.now() + AGAIN_S
        if self.state != "mapped":
            log.info("the router forwards its TCP port %d to this machine's %d", self._outside, self._inside)
        self.state = "mapped"
        return self._clock.now() + LEASE_S / 2

    async def end(self) -> None:
        """Takes the mapping back, if there is one and the router answers soon."""
        service, self._service = self._service, None
        if service is None or self.state != "mapped":
            return
        with contextlib.suppress(NotMapped, TimeoutError):
            async with asyncio.timeout(UNMAP_S):
                await _call(service, "DeletePortMapping", NewRemoteHost="", NewExternalPort=self._outside, NewProtocol="TCP")

    async def _map(self) -> None:
        if self._service is None:
            self._service = await self._find()
        host = urlsplit(self._service.control_url).hostname or ""
        client = self._local_host or _address_towards(host)
        try:
            await self._add(self._service, client, LEASE_S)
        except NotMapped as error:
            if error.code != "only_permanent":
                raise
            await self._add(self._service, client, 0)

    async def _add(self, service: UpnpService, client: str, lease_s: int) -> None:
        await _call(
            service,
            "AddPortMapping",
            NewRemoteHost="",
            NewExternalPort=self._outside,
            NewProtocol="TCP",
            NewInternalPort=self._inside,
            NewInternalClient=client,
            NewEnabled=True,
            NewPortMappingDescription="DPN provider",
            NewLeaseDuration=lease_s,
        )

    async def _find(self) -> UpnpService:
        """The router's connection to the internet."""
        from async_upnp_client.aiohttp import AiohttpRequester
        from async_upnp_client.client_factory import UpnpFactory
        from async_upnp_client.exceptions import UpnpError
        from async_upnp_client.search import async_search

        found: list[str] = []

        async def noted(answer: CaseInsensitiveDict) -> None:
            location, teller = str(answer.get("location", "")), str(answer.get("_host", ""))
            with contextlib.suppress(ValueError):
                if urlsplit(location).hostname == teller and location not in found:  # nobody is sent to a third machine
                    found.append(location)

        source = (self._local_host, 0) if self._local_host else None
        try:
            await async_search(noted, timeout=SEARCH_S, search_target=GATEWAY, source=source, target=self._search_at)
        except OSError as error:
            raise NotMapped("no_gateway", f"the network cannot be asked for a router ({error.strerror})") from error
        factory = UpnpFactory(AiohttpRequester(timeout=ANSWER_S), non_strict=True)
        for location in found:
            with contextlib.suppress(UpnpError, TimeoutError):
                device = await factory.async_create_device(location)
                for service in device.all_services:
                    if service.service_type.startswith(CONNECTIONS) and service.has_action("AddPortMapping"):
                        return service
        sentence = "no router on this network answers by UPnP; turn it on there, or forward the port by hand and set port_mapping = false"
        raise NotMapped("no_gateway", sentence)


async def _call(service: UpnpService, action: str, **arguments: Any) -> None:
    from async_upnp_client.exceptions import UpnpActionError, UpnpError

    try:
        await service.action(action).async_call(**arguments)
    except UpnpActionError as error:
        if error.error_code == ONLY_PERMANENT:
            raise NotMapped("only_permanent", "the router leases nothing for a time") from error
        if error.error_code == TAKEN:
            raise NotMapped("port_taken", "the router forwards it to another machine: set another announced_port") from error
        raise NotMapped("gateway_refused", f"the router refuses (UPnP error {error.error_code}): forward the port by hand") from error
    except (UpnpError, TimeoutError) as error:
        raise NotMapped("no_gateway", f"the router has stopped answering ({type(error).__name__})") from error


def _address_towards(host: str) -> str:
    """This machine's address on the way to `host`; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        try:
            plain.connect((host, 9))
        except OSError as error:
            raise NotMapped("no_gateway", f"there is no way to the router ({error.strerror})") from error
        address: str = plain.getsockname()[0]
        return address
