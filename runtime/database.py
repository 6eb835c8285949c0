"""A node's database through sqlmodel, which belongs to one deployment: SQLite in a file, or PostgreSQL (`runtime.postgresql`).

Its errors are those of `runtime.storage`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, create_engine

from chain.typed import Domain
from runtime.postgresql import open_postgresql
from runtime.storage import DatabaseInUse, DatabaseMismatch, DatabaseUrl, Storage


class DatabaseNetwork(SQLModel, table=True):
    """The deployment that the database belongs to."""

    __tablename__ = "database_network"

    id: int = Field(default=1, primary_key=True)
    network: str


def open_database(at: Storage, tables: Iterable[type[SQLModel]], domain: Domain, *, alone: bool = False) -> Engine:
    """The database at `at` with these tables, made if need be (a file's folder with mode 0700).

    What a committed transaction wrote survives a kill and a power cut (SQLite: write-ahead log, synchronous FULL; PostgreSQL: synchronous
    commit). alone: one process at a time, until the engine is disposed of; a PostgreSQL database is always that. Raises `DatabaseMismatch`
    if it is another network's, `DatabaseInUse`, and of PostgreSQL what `open_postgresql` does.
    """

    def make(connection: Connection) -> None:
        SQLModel.metadata.create_all(connection, tables=[t.__table__ for t in (DatabaseNetwork, *tables)])  # type: ignore[attr-defined]
        with Session(connection) as session:
            known = session.get(DatabaseNetwork, 1)
            if known is None:
                session.add(DatabaseNetwork(network=str(domain)))
                session.commit()
            elif known.network != str(domain):
                another = "database" if isinstance(at, DatabaseUrl) else "data_dir"
                raise DatabaseMismatch(f"{at} belongs to the network {known.network}, this node is on {domain}: give it another {another}.")

    if isinstance(at, DatabaseUrl):
        return open_postgresql(at, make)
    engine = _open_sqlite(at, alone)
    try:
        with engine.begin() as connection:
            make(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def put_new(session: Session, row: SQLModel) -> bool:
    """Inserts the row unless there is one with its key, which stays as it is; whether it was inserted. Whoever else does the same at the
    same moment is no error."""
    of = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    inserted = of.insert(type(row)).values(**row.model_dump()).on_conflict_do_nothing()
    return session.exec(inserted.returning(literal(1))).first() is not None


def put_all_new(connection: Connection, table: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts those of the rows whose key is not there yet, as `put_new` does."""
    of = postgresql if connection.dialect.name == "postgresql" else sqlite
    if rows:
        connection.execute(of.insert(table).on_conflict_do_nothing(), rows)


def _open_sqlite(path: Path, alone: bool) -> Engine:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    locks = [_lock(path)] if alone else []
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False, "timeout": 10.0}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def settings(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "engine_disposed")
    def unlock(_: Engine) -> None:
        while locks:  # an engine may be disposed of twice
            os.close(locks.pop())

    return engine


def _lock(path: Path) -> int:
    """An open file beside the database that only one process can lock; the lock is gone with whoever has it."""
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise DatabaseInUse(f"Another process works with {path}: stop it first, or give this node another data_dir.") from None
    return lock


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
