"""What a master is told besides what every node is."""

from __future__ import annotations

from dataclasses import dataclass

from master.checks import MAX_DIALS
from master.dialback import TIMEOUT_S
from master.echo import MAX_EXCHANGES
from master.report import MAX_PROVIDERS
from runtime.config import ConfigError, NodeConfig
from wire.geography import is_on_earth


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterConfig(NodeConfig):
    """`port` is both UDP's and TCP's, and the one of the endpoint listed on chain.

    dial_timeout_s: how long a dial-back may take. max_dials: dial-backs at once. max_exchanges: exchanges remembered in one slot.
    max_providers: providers remembered in one epoch. latitude, longitude: whole degrees of where it stands, by which resolvers judge the
    places that providers claim; both or neither.
    """

    dial_timeout_s: float = TIMEOUT_S
    max_dials: int = MAX_DIALS
    max_exchanges: int = MAX_EXCHANGES
    max_providers: int = MAX_PROVIDERS
    latitude: int | None = None
    longitude: int | None = None

    def __post_init__(self) -> None:
        NodeConfig.__post_init__(self)
        if (self.latitude is None) != (self.longitude is None):
            raise ConfigError("A master's place is a latitude and a longitude: set both, or neither.")
        if self.latitude is not None and self.longitude is not None and not is_on_earth(self.latitude, self.longitude):
            raise ConfigError("latitude is from -90 to 90 and longitude from -180 to 180 whole degrees.")

    @property
    def place(self) -> dict[str, int]:
        """What the status says of it; empty if it is not told."""
        return {} if self.latitude is None or self.longitude is None else {"latitude": self.latitude, "longitude": self.longitude}
