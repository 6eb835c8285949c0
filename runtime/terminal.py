"""How every command of `dpn` ends and speaks: one sentence on standard error, one exit code, data as a table or as JSON.

    CommandFailed     4: a contract or a node refused; subclasses have their own exit codes
    ├── UsageError    2: an argument, a setting or a file is wrong
    └── NoAnswer      3: nothing answers where the configuration says a node listens

Exit codes are listed in `cli.app`. Whatever is heavy is imported by the function that needs it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from runtime.config import ConfigError, NodeConfig, load

if TYPE_CHECKING:
    from chain.types import Address, Wei

T = TypeVar("T")
C = TypeVar("C", bound=NodeConfig)

NodeFile = Annotated[Path, typer.Option("--config", help="The node's TOML file; see docs/operating.md.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]

LONGEST_ANSWER = 4 * 1024 * 1024


class CommandFailed(Exception):
    """What happened and what to do, in a sentence."""

    exit_code = 4


class UsageError(CommandFailed):
    exit_code = 2


class NoAnswer(CommandFailed):
    exit_code = 3


def address_from(text: str) -> Address:
    """An address from the command line; `UsageError` otherwise."""
    from chain.types import parse_address

    return _parsed(parse_address, text)


def wei_from(text: str) -> Wei:
    """An amount of whole tokens from the command line, in wei; `UsageError` otherwise."""
    from chain.amounts import parse_tokens

    return _parsed(parse_tokens, text)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def guarded(work: Callable[[], T]) -> T:
    """Runs a command's work; what goes wrong is said in a sentence, with its exit code."""
    from chain.errors import ChainError, DeploymentError
    from chain.keys import KeyFileError
    from chain.rpc import NotAnRpcUrl

    try:
        return work()
    except typer.Abort as error:
        raise _ended("Nobody answered the question, so nothing was sent. Where nobody can, add --yes.", 7) from error
    except CommandFailed as error:
        raise _ended(str(error), error.exit_code) from error
    except OSError as error:
        raise _ended(f"{error.filename or 'The system'}: {error.strerror or error}.", 2) from error
    except (ConfigError, KeyFileError, NotAnRpcUrl) as error:
        raise _ended(str(error), 2) from error
    except DeploymentError as error:
        from chain.parameters import ParameterError

        raise _ended(f"{error}.", 2 if isinstance(error, ParameterError) else 3) from error
    except ChainError as error:
        raise _ended(*_of_chain(error)) from error


def _ended(sentence: str, code: int) -> typer.Exit:
    typer.echo(sentence, err=True)
    return typer.Exit(code)


def _of_chain(error: Exception) -> tuple[str, int]:
    """A contract's refusal by its name and facts (4), or that the chain is not usable (3)."""
    from chain.abi import ContractRefused, decode_revert
    from chain.backend import Reverted

    if isinstance(error, Reverted):
        error = decode_revert(error.data)
    return (f"{error}.", 4 if isinstance(error, ContractRefused) else 3)


def show(found: Mapping[str, Any], as_json: bool) -> None:
    """Data as JSON, or a line a value; nested objects as `outer inner`."""
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in _lines(found):
        typer.echo(f"{name.replace('_', ' '):<34} {value}")


def _lines(found: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from ((f"{name} {inner}", shown) for inner, shown in _lines(value))
        else:
            yield name, value


def ask(
    config_type: type[C], file: Path, role: str, path: str = "/v1/status", port: Callable[[C], int] = lambda c: c.port
) -> dict[str, Any]:
    """What the running node of this configuration answers at `path`; `NoAnswer` if it does not, or another kind of node does."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    from chain.canonical import parse
    from chain.errors import CodecError

    config = load(config_type, file, {})
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.bind_host, config.bind_host)  # noqa: S104 - from any to this machine
    endpoint = f"[{host}]:{port(config)}" if ":" in host else f"{host}:{port(config)}"
    missing = NoAnswer(f"No {role} answers at {endpoint}. Start it with: dpn {role} run --config {file}")
    try:
        with urlopen(Request(f"http://{endpoint}{path}"), timeout=5) as response:
            found = parse(response.read(LONGEST_ANSWER))
    except (OSError, HTTPException, CodecError) as error:
        raise missing from error
    if not isinstance(found, dict) or found.get("role", role) != role:
        raise missing
    return found
