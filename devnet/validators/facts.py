"""What the demo of validators found out, as data: everything that its checks compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain.types import Address, Digest
from devnet.rawchain import PostedLog


@dataclass(frozen=True, slots=True)
class Recorded:
    """A candidate that was recorded on chain, by raw RPC."""

    epoch: int
    round: int
    proposer: Address
    digest: Digest


@dataclass(frozen=True, slots=True)
class Audit:
    """What `dpn audit` said: its exit code, and what it printed as JSON."""

    code: int
    found: Any
    says: str


@dataclass(frozen=True, slots=True)
class Facts:
    """false_epoch: the one whose first round was the liar's; dead: the one that nobody could post. validators: names by account, ascending.

    signed: by validator that was asked, who signed the liar's candidate as far as it knows. states: by epoch and validator, whether it
    serves the state's bytes. earned: of each provider by the newest root, wei. killed: names of those that were killed and started again.
    """

    false_epoch: int
    dead: int
    liar: Address
    validators: Mapping[Address, str]
    recorded: tuple[Recorded, ...]
    posted: tuple[PostedLog, ...]
    signed: Mapping[str, frozenset[Address]]
    states: Mapping[int, Mapping[str, bool]]
    earned: Mapping[Address, int]
    killed: tuple[str, ...]
    alive: frozenset[str]
    audits: Mapping[str, Audit]

    def posting(self, epoch: int) -> PostedLog | None:
        return next((log for log in self.posted if log.epoch == epoch), None)

    def signers(self, bitmap: int) -> frozenset[Address]:
        return frozenset(account for place, account in enumerate(self.validators) if bitmap >> place & 1)
