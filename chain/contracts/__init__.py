"""The contracts, typed, one module each: reads pinned to a block, writes as calls for `chain.sender`.

Reads raise `ContractRefused` or `NotDeployed` of `chain.abi`.
"""

from chain.contracts.base import Call, Contract
from chain.contracts.judge import JudgeContract, Summation
from chain.contracts.registry import ProviderRecord, RegistryContract, UnbondingRecord
from chain.contracts.settlement import Candidate, RootRecord, SettlementContract
from chain.contracts.token import TokenContract
from chain.contracts.vault import Limits, VaultContract

__all__ = [
    "Call",
    "Candidate",
    "Contract",
    "JudgeContract",
    "Limits",
    "ProviderRecord",
    "RegistryContract",
    "RootRecord",
    "SettlementContract",
    "Summation",
    "TokenContract",
    "UnbondingRecord",
    "VaultContract",
]
