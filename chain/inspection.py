"""Reads a deployment back, all of it, and compares: the code, what is immutable, the parameters, the lists, the money and the guard.

Code that is the committed one to the last byte has no owner, no proxy and no back door that its source has not. Runs at any time; what
anyone may change (stakes, deposits, a nominee) is not compared, what a bundle may change is, so after a bundle it tells what was changed.
"""

from __future__ import annotations

import hashlib

from chain.abi import artifact
from chain.backend import Backend
from chain.client import ChainClient
from chain.errors import DeploymentError
from chain.events import ROLES
from chain.hashing import keccak
from chain.parameters import DeploymentParameters
from chain.types import Address, to_hex

TOKEN = ("DPN Reward", "DPN")
"""Name and symbol of our own token."""


async def verify_deployment(chain: ChainClient, parameters: DeploymentParameters, genesis: int) -> None:
    """Compares everything that can be read back; `DeploymentError` names the first difference."""
    await _verify_code(chain, parameters)
    for compared in (await _wiring(chain, parameters, genesis), await _money(chain, parameters), await _lists(chain, parameters)):
        for name, (found, expected) in compared.items():
            if found != expected:
                raise DeploymentError(f"{name}: the chain has {found}, the parameters say {expected}")


async def code_of(backend: Backend, address: Address) -> bytes:
    """The code at an address; `DeploymentError` if there is none."""
    code = bytes.fromhex(str(await backend.request("eth_getCode", [address, "latest"])).removeprefix("0x"))
    if not code:
        raise DeploymentError(f"there is no contract at {address}")
    return code


def is_committed_code(name: str, code: bytes) -> bool:
    """Whether code on a chain is that of the committed artifact, whatever its immutables hold."""
    masked = bytearray(code)
    for start in artifact(name)["immutables"]:
        masked[start : start + 32] = bytes(32)
    return bool(hashlib.sha256(masked).hexdigest() == artifact(name)["deployedBytecodeSha256"])


async def _verify_code(chain: ChainClient, parameters: DeploymentParameters) -> None:
    network = chain.network
    places = {"Registry": network.registry, "Vault": network.vault, "Judge": network.judge, "Settlement": network.settlement}
    if parameters.token is None:
        places["RewardToken"] = network.token
    else:
        code_hash = keccak(await code_of(chain.backend, network.token))
        if code_hash != parameters.token_code_hash:
            expected = to_hex(parameters.token_code_hash)
            raise DeploymentError(f"the token's code: the chain has {to_hex(code_hash)}, the parameters say {expected}")
    for name, address in places.items():
        if not is_committed_code(name, await code_of(chain.backend, address)):
            raise DeploymentError(f"the code at {address} is not that of the committed {name}: whoever deployed it used another build")


async def _wiring(chain: ChainClient, parameters: DeploymentParameters, genesis: int) -> dict[str, tuple[object, object]]:
    network = chain.network
    parts = {"the Registry": chain.registry, "the Vault": chain.vault, "the Judge": chain.judge}
    found: dict[str, tuple[object, object]] = {
        f"{name}'s settlement": (await part.part("settlement"), network.settlement) for name, part in parts.items()
    }
    guard = await chain.settlement.guard()
    return found | {
        "the Registry's token": (await chain.registry.part("token"), network.token),
        "the Vault's token": (await chain.vault.part("token"), network.token),
        "the token": (network.token, parameters.token or network.token),
        "the windows": (network.timing, parameters.timing(genesis)),
        "the treasury": (network.treasury, parameters.treasury),
        "the guardian": (guard.guardian, parameters.guardian),
        "the bond's delay": (await chain.registry.number("bondDelay"), parameters.bond_delay),
        "the unbonding's delay": (await chain.registry.number("unbondDelay"), parameters.unbond_delay),
        "the exit's delay": (await chain.vault.number("exitDelay"), parameters.exit_delay),
    }


async def _money(chain: ChainClient, parameters: DeploymentParameters) -> dict[str, tuple[object, object]]:
    limits = await chain.vault.limits()
    found: dict[str, tuple[object, object]] = {
        "the rate": (limits.rate, parameters.rate),
        "the Settlement's rate": (await chain.settlement.number("rate"), parameters.rate),
        "the Vault's funds": (min(limits.funded, parameters.funding), parameters.funding),  # anyone may add to them
        "the least deposit": (await chain.vault.number("minDeposit"), parameters.min_deposit),
        "the provider's bond": (await chain.registry.provider_bond(), parameters.provider_bond),
        "the least total stake": (await chain.registry.min_total(), parameters.min_total),
    }
    if parameters.token is None:
        found["the token's supply"] = (await chain.token.number("totalSupply"), parameters.supply)
        found["the token's name"] = ((await chain.token.name(), await chain.token.symbol()), TOKEN)
    return found


async def _lists(chain: ChainClient, parameters: DeploymentParameters) -> dict[str, tuple[object, object]]:
    """Lists and rules, both as the contract tells them and as every node folds them from the logs."""
    view = await chain.view(await chain.latest())
    found: dict[str, tuple[object, object]] = {
        "the rules": (chain.network.rules, parameters.rules),
        "the rules' digest": (await chain.registry.rules_digest(), parameters.rules.digest()),
        "the rules' digest in the log": (view.rules_digest, parameters.rules.digest()),
    }
    for role in ROLES:
        expected = {(one.account, one.endpoint, one.max_stake) for one in parameters.listings if one.role == role}
        for source, listed in (("", await chain.registry.listed(role)), (" in the log", view.listed(role))):
            found[f"the {role}s{source}"] = ({(one.account, one.endpoint, one.max_stake) for one in listed}, expected)
    return found
