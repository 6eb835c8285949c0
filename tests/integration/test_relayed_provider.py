"""A provider whose announced port nobody can dial, against real masters and a real resolver.

It is found out, goes behind a relay, is offered to consumers at a cost, serves them, and moves to another relay when that one dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.canonical import decode, parse
from chain.deploy import deploy
from chain.devchain.server import DevChain, DevChainConfig
from chain.keys import NodeKey
from chain.network import Network
from chain.rpc import RpcBackend
from chain.rules import Rules
from chain.sender import Sender
from chain.typed import sign
from chain.types import ZERO_ADDRESS, Address
from consumer.tunnel import dial
from master.config import MasterConfig
from master.node import run as run_master
from provider.config import ProviderConfig
from provider.doctor.checks import examine
from provider.doctor.findings import Finding
from provider.node import run as run_provider
from resolver.config import ResolverConfig
from resolver.node import run as run_resolver
from runtime.clock import SystemClock
from runtime.config import load
from tests.deployments import NETWORK_WINDOWS, listed, parameters
from tests.processes import config_file, free_port
from wire.answers import Match, Matches, MatchQuery, ProviderView
from wire.http import Client, PeerError
from wire.messages import SessionRequest

DEPLOYER, VALIDATOR, RESOLVER, CONSUMER, PROVIDER, *MASTERS = (NodeKey(bytes([n]) * 32) for n in range(0x51, 0x59))
RESOLVER_HOST, PROVIDER_HOST, CONSUMER_HOST, *MASTER_HOSTS = (f"127.93.{n}.1" for n in range(1, 7))
WITH_RELAY = 2
"""Of the masters, the first two."""
SOON_S = 60.0


@dataclass
class Net:
    """What runs. stops: of the masters."""

    network: Network
    client: Client
    resolver: str
    relays: dict[Address, int]
    stops: dict[Address, asyncio.Event]
    status: str
    folder: Path

    async def view(self) -> ProviderView | None:
        """The provider as the resolver shows it."""
        try:
            found: ProviderView = decode(ProviderView, await self.client.get(self.resolver, f"/v1/providers/{PROVIDER.address}"))
        except PeerError:
            return None
        return found

    async def until_behind(self, but: Address = ZERO_ADDRESS) -> Address:
        """The master through whose relay, another one than `but`, the provider is connected."""
        for _ in range(int(SOON_S * 10)):
            view = await self.view()
            if view is not None and view.state == "connected" and view.relay in self.relays and view.relay != but:
                assert view.group_prefix == "127.93.2.0/24", "where it is, not where the relay is"
                return view.relay
            await asyncio.sleep(0.1)
        raise AssertionError(f"it did not come to be behind a relay: {await self.view()}")

    async def examined(self) -> dict[str, str]:
        """What the doctor finds about masters and relays, by check."""

        async def no_egress() -> Finding:
            return Finding("way out", "note", "not looked at")

        config = load(ProviderConfig, self.folder / "config.toml", {})
        found = examine(config, PROVIDER, SystemClock(), no_egress)
        return {finding.check: finding.code async for finding in found if finding.check.startswith(("master", "relay"))}

    async def market(self) -> Match:
        """The provider as a look at the market shows it."""
        now = int(time.time())
        request = SessionRequest(CONSUMER.address, "", 0, 500_000, 10**18, 0, 0, 1, now + 30)
        query = MatchQuery(sign(request, self.network.domain, CONSUMER), (), ())
        found: Matches = decode(Matches, await self.client.post(self.resolver, "/v1/matches", query))
        (match,) = found.matches
        return match

    async def price_through(self, relay: Address) -> int:
        """What the provider asks for, when dialled through this relay."""
        host = MASTER_HOSTS[[key.address for key in MASTERS].index(relay)]
        rules, domain = self.network.rules, self.network.domain
        calling = dial(PROVIDER.address, host, self.relays[relay], CONSUMER, domain, rules, SystemClock(), CONSUMER_HOST, relayed=True)
        async with calling as door:
            request = SessionRequest(CONSUMER.address, "", 0, 500_000, 10**18, 0, 10**15, 2, int(time.time()) + 30)
            return (await door.ask(sign(request, domain, CONSUMER))).message.price


@contextlib.asynccontextmanager
async def a_net(folder: Path) -> AsyncIterator[Net]:
    ports = {key.address: free_port(host) for key, host in zip(MASTERS, MASTER_HOSTS, strict=True)}
    relays = {key.address: free_port(host) for key, host in list(zip(MASTERS, MASTER_HOSTS, strict=True))[:WITH_RELAY]}
    at_resolver = f"{RESOLVER_HOST}:{free_port(RESOLVER_HOST)}"
    listings = (
        listed("validator", VALIDATOR, "127.93.9.1:1"),
        listed("resolver", RESOLVER, at_resolver),
        *(listed("master", key, f"{host}:{ports[key.address]}") for key, host in zip(MASTERS, MASTER_HOSTS, strict=True)),
    )
    rules = Rules(allow_private_addresses=True, finality_blocks=1)
    chosen = parameters(**NETWORK_WINDOWS, genesis_delay=10, treasury=DEPLOYER.address, listings=listings, rules=rules)
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(DevChain(DevChainConfig(port=0, balances={DEPLOYER.address: 10**21})))
        backend = RpcBackend(served.url)
        stack.push_async_callback(backend.close)
        network = await deploy(backend, Sender(backend, DEPLOYER, 31337, poll_s=0.1), chosen)
        client = Client(network.domain, CONSUMER_HOST)
        stack.push_async_callback(client.close)
        stops: dict[Address, asyncio.Event] = {}
        tasks = []

        def start(run: Any, kind: Any, key: NodeKey, host: str, port: int, more: str = "") -> None:
            home = folder / key.address
            home.mkdir()
            file = config_file(home, key, served.url, network.settlement, host, port)
            file.write_text(file.read_text() + more)
            stops[key.address] = asyncio.Event()
            tasks.append(asyncio.create_task(run(load(kind, file, {}), stops[key.address], SystemClock())))

        for key, host in zip(MASTERS, MASTER_HOSTS, strict=True):
            more = f"relay_port = {relays[key.address]}\n" if key.address in relays else ""
            start(run_master, MasterConfig, key, host, ports[key.address], more)
        start(run_resolver, ResolverConfig, RESOLVER, RESOLVER_HOST, int(at_resolver.rpartition(":")[2]))
        shut, status = free_port(PROVIDER_HOST), free_port(PROVIDER_HOST)
        try:
            await asyncio.sleep(max(0.0, network.timing.genesis + 0.2 - time.time()))
            more = f"announced_port = {shut}\nstatus_port = {status}\nprice = 77\nport_mapping = true\n"
            start(run_provider, ProviderConfig, PROVIDER, PROVIDER_HOST, free_port(PROVIDER_HOST), more)
            yield Net(network, client, at_resolver, relays, stops, f"{PROVIDER_HOST}:{status}", folder / PROVIDER.address)
        finally:
            for stop in stops.values():
                stop.set()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                assert ended is None, ended


def test_who_cannot_be_dialled_serves_through_a_relay_and_moves_when_it_dies(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_net(tmp_path) as net:
            first = await net.until_behind()
            match = await net.market()
            assert (match.provider, match.relayed, match.host) == (PROVIDER.address, True, "")
            assert match.score_ppm < 700_000
            assert await net.price_through(first) == 77
            said: Any = parse(await net.client.get(net.status, "/v1/status"))
            assert (said["state"], said["relay"]) == ("connected", first)
            assert said["relayConnections"] > 0
            assert said["portMapping"] == "no_gateway", "no router is reached from a loopback address, and it goes on without"
            examined = await net.examined()
            assert examined.pop("relay") == "note"
            assert set(examined.values()) == {"note"}, "what no master can dial is nothing to mend where there are relays"
            net.stops[first].set()
            second = await net.until_behind(but=first)
            assert await net.price_through(second) == 77

    asyncio.run(asyncio.wait_for(scene(), 240))
