"""What the commands of `dpn provider` and `dpn wallet` share: their options and their settings.

Whatever is heavy is imported by the function that needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from runtime.terminal import address_from

if TYPE_CHECKING:
    from chain.keys import NodeKey
    from chain.types import Address
    from provider.wallet import Wallet, WalletConfig

T = TypeVar("T")

ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file of a provider; its keystore, RPC URL and contract are used.")]
Rpc = Annotated[str | None, typer.Option("--rpc", help="JSON-RPC URL of the chain.")]
Settlement = Annotated[str | None, typer.Option("--settlement", help="Address of the settlement contract.")]
Keystore = Annotated[Path | None, typer.Option("--keystore", help="V3 keystore file.")]
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", help="Its first line is the pass phrase (else DPN_PASSPHRASE, else a prompt).")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before sending.")]
Account = Annotated[str | None, typer.Option("--account", help="Another account than the keystore's; anyone may claim for anyone.")]


def settings_from(config: Path | None, rpc: str | None, settlement: str | None, keystore: Path | None, phrase: Path | None) -> WalletConfig:
    from provider.wallet import WalletConfig
    from runtime.config import load

    given = {"rpc_urls": rpc, "settlement": settlement, "keystore": absolute(keystore), "passphrase_file": absolute(phrase)}
    return load(WalletConfig, config, given, only_known=False)


def absolute(path: Path | None) -> Path | None:
    """Paths of the command line are relative to where it is typed, not to the configuration file."""
    return path.expanduser().absolute() if path else None


def keystore_from(config: Path | None, keystore: Path | None, phrase: Path | None) -> tuple[Path, Path | None]:
    """Keystore and pass phrase file when no chain is needed."""
    from runtime.config import KeystoreConfig, load

    found = load(KeystoreConfig, config, {"keystore": absolute(keystore), "passphrase_file": absolute(phrase)}, only_known=False)
    return found.keystore, found.passphrase_file


def unlock(settings: WalletConfig) -> NodeKey:
    from chain.keys import load
    from runtime.passphrase import read_passphrase

    return load(settings.keystore, read_passphrase(settings.passphrase_file))


def account_of(given: str | None, settings: WalletConfig) -> Address:
    from chain.keys import address_in

    return address_from(given) if given else address_in(settings.keystore)


def with_wallet(settings: WalletConfig, work: Callable[[Wallet], Awaitable[T]]) -> T:
    from provider.wallet import open_wallet

    async def opened() -> T:
        async with open_wallet(settings) as found:
            return await work(found)

    return asyncio.run(opened())
