"""A resolver as its own process, against a served chain: pools a provider, answers DNS, ends when told to, goes on where it was."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path
from typing import Any

import dnslib.dns as untyped
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
from chain.typed import Domain, sign
from chain.types import Address, Digest
from tests.deployments import NETWORK_WINDOWS, listed, parameters
from tests.processes import config_file, finish, free_port, start, status_of
from wire.answers import PoolAnswer, ProviderView, ReportBatch
from wire.http import Client, PeerMisbehaved, PeerRefused
from wire.messages import Announcement, LatencyReport
from wire.slots import empty, with_slot

dnslib: Any = untyped
HOST, HOME, PREFIX = "127.33.0.1", "127.34.0.1", "127.34.0.0/24"
DEPLOYER, RESOLVER, MASTER, PROVIDER = (NodeKey(bytes([n]) * 32) for n in range(0x21, 0x25))


def a_network() -> DeploymentParameters:
    listings = (
        listed("validator", NodeKey(b"\x26" * 32), "127.33.0.2:1"),
        listed("resolver", RESOLVER, f"{HOST}:1"),
        listed("master", MASTER, "127.33.0.3:1"),
    )
    rules = Rules(allow_private_addresses=True, finality_blocks=1)
    return parameters(**NETWORK_WINDOWS, genesis_delay=8, listings=listings, treasury=DEPLOYER.address, rules=rules)


async def look_up(port: int, name: str, kind: str) -> Any:
    """Some garbage, then one question; the answer."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.setblocking(False)
        plain.bind((HOME, 0))
        plain.connect((HOST, port))
        for garbage in (b"", b"\x00", bytes(12), b"\xff" * 512, b"DPN1" * 300):
            await loop.sock_sendall(plain, garbage)
        question = dnslib.DNSRecord(q=dnslib.DNSQuestion(name, getattr(dnslib.QTYPE, kind)))
        await loop.sock_sendall(plain, bytes(question.pack()))
        reply = dnslib.DNSRecord.parse(await asyncio.wait_for(loop.sock_recv(plain, 2000), 10))
        assert reply.header.id == question.header.id
        return reply


async def join(client: Client, endpoint: str, network: Network, now: int) -> PoolAnswer:
    """The announcement, and the one listed master's report."""
    timing = network.timing
    said = Announcement(PROVIDER.address, Digest(bytes(32)), now, now, HOME, 7400, 10**8, 1, "DE", 50, 9, True)
    await client.post(endpoint, "/v1/announcements", sign(said, network.domain, PROVIDER))
    slots = with_slot(empty(timing.slots_per_epoch), timing.slot_at(now))
    report = LatencyReport(MASTER.address, PROVIDER.address, timing.epoch_at(now), now * 1000 + 999, slots, 900, 1_000, 10, 0, PREFIX, True)
    batch = ReportBatch((sign(report, network.domain, MASTER),))
    answer: PoolAnswer = decode(PoolAnswer, await client.post(endpoint, "/v1/reports", batch))
    return answer


async def state_of(client: Client, endpoint: str) -> str:
    view: ProviderView = decode(ProviderView, await client.get(endpoint, f"/v1/providers/{PROVIDER.address}"))
    return view.state


def test_a_resolver_process_from_start_to_end_and_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        port, dns_port = free_port(HOST), free_port(HOST, socket.SOCK_DGRAM)
        endpoint, name = f"{HOST}:{port}", PROVIDER.address[2:] + ".p.dpn.test"
        async with DevChain(DevChainConfig(port=0, balances={DEPLOYER.address: 10**21})) as chain:
            backend = RpcBackend(chain.url)
            try:
                network = await deploy(backend, Sender(backend, DEPLOYER, 31337), a_network())
            finally:
                await backend.close()
            file = config_file(tmp_path, RESOLVER, chain.url, network.settlement, HOST, port, dns_port=dns_port)
            client = Client(network.domain, HOME)
            stranger = Client(Domain(1, network.settlement), HOME)
            try:
                process = await start("-m", "resolver", "--config", str(file))
                try:
                    first = await status_of(client, endpoint)
                    assert (first["role"], first["address"], first["network"]) == ("resolver", RESOLVER.address, str(network.domain))
                    assert (first["pool"], first["masters"], first["zone"], first["dnsPort"]) == ({}, 1, "dpn.test", dns_port)
                    assert (await look_up(dns_port, name, "A")).header.rcode == dnslib.RCODE.NXDOMAIN
                    await asyncio.sleep(max(0.0, network.timing.genesis + 0.1 - time.time()))
                    now = int(time.time())
                    assert (await join(client, endpoint, network, now)).state == "connected"
                    (record,) = (await look_up(dns_port, name, "A")).rr
                    assert str(record.rdata) == HOME
                    assert 0 < record.ttl <= network.rules.presence_ttl_s
                    with pytest.raises(PeerMisbehaved, match="serves network"):
                        await stranger.get(endpoint, "/v1/status")
                finally:
                    errors = await finish(process)
                assert process.returncode == 0, errors
                assert f"resolver {RESOLVER.address} on chain 31337, contract {network.settlement}, protocol 1" in errors
                assert "stopped as asked" in errors
                assert "Traceback" not in errors
                assert HOME not in errors, "the log keeps no provider's address"

                process = await start("-m", "resolver", "--config", str(file))
                try:
                    assert (await status_of(client, endpoint))["pool"] == {"connected": 1}
                    assert await state_of(client, endpoint) == "connected"
                    assert (await look_up(dns_port, "_dpn._tcp.de.dpn.test", "SRV")).rr[0].rdata.port == 7400
                    with pytest.raises(PeerRefused) as refused:
                        await join(client, endpoint, network, now)
                    assert refused.value.code == "reused_sequence"
                    asked = await start("-c", "from resolver.cli import app; app()", "status", "--json", "--config", str(file))
                    output, _ = await asyncio.wait_for(asked.communicate(), 30)
                    assert json.loads(output)["providers"][0]["provider"] == PROVIDER.address
                    shown = await start("-c", "from resolver.cli import app; app()", "status", "--config", str(file))
                    table, _ = await asyncio.wait_for(shown.communicate(), 30)
                    assert b"connected" in table
                    assert (asked.returncode, shown.returncode) == (0, 0)
                finally:
                    errors = await finish(process)
                assert process.returncode == 0, errors
                unanswered = await start("-c", "from resolver.cli import app; app()", "status", "--config", str(file))
                await asyncio.wait_for(unanswered.communicate(), 30)
                assert unanswered.returncode == 3
            finally:
                await client.close()
                await stranger.close()

    asyncio.run(scenario())


def test_what_it_does_not_start_with(tmp_path: Path) -> None:
    async def scenario() -> None:
        nobody = f"http://{HOST}:{free_port(HOST)}"
        file = config_file(tmp_path, RESOLVER, nobody, Address("0x" + "11" * 20), HOST, 1, dns_port=0)
        settings = file.read_text()
        for changed, code, said in (
            (settings + 'zone = "not a zone"\n', 2, "not a DNS zone"),
            (settings + "zones = 1\n", 2, "not a setting"),
            (settings, 3, "resolver: "),
        ):
            file.write_text(changed)
            process = await start("-m", "resolver", "--config", str(file))
            _, errors = await asyncio.wait_for(process.communicate(), 60)
            assert (process.returncode, said in errors.decode(), "Traceback" in errors.decode()) == (code, True, False), errors

    asyncio.run(scenario())
