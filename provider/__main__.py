"""`python -m provider --config FILE`: the same as `dpn provider run --config FILE`."""

import typer

from provider.cli import run

if __name__ == "__main__":
    typer.run(run)
