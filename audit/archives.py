"""An archive for as long as an audit lasts: what validators keep for months is here what was fetched and verified by this process."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import event

from chain.typed import Domain
from runtime.database import open_database
from validator.archive import Archive
from validator.journal import Journal
from validator.tables import TABLES


@contextlib.contextmanager
def passing_archive(domain: Domain) -> Iterator[tuple[Archive, Journal]]:
    """An empty archive with the journal that its peers ask for, in a folder that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="dpn-audit-") as folder:
        engine = open_database(Path(folder) / "audit.sqlite", TABLES, domain)

        @event.listens_for(engine, "connect")
        def settings(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA synchronous=OFF")  # nothing in it outlives this process

        engine.dispose()  # of the connections without it
        try:
            yield Archive(engine), Journal(engine, domain)
        finally:
            engine.dispose()
