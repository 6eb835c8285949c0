"""What a validator is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runtime.config import ConfigError, NodeConfig
from runtime.storage import DatabaseUrl, Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorConfig(NodeConfig):
    """Settings beside those of every role.

    peer_timeout_s: how long one request to another validator may take (0: a quarter of a round, at most 8 s).
    database: an SQLite file, or the URL of a PostgreSQL database (default: `validator.sqlite` in data_dir).
    retention_epochs: how long proofs and files are kept and served, counted from when a root that covers them is active (0: for ever).
    """

    peer_timeout_s: float = 0.0
    database: Path | DatabaseUrl | None = None
    retention_epochs: int = 90

    def __post_init__(self) -> None:
        NodeConfig.__post_init__(self)
        if self.retention_epochs < 0:
            raise ConfigError(f"The setting retention_epochs is {self.retention_epochs}: epochs to keep, or 0 to keep all.")

    @property
    def storage(self) -> Storage:
        return self.database or self.data_dir / "validator.sqlite"
