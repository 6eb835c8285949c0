"""How every command of `dpn` ends and speaks: one sentence on standard error, one exit code, data as a table or as JSON.

    CommandFailed     4: a contract or a node refused; subclasses have their own exit codes
    ├── UsageError    2: an argument, a setting or a file is wrong
    ├── NoAnswer      3: nothing answers where the configuration says a node listens
    └── NothingToDo   5: there is nothing to do, or it is done already

Exit codes are listed in `cli.app`. Whatever is heavy is imported by the function that needs it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from runtime.config import AccountConfig, ConfigError, NodeConfig, load

if TYPE_CHECKING:
    from chain.keys import NodeKey
    from chain.types import Address, Wei

T = TypeVar("T")
Work = TypeVar("Work", bound=Callable[..., Mapping[str, Any]])
C = TypeVar("C", bound=NodeConfig)

NodeFile = Annotated[Path, typer.Option("--config", help="The node's TOML file; see docs/operating.md.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
Rpc = Annotated[str | None, typer.Option("--rpc", help="JSON-RPC URL of the chain.")]
Settlement = Annotated[str | None, typer.Option("--settlement", help="Address of the settlement contract.")]
Keystore = Annotated[Path | None, typer.Option("--keystore", help="V3 keystore file.")]
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", help="Its first line is the pass phrase (else DPN_PASSPHRASE, else a prompt).")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before sending.")]

Config = Annotated[Path | None, typer.Option("--config", help="A node's TOML file; its keystore, RPC URL and contract are used.")]

LONGEST_ANSWER = 4 * 1024 * 1024
ACCOUNT_OPTIONS: Mapping[str, Any] = {"config": Config, "rpc": Rpc, "settlement": Settlement, "keystore": Keystore}


class CommandFailed(Exception):
    """What happened and what to do, in a sentence."""

    exit_code = 4


class UsageError(CommandFailed):
    exit_code = 2


class NoAnswer(CommandFailed):
    exit_code = 3


class NothingToDo(CommandFailed):
    exit_code = 5


def account_command(app: typer.Typer, name: str | None = None, *, signs: bool = True) -> Callable[[Work], Work]:
    """Makes a command of a function `(settings, its own options ...) -> data`: one that works on a chain as an account.

    The command has the function's own options, those that every such command has (`ACCOUNT_OPTIONS`, `--passphrase-file` if it `signs`) and
    `--json`. What goes wrong is said in a sentence, with its exit code; the data is shown.
    """

    def register(work: Work) -> Work:
        options = {**ACCOUNT_OPTIONS, **({"passphrase_file": PassphraseFile} if signs else {})}
        hints = get_type_hints(work, include_extras=True)
        own = [one.replace(annotation=hints[one.name]) for one in list(inspect.signature(work).parameters.values())[1:]]
        added = [inspect.Parameter(one, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint) for one, hint in options.items()]
        added.append(inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson))

        def command(**given: Any) -> None:
            as_json, chosen = given.pop("as_json"), {one: given.pop(one) for one in options}
            show(guarded(lambda: work(settings_from(**chosen), **given)), as_json)

        command.__doc__, command.__name__ = work.__doc__, work.__name__
        command.__annotations__ = {one.name: one.annotation for one in (*own, *added)}
        setattr(command, "__signature__", inspect.Signature([*own, *added]))  # noqa: B010 - unknown to the type of functions
        app.command(name)(command)
        return work

    return register


def settings_from(
    config: Path | None,
    rpc: str | None,
    settlement: str | None,
    keystore: Path | None,
    passphrase_file: Path | None = None,
) -> AccountConfig:
    """What a command is told by its options, the environment and a node's file; `ConfigError` if something is missing."""
    given = {"rpc_urls": rpc, "settlement": settlement, "keystore": absolute(keystore), "passphrase_file": absolute(passphrase_file)}
    return load(AccountConfig, config, given, only_known=False)


def confirm(question: str, yes: bool) -> None:
    """Asks, unless the answer was given with the command; ends it if the answer is no."""
    if not yes and not typer.confirm(question, err=True):
        raise typer.Exit(7)


def absolute(path: Path | None) -> Path | None:
    """Paths of the command line are relative to where it is typed, not to the configuration file."""
    return path.expanduser().absolute() if path else None


def unlock(settings: AccountConfig | NodeConfig) -> NodeKey:
    """The keystore's key; the pass phrase is asked for if neither a file nor the environment has it."""
    from chain.keys import load as load_key
    from runtime.passphrase import read_passphrase

    return load_key(settings.keystore, read_passphrase(settings.passphrase_file))


def account_of(given: str | None, settings: AccountConfig) -> Address:
    """The account of an option, else the keystore's, which is not unlocked for that."""
    from chain.keys import address_in

    return address_from(given) if given else address_in(settings.keystore)


def address_from(text: str) -> Address:
    """An address from the command line; `UsageError` otherwise."""
    from chain.types import parse_address

    return _parsed(parse_address, text)


def wei_from(text: str) -> Wei:
    """An amount of whole tokens from the command line, in wei; `UsageError` otherwise."""
    from chain.amounts import parse_tokens

    return _parsed(parse_tokens, text)


def local_time(second: int) -> str:
    """A time as the clock on this machine's wall shows it."""
    return f"{datetime.fromtimestamp(second, UTC).astimezone():%Y-%m-%d %H:%M:%S %Z}"


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
    for name, listed in found.items():
        value = {str(number): one for number, one in enumerate(listed, 1)} if isinstance(listed, list) else listed
        if isinstance(value, Mapping):
            yield from ((f"{name} {inner}", shown) for inner, shown in _lines(value))
        else:
            yield name, value


def own_endpoint(config: NodeConfig, port: int) -> str:
    """Where this machine reaches the node of a configuration at one of its ports, as host:port."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.bind_host, config.bind_host)  # noqa: S104 - from any to this machine
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def ask(
    config_type: type[C], file: Path, role: str, path: str = "/v1/status", port: Callable[[C], int] = lambda c: c.port
) -> dict[str, Any]:
    """What the running node of this configuration answers at `path`; `NoAnswer` if it does not, or another kind of node does."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    from chain.canonical import parse
    from chain.errors import CodecError

    config = load(config_type, file, {})
    endpoint = own_endpoint(config, port(config))
    missing = NoAnswer(f"No {role} answers at {endpoint}. Start it with: dpn {role} run --config {file}")
    try:
        with urlopen(Request(f"http://{endpoint}{path}"), timeout=5) as response:
            found = parse(response.read(LONGEST_ANSWER))
    except (OSError, HTTPException, CodecError) as error:
        raise missing from error
    if not isinstance(found, dict) or found.get("role", role) != role:
        raise missing
    return found
