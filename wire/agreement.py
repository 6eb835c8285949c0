"""What validators agree about, as files named by their digests: inventories, the chain's part, the manifest, an account's path."""

from __future__ import annotations

from dataclasses import dataclass

from chain.typed import Signed
from chain.types import U64, U256, Address, Digest
from wire.messages import Inventory


@dataclass(frozen=True, slots=True)
class InventoryEntry:
    provider: Address
    proof: Digest


@dataclass(frozen=True, slots=True)
class InventoryIndex:
    """The newest accepted proof of each provider, ascending by address."""

    epoch: U64
    entries: tuple[InventoryEntry, ...]


@dataclass(frozen=True, slots=True)
class FileIndex:
    """A file as chunks of at most 1 MiB, each named by its sha-256. The file's digest is the sha-256 of this index's canonical bytes."""

    size: U64
    chunks: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class CoveredEpoch:
    """One epoch that a root covers and the inventories its input is the union of."""

    epoch: U64
    inventories: tuple[Signed[Inventory], ...]


@dataclass(frozen=True, slots=True)
class ListedNode:
    """A node of a role at a block. stake: wei."""

    account: Address
    role: str
    stake: U256


@dataclass(frozen=True, slots=True)
class RegisteredProvider:
    """A registered, bonded provider at a block. bond: wei. referrer: the zero address for none."""

    provider: Address
    referrer: Address
    bond: U256


@dataclass(frozen=True, slots=True)
class Depositor:
    """An account that has ever deposited, at a block; lifetime sums in wei. exited: the epoch of its exit plus one, as the Vault keeps
    it; 0 if it has not exited."""

    account: Address
    deposited: U256
    withdrawn: U256
    exited: U64

    @property
    def held(self) -> int:
        """Deposited and not withdrawn: the most that it can have spent, wei."""
        return self.deposited - self.withdrawn


@dataclass(frozen=True, slots=True)
class ChainSection:
    """What one covered epoch reads from the chain, rebuilt from logs: `validators` and `providers` at anchor(epoch), `roles`, of whoever
    may sign about the epoch, at anchor(epoch - 1); `rate` and `funded` in wei; all ascending by address."""

    epoch: U64
    anchor_block: U64
    anchor_block_hash: Digest
    roles: tuple[ListedNode, ...]
    validators: tuple[ListedNode, ...]
    providers: tuple[RegisteredProvider, ...]
    funded: U256
    rate: U256
    treasury: Address


@dataclass(frozen=True, slots=True)
class Manifest:
    """All the input of one root: with the parent's state and the bytes named here anyone recomputes it.

    deposits: at anchor(epoch), ascending by account, whatever epochs the root covers: what may be spent is what is held when it is posted.
    """

    epoch: U64
    through: U64
    parent_root: Digest
    parent_state_digest: Digest
    rules_digest: Digest
    deposits: tuple[Depositor, ...]
    chain: tuple[ChainSection, ...]
    covered: tuple[CoveredEpoch, ...]


@dataclass(frozen=True, slots=True)
class LeafPath:
    """An account's leaf and its path in the tree of `root`, for a claim. epoch: that of the root."""

    epoch: U64
    root: Digest
    account: Address
    earned: U256
    spent: U256
    points: U64
    reputation: U256
    path: tuple[Digest, ...]
