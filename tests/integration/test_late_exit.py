"""A consumer whose exit validators see only after they have covered its session: from its tunnel to the leaf, with all that is between."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chain.typed import Signed, sign
from consumer.carrying import Tunnel
from consumer.store import Store as ConsumerStore
from consumer.tunnel import Door, dial
from provider.duties import Errands
from provider.equipment import Equipment
from provider.heartbeat import Offering
from provider.peers import Roster
from provider.proving import Proving
from provider.reach.listener import Listener, listening
from provider.sessions.caps import Allowance, Caps
from provider.sessions.covering import Covering
from provider.sessions.egress import Policy
from provider.sessions.serving import Serving, Terms
from provider.sessions.streams import StreamLimits, Streams
from provider.store import Store
from tests.integration.test_demand_receipts import HELD, deposit, until_active
from tests.integration.test_tunnels import Program, run, until
from tests.tunnels import CONSUMER_HOST, HOST, OPENED, ORIGIN_HOST, give, origin
from tests.validators import CONSUMER, ETHER, PROVIDERS, RULES, World, a_world
from wire.addresses import IPAddress
from wire.http import Client
from wire.messages import SessionRequest
from wire.node import Node
from wire.refusals import Refused
from wire.sessions import fee_of

PROVIDER = PROVIDERS[0]
PRICE = 10**18
"""A token per GiB: what is downloaded here costs no whole number of wei a byte."""
BUDGET = ETHER


class Provider:
    """One that serves, and shows its sessions, to the world's validators."""

    def __init__(self, world: World, folder: Path, client: Client) -> None:
        network, domain = world.network, world.network.domain
        self.store = Store(folder / "provider.sqlite", PROVIDER.address, domain)
        self.caps = Caps(folder / "carried.sqlite", Allowance(), domain)
        self.sessions, self.streams = self.store.sessions(network.timing), Streams(Policy(opened=OPENED), StreamLimits(), _nowhere, HOST)
        roster = Roster(world.chain, world.clock, 1.0)
        self.covering = Covering(roster, client, world.clock, domain, network.timing, self.sessions.add_demand)
        self.serving = Serving(
            PROVIDER, network, world.clock, os.urandom, Terms(PRICE, 10**9), self.sessions, self.caps, self.covering, self.streams
        )
        node = Node("provider", PROVIDER, world.backend, world.chain, client, world.clock)
        self.errands = Errands()
        offering = Offering("127.0.0.1", 7_400, 1, 0, "", 0, 0, False)
        self.proving = Proving(Equipment(node, self.store, roster, offering, "127.0.0.1", bytes), self.errands)

    async def show(self, world: World, epoch: int) -> int:
        """Has its proof of an epoch taken by all validators; how many sessions are in it."""
        await world.move_to(world.network.timing.intake_end(epoch) - 2)
        while (proof := self.store.newest_proof(epoch)) is None or len(self.store.receipts(proof.digest)) < len(world.seats):
            await self.proving.step()
            await asyncio.sleep(0.01)
        return len(proof.signed.message.sessions)

    async def close(self) -> None:
        await self.covering.close()
        self.streams.close()
        self.caps.close()
        self.store.close()


async def _nowhere() -> tuple[frozenset[IPAddress], frozenset[IPAddress]]:
    return frozenset(), frozenset()


@contextlib.asynccontextmanager
async def a_provider(world: World, folder: Path) -> AsyncIterator[tuple[Provider, Listener]]:
    client = Client(world.network.domain)
    provider = Provider(world, folder, client)
    try:
        async with asyncio.TaskGroup() as group:
            provider.errands.group = group
            async with listening(HOST, 0, PROVIDER, world.network.domain, world.clock) as listener:
                listener.attend = provider.serving.serve
                yield provider, listener
    finally:
        await provider.close()
        await client.close()


@contextlib.asynccontextmanager
async def door_to(world: World, listener: Listener) -> AsyncIterator[Door]:
    """The consumer signs early when it is held up, and otherwise at the end: no moment of this machine's decides what is receipted."""
    rules = replace(RULES, receipt_every_s=600)
    async with dial(PROVIDER.address, HOST, listener.port, CONSUMER, world.network.domain, rules, world.clock, CONSUMER_HOST) as door:
        yield door


def request(world: World, start: int) -> Signed[SessionRequest]:
    expiry = int(world.clock.now()) + RULES.request_life_s
    message = SessionRequest(CONSUMER.address, "", 0, 500_000, PRICE, start, start + BUDGET, start + 1, expiry)
    return sign(message, world.network.domain, CONSUMER)


async def connect(world: World, listener: Listener, store: ConsumerStore, start: int) -> Tunnel:
    async with door_to(world, listener) as door:
        asked = request(world, start)
        return await door.accept(asked, await door.ask(asked), store)


async def refused(world: World, listener: Listener, store: ConsumerStore, start: int) -> str:
    with pytest.raises(Refused) as caught:
        await connect(world, listener, store, start)
    return caught.value.code


async def download(tunnel: Tunnel, port: int, size: int) -> int:
    """What it asks for, and what it is given, in bytes."""
    program, asked = Program(tunnel, ORIGIN_HOST, port), b"%d\n" % size
    await program.send(asked, end=True)
    assert len(await program.read()) == size
    await program.over()
    return len(asked) + size


@pytest.mark.timeout(600)
def test_who_exits_before_it_is_covered_is_served_for_as_long_as_it_is_paid_for(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world, origin(give) as port:
            timing = world.network.timing
            consumer = ConsumerStore(tmp_path / "consumer.sqlite", CONSUMER.address, world.network.domain)
            async with a_provider(world, tmp_path) as (provider, listener):
                await deposit(world)
                await world.move_to(timing.end_of(1) - 2)
                await world.call(CONSUMER, world.chain.vault.exit())
                assert (await world.chain.view()).deposit_of(CONSUMER.address).exit_epoch == 1
                # No validator has looked since.
                await world.move_to(timing.start_of(2))
                tunnel = await connect(world, listener, consumer, 0)
                covered = provider.sessions.session(tunnel.session_id)
                assert covered is not None
                assert covered.epochs == (2, 3), "by its demand receipts alone the next epoch would pay for it as well"

                used = await download(tunnel, port, 700_001)
                await until(lambda: tunnel.usage.receipted == used)
                await until_active(world, 1)
                assert await refused(world, listener, consumer, BUDGET) == "no_deposit"
                assert not tunnel.closed.is_set(), "it goes on: this epoch still pays for it"
                more = await download(tunnel, port, 100_001)
                await world.move_to(timing.end_of(2) - 1)
                assert (tunnel.usage.total, tunnel.usage.receipted) == (used + more, used)

                await world.move_to(timing.start_of(3))
                async with asyncio.timeout(30):
                    await tunnel.closed.wait()
                assert (tunnel.reason, world.clock.now()) == ("no_deposit", timing.start_of(3)), "in the first second"
                await tunnel.close()
                await until(lambda: not provider.serving.sessions)
                assert dict(provider.serving.ended) == {"no_deposit": 1}
                assert await refused(world, listener, consumer, 2 * BUDGET) == "no_deposit"
                known = consumer.session(tunnel.session_id)
                assert known is not None
                assert known.received == used + more, "it has signed for what came last too, too late"

                assert await provider.show(world, 2) == 1
                await until_active(world, 2)
                fee = fee_of(PRICE, used)
                assert (await world.leaf(world.seats[0], CONSUMER.address)).spent == fee
                protocol_fee = fee * RULES.protocol_fee_ppm // 10**6
                subsidy = protocol_fee * RULES.session_subsidy_ppm // 10**6
                assert (await world.leaf(world.seats[0], PROVIDER.address)).earned == fee - protocol_fee + subsidy

                assert await provider.show(world, 3) == 1
                await until_active(world, 3)
                assert (await world.leaf(world.seats[0], CONSUMER.address)).spent == fee, "what it signed for afterwards counts for nothing"
                assert 0 < fee_of(PRICE, used + more) - fee < fee_of(PRICE, RULES.credit_start_bytes)
            consumer.close()
            assert (await world.chain.view()).deposit_of(CONSUMER.address).held == HELD

    run(scene(), 580)
