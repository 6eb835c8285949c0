"""What a provider is told."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from chain.types import Address
from provider.heartbeat import Offering
from provider.sessions.caps import Allowance, Hours
from provider.sessions.egress import Policy
from provider.sessions.serving import Terms
from provider.sessions.streams import StreamLimits
from runtime.config import ConfigError, NodeConfig
from wire.addresses import parse_ip
from wire.geography import is_on_earth
from wire.regions import may_lie_in
from wire.sessions import is_region

RELAY_CHOICES = ("auto", "always", "never")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig(NodeConfig):
    """port: where the TLS listener is bound. announced_port: the port that others reach it at, as behind a NAT (0: the same).

    bandwidth: bit/s. price: wei per GiB. region: two capital letters, or empty for no location; latitude, longitude: whole degrees.
    dns: whether the resolver may publish the address and port over DNS. resolver: the one to announce to (default: the first listed).
    relay: whether to be reached through a master's relay, at a cost in ranking: `auto` once most masters cannot dial this provider,
    `always` (public_host is not needed then), or `never`. port_mapping: whether the router is asked by UPnP to forward the
    announced port here. status_port: where `GET /v1/status` is answered on `bind_host`, 0 for nowhere.

    max_sessions; max_streams: connections of one session, max_streams_in_all: of all. rate_limit, session_rate_limit: bit/s that are
    carried for consumers, in all and for each session, 0 for no limit. cap_day, cap_month: payload bytes that are carried in a day and a
    month (UTC), 0 for no limit. hours: when to serve, such as `22:00-06:30` (UTC), or empty for always.
    egress_ports: the only ones that are connected to; empty for the usual ones. egress_allow: networks that are reached although they are
    not public. egress_block: networks, and ends of names such as `example.org`, that are not reached.
    """

    bandwidth: int = 100_000_000
    price: int = 0
    region: str = ""
    latitude: int = 0
    longitude: int = 0
    dns: bool = False
    resolver: Address | None = None
    announced_port: int = 0
    relay: str = "auto"
    port_mapping: bool = False
    status_port: int = 0
    max_sessions: int = 64
    max_streams: int = 256
    max_streams_in_all: int = 4096
    rate_limit: int = 0
    session_rate_limit: int = 0
    cap_day: int = 0
    cap_month: int = 0
    hours: str = ""
    egress_ports: tuple[int, ...] = ()
    egress_allow: tuple[str, ...] = ()
    egress_block: tuple[str, ...] = ()

    def offering(self, bound_port: int) -> Offering:
        """What is announced, given the port that the listener got; `ConfigError` without an address that others can use."""
        if self.relay not in RELAY_CHOICES:
            raise ConfigError(f"The setting relay is {self.relay!r}: {', '.join(RELAY_CHOICES)} are expected.")
        try:
            unusable = self.relay != "always" and parse_ip(self.reachable_host).is_unspecified
        except ValueError as error:
            raise ConfigError(f"public_host has to be an IP address, since it is announced as one: {error}.") from error
        if unusable:
            raise ConfigError("Please set public_host to the address that others reach this provider at.")
        if self.region and not is_region(self.region):
            raise ConfigError(f"The setting region is {self.region!r}: two capitals such as DE are expected, or nothing.")
        if not is_on_earth(self.latitude, self.longitude):
            raise ConfigError("latitude is from -90 to 90 and longitude from -180 to 180 whole degrees.")
        if self.region and not may_lie_in(self.region, self.latitude, self.longitude):
            raise ConfigError(
                f"{self.region} does not lie at latitude {self.latitude}, longitude {self.longitude}: set where this machine is."
            )
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

    def terms(self) -> Terms:
        """What is served, at what price; `ConfigError` for a limit below 0."""
        for name in ("price", "bandwidth", "max_sessions", "rate_limit", "session_rate_limit"):
            self._not_below_0(name)
        return Terms(self.price, self.bandwidth, self.max_sessions, self.rate_limit / 8, self.session_rate_limit / 8)

    def stream_limits(self) -> StreamLimits:
        for name in ("max_streams", "max_streams_in_all"):
            self._not_below_0(name)
        return StreamLimits(self.max_streams, self.max_streams_in_all)

    def allowance(self) -> Allowance:
        """Caps and hours; `ConfigError` if they cannot be read."""
        for name in ("cap_day", "cap_month"):
            self._not_below_0(name)
        try:
            return Allowance(self.cap_day, self.cap_month, Hours.parse(self.hours))
        except ValueError as error:
            raise ConfigError(f"The setting hours: {error}.") from error

    def policy(self) -> Policy:
        """Where consumers are let to; `ConfigError` names the entry that is wrong."""
        for port in self.egress_ports:
            if not 0 < port < 65_536:
                raise ConfigError(f"The setting egress_ports has {port}: a port is from 1 to 65535.")
        networks, names = [], []
        for entry in self.egress_block:
            if re.fullmatch(r"[0-9./]+|[0-9a-fA-F.:/]*:[0-9a-fA-F.:/]*", entry):
                networks.append(_network("egress_block", entry))
            else:
                names.append(entry.strip(".").lower())
        opened = tuple(_network("egress_allow", entry) for entry in self.egress_allow)
        return Policy(self.egress_ports, opened, tuple(networks), tuple(names))

    def _not_below_0(self, name: str) -> None:
        if getattr(self, name) < 0:
            raise ConfigError(f"The setting {name} is {getattr(self, name)}: a number from 0 on is expected.")


def _network(name: str, entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(entry)
    except ValueError as error:
        raise ConfigError(f"The setting {name} has {entry!r}, which is no network such as 192.0.2.0/24: {error}.") from error
