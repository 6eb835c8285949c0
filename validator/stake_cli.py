"""The commands of `dpn validator` that move stake or report a fraud. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.config import AccountConfig
from runtime.terminal import NothingToDo, UsageError, Yes, account_command, account_of, address_from, confirm, unlock, wei_from

if TYPE_CHECKING:
    from chain.client import ChainClient
    from chain.types import Address
    from validator.accusation import Accusation
    from validator.stake import Offer

app = typer.Typer()

Listed = Annotated[str | None, typer.Option("--account", help="Another listed account than the keystore's.")]
Amount = Annotated[str, typer.Argument(help="Whole tokens, such as 12.5.")]


@account_command(app)
def bond(settings: AccountConfig, amount: Amount, account: Listed = None, yes: Yes = False) -> Mapping[str, Any]:
    """Bond the keystore's tokens as stake, up to the listed maximum, in quiet time."""
    from validator.stake import bonding

    wei, payer, listed = wei_from(amount), account_of(None, settings), account_of(account, settings)
    return _agreed(settings, lambda chain: bonding(chain, payer, listed, wei), yes)


@account_command(app)
def unbond(settings: AccountConfig, amount: Amount, account: Listed = None, yes: Yes = False) -> Mapping[str, Any]:
    """Take stake out of what counts; it is free after the delay. By the account or its recipient, in quiet time."""
    from validator.stake import unbonding

    wei, payer, listed = wei_from(amount), account_of(None, settings), account_of(account, settings)
    return _agreed(settings, lambda chain: unbonding(chain, payer, listed, wei), yes)


@account_command(app)
def withdraw(settings: AccountConfig, account: Listed = None, yes: Yes = False) -> Mapping[str, Any]:
    """Have unbonded stake whose delay is over paid to the account's recipient. Anyone may, in quiet time."""
    from validator.stake import withdrawal

    payer, listed = account_of(None, settings), account_of(account, settings)
    return _agreed(settings, lambda chain: withdrawal(chain, payer, listed), yes)


@account_command(app)
def slash(settings: AccountConfig, account: Annotated[str, typer.Argument(help="The convict.")], yes: Yes = False) -> Mapping[str, Any]:
    """Take a convict's stake: 10 % for its reporter, the rest for nobody. Anyone may."""
    from validator.stake import slashing

    convict, payer = address_from(account), account_of(None, settings)
    return _agreed(settings, lambda chain: slashing(chain, payer, convict), yes)


@account_command(app)
def collect(settings: AccountConfig, yes: Yes = False) -> Mapping[str, Any]:
    """Collect the keystore's shares of stake that was taken after its reports."""
    from validator.stake import collecting

    return _agreed(settings, lambda chain: collecting(chain, account_of(None, settings)), yes)


@account_command(app, "report-fraud")
def report_fraud(
    settings: AccountConfig,
    file: Annotated[Path | None, typer.Argument(help="Two signed attestations of one validator, as a list in canonical JSON.")] = None,
    epoch: Annotated[
        int | None, typer.Option("--epoch", min=1, help="Look for frauds in this epoch's root and what validators signed for it.")
    ] = None,
    yes: Yes = False,
) -> Mapping[str, Any]:
    """Show a fraud to the Judge, take the convicts' stake and collect the reporter's share. Exit code 5 if there is none."""
    from runtime.account import with_chain
    from validator.accusation import accuser

    if (file is None) == (epoch is None):
        raise UsageError("Name either a file with two signed attestations or an --epoch to look at.")
    evidence, me = file.read_bytes() if file is not None else b"", account_of(None, settings)

    async def report(chain: ChainClient) -> list[Mapping[str, Any]]:
        async with accuser(me, chain) as found:
            accusations = await (found.of_file(evidence) if epoch is None else found.of_epoch(epoch))
            if not accusations:
                raise NothingToDo(f"Nothing to report: nothing that can be proven was found about epoch {epoch}.")
            _ask(accusations, me, yes)
            key = unlock(settings)
            return [await found.report(accusation, key) for accusation in accusations]

    return {"reports": with_chain(settings, report)}


def _ask(accusations: list[Accusation], me: Address, yes: bool) -> None:
    for one in accusations:
        typer.echo(f"{one.sentence} Reporting it costs about {one.fee} wei and brings {me} 10 % of the stake taken.", err=True)
    confirm("Report?", yes)


def _agreed(settings: AccountConfig, offered: Callable[[ChainClient], Awaitable[Offer]], yes: bool) -> Mapping[str, Any]:
    """Says what is going to happen and what it costs, asks, and sends it."""
    from runtime.account import send, with_chain

    offer = with_chain(settings, offered)
    typer.echo(f"{offer.sentence} Fee about {offer.fee} wei.", err=True)
    confirm("Send it?", yes)
    key = unlock(settings)
    transaction = with_chain(settings, lambda chain: send(chain.backend, chain.network.chain_id, key, *offer.calls))
    return offer.facts | {"transaction": transaction}
