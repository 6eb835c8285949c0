"""A PostgreSQL database as a node's own: durable like a file, and one process at a time.

Every connection of a process holds the database's lock together with the others of the same process, so whoever comes is refused while one
of them lives. Who came last has its name in the database: if every connection was lost and another process came meanwhile, the next one
that this process makes finds that out, and is none.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event, text
from sqlalchemy.exc import ArgumentError
from sqlmodel import create_engine

from runtime.storage import DatabaseInUse, DatabaseUnavailable, DatabaseUnusable, DatabaseUrl

LOCK = int.from_bytes(b"dpn node")
"""The key of the lock; locks of other databases of the same server are others."""
WAIT_S = 3.0
"""How long the connections of a process that has just ended may take to be gone."""
CONNECT_S = 10
POOL, POOL_MORE = 4, 12
"""Connections that are kept, and that are made beside them when all are in use."""
GONE_AFTER = ("tcp_keepalives_idle=30", "tcp_keepalives_interval=10", "tcp_keepalives_count=3")
"""How soon the server lets go of a connection, and its lock, whose machine is gone."""


def open_postgresql(at: DatabaseUrl, make: Callable[[Connection], None]) -> Engine:
    """The database, once `make` has been called with the first connection and this process is the only one; its lock goes with `dispose`.

    Raises `DatabaseUnavailable`, or `DatabaseUnusable`: no driver, a server that does not write through, or, as `DatabaseInUse`, another
    process that works with it. An engine whose lock is lost to another process raises `DatabaseInUse` from then on. No error and no log
    line repeats the URL.
    """
    engine = _engine(at)
    event.listen(engine, "handle_error", _translator(at))
    try:
        with engine.connect() as connection:
            me = _take(connection, at, make)
    except BaseException:
        engine.dispose()
        raise

    def enter(connection: Any, _record: Any) -> None:
        try:
            with connection.cursor() as cursor:
                locked = cursor.execute("SELECT pg_try_advisory_lock_shared(%s)", (LOCK,)).fetchone()[0]
                owner = cursor.execute("SELECT owner FROM database_owner").fetchone()[0]
                _write_through(lambda setting: cursor.execute(setting).fetchone()[0], cursor.execute, at)
            connection.commit()
            if not locked or owner != me:
                raise _in_use(at)
        except BaseException:
            connection.close()
            raise

    event.listen(engine, "connect", enter)
    return engine


def _engine(at: DatabaseUrl) -> Engine:
    try:
        return create_engine(
            at.url,
            pool_size=POOL,
            max_overflow=POOL_MORE,
            pool_timeout=CONNECT_S,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"connect_timeout": CONNECT_S, "application_name": "dpn"},
        )
    except ImportError:
        raise DatabaseUnusable(f"To use {at} install the driver: pip install 'dpn[postgres]'.") from None
    except (ArgumentError, ValueError):
        raise DatabaseUnusable("The setting database is no URL of a PostgreSQL database.") from None


def _take(connection: Connection, at: DatabaseUrl, make: Callable[[Connection], None]) -> str:
    """Has the database for this process, and its tables made; the name of this process in it."""

    def ask(statement: str, **values: object) -> Any:
        return connection.execute(text(statement), values).scalar()

    # Tried, and not waited for: a process that waits would keep the one that is there from making another connection.
    until = time.monotonic() + WAIT_S
    while not ask("SELECT pg_try_advisory_lock(:lock)", lock=LOCK):
        if time.monotonic() >= until:
            raise _in_use(at)
        time.sleep(0.05)
    _write_through(ask, lambda setting: connection.execute(text(setting)), at)
    make(connection)
    me = secrets.token_hex(16)
    connection.execute(text("CREATE TABLE IF NOT EXISTS database_owner (id integer PRIMARY KEY, owner text NOT NULL)"))
    renamed = "INSERT INTO database_owner VALUES (1, :me) ON CONFLICT (id) DO UPDATE SET owner = excluded.owner"
    connection.execute(text(renamed), {"me": me})
    connection.commit()
    # From alone to together: at no moment is the lock free.
    ask("SELECT pg_advisory_lock_shared(:lock)", lock=LOCK)
    ask("SELECT pg_advisory_unlock(:lock)", lock=LOCK)
    connection.commit()
    return me


def _write_through(ask: Callable[[str], Any], do: Callable[[str], object], at: DatabaseUrl) -> None:
    """Has every commit of the connection on the server's disk before it returns. `DatabaseUnusable` if the server cannot do that."""
    if ask("SHOW fsync") != "on":
        raise DatabaseUnusable(f"{at} loses what it has committed in a power cut: set fsync = on at its server.")
    if ask("SHOW synchronous_commit") == "off":
        do("SET synchronous_commit = on")
    for setting in GONE_AFTER:
        do(f"SET {setting}")


def _translator(at: DatabaseUrl) -> Callable[[ExceptionContext], None]:
    """Makes of a lost or impossible connection what a duty survives. The driver's own words go no further: they may repeat the URL's."""

    def translate(context: ExceptionContext) -> None:
        if context.is_pre_ping:
            return
        if context.connection is None:
            refused = "FATAL" in str(context.original_exception)
            why = (
                "turns this node away: it is about to start or to stop, or user, password or name are wrong"
                if refused
                else "does not answer"
            )
            raise DatabaseUnavailable(f"{at} {why}; it is set in `database`.") from None
        if context.is_disconnect:
            raise DatabaseUnavailable(f"{at} has lost the connection.") from None

    return translate


def _in_use(at: DatabaseUrl) -> DatabaseInUse:
    return DatabaseInUse(f"Another process works with {at}: stop it first, or give this node another database.")
