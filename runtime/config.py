"""Configuration: one frozen dataclass a role, built once from a TOML file, the environment and the command line.

    ConfigError    a setting is missing, unknown or of the wrong kind; the sentence says which and where it was read

The command line wins over the environment (`DPN_` and the upper-case name), the environment over the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from chain.types import Address, parse_address
from runtime.storage import DatabaseUrl, parse_storage

C = TypeVar("C")


LOG_LEVELS = ("debug", "info", "warning", "error")


class ConfigError(Exception):
    """A sentence for the operator. Commands exit with 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """What every role is told.

    rpc_urls: JSON-RPC URLs of the chain, in order of preference. settlement: the settlement contract, which names the rest.
    keystore: a V3 file; passphrase_file: its pass phrase (else `DPN_PASSPHRASE`, else a prompt). data_dir: this node's own folder.
    bind_host, port: where to listen; public_host: the address that others reach this node at (default: bind_host), as behind a NAT.
    max_fee_gwei: the most that a transaction offers for a gas, in 10^-9 of the chain's coin.
    """

    rpc_urls: tuple[str, ...]
    settlement: Address
    keystore: Path
    data_dir: Path
    bind_host: str = "0.0.0.0"  # noqa: S104 - a node serves strangers; set it to narrow that
    public_host: str = ""
    port: int = 0
    passphrase_file: Path | None = None
    log_level: str = "info"
    poll_s: float = 1.0
    max_fee_gwei: int = 500

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("port") and not 0 <= value <= 65_535:
                raise ConfigError(f"The setting {field.name} is {value}: a port is from 0 to 65535.")
        if self.max_fee_gwei <= 0:
            raise ConfigError(f"The setting max_fee_gwei is {self.max_fee_gwei}: a price above 0 is expected.")
        if self.poll_s <= 0:
            raise ConfigError(f"The setting poll_s is {self.poll_s}: a time in seconds above 0 is expected.")
        if self.log_level.lower() not in LOG_LEVELS:
            raise ConfigError(f"The setting log_level is {self.log_level!r}: known are {', '.join(LOG_LEVELS)}.")

    @property
    def reachable_host(self) -> str:
        return self.public_host or self.bind_host


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """What a command is told that reads the chain or sends from an account; the same names as in a node's file, whose other settings it
    passes over."""

    rpc_urls: tuple[str, ...]
    settlement: Address
    keystore: Path
    passphrase_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeystoreConfig:
    """A key alone, for commands that need no chain."""

    keystore: Path
    passphrase_file: Path | None = None


def load(
    config: type[C],
    file: Path | None,
    overrides: Mapping[str, object],
    environ: Mapping[str, str] = os.environ,
    *,
    only_known: bool = True,
) -> C:
    """The configuration of type `config`; `ConfigError` names the setting that is wrong. Relative paths are relative to the file.

    Without `only_known`, settings of the file that this type does not have are passed over.
    """
    hints = get_type_hints(config)
    known = {field.name: field for field in fields(config)}  # type: ignore[arg-type]
    raw: dict[str, object] = {}
    if file is not None:
        raw.update(_read(file))
    for name in sorted(raw.keys() - known.keys()):
        if not only_known:
            del raw[name]
            continue
        raise ConfigError(f"{file} sets {name!r}, which is not a setting here. Known settings: {', '.join(sorted(known))}.")
    raw.update({name: environ[f"DPN_{name.upper()}"] for name in known if f"DPN_{name.upper()}" in environ})
    raw.update({name: value for name, value in overrides.items() if value is not None})
    missing = [n for n, f in known.items() if n not in raw and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        where = f"in {file}, " if file else ""
        raise ConfigError(f"Please set {', '.join(missing)} {where}in the environment (DPN_{missing[0].upper()}) or on the command line.")
    base = file.parent if file else Path()
    return config(**{name: _convert(hints[name], value, name, base) for name, value in raw.items()})


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}.") from error


def _convert(kind: Any, value: object, name: str, base: Path) -> object:
    arguments = get_args(kind)
    if DatabaseUrl in arguments:
        try:
            return parse_storage(str(value), base)
        except ValueError as error:
            raise ConfigError(f"The setting {name} cannot be used: {error}.") from None  # it may hold a password, so it is not repeated
    if type(None) in arguments:
        kind = next(a for a in arguments if a is not type(None))
    try:
        if get_origin(kind) is tuple:
            items = value.split(",") if isinstance(value, str) else value
            if not isinstance(items, list | tuple):
                raise ValueError("a list is expected")
            return tuple(_convert(arguments[0], item, name, base) for item in items)
        if kind is Path:
            return base / Path(str(value)).expanduser()
        if kind is Address:
            return parse_address(str(value))
        if kind is bool:
            return _boolean(value)
        if kind in (int, float):
            if isinstance(value, bool):
                raise ValueError("a number is expected")
            return kind(value)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"The setting {name} is {value!r}: {error}.") from error
    if not isinstance(value, str):
        raise ConfigError(f"The setting {name} is {value!r}: text is expected.")
    return value


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "1", "yes", "false", "0", "no"):
        return str(value).lower() in ("true", "1", "yes")
    raise ValueError("true or false is expected")
