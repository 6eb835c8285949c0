"""`dpn validator`: run one, look at one, and the commands of `validator.epochs_cli` and `validator.stake_cli`.

Whatever is heavy is imported by the command that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from runtime.terminal import AsJson, NodeFile, ask, guarded, local_time, show
from validator import epochs_cli, stake_cli

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Verify proofs, agree on what they were worth, post the root; bond, and report frauds.", no_args_is_help=True)


@app.command()
def run(config: NodeFile) -> None:
    """Run a validator until SIGTERM or Ctrl-C."""
    from validator.config import ValidatorConfig
    from validator.node import run as daemon
    from wire.node import main

    raise typer.Exit(main("validator", ValidatorConfig, daemon, config))


@app.command()
def status(config: NodeFile, as_json: AsJson = False) -> None:
    """How far the newest epochs are, how the stake stands, and what came of these epochs against what they cost."""
    from validator.config import ValidatorConfig

    found = guarded(lambda: ask(ValidatorConfig, config, "validator"))
    found["books"] = guarded(lambda: epochs_cli.books_of(config, found))
    if as_json:
        show(found, as_json)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    proofs = found["proofs"]
    console.print(f"validator {found['address']} on {found['network']}: {proofs['accepted']} proofs accepted, {proofs['refused']} refused")
    _show_stake(console, found)
    table = Table("epoch", "state", "round", "root", "posted by", "signers")
    for epoch in found["epochs"]:
        cells = (epoch.get("round", ""), epoch.get("root", ""), epoch.get("postedBy", ""), len(epoch.get("signers", ())) or "")
        table.add_row(str(epoch["epoch"]), epoch["state"], *map(str, cells))
    console.print(table)
    console.print(epochs_cli.sentence(found["books"]), markup=False)


def _show_stake(console: Console, found: dict[str, Any]) -> None:
    from chain.amounts import tokens

    stake, conviction = found["stake"], found["conviction"]
    if stake:
        console.print(f"stake: {tokens(int(stake['bonded']))} of at most {tokens(int(stake['maximum']))} DPN")
        if int(stake["unbonding"]):
            console.print(f"unbonding: {tokens(int(stake['unbonding']))} DPN, free at {local_time(stake['unbondingFreeAt'])}")
        if int(stake["share"]):
            console.print(f"reporter's share to collect: {tokens(int(stake['share']))} DPN; dpn validator collect")
    if conviction:
        taken = f"{tokens(int(conviction['amount']))} DPN taken" if conviction["slashed"] else "its stake is going to be taken"
        console.print(
            f"convicted ({conviction['proof']}): {conviction['reason']}. Reported by {conviction['reporter']}, "
            f"transaction {conviction['transaction']}; {taken}. It signs nothing any more."
        )
    if found["watch"]["withheld"]:
        console.print(f"the root {found['watch']['withheld']} cannot be judged: nobody serves the state it was made of")


app.add_typer(epochs_cli.app)
app.add_typer(stake_cli.app)
