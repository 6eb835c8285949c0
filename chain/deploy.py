"""Deploys the contracts and funds the Vault; `chain.inspection` reads everything back.

The contracts name one another as immutables, so their addresses are computed before they exist: consecutive nonces of the deployer, in the
order token (unless one exists already), Registry, Vault, Judge, Settlement.
"""

from __future__ import annotations

from typing import Any

from rlp.codec import encode as rlp_encode

from chain.abi import creation_data
from chain.backend import Backend
from chain.canonical import encode
from chain.client import ChainClient
from chain.contracts import TokenContract
from chain.epochs import Timing
from chain.errors import DeploymentError
from chain.events import ROLES
from chain.hashing import keccak
from chain.inspection import TOKEN, code_of, verify_deployment
from chain.network import Network, load_network
from chain.parameters import DeploymentParameters
from chain.sender import Sender
from chain.types import Address, Wei, to_hex


async def deploy(backend: Backend, sender: Sender, parameters: DeploymentParameters) -> Network:
    """Deploys, funds and verifies; the deployer keeps what is not funded. `DeploymentError` if what stands is not what was asked for."""
    await _require_token(backend, sender.address, parameters)
    names = ("RewardToken", "Registry", "Vault", "Judge", "Settlement")[parameters.token is not None :]
    nonce = int(str(await backend.request("eth_getTransactionCount", [sender.address, "latest"])), 16)
    places = {name: create_address(sender.address, nonce + offset) for offset, name in enumerate(names)}
    token, settlement = parameters.token or places["RewardToken"], places["Settlement"]
    timing = parameters.timing(await _timestamp(backend) + parameters.genesis_delay)
    p = parameters
    listings = [(one.account, ROLES.index(one.role), one.max_stake, one.endpoint) for one in p.listings]
    arguments: dict[str, list[Any]] = {
        "RewardToken": [*TOKEN, p.supply],
        "Registry": [(token, settlement, p.min_total, p.provider_bond, p.bond_delay, p.unbond_delay), listings, encode(p.rules)],
        "Vault": [(token, settlement, p.rate, p.min_deposit, p.exit_delay)],
        "Judge": [settlement],
    }
    for name in names:
        if name == "Settlement":  # by now the token stands, and its code can be hashed
            wired = (places["Registry"], places["Vault"], places["Judge"], token, p.treasury, p.guardian)
            code_hash = p.token_code_hash if p.token else keccak(await code_of(backend, token))
            arguments[name] = [(*wired, code_hash, *_windows(timing))]
        await _create(sender, name, places[name], arguments[name])
    chain = ChainClient(backend, await load_network(backend, settlement))
    for call in (chain.token.approve(places["Vault"], p.funding), chain.vault.fund(p.funding)):
        await sender.wait(await sender.send(call.to, call.data))
    await verify_deployment(chain, parameters, timing.genesis)
    return chain.network


async def bond(chain: ChainClient, sender: Sender, account: Address, amount: Wei) -> None:
    """Bonds `amount` wei of the sender's tokens for a listed account, in quiet time."""
    for call in (chain.token.approve(chain.network.registry, amount), chain.registry.bond(account, amount)):
        await sender.wait(await sender.send(call.to, call.data))


def create_address(deployer: Address, nonce: int) -> Address:
    """Where a contract created by this transaction stands: the last 20 bytes of keccak256(rlp([deployer, nonce]))."""
    return Address("0x" + keccak(rlp_encode([bytes.fromhex(deployer[2:]), nonce]))[12:].hex())


async def _require_token(backend: Backend, deployer: Address, parameters: DeploymentParameters) -> None:
    """`DeploymentError` if a token that should exist already is another one, or the deployer cannot fund the Vault with it."""
    if parameters.token is None:
        return
    code_hash = keccak(await code_of(backend, parameters.token))
    if code_hash != parameters.token_code_hash:
        expected = to_hex(parameters.token_code_hash)
        raise DeploymentError(f"the code at the token's address {parameters.token} hashes to {to_hex(code_hash)}, not {expected}")
    held = await TokenContract(backend, parameters.token).balance_of(deployer)
    if held < parameters.funding:
        raise DeploymentError(
            f"the deployer {deployer} holds {held} wei of the token, and the funding is {parameters.funding}: send it the rest first"
        )


async def _create(sender: Sender, name: str, expected: Address, arguments: list[Any]) -> None:
    receipt = await sender.wait(await sender.send(None, creation_data(name, arguments)))
    if str(receipt["contractAddress"]).lower() != expected:
        raise DeploymentError(f"{name} is at {receipt['contractAddress']}, not {expected}: is the deployer's key in use elsewhere?")


def _windows(timing: Timing) -> tuple[int, ...]:
    """In the order of the Settlement's constructor."""
    t = timing
    return (t.genesis, t.epoch_length, t.slots_per_epoch, t.intake, t.post_window, t.challenge, t.margin, t.round_length)


async def _timestamp(backend: Backend) -> int:
    block = await backend.request("eth_getBlockByNumber", ["latest", False])
    if not isinstance(block, dict):
        raise DeploymentError("the chain's node has no latest block")
    return int(block["timestamp"], 16)
