"""What a deployment is made of, read from one TOML file and checked before a transaction is sent.

ParameterError    a parameter is missing, unknown or contradicts another; the sentence says which
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from chain.epochs import Timing
from chain.errors import DeploymentError
from chain.events import ROLES
from chain.rules import Rules
from chain.types import Address, Wei, parse_address

MAX_VALIDATORS = 32
MAX_SLOTS = 1024
"""Of an epoch: every statement carries a bit for each."""


class ParameterError(DeploymentError):
    """A sentence for the operator."""


@dataclass(frozen=True, slots=True)
class ListedAtGenesis:
    """A node to list. endpoint: host:port. max_stake: wei, what it may bond at most."""

    account: Address
    role: str
    endpoint: str
    max_stake: Wei


@dataclass(frozen=True, slots=True)
class DeploymentParameters:
    """Seconds for times (genesis_delay counts from the deployment), wei for amounts.

    supply: minted to the deployer. funding: moved into the Vault. rate: the Vault's budget per epoch.
    min_total: the stake below which no root is accepted, between 1/2 and 2/3 of the validators' listed maximum.
    """

    genesis_delay: int
    epoch_length: int
    slots_per_epoch: int
    intake: int
    post_window: int
    challenge: int
    margin: int
    round_length: int
    supply: Wei
    funding: Wei
    rate: Wei
    provider_bond: Wei
    bond_delay: int
    min_total: Wei
    treasury: Address
    listings: tuple[ListedAtGenesis, ...]
    rules: Rules

    def __post_init__(self) -> None:
        most = sum(listing.max_stake for listing in self.listings if listing.role == "validator")
        validators = sum(listing.role == "validator" for listing in self.listings)
        checks = {
            "post_window + challenge + margin must fit in epoch_length": self.post_window + self.challenge + self.margin
            <= self.epoch_length,
            "intake must end before post_window": 0 < self.intake < self.post_window,
            "round_length must be positive": self.round_length > 0,
            f"slots_per_epoch must lie between 1 and {MAX_SLOTS} and divide epoch_length": 1 <= self.slots_per_epoch <= MAX_SLOTS
            and self.epoch_length % self.slots_per_epoch == 0,
            "a slot must hold at least one heartbeat": self.epoch_length >= self.slots_per_epoch * self.rules.heartbeat_s,
            "min_total must lie between 1/2 and 2/3 of the validators' max_stake": most <= 2 * self.min_total
            and 3 * self.min_total <= 2 * most,
            f"there must be 1 to {MAX_VALIDATORS} validators": 1 <= validators <= MAX_VALIDATORS,
            "there must be at least one resolver and one master": {"resolver", "master"} <= {x.role for x in self.listings},
            "every account may be listed once": len({listing.account for listing in self.listings}) == len(self.listings),
            "funding must not exceed supply": self.funding <= self.supply,
            "rate must be positive and within funding": 0 < self.rate <= self.funding,
            "provider_bond must be positive": self.provider_bond > 0,
            "genesis_delay must not be negative": self.genesis_delay >= 0,
        }
        for sentence, holds in checks.items():
            if not holds:
                raise ParameterError(f"{sentence}; see docs/protocol.md, section 2")

    def timing(self, genesis: int) -> Timing:
        """The windows that the Settlement is deployed with, once genesis is known."""
        return Timing(
            genesis=genesis,
            epoch_length=self.epoch_length,
            intake=self.intake,
            post_window=self.post_window,
            challenge=self.challenge,
            margin=self.margin,
            round_length=self.round_length,
            slots_per_epoch=self.slots_per_epoch,
        )


def load_parameters(file: Path) -> DeploymentParameters:
    """The parameters in a TOML file: the fields above, a table `rules`, and tables `[[listings]]`; `ParameterError` otherwise."""
    try:
        return parse_parameters(tomllib.loads(file.read_text()))
    except OSError as error:
        raise ParameterError(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{file} is not TOML: {error}") from error


def parse_parameters(table: Mapping[str, Any]) -> DeploymentParameters:
    """As `load_parameters`, of a parsed table; amounts in wei may be integers or decimal strings."""
    known = {field.name for field in fields(DeploymentParameters)}
    if table.keys() != known:
        wrong = ", ".join(sorted(table.keys() ^ known))
        raise ParameterError(f"these parameters are missing or unknown: {wrong}")
    try:
        listings = tuple(
            ListedAtGenesis(parse_address(item["account"]), _role(item["role"]), str(item["endpoint"]), Wei(int(item["max_stake"])))
            for item in table["listings"]
        )
        rules = Rules(**table["rules"])
        numbers = {name: int(table[name]) for name in known - {"listings", "rules", "treasury"}}
        return DeploymentParameters(**numbers, treasury=parse_address(table["treasury"]), listings=listings, rules=rules)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise ParameterError(f"the parameters do not parse: {error}") from error


def _role(name: str) -> str:
    if name not in ROLES:
        raise ValueError(f"{name!r} is no role; known are {', '.join(ROLES)}")
    return name
