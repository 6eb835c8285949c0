"""What an audit is told: a chain's node, and the contract that names the rest."""

from __future__ import annotations

from dataclasses import dataclass

from chain.types import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig:
    """The same names as in a node's file, whose other settings are passed over."""

    rpc_urls: tuple[str, ...]
    settlement: Address
