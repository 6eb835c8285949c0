"""What `dpn provider status` and `dpn provider doctor` print for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from provider.doctor.findings import Finding
from provider.doctor.remedies import remedy
from runtime.terminal import local_time

MARKS = {"ok": "ok   ", "note": "note "}


def show_finding(finding: Finding, as_json: bool) -> None:
    """One line: whether it is well, what was found, what to do."""
    if as_json:
        import json

        typer.echo(json.dumps({"check": finding.check, "code": finding.code, "said": finding.said, "do": finding.do}))
        return
    code = "" if finding.code in MARKS else f" [{finding.code}]"
    do = f" -> {finding.do}" if finding.do else ""
    typer.echo(f"{MARKS.get(finding.code, 'WRONG')} {finding.check}{code}: {finding.said}{do}")


def print_status(found: Mapping[str, Any]) -> None:
    """The answer of a running provider's `GET /v1/status`."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    code, do = found["code"], remedy(found["code"])
    next_try = f"; next try {local_time(found['nextTry'])}" if found["nextTry"] else ""
    seen = f"as seen by {found['observer']} at {local_time(found['stateTime'])}{next_try}"
    console.print(f"provider {found['address']} on {found['network']}")
    console.print(f"{found['state']} ({code}), {seen}" + (f"\n  {do}" if do else ""))
    table = Table("master", "endpoint", "what it sees", "RTT ms", "when")
    for one in found["masters"]:
        rtt = f"{one['rttMinUs'] / 1000:.1f}" if one["rttMinUs"] else "-"
        table.add_row(one["master"], one["endpoint"], one["code"], rtt, local_time(one["time"]) if one["time"] else "never")
    console.print(table)
    known = {"role", "address", "network", "time", "state", "code", "observer", "stateTime", "nextTry", "masters", "newestProofs"}
    for name, value in found.items():
        if name in known:
            continue
        shown = ", ".join(f"{inner} {held}" for inner, held in value.items()) if isinstance(value, Mapping) else value
        console.print(f"{name:<16} {shown}", highlight=False)
