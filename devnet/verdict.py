"""What a demo is judged by: named checks, each true or not, and what was compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Check:
    """detail: what was compared, or the first differences."""

    name: str
    passed: bool
    detail: str


def compared(name: str, wrong: Iterable[str], detail: str) -> Check:
    """True if nothing is wrong; `detail` is shown then, else the first `SHOWN` of what is wrong."""
    found = list(wrong)
    shown = "; ".join(found[:SHOWN]) + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
    return Check(name, not found, shown or detail)


def show(console: Console, checks: Sequence[Check]) -> str:
    """Prints the table of checks, what is untrue once more below it; the verdict as a clause."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in checks:
        table.add_row("[green]true[/]" if check.passed else "[bold red]UNTRUE[/]", check.name, f"[dim]{escape(check.detail)}[/]")
    console.print(table)
    wrong = [check for check in checks if not check.passed]
    for check in wrong:
        console.print(f"[bold red]UNTRUE[/]: {check.name}: {escape(check.detail)}")
    return f"{len(wrong)} of {len(checks)} checks failed" if wrong else f"All {len(checks)} checks are true"
