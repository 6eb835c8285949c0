"""From a parameter file to every process of a devnet: who, where, at which addresses and ports. Pure.

Node k (counted over all roles, from 1) binds at `{bind_net}.k.1` and is reached at `{public_net}.k.1`, as behind a NAT: two /24 prefixes
of its own in 127.0.0.0/8, which Linux lets anyone bind. What is listed on chain and announced is the public address. Without a relay nobody
owns the public addresses, so there they are the bind addresses.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chain.messages import NewListing
from chain.parameters import DeploymentParameters
from chain.rules import Rules, rules_of
from chain.types import Address, Wei
from devnet.cities import City, city, one_way_ms

ROLES = ("resolver", "master", "validator", "provider", "consumer")
NEEDED = ROLES[:-1]
"""Of each of these there is one at least."""
PORTS: Mapping[str, int] = {"resolver": 7100, "master": 7200, "validator": 7300, "provider": 7400, "consumer": 7500}
"""TCP at the role's own address: HTTP, the provider's TLS endpoint, or the consumer's SOCKS port, which the relay does not carry. A master
times datagrams on the same number by UDP."""
UNLISTED = ("provider", "consumer")
"""Roles that the chain does not list: whoever wants to takes them."""
DNS_PORT = 7153
STATUS_PORT = 7480
"""A provider's local status, at its bind address only: the relay does not carry it."""
MAX_NODES = 250
DEFAULT_PARAMETERS = Path(__file__).parent / "parameters" / "devnet.toml"


class LayoutError(ValueError):
    """A parameter file that describes no devnet; the sentence says which value is wrong."""


@dataclass(frozen=True, slots=True)
class Money:
    """Amounts in wei; `gas_wei` of the chain's coin, the others of the reward token."""

    rate_wei: Wei
    funded_wei: Wei
    min_deposit_wei: Wei
    stake_wei: Wei
    provider_bond_wei: Wei
    gas_wei: int
    consumer_wei: Wei = Wei(0)
    """What each consumer has to begin with."""
    price_wei: Wei = Wei(10**16)
    """Of one GiB through a provider."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Lengths in seconds, see docs/protocol.md; `genesis_s` after deployment, the delays after a provider unregisters, stake is unbonded, a
    consumer exits."""

    genesis_s: int
    epoch_length_s: int
    slots_per_epoch: int
    intake_s: int
    post_window_s: int
    challenge_s: int
    margin_s: int
    round_length_s: int
    bond_delay_s: int
    unbond_delay_s: int
    exit_delay_s: int


@dataclass(frozen=True, slots=True)
class Place:
    """One node: its name (`master-2`), role, the address it binds, the one others reach it at, and where on the map it is.
    tcp, udp: ports that others reach, the same on both addresses."""

    name: str
    role: str
    bind_host: str
    public_host: str
    city: City
    tcp: tuple[int, ...]
    udp: tuple[int, ...]

    @property
    def port(self) -> int:
        return PORTS[self.role]

    @property
    def endpoint(self) -> str:
        """What is listed on chain: public host and port."""
        return f"{self.public_host}:{self.port}"

    @property
    def folder(self) -> str:
        """The node's own folder below the devnet's, nobody else's."""
        return f"nodes/{self.name}"


@dataclass(frozen=True, slots=True)
class Layout:
    """A devnet before it has keys, contracts or processes. `rpc_port` 0 asks for any free one. origin_net: the network that providers open
    to consumers although it is not a public one, as a demo's origin is on this machine; empty for none."""

    windows: Windows
    rules: Rules
    money: Money
    rpc_port: int
    relayed: bool
    places: tuple[Place, ...]
    origin_net: str = ""

    def of(self, role: str) -> tuple[Place, ...]:
        """The places of one role, in listing order."""
        return tuple(place for place in self.places if place.role == role)

    def place(self, name: str) -> Place:
        return next(place for place in self.places if place.name == name)

    def deployment(self, accounts: Mapping[str, Address], deployer: Address) -> DeploymentParameters:
        """What is deployed, given each place's account by name. Providers and consumers are not listed. The deployer is also the
        treasury and the guardian."""
        w, m = self.windows, self.money
        listed = [place for place in self.places if place.role not in UNLISTED]
        return DeploymentParameters(
            genesis_delay=w.genesis_s,
            epoch_length=w.epoch_length_s,
            slots_per_epoch=w.slots_per_epoch,
            intake=w.intake_s,
            post_window=w.post_window_s,
            challenge=w.challenge_s,
            margin=w.margin_s,
            round_length=w.round_length_s,
            supply=Wei(2 * m.funded_wei),
            funding=m.funded_wei,
            rate=m.rate_wei,
            provider_bond=m.provider_bond_wei,
            bond_delay=w.bond_delay_s,
            unbond_delay=w.unbond_delay_s,
            exit_delay=w.exit_delay_s,
            min_deposit=m.min_deposit_wei,
            min_total=Wei(-(-m.stake_wei * len(self.of("validator")) // 2)),
            treasury=deployer,
            guardian=deployer,
            listings=tuple(NewListing(accounts[place.name], place.role, place.endpoint, m.stake_wei) for place in listed),
            rules=self.rules,
        )


def load(file: Path = DEFAULT_PARAMETERS, relayed: bool = True) -> Layout:
    """The layout of a parameter file; `LayoutError` if it cannot be read or makes no sense."""
    try:
        return plan(tomllib.loads(file.read_text()), relayed)
    except OSError as error:
        raise LayoutError(f"{file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LayoutError(f"{file} is not TOML: {error}.") from error


def plan(parameters: Mapping[str, Any], relayed: bool = True) -> Layout:
    """The layout of parsed parameters. Without a relay every public address is the bind address. Raises `LayoutError`."""
    try:
        addresses = parameters["addresses"]
        windows = Windows(**parameters["timing"])
        rules = rules_of(parameters["rules"])
        money = Money(**parameters["money"])
        cities: Mapping[str, list[str]] = parameters["cities"]
        if unknown := cities.keys() - set(ROLES):
            raise LayoutError(f"[cities] names {', '.join(sorted(unknown))}; the roles are {', '.join(ROLES)}.")
        places = tuple(_places(cities, addresses["bind_net"], addresses["public_net"]))
        rpc_port, origin_net = int(addresses["rpc_port"]), str(addresses.get("origin_net", ""))
    except LayoutError:
        raise
    except KeyError as error:
        raise LayoutError(f"The parameter {error.args[0]!r} is missing.") from error
    except (TypeError, ValueError) as error:
        raise LayoutError(f"The parameters describe no devnet: {error}.") from error
    if not relayed:
        places = tuple(replace(place, public_host=place.bind_host) for place in places)
    return Layout(windows, rules, money, rpc_port, relayed, places, origin_net)


def delay_s(one: Place, other: Place) -> float:
    """Seconds that the relay holds a datagram between two nodes, one way."""
    return one_way_ms(one.city, other.city) / 1000


def _places(cities: Mapping[str, list[str]], bind_net: str, public_net: str) -> list[Place]:
    if bind_net == public_net:
        raise LayoutError("bind_net and public_net are the same: a node would not be behind anything.")
    found: list[Place] = []
    for role in ROLES:
        if role in NEEDED and not cities.get(role):
            raise LayoutError(f"[cities] places no {role}: one at least is needed.")
        for number, name in enumerate(cities.get(role, ()), 1):
            k = len(found) + 1
            tcp = () if role == "consumer" else (PORTS[role],)
            udp = {"master": (PORTS[role],), "resolver": (DNS_PORT,)}.get(role, ())
            found.append(Place(f"{role}-{number}", role, _host(bind_net, k), _host(public_net, k), city(name), tcp, udp))
    return found


def _host(net: str, k: int) -> str:
    if k > MAX_NODES:
        raise LayoutError(f"A devnet has at most {MAX_NODES} nodes: each needs a /24 of its own.")
    address = ipaddress.ip_address(f"{net}.{k}.1")
    if not address.is_loopback:
        raise LayoutError(f"{address} is outside 127.0.0.0/8: a devnet stays on this machine.")
    return str(address)
