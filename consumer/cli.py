"""`dpn consumer`. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from runtime.config import AccountConfig
from runtime.terminal import (
    AsJson,
    Keystore,
    PassphraseFile,
    Rpc,
    Settlement,
    Yes,
    absolute,
    account_command,
    account_of,
    confirm,
    guarded,
    show,
    unlock,
    wei_from,
)

if TYPE_CHECKING:
    from consumer.config import ConsumerConfig, Place
    from consumer.wallet import Wallet

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Use the network: deposit, connect, browse through a provider, get the rest back.")

ConfigFile = Annotated[Path | None, typer.Option("--config", help="The consumer's TOML file; see docs/operating.md.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="The connection's own folder.")]
Socks = Annotated[str | None, typer.Option("--socks", help="host:port at which programs of this machine are served (127.0.0.1:1080).")]

EXIT_URL = "https://checkip.amazonaws.com"
"""Answers with the address it is asked from, as many such services do."""
EXIT_BYTES, SPEED_BYTES = 4_096, 64 << 20


@app.command()
def connect(
    region: Annotated[str | None, typer.Option("--region", help="Two capitals, such as DE (any).")] = None,
    max_rtt: Annotated[str | None, typer.Option("--max-rtt", help="The longest round trip to a provider, such as 80ms (500ms).")] = None,
    min_bandwidth: Annotated[str | None, typer.Option("--min-bandwidth", help="What a provider has to claim, such as 50Mbit.")] = None,
    max_price: Annotated[str | None, typer.Option("--max-price", help="For one GiB: 0.02 (DPN) or 500wei.")] = None,
    budget: Annotated[str | None, typer.Option("--budget", help="The most that this run may spend: 5 (DPN) or 500wei.")] = None,
    socks: Socks = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    rpc: Rpc = None,
    settlement: Settlement = None,
    keystore: Keystore = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Find a provider and serve programs at a SOCKS5 port, from one provider to the next, until Ctrl-C or the budget is spent."""
    given = {
        "region": region,
        "max_rtt": max_rtt,
        "min_bandwidth": min_bandwidth,
        "max_price": max_price,
        "budget": budget,
        "socks": socks,
        "data_dir": absolute(data_dir),
        "rpc_urls": rpc,
        "settlement": settlement,
        "keystore": absolute(keystore),
        "passphrase_file": absolute(passphrase_file),
    }

    def work() -> None:
        from consumer.node import main

        main(_settings(config, given))

    guarded(work)


@app.command()
def status(config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The running connection: provider, price, bytes, receipts, what is left of the budget, why the last provider was left."""
    from consumer.status import read

    found = guarded(lambda: read(_place(config, data_dir).data_dir))
    if as_json:
        show(found, as_json)
    else:
        from consumer.picture import print_status

        print_status(found)
    if not found["runs"]:
        raise typer.Exit(3)


@app.command()
def receipts(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    rpc: Rpc = None,
    settlement: Settlement = None,
    keystore: Keystore = None,
    as_json: AsJson = False,
) -> None:
    """Every session of this account: provider, price, bytes receipted, the provider's own count, and what it costs."""

    def work() -> Mapping[str, Any]:
        from consumer.ledger import sessions_of

        given = {"data_dir": absolute(data_dir), "rpc_urls": rpc, "settlement": settlement, "keystore": absolute(keystore)}
        return {"sessions": sessions_of(_settings(config, given))}

    found = guarded(work)
    if as_json:
        show(found, as_json)
    else:
        from consumer.picture import print_receipts

        print_receipts(found["sessions"])


@account_command(app)
def deposit(
    settings: AccountConfig, amount: Annotated[str, typer.Argument(help="Whole tokens, such as 12.5.")], yes: Yes = False
) -> Mapping[str, Any]:
    """Deposit tokens, so that sessions are covered, in one transaction by a permit. What is not spent comes back after an exit."""
    wei = wei_from(amount)
    confirm(f"Deposit {amount} DPN of {account_of(None, settings)}?", yes)
    key = unlock(settings)
    transaction = _with_wallet(settings, lambda w: w.deposit(key, wei))
    return {"account": key.address, "amount_wei": str(wei), "transaction": transaction}


@account_command(app, "exit")
def exit_(settings: AccountConfig, yes: Yes = False) -> Mapping[str, Any]:
    """Take the deposit out: from now on no session is covered, and the rest can be withdrawn once all that was spent is counted."""
    confirm(f"Exit with the deposit of {account_of(None, settings)}? No session of it is covered any more.", yes)
    key = unlock(settings)
    transaction, when = _with_wallet(settings, lambda w: w.exit(key))
    return {"account": key.address, "transaction": transaction, "next": when}


@account_command(app)
def withdraw(settings: AccountConfig, yes: Yes = False) -> Mapping[str, Any]:
    """Have what is left of the deposit paid back, after an exit; says when that will be possible.

    A deposit of which the active root has no record once the exit delay is over is announced first, and paid two epochs later."""
    from chain.amounts import tokens

    own = account_of(None, settings)
    offer = _with_wallet(settings, lambda w: w.offer_withdrawal(own))
    confirm(
        f"The active root has no record of {own}. Announce that its {tokens(offer.amount)} DPN are withdrawn, to be paid later?"
        if offer.announces
        else f"Withdraw {tokens(offer.amount)} DPN? {tokens(offer.spent)} DPN were spent, and stay.",
        yes,
    )
    key = unlock(settings)
    transaction = _with_wallet(settings, lambda w: w.withdraw(key, offer))
    done = {"announced_wei" if offer.announces else "amount_wei": str(offer.amount), "spent_wei": str(offer.spent)}
    return {"account": own, **done, "transaction": transaction}


@account_command(app, signs=False)
def account(settings: AccountConfig) -> Mapping[str, Any]:
    """The deposit on chain, and what was spent of it by the active root."""
    own = account_of(None, settings)
    found = _with_wallet(settings, lambda w: w.account(own))
    exited = found.deposit.exit_epoch is not None
    spent = {} if found.spent is None else {"spent_wei": str(found.spent)}
    return {"account": own, "held_wei": str(found.deposit.held), **spent, "exited": exited, "wallet_wei": str(found.wallet)}


@app.command("test")
def try_(
    url: Annotated[str | None, typer.Option("--url", help=f"Answers with the address it is asked from ({EXIT_URL}).")] = None,
    speed_url: Annotated[str | None, typer.Option("--speed-url", help="A file to download; its bytes are paid for.")] = None,
    socks: Socks = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Through the local port, as a program would: the exit address, that names are resolved at the provider, and the speed."""

    def work() -> Mapping[str, Any]:
        place = _place(config, data_dir, socks)
        return asyncio.run(_tried(place, url or place.test_url or EXIT_URL, speed_url))

    show(guarded(work), as_json)


async def _tried(place: Place, url: str, speed_url: str | None) -> Mapping[str, Any]:
    from urllib.parse import urlsplit

    from consumer.config import socks_address
    from consumer.status import read
    from consumer.trial import fetch
    from runtime.terminal import NoAnswer

    port = socks_address(place.socks)
    asked = await fetch(port, url, EXIT_BYTES)
    address = asked.body.decode("ascii", "replace").strip()[:60]
    found: dict[str, Any] = {
        "exit_address": "".join(one if one.isprintable() else "?" for one in address),
        "dns": f"{urlsplit(url).hostname} was resolved at the provider; this machine asked no name server",
        "connect_ms": round(asked.connect_ms, 1),
    }
    if speed_url:
        loaded = await fetch(port, speed_url, SPEED_BYTES)
        found |= {"bytes": loaded.size, "mbit_s": round(loaded.mbit_s, 1)}
    try:
        running = read(place.data_dir)
    except NoAnswer:
        return found
    return {"provider": running["provider"], "region": running["region"], **found} if running["runs"] else found


def _settings(config: Path | None, given: Mapping[str, object]) -> ConsumerConfig:
    from consumer.config import ConsumerConfig
    from runtime.config import load

    return load(ConsumerConfig, config, given)


def _place(config: Path | None, data_dir: Path | None = None, socks: str | None = None) -> Place:
    from consumer.config import Place
    from runtime.config import load

    return load(Place, config, {"data_dir": absolute(data_dir), "socks": socks}, only_known=False)


def _with_wallet(settings: AccountConfig, work: Callable[[Wallet], Awaitable[T]]) -> T:
    from consumer.wallet import open_wallet

    async def opened() -> T:
        async with open_wallet(settings) as found:
            return await work(found)

    return asyncio.run(opened())
