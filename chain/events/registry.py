"""What the Registry logs. Amounts in wei; times in seconds of block time."""

from __future__ import annotations

from dataclasses import dataclass

from chain.events.log import LogPosition
from chain.types import Address, Digest, Wei


@dataclass(frozen=True, slots=True)
class Listed:
    """An account joins, or gets a new maximum and endpoint in the role it has."""

    at: LogPosition
    account: Address
    role: str
    max_stake: Wei
    endpoint: str


@dataclass(frozen=True, slots=True)
class Delisted:
    at: LogPosition
    account: Address
    role: str


@dataclass(frozen=True, slots=True)
class EndpointSet:
    at: LogPosition
    account: Address
    endpoint: str


@dataclass(frozen=True, slots=True)
class RulesSet:
    """rules: the canonical JSON of `chain.rules.Rules`."""

    at: LogPosition
    digest: Digest
    rules: bytes


@dataclass(frozen=True, slots=True)
class ParametersSet:
    at: LogPosition
    min_total: Wei
    provider_bond: Wei


@dataclass(frozen=True, slots=True)
class BundleApplied:
    """signers: bit i for the i-th validator by address, of the list as it was before the bundle."""

    at: LogPosition
    nonce: int
    changes: Digest
    signers: int


@dataclass(frozen=True, slots=True)
class Bonded:
    """stake: what the account has bonded from now on."""

    at: LogPosition
    account: Address
    role: str
    amount: Wei
    stake: Wei


@dataclass(frozen=True, slots=True)
class Unbonded:
    """stake: what is still bonded. release_at: of all that waits."""

    at: LogPosition
    account: Address
    role: str
    amount: Wei
    stake: Wei
    release_at: int


@dataclass(frozen=True, slots=True)
class StakeWithdrawn:
    at: LogPosition
    account: Address
    recipient: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class Convicted:
    """From here on the account is barred."""

    at: LogPosition
    account: Address
    reporter: Address


@dataclass(frozen=True, slots=True)
class Slashed:
    """amount: all its stake, unbonding stake included. share: the reporter's part of it."""

    at: LogPosition
    account: Address
    reporter: Address
    amount: Wei
    share: Wei


@dataclass(frozen=True, slots=True)
class ShareCollected:
    at: LogPosition
    reporter: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class ProviderRegistered:
    at: LogPosition
    provider: Address
    recipient: Address
    referrer: Address
    bond: Wei


@dataclass(frozen=True, slots=True)
class ProviderUnregistered:
    at: LogPosition
    provider: Address
    release_at: int


@dataclass(frozen=True, slots=True)
class BondWithdrawn:
    at: LogPosition
    provider: Address
    amount: Wei


RegistryEvent = (
    Listed
    | Delisted
    | EndpointSet
    | RulesSet
    | ParametersSet
    | BundleApplied
    | Bonded
    | Unbonded
    | StakeWithdrawn
    | Convicted
    | Slashed
    | ShareCollected
    | ProviderRegistered
    | ProviderUnregistered
    | BondWithdrawn
)
