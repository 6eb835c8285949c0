"""What a deployment is made of, read from one TOML file and checked before a transaction is sent.

ParameterError    a parameter is missing, unknown or contradicts another; the sentence says which
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from chain.epochs import Timing
from chain.errors import DeploymentError
from chain.events import ROLES
from chain.messages import NewListing
from chain.rules import Rules, rules_of
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Wei, parse_address

MAX_PER_ROLE = 32
MAX_ENDPOINT = 256
"""UTF-8 bytes."""
MAX_ROUNDS = 2**16 - 1
MAX_SLOTS = 1024
"""Of an epoch: every statement carries a bit for each."""
MAX_AMOUNT = 2**96 - 1
MAX_SECONDS = 2**32
"""136 years; sums of several such lengths still fit where the contracts keep times."""

LENGTHS = (
    "genesis_delay", "epoch_length", "slots_per_epoch", "intake", "post_window", "challenge", "margin", "round_length",
    "bond_delay", "unbond_delay", "exit_delay",
)  # fmt: skip
AMOUNTS = ("funding", "rate", "min_deposit", "provider_bond", "min_total")


class ParameterError(DeploymentError):
    """A sentence for the operator."""


@dataclass(frozen=True, slots=True)
class DeploymentParameters:
    """Seconds for times (genesis_delay counts from the deployment), wei for amounts.

    supply: minted to the deployer, 0 if `token` is given. funding: moved into the Vault. rate: the Vault's budget per epoch. min_deposit:
    the least a consumer deposits at once. exit_delay: from an exit until any active leaf will do for a withdrawal. bond_delay,
    unbond_delay: until a provider's bond, a node's stake comes back. min_total: the stake below which no root is accepted, between 1/2 and
    2/3 of the validators' listed maximum. guardian: who may cancel and pause, the zero address for nobody. token: one that exists already,
    and token_code_hash the keccak-256 its code must have; without it a token of our own is deployed.
    """

    genesis_delay: int
    epoch_length: int
    slots_per_epoch: int
    intake: int
    post_window: int
    challenge: int
    margin: int
    round_length: int
    funding: Wei
    rate: Wei
    min_deposit: Wei
    exit_delay: int
    provider_bond: Wei
    bond_delay: int
    unbond_delay: int
    min_total: Wei
    treasury: Address
    listings: tuple[NewListing, ...]
    rules: Rules
    supply: Wei = Wei(0)
    guardian: Address = ZERO_ADDRESS
    token: Address | None = None
    token_code_hash: Digest = ZERO_DIGEST

    def __post_init__(self) -> None:
        for sentence, holds in self._requirements():
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

    def _requirements(self) -> Iterator[tuple[str, bool]]:
        """What must hold, as sentences: all that the contracts' constructors insist on, and what would make no network."""
        for part in (self._sizes, self._divisions, self._windows, self._lists, self._money):
            yield from part()

    def _sizes(self) -> Iterator[tuple[str, bool]]:
        for name in LENGTHS:
            yield f"{name} must lie between 0 and 2^32", 0 <= getattr(self, name) <= MAX_SECONDS
        for name in AMOUNTS:
            yield f"{name} must be positive and below 2^96", 0 < getattr(self, name) <= MAX_AMOUNT

    def _divisions(self) -> Iterator[tuple[str, bool]]:
        yield "round_length must be positive", self.round_length > 0
        yield (
            f"slots_per_epoch must lie between 1 and {MAX_SLOTS} and divide epoch_length",
            1 <= self.slots_per_epoch <= MAX_SLOTS and self.epoch_length % self.slots_per_epoch == 0,
        )
        yield "a slot must hold at least one heartbeat", self.epoch_length >= self.slots_per_epoch * self.rules.heartbeat_s

    def _windows(self) -> Iterator[tuple[str, bool]]:
        length = self.epoch_length
        yield "post_window + challenge + margin must fit in epoch_length", self.post_window + self.challenge + self.margin <= length
        yield "genesis_delay must be positive: no contract takes a genesis in the past", self.genesis_delay > 0
        yield "challenge must be positive", self.challenge > 0
        yield "margin must be positive, or no time is quiet while every epoch is posted late", self.margin > 0
        yield "intake must be positive and end before post_window", 0 < self.intake < self.post_window
        yield (
            f"there may be at most {MAX_ROUNDS} rounds between intake and post_window",
            self.post_window - self.intake < MAX_ROUNDS * self.round_length,
        )
        yield (
            "unbond_delay must be at least two epochs and a challenge: stake must be there when the fraud it backs is found",
            self.unbond_delay >= 2 * length + self.challenge,
        )
        yield (
            "exit_delay must be at least two epochs, post_window and challenge: what was spent up to the exit must be in the active root",
            self.exit_delay >= 2 * length + self.post_window + self.challenge,
        )

    def _money(self) -> Iterator[tuple[str, bool]]:
        most = sum(listing.max_stake for listing in self.listings if listing.role == "validator")
        yield (
            "min_total must lie between 1/2 and 2/3 of the validators' max_stake: less is no quorum, more stops the network too easily",
            most <= 2 * self.min_total and 3 * self.min_total <= 2 * most,
        )
        yield "rate must be within funding", self.rate <= self.funding
        if self.token is None:
            yield "funding must not exceed supply", self.funding <= self.supply
            yield "supply must be below 2^96: no deposit or stake could hold more", self.supply <= MAX_AMOUNT
            yield "token_code_hash is for a token that exists already: name it, or leave both out", self.token_code_hash == ZERO_DIGEST
        else:
            yield "token must not be the zero address", self.token != ZERO_ADDRESS
            yield "a token that exists already has its supply: leave supply out", self.supply == 0
            yield "a token that exists already must come with its token_code_hash", self.token_code_hash != ZERO_DIGEST
        yield "treasury must not be the zero address", self.treasury != ZERO_ADDRESS

    def _lists(self) -> Iterator[tuple[str, bool]]:
        roles = [listing.role for listing in self.listings]
        accounts = {listing.account for listing in self.listings}
        yield "there must be at least one validator, one resolver and one master", set(roles) == set(ROLES)
        yield f"a role has at most {MAX_PER_ROLE} nodes", all(roles.count(role) <= MAX_PER_ROLE for role in ROLES)
        yield "every account may be listed once, and the zero address not", len(accounts) == len(roles) and ZERO_ADDRESS not in accounts
        yield "a max_stake must be positive and below 2^96", all(0 < listing.max_stake <= MAX_AMOUNT for listing in self.listings)
        yield (
            f"an endpoint has at most {MAX_ENDPOINT} bytes",
            all(len(listing.endpoint.encode()) <= MAX_ENDPOINT for listing in self.listings),
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
    needed = {field.name for field in fields(DeploymentParameters) if field.default is MISSING}
    if wrong := (needed - table.keys()) | (table.keys() - known):
        raise ParameterError(f"these parameters are missing or unknown: {', '.join(sorted(wrong))}")
    try:
        values: dict[str, Any] = {name: integer_of(name, value) for name, value in table.items() if name not in _PARSERS}
        values |= {name: parse(table[name]) for name, parse in _PARSERS.items() if name in table}
        return DeploymentParameters(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise ParameterError(f"the parameters do not parse: {error}") from error


def integer_of(name: str, value: object) -> int:
    """An integer of a TOML file, or its digits in quotes; `ValueError` otherwise."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{name} is an integer, or its digits in quotes, not {value!r}")


def listings_of(items: Any) -> tuple[NewListing, ...]:
    """Nodes to list, as tables of a TOML file; `KeyError` or `ValueError` for what is none."""
    return tuple(
        NewListing(
            parse_address(item["account"]), _role(item["role"]), str(item["endpoint"]), Wei(integer_of("max_stake", item["max_stake"]))
        )
        for item in items
    )


def _digest(text: str) -> Digest:
    digits = text.removeprefix("0x")
    if len(digits) != 64 or digits == text:
        raise ValueError(f"token_code_hash is 0x and 64 hexadecimal digits, not {text!r}")
    return Digest(bytes.fromhex(digits))


def _role(name: str) -> str:
    if name not in ROLES:
        raise ValueError(f"{name!r} is no role; known are {', '.join(ROLES)}")
    return name


_PARSERS: Mapping[str, Any] = {
    "listings": listings_of,
    "rules": rules_of,
    "treasury": parse_address,
    "guardian": parse_address,
    "token": parse_address,
    "token_code_hash": _digest,
}
