"""Bundles and the guard by `dpn chain`, on a served chain: a draft, signatures in files, and what the chain says afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from typer.testing import CliRunner

from chain.client import ChainClient
from chain.deploy import bond, deploy
from chain.devchain.server import DevChain, DevChainConfig
from chain.keys import SCRYPT_LIGHT, NodeKey, save
from chain.rpc import RpcBackend
from chain.sender import Sender
from chain.types import Wei
from cli.chain import app
from tests.deployments import COLD, DEPLOYER, ETHER, MASTER, NETWORK_WINDOWS, PROVIDER, RESOLVER, VALIDATOR, listed, parameters
from tests.processes import config_file, finish, free_port, start, status_of
from wire.http import Client

SECOND = NodeKey(b"\x31" * 32)
GUARDIAN = NodeKey(b"\x32" * 32)
BUNDLE = f"""
deadline = 2100-01-01T00:00:00Z
provider_bond = "7000000000000000000"
delisted = ["{MASTER.address}"]
[rules]
max_rtt_us = 400000
[[listings]]
account = "{PROVIDER.address}"
role = "master"
endpoint = "127.9.0.1:7000"
max_stake = "100000000000000000000"
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """A chain with two bonded validators of equal stake, and a folder with everybody's keystore."""

    chain: ChainClient
    url: str
    folder: Path

    async def dpn(self, *command: str, who: NodeKey | None = None) -> tuple[int, str, str]:
        """`dpn chain COMMAND` with the options that all take; exit code, output, what it said."""
        options = ["--settlement", self.chain.network.settlement, "--rpc", self.url, "--json"]
        if who is not None:
            options += ["--keystore", str(self.folder / f"{who.address}.json"), "--passphrase-file", str(self.folder / "passphrase")]
        found = await asyncio.to_thread(CliRunner().invoke, app, [*command, *options])
        return found.exit_code, found.stdout, found.stderr


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    keys = (DEPLOYER, VALIDATOR, SECOND, GUARDIAN, COLD)
    (folder / "passphrase").write_text("open\n")
    for key in keys:
        save(folder, key, "open", scrypt_n=SCRYPT_LIGHT).rename(folder / f"{key.address}.json")
    async with DevChain(DevChainConfig(port=0, balances={key.address: 100 * ETHER for key in keys})) as served:
        backend = RpcBackend(served.url)
        try:
            listings = (
                listed("validator", VALIDATOR, "127.1.0.1:7000"),
                listed("validator", SECOND, "127.1.0.2:7000"),
                listed("resolver", RESOLVER, "127.2.0.1:7000"),
                listed("master", MASTER, "127.3.0.1:7000"),
            )
            asked = parameters(**NETWORK_WINDOWS, genesis_delay=60, listings=listings, min_total=Wei(120 * ETHER))
            sender = Sender(backend, DEPLOYER, 31337, poll_s=0.1)
            chain = ChainClient(backend, await deploy(backend, sender, replace(asked, guardian=GUARDIAN.address)))
            for validator in (VALIDATOR, SECOND):
                await bond(chain, sender, validator.address, Wei(100 * ETHER))
            yield Ground(chain, served.url, folder)
        finally:
            await backend.close()


def test_a_bundle_is_drafted_signed_by_each_validator_and_applied_by_anyone(tmp_path: Path) -> None:
    async def run() -> None:
        async with ground(tmp_path) as here:
            draft, one, two = tmp_path / "bundle.toml", tmp_path / "one.json", tmp_path / "two.json"
            draft.write_text(BUNDLE)
            code, out, said = await here.dpn("bundle", "show", str(draft))
            assert code == 0, said
            shown = json.loads(out)
            assert shown["provider_bond"] == "10 -> 7 DPN"
            assert shown["rules max_rtt_us"] == "500000 -> 400000"
            assert shown[f"delisted {MASTER.address}"] == "master"

            code, _, said = await here.dpn("bundle", "sign", str(draft), "--to", str(tmp_path / "no.json"), "--yes", who=COLD)
            assert (code, f"{COLD.address} is no validator with stake" in said) == (4, True)
            for key, file in ((VALIDATOR, one), (SECOND, two)):
                code, _, said = await here.dpn("bundle", "sign", str(draft), "--to", str(file), "--yes", who=key)
                assert code == 0, said
            code, _, said = await here.dpn("bundle", "apply", str(draft), str(one), who=COLD)
            assert (code, "hold 100 of 200 DPN of stake, and two thirds are needed" in said) == (4, True)
            changed = tmp_path / "changed.toml"
            changed.write_text(BUNDLE.replace("400000", "300000"))
            code, _, said = await here.dpn("bundle", "apply", str(changed), str(one), str(two), who=COLD)
            assert (code, "has signed another bundle" in said) == (2, True)
            assert (await here.chain.view()).bundle_nonce == 0

            code, out, said = await here.dpn("bundle", "apply", str(draft), str(one), str(two), who=COLD)
            assert code == 0, said
            assert json.loads(out)["signers"] == sorted((VALIDATOR.address, SECOND.address))
            view = await here.chain.view()
            assert (view.bundle_nonce, view.provider_bond) == (1, 7 * ETHER)
            assert [(node.account, node.endpoint) for node in view.masters()] == [(PROVIDER.address, "127.9.0.1:7000")]
            assert view.rules_digest == replace(here.chain.network.rules, max_rtt_us=400_000).digest()

            code, _, said = await here.dpn("bundle", "apply", str(draft), str(one), str(two), who=COLD)
            assert (code, "has signed another bundle" in said) == (2, True)

    asyncio.run(run())


def test_the_guardian_pauses_and_hands_over_in_two_steps(tmp_path: Path) -> None:
    async def run() -> None:
        async with ground(tmp_path) as here:
            code, out, _ = await here.dpn("guard", "status")
            assert (code, json.loads(out)["guardian"], json.loads(out)["paused_until"]) == (0, GUARDIAN.address, "not paused")
            code, _, said = await here.dpn("guard", "pause", who=COLD)
            assert code == 4, said
            assert (await here.dpn("guard", "pause", who=GUARDIAN))[0] == 0
            assert json.loads((await here.dpn("guard", "status"))[1])["paused_until"] != "not paused"
            assert (await here.dpn("guard", "unpause", who=GUARDIAN))[0] == 0
            code, _, said = await here.dpn("guard", "pause", who=GUARDIAN)
            assert code == 4, said
            code, _, said = await here.dpn("guard", "cancel", who=GUARDIAN)
            assert code == 4, said

            assert (await here.dpn("guard", "nominate", COLD.address, who=GUARDIAN))[0] == 0
            assert json.loads((await here.dpn("guard", "status"))[1])["guardian"] == GUARDIAN.address
            code, _, said = await here.dpn("guard", "accept", who=VALIDATOR)
            assert code == 4, said
            assert (await here.dpn("guard", "accept", who=COLD))[0] == 0
            assert json.loads((await here.dpn("guard", "status"))[1])["guardian"] == COLD.address

    asyncio.run(run())


def test_a_running_node_follows_new_rules_and_stops_when_told_to(tmp_path: Path) -> None:
    """By a real process: what it was started with is no longer in force, and it goes on with what is, without anybody's help."""

    async def run() -> None:
        async with ground(tmp_path) as here:
            host, port = "127.69.1.1", free_port("127.69.1.1")
            home = tmp_path / "node"
            home.mkdir()
            file = config_file(home, MASTER, here.url, here.chain.network.settlement, host, port)
            process, client = await start("-m", "master", "--config", str(file)), Client(here.chain.network.domain)
            try:
                await status_of(client, f"{host}:{port}")
                draft = tmp_path / "bundle.toml"
                draft.write_text("deadline = 2100-01-01T00:00:00Z\n[rules]\nmax_rtt_us = 400000\n")
                files = [tmp_path / "one.json", tmp_path / "two.json"]
                for key, signature in zip((VALIDATOR, SECOND), files, strict=True):
                    assert (await here.dpn("bundle", "sign", str(draft), "--to", str(signature), "--yes", who=key))[0] == 0
                assert (await here.dpn("bundle", "apply", str(draft), *map(str, files), who=COLD))[0] == 0
                said = await heard(process, "rules have changed", "master " + MASTER.address)
                assert "rules have changed" in said
                await status_of(client, f"{host}:{port}")
            finally:
                await client.close()
                await finish(process)
            assert process.returncode == 0

    asyncio.run(run())


async def heard(process: asyncio.subprocess.Process, *sentences: str) -> str:
    """What a process says on standard error until it has said all of these, in order."""
    assert process.stderr is not None
    said = ""
    for sentence in sentences:
        line = ""
        while sentence not in line:
            line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
            assert line, f"it ended before it said {sentence!r}: {said}"
            said += line
    return said
