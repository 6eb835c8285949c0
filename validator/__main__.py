"""`python -m validator --config FILE`: the same as `dpn validator run --config FILE`."""

import typer

from validator.cli import run

if __name__ == "__main__":
    typer.run(run)
