"""`dpn provider explain`, which `cli.app` adds to the provider's commands. Whatever is heavy is imported by the function that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.config import AuditConfig
from runtime.config import AccountConfig, load
from runtime.terminal import (
    AsJson,
    CommandFailed,
    Config,
    Keystore,
    Rpc,
    Settlement,
    account_of,
    address_from,
    guarded,
    settings_from,
)

if TYPE_CHECKING:
    from audit.explanation import Explanation
    from audit.verdicts import Audit
    from chain.types import Address

app = typer.Typer(add_completion=False)


@app.command()
def explain(
    epoch: Annotated[int | None, typer.Option("--epoch", min=1, help="Which epoch (default: the newest that a root covers).")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Another account than the keystore's.")] = None,
    files: Annotated[Path | None, typer.Option("--files", help="Read files from a folder of `dpn validator export`.")] = None,
    rpc: Rpc = None,
    settlement: Settlement = None,
    keystore: Keystore = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """What an epoch paid and why, and what it did to the reputation, term by term, recomputed from verified evidence."""

    def work() -> tuple[Audit, Explanation]:
        if account is not None:
            given = {"rpc_urls": rpc, "settlement": settlement}
            return _explained(load(AuditConfig, config, given, only_known=False), address_from(account), epoch, files)
        settings = settings_from(config, rpc, settlement, keystore)
        return _explained(settings, account_of(None, settings), epoch, files)

    audit, found = guarded(work)
    _show(audit, found, as_json)


def _explained(settings: AuditConfig | AccountConfig, account: Address, epoch: int | None, files: Path | None) -> tuple[Audit, Explanation]:
    import asyncio

    from audit.opening import auditor_of

    async def opened() -> tuple[Audit, Explanation]:
        async with auditor_of(settings, None, files) as (auditor, _):
            audit = await auditor.audit_covering(epoch)
            return audit, explanation_in(audit, account, epoch)

    return asyncio.run(opened())


def explanation_in(audit: Audit, account: Address, epoch: int | None) -> Explanation:
    """The account's epoch (default: the last one covered) in what an audit recomputed; `CommandFailed` if it recomputed nothing."""
    from audit.explaining import explain as explain_account
    from audit.verdicts import printable
    from validator.epoch import reckonings

    found = audit.recomputed
    if found is None:
        why = "; ".join(f"{one.code}: {printable(one.detail)}" for one in audit.findings)
        raise CommandFailed(f"Epoch {epoch or audit.epoch} cannot be recomputed, so it cannot be explained: {why}.")
    wanted = epoch or audit.covered[-1]
    told = reckonings(found.parent, found.manifest, found.evidence, found.timing, found.rules)
    reckoning = next(one for one in told if one.section.epoch == wanted)
    return explain_account(reckoning, account, found.evidence.get(wanted, ()), found.timing, found.rules)


def _show(audit: Audit, found: Explanation, as_json: bool) -> None:
    import json

    from audit.picture import as_data, as_text
    from audit.verdicts import printable

    if as_json:
        findings = [{"code": one.code, "detail": one.detail} for one in audit.findings]
        typer.echo(json.dumps({**as_data(found), "root_of_epoch": audit.epoch, "audit": audit.state, "findings": findings}))
        return
    typer.echo(as_text(found))
    if audit.findings:
        told = "; ".join(f"{one.code}: {printable(one.detail)}" for one in audit.findings)
        typer.echo(f"! The root of epoch {audit.epoch} is not what this says ({told}). Look at it with: dpn audit {audit.epoch}")
