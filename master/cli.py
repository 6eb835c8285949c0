"""`dpn master`: run one, look at one. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

import typer

from runtime.terminal import AsJson, NodeFile, ask, guarded, show

app = typer.Typer(no_args_is_help=True, help="A vantage point: times providers by UDP, observes their addresses, dials them back.")


@app.command()
def run(config: NodeFile) -> None:
    """Serve until SIGTERM or Ctrl-C. UDP and TCP use the same port number."""
    from master.config import MasterConfig
    from master.node import run as daemon
    from wire.node import main

    raise typer.Exit(main("master", MasterConfig, daemon, config))


@app.command()
def status(config: NodeFile, as_json: AsJson = False) -> None:
    """Ask the running master what it has counted since it started."""
    from master.config import MasterConfig

    show(guarded(lambda: ask(MasterConfig, config, "master")), as_json)
