"""A router on this network, spoken to by UPnP as one speaks to a stranger.

Whoever is on the network may answer a search in a router's place and say what he likes. So only machines of this network are believed, and
each for itself only: nothing that it says, not even a redirection, has another machine asked. What it says is bounded in number, bytes and
time, and what the library cannot read is no answer, whichever way it fails at it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from async_upnp_client.client import UpnpRequester, UpnpService
from async_upnp_client.client_factory import UpnpFactory
from async_upnp_client.const import HttpRequest, HttpResponse
from async_upnp_client.exceptions import UpnpActionError, UpnpCommunicationError, UpnpError
from async_upnp_client.search import SsdpSearchListener
from async_upnp_client.utils import CaseInsensitiveDict

from provider.reach.mapping import NotMapped
from wire.addresses import is_public, parse_ip

SEARCH_S = 2
ANSWER_S = 5.0
"""The longest that one machine may take to describe itself, and to answer one call."""
MOST_ASKED, MOST_OF_ONE_HOST = 4, 2
"""Descriptions that are fetched; whoever answers a search later is not heard."""
MOST_BYTES = 256 * 1024
"""Of one answer. A router's whole description has some ten thousand."""
SEARCHED = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
CONNECTIONS = ("urn:schemas-upnp-org:service:WANIPConnection:", "urn:schemas-upnp-org:service:WANPPPConnection:")
NEEDED = ("AddPortMapping", "DeletePortMapping")
ONLY_PERMANENT, TAKEN = 725, 718

_UNREADABLE = (UpnpError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError)
"""What the library ends in over a text that is not as it expects: it parses names, numbers and types out of a stranger's XML. A document
with entities of its own, which might unfold into gigabytes, is refused as a `ValueError` before they are."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A router's connection to the internet. host: its IP address on this network."""

    host: str
    service: UpnpService

    async def add(self, outside: int, inside: int, client: str, lease_s: int) -> None:
        """Forwards TCP `outside` to `inside` at `client`, for so many seconds, 0 for good. Raises `NotMapped`."""
        await self._call(
            "AddPortMapping",
            NewRemoteHost="",
            NewExternalPort=outside,
            NewProtocol="TCP",
            NewInternalPort=inside,
            NewInternalClient=client,
            NewEnabled=True,
            NewPortMappingDescription="DPN provider",
            NewLeaseDuration=lease_s,
        )

    async def remove(self, outside: int) -> None:
        """Raises `NotMapped`."""
        await self._call("DeletePortMapping", NewRemoteHost="", NewExternalPort=outside, NewProtocol="TCP")

    async def is_outside(self) -> bool:
        """Whether its own address on the other side is a public one; True where it does not say. Nothing else is made of its word."""
        try:
            said = await self._call("GetExternalIPAddress")
            return is_public(parse_ip(str(said.get("NewExternalIPAddress"))))
        except (NotMapped, ValueError):
            return True

    async def _call(self, action: str, **arguments: Any) -> dict[str, Any]:
        try:
            async with asyncio.timeout(ANSWER_S):
                return dict(await self.service.action(action).async_call(**arguments))
        except UpnpActionError as error:
            if error.error_code == ONLY_PERMANENT:
                raise NotMapped("only_permanent", "the router leases nothing for a time") from error
            if error.error_code == TAKEN:
                raise NotMapped("port_taken", "the router forwards it to another machine: set another announced_port") from error
            raise NotMapped("gateway_refused", f"the router refuses (UPnP error {error.error_code}): forward the port by hand") from error
        except _UNREADABLE as error:
            raise NotMapped("no_gateway", f"the router has stopped answering ({type(error).__name__})") from error


async def find_gateway(local_host: str, search_at: tuple[str, int] | None) -> Gateway:
    """The first that answers and can forward a port, in at most `SEARCH_S` and `MOST_ASKED` times `ANSWER_S` seconds. local_host: empty
    for any address of this machine; search_at: whom to ask, None for everybody on this network. Raises `NotMapped`."""
    for host, location in await _answers(local_host, search_at):
        with contextlib.suppress(*_UNREADABLE):
            async with asyncio.timeout(ANSWER_S):
                device = await UpnpFactory(_Requester(host), non_strict=True).async_create_device(location)
            for service in device.all_services:
                if service.service_type.startswith(CONNECTIONS) and all(map(service.has_action, NEEDED)):
                    return Gateway(host, service)
    sentence = "no router on this network answers by UPnP; turn it on there, or forward the port by hand and set port_mapping = false"
    raise NotMapped("no_gateway", sentence)


async def _answers(local_host: str, search_at: tuple[str, int] | None) -> list[tuple[str, str]]:
    """Who answered, and where each describes itself."""
    found: dict[str, str] = {}
    of_host: Counter[str] = Counter()

    def noted(answer: CaseInsensitiveDict) -> None:
        location, teller = str(answer.get("location", "")), str(answer.get("_host", ""))
        if location not in found and len(found) < MOST_ASKED and of_host[teller] < MOST_OF_ONE_HOST and _is_its_own(location, teller):
            found[location] = teller
            of_host[teller] += 1

    source = (local_host, 0) if local_host else None
    listener = SsdpSearchListener(callback=noted, source=source, target=search_at, timeout=SEARCH_S, search_target=SEARCHED)
    try:
        await listener.async_start()
        listener.async_search()
        await asyncio.sleep(SEARCH_S)
    except (OSError, UpnpError) as error:
        raise NotMapped("no_gateway", f"the network cannot be asked for a router ({type(error).__name__})") from error
    finally:
        listener.async_stop()  # also when the provider is told to stop meanwhile, which the library's own search forgets
    return [(host, location) for location, host in found.items()]


def _is_its_own(location: str, teller: str) -> bool:
    """Whether the address that answers names itself, and is one of this network: nobody on the internet forwards ports for others."""
    try:
        return urlsplit(location).hostname == teller and urlsplit(location).scheme == "http" and not is_public(parse_ip(teller))
    except ValueError:
        return False


class _Requester(UpnpRequester):
    """Asks one host, and takes one bounded answer, as it is: no redirection is followed, and nothing unpacked."""

    def __init__(self, host: str) -> None:
        self._host = host

    async def async_http_request(self, http_request: HttpRequest) -> HttpResponse:
        if urlsplit(http_request.url).hostname != self._host:
            raise UpnpCommunicationError(message="another machine than the one that answered")
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:
            headers = {**http_request.headers, "Accept-Encoding": "identity"}
            asking = session.request(http_request.method, http_request.url, headers=headers, data=http_request.body, allow_redirects=False)
            try:
                async with asking as response:
                    content = bytearray()
                    async for chunk in response.content.iter_chunked(65_536):
                        content += chunk
                        if len(content) > MOST_BYTES:
                            raise UpnpCommunicationError(message=f"more than {MOST_BYTES} bytes")
                    return HttpResponse(response.status, response.headers, content.decode(errors="replace"))
            except aiohttp.ClientError as error:
                raise UpnpCommunicationError(message=type(error).__name__) from error
