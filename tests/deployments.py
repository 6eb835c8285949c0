"""Deployments that tests start from: the smallest network there is, its keys, and whatever a test changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from chain.client import ChainClient
from chain.deploy import deploy
from chain.inprocess import InProcessBackend
from chain.keys import NodeKey
from chain.messages import NewListing
from chain.parameters import DeploymentParameters
from chain.rules import Rules
from chain.sender import Sender
from chain.types import Wei

ETHER = 10**18
DEPLOYER, VALIDATOR, RESOLVER, MASTER, PROVIDER, COLD = (NodeKey(bytes([0] * 31 + [number])) for number in range(1, 7))

NETWORK_WINDOWS: Mapping[str, int] = MappingProxyType(
    {
        "epoch_length": 86_400,
        "slots_per_epoch": 144,
        "intake": 1_800,
        "post_window": 21_600,
        "challenge": 43_200,
        "margin": 3_600,
        "round_length": 1_200,
        "exit_delay": 2_592_000,
        "unbond_delay": 1_814_400,
    }
)
"""For `parameters(**NETWORK_WINDOWS)`: epochs so long that none ends during a test."""


def listed(role: str, key: NodeKey, endpoint: str) -> NewListing:
    """A node that may bond up to 100 tokens."""
    return NewListing(key.address, role, endpoint, Wei(100 * ETHER))


def parameters(**changes: Any) -> DeploymentParameters:
    """A devnet's windows and rules with one node a role; `ParameterError` if the changes contradict the rest."""
    smallest = DeploymentParameters(
        genesis_delay=12,
        epoch_length=20,
        slots_per_epoch=5,
        intake=3,
        post_window=11,
        challenge=5,
        margin=4,
        round_length=4,
        supply=Wei(10**9 * ETHER),
        funding=Wei(10**8 * ETHER),
        rate=Wei(1_000 * ETHER),
        min_deposit=Wei(ETHER),
        exit_delay=60,
        provider_bond=Wei(10 * ETHER),
        bond_delay=60,
        unbond_delay=45,
        min_total=Wei(60 * ETHER),
        treasury=DEPLOYER.address,
        listings=(
            listed("validator", VALIDATOR, "127.1.0.1:7000"),
            listed("resolver", RESOLVER, "127.2.0.1:7000"),
            listed("master", MASTER, "127.3.0.1:7000"),
        ),
        rules=Rules(heartbeat_s=2, presence_ttl_s=6, finality_blocks=1),
    )
    return replace(smallest, **changes)


async def deployed() -> tuple[InProcessBackend, ChainClient, Sender]:
    """The smallest network on a chain in this process, and the deployer's sender."""
    backend = InProcessBackend(balances={key.address: 1_000 * ETHER for key in (DEPLOYER, PROVIDER, COLD)})
    sender = Sender(backend, DEPLOYER, 31337, poll_s=0.01)
    return backend, ChainClient(backend, await deploy(backend, sender, parameters())), sender
