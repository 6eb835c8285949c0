"""The listed validators as anybody sees them from outside: whether they answer, how fast, and what they show of the newest epochs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chain.canonical import decode
from chain.client import ChainClient
from chain.errors import CodecError
from chain.messages import EpochAttestation
from chain.typed import Signed, signer_of, verify
from chain.types import Wei
from chain.view import ChainView, Listing
from wire.http import Client, PeerError, PeerRefused
from wire.messages import Inventory

EPOCHS = 2
"""Epochs, the newest whose intake is closed, that are asked about."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """latency_ms: of one request on a connection that is open; fault: why it does not answer, empty if it does. inventories: by epoch the
    number of providers, or the code of the refusal. attested: by epoch whether it shows its own signature for the newest candidate's round,
    empty if there is none yet, or the code of the refusal."""

    listing: Listing
    latency_ms: float = 0.0
    fault: str = ""
    inventories: Mapping[int, str] = field(default_factory=dict)
    attested: Mapping[int, str] = field(default_factory=dict)

    @property
    def stake(self) -> Wei:
        return self.listing.stake


async def neighbours(chain: ChainClient, client: Client) -> Sequence[Neighbour]:
    """All listed validators, ascending by address, asked at the same time. Raises what the chain's node fails in."""
    block = await chain.latest()
    view = await chain.view(block)
    closed = chain.network.timing.epoch_at(block.timestamp - chain.network.timing.intake) - 1
    epochs = range(max(1, closed - EPOCHS + 1), closed + 1)
    return await asyncio.gather(*(_look(one, view, epochs, chain, client) for one in view.listed("validator")))


async def _look(listing: Listing, view: ChainView, epochs: Sequence[int], chain: ChainClient, client: Client) -> Neighbour:
    try:
        await client.get(listing.endpoint, "/v1/status")
        began = time.perf_counter()
        await client.get(listing.endpoint, "/v1/status")
        latency = 1_000 * (time.perf_counter() - began)
    except PeerError as error:
        return Neighbour(listing, fault=str(error))
    inventories = {epoch: await _inventory(listing, epoch, chain, client) for epoch in epochs}
    attested = {epoch: await _attested(listing, epoch, view, chain, client) for epoch in epochs}
    return Neighbour(listing, latency, "", inventories, attested)


async def _inventory(listing: Listing, epoch: int, chain: ChainClient, client: Client) -> str:
    try:
        signed: Signed[Inventory] = decode(Signed[Inventory], await client.get(listing.endpoint, f"/v1/inventories/{epoch}"))
        said = verify(signed, chain.network.domain)
    except PeerRefused as refused:
        return refused.code
    except (PeerError, CodecError) as error:
        return f"wrong: {error}"
    return str(said.count) if (said.validator, said.epoch) == (listing.account, epoch) else "wrong: another's, or of another epoch"


async def _attested(listing: Listing, epoch: int, view: ChainView, chain: ChainClient, client: Client) -> str:
    newest = next((one for one in reversed(view.proposed) if one.epoch == epoch), None)
    if newest is None:
        return ""
    try:
        raw = await client.get(listing.endpoint, f"/v1/attestations/{epoch}/{newest.round}")
        found: tuple[Signed[EpochAttestation], ...] = decode(tuple[Signed[EpochAttestation], ...], raw)
        signers = {signer_of(signed, chain.network.domain) for signed in found}
    except PeerRefused as refused:
        return refused.code
    except (PeerError, CodecError) as error:
        return f"wrong: {error}"
    return "yes" if listing.account in signers else "no"
