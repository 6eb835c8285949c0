"""What a consumer is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from consumer.units import parse_bandwidth, parse_budget, parse_price, parse_rtt
from runtime.config import ConfigError, NodeConfig
from wire.sessions import affordable_bytes, is_region

LEAST_USEFUL = 1 << 20
"""Bytes; what buys less is not worth a session."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a connection has to be like, in the units of `SessionRequest`. budget: wei, all that this run may spend."""

    region: str
    min_bandwidth: int
    max_rtt_us: int
    max_price: int
    budget: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerConfig(NodeConfig):
    """bind_host: the address that connections to the network come from; port and public_host have no meaning here.

    socks: host:port at which programs of this machine are served. region: two capitals, or empty for any. max_rtt (`80ms`), min_bandwidth
    (`50Mbit`), max_price (for one GiB: `0.02` DPN or `500wei`), budget (`5` DPN or `500wei`): see `consumer.units`. resolver: which listed
    one is asked first is drawn anew each time. test_url: where `dpn consumer test` asks for the exit address.
    """

    data_dir: Path = Path("dpn-consumer")
    socks: str = "127.0.0.1:1080"
    region: str = ""
    max_rtt: str = "500ms"
    min_bandwidth: str = "0bit"
    max_price: str = ""
    budget: str = ""
    test_url: str = ""

    @property
    def socks_address(self) -> tuple[str, int]:
        """Host and port of `socks`; `ConfigError` if it is not host:port."""
        return socks_address(self.socks)

    @property
    def local_host(self) -> str | None:
        """The source address of connections to providers; None for whichever the system takes."""
        return None if self.bind_host in ("0.0.0.0", "::") else self.bind_host  # noqa: S104 - any address

    def wishes(self) -> Wishes:
        """The limits, parsed; `ConfigError` names the one that is wrong or missing."""
        if self.region and not is_region(self.region):
            raise ConfigError(f"The setting region is {self.region!r}: two capitals such as DE are expected, or nothing.")
        for name in ("max_price", "budget"):
            if not getattr(self, name):
                raise ConfigError(f"Please set {name} (on the command line: --{name.replace('_', '-')}): nothing is spent without a limit.")
        wishes = Wishes(
            region=self.region,
            min_bandwidth=self._parsed("min_bandwidth", parse_bandwidth),
            max_rtt_us=self._parsed("max_rtt", parse_rtt),
            max_price=self._parsed("max_price", parse_price),
            budget=self._parsed("budget", parse_budget),
        )
        if affordable_bytes(wishes.max_price, wishes.budget) < LEAST_USEFUL:
            raise ConfigError("The budget may buy less than 1 MiB at max_price: raise the budget, or lower max_price.")
        return wishes

    def _parsed(self, name: str, parse: Callable[[str], int]) -> int:
        try:
            return parse(getattr(self, name))
        except ValueError as error:
            raise ConfigError(f"The setting {name}: {error}.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What commands are told that look at a connection from outside; the same names as in `ConsumerConfig`."""

    data_dir: Path = Path("dpn-consumer")
    socks: str = "127.0.0.1:1080"
    test_url: str = ""


def socks_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`; `ConfigError` otherwise."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"The setting socks is {text!r}: host:port is expected, as 127.0.0.1:1080.")
    return host.strip("[]"), int(port)
