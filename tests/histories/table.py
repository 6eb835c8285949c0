"""Who plays, and the smallest network with all of them: small numbers, so that every limit is met."""

from __future__ import annotations

from chain.client import ChainClient
from chain.deploy import deploy
from chain.inprocess import InProcessBackend
from chain.keys import NodeKey
from chain.messages import NewListing
from chain.parameters import DeploymentParameters
from chain.rules import Rules
from chain.sender import Sender
from chain.types import Address, Wei
from tests.deployments import NETWORK_WINDOWS, parameters

DEPLOYER, GUARDIAN, RESOLVER, MASTER, *_REST = (NodeKey(bytes([7] * 31 + [number])) for number in range(1, 14))
VALIDATORS = tuple(sorted(_REST[:5], key=lambda key: key.address))
"""Of whom the last is not listed at first."""
PEOPLE = tuple(_REST[5:])
"""Consumers and providers at once, and reporters."""
KEYS = {key.address: key for key in (DEPLOYER, GUARDIAN, RESOLVER, MASTER, *VALIDATORS, *PEOPLE)}
ACCOUNTS = tuple(KEYS)
MAXIMUM = 1_000
"""Of each validator's stake; four are listed."""
PURSE = 20_000
"""What everyone has at first, wei."""


def network_parameters() -> DeploymentParameters:
    listed = [NewListing(key.address, "validator", f"127.1.0.{n}:7000", Wei(MAXIMUM)) for n, key in enumerate(VALIDATORS[:4])]
    listed += [NewListing(RESOLVER.address, "resolver", "127.2.0.1:7000", Wei(500)), NewListing(MASTER.address, "master", "", Wei(300))]
    windows = {**NETWORK_WINDOWS, "round_length": 6_600, "exit_delay": 237_600, "unbond_delay": 216_000, "genesis_delay": 3_600}
    return parameters(
        **windows,
        supply=Wei(2_000_000),
        funding=Wei(5_000),
        rate=Wei(600),
        min_deposit=Wei(10),
        provider_bond=Wei(50),
        bond_delay=100_000,
        min_total=Wei(2_000),
        treasury=DEPLOYER.address,
        guardian=GUARDIAN.address,
        listings=tuple(listed),
        rules=Rules(),
    )


async def seated() -> tuple[InProcessBackend, ChainClient, dict[Address, int]]:
    """The network deployed; everyone has a purse and has approved everything. Balances with it."""
    backend = InProcessBackend(balances=dict.fromkeys(ACCOUNTS, 10**24))
    chain = ChainClient(backend, await deploy(backend, Sender(backend, DEPLOYER, 31337, poll_s=0.01), network_parameters()))
    senders = {account: Sender(backend, key, 31337, poll_s=0.01) for account, key in KEYS.items()}
    for account in ACCOUNTS:
        calls = [chain.token.approve(spender, Wei(2**256 - 1)) for spender in (chain.network.registry, chain.network.vault)]
        for call in calls:
            await senders[account].send(call.to, call.data, gas=200_000)
        if account != DEPLOYER.address:
            call = chain.token.transfer(account, Wei(PURSE))
            await senders[DEPLOYER.address].send(call.to, call.data, gas=200_000)
    places = (*ACCOUNTS, chain.network.vault)
    return backend, chain, {account: await chain.token.balance_of(account) for account in places}
