"""The pool on disk, so that it survives the resolver: one row a provider, one more for each master's report about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete
from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel, col, select

from chain.canonical import decode, encode
from chain.typed import Domain, Signed
from chain.types import U64, Address
from resolver.latency import HeldReport
from resolver.pool import Entry, Presence
from resolver.tickets import EpochUptime
from runtime.database import open_database
from wire.messages import LatencyReport


class Table(SQLModel, registry=registry()):
    """Keeps these tables apart from those of other roles in one process."""


class EntryRow(Table, table=True):
    """body: the canonical bytes of an `EntryBody`."""

    __tablename__ = "pool_entry"
    provider: str = Field(primary_key=True)
    body: bytes


class ReportRow(Table, table=True):
    """raw: the canonical bytes of a master's newest signed report; received: UTC second."""

    __tablename__ = "pool_report"
    provider: str = Field(primary_key=True)
    master: str = Field(primary_key=True)
    received: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class EntryBody:
    """An entry without its reports, which change less often than heartbeats come in."""

    sequence: U64
    presence: Presence
    uptime: tuple[EpochUptime, ...]


class PoolStore:
    """Entries in, entries out. What `save` and `forget` return from is on disk."""

    def __init__(self, path: Path, domain: Domain) -> None:
        """Opens or makes the database; `DatabaseMismatch` if it is another network's."""
        self._engine = open_database(path, [EntryRow, ReportRow], domain)

    def close(self) -> None:
        self._engine.dispose()

    def load(self) -> dict[Address, Entry]:
        """Everything saved and not forgotten; `CodecError` if the file was tampered with."""
        with Session(self._engine) as session:
            reports: dict[str, list[HeldReport]] = {}
            for report in session.exec(select(ReportRow).order_by(col(ReportRow.provider), col(ReportRow.master))):
                held = HeldReport(decode(Signed[LatencyReport], report.raw), report.received)
                reports.setdefault(report.provider, []).append(held)
            entries: dict[Address, Entry] = {}
            for row in session.exec(select(EntryRow)):
                body: EntryBody = decode(EntryBody, row.body)
                provider = Address(row.provider)
                entries[provider] = Entry(provider, body.sequence, body.presence, body.uptime, tuple(reports.get(provider, ())))
            return entries

    def save(self, entry: Entry, before: Entry | None) -> None:
        """Replaces what is stored of the provider, which is `before`, in one transaction."""
        with Session(self._engine) as session:
            session.merge(EntryRow(provider=entry.provider, body=encode(EntryBody(entry.sequence, entry.presence, entry.uptime))))
            if entry.reports != (before.reports if before else ()):
                session.execute(delete(ReportRow).where(col(ReportRow.provider) == entry.provider))
                session.add_all(_report_row(entry.provider, held) for held in entry.reports)
            session.commit()

    def forget(self, provider: Address) -> None:
        """Removes all that is stored of a provider."""
        with Session(self._engine) as session:
            session.execute(delete(ReportRow).where(col(ReportRow.provider) == provider))
            session.execute(delete(EntryRow).where(col(EntryRow.provider) == provider))
            session.commit()


def _report_row(provider: Address, held: HeldReport) -> ReportRow:
    message = held.signed.message
    return ReportRow(provider=provider, master=message.master, received=held.received, raw=encode(held.signed))
