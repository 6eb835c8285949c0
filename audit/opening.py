"""Opens what an audit works with: the chain, whoever has the files, and a database for as long as it lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from audit.archives import passing_archive
from audit.auditor import Auditor, opened
from audit.config import AuditConfig
from audit.receipts import Receipts
from audit.sources import Files
from chain.client import open_chain
from chain.typed import Domain
from chain.types import ZERO_ADDRESS, Address, Wei
from chain.view import Listing
from runtime.config import AccountConfig
from runtime.terminal import UsageError
from wire.http import Client


@asynccontextmanager
async def auditor_of(
    settings: AuditConfig | AccountConfig, validator: str | None = None, files: Path | None = None
) -> AsyncIterator[tuple[Auditor, Address]]:
    """An auditor of the deployment that asks the validator at host:port, or reads an exported folder, or asks all listed validators; and
    the deployment's treasury. Closed at the end."""
    if files is not None and not (files / "blobs").is_dir():
        raise UsageError(f"{files} is no folder of files: `dpn validator export` writes one, with blobs and proofs in it.")
    async with open_chain(settings.rpc_urls, settings.settlement) as chain:
        client = Client(chain.network.domain)
        try:
            asked = client if files is None else Files(files)
            with opened(chain, asked, _sources(validator, files)) as auditor:
                yield auditor, chain.network.treasury
        finally:
            await client.close()


@asynccontextmanager
async def receipts_of(settings: AuditConfig) -> AsyncIterator[tuple[Receipts, Domain]]:
    """What looks receipts up among the listed validators, and the deployment's domain. Closed at the end."""
    async with open_chain(settings.rpc_urls, settings.settlement) as chain:
        client = Client(chain.network.domain)
        try:
            with passing_archive(chain.network.domain) as (archive, journal):
                yield Receipts(chain, archive, journal, client), chain.network.domain
        finally:
            await client.close()


def _sources(validator: str | None, files: Path | None) -> Sequence[Listing] | None:
    if validator is None and files is None:
        return None
    return (Listing(ZERO_ADDRESS, "validator", validator or str(files), Wei(0)),)
