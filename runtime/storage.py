"""Where a node keeps what it must not lose: a file of its own, or a PostgreSQL database. What is secret of the latter is shown nowhere.

DatabaseUnusable        do not go on; the sentence says what to do
├── DatabaseMismatch    it belongs to another network
└── DatabaseInUse       another process has it
DatabaseUnavailable     Recoverable: the server does not answer, or has lost the connection

This module loads no database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from chain.errors import Recoverable

SCHEME = "postgresql+psycopg"
FORM = f"{SCHEME}://user:password@host:port/name"


class DatabaseUnusable(Exception):
    """A sentence for the operator; nothing was written."""


class DatabaseMismatch(DatabaseUnusable):
    """This database is of another network: give the node another one."""


class DatabaseInUse(DatabaseUnusable):
    """Another process works with this database: two would promise and sign side by side."""


class DatabaseUnavailable(Recoverable):
    """The database's server does not answer, or has lost the connection: what was committed is there, what was not is not."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A PostgreSQL database. As a text it is its host and name; `url`, with user and password, is for the driver alone."""

    url: str = field(repr=False)
    host: str
    name: str

    def __str__(self) -> str:
        return f"the PostgreSQL database {self.name} at {self.host}"


Storage = Path | DatabaseUrl


def parse_storage(text: str, base: Path) -> Storage:
    """A URL of the form `FORM`, or the path of a file, relative to `base`. `ValueError` with a sentence that repeats nothing of the URL."""
    return _parse_url(text) if "://" in text else base / Path(text).expanduser()


def _parse_url(text: str) -> DatabaseUrl:
    if not text.startswith(f"{SCHEME}://") or not text.isprintable() or " " in text:
        raise ValueError(f"a database is the path of a file, or a URL of the form {FORM}")
    parts = _split(text)
    # What a password holds unescaped would be taken for a part of the host or the name, and those are shown.
    if parts.netloc.count("@") > 1 or "@" in parts.path or "@" in parts.query or parts.fragment:
        raise ValueError("in the URL of a database the characters @ : / ? # % of user and password are written as %40 %3A %2F %3F %23 %25")
    if any("password" in name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError(f"a database's password stands in its URL as in {FORM}, or in the file that libpq reads, and not behind the ?")
    name = unquote(parts.path.removeprefix("/"))
    if not name or "/" in name:
        raise ValueError(f"the URL of a database ends with the database's name: {FORM}")
    sockets = [value for key, value in parse_qsl(parts.query) if key == "host"]
    return DatabaseUrl(text, parts.hostname or (sockets[0] if sockets else "this machine"), name)


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        if parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError(f"the host or port in the URL of a database is none: {FORM}; the port is from 1 to 65535") from None
    return parts
