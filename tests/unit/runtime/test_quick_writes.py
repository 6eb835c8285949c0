"""A quick write is there for whoever opens the file next, or not at all; the writes after it wait for the disk again."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import create_engine

from chain.typed import Domain
from chain.types import Address
from runtime.database import open_database, quickly, settle

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
SET = "UPDATE database_network SET network = ?"


def synchronous(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())


def network(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("SELECT network FROM database_network").scalar_one())


def test_it_is_read_by_another_and_leaves_the_connection_as_it_was(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "one.sqlite", (), DOMAIN)
    before = synchronous(engine)
    with quickly(engine) as cursor:
        assert cursor.execute("PRAGMA synchronous").fetchone() != (before,)
        cursor.execute(SET, ("written quickly",))
    assert synchronous(engine) == before
    settle(engine)
    other = open_database_again(tmp_path / "one.sqlite")
    assert network(other) == "written quickly"
    other.dispose()
    engine.dispose()


def test_what_fails_changes_nothing(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "one.sqlite", (), DOMAIN)
    before = synchronous(engine)
    with contextlib.suppress(sqlite3.OperationalError), quickly(engine) as cursor:
        cursor.execute(SET, ("half",))
        cursor.execute("no statement")
    assert (network(engine), synchronous(engine)) == (str(DOMAIN), before)
    engine.dispose()


def open_database_again(path: Path) -> Engine:
    return create_engine(f"sqlite:///{path}")
