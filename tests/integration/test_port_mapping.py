"""A port forwarded by a router: a small UPnP gateway of the test's own on loopback, found by its answer to a search, spoken to by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

import provider.reach.gateway
from provider.reach.gateway import MOST_ASKED, MOST_BYTES, ONLY_PERMANENT, SEARCHED
from provider.reach.mapping import AGAIN_S, LEASE_S, RENEW_S, PortMapping
from runtime.clock import ManualClock

GATEWAY, HERE, ELSEWHERE = "127.95.1.1", "127.95.2.1", "127.95.9.9"
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


ADD, DELETE = action("AddPortMapping", list(ARGUMENTS)), action("DeletePortMapping", list(ARGUMENTS)[:3])
ASK = action("GetExternalIPAddress", ["NewExternalIPAddress"]).replace(">in<", ">out<")


def service(actions: str) -> str:
    variables = "".join(
        f'<stateVariable sendEvents="no"><name>{name}</name><dataType>{kind}</dataType></stateVariable>'
        for name, kind in {**ARGUMENTS, "NewExternalIPAddress": "string"}.items()
    )
    return (
        '<?xml version="1.0"?><scpd xmlns="urn:schemas-upnp-org:service-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>'
        f"<actionList>{actions}</actionList><serviceStateTable>{variables}</serviceStateTable></scpd>"
    )


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE root [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">'
    + "".join(f'<!ENTITY {two} "{f"&{one};" * 20}">' for one, two in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><root><device>&i;</device></root>"
)


@dataclass
class Router(asyncio.DatagramProtocol):
    """Keeps mappings: outside port to (address, port, lease). refuses: the UPnP errors of the next calls. elsewhere: the host that its
    answers to a search name, if not its own. answers: how often it answers a search, each time with another path. moved: the kind of
    request that it redirects to the same port of `ELSEWHERE`. unanswered: how many of the next calls are done and not answered."""

    elsewhere: str = ""
    device: str = DEVICE
    service: str = service(ADD + DELETE)
    outside: str = ""
    answers: int = 1
    moved: str = ""
    unanswered: int = 0
    fetched: list[str] = field(default_factory=list)
    refuses: list[int] = field(default_factory=list)
    mappings: dict[int, tuple[str, int, int]] = field(default_factory=dict)
    searched: int = 0
    port: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.searched += data.startswith(b"M-SEARCH")
        for number in range(self.answers):
            said = (
                "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\nSERVER: test\r\nUSN: uuid:1\r\n"
                f"ST: {SEARCHED}\r\nLOCATION: http://{self.elsewhere or GATEWAY}:{self.port}/device.xml?{number}\r\n\r\n"
            )
            self.transport.sendto(said.encode(), addr)  # type: ignore[attr-defined]

    async def control(self, request: web.Request) -> web.Response:
        self._move(request, "POST")
        text = await request.text()
        told = dict(re.findall(r"<(New\w+)>([^<]*)</", text))
        if self.refuses:
            error = self.refuses.pop(0)
            fault = f"<UPnPError xmlns='urn:schemas-upnp-org:control-1-0'><errorCode>{error}</errorCode></UPnPError>"
            body = f"<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>{fault}</detail></s:Fault>"
            return web.Response(status=500, text=_envelope(body), content_type="text/xml")
        if "GetExternalIPAddress" in text:
            said = f"<NewExternalIPAddress>{self.outside}</NewExternalIPAddress>"
            return web.Response(
                text=_envelope(f"<u:GetExternalIPAddressResponse xmlns:u='{CONNECTION}'>{said}</u:GetExternalIPAddressResponse>")
            )
        name = "AddPortMapping" if "AddPortMapping" in text else "DeletePortMapping"
        outside = int(told["NewExternalPort"])
        if name == "AddPortMapping":
            self.mappings[outside] = told["NewInternalClient"], int(told["NewInternalPort"]), int(told["NewLeaseDuration"])
        else:
            del self.mappings[outside]
        if self.unanswered:
            self.unanswered -= 1
            return web.Response(text="<garbage")
        return web.Response(text=_envelope(f"<u:{name}Response xmlns:u='{CONNECTION}'/>"), content_type="text/xml")

    async def text(self, request: web.Request) -> web.StreamResponse:
        self.fetched.append(request.path_qs)
        self._move(request, "GET")
        if self.device == "endless":
            return await self._endless(request)
        return web.Response(text=self.device if request.path == "/device.xml" else self.service, content_type="text/xml")

    def _move(self, request: web.Request, kind: str) -> None:
        if self.moved == kind:
            raise web.HTTPTemporaryRedirect(f"http://{ELSEWHERE}:{self.port}{request.path_qs}")

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.sent = 0
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" " * 65_536)
                self.sent += 65_536
        return response

    sent: int = 0


def _envelope(body: str) -> str:
    return f"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>{body}</s:Body></s:Envelope>"


@contextlib.asynccontextmanager
async def a_router(router: Router) -> AsyncIterator[PortMapping]:
    """A mapping of 4430 to 7400 that asks this router."""
    app = web.Application()
    app.router.add_get("/device.xml", router.text)
    app.router.add_get("/scpd.xml", router.text)
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
    monkeypatch.setattr(provider.reach.gateway, "SEARCH_S", 1)


def test_a_port_is_mapped_renewed_and_taken_back() -> None:
    async def scene() -> None:
        router = Router()
        async with a_router(router) as mapping:
            assert await mapping.step() == 1_000.0 + RENEW_S
            assert mapping.state == "mapped"
            assert router.mappings == {4_430: (HERE, 7_400, LEASE_S)}
            router.mappings.clear()
            await mapping.step()
            assert router.mappings == {4_430: (HERE, 7_400, LEASE_S)}
            assert router.searched == 1, "a renewal asks the router it knows"
            await mapping.end()
            assert router.mappings == {}

    asyncio.run(asyncio.wait_for(scene(), 30))


def files_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_search_that_is_broken_off_leaves_no_socket() -> None:
    async def scene() -> None:
        router = Router()
        async with a_router(router) as mapping:
            before = files_open()
            searching = asyncio.create_task(mapping.step())
            for _ in range(500):
                if router.searched:
                    break
                await asyncio.sleep(0.01)
            searching.cancel()
            await asyncio.gather(searching, return_exceptions=True)
            await asyncio.sleep(0)  # a transport closes its socket in the loop's next turn
            assert router.searched
            assert files_open() == before

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_router_that_leases_nothing_maps_for_good() -> None:
    async def scene() -> None:
        router = Router(refuses=[ONLY_PERMANENT])
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
            assert (await mapping.step(), mapping.state) == (1_000.0 + RENEW_S, "mapped")

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
        router = Router(elsewhere=ELSEWHERE)
        async with a_router(router) as mapping:
            await mapping.step()
            assert (mapping.state, router.searched) == ("no_gateway", 1)

    asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.mark.parametrize(
    ("device", "scpd"),
    [
        (BOMB, service(ADD + DELETE)),
        ("<garbage", service(ADD + DELETE)),
        (DEVICE.replace("<UDN>", "<iconList><icon><width>wide</width></icon></iconList><UDN>"), service(ADD + DELETE)),
        (DEVICE, service(ADD + DELETE).replace("stateVariable ", "stateVariables ").replace("/stateVariable>", "/stateVariables>")),
        (DEVICE, service(ADD)),
        (DEVICE.replace("/control", f"http://{ELSEWHERE}/control"), service(ADD + DELETE)),
        ("<a>" * 20_000 + "</a>" * 20_000, service(ADD + DELETE)),
    ],
    ids=["a bomb of entities", "garbage", "a number that is none", "arguments of no type", "no way back", "another machine", "depth"],
)
def test_what_no_router_says_is_no_router(device: str, scpd: str) -> None:
    async def scene() -> None:
        router = Router(device=device, service=scpd)
        async with a_router(router) as mapping:
            assert await mapping.step() == 1_000.0 + AGAIN_S
            assert (mapping.state, router.mappings) == ("no_gateway", {})
            await mapping.end()

    asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.mark.parametrize("kind", ["GET", "POST"])
def test_a_redirection_leads_nobody_to_a_third_machine(kind: str) -> None:
    async def scene() -> None:
        visits: list[str] = []

        async def visited(request: web.Request) -> web.Response:
            visits.append(request.path_qs)
            return web.Response()

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", visited)
        runner = web.AppRunner(app)
        router = Router(moved=kind)
        async with a_router(router) as mapping:
            await runner.setup()
            await web.TCPSite(runner, ELSEWHERE, router.port).start()
            await mapping.step()
            assert (mapping.state, visits) == ("no_gateway", [])
            await runner.cleanup()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_an_answer_without_an_end_is_cut() -> None:
    async def scene() -> None:
        router = Router(device="endless")
        async with a_router(router) as mapping:
            await mapping.step()
            assert mapping.state == "no_gateway"
            assert router.sent < 64 * MOST_BYTES, "what is beyond the limit is at most under way"

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_who_answers_a_hundred_times_is_asked_twice() -> None:
    async def scene() -> None:
        router = Router(answers=100, device="<garbage")
        async with a_router(router) as mapping:
            await mapping.step()
            assert len(router.fetched) == 2 < MOST_ASKED

    asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.mark.parametrize(
    ("outside", "state"), [("192.168.0.7", "second_nat"), ("100.64.1.1", "second_nat"), ("8.8.4.4", "mapped"), ("?", "mapped")]
)
def test_a_router_behind_another_one_is_said(outside: str, state: str) -> None:
    async def scene() -> None:
        router = Router(outside=outside, service=service(ADD + DELETE + ASK))
        async with a_router(router) as mapping:
            assert await mapping.step() == 1_000.0 + RENEW_S
            assert (mapping.state, len(router.mappings)) == (state, 1)

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_what_may_have_been_mapped_is_taken_back_also_after_a_failure() -> None:
    async def scene() -> None:
        silent = Router(unanswered=1)
        async with a_router(silent) as mapping:
            await mapping.step()
            assert (mapping.state, len(silent.mappings)) == ("no_gateway", 1), "done, and not said"
            await mapping.end()
            assert silent.mappings == {}
        renewed = Router()
        async with a_router(renewed) as mapping:
            await mapping.step()
            renewed.refuses = [501]
            await mapping.step()
            assert mapping.state == "gateway_refused"
            await mapping.end()
            assert renewed.mappings == {}

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_what_another_machine_has_by_now_is_not_taken_back() -> None:
    async def scene() -> None:
        router = Router()
        async with a_router(router) as mapping:
            await mapping.step()
            router.mappings[4_430], router.refuses = ("127.95.3.1", 22, 0), [718]
            await mapping.step()
            await mapping.end()
            assert router.mappings == {4_430: ("127.95.3.1", 22, 0)}

    asyncio.run(asyncio.wait_for(scene(), 30))
