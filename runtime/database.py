"""A node's database: SQLite through sqlmodel, one file, which belongs to one deployment.

DatabaseMismatch    the file was made for another chain or contract; the sentence names both
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlmodel import Field, Session, SQLModel, create_engine

from chain.typed import Domain


class DatabaseMismatch(Exception):
    """This database is of another network: give the node another data_dir."""


class DatabaseNetwork(SQLModel, table=True):
    """The deployment that the file belongs to."""

    __tablename__ = "database_network"

    id: int = Field(default=1, primary_key=True)
    network: str


def open_database(path: Path, tables: Iterable[type[SQLModel]], domain: Domain) -> Engine:
    """The database at `path` with these tables, made if need be (folder mode 0700); `DatabaseMismatch` if it is another network's.

    What a committed transaction wrote survives a kill and a power cut (write-ahead log, synchronous FULL).
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False, "timeout": 10.0})

    @event.listens_for(engine, "connect")
    def settings(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    SQLModel.metadata.create_all(engine, tables=[t.__table__ for t in (DatabaseNetwork, *tables)])  # type: ignore[attr-defined]
    with Session(engine) as session:
        known = session.get(DatabaseNetwork, 1)
        if known is None:
            session.add(DatabaseNetwork(network=str(domain)))
            session.commit()
        elif known.network != str(domain):
            engine.dispose()
            raise DatabaseMismatch(f"{path} belongs to the network {known.network}, this node is on {domain}: give it another data_dir.")
    return engine


@contextlib.contextmanager
def quickly(engine: Engine) -> Iterator[Any]:
    """A cursor whose writes are committed at the end without waiting for the disk: a kill loses none of them; a power cut may lose what
    was written since the last commit that waited, or the last `settle`. Takes tens of microseconds, where a disk takes milliseconds.
    """
    with contextlib.closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=NORMAL")
        try:
            yield cursor
            connection.commit()
        finally:
            connection.rollback()
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.close()


def settle(engine: Engine) -> None:
    """Has everything that was committed on disk. Waits for the disk, and for nobody who reads or writes."""
    with contextlib.closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
