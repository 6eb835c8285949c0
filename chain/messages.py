"""The messages a contract reads."""

from __future__ import annotations

from dataclasses import dataclass

from chain.types import U64, U256, Address, Digest


@dataclass(frozen=True, slots=True)
class EpochAttestation:
    """A validator's word that this is the outcome of an epoch. One per validator, epoch and round, for ever.

    `through` is the last epoch covered (epochs after the parent's `through`, at most seven). Amounts are lifetime sums in wei.
    `anchor_block_hash` is that of `anchor(through)`: the parent of the first block stamped at or after the end of that epoch.
    """

    epoch: U256
    through: U256
    round: U256
    parent_root: Digest
    parent_state_digest: Digest
    state_digest: Digest
    root: Digest
    total_earned: U256
    total_spent: U256
    anchor_block_hash: Digest
    rules_digest: Digest
    manifest_digest: Digest


@dataclass(frozen=True, slots=True)
class Leaf:
    """An account's record in the tree, lifetime-cumulative.

    earned, spent: wei below 2^96. points: thousandths of a point. reputation: parts per million.
    """

    account: Address
    earned: U256
    spent: U256
    points: U64
    reputation: U256
