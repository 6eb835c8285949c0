"""Fresh keys, pass phrases and configuration files: one private folder a node, which no other node is told of.

nodes/<name>/keystore.json     V3, light scrypt: a devnet's keys are worth nothing
nodes/<name>/passphrase        mode 0600
nodes/<name>/config.toml       what `python -m ROLE --config` reads
nodes/<name>/data/             the node's own, mode 0700
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chain.keys import SCRYPT_LIGHT, NodeKey, encrypt, write_new
from chain.types import Address
from devnet.layout import DNS_PORT, STATUS_PORT, Layout, Place
from devnet.relay import RelayNode, write_nodes

RELAY_FILE = "relay.json"
MARK = ".dpn-devnet"
"""In every folder that a devnet made: only such a one is ever emptied."""
PROVIDER_BANDWIDTH = 100_000_000


class GroundError(Exception):
    """The folder is somebody else's; a sentence."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A folder with every node's key, by the place's name. `deployer` has no folder: it exists while the devnet is set up."""

    folder: Path
    layout: Layout
    keys: Mapping[str, NodeKey]
    deployer: NodeKey

    def accounts(self) -> dict[str, Address]:
        return {name: key.address for name, key in self.keys.items()}

    def home(self, place: Place) -> Path:
        return self.folder / place.folder

    def config_of(self, place: Place) -> Path:
        return self.home(place) / "config.toml"


def lay(layout: Layout, folder: Path) -> Ground:
    """A folder with fresh keys and the relay's file. What a devnet left there is removed; `GroundError` for any other content."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise GroundError(f"{folder} is not empty and was not made by a devnet; please name another folder.")
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / MARK).touch()
    keys = {place.name: _home(folder / place.folder) for place in layout.places}
    nodes = (RelayNode(p.name, p.bind_host, p.public_host, p.city, p.tcp, p.udp) for p in layout.places)
    write_nodes(folder / RELAY_FILE, nodes)
    return Ground(folder, layout, keys, NodeKey.create())


def configure(ground: Ground, rpc_url: str, settlement: Address) -> None:
    """Writes every node's configuration: an RPC URL, the settlement contract, and where the node itself is."""
    for place in ground.layout.places:
        settings: dict[str, str | int | bool | list[str]] = {
            "rpc_urls": [rpc_url],
            "settlement": settlement,
            "keystore": "keystore.json",
            "passphrase_file": "passphrase",
            "data_dir": "data",
            "bind_host": place.bind_host,
            "public_host": place.public_host,
            "port": place.port,
            "poll_s": 1,
        }
        if place.role == "resolver":
            settings["dns_port"] = DNS_PORT
        if place.role == "master" and ground.layout.relayed:  # without the relay's delays every distance would be refuted
            settings |= {"latitude": round(place.city.latitude), "longitude": round(place.city.longitude)}
        if place.role == "provider":
            settings |= {
                "status_port": STATUS_PORT,
                "bandwidth": PROVIDER_BANDWIDTH,
                "price": ground.layout.money.price_wei,
                "region": place.city.region,
                "latitude": round(place.city.latitude),
                "longitude": round(place.city.longitude),
                "dns": True,
            }
            if ground.layout.origin_net:
                settings["egress_allow"] = [ground.layout.origin_net]
        if place.role == "consumer":
            settings |= {"socks": socks_of(ground.layout, place), "max_price": f"{2 * ground.layout.money.price_wei}wei", "budget": "8"}
        # TOML's strings, numbers, booleans and lists of strings are written as JSON's are.
        lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in settings.items())
        ground.config_of(place).write_text("".join(lines))


def socks_of(layout: Layout, place: Place) -> str:
    """host:port at which a consumer serves programs: on the machine's own loopback address, where its user's programs are."""
    return f"127.0.0.1:{place.port + layout.of('consumer').index(place) + 1}"


def _home(home: Path) -> NodeKey:
    (home / "data").mkdir(mode=0o700, parents=True)
    home.chmod(0o700)
    key, phrase = NodeKey.create(), secrets.token_urlsafe(16)
    write_new(home / "keystore.json", encrypt(key, phrase, scrypt_n=SCRYPT_LIGHT))
    write_new(home / "passphrase", f"{phrase}\n".encode())
    return key
