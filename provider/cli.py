"""`dpn provider`. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from provider.terminal import with_wallet
from runtime.config import AccountConfig
from runtime.terminal import AsJson, NodeFile, account_command, address_from, ask, guarded, show, unlock

app = typer.Typer(help="Share bandwidth: register, run, see where you stand.", no_args_is_help=True)

RECIPIENT_RISK = (
    "Rewards go to the recipient. A node's key lies on a machine that strangers talk to: with the node itself as recipient, "
    "whoever steals that key takes the rewards and may redirect them for good."
)


@app.command()
def run(config: NodeFile) -> None:
    """Run a provider until SIGTERM or Ctrl-C, which says goodbye to the resolver."""
    from provider.config import ProviderConfig
    from provider.node import run as daemon
    from runtime import loop
    from wire.node import main

    raise typer.Exit(main("provider", ProviderConfig, daemon, config, loop.run))


@app.command()
def status(config: NodeFile, as_json: AsJson = False) -> None:
    """State, reason, observer and next try of the provider that runs with this file; what each master sees; sessions and caps."""
    from provider.config import ProviderConfig

    def work() -> Mapping[str, Any]:
        return ask(ProviderConfig, config, "provider", port=lambda settings: settings.status_port)

    found = guarded(work)
    if as_json:
        show(found, as_json)
    else:
        from provider.picture import print_status

        print_status(found)


@app.command()
def doctor(
    config: NodeFile,
    egress: Annotated[str, typer.Option("--egress", help="host:port to try the way out with, as a consumer would.")] = "example.com:443",
    as_json: AsJson = False,
) -> None:
    """Run every check that the network runs, and say what is wrong and what to do. Ends with 4 if something is wrong."""
    from provider.config import ProviderConfig
    from provider.doctor.checks import run_doctor
    from runtime.config import load

    def work() -> bool:
        settings = load(ProviderConfig, config, {})
        return run_doctor(settings, unlock(settings), egress, as_json)

    if not guarded(work):
        raise typer.Exit(4)


@account_command(app)
def register(
    settings: AccountConfig,
    recipient: Annotated[str | None, typer.Option("--recipient", help="Where rewards are paid: an address kept off this machine.")] = None,
    own_recipient: Annotated[bool, typer.Option("--own-recipient", help="Be paid at the node's own key, knowing the risk.")] = False,
    referrer: Annotated[str | None, typer.Option("--referrer", help="A registered provider; named once, for good.")] = None,
) -> Mapping[str, Any]:
    """Bond and register on chain, so that availability is paid."""
    from chain.types import ZERO_ADDRESS

    key = unlock(settings)
    paid_to = key.address if own_recipient else address_from(recipient or _ask_recipient())
    named = address_from(referrer) if referrer else ZERO_ADDRESS
    transaction = with_wallet(settings, lambda w: w.register(key, paid_to, named))
    return {"provider": key.address, "recipient": paid_to, "transaction": transaction}


@account_command(app)
def unregister(settings: AccountConfig) -> Mapping[str, Any]:
    """End the registration; the bond is free after its delay."""
    key = unlock(settings)
    return {"provider": key.address, "bond_free_at": with_wallet(settings, lambda w: w.unregister(key))}


@account_command(app, "withdraw-bond")
def withdraw_bond(settings: AccountConfig) -> Mapping[str, Any]:
    """Have the bond paid back to the recipient, once its delay after `unregister` is over."""
    key = unlock(settings)
    return {"provider": key.address, "transaction": with_wallet(settings, lambda w: w.withdraw_bond(key))}


def _ask_recipient() -> str:
    typer.echo(RECIPIENT_RISK, err=True)
    return str(typer.prompt("Recipient address (or start again with --own-recipient)", err=True))
