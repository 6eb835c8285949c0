"""What a provider is told."""

from __future__ import annotations

from dataclasses import dataclass

from chain.types import Address
from provider.heartbeat import Offering
from runtime.config import ConfigError, NodeConfig
from wire.addresses import parse_ip


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig(NodeConfig):
    """port: where the TLS listener is bound. announced_port: the port that others reach it at, as behind a NAT (0: the same).

    bandwidth: bit/s. price: wei per GiB. region: two capital letters, or empty for no location; latitude, longitude: whole degrees.
    dns: whether the resolver may publish the address and port over DNS. resolver: the one to announce to (default: the first listed).
    status_port: where `GET /v1/status` is answered on `bind_host`, 0 for nowhere.
    """

    bandwidth: int = 100_000_000
    price: int = 0
    region: str = ""
    latitude: int = 0
    longitude: int = 0
    dns: bool = False
    resolver: Address | None = None
    announced_port: int = 0
    status_port: int = 0

    def offering(self, bound_port: int) -> Offering:
        """What is announced, given the port that the listener got; `ConfigError` without an address that others can use."""
        try:
            unusable = parse_ip(self.reachable_host).is_unspecified
        except ValueError as error:
            raise ConfigError(f"public_host has to be an IP address, since it is announced as one: {error}.") from error
        if unusable:
            raise ConfigError("Please set public_host to the address that others reach this provider at.")
        if self.region and not (len(self.region) == 2 and self.region.isascii() and self.region.isalpha() and self.region.isupper()):
            raise ConfigError(f"The setting region is {self.region!r}: two capitals such as DE are expected, or nothing.")
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise ConfigError("latitude is from -90 to 90 and longitude from -180 to 180 whole degrees.")
        return Offering(
            host=self.reachable_host,
            port=self.announced_port or bound_port,
            bandwidth=self.bandwidth,
            price=self.price,
            region=self.region,
            latitude=self.latitude,
            longitude=self.longitude,
            dns=self.dns,
        )
