"""`dpn devnet` and `dpn demo`.

Exit codes: 0 it ended as asked, and of the demo everything was true; 1 something was not, or a process failed; 2 parameters; 130
interrupted.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from devnet.demos import DEMOS, TOUR

FOLDER = Path("build/devnet")
"""Keys, data and logs of one run; the next run replaces it."""

devnet = typer.Typer(help="A whole network on this machine, with a live table.")
demo = typer.Typer(help="Scripted runs on a network of their own: the tour, and what `dpn demo --list` names.")

ParametersFile = Annotated[Path | None, typer.Option("--parameters", help="Another parameter file.", dir_okay=False)]
NoRelay = Annotated[bool, typer.Option("--no-relay", help="Without the relay: every node at its bind address, no distance between cities.")]
Folder = Annotated[
    Path, typer.Option("--folder", help="Keys, data and logs of this run. What a devnet left there is removed.", file_okay=False)
]


@devnet.command()
def run_devnet(
    parameters: ParametersFile = None,
    seconds: Annotated[float | None, typer.Option("--for", help="End after this many seconds; else on Ctrl-C.", min=0)] = None,
    no_relay: NoRelay = False,
    folder: Folder = FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="No table: one JSON object at the end.")] = False,
) -> None:
    """Start a chain, a resolver, 3 masters, 4 validators and 6 providers, each a process of its own, and watch them.

    Exit codes: 0 ended as asked, 1 a process failed, 2 parameters, 130 interrupted before it was set up.
    """
    from rich.console import Console

    from chain.errors import ChainError
    from devnet.ground import GroundError
    from devnet.layout import DEFAULT_PARAMETERS, LayoutError, load
    from devnet.live import show, until_signal
    from devnet.processes import ProcessError

    try:
        layout = load(parameters or DEFAULT_PARAMETERS, relayed=not no_relay)
        ended = asyncio.run(until_signal(show(layout, folder, seconds, Console(), as_json)))
    except (LayoutError, GroundError) as error:
        typer.echo(f"devnet: {error}", err=True)
        raise typer.Exit(2) from error
    except (ProcessError, ChainError, OSError) as error:
        typer.echo(f"devnet: {error}", err=True)
        raise typer.Exit(1) from error
    if ended is None:
        typer.echo("devnet: interrupted before it was set up; every process has ended.", err=True)
        raise typer.Exit(130)


@demo.command()
def run_demo(
    name: Annotated[str, typer.Argument(help="Which one; `--list` names them.", show_default=True)] = TOUR.name,
    list_them: Annotated[bool, typer.Option("--list", help="Name the demos, one a line, and play none.")] = False,
    parameters: ParametersFile = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Keys, data and logs of this run. What a devnet left there is removed.", file_okay=False)
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Where the findings are written as JSON.", dir_okay=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings instead of the story.")] = False,
) -> None:
    """Play a scripted run on a network of its own, and check what happened against raw RPC and what nodes serve.

    Exit codes: 0 everything is true, 1 something is not or a process failed, 2 parameters, or no such demo, 130 interrupted.
    """
    if list_them:
        for one in DEMOS.values():
            typer.echo(f"{one.name:12}{one.says}")
        return
    if name not in DEMOS:
        typer.echo(f"demo: there is none called {name!r}. There are: {', '.join(DEMOS)}.", err=True)
        raise typer.Exit(2)
    from devnet.stage import perform

    raise typer.Exit(perform(DEMOS[name], parameters, folder, report, as_json))
