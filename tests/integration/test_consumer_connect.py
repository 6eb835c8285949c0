"""A consumer from request to receipts against a whole network of real daemons: through one provider, which is killed, to the next one.

Masters, resolver, validator and consumer run in this process, the providers in their own, so that they can be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chain.client import ChainClient
from chain.deploy import bond, deploy
from chain.devchain.server import DevChain, DevChainConfig
from chain.keys import NodeKey
from chain.messages import NewListing
from chain.network import Network
from chain.rpc import RpcBackend
from chain.rules import Rules
from chain.sender import Sender
from chain.types import Wei
from consumer.config import ConsumerConfig
from consumer.ledger import STORE, Spending
from consumer.node import BudgetSpent
from consumer.node import run as consume
from consumer.status import read
from consumer.store import Store
from consumer.trial import TrialFailed, fetch
from master.config import MasterConfig
from master.node import run as run_master
from resolver.config import ResolverConfig
from resolver.node import run as run_resolver
from runtime.clock import SystemClock
from runtime.config import load
from runtime.terminal import CommandFailed
from tests.deployments import NETWORK_WINDOWS, parameters
from tests.processes import config_file, free_port, start
from validator.config import ValidatorConfig
from validator.node import run as run_validator
from wire.http import Client, PeerError

ETHER = 10**18
DEPLOYER, VALIDATOR, RESOLVER, MASTER, CONSUMER, *PROVIDERS = (NodeKey(bytes([n]) * 32) for n in range(0x31, 0x38))
HOSTS = {"validator": "127.91.1.1", "resolver": "127.91.2.1", "master": "127.91.3.1", "consumer": "127.91.4.1", "origin": "127.91.5.1"}
PROVIDER_HOSTS = ("127.91.6.1", "127.91.7.1")
FILE = hashlib.sha256(b"a file").digest() * (1 << 16)
"""2 MiB."""
SOON_S = 120.0


@dataclass
class Net:
    """The network, its chain, and what serves a file to whoever comes."""

    folder: Path
    url: str
    network: Network
    chain: ChainClient
    client: Client
    origin: str
    visitors: list[str]
    providers: list[asyncio.subprocess.Process] = field(default_factory=list)

    def config(self, **changes: Any) -> ConsumerConfig:
        settings: dict[str, Any] = {
            "socks": f"{HOSTS['consumer']}:0",
            "max_price": "1",
            "budget": "8",
            "bind_host": HOSTS["consumer"],
            **changes,
        }
        folder = self.folder / "consumer"
        if not folder.exists():
            folder.mkdir()
            config_file(folder, CONSUMER, self.url, self.network.settlement, HOSTS["consumer"], 0)
        return load(ConsumerConfig, folder / "config.toml", settings)

    async def dpn(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What `dpn consumer` says as JSON; for another exit code than 0 what it says to the user."""
        asked = ("consumer", *arguments, "--config", str(self.folder / "consumer" / "config.toml"), "--json")
        process = await start("-m", "cli", *asked)
        try:
            out, err = await asyncio.wait_for(process.communicate(), SOON_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        assert process.returncode == code, (asked, out, err)
        assert b"Traceback" not in err
        found: dict[str, Any] = {"said": err.decode()} if code else json.loads(out)
        return found

    async def fetch(self, status: dict[str, Any]) -> bytes:
        """The origin's file through the SOCKS port that this status names; its digest is compared on the way."""
        host, _, port = status["socks"].rpartition(":")
        found = await fetch((host, int(port)), self.origin, len(FILE) + 1)
        assert found.size == len(FILE)
        return found.body


@contextlib.asynccontextmanager
async def a_net(folder: Path) -> AsyncIterator[Net]:
    """Deployed and running; both providers are connected."""
    ports = {role: free_port(HOSTS[role]) for role in ("validator", "resolver", "master")}
    stake = Wei(1_000 * ETHER)
    keys = {"validator": VALIDATOR, "resolver": RESOLVER, "master": MASTER}
    rules = Rules(allow_private_addresses=True, finality_blocks=1, receipt_every_s=5)
    listings = tuple(NewListing(keys[role].address, role, f"{HOSTS[role]}:{ports[role]}", stake) for role in keys)
    chosen = parameters(
        **NETWORK_WINDOWS, genesis_delay=25, min_total=Wei(600 * ETHER), treasury=DEPLOYER.address, listings=listings, rules=rules
    )
    visitors: list[str] = []

    async def serve_file(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append(writer.get_extra_info("peername")[0])
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(FILE) + FILE)
            await writer.drain()
        writer.close()

    async with contextlib.AsyncExitStack() as stack:
        balances = {key.address: 1_000 * ETHER for key in (DEPLOYER, VALIDATOR, CONSUMER, *PROVIDERS)}
        served = await stack.enter_async_context(DevChain(DevChainConfig(port=0, balances=balances)))
        backend = RpcBackend(served.url)
        stack.push_async_callback(backend.close)
        sender = Sender(backend, DEPLOYER, 31337, poll_s=0.1)
        network = await deploy(backend, sender, chosen)
        chain = ChainClient(backend, network)
        await bond(chain, sender, VALIDATOR.address, stake)
        await sender.wait(await sender.send(*_of(chain.token.transfer(CONSUMER.address, Wei(100 * ETHER)))))
        client = Client(network.domain, HOSTS["origin"])
        stack.push_async_callback(client.close)
        server = await asyncio.start_server(serve_file, HOSTS["origin"], 0)
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        origin = f"http://{HOSTS['origin']}:{server.sockets[0].getsockname()[1]}/file"
        stop = asyncio.Event()
        tasks = []
        roles: tuple[tuple[str, Any, Any], ...] = (
            ("master", MasterConfig, run_master),
            ("validator", ValidatorConfig, run_validator),
            ("resolver", ResolverConfig, run_resolver),
        )
        for role, kind, run in roles:
            home = folder / role
            home.mkdir()
            more = {"relay_port": free_port(HOSTS[role])} if role == "master" else {}
            file = config_file(home, keys[role], served.url, network.settlement, HOSTS[role], ports[role], **more)
            tasks.append(asyncio.create_task(run(load(kind, file, {}), stop, SystemClock())))
        net = Net(folder, served.url, network, chain, client, origin, visitors)
        try:
            await asyncio.sleep(max(0.0, network.timing.genesis + 0.2 - time.time()))
            for number, (key, host) in enumerate(zip(PROVIDERS, PROVIDER_HOSTS, strict=True)):
                home = folder / f"provider{number}"
                home.mkdir()
                more = {"announced_port": free_port(host)} if number else {}  # nobody can dial the second: it goes through the relay
                file = config_file(home, key, served.url, network.settlement, host, free_port(host), price=10**16 * (1 + number), **more)
                file.write_text(file.read_text() + f'region = "DE"\nlatitude = 50\nlongitude = 9\n{PROVIDER_SETTINGS}')
                net.providers.append(await start("-m", "provider", "--config", str(file)))
            endpoint = f"{HOSTS['resolver']}:{ports['resolver']}"
            await until(lambda: _connected(client, endpoint), "that both providers are connected")
            yield net
        finally:
            stop.set()
            for process in net.providers:
                if process.returncode is None:
                    process.kill()
                await process.communicate()
            await asyncio.gather(*tasks, return_exceptions=True)


PROVIDER_SETTINGS = 'egress_allow = ["127.91.5.0/24"]\n'


def _of(call: Any) -> tuple[Any, bytes]:
    return call.to, call.data


async def _connected(client: Client, endpoint: str) -> bool:
    from chain.canonical import parse

    try:
        pool = parse(await client.get(endpoint, "/v1/status"))["pool"]
    except PeerError:
        return False
    return bool(pool == {"connected": len(PROVIDERS)})


async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    for _ in range(int(SOON_S * 10)):
        if await true():
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"it did not become true {what}")


async def until_status(
    config: ConsumerConfig, task: asyncio.Task[None], true: Callable[[dict[str, Any]], bool], what: str
) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def look() -> bool:
        nonlocal found
        if task.done():
            task.result()
        try:
            found = read(config.data_dir)
        except CommandFailed:
            return False
        return true(found)

    await until(look, what)
    return found


@pytest.mark.timeout(600)
def test_a_budget_is_spent_and_a_killed_provider_is_left_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenes() -> None:
        async with a_net(tmp_path) as net:
            wishes, stop = net.config().wishes(), asyncio.Event()
            with pytest.raises(CommandFailed, match="dpn consumer deposit"):
                await consume(net.config(), wishes, Spending(wishes.budget, wishes.max_price), stop, SystemClock())
            assert (await net.dpn("deposit", "20", "--yes"))["amount_wei"] == str(20 * ETHER)
            await spend_it_all(net)
            with monkeypatch.context() as patch:
                patch.setattr("consumer.budgets.LEAST_BYTES", 1 << 20)
                await go_on_without_a_gap(net)
            await move_on(net)
            await look_back_and_leave(net)

    asyncio.run(scenes())


async def spend_it_all(net: Net) -> None:
    """8 MiB at the lower price, the only one allowed: the run ends by itself, and has not cost more."""
    budget = 10**16 * 8 * (1 << 20) // (1 << 30)
    config = net.config(budget=f"{budget}wei", max_price=f"{10**16}wei")
    spending = Spending(budget, 10**16)
    running = asyncio.create_task(consume(config, config.wishes(), spending, asyncio.Event(), SystemClock()))
    status = await until_status(config, running, lambda found: found["state"] == "connected", "that a tunnel stands")
    got = 0
    host, _, port = status["socks"].rpartition(":")
    for _ in range(40):
        if running.done():
            break
        try:
            got += (await fetch((host, int(port)), net.origin, len(FILE))).size
        except CommandFailed:
            await asyncio.sleep(0.2)
    with pytest.raises(BudgetSpent):
        await asyncio.wait_for(running, SOON_S)
    store = Store(config.data_dir / STORE, CONSUMER.address, net.network.domain)
    assert budget * 3 // 4 <= spending.spent(store) <= budget
    assert {known.provider for known in store.sessions()} == {PROVIDERS[0].address}
    store.close()
    assert got <= 8 << 20
    assert read(config.data_dir)["state"] == "ended"


def stands(number: int, found: dict[str, Any]) -> bool:
    """Whether this is the status of a tunnel that stands, the one of that number."""
    return bool(found["state"] == "connected" and found["sessions"] == number)


async def go_on_without_a_gap(net: Net) -> None:
    """Four sessions of 8 MiB each: the next one stands before the budget of the one before is used up, and no download is cut."""
    budget = 10**16 * 32 * (1 << 20) // (1 << 30)
    config, spending, stop = net.config(budget=f"{budget}wei", max_price=f"{10**16}wei"), Spending(budget, 10**16), asyncio.Event()
    running = asyncio.create_task(consume(config, config.wishes(), spending, stop, SystemClock()))
    try:
        for number in (1, 2, 3):
            status = await until_status(config, running, partial(stands, number), "that the next stands")
            assert int(status["session"]) == budget // 4
            for _ in range(3):
                await net.fetch(status)
    finally:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)
    running.result()
    store = Store(config.data_dir / STORE, CONSUMER.address, net.network.domain)
    ours = store.sessions(spending.sessions)
    assert sum(known.received for known in ours) >= 9 * len(FILE)
    assert {known.reason for known in ours} == {"done"}, "each was left in order, none by its budget's end"
    store.close()


async def move_on(net: Net) -> None:
    """From one that is killed to the other; once that is killed too, nothing goes out any more."""
    net.visitors.clear()
    config = net.config()
    wishes = config.wishes()
    spending, stop = Spending(wishes.budget, wishes.max_price), asyncio.Event()
    running = asyncio.create_task(consume(config, wishes, spending, stop, SystemClock()))
    try:
        first = await until_status(config, running, lambda found: found["state"] == "connected", "that a tunnel stands")
        assert (first["region"], first["session"]) == ("DE", str(2 * ETHER)), "a quarter of the budget"
        await net.fetch(first)
        number = [key.address for key in PROVIDERS].index(first["provider"])
        assert set(net.visitors) == {PROVIDER_HOSTS[number]}
        settled = await until_status(config, running, lambda found: found["receipted"] >= len(FILE), "that all is receipted")
        assert settled["bytes"] == settled["receipted"] == settled["reported"]
        tried = await net.dpn("test", "--url", net.origin, "--speed-url", net.origin, "--socks", first["socks"])
        assert (tried["provider"], tried["region"], tried["bytes"]) == (first["provider"], "DE", len(FILE))
        assert (await net.dpn("status"))["provider"] == first["provider"]

        net.providers[number].kill()
        second = await until_status(config, running, partial(stands, 2), "that it moved on")
        assert second["provider"] == PROVIDERS[1 - number].address
        assert (second["last_left"]["provider"], second["last_left"]["code"]) == (first["provider"], "provider_failed")
        assert int(second["spent"]) > 0, "what was spent before is not forgotten"
        await net.fetch(second)

        net.providers[1 - number].kill()
        waiting = await until_status(config, running, lambda found: found["state"] == "waiting", "that it waits")
        visits = len(net.visitors)
        with pytest.raises(TrialFailed):
            await net.fetch(waiting)
        assert len(net.visitors) == visits, "without a tunnel nothing goes out"
        assert set(net.visitors) == set(PROVIDER_HOSTS), "nor does anything ever go direct"
    finally:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)
    running.result()
    assert read(config.data_dir)["state"] == "ended"
    store = Store(config.data_dir / STORE, CONSUMER.address, net.network.domain)
    newest, oldest = store.sessions(2)
    assert oldest.received >= len(FILE)
    assert oldest.budget_to <= newest.budget_from
    assert spending.spent(store) == oldest.fee + newest.fee
    assert spending.left(store) == 8 * ETHER - oldest.fee - newest.fee
    store.close()


async def look_back_and_leave(net: Net) -> None:
    """By the commands: what it cost, what is there, out, and when the rest comes back."""
    sessions = (await net.dpn("receipts"))["sessions"]
    assert {one["provider"] for one in sessions} == {key.address for key in PROVIDERS}
    assert all(one["closed"] and float(one["fee"]) <= float(one["budget"]) for one in sessions)
    assert (await net.dpn("status", code=3))["said"] == ""
    assert (await net.dpn("account"))["held_wei"] == str(20 * ETHER)
    assert "dpn consumer exit" in (await net.dpn("withdraw", "--yes", code=4))["said"]
    assert "epoch 2 is active" in (await net.dpn("exit", "--yes"))["next"]
    assert (await net.dpn("account"))["exited"] is True
    assert "can be withdrawn once" in (await net.dpn("withdraw", "--yes", code=4))["said"]
    assert "exited already" in (await net.dpn("exit", "--yes", code=5))["said"]
    assert "withdraw first" in (await net.dpn("deposit", "5", "--yes", code=4))["said"]
    config = net.config()
    with pytest.raises(CommandFailed, match="dpn consumer withdraw"):
        await consume(config, config.wishes(), Spending(ETHER, ETHER), asyncio.Event(), SystemClock())
