"""A root by hand on the served chain: proposed, signed, posted, matured, claimed; read with Foundry's `cast`, as any wallet would."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

from chain.client import ChainClient
from chain.contracts import Call
from chain.deploy import bond, deploy
from chain.devchain.server import DevChain, DevChainConfig
from chain.merkle import MerkleTree
from chain.messages import EpochAttestation, Leaf
from chain.rpc import RpcBackend
from chain.sender import Sender
from chain.typed import digest_of, sign
from chain.types import ZERO_DIGEST, Digest, Wei, to_hex
from tests.deployments import COLD, DEPLOYER, ETHER, PROVIDER, VALIDATOR, parameters

PATIENCE_S = 60.0


def cast_binary(root: Path) -> Path:
    binary = root / "node_modules" / ".bin" / "cast"
    if not binary.exists():
        assert os.environ.get("CI") != "true", "npm ci should have installed cast"
        pytest.skip("cast is missing: run `make test` once, which installs it.")
    return binary


async def until(chain: ChainClient, second: int) -> None:
    """Returns once the newest block is stamped at or after `second`."""
    deadline = time.monotonic() + PATIENCE_S
    while (await chain.latest()).timestamp < second:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


def test_a_root_by_hand_read_from_outside(root: Path) -> None:
    cast = cast_binary(root)

    async def read(rpc: str, contract: str, *call: str) -> str:
        command = (str(cast), "call", contract, *call, "--rpc-url", rpc)
        ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
        assert ran.returncode == 0, ran.stderr
        return str(ran.stdout).strip()

    async def run() -> None:
        balances = {key.address: 100 * ETHER for key in (DEPLOYER, VALIDATOR, PROVIDER)}
        async with DevChain(DevChainConfig(host="127.0.0.1", port=0, chain_id=31337, balances=balances)) as served:
            backend = RpcBackend(served.url)
            try:
                deployer, validator, provider = (Sender(backend, key, 31337, poll_s=0.1) for key in (DEPLOYER, VALIDATOR, PROVIDER))
                windows = {"epoch_length": 10, "intake": 1, "post_window": 5, "challenge": 3, "margin": 2, "round_length": 4}
                chosen = parameters(genesis_delay=20, slots_per_epoch=5, **windows)
                chain = ChainClient(backend, await deploy(backend, deployer, chosen))
                network, timing = chain.network, chain.network.timing
                await bond(chain, deployer, VALIDATOR.address, Wei(100 * ETHER))

                leaves = [Leaf(PROVIDER.address, 7 * ETHER, 0, 1_500, 123_456), Leaf(network.treasury, 0, 0, 0, 0)]
                tree = MerkleTree(leaves)
                await until(chain, timing.intake_end(1))
                anchor = await chain.anchor(1)
                assert anchor is not None
                attestation = EpochAttestation(
                    1, 1, 0, ZERO_DIGEST, ZERO_DIGEST, Digest(b"s" * 32), tree.root, 7 * ETHER, 0, anchor.hash,
                    network.rules.digest(), Digest(b"m" * 32),
                )  # fmt: skip
                assert await chain.settlement.digest_of(attestation) == digest_of(attestation, network.domain)

                async def send(sender: Sender, call: Call) -> None:
                    await sender.wait(await sender.send(call.to, call.data))

                signed = sign(attestation, network.domain, VALIDATOR)
                await send(validator, chain.settlement.propose(1, 0, digest_of(attestation, network.domain)))
                await send(deployer, chain.settlement.post(attestation, [signed.signature]))
                assert await read(served.url, network.settlement, "activeRoot()(bytes32)") == to_hex(ZERO_DIGEST)
                assert await read(served.url, network.settlement, "pendingRoot()(bytes32)") == to_hex(tree.root)

                posted = await chain.settlement.pending_record()
                await until(chain, posted.active_at)
                assert await read(served.url, network.settlement, "activeRoot()(bytes32)") == to_hex(tree.root)
                registered = chain.settlement.set_recipient(PROVIDER.address, COLD.address)
                await send(provider, registered)
                await send(deployer, chain.settlement.claim(leaves[0], tree.path(PROVIDER.address)))
                reputation = await read(served.url, network.settlement, "reputationOf(address)(uint256,uint256)", PROVIDER.address)
                assert [line.split()[0] for line in reputation.splitlines()] == ["123456", "1"]
                paid = await read(served.url, network.token, "balanceOf(address)(uint256)", COLD.address)
                assert paid.split()[0] == str(7 * ETHER)
                assert (await chain.view()).posted[-1].root == tree.root
            finally:
                await backend.close()

    asyncio.run(run())
