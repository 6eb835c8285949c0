"""Deploys the four contracts, funds the Vault, and reads everything back.

The contracts name one another as immutables, so their addresses are computed before they exist: the deployer's next four
nonces, in the order token, Registry, Vault, Settlement.
"""

from __future__ import annotations

from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from rlp.codec import encode as rlp_encode

from chain.abi import artifact
from chain.backend import Backend
from chain.canonical import encode
from chain.client import ChainClient
from chain.epochs import Timing
from chain.errors import DeploymentError
from chain.events import ROLES
from chain.network import Network, load_network
from chain.parameters import DeploymentParameters
from chain.sender import Sender
from chain.types import Address, Wei
from chain.web3_over import web3_over

TOKEN = ("DPN Reward", "DPN")
"""Name and symbol."""


async def deploy(backend: Backend, sender: Sender, parameters: DeploymentParameters) -> Network:
    """Deploys, funds and verifies; the deployer keeps what is not funded. `DeploymentError` if what stands is not what was asked for."""
    nonce = int(str(await backend.request("eth_getTransactionCount", [sender.address, "latest"])), 16)
    token, registry, vault, settlement = (create_address(sender.address, nonce + offset) for offset in range(4))
    timing = parameters.timing(await _timestamp(backend) + parameters.genesis_delay)
    listings = [
        (to_checksum_address(listing.account), ROLES.index(listing.role), listing.max_stake, listing.endpoint)
        for listing in parameters.listings
    ]
    constructions: list[tuple[str, Address, list[Any]]] = [
        ("RewardToken", token, [*TOKEN, parameters.supply]),
        (
            "Registry",
            registry,
            [
                _config(token, settlement, parameters.min_total, parameters.provider_bond, parameters.bond_delay),
                listings,
                encode(parameters.rules),
            ],
        ),
        ("Vault", vault, [_config(token, settlement, parameters.rate)]),
        (
            "Settlement",
            settlement,
            [_config(registry, vault, token, parameters.treasury, *_windows(timing))],
        ),
    ]
    for name, expected, arguments in constructions:
        data = web3_over(backend).eth.contract(abi=artifact(name)["abi"], bytecode=artifact(name)["bytecode"]).constructor(*arguments)
        receipt = await sender.wait(await sender.send(None, bytes.fromhex(str(data.data_in_transaction)[2:])))
        if str(receipt["contractAddress"]).lower() != expected:
            raise DeploymentError(f"{name} is at {receipt['contractAddress']}, not {expected}: is the deployer's key in use elsewhere?")
    chain = ChainClient(backend, await load_network(backend, settlement))
    for call in (chain.token.approve(vault, parameters.funding), chain.vault.fund(parameters.funding)):
        await sender.wait(await sender.send(call.to, call.data))
    await verify_deployment(chain, parameters, timing.genesis)
    return chain.network


async def verify_deployment(chain: ChainClient, parameters: DeploymentParameters, genesis: int) -> None:
    """Compares everything that can be read back; `DeploymentError` names the first difference."""
    network = chain.network
    view = await chain.view(await chain.latest())
    compared: dict[str, tuple[object, object]] = {
        "the windows": (network.timing, parameters.timing(genesis)),
        "the rules": (network.rules, parameters.rules),
        "the rate": (network.rate, parameters.rate),
        "the provider's bond": (network.provider_bond, parameters.provider_bond),
        "the bond's delay": (await chain.registry.number("bondDelay"), parameters.bond_delay),
        "the least total stake": (await chain.registry.number("minTotal"), parameters.min_total),
        "the treasury": (network.treasury, parameters.treasury),
        "the token's supply": (await chain.token.number("totalSupply"), parameters.supply),
        "the Vault's funds": (await chain.vault.number("funded"), parameters.funding),
        "the Vault's settlement": (await chain.vault.settlement(), network.settlement),
        "the Registry's settlement": (await chain.registry.settlement(), network.settlement),
        "the lists": (
            {(x.account, x.role, x.endpoint, x.max_stake) for x in view.listings},
            {(x.account, x.role, x.endpoint, x.max_stake) for x in parameters.listings},
        ),
    }
    for name, (found, expected) in compared.items():
        if found != expected:
            raise DeploymentError(f"{name}: the chain has {found}, the parameters say {expected}")


async def bond(chain: ChainClient, sender: Sender, account: Address, amount: Wei) -> None:
    """Bonds `amount` wei of the sender's tokens for a listed account, in quiet time."""
    for call in (chain.token.approve(chain.network.registry, amount), chain.registry.bond(account, amount)):
        await sender.wait(await sender.send(call.to, call.data))


def create_address(deployer: Address, nonce: int) -> Address:
    """Where a contract created by this transaction stands: the last 20 bytes of keccak256(rlp([deployer, nonce]))."""
    return Address("0x" + keccak(rlp_encode([bytes.fromhex(deployer[2:]), nonce]))[12:].hex())


def _windows(timing: Timing) -> tuple[int, ...]:
    """In the order of the Settlement's constructor."""
    t = timing
    return (t.genesis, t.epoch_length, t.slots_per_epoch, t.intake, t.post_window, t.challenge, t.margin, t.round_length)


def _config(*values: Address | int) -> tuple[object, ...]:
    return tuple(to_checksum_address(value) if isinstance(value, str) else value for value in values)


async def _timestamp(backend: Backend) -> int:
    block = await backend.request("eth_getBlockByNumber", ["latest", False])
    if not isinstance(block, dict):
        raise DeploymentError("the chain's node has no latest block")
    return int(block["timestamp"], 16)
