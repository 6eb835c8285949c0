"""A port forwarded by a router: a small UPnP gateway of the test's own on loopback, found by its answer to a search, spoken to by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

import provider.reach.mapping
from provider.reach.mapping import AGAIN_S, LEASE_S, PortMapping
from runtime.clock import ManualClock

GATEWAY, HERE = "127.95.1.1", "127.95.2.1"
CONNECTION = "urn:schemas-upnp-org:service:WANIPConnection:1"
DEVICE = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>router</friendlyName>
<manufacturer>test</manufacturer><modelName>test</modelName><UDN>uuid:1</UDN><serviceList><service>
<serviceType>{CONNECTION}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<SCPDURL>/scpd.xml</SCPDURL><controlURL>/control</controlURL><eventSubURL>/events</eventSubURL></service></serviceList></device></root>"""
ARGUMENTS = {
    "NewRemoteHost": "string", "NewExternalPort": "ui2", "NewProtocol": "string", "NewInternalPort": "ui2",
    "NewInternalClient": "string", "NewEnabled": "boolean", "NewPortMappingDescription": "string", "NewLeaseDuration": "ui4",
}  # fmt: skip


def action(name: str, arguments: list[str]) -> str:
    listed = "".join(
        f"<argument><name>{one}</name><direction>in</direction><relatedStateVariable>{one}</relatedStateVariable></argument>"
        for one in arguments
    )
    return f"<action><name>{name}</name><argumentList>{listed}</argumentList></action>"


SERVICE = (
    '<?xml version="1.0"?><scpd xmlns="urn:schemas-upnp-org:service-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>'
    f"<actionList>{action('AddPortMapping', list(ARGUMENTS))}{action('DeletePortMapping', list(ARGUMENTS)[:3])}</actionList>"
    "<serviceStateTable>"
    + "".join(
        f'<stateVariable sendEvents="no"><name>{name}</name><dataType>{kind}</dataType></stateVariable>' for name, kind in ARGUMENTS.items()
    )
    + "</serviceStateTable></scpd>"
)


@dataclass
class Router(asyncio.DatagramProtocol):
    """Keeps mappings: outside port to (address, port, lease). refuses: the UPnP errors of the next calls. elsewhere: the host that its
    answers to a search name, if not its own."""

    elsewhere: str = ""
    refuses: list[int] = field(default_factory=list)
    mappings: dict[int, tuple[str, int, int]] = field(default_factory=dict)
    searched: int = 0
    port: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.searched += data.startswith(b"M-SEARCH")
        said = (
            "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\nSERVER: test\r\nUSN: uuid:1\r\n"
            f"ST: {provider.reach.mapping.GATEWAY}\r\nLOCATION: http://{self.elsewhere or GATEWAY}:{self.port}/device.xml\r\n\r\n"
        )
        self.transport.sendto(said.encode(), addr)  # type: ignore[attr-defined]

    async def control(self, request: web.Request) -> web.Response:
        text = await request.text()
        told = dict(re.findall(r"<(New\w+)>([^<]*)</", text))
        if self.refuses:
            error = self.refuses.pop(0)
            fault = f"<UPnPError xmlns='urn:schemas-upnp-org:control-1-0'><errorCode>{error}</errorCode></UPnPError>"
            body = f"<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>{fault}</detail></s:Fault>"
            return web.Response(status=500, text=_envelope(body), content_type="text/xml")
        name = "AddPortMapping" if "AddPortMapping" in text else "DeletePortMapping"
        outside = int(told["NewExternalPort"])
        if name == "AddPortMapping":
            self.mappings[outside] = told["NewInternalClient"], int(told["NewInternalPort"]), int(told["NewLeaseDuration"])
        else:
            del self.mappings[outside]
        return web.Response(text=_envelope(f"<u:{name}Response xmlns:u='{CONNECTION}'/>"), content_type="text/xml")


def _envelope(body: str) -> str:
    return f"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>{body}</s:Body></s:Envelope>"


@contextlib.asynccontextmanager
async def a_router(router: Router) -> AsyncIterator[PortMapping]:
    """A mapping of 4430 to 7400 that asks this router."""

    async def text(request: web.Request) -> web.Response:
        return web.Response(text=DEVICE if request.path == "/device.xml" else SERVICE, content_type="text/xml")

    app = web.Application()
    app.router.add_get("/device.xml", text)
    app.router.add_get("/scpd.xml", text)
    app.router.add_post("/control", router.control)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, GATEWAY, 0).start()
    router.port = runner.addresses[0][1]
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: router, local_addr=(GATEWAY, 0))
    try:
        yield PortMapping(4_430, 7_400, ManualClock(1_000.0), HERE, transport.get_extra_info("sockname"))
    finally:
        transport.close()
        await runner.cleanup()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider.reach.mapping, "SEARCH_S", 1)


def test_a_port_is_mapped_renewed_and_taken_back() -> None:
    async def scene() -> None:
        router = Router()
        async with a_router(router) as mapping:
            assert await mapping.step() == 1_000.0 + LEASE_S / 2
            assert mapping.state == "mapped"
            assert router.mappings == {4_430: (HERE, 7_400, LEASE_S)}
            router.mappings.clear()
            await mapping.step()
            assert router.mappings == {4_430: (HERE, 7_400, LEASE_S)}
            assert router.searched == 1, "a renewal asks the router it knows"
            await mapping.end()
            assert router.mappings == {}

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_router_that_leases_nothing_maps_for_good() -> None:
    async def scene() -> None:
        router = Router(refuses=[provider.reach.mapping.ONLY_PERMANENT])
        async with a_router(router) as mapping:
            await mapping.step()
            assert router.mappings == {4_430: (HERE, 7_400, 0)}

    asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.mark.parametrize(("error", "state"), [(718, "port_taken"), (606, "gateway_refused")])
def test_a_refusal_is_said_and_tried_again(error: int, state: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        router = Router(refuses=[error, error])
        async with a_router(router) as mapping:
            assert await mapping.step() == 1_000.0 + AGAIN_S
            assert mapping.state == state
            await mapping.step()
            await mapping.end()
            assert (await mapping.step(), mapping.state) == (1_000.0 + LEASE_S / 2, "mapped")

    asyncio.run(asyncio.wait_for(scene(), 30))
    assert len([record for record in caplog.records if "is not forwarded" in record.message]) == 1, "once, not at each try"


def test_without_a_router_one_sentence_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with a_router(Router()) as mapping:
            mapping._search_at = (GATEWAY, 9)
            await mapping.step()
            assert mapping.state == "no_gateway"
            await mapping.end()

    asyncio.run(asyncio.wait_for(scene(), 30))
    assert "forward the port by hand" in caplog.text


def test_who_answers_for_a_third_machine_is_not_believed() -> None:
    async def scene() -> None:
        router = Router(elsewhere="127.95.9.9")
        async with a_router(router) as mapping:
            await mapping.step()
            assert (mapping.state, router.searched) == ("no_gateway", 1)

    asyncio.run(asyncio.wait_for(scene(), 30))
