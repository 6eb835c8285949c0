"""The parameters that change by a bundle: what `rulesDigest` is the digest of.

Their canonical JSON is in the log of the transaction that set them (`RulesSet`), so a node that knows the settlement contract knows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from chain.canonical import encode
from chain.hashing import keccak
from chain.types import PPM, U8, U16, U32, U64, U96, Digest

TIERS = ("Member", "VIP", "Elite", "Premier", "Exclusive")
"""Of those who refer providers, ascending; below the first there is none."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Defaults are the network's; units stand in the names (s seconds, us microseconds, ppm parts per million, wei).

    A `ValueError` names the first parameter that makes no sense.
    """

    version: U16 = 1
    heartbeat_s: U32 = 30
    presence_ttl_s: U32 = 90
    proof_every: U16 = 10
    """Heartbeats between two proofs; 1 works."""
    tolerance_s: U32 = 120
    """How far a signer's clock may be from the reader's."""
    finality_blocks: U16 = 12
    """A block is final once it has this many blocks on top of it, itself included: 1 means the latest block."""
    allow_private_addresses: bool = False
    max_rtt_us: U32 = 500_000
    echo_rounds: U8 = 5
    proof_max_bytes: U32 = 262_144
    """A session's evidence takes some 5 KiB with four validators, 16 KiB with the receipts of 22."""
    proof_max_sessions: U16 = 256
    proof_max_log_entries: U16 = 64
    intake_quota_bytes: U32 = 4_194_304
    """Per provider and epoch, at each validator."""
    availability_share_ppm: U32 = 700_000
    """The part of an epoch's budget that availability may draw."""
    slot_cap_wei: U96 = 10**15
    """The most that one slot pays."""
    group_full_ranks: U16 = 3
    site_weight_cap: U16 = 64
    """What an IPv6 /32 weighs at most, in whole providers."""
    points_milli_per_hour: U32 = 10_000
    points_milli_per_token: U32 = 100_000
    """Per 10^18 wei of protocol fee that a provider's sessions paid."""
    request_life_s: U32 = 60
    """The longest that a request for a session may wait."""
    receipt_every_s: U32 = 10
    """The longest between two receipts of a session that carries something."""
    credit_start_bytes: U64 = 1 << 20
    """What a provider serves one consumer unpaid at first; it doubles with each receipt honoured."""
    credit_most_bytes: U64 = 64 << 20
    protocol_fee_ppm: U32 = 50_000
    """The part of a session's fee that goes to the treasury."""
    session_share_ppm: U32 = 250_000
    """The part of an epoch's budget that sessions may draw."""
    session_subsidy_ppm: U32 = 900_000
    """Of the protocol fee, what the budget adds to a session's pay: below all of it, so that nobody gains by paying himself."""
    session_target_wei: U96 = 3 * 10**18
    """Fees in one epoch that make a provider's sessions count in full for its reputation: so many that paying them to oneself costs more
    than the reputation adds to a day's pay."""
    consumer_weight_ppm: U32 = 50_000
    """The most of that which one consumer makes up."""
    role_share_ppm: U32 = 50_000
    """The part of an epoch's budget that the listed roles may draw, in the parts below of it, whatever passes through the network."""
    resolver_part_ppm: U32 = 200_000
    master_part_ppm: U32 = 300_000
    validator_part_ppm: U32 = 500_000
    tier_points: tuple[U64, ...] = (2_000, 20_000, 150_000, 1_000_000, 5_000_000)
    """Whole points from which on an account is in each of `TIERS`."""
    tier_share_ppm: tuple[U32, ...] = (30_000, 50_000, 70_000, 100_000, 120_000)
    """What an account in each tier gets of the budget rewards of a provider that it referred; who is in none gets nothing."""
    reputation_prior_ppm: U32 = 200_000
    reputation_prior_weight_ppm: U64 = 3_000_000
    reputation_epochs: U8 = 30
    availability_weight_ppm: U32 = 500_000
    performance_weight_ppm: U32 = 250_000
    sessions_weight_ppm: U32 = 150_000
    standing_weight_ppm: U32 = 100_000

    def __post_init__(self) -> None:
        weights = (self.availability_weight_ppm, self.performance_weight_ppm, self.sessions_weight_ppm, self.standing_weight_ppm)
        shares = (self.availability_share_ppm, self.session_share_ppm, self.role_share_ppm)
        parts = (self.resolver_part_ppm, self.master_part_ppm, self.validator_part_ppm)
        checks = {
            "heartbeat_s": self.heartbeat_s > 0,
            "presence_ttl_s": self.presence_ttl_s >= 2 * self.heartbeat_s,
            "proof_every": self.proof_every > 0,
            "finality_blocks": self.finality_blocks > 0,
            "max_rtt_us": self.max_rtt_us > 0,
            "echo_rounds": self.echo_rounds > 0,
            "availability_share_ppm, session_share_ppm and role_share_ppm": sum(shares) <= PPM,
            "resolver_part_ppm, master_part_ppm and validator_part_ppm": sum(parts) <= PPM,
            "tier_points": len(self.tier_points) == len(TIERS) and all(low < high for low, high in pairwise((0, *self.tier_points))),
            "tier_share_ppm": len(self.tier_share_ppm) == len(TIERS)
            and all(low <= high for low, high in pairwise((0, *self.tier_share_ppm, PPM))),
            "request_life_s": self.request_life_s > 0,
            "receipt_every_s": self.receipt_every_s > 0,
            "credit_start_bytes": 0 < self.credit_start_bytes <= self.credit_most_bytes,
            "protocol_fee_ppm": self.protocol_fee_ppm <= PPM,
            "session_subsidy_ppm": self.session_subsidy_ppm < PPM,
            "session_target_wei": self.session_target_wei > 0,
            "consumer_weight_ppm": 0 < self.consumer_weight_ppm <= PPM,
            "reputation_prior_ppm": self.reputation_prior_ppm <= PPM,
            "the four reputation weights": sum(weights) == PPM,
        }
        for name, holds in checks.items():
            if not holds:
                raise ValueError(f"{name} makes no sense in these rules: see docs/protocol.md for its bounds")

    def digest(self) -> Digest:
        """keccak-256 of the canonical JSON, as the Registry stores it."""
        return Digest(keccak(encode(self)))


def rules_of(table: Mapping[str, Any]) -> Rules:
    """Rules from a table of a TOML file, whose lists are tuples here; what it leaves out is as by default. `TypeError` or `ValueError` for
    what makes none."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
    return Rules(**values)
