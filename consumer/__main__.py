"""`python -m consumer`: the same as `dpn consumer connect`."""

import typer

from consumer.cli import connect

if __name__ == "__main__":
    typer.run(connect)
