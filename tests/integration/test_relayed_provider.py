"""A provider whose announced port nobody can dial, against real masters and a real resolver.

It is found out, goes behind a relay, is offered to consumers at a cost, serves them, and moves to another relay when that one dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import wire.relays
from chain.canonical import decode, parse
from chain.deploy import deploy
from chain.devchain.server import DevChain, DevChainConfig
from chain.keys import NodeKey
from chain.network import Network
from chain.rpc import RpcBackend
from chain.rules import Rules
from chain.sender import Sender
from chain.typed import sign
from chain.types import ZERO_ADDRESS, Address, Digest
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
from tests.integration.test_tunnels import until
from tests.processes import config_file, free_port
from wire.answers import Match, Matches, MatchQuery, ProviderView
from wire.http import Client, PeerError
from wire.messages import SessionRequest
from wire.relay import CALL, CALLED, CHALLENGE, REGISTER, WAITING, RelayRegistration, opening, registration_bytes
from wire.timing import be_timed

DEPLOYER, VALIDATOR, RESOLVER, CONSUMER, PROVIDER, *MASTERS = (NodeKey(bytes([n]) * 32) for n in range(0x51, 0x59))
RESOLVER_HOST, PROVIDER_HOST, CONSUMER_HOST, *MASTER_HOSTS = (f"127.93.{n}.1" for n in range(1, 7))
WITH_RELAY = 2
"""Of the masters, the first two."""
PAIRS = 24
SOON_S = 60.0


@dataclass
class Net:
    """What runs. stops: of the masters. start_master: with a relay at its port in `relays`."""

    network: Network
    client: Client
    resolver: str
    endpoints: dict[Address, str]
    relays: dict[Address, int]
    stops: dict[Address, asyncio.Event]
    start_provider: Callable[[], None]
    start_master: Callable[[NodeKey], asyncio.Task[None]]
    masters: dict[Address, asyncio.Task[None]]
    status: str
    folder: Path

    async def move_relay(self, master: Address) -> None:
        """Starts the master anew, with its relay at another port."""
        key = next(key for key in MASTERS if key.address == master)
        self.stops[master].set()
        await self.masters[master]
        self.relays[master] = free_port(MASTER_HOSTS[MASTERS.index(key)])
        self.masters[master] = self.start_master(key)

    async def crowd(self, master: Address) -> list[socket.socket]:
        """Fills the relay with pairs of accounts made up for it, as far as it lets those who are not registered."""
        loop, clock = asyncio.get_running_loop(), SystemClock()
        place, opened = (MASTER_HOSTS[[key.address for key in MASTERS].index(master)], self.relays[master]), []

        async def said(source: str, data: bytes) -> socket.socket:
            plain = socket.socket()
            opened.append(plain)
            plain.setblocking(False)
            plain.bind((source, 0))
            await loop.sock_connect(plain, place)
            await loop.sock_sendall(plain, data)
            return plain

        async def pair(number: int) -> None:
            key, source = NodeKey(bytes([0x71 + number]) * 32), f"127.94.{number}.1"
            await be_timed(self.endpoints[master], key.address, 5, source, clock, os.urandom)
            plain = await said(source, opening(REGISTER, key.address))
            assert (await loop.sock_recv(plain, 1)) == CHALLENGE
            nonce = await loop.sock_recv(plain, 32)
            registration = RelayRegistration(key.address, master, int(time.time()), Digest(nonce))
            await loop.sock_sendall(plain, registration_bytes(sign(registration, self.network.domain, key)))
            assert await loop.sock_recv(plain, 1) == WAITING
            await said(source, opening(CALL, key.address))
            assert await loop.sock_recv(plain, 1) == CALLED

        await asyncio.gather(*map(pair, range(PAIRS // 2)))
        return opened

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

        def start(run: Any, kind: Any, key: NodeKey, host: str, port: int, more: str = "") -> asyncio.Task[None]:
            home = folder / (f"{key.address} again" if key.address in stops else key.address)
            home.mkdir()
            file = config_file(home, key, served.url, network.settlement, host, port)
            file.write_text(file.read_text() + more)
            stops[key.address] = asyncio.Event()
            task = asyncio.create_task(run(load(kind, file, {}), stops[key.address], SystemClock()))
            tasks.append(task)
            return task

        def start_master(key: NodeKey) -> asyncio.Task[None]:
            more = f"relay_port = {relays[key.address]}\nrelay_pairs = {PAIRS}\n" if key.address in relays else ""
            return start(run_master, MasterConfig, key, MASTER_HOSTS[MASTERS.index(key)], ports[key.address], more)

        masters = {key.address: start_master(key) for key in MASTERS}
        start(run_resolver, ResolverConfig, RESOLVER, RESOLVER_HOST, int(at_resolver.rpartition(":")[2]))
        shut, status = free_port(PROVIDER_HOST), free_port(PROVIDER_HOST)
        try:
            await asyncio.sleep(max(0.0, network.timing.genesis + 0.2 - time.time()))
            more = f"announced_port = {shut}\nstatus_port = {status}\nprice = 77\nport_mapping = true\n"

            def start_provider() -> None:
                start(run_provider, ProviderConfig, PROVIDER, PROVIDER_HOST, free_port(PROVIDER_HOST), more)

            status_at = f"{PROVIDER_HOST}:{status}"
            endpoints = {key.address: f"{host}:{ports[key.address]}" for key, host in zip(MASTERS, MASTER_HOSTS, strict=True)}
            home = folder / PROVIDER.address
            yield Net(network, client, at_resolver, endpoints, relays, stops, start_provider, start_master, masters, status_at, home)
        finally:
            for stop in stops.values():
                stop.set()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                assert ended is None, ended


def test_who_cannot_be_dialled_serves_through_a_relay_and_moves_when_it_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wire.relays, "FRESH_S", 2.0)
    caplog.set_level(logging.INFO, "provider.reach.relayed")

    def announced(relay: Address) -> int:
        return sum(record.getMessage() == f"reached through the relay of master {relay} from now on" for record in caplog.records)

    async def scene() -> None:
        async with a_net(tmp_path) as net:
            net.start_provider()
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
            before = announced(second)
            await net.move_relay(second)
            await until(lambda: announced(second) > before)
            assert await net.price_through(second) == 77, "where the relay is by now, which is announced"
            await net.until_behind(but=first)

    asyncio.run(asyncio.wait_for(scene(), 240))


def test_a_relay_that_lets_nobody_through_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Connections wait at it, and whoever calls gets none: only masters notice."""
    caplog.set_level(logging.INFO, "provider.reach.relayed")

    async def scene() -> None:
        async with a_net(tmp_path) as net:
            crowds = {relay: await net.crowd(relay) for relay in net.relays}
            try:
                net.start_provider()
                await until(lambda: "from now on" in caplog.text)
                first = next(relay for relay in crowds if f"relay of master {relay} from now on" in caplog.text)
                for relay, crowd in crowds.items():
                    if relay != first:
                        for plain in crowd:
                            plain.close()
                second = await net.until_behind(but=first)
                assert await net.price_through(second) == 77
            finally:
                for crowd in crowds.values():
                    for plain in crowd:
                        plain.close()

    asyncio.run(asyncio.wait_for(scene(), 240))
