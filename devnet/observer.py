"""What anyone can see of a running devnet: raw JSON-RPC, the resolver's pool, the validators' leaves, every node's status over HTTP.

Nothing here opens a node's files or knows a key. A node that does not answer is a fact to show, not an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from chain.backend import BackendUnavailable
from chain.canonical import decode
from chain.rpc import RpcBackend
from chain.types import Address
from devnet.layout import UNLISTED, Place
from devnet.network import Devnet, status_endpoint
from devnet.rawchain import PostedLog, RawChain
from wire.agreement import LeafPath
from wire.answers import PoolView, ProviderView
from wire.http import Client, PeerError, PeerRefused

T = TypeVar("T")
TIMEOUT_S = 4.0


@dataclass(frozen=True, slots=True)
class NodeSight:
    """A node and its own word: `status` is what its `GET /v1/status` says, empty if it does not answer. pid: 0 if it does not run."""

    name: str
    role: str
    city: str
    pid: int
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Money:
    """An account on chain and in the active root, in wei: claimed, balance (of the token) and earned; reputation in ppm, points in
    thousandths. earned, reputation and points are 0 without a leaf."""

    claimed: int
    balance: int
    earned: int
    reputation: int
    points: int


@dataclass(frozen=True, slots=True)
class ProviderSight:
    """A provider as the resolver, the chain and itself see it. view: None if the resolver does not answer or does not know it."""

    node: NodeSight
    address: Address
    view: ProviderView | None
    money: Money

    def rtt_us(self, masters: Mapping[Address, str]) -> dict[str, int]:
        """The minimum RTT in microseconds by master's name, for the masters that have one."""
        if self.view is None:
            return {}
        return {masters[m.master]: m.rtt_min_us for m in self.view.masters if m.master in masters and m.rtt_min_us}


@dataclass(frozen=True, slots=True)
class Sight:
    """The devnet at one moment. second: of the latest block. active: the active root's epoch, 0 for none."""

    block: int
    second: int
    epoch: int
    slot: int
    active: int
    posted: tuple[PostedLog, ...]
    nodes: tuple[NodeSight, ...]
    providers: tuple[ProviderSight, ...]


class Observer:
    """Looks at a devnet; open it with `observing`."""

    def __init__(self, devnet: Devnet, backend: RpcBackend, client: Client) -> None:
        self._devnet, self.client = devnet, client
        self.backend, self.chain = backend, RawChain(backend, devnet.network.settlement)
        self.masters = {devnet.address(place.name): place.name for place in devnet.layout.of("master")}

    async def status(self, place: Place) -> dict[str, Any]:
        """A node's own word, empty if it does not answer."""
        try:
            answer = json.loads(await self.client.get(status_endpoint(place), "/v1/status"))
        except (PeerError, ValueError):
            return {}
        return answer if isinstance(answer, dict) else {}

    async def node(self, place: Place) -> NodeSight:
        processes = self._devnet.processes
        alive = place.name in processes.alive()
        status = await self.status(place) if alive else {}
        return NodeSight(place.name, place.role, place.city.name, processes.pid_of(place.name) if alive else 0, status)

    async def pool(self) -> dict[Address, ProviderView]:
        """The resolver's view of all providers; empty if no resolver answers."""
        for place in self._devnet.layout.of("resolver"):
            try:
                view: PoolView = decode(PoolView, await self.client.get(place.endpoint, "/v1/providers"))
            except PeerError:
                continue
            return {provider.provider: provider for provider in view.providers}
        return {}

    async def leaf(self, validator: Place, account: Address) -> LeafPath | None:
        """An account's leaf and path as one validator serves them; None if it does not."""
        try:
            return decode(LeafPath, await self.client.get(validator.endpoint, f"/v1/leaves/{account}"))
        except PeerError:
            return None

    async def any_leaf(self, account: Address) -> LeafPath | None:
        """The leaf from the first validator that has it."""
        for place in self._devnet.layout.of("validator"):
            if place.name in self._devnet.processes.alive() and (leaf := await self.leaf(place, account)) is not None:
                return leaf
        return None

    async def refusal(self, endpoint: str, path: str, body: Any) -> str:
        """The code that a peer refuses `body` with, empty if it is taken or nobody answers."""
        try:
            await self.client.post(endpoint, path, body)
        except PeerRefused as refused:
            return refused.code
        except PeerError:
            return ""
        return ""

    async def balance(self, account: Address) -> int:
        """What the account holds of the reward token, wei."""
        return await self.chain.number("balanceOf(address)", account, to=self._devnet.network.token)

    async def money(self, account: Address) -> Money:
        claimed, balance, leaf = await asyncio.gather(
            self.chain.number("claimedOf(address)", account), self.balance(account), self.any_leaf(account)
        )
        return Money(claimed, balance, *((leaf.earned, leaf.reputation, leaf.points) if leaf else (0, 0, 0)))

    async def provider(self, place: Place, pool: Mapping[Address, ProviderView]) -> ProviderSight:
        address = self._devnet.address(place.name)
        node, money = await asyncio.gather(self.node(place), self.money(address))
        return ProviderSight(node, address, pool.get(address), money)

    async def look(self) -> Sight | None:
        """Everything at once; None if the chain does not answer."""
        layout, timing = self._devnet.layout, self._devnet.network.timing
        try:
            (block, second), posted, active = await asyncio.gather(self.chain.head(), self.chain.posted(), self.chain.active_epoch())
            nodes = await asyncio.gather(*(self.node(place) for place in layout.places if place.role not in UNLISTED))
            pool = await self.pool()
            providers = await asyncio.gather(*(self.provider(place, pool) for place in layout.of("provider")))
        except BackendUnavailable:
            return None
        epoch = timing.epoch_at(second)
        return Sight(block, second, epoch, timing.slot_at(second) if epoch else 0, active, posted, tuple(nodes), tuple(providers))


@contextlib.asynccontextmanager
async def observing(devnet: Devnet) -> AsyncIterator[Observer]:
    """An observer with connections of its own, closed at the end."""
    backend, client = RpcBackend(devnet.rpc_url), Client(devnet.network.domain, timeout_s=TIMEOUT_S)
    try:
        yield Observer(devnet, backend, client)
    finally:
        await client.close()
        await backend.close()
