"""What a master is told besides what every node is."""

from __future__ import annotations

from dataclasses import dataclass

from master.checks import MAX_DIALS
from master.dialback import TIMEOUT_S
from master.echo import MAX_EXCHANGES
from master.relay import RelayLimits
from master.report import MAX_PROVIDERS
from runtime.config import ConfigError, NodeConfig
from wire.geography import is_on_earth


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterConfig(NodeConfig):
    """`port` is both UDP's and TCP's, and the one of the endpoint listed on chain.

    dial_timeout_s: how long a dial-back may take. max_dials: dial-backs at once. max_exchanges: exchanges remembered in one slot.
    max_providers: providers remembered in one epoch. latitude, longitude: whole degrees of where it stands, by which resolvers judge the
    places that providers claim; both or neither.
    relay_port: TCP, where providers that nobody can dial wait for consumers (0: no relay). relay_pairs: connections carried at once.
    relay_rate_limit: bit/s of each and direction, 0 for no limit. relay_idle_s: how long one may be silent.
    """

    dial_timeout_s: float = TIMEOUT_S
    max_dials: int = MAX_DIALS
    max_exchanges: int = MAX_EXCHANGES
    max_providers: int = MAX_PROVIDERS
    latitude: int | None = None
    longitude: int | None = None
    relay_port: int = 0
    relay_pairs: int = 1_024
    relay_rate_limit: int = 50_000_000
    relay_idle_s: float = 600.0

    def __post_init__(self) -> None:
        NodeConfig.__post_init__(self)
        if (self.latitude is None) != (self.longitude is None):
            raise ConfigError("A master's place is a latitude and a longitude: set both, or neither.")
        if self.latitude is not None and self.longitude is not None and not is_on_earth(self.latitude, self.longitude):
            raise ConfigError("latitude is from -90 to 90 and longitude from -180 to 180 whole degrees.")

        if self.relay_port and self.relay_port == self.port:
            raise ConfigError("relay_port is another port than port: both are TCP.")
        if self.relay_pairs < 2 or self.relay_rate_limit < 0 or self.relay_idle_s <= 0:
            raise ConfigError("relay_pairs is 2 or more, relay_rate_limit 0 or more and relay_idle_s above 0.")

    @property
    def relay_limits(self) -> RelayLimits:
        return RelayLimits(self.relay_pairs, max(2, self.relay_pairs // 4), self.relay_rate_limit / 8, self.relay_idle_s)

    @property
    def place(self) -> dict[str, int]:
        """What the status says of it; empty if it is not told."""
        return {} if self.latitude is None or self.longitude is None else {"latitude": self.latitude, "longitude": self.longitude}
