"""What the tour saw, from three sources that share no code: raw RPC, what validators serve, what providers hold themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chain.types import Address, Digest
from devnet.observer import NodeSight, ProviderSight
from devnet.processes import Started
from devnet.rawchain import Payment, PostedLog
from wire.agreement import LeafPath
from wire.answers import ProviderView


@dataclass(frozen=True, slots=True)
class Forgery:
    """A stranger's announcement in another's name: the code it was refused with, and the victim in the pool before and after."""

    victim: str
    code: str
    before: ProviderView | None
    after: ProviderView | None


@dataclass(frozen=True, slots=True)
class Kill:
    """The poster's death. transaction: the one it had sent; mined_before: whether it was mined when the process was dead."""

    validator: str
    account: Address
    epoch: int
    transaction: str
    mined_before: bool
    exit_code: int
    pid: int
    new_pid: int


@dataclass(frozen=True, slots=True)
class Account:
    """A provider's money as raw RPC has it, in wei; reputation in ppm and the epoch of the root it is from."""

    balance_before: int
    balance_after: int
    claimed: int
    reputation: int
    reputation_epoch: int


@dataclass(frozen=True, slots=True)
class Tree:
    """What the state file of a posted epoch comes to, computed anew from its bytes. accounts: leaves. earned: their sum in wei."""

    root: Digest
    accounts: int
    earned: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the checks look at. Names are those of the places; providers, masters and validators in layout order,
    listed_validators by ascending address, as signer bitmaps have them.

    second: of the latest block. joined: the providers once all were connected; least_rtt_us: by provider and master, twice the one-way
    delay between their cities. status, proven: each provider's own status, and the digest of its newest receipted proof by epoch.
    silent, left: the pool's last word on the one that fell silent and the one that left; offered: whom matchmaking named while the first
    was silent. manifests: per posted epoch what each validator
    names; trees: its state file, recomputed. leaves: per provider what each validator serves for the active root. evidence: per covered
    epoch and provider, the digests of the proofs in the manifests, read chunk by chunk from a validator. foreign_files: per process, files
    of another node that it had open.
    """

    roles: Mapping[str, str]
    started: tuple[Started, ...]
    alive: frozenset[str]
    providers: Mapping[str, Address]
    masters: tuple[str, ...]
    validators: Mapping[str, Address]
    listed_validators: tuple[Address, ...]
    prefixes: Mapping[str, str]
    joined: tuple[ProviderSight, ...]
    joined_rtt_us: Mapping[str, Mapping[str, int]]
    least_rtt_us: Mapping[str, Mapping[str, int]]
    forgery: Forgery
    silent: tuple[str, ProviderView | None]
    offered: tuple[Address, ...]
    left: tuple[str, ProviderView | None]
    pool: Mapping[Address, ProviderView]
    kill: Kill | None
    restarted: NodeSight | None
    posted: tuple[PostedLog, ...]
    activated: tuple[Digest, ...]
    second: int
    active_root: Digest
    manifests: Mapping[int, Mapping[str, str]]
    evidence: Mapping[int, Mapping[Address, frozenset[str]]]
    trees: Mapping[int, Tree]
    leaves: Mapping[str, Mapping[str, LeafPath | None]]
    status: Mapping[str, Mapping[str, Any]]
    proven: Mapping[str, Mapping[int, str]]
    accounts: Mapping[str, Account]
    payments: tuple[Payment, ...]
    foreign_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needed_roots: int = 3
