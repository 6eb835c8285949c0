"""`python -m resolver --config FILE`: the same as `dpn resolver run --config FILE`."""

import typer

from resolver.cli import run

if __name__ == "__main__":
    typer.run(run)
