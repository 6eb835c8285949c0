"""`dpn validator`: run one, look at one. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

from typing import Any

import typer

from runtime.terminal import AsJson, NodeFile, ask, guarded, show

app = typer.Typer(help="Verify proofs, agree on what they were worth, post the root.", no_args_is_help=True)


@app.command()
def run(config: NodeFile) -> None:
    """Run a validator until SIGTERM or Ctrl-C."""
    from validator.config import ValidatorConfig
    from validator.node import run as daemon
    from wire.node import main

    raise typer.Exit(main("validator", ValidatorConfig, daemon, config))


@app.command()
def status(config: NodeFile, as_json: AsJson = False) -> None:
    """Ask the running validator how far the newest epochs are."""
    from validator.config import ValidatorConfig

    found = guarded(lambda: ask(ValidatorConfig, config, "validator"))
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
    table = Table("epoch", "state", "round", "root", "posted by", "signers")
    for epoch in found["epochs"]:
        cells = (epoch.get("round", ""), epoch.get("root", ""), epoch.get("postedBy", ""), len(epoch.get("signers", ())) or "")
        table.add_row(str(epoch["epoch"]), epoch["state"], *map(str, cells))
    console.print(table)
