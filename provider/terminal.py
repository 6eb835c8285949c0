"""What the commands of `dpn provider` and `dpn wallet` share beyond `runtime.terminal`: their options and the wallet.

Whatever is heavy is imported by the function that needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from runtime.config import AccountConfig, KeystoreConfig, load
from runtime.terminal import absolute

if TYPE_CHECKING:
    from provider.wallet import Wallet

T = TypeVar("T")

Account = Annotated[str | None, typer.Option("--account", help="Another account than the keystore's; anyone may claim for anyone.")]


def keystore_from(config: Path | None, keystore: Path | None, phrase: Path | None) -> tuple[Path, Path | None]:
    """Keystore and pass phrase file when no chain is needed."""
    found = load(KeystoreConfig, config, {"keystore": absolute(keystore), "passphrase_file": absolute(phrase)}, only_known=False)
    return found.keystore, found.passphrase_file


def with_wallet(settings: AccountConfig, work: Callable[[Wallet], Awaitable[T]]) -> T:
    from provider.wallet import open_wallet

    async def opened() -> T:
        async with open_wallet(settings) as found:
            return await work(found)

    return asyncio.run(opened())
