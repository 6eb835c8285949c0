"""`dpn resolver`: run one, look at one. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

from typing import Any

import typer

from runtime.terminal import AsJson, NodeFile, ask, guarded, show

app = typer.Typer(no_args_is_help=True, help="The pool of providers: who is there, who is connected, who suits a request.")


@app.command()
def run(config: NodeFile) -> None:
    """Serve until SIGTERM or Ctrl-C: HTTP, and DNS if dns_port is set."""
    from resolver.config import ResolverConfig
    from resolver.node import run as daemon
    from wire.node import main

    raise typer.Exit(main("resolver", ResolverConfig, daemon, config))


@app.command()
def status(config: NodeFile, as_json: AsJson = False) -> None:
    """Ask the running resolver about itself and the first providers of its pool."""
    from resolver.config import ResolverConfig

    def work() -> dict[str, Any]:
        own = ask(ResolverConfig, config, "resolver")
        return {**own, "providers": ask(ResolverConfig, config, "resolver", "/v1/providers")["providers"]}

    found = guarded(work)
    if as_json:
        show(found, as_json)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    states = ", ".join(f"{number} {state}" for state, number in sorted(found["pool"].items())) or "nobody"
    console = Console()
    console.print(f"resolver {found['address']} on {found['network']}: {states}; {found['masters']} masters are listed")
    table = Table("provider", "state", "reason", "heartbeats", "masters that count")
    for provider in found["providers"]:
        counted = [master["code"] for master in provider["masters"]].count("ok")
        masters = f"{counted} of {len(provider['masters'])}"
        table.add_row(provider["provider"], provider["state"], provider["code"], str(provider["heartbeats"]), masters)
    console.print(table)
