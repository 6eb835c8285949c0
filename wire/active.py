"""What the active root says of accounts, by leaves that validators show: whoever shows one, it is the root on chain that is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from chain.canonical import decode
from chain.client import ChainClient
from chain.contracts.settlement import RootRecord
from chain.errors import CodecError
from chain.merkle import verify
from chain.messages import Leaf
from chain.types import PPM, Address, Digest
from chain.view import Listing
from runtime.clock import Clock
from wire.agreement import LeafPath
from wire.http import Client, PeerError, PeerRefused, PeerUnavailable
from wire.ranking import Reputation

MOST_ASKED = 7
"""Validators asked for one leaf by a daemon; of more it asks others each time."""
PATIENCE_S = 3.0
"""The longest that one validator may take to show a leaf to a daemon."""
SILENT_S = 60.0
"""How long one that did not is passed over."""


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """A leaf, seen to verify against the root that was active at a block. epoch: the root's."""

    leaf: Leaf
    path: tuple[Digest, ...]
    epoch: int
    root: Digest


@dataclass(frozen=True, slots=True)
class NoProof:
    """Why a validator showed no leaf of the root. code: its refusal's, empty if it gave none. silent: whether nothing came in time."""

    validator: Listing
    code: str
    said: str
    silent: bool = False


async def show_leaf(client: Client, validator: Listing, account: Address, record: RootRecord) -> ProvenLeaf | NoProof:
    """The account's leaf as the validator shows it, if it is one of that root."""
    try:
        found: LeafPath = decode(LeafPath, await client.get(validator.endpoint, f"/v1/leaves/{account}"))
    except (PeerError, CodecError) as error:
        code = error.code if isinstance(error, PeerRefused) else ""
        return NoProof(validator, code, str(error), isinstance(error, PeerUnavailable))
    leaf = Leaf(found.account, found.earned, found.spent, found.points, found.reputation)
    if found.account == account and verify(record.root, leaf, found.path):
        return ProvenLeaf(leaf, found.path, record.epoch, record.root)
    return NoProof(validator, "", f"its path does not lead to the active root 0x{record.root.hex()}")


class ActiveReputations:
    """Reputations for daemons: nothing is raised for what validators do, and each question asks a few of them for a bounded time."""

    def __init__(self, chain: ChainClient, client: Client, clock: Clock) -> None:
        self._chain, self._client, self._clock = chain, client, clock
        self._silent: dict[Address, float] = {}
        self._turn = 0

    async def root(self) -> tuple[RootRecord, tuple[Listing, ...]]:
        """The root active at the newest final block, zero before the first, and the validators listed then. Raises as reads do."""
        block = await self._chain.final()
        return await self._chain.settlement.active_record(block), (await self._chain.view(block)).validators()

    async def of(self, account: Address, record: RootRecord, validators: Sequence[Listing]) -> Reputation | None:
        """The account's reputation in that root: the prior if all that were asked say that it has no leaf, None if nobody proves a leaf
        and not all say so."""
        now = self._clock.now()
        self._silent = {one: until for one, until in self._silent.items() if until > now}
        start = self._turn % len(validators) if validators else 0
        self._turn += 1
        asked = [one for one in (*validators[start:], *validators[:start]) if one.account not in self._silent][:MOST_ASKED]
        absent = len(asked) == min(MOST_ASKED, len(validators)) > 0
        for validator in asked:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    shown = await show_leaf(self._client, validator, account, record)
            except TimeoutError:
                shown = NoProof(validator, "", "nothing came in time", silent=True)
            if isinstance(shown, ProvenLeaf):
                return Reputation(min(PPM, shown.leaf.reputation), shown.epoch)
            if shown.silent:
                self._silent[validator.account] = self._clock.now() + SILENT_S
            absent = absent and shown.code == "not_found"
        return Reputation(self._chain.network.rules.reputation_prior_ppm, 0) if absent else None
