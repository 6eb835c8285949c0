"""What validators ask one another to close an epoch: requests and bytes of bodies, beside what section 6 of the protocol derives.

`python -m bench.agreement 4 16 64`: for each number of validators one whole epoch of a network with the times of section 2, a block every
12 s and a look at the chain every 4 s. The validators are the real ones, over HTTP on loopback and a chain in this process; that the
clock is the measurement's alone shortens the day. 32 providers hand a proof of five signatures each to two thirds of the validators, every
one to others. Counted is what arrives at the validators, as packed as it is on the way, from the close of intake until the root is final.
More than 32 validators are no network that can be deployed: for these the Registry's limit is raised (`bench.registry`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from bench.registry import list_up_to
from bench.windows import WINDOWS
from chain.canonical import encode
from chain.client import ChainClient
from chain.deploy import bond, deploy
from chain.inprocess import InProcessBackend
from chain.keys import NodeKey
from chain.messages import NewListing
from chain.network import Network
from chain.parameters import DeploymentParameters
from chain.rules import Rules
from chain.sender import Sender
from chain.typed import Signed, sign
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Digest, Wei
from validator.archive import Archive
from validator.config import ValidatorConfig
from validator.node import Validator, open_validator
from wire.files import parse_index
from wire.http import Client, Handler, serve
from wire.messages import ActivityProof, LatencyReport, UptimeTicket
from wire.node import Node
from wire.packing import pack

ETHER = 10**18
BLOCK_S, LOOK_S, FINAL = 12, 4, 12
NUMBERS = (4, 16, 64)
"""Of validators, that are measured."""
PROVIDERS = 32
EPOCH = 1
STAKE = Wei(1_000 * ETHER)
LONGEST_S = 1_200
"""Seconds of the network's time within which a root is final; a round has as many."""
PATIENCE_S = 600.0
"""What a validator may take to answer: all of them share one processor."""

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - in a folder of its own
"""Where the databases are, if there is such a place: the disk of one machine is slow for so many."""


def key(name: str) -> NodeKey:
    return NodeKey(hashlib.sha256(name.encode()).digest())


DEPLOYER, RESOLVER = key("deployer"), key("resolver")
MASTERS = [key(f"master {number}") for number in range(3)]


@dataclass(slots=True)
class Count:
    """Requests and bytes of bodies, both ways, by the kind of path."""

    requests: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, requests: int, size: int) -> None:
        """So many requests, each with its answer of `size` bytes."""
        self.requests[kind] += requests
        self.bytes[kind] += requests * size

    def told(self) -> dict[str, dict[str, int]]:
        return {"requests": dict(sorted(self.requests.items())), "bytes": dict(sorted(self.bytes.items()))}

    def middleware(self) -> Middleware:
        @web.middleware
        async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await handler(request)
            answered = response.body if isinstance(response, web.Response) else None
            size = len(answered) if isinstance(answered, bytes | bytearray) else 0
            self.add(request.path.split("/")[2], 1, (request.content_length or 0) + size)
            return response

        return counted


@dataclass(slots=True)
class Clock:
    """Moves only when the measurement moves it."""

    second: float = 0.0

    def now(self) -> float:
        return self.second

    async def sleep(self, _: float) -> None:
        await asyncio.sleep(0)


@dataclass(slots=True)
class Scene:
    """The chain, its time, the validators, ascending by address, and the providers."""

    backend: InProcessBackend
    chain: ChainClient
    clock: Clock
    validators: Sequence[Validator]
    providers: Sequence[NodeKey]

    async def block(self, second: int) -> None:
        await self.backend.request("evm_setNextBlockTimestamp", [second])
        await self.backend.request("evm_mine", [])
        self.clock.second = float(second)


# The network


async def deployed(keys: Sequence[NodeKey], providers: Sequence[NodeKey], port: int) -> tuple[InProcessBackend, Network]:
    """A network of these validators, bonded, and of these providers, registered, in the first second of epoch 1."""
    list_up_to(len(keys))
    backend = InProcessBackend(balances={one.address: 100 * ETHER for one in (DEPLOYER, *keys, *providers)})
    sender = Sender(backend, DEPLOYER, 31337, poll_s=0.01)
    network = await deploy(backend, sender, _parameters(keys, port))
    chain = ChainClient(backend, network)
    for one in keys:
        await bond(chain, sender, one.address, STAKE)
    for provider in providers:
        own = Sender(backend, provider, 31337, poll_s=0.01)
        for who, call in (
            (sender, chain.token.transfer(provider.address, Wei(ETHER))),
            (own, chain.token.approve(network.registry, Wei(ETHER))),
            (own, chain.registry.register(provider.address)),
        ):
            await who.wait(await who.send(call.to, call.data))
    for second in (network.timing.genesis - 1, network.timing.genesis):
        await backend.request("evm_mine", [{"timestamp": second}])
    return backend, network


def _parameters(keys: Sequence[NodeKey], port: int) -> DeploymentParameters:
    listings = [NewListing(one.address, "validator", f"{_host(number)}:{port}", STAKE) for number, one in enumerate(keys)]
    listings += [NewListing(RESOLVER.address, "resolver", "127.0.0.1:1", STAKE)]
    listings += [NewListing(one.address, "master", "127.0.0.1:2", STAKE) for one in MASTERS]
    return DeploymentParameters(
        genesis_delay=3_600,
        **WINDOWS,
        supply=Wei(1_000_000 * ETHER),
        funding=Wei(100_000 * ETHER),
        rate=Wei(100 * ETHER),
        min_deposit=Wei(ETHER),
        provider_bond=Wei(ETHER),
        min_total=Wei(STAKE * len(keys) * 3 // 5),
        treasury=key("treasury").address,
        guardian=ZERO_ADDRESS,
        listings=tuple(listings),
        rules=Rules(finality_blocks=FINAL),
    )


def _host(number: int) -> str:
    return f"127.82.{number}.1"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((_host(255), 0))
        return int(one.getsockname()[1])


@contextlib.asynccontextmanager
async def running(keys: Sequence[NodeKey], providers: Sequence[NodeKey], folder: Path, count: Count) -> AsyncIterator[Scene]:
    """These validators, each with a database, a connection to the chain and an address of its own; `count` hears of each request."""
    port = _free_port()
    backend, network = await deployed(keys, providers, port)
    clock = Clock(float(network.timing.genesis))
    async with contextlib.AsyncExitStack() as closers:
        validators = []
        for number, one in enumerate(keys):
            client = Client(network.domain, _host(number), PATIENCE_S)
            closers.push_async_callback(client.close)
            place = folder / str(number)
            config = ValidatorConfig(
                rpc_urls=(), settlement=network.settlement, keystore=place, data_dir=place, peer_timeout_s=PATIENCE_S, poll_s=1.0
            )
            node = Node("validator", one, backend, ChainClient(backend, network), client, clock)
            validator = await closers.enter_async_context(open_validator(node, config))
            validator.app.middlewares.insert(0, count.middleware())
            closers.push_async_callback((await serve(validator.app, _host(number), port)).cleanup)
            validators.append(validator)
        yield Scene(backend, ChainClient(backend, network), clock, validators, providers)


# The epoch


def receivers(scene: Scene, provider: int) -> list[Validator]:
    """The two thirds of the validators that the proof of a provider, by its number, reaches."""
    of = len(scene.validators)
    first = provider * of // len(scene.providers)
    return [scene.validators[(first + place) % of] for place in range(-(-2 * of // 3))]


async def hand_in(scene: Scene) -> None:
    """The epoch ends, and every provider's proof goes to its two thirds."""
    timing = scene.chain.network.timing
    for second in range(-1, BLOCK_S * (FINAL + 1), BLOCK_S):
        await scene.block(timing.end_of(EPOCH) + second)
    for number in range(len(scene.providers)):
        raw = encode(_proof(scene, number))
        for one in receivers(scene, number):
            await one.intake.accept(raw)


def _proof(scene: Scene, number: int) -> Signed[ActivityProof]:
    provider, prefix, domain = scene.providers[number], f"10.{number}.0.0/24", scene.chain.network.domain
    ticket = UptimeTicket(RESOLVER.address, provider.address, EPOCH, 1, b"\xff" * 18, 0, prefix)
    reports = tuple(
        sign(LatencyReport(one.address, provider.address, EPOCH, 1, b"\xff" * 18, 20_000, 21_000, 500, 0, prefix, True), domain, one)
        for one in MASTERS
    )
    proof = ActivityProof(provider.address, EPOCH, 1, (sign(ticket, domain, RESOLVER),), reports, (), (), ZERO_DIGEST)
    return sign(proof, domain, provider)


async def close(scene: Scene) -> None:
    """Everyone looks again and again, all at once, until the epoch's root is final. `RuntimeError` if it is not in time."""
    begins = scene.chain.network.timing.intake_end(EPOCH)
    for second in range(begins, begins + LONGEST_S, LOOK_S):
        if (second - begins) % BLOCK_S == 0:
            await scene.block(second)
        scene.clock.second = float(second)
        await asyncio.gather(*(one.closing.step() for one in scene.validators))
        if (await scene.chain.view(await scene.chain.final())).posted:
            return
    raise RuntimeError("the epoch was not closed in its first round")


# What is derived


def derived(scene: Scene) -> Count:
    """Section 6 of the protocol, "What closing costs": so many of each, of the sizes that the messages and files of this epoch have."""
    first, of, count = scene.validators[0], len(scene.validators), Count()
    inventories, candidate = first.archive.inventories(EPOCH), first.journal.signed(EPOCH, 0)
    if candidate is None or len(inventories) < of:
        raise RuntimeError("the epoch was not closed as derived")
    for signed in inventories:
        count.add("inventories", of - 1, len(encode(signed)))
    for digest, holders in Counter(signed.message.index_digest for signed in inventories).items():
        for size in _pieces(first.archive, digest):
            count.add("blobs", of - holders, size)
    for number in range(len(scene.providers)):
        count.add("proofs", of - len(receivers(scene, number)), len(pack(encode(_proof(scene, number)))))
    count.add("candidates", of - 1, len(encode(candidate)))
    for size in _pieces(first.archive, candidate.manifest_digest):
        count.add("blobs", of - 1, size)
    for one in scene.validators:
        told = encode(sign(candidate, scene.chain.network.domain, one.node.key))
        count.add("attestations", of - 1, len(told) + len(encode({"signer": one.node.address})))
    return count


def _pieces(archive: Archive, file: Digest) -> list[int]:
    """The packed sizes of a file's index and chunks."""
    index = archive.blob(file)
    blobs = (file, *parse_index(index).chunks) if index is not None else ()
    return [len(packed.frame) for packed in map(archive.packed_blob, blobs) if packed is not None]


# The figures


async def alone(validators: int, providers: int = PROVIDERS) -> dict[str, dict[str, dict[str, int]]]:
    """Of one network, in this process: what was counted and what is derived, by kind."""
    keys = sorted((key(f"validator {number}") for number in range(validators)), key=lambda one: one.address)
    own = [key(f"provider {number}") for number in range(providers)]
    count = Count()
    with tempfile.TemporaryDirectory(prefix="dpn-bench-", dir=MEMORY) as name:
        async with running(keys, own, Path(name), count) as scene:
            await hand_in(scene)
            await close(scene)
            expected = derived(scene)
    return {"measured": count.told(), "derived": expected.told()}


def measure(numbers: Sequence[int]) -> dict[str, dict[str, float]]:
    """By the figure's name; each network in a process of its own."""
    found = {}
    for validators in numbers:
        command = (sys.executable, "-m", "bench.agreement", "--alone", str(validators))
        made = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for what in ("requests", "bytes"):
            measured, expected = (sum(made[side][what].values()) for side in ("measured", "derived"))
            ratio = round(measured / expected, 3)
            found[f"agreement.{what}_{validators}"] = {"measured": measured, "derived": expected, "ratio": ratio}
    return found


def main(arguments: Sequence[str]) -> None:
    if arguments[0] == "--alone":
        print(json.dumps(asyncio.run(alone(int(arguments[1]))), indent=1))
    else:
        print(json.dumps(measure([int(one) for one in arguments]), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
