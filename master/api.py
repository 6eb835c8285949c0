"""A master's HTTP interface: checks, reports, status."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from chain.typed import Domain, Signed
from chain.types import Address
from master.checks import Checks
from master.report import Ledger
from runtime.clock import Clock
from wire import paths
from wire.addresses import observed_ip
from wire.http import answer, application, read
from wire.messages import Announcement
from wire.refusals import Refused

MAX_BODY = 4096
"""Bytes; a signed announcement takes about 650."""


def api(
    checks: Checks, ledger: Ledger, status: Callable[[], web.Response], domain: Domain, observer: Address, clock: Clock
) -> web.Application:
    """The application; `status` makes the answer to `GET /v1/status`."""

    async def post_check(request: web.Request) -> web.Response:
        signed = await read(request, Signed[Announcement])
        return answer(await checks.check(signed, observed_ip(request.remote)))

    async def get_report(request: web.Request) -> web.Response:
        signed = ledger.report(paths.number(request.match_info["epoch"]), paths.address(request.match_info["provider"]))
        if signed is None:
            raise Refused("not_found", "no report on this provider in this epoch is held here")
        return answer(signed)

    async def get_status(_: web.Request) -> web.Response:
        return status()

    app = application(domain, observer, clock, MAX_BODY)
    app.router.add_post("/v1/checks", post_check)
    app.router.add_get("/v1/reports/{epoch}/{provider}", get_report)
    app.router.add_get("/v1/status", get_status)
    return app
