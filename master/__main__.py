"""`python -m master --config FILE`: the same as `dpn master run --config FILE`."""

import typer

from master.cli import run

if __name__ == "__main__":
    typer.run(run)
