"""What a provider announces, from its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.types import Address
from provider.config import ProviderConfig
from provider.heartbeat import Offering
from runtime.config import ConfigError, load

MINIMAL = """
rpc_urls = ["http://127.0.0.1:8545"]
settlement = "0x5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
keystore = "key.json"
data_dir = "data"
"""


def config(tmp_path: Path, more: str) -> ProviderConfig:
    file = tmp_path / "provider.toml"
    file.write_text(MINIMAL + more)
    return load(ProviderConfig, file, {}, {})


def test_all_that_is_announced_can_be_set(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        """
        bind_host = "10.0.0.5"
        public_host = "192.0.2.7"
        port = 4430
        announced_port = 443
        bandwidth = 1000000
        price = 1000000000000000
        region = "SG"
        latitude = 1
        longitude = 104
        dns = true
        resolver = "0x0101010101010101010101010101010101010101"
        status_port = 8081
        """,
    )
    assert found.offering(4430) == Offering("192.0.2.7", 443, 1_000_000, 10**15, "SG", 1, 104, dns=True)
    assert (found.resolver, found.status_port) == (Address("0x" + "01" * 20), 8081)


def test_by_default_the_bound_address_is_announced_without_a_location(tmp_path: Path) -> None:
    found = config(tmp_path, 'bind_host = "127.0.0.5"\nport = 4430\n').offering(4430)
    assert found == Offering("127.0.0.5", 4430, 100_000_000, 0, "", 0, 0, dns=False)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "Please set public_host"),
        ('public_host = "node.example.org"', "has to be an IP address"),
        ('public_host = "::"', "set public_host"),
    ],
)
def test_an_address_that_others_cannot_use_is_refused(line: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        config(tmp_path, line).offering(443)
