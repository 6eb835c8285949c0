"""The network behind one settlement contract: everything a node needs to know, read from an RPC URL and that address."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from chain.abi import event_decoder
from chain.backend import Backend
from chain.canonical import decode
from chain.contracts import RegistryContract, SettlementContract, VaultContract
from chain.epochs import Timing
from chain.errors import DeploymentError
from chain.events import RulesSet
from chain.rules import Rules
from chain.typed import Domain
from chain.types import Address, Wei


@dataclass(frozen=True, slots=True)
class Network:
    """A deployment. rate: wei per epoch. provider_bond: wei. deployed_block: the Registry's, where its logs begin."""

    domain: Domain
    settlement: Address
    registry: Address
    vault: Address
    judge: Address
    token: Address
    treasury: Address
    timing: Timing
    rules: Rules
    rate: Wei
    provider_bond: Wei
    deployed_block: int

    @property
    def chain_id(self) -> int:
        return self.domain.chain_id


async def load_network(backend: Backend, settlement: Address) -> Network:
    """Reads a deployment; `NotDeployed` or `DeploymentError` says what is not as it should be."""
    contract = SettlementContract(backend, settlement)
    registry, vault, judge, token, treasury = [await contract.part(name) for name in ("registry", "vault", "judge", "token", "treasury")]
    windows = ("genesis", "epochLength", "intake", "postWindow", "challenge", "margin", "roundLength", "slotsPerEpoch")
    timing = Timing(*await asyncio.gather(*(contract.number(name) for name in windows)))
    registry_contract = RegistryContract(backend, registry)
    rules, block = await _rules(backend, registry_contract)
    chain_id = int(str(await backend.request("eth_chainId", [])), 16)
    return Network(
        domain=Domain(chain_id, settlement),
        settlement=settlement,
        registry=registry,
        vault=vault,
        judge=judge,
        token=token,
        treasury=treasury,
        timing=timing,
        rules=rules,
        rate=Wei(await VaultContract(backend, vault).number("rate")),
        provider_bond=await registry_contract.provider_bond(),
        deployed_block=block,
    )


async def _rules(backend: Backend, registry: RegistryContract) -> tuple[Rules, int]:
    """The rules in force and the block of the Registry's first log."""
    in_force = await registry.rules_digest()
    raw = await backend.request("eth_getLogs", [{"address": registry.address, "fromBlock": "0x0", "toBlock": "latest"}])
    events = event_decoder().decode(raw if isinstance(raw, list) else [])
    for event in reversed(events):
        if isinstance(event, RulesSet) and event.digest == in_force:
            rules: Rules = decode(Rules, event.rules)
            if rules.digest() != in_force:
                raise DeploymentError(f"the rules logged hash to 0x{rules.digest().hex()}, the Registry has 0x{in_force.hex()}")
            return rules, events[0].at.block
    raise DeploymentError(f"the log holds no rules with digest 0x{in_force.hex()}: is the node's history complete?")
