"""A provider through all six steps at the network's default parameters, against a real resolver, masters and validators: real sockets,
real signatures, an injected clock. And again, killed at every point where a kill must do no harm.

Only the address rule differs from the defaults, since loopback addresses are private ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chain.client import ChainClient
from chain.deploy import bond, deploy
from chain.inprocess import InProcessBackend
from chain.keys import NodeKey
from chain.messages import NewListing
from chain.network import Network
from chain.rules import Rules
from chain.sender import Sender
from chain.typed import Signed
from chain.types import Address, Wei
from master.api import api as master_api
from master.checks import Checks
from master.datagrams import answering
from master.dialback import Dialer
from master.echo import Responder
from master.report import Ledger
from provider.config import ProviderConfig
from provider.node import provide
from provider.store import NOT_RECEIPTED, OPEN, RECEIPTED, Store
from resolver.api import build as resolver_api
from resolver.node import read_surroundings
from resolver.service import Resolver
from resolver.store import PoolStore
from runtime.clock import ManualClock
from tests.deployments import NETWORK_WINDOWS, parameters
from validator.config import ValidatorConfig
from validator.node import Validator, open_validator
from wire.activity import broken_link
from wire.answers import ReportBatch
from wire.http import Client, serve
from wire.messages import ActivityProof
from wire.node import Node, status
from wire.slots import count, has_slot
from wire.statements import merge_reports, merge_tickets

RESOLVER_KEY, PROVIDER_KEY, DEPLOYER = (NodeKey(bytes([n]) * 32) for n in (1, 2, 3))
MASTER_KEYS = tuple(NodeKey(bytes([n]) * 32) for n in (11, 12, 13))
VALIDATOR_KEYS = tuple(NodeKey(bytes([n]) * 32) for n in (21, 22, 23))
RESOLVER_HOST, PROVIDER_HOST = "127.77.1.1", "127.77.2.1"
MASTER_HOSTS = ("127.77.11.1", "127.77.12.1", "127.77.13.1")
VALIDATOR_HOSTS = ("127.77.21.1", "127.77.22.1", "127.77.23.1")
TOKENS = 10**18
DUTIES = 3
"""Sleepers of a provider that has nothing to do at the moment."""


@dataclass(frozen=True)
class Deployed:
    chain: ChainClient
    port: int

    @property
    def network(self) -> Network:
        return self.chain.network


async def deploy_network(rules: Rules) -> Deployed:
    with socket.create_server((RESOLVER_HOST, 0)) as free:
        port: int = free.getsockname()[1]
    backend = InProcessBackend(balances={DEPLOYER.address: 10**24})
    stake = Wei(1_000 * TOKENS)
    nodes = [("resolver", RESOLVER_KEY, RESOLVER_HOST)]
    nodes += [("master", key, host) for key, host in zip(MASTER_KEYS, MASTER_HOSTS, strict=True)]
    nodes += [("validator", key, host) for key, host in zip(VALIDATOR_KEYS, VALIDATOR_HOSTS, strict=True)]
    chosen = parameters(
        **NETWORK_WINDOWS,
        genesis_delay=600,
        provider_bond=Wei(TOKENS),
        min_total=Wei(stake * len(VALIDATOR_KEYS) * 6 // 10),
        treasury=DEPLOYER.address,
        listings=tuple(NewListing(key.address, role, f"{host}:{port}", stake) for role, key, host in nodes),
        rules=rules,
    )
    sender = Sender(backend, DEPLOYER, 31337, poll_s=0.01)
    chain = ChainClient(backend, await deploy(backend, sender, chosen))
    for key in VALIDATOR_KEYS:
        await bond(chain, sender, key.address, stake)
    for second in (chain.network.timing.genesis, chain.network.timing.end_of(1)):  # so that the anchors of both epochs are final
        await backend.request("evm_setNextBlockTimestamp", [second])
        for _ in range(rules.finality_blocks + 1):
            await backend.request("evm_mine", [])
    return Deployed(chain, port)


@pytest.fixture(scope="module")
def deployed() -> Deployed:
    """The default rules; one chain for all tests here, which only read it."""
    return asyncio.run(deploy_network(Rules(allow_private_addresses=True)))


@pytest.fixture(scope="module")
def deployed_n1() -> Deployed:
    """The same with a proof at every heartbeat."""
    return asyncio.run(deploy_network(Rules(allow_private_addresses=True, proof_every=1)))


class NotingClient(Client):
    """The real client, with a note of what was posted where."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.posted: list[tuple[str, str, Any]] = []

    async def post(self, endpoint: str, path: str, value: Any) -> bytes:
        self.posted.append((endpoint, path, value))
        return await super().post(endpoint, path, value)


@dataclass
class World:
    """Everyone but the provider; `client` is the one the provider asks with."""

    deployed: Deployed
    clock: ManualClock
    folder: Path
    resolver: Resolver
    validators: dict[Address, Validator]
    client: NotingClient
    stack: AsyncExitStack
    points: list[str] = field(default_factory=list)

    async def serve_pool(self) -> None:
        app = resolver_api(self.resolver, self.deployed.network.domain, self.clock, lambda: status(self.node("resolver", RESOLVER_KEY)))
        self.pool_runner: web.AppRunner = await serve(app, RESOLVER_HOST, self.deployed.port)
        self.stack.push_async_callback(self.pool_runner.cleanup)

    async def serve_validator(self, number: int) -> None:
        key, host, network = VALIDATOR_KEYS[number], VALIDATOR_HOSTS[number], self.deployed.network
        own = ValidatorConfig(
            rpc_urls=(),
            settlement=network.settlement,
            keystore=self.folder,
            data_dir=self.folder / key.address,
            bind_host=host,
            port=self.deployed.port,
        )
        validator = await self.stack.enter_async_context(open_validator(self.node("validator", key), own))
        self.stack.push_async_callback((await serve(validator.app, host, self.deployed.port)).cleanup)
        self.validators[key.address] = validator

    def node(self, role: str, key: NodeKey) -> Node:
        return Node(role, key, self.deployed.chain.backend, self.deployed.chain, self.client, self.clock)

    @property
    def state(self) -> str:
        return self.resolver.provider(PROVIDER_KEY.address).state

    def config(self) -> ProviderConfig:
        return ProviderConfig(
            rpc_urls=(),
            settlement=self.deployed.network.settlement,
            keystore=self.folder,
            data_dir=self.folder / "provider",
            bind_host=PROVIDER_HOST,
            port=self.deployed.port,
            region="DE",
            latitude=52,
            longitude=13,
            price=10**15,
            poll_s=120.0,
            status_port=self.deployed.port + 1,
        )

    async def provide(self, stop: asyncio.Event, reached: Callable[[str], None]) -> None:
        await provide(self.node("provider", PROVIDER_KEY), self.config(), stop, os.urandom, reached)

    def store(self) -> Store:
        return Store(self.folder / "provider" / "provider.sqlite", PROVIDER_KEY.address, self.deployed.network.domain)


@asynccontextmanager
async def world(deployed: Deployed, start: float, folder: Path, validators: int = 3) -> AsyncIterator[World]:
    clock, network, port = ManualClock(start), deployed.network, deployed.port
    domain, chain = network.domain, deployed.chain
    async with AsyncExitStack() as stack:
        pool = PoolStore(folder / "pool.sqlite", domain)
        stack.callback(pool.close)
        resolver = Resolver(RESOLVER_KEY, domain, pool, clock, await read_surroundings(chain), 100)
        client = NotingClient(domain, PROVIDER_HOST)
        stack.push_async_callback(client.close)
        found = World(deployed, clock, folder, resolver, {}, client, stack)
        await found.serve_pool()
        for key, host in zip(MASTER_KEYS, MASTER_HOSTS, strict=True):
            responder = Responder(key.secret(), network.timing, network.rules.echo_rounds)
            ledger, dialer = Ledger(key.address, network.timing, network.rules.echo_rounds), Dialer(host, domain)
            checks = Checks(key, domain, network.timing, network.rules, clock, responder, ledger, dialer.dial)
            node = found.node("master", key)
            app = master_api(checks, ledger, partial(status, node), domain, key.address, clock)
            stack.push_async_callback((await serve(app, host, port)).cleanup)
            stack.enter_context(answering(responder, host, port, clock))
        for number in range(validators):
            await found.serve_validator(number)
        yield found


async def pass_time(clock: ManualClock, until: float, provider: asyncio.Task[None]) -> None:
    """Moves the clock on from sleeper to sleeper, but not while the provider waits for an answer: that takes no time here."""

    def deadlines() -> list[float]:
        return [second for second, _, woken in clock._sleepers if not woken.done()]

    def idle() -> bool:
        busy = any(getattr(task.get_coro(), "__qualname__", "") == "Errands._run" for task in asyncio.all_tasks())
        return not busy and len(deadlines()) == DUTIES

    while clock.now() < until and not provider.done():
        seen = 0
        for _ in range(4_000):
            await asyncio.sleep(0.0005)
            seen = seen + 1 if idle() else 0
            if (
                provider.done() or seen == 4 or (deadlines() and min(deadlines()) - clock.now() <= 0.1)
            ):  # 4: one that was woken may not run yet
                break
        if not provider.done():
            await clock.advance(max(0.0, min([*deadlines(), until]) - clock.now()))


async def settle(condition: Callable[[], bool]) -> None:
    """Gives real input and output a bounded while to make something true, the clock standing still."""
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come true")


def test_all_six_steps_at_the_defaults(deployed: Deployed, tmp_path: Path) -> None:
    network = deployed.network
    timing, rules = network.timing, network.rules
    assert (rules.heartbeat_s, rules.presence_ttl_s, timing.slot_seconds, rules.proof_every) == (30, 90, 600, 10)

    async def scene() -> None:
        start = timing.end_of(1) - 3 * 600.0 + 7
        async with world(deployed, start, tmp_path) as net:
            stop = asyncio.Event()
            provider = asyncio.create_task(net.provide(stop, net.points.append))
            # steps 1 to 4: announced, in the pool, timed and dialled back by all three, confirmed
            await pass_time(net.clock, start + 29, provider)
            assert net.points[:3] == ["started", "announced", "measured"]
            assert net.state == "connected"
            view = net.resolver.provider(PROVIDER_KEY.address)
            assert [master.code for master in view.masters] == ["ok"] * 3
            assert all(0 < master.rtt_min_us < rules.max_rtt_us for master in view.masters)
            # step 5: heartbeats every 30 s
            await pass_time(net.clock, start + 599, provider)
            assert net.resolver.provider(PROVIDER_KEY.address).heartbeats == 19
            # step 6: a proof after 10 heartbeats, with receipts of all validators, before the epoch ends
            store = net.store()
            await settle(lambda: store.totals().receipted >= 1)
            first = store.newest_proof(1)
            assert first is not None
            assert first.outcome == RECEIPTED
            assert len(store.receipts(first.digest)) == 3
            # three slots on, the epoch over, its intake still open: the final proof
            await pass_time(net.clock, timing.end_of(1) + 900.0, provider)
            final = store.newest_proof(1)
            assert final is not None
            assert final.outcome == RECEIPTED
            assert final.digest != first.digest
            ticket = merge_tickets([signed.message for signed in final.signed.message.tickets])
            assert [has_slot(ticket.slots, slot) for slot in (141, 142, 143)] == [True, True, True]
            for key in MASTER_KEYS:
                own = [signed.message for signed in final.signed.message.reports if signed.message.master == key.address]
                assert [has_slot(merge_reports(own).slots, slot) for slot in (141, 142, 143)] == [True, True, True]
            for validator in net.validators.values():
                assert validator.archive.holdings(PROVIDER_KEY.address, 1).sequence == final.signed.message.sequence
            # the next epoch is measured anew; SIGTERM's event says goodbye
            assert net.state == "connected"
            assert any(count(signed.message.slots) for signed in store.held(2).reports)
            stop.set()
            await provider
            assert net.state == "left"
            log = store.entries(10_000)
            assert broken_link(log, network.domain) is None
            assert log[0].index == 0
            assert {entry.kind for entry in log} == {"started", "announced", "measured", "connected", "proof", "receipted", "left"}
            store.close()

    asyncio.run(scene())


def test_silence_expires_after_90_seconds_and_a_new_announcement_leads_back(deployed: Deployed, tmp_path: Path) -> None:
    async def scene() -> None:
        start = deployed.network.timing.start_of(1) + 50_007.0
        async with world(deployed, start, tmp_path) as net:
            provider = asyncio.create_task(net.provide(asyncio.Event(), net.points.append))
            await pass_time(net.clock, start + 61, provider)
            await settle(lambda: net.state == "connected")
            provider.cancel()
            await asyncio.gather(provider, return_exceptions=True)
            await net.clock.advance(100.0)
            assert net.state == "expired"
            stop = asyncio.Event()
            again = asyncio.create_task(net.provide(stop, net.points.append))
            await pass_time(net.clock, net.clock.now() + 31, again)
            assert net.state == "connected"
            stop.set()
            await again

    asyncio.run(scene())


def test_a_pool_that_forgot_is_announced_to_again_under_a_new_presence(deployed: Deployed, tmp_path: Path) -> None:
    async def scene() -> None:
        start = deployed.network.timing.start_of(1) + 50_007.0
        async with world(deployed, start, tmp_path) as net:
            stop = asyncio.Event()
            provider = asyncio.create_task(net.provide(stop, net.points.append))
            await pass_time(net.clock, start + 31, provider)
            await settle(lambda: net.state == "connected")
            first = net.resolver.entries[PROVIDER_KEY.address].presence.presence_id
            net.resolver._forget(PROVIDER_KEY.address)  # what a resolver that lost its disk knows
            await pass_time(net.clock, start + 95, provider)
            await settle(lambda: net.state == "connected")
            assert net.resolver.entries[PROVIDER_KEY.address].presence.presence_id != first
            assert set(net.resolver.entries) == {PROVIDER_KEY.address}
            stop.set()
            await provider

    asyncio.run(scene())


def test_with_n_1_every_heartbeat_is_followed_by_a_proof(deployed_n1: Deployed, tmp_path: Path) -> None:
    async def scene() -> None:
        start = deployed_n1.network.timing.start_of(1) + 50_007.0
        async with world(deployed_n1, start, tmp_path) as net:
            stop = asyncio.Event()
            provider = asyncio.create_task(net.provide(stop, net.points.append))
            await pass_time(net.clock, start + 125, provider)
            stop.set()
            await provider
            store = net.store()
            totals = store.totals()
            store.close()
            assert totals.heartbeats == totals.proofs == 4
            assert totals.receipted == 4

    asyncio.run(scene())


def test_without_two_thirds_of_the_stake_a_proof_is_tried_again_until_intake_closes(deployed: Deployed, tmp_path: Path) -> None:
    async def scene() -> None:
        timing = deployed.network.timing
        start = timing.end_of(1) - 100.0
        async with world(deployed, start, tmp_path, validators=1) as net:
            stop = asyncio.Event()
            provider = asyncio.create_task(net.provide(stop, net.points.append))
            await pass_time(net.clock, timing.intake_end(1) - 1.0, provider)
            store = net.store()
            newest = store.newest_proof(1)
            assert newest is not None
            assert newest.outcome == OPEN
            assert len(store.receipts(newest.digest)) == 1
            attempts = [endpoint for endpoint, path, raw in net.client.posted if path == "/v1/proofs" and raw == newest.raw]
            assert {attempts.count(f"{host}:{deployed.port}") for host in VALIDATOR_HOSTS[:1]} == {1}
            assert all(10 < attempts.count(f"{host}:{deployed.port}") < 60 for host in VALIDATOR_HOSTS[1:])
            await pass_time(net.clock, timing.intake_end(1) + 61.0, provider)
            closed = store.newest_proof(1)
            assert closed is not None
            assert closed.outcome == NOT_RECEIPTED
            assert [entry.detail for entry in store.entries(10_000) if entry.kind == "not_receipted"] == [
                f"epoch 1 proof 0x{newest.digest.hex()}"
            ]
            store.close()
            stop.set()
            await provider

    asyncio.run(scene())


def test_a_validator_that_comes_back_is_handed_the_same_proof(deployed: Deployed, tmp_path: Path) -> None:
    async def scene() -> None:
        timing = deployed.network.timing
        async with world(deployed, timing.end_of(1) - 100.0, tmp_path, validators=1) as net:
            stop = asyncio.Event()
            provider = asyncio.create_task(net.provide(stop, net.points.append))
            await pass_time(net.clock, timing.end_of(1) + 400.0, provider)
            store = net.store()
            before = store.newest_proof(1)
            assert before is not None
            assert before.outcome == OPEN
            await net.serve_validator(1)
            await pass_time(net.clock, net.clock.now() + 121.0, provider)
            after = store.newest_proof(1)
            assert after is not None
            assert (after.raw, after.outcome) == (before.raw, RECEIPTED)
            store.close()
            stop.set()
            await provider

    asyncio.run(scene())


def test_a_resolver_that_is_away_for_longer_than_a_presence_lasts_finds_the_provider_again(deployed: Deployed, tmp_path: Path) -> None:
    async def scene() -> None:
        start = deployed.network.timing.start_of(1) + 50_007.0
        async with world(deployed, start, tmp_path) as net:
            stop = asyncio.Event()
            provider = asyncio.create_task(net.provide(stop, net.points.append))
            await pass_time(net.clock, start + 31, provider)
            await settle(lambda: net.state == "connected")
            await net.pool_runner.cleanup()
            await pass_time(net.clock, start + 700, provider)
            assert not provider.done()
            assert net.state == "expired"
            await net.serve_pool()
            await pass_time(net.clock, start + 740, provider)
            await settle(lambda: net.state == "connected")
            assert [master.code for master in net.resolver.provider(PROVIDER_KEY.address).masters] == ["ok"] * 3
            stop.set()
            await provider

    asyncio.run(scene())


def test_the_local_status_tells_state_masters_slots_and_proofs(deployed_n1: Deployed, tmp_path: Path) -> None:
    async def scene() -> None:
        start = deployed_n1.network.timing.start_of(1) + 50_007.0
        async with world(deployed_n1, start, tmp_path) as net:
            stop = asyncio.Event()
            provider = asyncio.create_task(net.provide(stop, net.points.append))
            await pass_time(net.clock, start + 65, provider)
            found = json.loads(await net.client.get(f"{PROVIDER_HOST}:{deployed_n1.port + 1}", "/v1/status"))
            stop.set()
            await provider
            assert (found["role"], found["address"], found["state"], found["code"]) == ("provider", PROVIDER_KEY.address, "connected", "ok")
            assert (found["observer"], found["heartbeats"], found["proofs"], found["receipted"]) == (RESOLVER_KEY.address, 2, 2, 2)
            assert [(master["master"], master["code"]) for master in found["masters"]] == sorted((k.address, "ok") for k in MASTER_KEYS)
            assert all(master["rttMinUs"] > 0 for master in found["masters"])
            assert (found["epoch"], found["provenEpoch"], found["notReceipted"]) == (1, 1, 0)

    asyncio.run(scene())


class Killed(Exception):
    """What SIGKILL is to a process."""


def killing_at(point: str, points: list[str]) -> Callable[[str], None]:
    """Kills at the first time that the point is reached."""

    def reached(name: str) -> None:
        points.append(name)
        if name == point and points.count(name) == 1:
            raise Killed(name)

    return reached


@dataclass(frozen=True)
class Outcome:
    """What must be the same whether or not the provider was killed on the way."""

    up: tuple[bytes, ...]
    signers: tuple[Address, ...]
    outcome: str
    receipts: int
    archived: frozenset[int]
    state: str
    kinds: frozenset[str]
    measured: frozenset[str]
    asked: frozenset[tuple[str, str]]


async def lived_through(deployed: Deployed, folder: Path, kill_at: str) -> tuple[Outcome, list[tuple[str, str, Any]], list[str]]:
    """The last 11 minutes of epoch 1 and the first 5 after it; `kill_at` is a point, or empty."""
    timing = deployed.network.timing
    start, end = timing.end_of(1) - 650.0, timing.end_of(1) + 300.0
    async with world(deployed, start, folder) as net:
        stop = asyncio.Event()
        provider = asyncio.create_task(net.provide(stop, killing_at(kill_at, net.points)))
        await pass_time(net.clock, end, provider)
        if provider.done():
            with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group, or the bare exception before there is one
                await provider
            assert Killed in {type(error) for error in getattr(caught.value, "exceptions", [caught.value])}
            provider = asyncio.create_task(net.provide(stop, net.points.append))
            await pass_time(net.clock, end, provider)
        stop.set()
        await provider
        store = net.store()
        newest = store.newest_proof(1)
        assert newest is not None
        proof = newest.signed.message
        ticket = merge_tickets([signed.message for signed in proof.tickets])
        reports = [merge_reports([s.message for s in proof.reports if s.message.master == key.address]) for key in MASTER_KEYS]
        log = store.entries(10_000)
        assert broken_link(log, deployed.network.domain) is None
        assert log[0].index == 0
        outcome = Outcome(
            up=(ticket.slots, *(report.slots for report in reports)),
            signers=(ticket.resolver, *(report.master for report in reports)),
            outcome=newest.outcome,
            receipts=len(store.receipts(newest.digest)),
            archived=frozenset(v.archive.holdings(PROVIDER_KEY.address, 1).sequence - proof.sequence for v in net.validators.values()),
            state=net.state,
            kinds=frozenset(entry.kind for entry in log) - {"resumed"},
            measured=frozenset(entry.detail for entry in log if entry.kind == "measured"),
            asked=frozenset((endpoint, path) for endpoint, path, _ in net.client.posted),
        )
        store.close()
        return outcome, net.client.posted, net.points


@pytest.fixture(scope="module")
def never_killed(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return asyncio.run(lived_through(deployed, tmp_path_factory.mktemp("never_killed"), ""))[0]


POINTS = ("started", "announced", "measured", "connected", "heartbeat", "proof_stored", "receipted")


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_it_ends_the_same(point: str, deployed: Deployed, never_killed: Outcome, tmp_path: Path) -> None:
    outcome, posted, points = asyncio.run(lived_through(deployed, tmp_path, point))
    assert points.count("started") == 2, "it was killed and started again"
    assert outcome == never_killed
    sequences = [v.message.sequence for _, path, v in posted if path in ("/v1/announcements", "/v1/heartbeats", "/v1/leaving")]
    assert sequences == sorted(set(sequences)), "no sequence is ever used twice or falls"
    presences = [value.message.presence_id for _, path, value in posted if path == "/v1/announcements"]
    assert len(set(presences)) == len(presences)
    proofs = [bytes(value) for _, path, value in posted if path == "/v1/proofs"]
    by_sequence: dict[int, set[bytes]] = {}
    for raw in proofs:
        by_sequence.setdefault(_proof(raw).sequence, set()).add(raw)
    assert all(len(versions) == 1 for versions in by_sequence.values()), "a proof is sent as it was stored"
    assert not any(isinstance(value, ReportBatch) and not value.reports for _, _, value in posted)


def _proof(raw: bytes) -> ActivityProof:
    from chain.canonical import decode

    signed: Signed[ActivityProof] = decode(Signed[ActivityProof], raw)
    return signed.message
