"""Plays a demo from parameters to exit code: set-up, story, table of checks, report. All demos are played by this."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from chain.errors import ChainError
from devnet.demos import Demo
from devnet.ground import GroundError
from devnet.layout import LayoutError, load
from devnet.live import until_signal
from devnet.processes import ProcessError
from devnet.story import Untrue
from devnet.verdict import Check, show

WIDTH = 132


@dataclass(frozen=True, slots=True)
class Findings:
    """What a demo came to: the checks, the report that is written, and how long set-up and story took in seconds."""

    checks: tuple[Check, ...]
    report: Mapping[str, Any]
    setup_s: float
    duration_s: float


def perform(
    demo: Demo, parameters: Path | None = None, folder: Path | None = None, written: Path | None = None, as_json: bool = False
) -> int:
    """Plays the demo and writes its report; the exit code: 0 if all checks are true, see `devnet.cli`."""
    folder, written = folder or demo.folder, written or demo.report
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = WIDTH
    written.unlink(missing_ok=True)
    try:
        layout = load(parameters or demo.parameters, relayed=demo.relayed)
        findings: Findings | None = asyncio.run(until_signal(import_module(demo.module).play(layout, folder, console)))
    except (LayoutError, GroundError) as error:
        console.print(f"demo: {error}", style="red", markup=False)
        return 2
    except (Untrue, ProcessError, ChainError, OSError) as error:
        console.print(f"demo: {str(error).rstrip('.')}. The processes' logs are in {folder}/.", style="red", markup=False)
        return 1
    if findings is None:
        console.print("demo: interrupted; every process has ended.")
        return 130
    found = json.dumps(findings.report, indent=1)
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(found + "\n")
    if as_json:
        Console().print_json(found)
    verdict = show(console, findings.checks)
    console.print(f"{verdict}. Set-up {findings.setup_s:.0f} s, {demo.name} {findings.duration_s:.0f} s. Written: {written}")
    return 0 if all(check.passed for check in findings.checks) else 1
