"""Four validators on one chain, an in-process EVM unless a test brings another, that talk real HTTP on loopback, and the time they live
in, which is the test's: blocks and the validators' clock move together."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from chain.backend import SERVER_ERROR, Backend, BackendUnavailable, RpcError
from chain.canonical import decode, parse
from chain.client import ChainClient
from chain.contracts import Call
from chain.deploy import bond, deploy
from chain.errors import Recoverable
from chain.inprocess import InProcessBackend
from chain.keys import NodeKey
from chain.messages import EpochAttestation, NewListing
from chain.network import Network
from chain.parameters import DeploymentParameters
from chain.rules import Rules
from chain.sender import Sender
from chain.typed import Signed, digest_of, sign, verify
from chain.types import ZERO_DIGEST, Address, Wei, to_hex
from runtime.storage import Storage
from validator.agreement import proposer_of
from validator.config import ValidatorConfig
from validator.node import Validator, open_validator
from wire.agreement import LeafPath
from wire.http import Client, PeerRefused, serve
from wire.messages import ActivityProof, LatencyReport, ProofReceipt, UptimeTicket
from wire.node import Node

ETHER = 10**18
PORT = 7_900
STAKE = Wei(1_000 * ETHER)
RULES = Rules(heartbeat_s=2, presence_ttl_s=6, finality_blocks=1, slot_cap_wei=ETHER)
ALL_SLOTS = bytes([0b11111])


def _own_net() -> int:
    """A part of the loopback network that no other process with such validators has, kept until this one ends."""
    for net in range(89, 120):
        taken = socket.socket()
        try:
            taken.bind((f"127.{net}.255.1", PORT))
        except OSError:
            taken.close()
            continue
        atexit.register(taken.close)
        return net
    raise RuntimeError("more than thirty processes run such validators")


def key(name: str) -> NodeKey:
    return NodeKey(hashlib.sha256(name.encode()).digest())


DEPLOYER, RESOLVER = key("deployer"), key("resolver")
GUARDIAN, CONSUMER = key("guardian"), key("consumer")
MASTERS = [key(f"master {n}") for n in range(3)]
PROVIDERS = [key(f"provider {n}") for n in range(2)]
VALIDATORS = [key(f"validator {n}") for n in range(4)]
_NET = _own_net()
HOSTS = [f"127.{_NET}.{n}.1" for n in range(len(VALIDATORS))]
TREASURY = key("treasury").address


class Stopped(Exception):
    """Thrown at a crash point: the process ends here."""


class WorldClock:
    """Moves only with the chain."""

    def __init__(self) -> None:
        self.second = 0.0

    def now(self) -> float:
        return self.second

    async def sleep(self, _: float) -> None:
        await asyncio.sleep(0)


class Flaky:
    """A chain's node that fails every `nth` request: the first of four it refuses, the others it leaves unanswered, the second and the
    fourth after it has carried them out."""

    def __init__(self, backend: Backend, nth: int) -> None:
        self._backend, self._nth, self._asked = backend, nth, 0

    async def request(self, method: str, params: Sequence[object]) -> object:
        self._asked += 1
        if self._asked % (2 * self._nth) == 0:
            await self._backend.request(method, params)
        if self._asked % (4 * self._nth) == self._nth:
            raise RpcError(SERVER_ERROR, "too many requests")
        if self._asked % self._nth == 0:
            raise BackendUnavailable("flaky:1", "it says nothing")
        return await self._backend.request(method, params)

    async def close(self) -> None:
        """Leaves the chain as it is."""


@dataclass
class Seat:
    """One validator: its key and folder, and what runs there at the moment. line: its own way to the chain, if not the world's."""

    key: NodeKey
    host: str
    folder: Path
    stop_at: set[str] = field(default_factory=set)
    reached: list[str] = field(default_factory=list)
    answers_but_every: int = 0
    line: Backend | None = None
    database: Storage | None = None
    retention_epochs: int = 90
    max_fee_gwei: int = 500
    running: Validator | None = None
    closers: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def point(self, name: str) -> None:
        self.reached.append(name)
        if name in self.stop_at:
            self.stop_at.remove(name)
            raise Stopped(name)

    @property
    def endpoint(self) -> str:
        return f"{self.host}:{PORT}"


@dataclass
class World:
    """The chain, its four validators, and time."""

    backend: Backend
    chain: ChainClient
    clock: WorldClock
    seats: list[Seat]
    client: Client
    deployer: Sender
    watching: bool
    sequence: int = 0

    @property
    def network(self) -> Network:
        return self.chain.network

    # Time

    async def move_to(self, second: int) -> None:
        """An empty block at this second, and everyone's clock with it."""
        latest = await self.chain.latest()
        if second > latest.timestamp:
            await self.backend.request("evm_setNextBlockTimestamp", [second])
            await self.backend.request("evm_mine", [])
        self.clock.second = max(float(second), float((await self.chain.latest()).timestamp))

    async def step(self, seats: Sequence[Seat]) -> None:
        """One step of each duty of each, one after the other, then a second passes."""
        for seat in seats:
            if seat.running is not None:
                await self._duty(seat, lambda running: running.closing.step())
            if seat.running is not None and self.watching:
                await self._duty(seat, lambda running: running.watcher.step())
            if seat.running is not None:
                await self._duty(seat, lambda running: running.pruning.step())
        await self.move_to((await self.chain.latest()).timestamp + 1)

    async def _duty(self, seat: Seat, duty: Callable[[Validator], Awaitable[None]]) -> None:
        assert seat.running is not None
        try:
            await duty(seat.running)
        except Recoverable:
            pass
        except Stopped:
            await self.stop(seat)
            await self.start(seat)

    async def run_until(self, condition: Callable[[], Any], seats: Sequence[Seat] | None = None, steps: int = 60) -> None:
        for _ in range(steps):
            if await condition():
                return
            await self.step(self.seats if seats is None else seats)
        raise AssertionError("the network did not get there")

    async def until_posted(self, epoch: int, seats: Sequence[Seat] | None = None) -> None:
        await self.move_to(self.network.timing.intake_end(epoch))

        async def posted() -> bool:
            return await self.chain.settlement.last_posted_epoch() >= epoch

        await self.run_until(posted, seats)

    # Processes

    async def start(self, seat: Seat) -> None:
        backend = seat.line or (Flaky(self.backend, seat.answers_but_every) if seat.answers_but_every else self.backend)
        chain = ChainClient(backend, self.network)
        seat.closers = contextlib.AsyncExitStack()
        client = Client(chain.network.domain, "127.0.0.1")
        seat.closers.push_async_callback(client.close)
        node = Node("validator", seat.key, backend, chain, client, self.clock)
        config = ValidatorConfig(
            rpc_urls=(),
            settlement=self.network.settlement,
            keystore=seat.folder,
            data_dir=seat.folder,
            peer_timeout_s=0.5,
            poll_s=0.01,
            database=seat.database,
            retention_epochs=seat.retention_epochs,
            max_fee_gwei=seat.max_fee_gwei,
        )
        seat.running = await seat.closers.enter_async_context(open_validator(node, config, seat.point))
        runner = await serve(seat.running.app, seat.host, PORT)
        seat.closers.push_async_callback(runner.cleanup)

    async def stop(self, seat: Seat) -> None:
        seat.running = None
        await seat.closers.aclose()

    # What providers send

    def proof(self, provider: NodeKey, epoch: int, slots: bytes = ALL_SLOTS) -> Signed[ActivityProof]:
        self.sequence += 1
        domain, prefix = self.network.domain, "127.0.0.0/24"
        ticket = UptimeTicket(RESOLVER.address, provider.address, epoch, self.sequence, slots, 0, prefix)
        reports = [
            LatencyReport(one.address, provider.address, epoch, self.sequence, slots, 20_000, 21_000, 500, 0, prefix, True)
            for one in MASTERS
        ]
        return sign(
            ActivityProof(
                provider.address,
                epoch,
                self.sequence,
                (sign(ticket, domain, RESOLVER),),
                tuple(sign(report, domain, master) for report, master in zip(reports, MASTERS, strict=True)),
                (),
                (),
                ZERO_DIGEST,
            ),
            domain,
            provider,
        )

    async def call(self, who: NodeKey, *calls: Call) -> None:
        """Sends calls from an account, each mined at once; `Reverted` if a contract refuses one."""
        sender = self.deployer if who is DEPLOYER else Sender(self.backend, who, self.network.chain_id, poll_s=0.01)
        for call in calls:
            await sender.wait(await sender.send(call.to, call.data))

    async def hand_in(self, epoch: int, seats: Sequence[Seat] | None = None) -> None:
        """Every provider's proof of a whole epoch, at its end, to these validators."""
        await self.move_to(self.network.timing.end_of(epoch) + 1)
        for provider in PROVIDERS:
            proof = self.proof(provider, epoch)
            for seat in self.seats if seats is None else seats:
                receipt: Signed[ProofReceipt] = decode(Signed[ProofReceipt], await self._post(seat, proof))
                assert verify(receipt, self.network.domain).proof == digest_of(proof.message, self.network.domain)

    async def _post(self, seat: Seat, proof: Signed[ActivityProof]) -> bytes:
        """The answer to a proof, which is sent again, as providers do, while the validator cannot read the chain."""
        for _ in range(5):
            try:
                return await self.client.post(seat.endpoint, "/v1/proofs", proof)
            except PeerRefused as refused:
                if refused.code != "chain_unavailable":
                    raise
        raise AssertionError("the validator never read the chain")

    # What is true afterwards

    async def calls(self) -> list[tuple[str, Address]]:
        """What was sent to the settlement contract since the start, and by whom, in order."""
        found = []
        for number in range((await self.chain.latest()).number + 1):
            block = cast(Mapping[str, Any], await self.backend.request("eth_getBlockByNumber", [hex(number), True]))
            found += [
                (SELECTORS[sent["input"][:10]], Address(sent["from"].lower()))
                for sent in block["transactions"]
                if (sent["to"] or "").lower() == self.network.settlement
            ]
        return found

    def seat_of(self, account: Address) -> Seat:
        return next(seat for seat in self.seats if seat.key.address == account)

    def proposer(self, epoch: int, round_: int = 0) -> Seat:
        return self.seat_of(proposer_of(epoch, round_, sorted(one.address for one in VALIDATORS)))

    async def leaf(self, seat: Seat, account: Address) -> LeafPath:
        return decode(LeafPath, await self.client.get(seat.endpoint, f"/v1/leaves/{account}"))

    async def epochs(self, seat: Seat) -> dict[int, Mapping[str, Any]]:
        status = parse(await self.client.get(seat.endpoint, "/v1/status"))
        return {epoch["epoch"]: epoch for epoch in status["epochs"]}


SELECTORS: dict[str, str] = {}
"""Functions of the settlement contract by the first bytes of their calls."""


FUNDED = {one.address: 100 * ETHER for one in (DEPLOYER, GUARDIAN, CONSUMER, *VALIDATORS, *PROVIDERS)}
"""Who has how much of the chain's coin at first, wei."""
GROUNDS: dict[Rules, tuple[InProcessBackend, Network]] = {}
"""Chains at the start of epoch 1, a deployment each; worlds go on from them on chains of their own, so that these stay as they are."""


@contextlib.asynccontextmanager
async def a_world(
    tmp_path: Path,
    rules: Rules = RULES,
    *,
    watching: bool = False,
    databases: Mapping[int, Storage] = MappingProxyType({}),
    empty: Backend | None = None,
) -> AsyncIterator[World]:
    """Deployed, bonded, providers registered, four validators running; the first seconds of epoch 1. watching: each looks for frauds.
    databases: of the validators by their number, if they are not files of their own. empty: a chain to be on instead of one in this
    process, with id 31337, blocks a second apart and what `FUNDED` says."""
    backend, network = await _ground(rules) if empty is None else (empty, await _deployed(empty, rules))
    seats = [
        Seat(one, host, tmp_path / f"validator{n}", database=databases.get(n))
        for n, (one, host) in enumerate(zip(VALIDATORS, HOSTS, strict=True))
    ]
    sender = Sender(backend, DEPLOYER, network.chain_id, poll_s=0.01)
    client = Client(network.domain, "127.0.0.1")
    world = World(backend, ChainClient(backend, network), WorldClock(), seats, client, sender, watching)
    for second in range(rules.finality_blocks):  # so that the start of epoch 1 is final
        await world.move_to(network.timing.genesis + second)
    try:
        for seat in seats:
            await world.start(seat)
        yield world
    finally:
        for seat in seats:
            await world.stop(seat)
        await client.close()


async def _ground(rules: Rules) -> tuple[Backend, Network]:
    if rules not in GROUNDS:
        ground = InProcessBackend(balances=FUNDED)
        GROUNDS[rules] = ground, await _deployed(ground, rules)
    ground, network = GROUNDS[rules]
    return ground.fork(), network


async def _deployed(backend: Backend, rules: Rules) -> Network:
    listings = [NewListing(one.address, "validator", f"{host}:{PORT}", STAKE) for one, host in zip(VALIDATORS, HOSTS, strict=True)]
    listings += [NewListing(RESOLVER.address, "resolver", "127.0.0.1:1", STAKE)]
    listings += [NewListing(one.address, "master", "127.0.0.1:2", STAKE) for one in MASTERS]
    sender = Sender(backend, DEPLOYER, 31337, poll_s=0.01)
    parameters = DeploymentParameters(
        genesis_delay=200,
        epoch_length=400,
        slots_per_epoch=5,
        intake=40,
        post_window=200,
        challenge=100,
        margin=60,
        round_length=40,
        supply=Wei(1_000_000 * ETHER),
        funding=Wei(100_000 * ETHER),
        rate=Wei(100 * ETHER),
        min_deposit=Wei(ETHER),
        exit_delay=2_000,
        provider_bond=Wei(ETHER),
        bond_delay=1_000,
        unbond_delay=1_000,
        min_total=Wei(2_400 * ETHER),
        treasury=TREASURY,
        guardian=GUARDIAN.address,
        listings=tuple(listings),
        rules=rules,
    )
    network = await deploy(backend, sender, parameters)
    chain = ChainClient(backend, network)
    for one in VALIDATORS:
        await bond(chain, sender, one.address, STAKE)
    for provider in PROVIDERS:
        own = Sender(backend, provider, 31337, poll_s=0.01)
        for who, call in (
            (sender, chain.token.transfer(provider.address, Wei(ETHER))),
            (own, chain.token.approve(network.registry, Wei(ETHER))),
            (own, chain.registry.register(provider.address)),
        ):
            await who.wait(await who.send(call.to, call.data))
    settlement = chain.settlement
    blank = EpochAttestation(0, 0, 0, *(ZERO_DIGEST,) * 4, 0, 0, *(ZERO_DIGEST,) * 3)
    for name, call in {
        "propose": settlement.propose(0, 0, ZERO_DIGEST),
        "post": settlement.post(blank, []),
        "activate": settlement.activate(),
    }.items():
        SELECTORS[to_hex(call.data[:4])] = name
    for second in (network.timing.genesis - 1, network.timing.genesis):
        await backend.request("evm_mine", [{"timestamp": second}])
    return network
