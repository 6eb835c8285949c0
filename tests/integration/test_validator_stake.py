"""`dpn validator`'s commands about stake and frauds on a served chain: what they say, what they ask, how they end, what is true after."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from typer.testing import CliRunner

from chain.canonical import encode
from chain.client import ChainClient
from chain.deploy import deploy
from chain.devchain.server import DevChain, DevChainConfig
from chain.frauds import Equivocation, commitment
from chain.keys import SCRYPT_LIGHT, NodeKey, save
from chain.messages import EpochAttestation
from chain.rpc import RpcBackend
from chain.sender import Sender
from chain.typed import Signed, sign
from chain.types import ZERO_DIGEST, Digest, Wei
from cli.app import app
from tests.deployments import COLD, DEPLOYER, ETHER, MASTER, NETWORK_WINDOWS, PROVIDER, RESOLVER, VALIDATOR, listed, parameters

DELAY_S = 1_814_400


@dataclass
class Wall:
    """The chain's clock: the real one, and what a test has put on top."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead


@dataclass
class Ground:
    """A served chain with one listed validator that holds 100 tokens, and everybody's keystore."""

    chain: ChainClient
    url: str
    folder: Path
    wall: Wall = field(default_factory=Wall)

    async def dpn(self, *command: str, who: NodeKey = VALIDATOR, answer: str = "") -> tuple[int, str, str]:
        """Exit code, output, what it said; `answer` is typed."""
        options = ["--settlement", self.chain.network.settlement, "--rpc", self.url, "--json"]
        options += ["--keystore", str(self.folder / f"{who.address}.json"), "--passphrase-file", str(self.folder / "passphrase")]
        found = await asyncio.to_thread(CliRunner().invoke, app, ["validator", *command, *options], input=answer)
        return found.exit_code, found.stdout.splitlines()[-1] if found.stdout else "", found.stderr  # what is typed is on the same stream

    async def stake(self) -> int:
        return await self.chain.registry.stake_of(VALIDATOR.address)


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    keys, wall = (DEPLOYER, VALIDATOR, COLD, PROVIDER), Wall()
    (folder / "passphrase").write_text("open\n")
    for key in keys:
        save(folder, key, "open", scrypt_n=SCRYPT_LIGHT).rename(folder / f"{key.address}.json")
    config = DevChainConfig(port=0, balances={key.address: 100 * ETHER for key in keys})
    async with DevChain(config, now=wall.now) as served:
        backend = RpcBackend(served.url)
        try:
            listings = (
                listed("validator", VALIDATOR, "127.0.0.1:9"),
                listed("resolver", RESOLVER, "127.2.0.1:7000"),
                listed("master", MASTER, "127.3.0.1:7000"),
            )
            asked = parameters(**NETWORK_WINDOWS, genesis_delay=60, listings=listings)
            sender = Sender(backend, DEPLOYER, 31337, poll_s=0.1)
            chain = ChainClient(backend, await deploy(backend, sender, asked))
            call = chain.token.transfer(VALIDATOR.address, Wei(100 * ETHER))
            await sender.wait(await sender.send(call.to, call.data))
            yield Ground(chain, served.url, folder, wall)
        finally:
            await backend.close()


def test_stake_is_bonded_unbonded_and_withdrawn(tmp_path: Path) -> None:
    async def run() -> None:
        async with ground(tmp_path) as here:
            code, _, said = await here.dpn("withdraw")
            assert (code, "No stake of" in said) == (5, True)
            code, _, said = await here.dpn("bond", "12.5", answer="n\n")
            assert (code, "Bond 12.5 DPN for" in said, "bonded 0 of at most 100 DPN" in said, "Fee about" in said) == (7, True, True, True)
            assert (await here.dpn("bond", "12.5"))[0] == 7  # nobody answers
            assert await here.stake() == 0
            code, out, said = await here.dpn("bond", "12.5", answer="y\n")
            assert code == 0, said
            assert json.loads(out)["stake_wei"] == str(await here.stake()) == str(25 * ETHER // 2)
            code, _, said = await here.dpn("bond", "90", "--yes")
            assert (code, "may bond 100 at most" in said) == (4, True)
            code, _, said = await here.dpn("bond", "80", "--yes", who=COLD)
            assert (code, "is not listed" in said) == (4, True)
            code, _, said = await here.dpn("bond", "80", "--account", VALIDATOR.address, "--yes", who=COLD)
            assert (code, "holds 0 DPN and needs 80 DPN" in said) == (4, True)
            assert (await here.dpn("bond", "much", "--yes"))[0] == 2

            code, _, said = await here.dpn("unbond", "20", "--yes")
            assert (code, "has bonded 12.5 tokens" in said) == (4, True)
            code, _, said = await here.dpn("unbond", "1", "--account", VALIDATOR.address, "--yes", who=COLD)
            assert (code, "neither" in said) == (4, True)
            code, out, said = await here.dpn("unbond", "2.5", "--yes")
            assert code == 0, said
            assert "stop counting at once" in said
            assert abs(json.loads(out)["free_at"] - (await here.chain.registry.unbonding_of(VALIDATOR.address)).release_at) < 10
            assert await here.stake() == 10 * ETHER
            code, _, said = await here.dpn("withdraw", "--yes")
            assert (code, "2.5 DPN of" in said, "can be withdrawn from" in said) == (4, True, True)
            here.wall.ahead = DELAY_S + 25_000  # past a post window
            await asyncio.sleep(2)
            code, out, said = await here.dpn("withdraw", "--yes", "--account", VALIDATOR.address, who=COLD)  # anyone may
            assert code == 0, said
            assert json.loads(out)["recipient"] == VALIDATOR.address
            assert await here.chain.token.balance_of(VALIDATOR.address) == 90 * ETHER

    asyncio.run(run())


def statements(chain: ChainClient) -> tuple[Signed[EpochAttestation], Signed[EpochAttestation]]:
    blank = EpochAttestation(1, 1, 0, *(ZERO_DIGEST,) * 4, 0, 0, *(ZERO_DIGEST,) * 3)
    other = replace(blank, root=Digest(bytes([1]) * 32))
    domain = chain.network.domain
    return sign(blank, domain, VALIDATOR), sign(other, domain, VALIDATOR)


def test_a_fraud_in_a_file_is_reported_and_the_share_collected(tmp_path: Path) -> None:
    async def run() -> None:
        async with ground(tmp_path) as here:
            assert (await here.dpn("bond", "60", "--yes"))[0] == 0
            one, two = statements(here.chain)
            file = tmp_path / "evidence.json"
            for content, expected in (
                (b"[]", (5, "Nothing to report")),
                (encode([one, one]), (5, "Nothing to report")),
                (encode([one, sign(two.message, here.chain.network.domain, COLD)]), (5, "Nothing to report")),
                (b"{}", (2, "not a list of two signed attestations")),
                (b"[" * 5_000, (2, "not a list of two signed attestations")),
            ):
                file.write_bytes(content)
                code, _, said = await here.dpn("report-fraud", str(file), "--yes", who=COLD)
                assert (code, expected[1] in said) == (expected[0], True), said
            assert (await here.dpn("report-fraud", "--yes", who=COLD))[0] == 2
            assert (await here.dpn("report-fraud", str(tmp_path / "none"), "--yes", who=COLD))[0] == 2
            code, _, said = await here.dpn("report-fraud", "--epoch", "1", "--yes", who=COLD)
            assert (code, "nothing that can be proven" in said) == (5, True)

            code, _, said = await here.dpn("slash", VALIDATOR.address, "--yes", who=COLD)
            assert (code, "was not convicted" in said) == (4, True)
            assert (await here.dpn("collect", "--yes", who=COLD))[0] == 5

            file.write_bytes(encode([two, one]) + b"\n")
            code, _, said = await here.dpn("report-fraud", str(file), who=COLD, answer="n\n")
            assert (code, f"{VALIDATOR.address} signed two different statements about epoch 1, round 0" in said) == (7, True)
            assert "costs about" in said
            assert (await here.chain.view()).commitments == {}
            code, out, said = await here.dpn("report-fraud", str(file), who=COLD, answer="y\n")
            assert code == 0, said
            (report,) = json.loads(out)["reports"]
            assert [name.split()[1] for name in report["transactions"]] == ["commit", "prove", "slash", "collect"]
            assert report["collected_wei"] == str(6 * ETHER)
            assert await here.chain.token.balance_of(COLD.address) == 6 * ETHER
            assert await here.stake() == 0

            code, _, said = await here.dpn("report-fraud", str(file), "--yes", who=PROVIDER)
            assert (code, "was convicted before" in said) == (5, True)
            assert (await here.dpn("slash", VALIDATOR.address, "--yes", who=PROVIDER))[0] == 5
            assert (await here.dpn("collect", "--yes", who=COLD))[0] == 5
            code, _, said = await here.dpn("bond", "1", "--yes")
            assert (code, "barred for good" in said) == (4, True)

    asyncio.run(run())


def test_a_conviction_without_its_slash_is_finished_by_anyone(tmp_path: Path) -> None:
    """Whoever proved it went away; another takes the stake, and the share waits for the reporter."""

    async def run() -> None:
        async with ground(tmp_path) as here:
            assert (await here.dpn("bond", "60", "--yes"))[0] == 0
            proof, salt = Equivocation(*statements(here.chain)), Digest(bytes([5]) * 32)
            sender = Sender(here.chain.backend, COLD, 31337, poll_s=0.1)
            call = here.chain.judge.commit(commitment(COLD.address, proof.digest(), salt))
            await sender.wait(await sender.send(call.to, call.data))
            call = here.chain.judge.prove(proof, salt)
            await sender.wait(await sender.send(call.to, call.data, gas=1_000_000))
            code, out, said = await here.dpn("slash", VALIDATOR.address, "--yes", who=PROVIDER)
            assert code == 0, said
            assert f"10 % of it for {COLD.address}" in said
            assert json.loads(out)["amount_wei"] == str(60 * ETHER)
            assert (await here.dpn("collect", "--yes", who=PROVIDER))[0] == 5
            code, out, said = await here.dpn("collect", "--yes", who=COLD)
            assert (code, json.loads(out)["amount_wei"]) == (0, str(6 * ETHER))
            assert await here.chain.token.balance_of(COLD.address) == 6 * ETHER

    asyncio.run(run())
