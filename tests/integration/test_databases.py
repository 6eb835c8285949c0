"""A node's database, in a file and on a real PostgreSQL server: one process at a time, one network, no secret told."""

from __future__ import annotations

import logging
import multiprocessing
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlmodel import Field, Session, SQLModel

from chain.typed import Domain
from chain.types import Address
from runtime.config import ConfigError, load
from runtime.database import open_database, put_new
from runtime.storage import DatabaseInUse, DatabaseMismatch, DatabaseUnavailable, DatabaseUnusable, Storage, parse_storage
from tests.databases import PostgresServer
from validator.config import ValidatorConfig
from validator.tables import TABLES

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
SECRET = "pä55 w@rd/?#%:"


class Note(SQLModel, table=True):
    __tablename__ = "test_note"
    name: str = Field(primary_key=True)
    text: str


@pytest.fixture(autouse=True)
def no_long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.postgresql.WAIT_S", 0.2)


@pytest.fixture
def engine(storage: Storage) -> Iterator[Engine]:
    opened = open_database(storage, [Note], DOMAIN, alone=True)
    yield opened
    opened.dispose()


def note(engine: Engine, name: str, content: str = "") -> bool:
    with Session(engine) as session:
        is_new = put_new(session, Note(name=name, text=content))
        session.commit()
    return is_new


def test_a_second_process_is_refused_and_the_first_goes_on(engine: Engine, storage: Storage) -> None:
    for _ in range(2):
        with pytest.raises(DatabaseInUse, match=r"Another process works with .*: stop it first"):
            open_database(storage, [Note], DOMAIN, alone=True)
    assert note(engine, "still here")
    engine.dispose()
    after = open_database(storage, [Note], DOMAIN, alone=True)
    assert not note(after, "still here")
    after.dispose()


def test_what_is_disposed_of_twice_closes_nothing_of_others(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "one.sqlite", [Note], DOMAIN, alone=True)
    engine.dispose()
    pipes = [os.pipe() for _ in range(8)]  # which take the numbers that are free now
    engine.dispose()
    for pipe in pipes:
        for end in pipe:
            os.fstat(end)
            os.close(end)


def _hold(storage: Storage, opened: multiprocessing.synchronize.Event) -> None:
    open_database(storage, [Note], DOMAIN, alone=True)
    opened.set()
    multiprocessing.Event().wait()


def test_a_killed_process_leaves_no_lock(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.postgresql.WAIT_S", 10.0)
    context = multiprocessing.get_context("spawn")
    opened = context.Event()
    holder = context.Process(target=_hold, args=(storage, opened))
    holder.start()
    try:
        assert opened.wait(60)
    finally:
        holder.kill()
        holder.join()
    open_database(storage, [Note], DOMAIN, alone=True).dispose()


def test_another_network_is_refused_naming_both_and_leaves_no_lock(storage: Storage) -> None:
    open_database(storage, [Note], DOMAIN, alone=True).dispose()
    with pytest.raises(DatabaseMismatch, match=r"31337/0x11.* 2/0x11.*another data"):
        open_database(storage, [Note], Domain(2, DOMAIN.settlement), alone=True)
    open_database(storage, [Note], DOMAIN, alone=True).dispose()


def test_the_first_row_of_a_key_stays(engine: Engine) -> None:
    assert note(engine, "a", "first")
    assert not note(engine, "a", "second")
    with Session(engine) as session:
        assert session.get_one(Note, "a").text == "first"


def test_addresses_are_ordered_by_their_bytes_in_every_language(postgres: PostgresServer) -> None:
    with postgres.database() as at:
        engine = open_database(at, TABLES, DOMAIN)
        query = """SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON a.attrelid = c.oid JOIN pg_collation o
            ON a.attcollation = o.oid WHERE c.relkind = 'r' AND c.relname LIKE 'validator%' AND o.collname <> 'C'"""
        with engine.connect() as connection:
            assert list(connection.execute(text(query))) == [("validator_report", "name")]
        engine.dispose()


# PostgreSQL, its server and its network


def test_a_lost_connection_is_told_once_and_made_again(postgres: PostgresServer) -> None:
    with postgres.database() as at:
        engine = open_database(at, [Note], DOMAIN)
        with Session(engine) as session:
            session.add(Note(name="lost", text=""))
            session.flush()
            postgres.cut(at.name)
            with pytest.raises(DatabaseUnavailable, match="has lost the connection"):
                session.commit()
        assert note(engine, "lost")
        with pytest.raises(DatabaseInUse):
            open_database(at, [Note], DOMAIN)
        engine.dispose()


def test_who_lost_the_database_to_another_process_writes_nothing_more(postgres: PostgresServer) -> None:
    with postgres.database() as at:
        first = open_database(at, [Note], DOMAIN)
        assert note(first, "one")
        postgres.cut(at.name)
        second = open_database(at, [Note], DOMAIN)
        assert note(second, "two")
        for _ in range(2):
            with pytest.raises(DatabaseInUse):
                note(first, "three")
        first.dispose()
        assert note(second, "three")
        second.dispose()


def test_as_long_as_one_connection_lives_nobody_else_comes_in(postgres: PostgresServer) -> None:
    with postgres.database() as at:
        engine = open_database(at, [Note], DOMAIN)
        held = [engine.connect() for _ in range(5)]
        pid = held[-1].execute(text("SELECT pg_backend_pid()")).scalar_one()
        postgres.cut(at.name, but=pid)
        with pytest.raises(DatabaseInUse):
            open_database(at, [Note], DOMAIN)
        for connection in held:
            connection.invalidate()
            connection.close()
        engine.dispose()


def test_a_server_that_does_not_write_through_is_told_or_refused(postgres: PostgresServer) -> None:
    with postgres.database() as at:
        postgres.run(f"ALTER DATABASE {at.name} SET synchronous_commit = off")
        engine = open_database(at, [Note], DOMAIN)
        with engine.connect() as one, engine.connect() as other:
            assert [c.execute(text("SHOW synchronous_commit")).scalar() for c in (one, other)] == ["on", "on"]
        engine.dispose()
        postgres.run("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        try:
            while postgres.run("SHOW fsync") != [("off",)]:  # the server has not read it yet
                pass
            with pytest.raises(DatabaseUnusable, match="fsync = on"):
                open_database(at, [Note], DOMAIN)
        finally:
            postgres.run("ALTER SYSTEM RESET fsync", "SELECT pg_reload_conf()")


def test_no_secret_of_the_url_is_told(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    with postgres.database() as at:
        good = postgres.url(at.name, "postgres", SECRET)
        for place in (
            good,
            postgres.url("nothing_here", "postgres", SECRET),
            postgres.url(at.name, "nobody", SECRET),
            parse_storage(f"postgresql+psycopg://u:{good.url.split(':')[2].split('@')[0]}@127.0.0.1:1/x", Path()),
            parse_storage(f"postgresql+psycopg://u:{good.url.split(':')[2].split('@')[0]}@nowhere.invalid/x?sslmode=nonsense", Path()),
        ):
            told += [str(place), repr(place)]
            try:
                engine = open_database(place, [Note], DOMAIN)
                told += [repr(engine)]
                with engine.connect() as connection:
                    seen = connection.execute(text("SELECT * FROM pg_stat_activity")).all()
                    told += [str(seen)]
                engine.dispose()
            except DatabaseUnavailable as error:
                told += ["".join(traceback.format_exception(error))]
    assert len(told) == 5 * 2 + 2 + 4
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        told += [path.read_bytes().decode(errors="replace")] if path.exists() else []
    told += [caplog.text, *capfd.readouterr()]
    for part in ("pä55", "p%C3%A45", "w@rd", "w%40rd"):
        assert not [one for one in told if part in one]


WRONG = {
    "an @ unescaped": "postgresql+psycopg://u:geheim@wort@host/name",
    "a slash unescaped": "postgresql+psycopg://u:geheim/wort@host/name",
    "a slash after digits": "postgresql+psycopg://u:55/geheim@host/name",
    "a number sign": "postgresql+psycopg://u:55#geheim@host/name",
    "a question mark": "postgresql+psycopg://u:55?geheim@host/name",
    "no user": "postgresql+psycopg://host:geheim/name",
    "no name": "postgresql+psycopg://u:geheim@host",
    "behind the ?": "postgresql+psycopg://host/name?password=geheim",
    "for a key": "postgresql+psycopg://host/name?sslpassword=geheim",
    "another driver": "postgresql://u:geheim@host/name",
    "another database": "mysql://u:geheim@host/name",
    "port 0": "postgresql+psycopg://u:geheim@host:0/name",
    "brackets": "postgresql+psycopg://u:geheim@[::1/name",
    "a line end": "postgresql+psycopg://u:geheim\n@host/name",
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_url_that_cannot_be_used_is_not_repeated(kind: str, tmp_path: Path) -> None:
    given: dict[str, object] = {"rpc_urls": "http://x", "settlement": DOMAIN.settlement, "keystore": "k", "data_dir": "d"}
    with pytest.raises(ConfigError, match="The setting database cannot be used: ") as refused:
        load(ValidatorConfig, None, given, {"DPN_DATABASE": WRONG[kind]})
    told = "".join(traceback.format_exception(refused.value))
    assert "geheim" not in told
    assert "wort" not in told


def test_a_database_is_a_file_or_a_url(tmp_path: Path) -> None:
    given: dict[str, object] = {"rpc_urls": "http://x", "settlement": DOMAIN.settlement, "keystore": "k", "data_dir": "d"}
    assert load(ValidatorConfig, None, given, {}).storage == Path("d/validator.sqlite")
    file = tmp_path / "validator.toml"
    file.write_text('database = "kept/here.sqlite"\nretention_epochs = 0\n')
    found = load(ValidatorConfig, file, given, {})
    assert (found.storage, found.retention_epochs) == (tmp_path / "kept/here.sqlite", 0)
    url = load(ValidatorConfig, file, given, {"DPN_DATABASE": "postgresql+psycopg://dpn:geheim@db.example:6432/validator"})
    assert str(url.storage) == "the PostgreSQL database validator at db.example"
    assert "geheim" not in repr(url)
    with pytest.raises(ConfigError, match="retention_epochs is -1"):
        load(ValidatorConfig, None, given, {"DPN_RETENTION_EPOCHS": "-1"})
