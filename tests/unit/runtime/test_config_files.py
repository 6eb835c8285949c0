"""Settings: which source wins, and a sentence for everything that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain.types import Address
from runtime.config import ConfigError, NodeConfig, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(NodeConfig):
    dns: bool = False
    keep: Path | None = None


FILE = """
rpc_urls = ["http://127.0.0.1:8545"]
settlement = "0x1111111111111111111111111111111111111111"
keystore = "key.json"
data_dir = "data"
port = 7000
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "node.toml"
    file.write_text(text)
    return file


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, FILE)
    assert load(Config, file, {}, {}).port == 7000
    assert load(Config, file, {}, {"DPN_PORT": "7001"}).port == 7001
    assert load(Config, file, {"port": 7002}, {"DPN_PORT": "7001"}).port == 7002
    assert load(Config, file, {"port": None}, {}).port == 7000


def test_values_have_their_types_and_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    found = load(Config, write(tmp_path, FILE + 'dns = true\nkeep = "k"\n'), {}, {"DPN_RPC_URLS": "http://a,http://b"})
    assert found.rpc_urls == ("http://a", "http://b")
    assert found.settlement == Address("0x" + "11" * 20)
    assert found.keystore == tmp_path / "key.json"
    assert found.keep == tmp_path / "k"
    assert found.dns is True
    assert found.reachable_host == found.bind_host


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FILE + "prot = 1\n", "prot"),
        (FILE.replace("port = 7000", 'port = "many"'), "port"),
        (FILE.replace("port = 7000", "port = true"), "port"),
        (FILE.replace("11" * 20, "11" * 19), "settlement"),
        (FILE.replace("keystore", "# keystore"), "keystore"),
        (FILE + 'dns = "perhaps"\n', "dns"),
        (FILE.replace('["http://127.0.0.1:8545"]', "3"), "rpc_urls"),
        ("port = = 1", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(Config, write(tmp_path, text), {}, {})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load(Config, tmp_path / "none.toml", {}, {})


def test_settings_of_others_are_passed_over_when_asked_to(tmp_path: Path) -> None:
    file = write(tmp_path, FILE + "bandwidth = 5\n")
    assert load(Config, file, {}, {}, only_known=False).port == 7000
    wrong: dict[str, Any] = {}
    with pytest.raises(ConfigError, match="bandwidth"):
        load(Config, file, wrong, {})
