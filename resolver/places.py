"""Where masters say they are, asked of each now and then. Claims are refuted in matchmaking and display only, so this is not signed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from chain.canonical import parse
from chain.errors import CodecError
from chain.types import Address
from resolver.terms import Master
from wire.geography import Spot, is_on_earth
from wire.http import Client, PeerError

log = logging.getLogger(__name__)


async def places_of(client: Client, masters: Sequence[Master], known: Mapping[Address, Spot]) -> dict[Address, Spot]:
    """The places of the listed masters that name one; of a master that does not answer, what it said last."""
    found = await asyncio.gather(*(_place_of(client, master, known.get(master.address)) for master in masters))
    return {master.address: spot for master, spot in zip(masters, found, strict=True) if spot is not None}


async def _place_of(client: Client, master: Master, known: Spot | None) -> Spot | None:
    try:
        said = parse(await client.get(master.endpoint, "/v1/status"))
    except (PeerError, CodecError) as error:
        log.debug("master %s does not say where it is: %s", master.address, error)
        return known
    return spot_in(said, master.address)


def spot_in(status: Any, master: Address) -> Spot | None:
    """The place that a master's status names; None without one, or if it is another node's."""
    if not isinstance(status, dict) or status.get("address") != master:
        return None
    match status.get("latitude"), status.get("longitude"):
        case int(latitude), int(longitude) if is_on_earth(latitude, longitude):
            return Spot(int(latitude), int(longitude))
        case _:
            return None
