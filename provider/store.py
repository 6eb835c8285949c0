"""What a provider holds: its log, what others signed about it, its proofs and their receipts, and the sequence it has reached.

Every write is on disk when the call returns (SQLite with `synchronous=FULL`), a change together with the log entry that tells of it.
One store belongs to one identity: opened for another it raises `ForeignStore`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, delete, select

from chain.canonical import decode, encode
from chain.epochs import Timing
from chain.typed import Domain, Signed, digest_of
from chain.types import Address, Digest
from provider.activity import entry_after
from provider.errors import ProviderError
from provider.heartbeat import sequence_after
from provider.proofs import Held, Progress
from provider.sessions.store import SessionStore
from provider.tables import TABLES, EntryRow, EpochRow, ProofRow, ReceiptRow, StandingRow, StatementRow
from runtime.database import open_database
from wire.messages import ActivityEntry, ActivityProof, LatencyReport, ProofReceipt, UptimeTicket
from wire.statements import keep

OPEN, RECEIPTED, NOT_RECEIPTED, SUPERSEDED = "open", "receipted", "not_receipted", "superseded"


class ForeignStore(ProviderError, ValueError):
    """The folder holds the evidence of another provider: it would be lost under this key."""


@dataclass(frozen=True, slots=True)
class StoredProof:
    """A proof as signed and stored; raw: its canonical bytes, the same at every attempt."""

    digest: Digest
    signed: Signed[ActivityProof]
    outcome: str
    raw: bytes

    @property
    def epoch(self) -> int:
        return self.signed.message.epoch


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over all epochs; epoch: the newest one with a proof, 0 for none."""

    heartbeats: int
    proofs: int
    receipted: int
    not_receipted: int
    epoch: int


class Store:
    """The database of one provider."""

    def __init__(self, path: Path, provider: Address, domain: Domain) -> None:
        self._engine = open_database(path, TABLES, domain)
        self._provider, self._domain = provider, domain
        with Session(self._engine) as session:
            row = session.get(StandingRow, 1)
            if row is None:
                session.add(StandingRow(provider=provider))
                session.commit()
            elif row.provider != provider:
                self._engine.dispose()
                raise ForeignStore(f"{path} holds the evidence of {row.provider}, the keystore is of {provider}: give it another data_dir.")

    def close(self) -> None:
        self._engine.dispose()

    def sessions(self, timing: Timing) -> SessionStore:
        """The sessions in the same database, as long as this store is open."""
        return SessionStore(self._engine, timing)

    # Presence

    def next_sequence(self, now: float) -> int:
        """A sequence above all that were ever given out here; now: UTC seconds."""
        with Session(self._engine) as session:
            row = session.get_one(StandingRow, 1)
            row.sequence = sequence_after(row.sequence, now)
            session.add(row)
            session.commit()
            return row.sequence

    def begin_presence(self, presence: Digest, host: str, port: int, now: float) -> None:
        """A new presence, told of in the log; so is a change of the announced address since the last one."""
        with Session(self._engine) as session:
            row = session.get_one(StandingRow, 1)
            if row.host and (row.host, row.port) != (host, port):
                row.address_since = int(now)
                self._append(session, now, "address_changed", "the announced address is another one")
            row.presence_id, row.host, row.port = presence, host, port
            session.add(row)
            self._append(session, now, "announced", f"presence 0x{presence.hex()}")
            session.commit()

    def address_since(self) -> int:
        """The UTC second since which the address is announced, 0 if from the start."""
        with Session(self._engine) as session:
            return session.get_one(StandingRow, 1).address_since

    # Activity log

    def append(self, now: float, kind: str, detail: str) -> ActivityEntry:
        """One more entry, see `provider.activity`."""
        with Session(self._engine) as session:
            entry = self._append(session, now, kind, detail)
            session.commit()
            return entry

    def entries(self, most: int) -> tuple[ActivityEntry, ...]:
        """The newest `most` entries, oldest first."""
        with Session(self._engine) as session:
            rows = session.exec(select(EntryRow).order_by(col(EntryRow.index).desc()).limit(most)).all()
            return tuple(decode(ActivityEntry, row.raw) for row in reversed(rows))

    def _append(self, session: Session, now: float, kind: str, detail: str) -> ActivityEntry:
        row = session.exec(select(EntryRow).order_by(col(EntryRow.index).desc()).limit(1)).first()
        entry = entry_after(decode(ActivityEntry, row.raw) if row else None, int(now), kind, detail, self._domain)
        session.add(EntryRow(index=entry.index, raw=encode(entry)))
        session.flush()
        return entry

    # Statements

    def hold_ticket(self, ticket: Signed[UptimeTicket]) -> bool:
        """Holds a verified ticket if it adds to those held; whether it did."""
        with Session(self._engine) as session:
            held = self._statements(session, Signed[UptimeTicket], ticket.message.resolver, ticket.message.epoch)
            changed = self._replace(session, "resolver", ticket.message.resolver, ticket.message.epoch, held, keep(held, ticket))
            session.commit()
            return changed

    def hold_report(self, report: Signed[LatencyReport], now: float, detail: str) -> bool:
        """Holds a verified report if it adds to those held, and says so in the log; whether it did."""
        with Session(self._engine) as session:
            held = self._statements(session, Signed[LatencyReport], report.message.master, report.message.epoch)
            changed = self._replace(session, "master", report.message.master, report.message.epoch, held, keep(held, report))
            if changed:
                self._append(session, now, "measured", detail)
            session.commit()
            return changed

    def held(self, epoch: int) -> Held:
        """All statements held for an epoch, by signer, the newest of each first."""
        query = select(StatementRow).where(StatementRow.epoch == epoch).order_by(col(StatementRow.signer), col(StatementRow.place))
        with Session(self._engine) as session:
            rows = session.exec(query).all()
            return Held(
                tuple(decode(Signed[UptimeTicket], row.raw) for row in rows if row.role == "resolver"),
                tuple(decode(Signed[LatencyReport], row.raw) for row in rows if row.role == "master"),
            )

    @staticmethod
    def _statements(session: Session, kind: Any, signer: Address, epoch: int) -> list[Any]:
        query = select(StatementRow).where(StatementRow.signer == signer, StatementRow.epoch == epoch).order_by(col(StatementRow.place))
        return [decode(kind, row.raw) for row in session.exec(query).all()]

    @staticmethod
    def _replace(session: Session, role: str, signer: Address, epoch: int, held: list[Any], kept: tuple[Any, ...]) -> bool:
        if tuple(held) == kept:
            return False
        session.exec(delete(StatementRow).where(col(StatementRow.signer) == signer, col(StatementRow.epoch) == epoch))
        for place, signed in enumerate(kept):
            session.add(StatementRow(signer=signer, epoch=epoch, place=place, role=role, raw=encode(signed)))
        return True

    # Heartbeats and proofs

    def count_heartbeat(self, epoch: int) -> None:
        """One more heartbeat of the epoch was accepted."""
        with Session(self._engine) as session:
            row = session.get(EpochRow, epoch) or EpochRow(epoch=epoch)
            row.heartbeats += 1
            session.add(row)
            session.commit()

    def progress(self, epoch: int) -> Progress:
        with Session(self._engine) as session:
            row = session.get(EpochRow, epoch)
            return Progress(row.heartbeats, row.proven) if row else Progress()

    def keep_proof(self, signed: Signed[ActivityProof], now: float) -> StoredProof:
        """Stores a proof, which supersedes the open one of its epoch."""
        proof, digest, raw = signed.message, digest_of(signed.message, self._domain), encode(signed)
        with Session(self._engine) as session:
            for row in session.exec(select(ProofRow).where(ProofRow.epoch == proof.epoch, ProofRow.outcome == OPEN)).all():
                row.outcome = SUPERSEDED
                session.add(row)
            session.add(ProofRow(digest=digest, epoch=proof.epoch, sequence=proof.sequence, raw=raw))
            epoch = session.get(EpochRow, proof.epoch) or EpochRow(epoch=proof.epoch)
            epoch.proven = epoch.heartbeats
            session.add(epoch)
            self._append(session, now, "proof", f"epoch {proof.epoch} proof 0x{digest.hex()}")
            session.commit()
        return StoredProof(digest, signed, OPEN, raw)

    def newest_proof(self, epoch: int) -> StoredProof | None:
        query = select(ProofRow).where(ProofRow.epoch == epoch).order_by(col(ProofRow.sequence).desc()).limit(1)
        with Session(self._engine) as session:
            row = session.exec(query).first()
            return _stored(row) if row else None

    def newest_proofs(self, most: int) -> tuple[tuple[int, Digest, str], ...]:
        """Epoch, digest and outcome of the newest proof of each of the last `most` epochs that have one, newest first."""
        newest = select(ProofRow.epoch, func.max(ProofRow.sequence)).group_by(col(ProofRow.epoch)).order_by(col(ProofRow.epoch).desc())
        found = []
        with Session(self._engine) as session:
            for epoch, sequence in session.exec(newest.limit(most)).all():
                row = session.exec(select(ProofRow).where(ProofRow.epoch == epoch, ProofRow.sequence == sequence)).one()
                found.append((epoch, Digest(row.digest), row.outcome))
        return tuple(found)

    def proofs(self) -> tuple[StoredProof, ...]:
        """All of them, oldest epoch first, each epoch's in the order in which they were made."""
        query = select(ProofRow).order_by(col(ProofRow.epoch), col(ProofRow.sequence))
        with Session(self._engine) as session:
            return tuple(_stored(row) for row in session.exec(query).all())

    def open_proofs(self) -> tuple[StoredProof, ...]:
        """Those that are still to be receipted, oldest epoch first."""
        query = select(ProofRow).where(ProofRow.outcome == OPEN).order_by(col(ProofRow.epoch))
        with Session(self._engine) as session:
            return tuple(_stored(row) for row in session.exec(query).all())

    def close_proof(self, proof: StoredProof, outcome: str, now: float) -> None:
        """Ends the retries of a proof: `receipted` or `not_receipted`. Closing it again changes nothing."""
        with Session(self._engine) as session:
            row = session.get_one(ProofRow, proof.digest)
            if row.outcome != OPEN:
                return
            row.outcome = outcome
            session.add(row)
            self._append(session, now, outcome, f"epoch {proof.epoch} proof 0x{proof.digest.hex()}")
            session.commit()

    def keep_receipt(self, receipt: Signed[ProofReceipt]) -> None:
        """Stores a verified receipt; a validator's first one for a proof stays."""
        message = receipt.message
        with Session(self._engine) as session:
            if session.get(ReceiptRow, (message.proof, message.validator)) is None:
                session.add(ReceiptRow(proof=message.proof, validator=message.validator, raw=encode(receipt)))
                session.commit()

    def receipts(self, proof: Digest) -> tuple[Signed[ProofReceipt], ...]:
        """The receipts held for a proof, by validator."""
        query = select(ReceiptRow).where(ReceiptRow.proof == proof).order_by(col(ReceiptRow.validator))
        with Session(self._engine) as session:
            return tuple(decode(Signed[ProofReceipt], row.raw) for row in session.exec(query).all())

    def totals(self) -> Totals:
        with Session(self._engine) as session:
            heartbeats = session.exec(select(func.sum(EpochRow.heartbeats))).one()
            newest = session.exec(select(func.max(ProofRow.epoch))).one()
            by_outcome = dict(session.exec(select(ProofRow.outcome, func.count()).group_by(ProofRow.outcome)).all())
        return Totals(
            heartbeats or 0, sum(by_outcome.values()), by_outcome.get(RECEIPTED, 0), by_outcome.get(NOT_RECEIPTED, 0), newest or 0
        )


def _stored(row: ProofRow) -> StoredProof:
    return StoredProof(Digest(row.digest), decode(Signed[ActivityProof], row.raw), row.outcome, row.raw)
