"""The resolver's HTTP interface: section 4 of docs/protocol.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from chain.typed import Domain, Signed
from chain.types import ZERO_ADDRESS, Address
from resolver.service import Resolver
from runtime.clock import Clock
from wire import paths
from wire.answers import MatchQuery, ReportBatch
from wire.http import answer, application, read
from wire.messages import Announcement, Heartbeat, Leaving
from wire.refusals import Refused
from wire.relays import RelayPlace

MOST_PROVIDERS = 100
"""In one answer of `GET /v1/providers`; `?after=ADDRESS` asks for the next ones."""


FindRelay = Callable[[Address], Awaitable[RelayPlace | None]]
"""Where the relay of a master is; None if no such master is listed, or it runs none."""


async def no_relay(_: Address) -> None:
    """No master runs one."""


def build(
    resolver: Resolver, domain: Domain, clock: Clock, status: Callable[[], web.Response], find_relay: FindRelay = no_relay
) -> web.Application:
    """The application that asks `resolver`; `status` answers `GET /v1/status`."""

    async def announcements(request: web.Request) -> web.Response:
        signed = await read(request, Signed[Announcement])
        named = signed.message.relay
        return answer(resolver.announce(signed, await find_relay(named) if named != ZERO_ADDRESS else None))

    async def heartbeats(request: web.Request) -> web.Response:
        return answer(resolver.heartbeat(await read(request, Signed[Heartbeat])))

    async def reports(request: web.Request) -> web.Response:
        return answer(resolver.take_reports(await read(request, ReportBatch)))

    async def leaving(request: web.Request) -> web.Response:
        return answer(resolver.leave(await read(request, Signed[Leaving])))

    async def matches(request: web.Request) -> web.Response:
        return answer(resolver.match(await read(request, MatchQuery)))

    async def providers(request: web.Request) -> web.Response:
        unknown = request.query.keys() - {"after", "limit"}
        if unknown:
            raise Refused("bad_parameter", "known are after and limit")
        after = paths.address(request.query["after"]) if "after" in request.query else ""
        return answer(resolver.pool(after, _limit(request.query.get("limit", str(MOST_PROVIDERS)))))

    async def provider(request: web.Request) -> web.Response:
        return answer(resolver.provider(paths.address(request.match_info["address"])))

    async def state(_request: web.Request) -> web.Response:
        return status()

    app = application(domain, resolver.address, clock)
    app.router.add_post("/v1/announcements", announcements)
    app.router.add_post("/v1/heartbeats", heartbeats)
    app.router.add_post("/v1/reports", reports)
    app.router.add_post("/v1/leaving", leaving)
    app.router.add_post("/v1/matches", matches)
    app.router.add_get("/v1/providers", providers)
    app.router.add_get("/v1/providers/{address}", provider)
    app.router.add_get("/v1/status", state)
    return app


def _limit(text: str) -> int:
    if text not in map(str, range(1, MOST_PROVIDERS + 1)):
        raise Refused("bad_parameter", f"a limit from 1 to {MOST_PROVIDERS} is expected")
    return int(text)
