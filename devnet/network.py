"""A devnet from nothing to fourteen nodes that answer, and its orderly end.

Order: chain; contracts deployed, validators bonded, providers given their bond; relay; then masters, resolver and validators; then the
providers, which register through the same command their operators use.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from chain.backend import BackendUnavailable
from chain.client import ChainClient
from chain.contracts import Call
from chain.deploy import deploy
from chain.network import Network
from chain.rpc import RpcBackend
from chain.sender import Sender
from chain.types import Address, Wei
from devnet.ground import RELAY_FILE, Ground, configure, lay
from devnet.layout import STATUS_PORT, Layout, Place
from devnet.processes import ROOT, Command, ProcessError, Processes
from wire.http import Client, PeerError

CHAIN_ID = 31_337
CHAIN_HOST = "127.0.0.1"
START_S = 120.0
"""The longest that any process may take to answer."""
TRANSFER_GAS = 120_000
BOND_GAS = 300_000
COMMAND_S = 120.0

T = TypeVar("T")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a `dpn` command did."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Devnet:
    """A running devnet. `genesis`: UTC second. `setup_s`: how long it took to get here."""

    ground: Ground
    processes: Processes
    rpc_url: str
    network: Network
    setup_s: float

    @property
    def layout(self) -> Layout:
        return self.ground.layout

    @property
    def folder(self) -> Path:
        return self.ground.folder

    def address(self, name: str) -> Address:
        return self.ground.keys[name].address

    def name_of(self, address: Address) -> str:
        """The name of the place with this account, or the account itself."""
        return next((name for name, key in self.ground.keys.items() if key.address == address), address)


@contextlib.asynccontextmanager
async def open_contracts(layout: Layout, folder: Path, logs: Path, say: Say) -> AsyncIterator[Devnet]:
    """A chain with the contracts on it, the validators' stake bonded, and every node's key and configuration; no node runs yet.

    Ends every process that was started on it, in order. `ProcessError`, `GroundError`, `ChainError` or `OSError` if it cannot be.
    """
    begun = time.monotonic()

    def told(line: str) -> None:
        say(f"{time.monotonic() - begun:4.0f} s  {line}")

    ground = lay(layout, folder)
    processes = Processes(logs)
    backend: RpcBackend | None = None
    try:
        told("A chain of its own, one block a second.")
        rpc_url = await _start_chain(ground, processes, told)
        backend = RpcBackend(rpc_url)
        await _until(processes, "the chain", lambda: _answers_rpc(backend))
        told("Five contracts: token, registry, vault, judge, settlement. Validators bond their stake.")
        network = await _deploy(ground, backend)
        configure(ground, rpc_url, network.settlement)
        yield Devnet(ground, processes, rpc_url, network, time.monotonic() - begun)
    finally:
        if backend is not None:
            await backend.close()
        by_role = [[place.name for place in layout.of(role)] for role in ("consumer", "provider", "resolver", "master", "validator")]
        await processes.end_all([*by_role[:2], [name for group in by_role[2:] for name in group], ["relay"]])


@contextlib.asynccontextmanager
async def open_devnet(layout: Layout, folder: Path, logs: Path, say: Say, *, registered: bool = True) -> AsyncIterator[Devnet]:
    """Sets a devnet up and ends it; no process is left. Consumers are not started. registered: whether its providers register.

    Raises as `open_contracts` does.
    """
    begun = time.monotonic()
    async with open_contracts(layout, folder, logs, say) as devnet:
        ground, processes = devnet.ground, devnet.processes
        say(f"{time.monotonic() - begun:4.0f} s  {len(layout.places)} nodes, each a process of its own with a key of its own.")
        if layout.relayed:
            await processes.start(Command("relay", "relay", ("devnet.relay", "--config", str(ground.folder / RELAY_FILE))))
        for role in ("master", "resolver", "validator"):
            for place in layout.of(role):
                await start_node(devnet, place)
        if registered:
            await together(*(register(ground, place) for place in layout.of("provider")))
        for role in ("master", "resolver", "validator"):
            for place in layout.of(role):
                await until_answers(devnet, place)
        for place in layout.of("provider"):
            await start_node(devnet, place)
        for place in layout.of("provider"):
            await until_answers(devnet, place)
        yield replace(devnet, setup_s=time.monotonic() - begun)


async def start_node(devnet: Devnet, place: Place) -> None:
    """Starts a node's process by its configuration."""
    await devnet.processes.start(Command(place.name, place.role, (place.role, "--config", str(devnet.ground.config_of(place)))))


async def until_answers(devnet: Devnet, place: Place) -> None:
    """Returns once the node answers for its status; `ProcessError` after `START_S`."""
    client = Client(devnet.network.domain, timeout_s=3.0)
    try:
        await _until(devnet.processes, place.name, lambda: answers(client, place))
    finally:
        await client.close()


async def register(ground: Ground, place: Place) -> None:
    """Registers a provider with its own bond, by the command that its operator uses; `ProcessError` if that fails."""
    result = await dpn("provider", "register", "--own-recipient", "--config", str(ground.config_of(place)), "--json")
    if result.code != 0:
        raise ProcessError(f"`dpn provider register` for {place.name} ended with {result.code}: {result.err.strip() or result.out.strip()}")


def status_endpoint(place: Place) -> str:
    """Where a node answers `GET /v1/status`: its public endpoint, or a provider's local one."""
    return f"{place.bind_host}:{STATUS_PORT}" if place.role == "provider" else place.endpoint


async def answers(client: Client, place: Place) -> bool:
    """Whether the node answers for its status."""
    try:
        await client.get(status_endpoint(place), "/v1/status")
    except PeerError:
        return False
    return True


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """The results of all, in order; the first error of any, once the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def dpn(*arguments: str, timeout_s: float = COMMAND_S) -> CommandResult:
    """Runs the command line as its user would, and bounded: what runs on is killed (`ProcessError`)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.app", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate()
    except TimeoutError:
        raise ProcessError(f"`dpn {' '.join(arguments)}` has not ended within {timeout_s:g} s.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return CommandResult(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))


async def _start_chain(ground: Ground, processes: Processes, say: Say) -> str:
    port = _free_port(ground.layout.rpc_port)
    if ground.layout.rpc_port not in (0, port):
        say(f"Port {ground.layout.rpc_port} is taken, so the chain answers on {port}.")
    ether = f"{ground.layout.money.gas_wei / 10**18:f}"
    funds = [f"--fund={key.address}:{ether}" for key in (*ground.keys.values(), ground.deployer)]
    finality = str(ground.layout.rules.finality_blocks)
    options = ("--host", CHAIN_HOST, "--port", str(port), "--chain-id", str(CHAIN_ID), "--finality", finality)
    await processes.start(Command("chain", "chain", ("chain", *options, *funds)))
    return f"http://{CHAIN_HOST}:{port}"


def _free_port(wanted: int) -> int:
    """The port that was asked for, or another one if it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((CHAIN_HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ProcessError("No port is free for the chain.")


async def _answers_rpc(backend: RpcBackend) -> bool:
    try:
        await backend.request("eth_chainId", [])
    except BackendUnavailable:
        return False
    return True


async def _until(processes: Processes, name: str, condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns once `condition` holds; `ProcessError` after `START_S`, or if a process ends."""
    deadline = time.monotonic() + START_S
    while not await condition():
        processes.require_alive()
        if time.monotonic() > deadline:
            raise ProcessError(f"{name} does not answer after {START_S:g} s; see its log.")
        await asyncio.sleep(0.1)


async def _deploy(ground: Ground, backend: RpcBackend) -> Network:
    """Contracts, stakes and the providers' bonds: all from the deployer, consecutive nonces, so that it takes few blocks."""
    sender = Sender(backend, ground.deployer, CHAIN_ID, poll_s=0.1)
    accounts, money = ground.accounts(), ground.layout.money
    network = await deploy(backend, sender, ground.layout.deployment(accounts, ground.deployer.address))
    chain = ChainClient(backend, network)
    validators = [accounts[place.name] for place in ground.layout.of("validator")]
    providers, consumers = ([accounts[place.name] for place in ground.layout.of(role)] for role in ("provider", "consumer"))
    calls: list[tuple[Call, int]] = [
        (chain.token.approve(network.registry, Wei(money.stake_wei * len(validators))), TRANSFER_GAS),
        *((chain.registry.bond(account, money.stake_wei), BOND_GAS) for account in validators),
        *((chain.token.transfer(account, money.provider_bond_wei), TRANSFER_GAS) for account in providers),
        *((chain.token.transfer(account, money.consumer_wei), TRANSFER_GAS) for account in consumers),
    ]
    hashes = [await sender.send(call.to, call.data, gas=gas) for call, gas in calls]
    for tx_hash in hashes:
        await sender.wait(tx_hash)
    return network
