"""The messages a contract reads."""

from __future__ import annotations

from dataclasses import dataclass

from chain.events.log import ROLES
from chain.hashing import keccak
from chain.types import U64, U256, ZERO_ADDRESS, Address, Digest, Wei

ATTESTATION = "(uint256,uint256,uint256,bytes32,bytes32,bytes32,bytes32,uint256,uint256,bytes32,bytes32,bytes32)"
"""The ABI type of an `EpochAttestation`."""
LEAF = "(address,uint256,uint256,uint256,uint256)"
"""The ABI type of a `Leaf`."""
CHANGES = "(address[],(address,uint8,uint96,string)[],uint96,uint96,bytes,bool,address)"
"""The ABI type of `Changes`."""


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


@dataclass(frozen=True, slots=True)
class NewListing:
    """A node to list, or one that is listed with its new endpoint and maximum. endpoint: host:port. max_stake: wei it may bond at most."""

    account: Address
    role: str
    endpoint: str
    max_stake: Wei


@dataclass(frozen=True, slots=True)
class Changes:
    """What a bundle changes at the Registry, in this order. min_total and provider_bond (wei) are given even if they stay.

    rules: the canonical JSON of `chain.rules.Rules`, empty if they stay. guardian: replaces the guardian if `replace_guardian` is set; the
    zero address for nobody.
    """

    min_total: Wei
    provider_bond: Wei
    delisted: tuple[Address, ...] = ()
    listed: tuple[NewListing, ...] = ()
    rules: bytes = b""
    replace_guardian: bool = False
    guardian: Address = ZERO_ADDRESS

    def words(self) -> tuple[object, ...]:
        """The values in the order of the contract's struct."""
        listed = [(one.account, ROLES.index(one.role), one.max_stake, one.endpoint) for one in self.listed]
        return (list(self.delisted), listed, self.min_total, self.provider_bond, self.rules, self.replace_guardian, self.guardian)

    def digest(self) -> Digest:
        """keccak256(abi.encode(changes)): what a `Bundle` names."""
        from eth_abi.abi import encode

        return Digest(keccak(encode([CHANGES], [self.words()])))


@dataclass(frozen=True, slots=True)
class Bundle:
    """What validators with 2/3 of the stake sign to change lists, rules, parameters or the guardian.

    nonce: the Registry's `bundleNonce`. deadline: the last second of block time in which it may be applied. changes: `Changes.digest()`.
    """

    nonce: U256
    deadline: U256
    changes: Digest
