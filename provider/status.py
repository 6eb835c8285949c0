"""What a provider says about itself on its own machine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

from aiohttp import web

from chain.types import to_hex
from provider.config import ProviderConfig
from provider.equipment import Equipment
from provider.measuring import Measuring
from provider.presence import Presence
from wire.http import application, serve
from wire.node import status

PROOFS_SHOWN = 8
"""Epochs whose newest proof is shown."""


def figures(equipment: Equipment, presence: Presence, measuring: Measuring) -> dict[str, object]:
    """State, code, observer, stateTime and nextTry as the resolver sees them; masters as this provider does; counts are over all epochs,
    `slots` are those up in this one."""
    standing, totals, node = presence.standing, equipment.store.totals(), equipment.node
    epoch = node.network.timing.epoch_at(node.clock.now())
    views = sorted(measuring.views.values(), key=lambda view: view.master)
    return {
        "state": standing.state,
        "code": standing.code,
        "observer": standing.observer,
        "stateTime": standing.time,
        "nextTry": standing.next_try,
        "masters": views,
        "heartbeats": totals.heartbeats,
        "proofs": totals.proofs,
        "receipted": totals.receipted,
        "notReceipted": totals.not_receipted,
        "provenEpoch": totals.epoch,
        "newestProofs": [
            {"epoch": epoch, "digest": to_hex(digest), "outcome": outcome}
            for epoch, digest, outcome in equipment.store.newest_proofs(PROOFS_SHOWN)
        ],
        "epoch": epoch,
        "slot": node.network.timing.slot_at(node.clock.now()) if epoch else 0,
        "slots": equipment.store.held(epoch).slots_up(len(measuring.views), node.network.timing.slots_per_epoch),
    }


@contextlib.asynccontextmanager
async def status_server(
    equipment: Equipment, presence: Presence, measuring: Measuring, config: ProviderConfig, served: Callable[[], Mapping[str, object]]
) -> AsyncIterator[None]:
    """Answers `GET /v1/status` on `bind_host` and `status_port`, unless that is 0. served: gives what sessions have come to.

    `OSError` if the port is in use.
    """
    if not config.status_port:
        yield
        return
    node = equipment.node

    async def answer(_request: web.Request) -> web.StreamResponse:
        return status(node, **figures(equipment, presence, measuring), **served())

    app = application(node.domain, node.address, node.clock)
    app.router.add_get("/v1/status", answer)
    runner = await serve(app, config.bind_host, config.status_port)
    try:
        yield
    finally:
        await runner.cleanup()
