"""What a resolver is told."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.config import NodeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverConfig(NodeConfig):
    """Settings beside those of every node.

    zone: below which it answers DNS. dns_port: UDP; 0 serves no DNS. dns_host: where to listen for it (default: bind_host).
    max_presences: providers that the pool remembers at most; half of the places are kept for registered ones.
    """

    zone: str = "dpn.test"
    dns_port: int = 0
    dns_host: str = ""
    max_presences: int = 10_000
