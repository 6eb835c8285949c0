"""Everyone in the demo, and the chain as they see it: opened on a network whose contracts stand, closed at the end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chain.client import ChainClient
from chain.epochs import proposer_index
from chain.keys import NodeKey
from chain.rpc import RpcBackend
from chain.types import Wei
from devnet.layout import Place
from devnet.network import Devnet
from devnet.rawchain import RawChain
from devnet.settlement.actors import Actor
from devnet.settlement.quorum import HostileQuorum
from wire.http import Client

DEPOSIT = Wei(50 * 10**18)
COIN_WEI = 10**18
TIMEOUT_S = 4.0


@dataclass(frozen=True, slots=True)
class Cast:
    """honest: the validator that runs as a process; hostile: the others. guardian: it deployed, so it is the treasury too.

    chain: what the actors read and send by; raw: what everything is checked against; client: for what validators serve.
    """

    devnet: Devnet
    chain: ChainClient
    raw: RawChain
    client: Client
    honest: Place
    hostile: HostileQuorum
    consumer: Actor
    provider: Actor
    stranger: Actor
    guardian: Actor


@contextlib.asynccontextmanager
async def open_cast(devnet: Devnet) -> AsyncIterator[Cast]:
    """The cast, with gas, the consumer with what it is going to deposit, and the hostile validators' servers. `OSError` if an endpoint is
    taken."""
    network, ground = devnet.network, devnet.ground
    backend, client = RpcBackend(devnet.rpc_url), Client(network.domain, timeout_s=TIMEOUT_S)
    chain = ChainClient(backend, network)
    honest = first_proposer(devnet)
    others = [(place, ground.keys[place.name]) for place in devnet.layout.of("validator") if place != honest]
    hostile = HostileQuorum(backend, chain, client, honest, others)
    consumer, provider, stranger, guardian = (
        Actor(backend, key, network.chain_id)
        for key in (NodeKey.create(), ground.keys[devnet.layout.of("provider")[0].name], NodeKey.create(), ground.deployer)
    )
    try:
        await hostile.open()
        for one in (consumer, stranger):
            await guardian.give_coin(one.address, COIN_WEI)
        await guardian.do(chain.token.transfer(consumer.address, DEPOSIT))
        raw = RawChain(backend, network.settlement)
        yield Cast(devnet, chain, raw, client, honest, hostile, consumer, provider, stranger, guardian)
    finally:
        await hostile.close()
        await client.close()
        await backend.close()


def first_proposer(devnet: Devnet) -> Place:
    """The validator that proposes first, in round 0 of epoch 1: the demo's honest one, so that the first root is its own."""
    places = sorted(devnet.layout.of("validator"), key=lambda place: devnet.address(place.name))
    return places[proposer_index(1, 0, len(places))]
