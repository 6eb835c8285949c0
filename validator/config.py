"""What a validator is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runtime.config import NodeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorConfig(NodeConfig):
    """Settings beside those of every role.

    peer_timeout_s: how long one request to another validator may take (0: a quarter of a round, at most 8 s).
    """

    peer_timeout_s: float = 0.0

    @property
    def database(self) -> Path:
        return self.data_dir / "validator.sqlite"
