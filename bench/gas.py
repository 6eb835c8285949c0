"""Whole-transaction gas of what a network does every day, on anvil: `gasUsed` of receipts.

A tree of depth 20; eleven validators, of whom three hold two thirds of the stake, the last three of the list, which is the dearest place
for signers to stand; the root before has been activated; the token is our own, a plain OpenZeppelin one. `claim_first`: the account never
claimed and holds no token. `claim_repeat`: a later root. Of claims it is the median of several, since a zero byte among a path's hashes,
one in 256 by chance, saves 12 gas.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from eth_utils.crypto import keccak

from bench.anvil import CHAIN_ID, anvil
from bench.forest import Forest, grow
from bench.windows import WINDOWS
from chain.backend import Backend
from chain.client import ChainClient
from chain.contracts.base import Call
from chain.deploy import bond, deploy
from chain.keys import NodeKey
from chain.messages import EpochAttestation, Leaf, NewListing
from chain.parameters import DeploymentParameters
from chain.rpc import RpcBackend
from chain.rules import Rules
from chain.sender import Sender
from chain.typed import sign
from chain.types import Address, Digest, Wei

ETHER = 10**18
BATCH = 50
CLAIMANTS = range(7, 16)
POLL_S = 0.1
MARGINS: Mapping[str, tuple[int, int]] = {
    "gas.claim_repeat": (66_500, 64_500),
    "gas.claim_first": (100_500, 98_500),
    "gas.post_3": (76_000, 74_000),
    "gas.post_5": (91_000, 84_000),
    "gas.post_11": (134_000, 112_000),
    "gas.batch50_item": (33_000, 29_500),
    "gas.propose": (60_000, 45_000),
    "gas.activate": (80_000, 70_000),
}
"""What each must not exceed, and what we would like."""


class Figure(TypedDict, total=False):
    """many, packed: of a batch's item in either form, `gas` being the better."""

    gas: int
    limit: int
    aim: int
    many: int
    packed: int


def measure() -> dict[str, Figure]:
    """All figures, by the names of `MARGINS`."""
    with anvil() as url:
        found = asyncio.run(_measure_on(url))
    return {name: {**found[name], "limit": limit, "aim": aim} for name, (limit, aim) in MARGINS.items()}


def excesses(figures: Mapping[str, Figure]) -> list[str]:
    """A sentence for each figure above its limit."""
    return [
        f"{name} takes {figure['gas']} gas and may take {figure['limit']}: find out which change made it dearer."
        for name, figure in figures.items()
        if figure["gas"] > figure["limit"]
    ]


async def _measure_on(url: str) -> dict[str, Figure]:
    backend = RpcBackend(url)
    try:
        return await _measured(await _Network.deployed(backend))
    finally:
        await backend.close()


async def _measured(network: _Network) -> dict[str, Figure]:
    settlement = network.chain.settlement
    accounts = [Address("0x" + keccak(text=f"account {i}")[12:].hex()) for i in range(BATCH)]
    leaves = [Leaf(account, 0, 0, 0, 0) for account in accounts]
    found: dict[str, Figure] = {}

    async def next_root() -> Forest:
        nonlocal leaves
        leaves = _grown(leaves)
        forest = grow({i * 20_011 + 5: leaf for i, leaf in enumerate(leaves)})
        await network.publish(forest.root, sum(leaf.earned for leaf in leaves), 3)
        return forest

    async def claimed(forest: Forest) -> int:
        return statistics.median_high([await network.gas(settlement.claim(leaves[i], forest.paths[accounts[i]])) for i in CLAIMANTS])

    async def claimed_many(forest: Forest) -> int:
        return await network.gas(settlement.claim_many(leaves, [forest.paths[account] for account in accounts]))

    await next_root()
    forest = await next_root()
    found["gas.activate"] = {"gas": await network.activate()}
    found["gas.claim_first"] = {"gas": await claimed(forest)}
    forest = await next_root()
    await network.activate()
    found["gas.claim_repeat"] = {"gas": await claimed(forest)}
    await claimed_many(forest)  # so that all have claimed once
    forest = await next_root()
    await network.activate()
    many = await claimed_many(forest) // BATCH
    forest = await next_root()
    await network.activate()
    packed = await network.gas(settlement.claim_packed(forest.together)) // BATCH
    found["gas.batch50_item"] = {"gas": min(many, packed), "many": many, "packed": packed}
    for signers in (3, 5, 11):
        total = sum(leaf.earned for leaf in leaves) + signers * ETHER
        proposed, posted = await network.publish(_digest(f"root {signers}"), total, signers)
        found.setdefault("gas.propose", {"gas": proposed})
        found[f"gas.post_{signers}"] = {"gas": posted}
        await network.activate()
    return found


@dataclass(slots=True)
class _Network:
    """A deployed and bonded network whose epochs are published one after another. keys: of the validators, most stake first."""

    chain: ChainClient
    sender: Sender
    keys: Sequence[NodeKey]
    epoch: int = 0

    @classmethod
    async def deployed(cls, backend: Backend) -> _Network:
        keys = [NodeKey(keccak(text=f"key {number}")) for number in range(12)]
        deployer, *others = keys
        validators = sorted(others, key=lambda one: one.address, reverse=True)
        for key in keys:
            await backend.request("anvil_setBalance", [key.address, hex(1_000 * ETHER)])
        sender = Sender(backend, deployer, CHAIN_ID, poll_s=POLL_S)
        stakes = {key.address: Wei((900 if rank < 3 else 100) * ETHER) for rank, key in enumerate(validators)}
        chain = ChainClient(backend, await deploy(backend, sender, _parameters(stakes)))
        for account, stake in stakes.items():
            await bond(chain, sender, account, stake)
        return cls(chain, sender, validators)

    async def publish(self, root: Digest, total: int, signers: int) -> tuple[int, int]:
        """The next epoch's root, proposed, posted by so many and matured: gas of both transactions."""
        self.epoch += 1
        timing, settlement, domain = self.chain.network.timing, self.chain.settlement, self.chain.network.domain
        await self._warp(timing.intake_end(self.epoch) + 1)
        parent = await settlement.active_record()
        said = EpochAttestation(
            epoch=self.epoch,
            through=self.epoch,
            round=0,
            parent_root=parent.root,
            parent_state_digest=_digest("state", parent.root),
            state_digest=_digest("state", root),
            root=root,
            total_earned=total,
            total_spent=0,
            anchor_block_hash=_digest(f"block {self.epoch}"),
            rules_digest=await self.chain.registry.rules_digest(),
            manifest_digest=_digest(f"manifest {self.epoch}"),
        )
        proposer = await settlement.proposer_of(self.epoch, 0)
        key = next(key for key in self.keys if key.address == proposer)
        by_proposer = Sender(self.chain.backend, key, CHAIN_ID, poll_s=POLL_S)
        proposed = await self.gas(settlement.propose(self.epoch, 0, await settlement.digest_of(said)), by_proposer)
        chosen = sorted(self.keys[:signers], key=lambda one: one.address)
        posted = await self.gas(settlement.post(said, [sign(said, domain, one).signature for one in chosen]))
        await self._warp((await self.chain.latest()).timestamp + timing.challenge)
        return proposed, posted

    async def activate(self) -> int:
        return await self.gas(self.chain.settlement.activate())

    async def gas(self, call: Call, sender: Sender | None = None) -> int:
        """What a transaction used in all."""
        by = sender or self.sender
        receipt = await by.wait(await by.send(call.to, call.data))
        return int(str(receipt["gasUsed"]), 16)

    async def _warp(self, second: int) -> None:
        await self.chain.backend.request("evm_setNextBlockTimestamp", [hex(second)])
        await self.chain.backend.request("evm_mine", [])


def _parameters(stakes: Mapping[Address, Wei]) -> DeploymentParameters:
    """The windows of a real network."""
    listings = [NewListing(account, "validator", "validator.example:443", stake) for account, stake in stakes.items()]
    for role in ("resolver", "master"):
        listings += [NewListing(Address("0x" + keccak(text=role)[12:].hex()), role, f"{role}.example:443", Wei(ETHER))]
    return DeploymentParameters(
        genesis_delay=86_400,
        **WINDOWS,
        supply=Wei(10**9 * ETHER),
        funding=Wei(10**8 * ETHER),
        rate=Wei(1_000 * ETHER),
        min_deposit=Wei(ETHER),
        provider_bond=Wei(10 * ETHER),
        min_total=Wei(2_000 * ETHER),
        treasury=Address("0x" + keccak(text="treasury")[12:].hex()),
        listings=tuple(listings),
        rules=Rules(heartbeat_s=60, presence_ttl_s=180, finality_blocks=1),
    )


def _grown(leaves: Sequence[Leaf]) -> list[Leaf]:
    """Every account has earned a token more, with digits behind it so that no byte is zero by chance."""
    return [
        replace(
            leaf, earned=leaf.earned + ETHER + 123_456_789_123, points=leaf.points + 240_007, reputation=812_345 + leaf.points // 240_007
        )
        for leaf in leaves
    ]


def _digest(name: str, of: bytes = b"") -> Digest:
    return Digest(keccak(name.encode() + of))
