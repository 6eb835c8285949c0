"""`dpn validator audit`, which `cli.app` adds to the validator's commands. Whatever is heavy is imported by the function that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit.config import AuditConfig
from runtime.terminal import AsJson, CommandFailed, Rpc, Settlement, UsageError, guarded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit.receipts import Held
    from chain.typed import Signed
    from chain.types import Digest
    from wire.messages import ActivityProof, ProofReceipt

NOT_CONFIRMED = 8
app = typer.Typer(add_completion=False)


@app.command()
def audit(
    provider: Annotated[Path | None, typer.Option("--config", help="A provider's TOML file, whose stored receipts are looked up.")] = None,
    receipts: Annotated[Path | None, typer.Option("--receipts", help="A file of receipts instead, one canonical JSON a line.")] = None,
    check: Annotated[Path | None, typer.Option("--check", help="Verify evidence that somebody wrote with --evidence.")] = None,
    evidence: Annotated[Path | None, typer.Option("--evidence", help="Write what is found here, one canonical JSON a line.")] = None,
    epoch: Annotated[int | None, typer.Option("--epoch", min=1, help="Receipts of this epoch alone.")] = None,
    rpc: Rpc = None,
    settlement: Settlement = None,
    as_json: AsJson = False,
) -> None:
    """Find receipted proofs that the signer's own inventory lacks, with evidence for anybody; ends with 8 if there is one."""
    if sum(one is not None for one in (provider, receipts, check)) != 1:
        typer.echo("Give one of --config (a provider's), --receipts and --check.", err=True)
        raise typer.Exit(2)

    def work() -> bool:
        from runtime.config import load

        settings = load(AuditConfig, provider, {"rpc_urls": rpc, "settlement": settlement}, only_known=False)
        return _check(settings, check) if check is not None else _look_up(settings, provider, receipts, evidence, epoch, as_json)

    if not guarded(work):
        raise typer.Exit(NOT_CONFIRMED)


def _check(settings: AuditConfig, file: Path) -> bool:
    """Prints what evidence proves, line by line; `CommandFailed` for a line that proves nothing."""
    import asyncio

    from audit.inclusion import Omission, check_omission
    from chain.canonical import decode
    from chain.client import open_chain
    from chain.errors import CodecError
    from chain.types import to_hex
    from validator.errors import Wrong

    lines = file.read_bytes().splitlines()

    async def work() -> bool:
        async with open_chain(settings.rpc_urls, settings.settlement) as chain:
            for number, line in enumerate(lines, 1):
                try:
                    omission: Omission = decode(Omission, line)
                    check_omission(omission, chain.network.domain)
                except (CodecError, Wrong) as error:
                    raise CommandFailed(f"Line {number} of {file} proves nothing: {error}.") from error
                said = omission.receipt.message
                typer.echo(
                    f"{said.validator} left the proof {to_hex(said.proof)} of {said.provider} out of its inventory of epoch {said.epoch}."
                )
        return True

    return asyncio.run(work())


def _look_up(
    settings: AuditConfig, provider: Path | None, receipts: Path | None, evidence: Path | None, epoch: int | None, as_json: bool
) -> bool:
    import asyncio
    import json

    from audit.opening import receipts_of
    from chain.canonical import encode

    async def work() -> list[Held]:
        async with receipts_of(settings) as (lookup, domain):
            found, own = _from_file(receipts) if receipts is not None else _from_provider(provider, domain)
            return await lookup.look_up([one for one in found if epoch in (None, one.message.epoch)], own)

    held = asyncio.run(work())
    omitted = [one.omission for one in held if one.omission is not None]
    if evidence is not None:
        evidence.write_bytes(b"".join(encode(one) + b"\n" for one in omitted))
    for one in held:
        shown = _shown(one)
        typer.echo(json.dumps(shown) if as_json else _line(shown))
    if not as_json:
        typer.echo(
            f"{len(held)} receipts looked up: {len(omitted)} proofs left out." + (f" Evidence: {evidence}" if omitted and evidence else "")
        )
    return not omitted


def _shown(held: Held) -> Mapping[str, Any]:
    from chain.canonical import encode, parse
    from chain.types import to_hex

    said = held.receipt.message
    found: dict[str, Any] = {
        "epoch": said.epoch,
        "validator": said.validator,
        "provider": said.provider,
        "proof": to_hex(said.proof),
        "outcome": held.outcome,
        "detail": held.detail,
    }
    return found | ({"evidence": parse(encode(held.omission))} if held.omission is not None else {})


def _line(shown: Mapping[str, Any]) -> str:
    detail = f": {shown['detail']}" if shown["detail"] else ""
    return f"epoch {shown['epoch']} proof {shown['proof']} receipted by {shown['validator']}: {shown['outcome']}{detail}"


def _from_file(file: Path) -> tuple[list[Signed[ProofReceipt]], Mapping[Digest, Signed[ActivityProof]]]:
    from chain.canonical import decode
    from chain.errors import CodecError
    from chain.typed import Signed
    from wire.messages import ProofReceipt

    found = []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            found.append(decode(Signed[ProofReceipt], line))
        except CodecError as error:
            raise UsageError(f"Line {number} of {file} is no receipt: {error}.") from error
    return found, {}


def _from_provider(config: Path | None, domain: Any) -> tuple[list[Signed[ProofReceipt]], Mapping[Digest, Signed[ActivityProof]]]:
    """The receipts in a provider's database, and its proofs."""
    from chain.keys import address_in
    from provider.config import ProviderConfig
    from provider.store import Store
    from runtime.config import load

    settings = load(ProviderConfig, config, {})
    file = settings.data_dir / "provider.sqlite"
    if not file.exists():
        raise UsageError(f"{file} does not exist: has this provider ever run?")
    store = Store(file, address_in(settings.keystore), domain)
    try:
        proofs = {proof.digest: proof.signed for proof in store.proofs()}
        return [receipt for digest in proofs for receipt in store.receipts(digest)], proofs
    finally:
        store.close()
