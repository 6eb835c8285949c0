"""`dpn audit`. Whatever is heavy is imported by the function that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit.config import AuditConfig
from runtime.terminal import AsJson, Config, Rpc, Settlement, UsageError, address_from, guarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from audit.auditor import Auditor
    from audit.verdicts import Audit
    from chain.types import Address

NOT_CONFIRMED = 8
app = typer.Typer(add_completion=False)

What = Annotated[str, typer.Argument(metavar="EPOCH", help="An epoch; FIRST..LAST or all, on states made from the first epoch on.")]
Account = Annotated[str | None, typer.Option("--account", help="Show this account's leaf before and after, and its path.")]
Validator = Annotated[str | None, typer.Option("--validator", metavar="HOST:PORT", help="Ask this validator alone for files.")]
FilesIn = Annotated[Path | None, typer.Option("--files", help="Read files from a folder of `dpn validator export`, and ask nobody.")]


@app.command()
def audit(
    epochs: What,
    account: Account = None,
    validator: Validator = None,
    files: FilesIn = None,
    rpc: Rpc = None,
    settlement: Settlement = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Recompute epochs from the chain and from anybody's files, trusting neither signature nor number; ends with 8 if one is not so."""
    passed = guarded(lambda: _run(epochs, account, validator, files, rpc, settlement, config, as_json))
    if not passed:
        raise typer.Exit(NOT_CONFIRMED)


def _run(
    epochs: str,
    account: str | None,
    validator: str | None,
    files: Path | None,
    rpc: str | None,
    settlement: str | None,
    config: Path | None,
    as_json: bool,
) -> bool:
    import asyncio
    import json

    from audit.opening import auditor_of
    from audit.telling import as_data, as_text
    from runtime.config import load

    if validator is not None and files is not None:
        raise UsageError("Files come from one validator or from a folder: give --validator or --files, not both.")
    first, last = wanted_epochs(epochs)
    about = address_from(account) if account else None
    settings = load(AuditConfig, config, {"rpc_urls": rpc, "settlement": settlement}, only_known=False)

    def tell(found: Audit, treasury: Address) -> None:
        typer.echo(json.dumps(as_data(found, about, treasury)) if as_json else as_text(found, about, treasury))

    async def work() -> bool:
        passed = True
        async with auditor_of(settings, validator, files) as (auditor, treasury):
            async for found in _audits(auditor, epochs, first, last):
                if first <= found.epoch or not found.passed:
                    tell(found, treasury)
                passed = passed and found.passed
        return passed

    return asyncio.run(work())


async def _audits(auditor: Auditor, epochs: str, first: int, last: int | None) -> AsyncIterator[Audit]:
    """One epoch alone, or all up to the last one, each upon the state of the one before."""
    from runtime.terminal import NothingToDo

    if epochs.isdecimal():
        found = await auditor.audit(first)
        if found.state == "open":
            raise NothingToDo(f"Epoch {first} has no root yet: {found.note}.")
        yield found
        return
    newest = await auditor.last_posted()
    if newest < first:
        raise NothingToDo(f"No root has been posted for an epoch from {first} on; the newest posted one is {newest}.")
    async for found in auditor.audit_through(newest if last is None else min(last, newest)):
        yield found


def wanted_epochs(text: str) -> tuple[int, int | None]:
    """The first and the last epoch of `7`, `3..9` or `all`, whose last is None; `UsageError` for anything else."""
    parts: list[Any] = text.split("..")
    if text == "all":
        return 1, None
    if len(parts) <= 2 and all(part.isdecimal() and len(part) < 16 for part in parts):
        first, last = int(parts[0]), int(parts[-1])
        if 1 <= first <= last:
            return first, last
    raise UsageError(f"{text!r} is no epoch: a number from 1 on, two as in 3..9, or `all` is expected.")
