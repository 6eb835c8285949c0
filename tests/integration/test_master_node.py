"""A master as its own process, against a served chain: starts, times a provider, says what it counts, ends when told to."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from pathlib import Path

import pytest

from chain.canonical import decode
from chain.deploy import deploy
from chain.devchain.server import DevChain, DevChainConfig
from chain.keys import NodeKey
from chain.network import Network
from chain.parameters import DeploymentParameters
from chain.rpc import RpcBackend
from chain.rules import Rules
from chain.sender import Sender
from chain.typed import Signed, sign, verify
from chain.types import Digest
from tests.deployments import NETWORK_WINDOWS, listed, parameters
from tests.processes import config_file, finish, free_port, start, status_of
from wire.http import Client, PeerRefused
from wire.messages import Announcement, LatencyReport
from wire.tls import make_identity, server_context
from wire.udp import Cookie, Echo, Hello, make_nonce, pack, parse

MASTER_HOST, HOME = "127.23.0.1", "127.24.0.1"
DEPLOYER, MASTER, PROVIDER = NodeKey(b"\x11" * 32), NodeKey(b"\x12" * 32), NodeKey(b"\x13" * 32)


def a_network(port: int) -> DeploymentParameters:
    listings = (
        listed("validator", NodeKey(b"\x14" * 32), "127.23.0.2:1"),
        listed("resolver", NodeKey(b"\x15" * 32), "127.23.0.3:1"),
        listed("master", MASTER, f"{MASTER_HOST}:{port}"),
    )
    rules = Rules(allow_private_addresses=True, finality_blocks=1)
    return parameters(**NETWORK_WINDOWS, genesis_delay=10, listings=listings, treasury=DEPLOYER.address, rules=rules)


async def echo_all(port: int, rounds: int) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.setblocking(False)
        plain.bind((HOME, 0))
        plain.connect((MASTER_HOST, port))
        for round_ in range(rounds):
            await loop.sock_sendall(plain, pack(Hello(PROVIDER.address, make_nonce(os.urandom(7), round_))))
            cookie = parse(await asyncio.wait_for(loop.sock_recv(plain, 200), 10))
            assert isinstance(cookie, Cookie)
            await loop.sock_sendall(plain, pack(Echo(cookie)))


async def measured(client: Client, endpoint: str, network: Network) -> LatencyReport:
    """Echoes, listens, posts the announcement; a slot that ends meanwhile, or an echo still on its way, means once more."""

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    context = server_context(make_identity(PROVIDER, network.domain, 2_000_000_000))
    server = await asyncio.start_server(hang_up, HOME, 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for attempt in range(1, 6):
            await echo_all(int(endpoint.rpartition(":")[2]), network.rules.echo_rounds)
            said = Announcement(PROVIDER.address, Digest(bytes(32)), attempt, int(time.time()), HOME, port, 10**8, 1, "", 0, 0, False)
            try:
                body = await client.post(endpoint, "/v1/checks", sign(said, network.domain, PROVIDER))
            except PeerRefused as refused:
                assert refused.code in ("no_echo", "too_few_rounds")
            else:
                signed: Signed[LatencyReport] = decode(Signed[LatencyReport], body)
                return verify(signed, network.domain)
    pytest.fail("five attempts were not enough")


def test_a_master_process_from_start_to_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        port = free_port(MASTER_HOST)
        async with DevChain(DevChainConfig(port=0, balances={DEPLOYER.address: 10**21})) as chain:
            backend = RpcBackend(chain.url)
            try:
                network = await deploy(backend, Sender(backend, DEPLOYER, 31337), a_network(port))
            finally:
                await backend.close()
            file = config_file(tmp_path, MASTER, chain.url, network.settlement, MASTER_HOST, port)
            process = await start("-m", "master", "--config", str(file))
            client = Client(network.domain, HOME)
            try:
                endpoint = f"{MASTER_HOST}:{port}"
                first = await status_of(client, endpoint)
                assert (first["role"], first["address"], first["network"]) == ("master", MASTER.address, str(network.domain))
                await asyncio.sleep(max(0.0, network.timing.genesis + 0.5 - time.time()))
                report = await measured(client, endpoint, network)
                assert (report.master, report.provider, report.address_ok) == (MASTER.address, PROVIDER.address, True)
                asked = await start("-m", "cli.app", "master", "status", "--config", str(file), "--json")
                printed, errors = await asked.communicate()
                assert asked.returncode == 0, errors
                counted = json.loads(printed)
                assert counted["checks"]["reports"] == 1
                assert counted["datagrams"]["echoes"] >= 3
            finally:
                await client.close()
                said = await finish(process)
            assert process.returncode == 0, said
            assert f"master {MASTER.address} on chain 31337, contract {network.settlement}, protocol 1" in said
            assert HOME not in said, "where providers are is nobody's business"

    asyncio.run(scenario())


def test_a_wrong_setting_ends_with_two_and_a_sentence(tmp_path: Path) -> None:
    async def scenario() -> None:
        file = tmp_path / "config.toml"
        file.write_text('colour = "blue"\n')
        process = await start("-m", "master", "--config", str(file))
        _, errors = await process.communicate()
        assert process.returncode == 2
        assert "'colour'" in errors.decode()

    asyncio.run(scenario())
