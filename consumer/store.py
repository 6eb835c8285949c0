"""What a consumer must never forget: how far its budget is promised, its sessions, and the newest receipt and report of each.

Every write is on disk when the call returns, and a receipt is kept before it leaves; but a receipt is not waited for until the disk has
it. A kill loses none. After a power cut the newest may be missing: the session is over then and nothing more is signed for it, so only
what is shown as its fee is too low, until the network's own count is read. There is no destination in here, and no host.
One store belongs to one account: opened for another it raises `ForeignStore`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, col, select

from chain.canonical import decode, encode
from chain.typed import Domain, Signed, digest_of
from chain.types import Address, Digest
from consumer.tables import TABLES, ReservedRow, TunnelRow
from runtime.database import open_database, quickly
from wire.messages import Offer, SessionRequest, UsageReceipt, UsageReport
from wire.refusals import Refused
from wire.sessions import fee_of, served_bytes
from wire.sessions import session_id as id_of

_SET_RECEIPT = "UPDATE tunnel SET receipt = ? WHERE session_id = ?"
_SET_REPORT = "UPDATE tunnel SET report = ? WHERE session_id = ?"


class ForeignStore(ValueError):
    """The folder holds another account's sessions; give this one its own."""


@dataclass(frozen=True, slots=True)
class KnownSession:
    """A session as it is on disk. region: the one asked for. price: wei per GiB; budget_from, budget_to: wei. opened, closed: UTC seconds,
    the latter 0 while it is open, as `reason` is empty."""

    session_id: Digest
    provider: Address
    region: str
    price: int
    budget_from: int
    budget_to: int
    opened: int
    closed: int
    reason: str
    receipt: Signed[UsageReceipt] | None
    report: Signed[UsageReport] | None

    @property
    def received(self) -> int:
        """Bytes both ways, by the own newest receipt."""
        return self.receipt.message.bytes_up + self.receipt.message.bytes_down if self.receipt else 0

    @property
    def reported(self) -> int:
        """Bytes both ways, by the provider's newest report. Not more than this, nor more than `received`, is paid."""
        return self.report.message.bytes_up + self.report.message.bytes_down if self.report else 0

    @property
    def fee(self) -> int:
        """Wei that the session costs as it stands, within its interval."""
        if self.receipt is None:
            return 0
        payload = served_bytes(self.receipt.message, self.report.message if self.report else None)
        return min(self.budget_to - self.budget_from, fee_of(self.price, payload))


class Store:
    """The database of one consumer's account."""

    def __init__(self, path: Path, consumer: Address, domain: Domain) -> None:
        self._engine, self._domain = open_database(path, TABLES, domain), domain
        self._receipts: dict[Digest, Signed[UsageReceipt]] = {}
        self._reports: dict[Digest, Signed[UsageReport]] = {}
        with Session(self._engine) as session:
            row = session.get(ReservedRow, 1)
            if row is None:
                session.add(ReservedRow(consumer=consumer))
                session.commit()
            elif row.consumer != consumer:
                self._engine.dispose()
                raise ForeignStore(f"{path} holds the sessions of {row.consumer}, the key is of {consumer}: give it another data_dir.")

    def close(self) -> None:
        self._engine.dispose()

    # The budget

    def reserve(self, amount: int, next_from: int, limit: int) -> tuple[int, int]:
        """The next interval of the lifetime authorised amount, wei: from the higher of `next_from` and all reserved here before, to at most
        `limit`; shorter than `amount` if that is nearer. `Refused` (`budget_not_covered`) if nothing is left below it."""
        with Session(self._engine) as session:
            row = session.get_one(ReservedRow, 1)
            begin = max(next_from, int.from_bytes(row.until))
            end = min(begin + amount, limit)
            if end <= begin:
                raise Refused("budget_not_covered", "", {"from": str(begin), "limit": str(limit)})
            row.until = end.to_bytes(32)
            session.add(row)
            session.commit()
            return begin, end

    def reserved_until(self) -> int:
        """Wei; everything below is promised."""
        with Session(self._engine) as session:
            return int.from_bytes(session.get_one(ReservedRow, 1).until)

    # Sessions

    def begin(self, request: SessionRequest, offer: Offer, now: float) -> Digest:
        """A session that is about to be accepted; its id. The same one again changes nothing."""
        session_id = id_of(request, offer, self._domain)
        if offer.request != digest_of(request, self._domain):
            raise ValueError("the offer is for another request")
        row = TunnelRow(
            session_id=session_id,
            provider=offer.provider,
            region=request.region,
            price=offer.price.to_bytes(32),
            budget_from=request.budget_from.to_bytes(32),
            budget_to=request.budget_to.to_bytes(32),
            opened=int(now),
        )
        with Session(self._engine) as session:
            if session.get(TunnelRow, session_id) is None:
                session.add(row)
                session.commit()
        return session_id

    def keep_receipt(self, signed: Signed[UsageReceipt]) -> None:
        """The newest receipt of a known session, with the report noted last; `ValueError` if it says less than the one before it."""
        name = signed.message.session_id
        before = self._receipts.get(name) or self._stored(name).receipt
        if before is not None and _falls(signed.message, before.message):
            raise ValueError("a receipt never says less than the one before it")
        self._write(name, _SET_RECEIPT, encode(signed))
        self._receipts[name] = signed

    def note_report(self, signed: Signed[UsageReport]) -> None:
        """The provider's newest verified report; an older one is passed over. It is written with the next receipt, or at the end: the
        provider holds it as well, and nothing is lost that was promised."""
        before = self._reports.get(signed.message.session_id)
        if before is None or not _falls(signed.message, before.message):
            self._reports[signed.message.session_id] = signed

    def _write(self, name: Digest, statement: str, value: bytes) -> None:
        """Plain SQL: with 21 receipts a GiB this is what metering costs."""
        report = self._reports.get(name)
        with quickly(self._engine) as cursor:
            cursor.execute(statement, (value, name))
            found = cursor.rowcount
            if report is not None:
                cursor.execute(_SET_REPORT, (encode(report), name))
        if not found:
            raise KeyError("no such session is known")

    def _stored(self, name: Digest) -> KnownSession:
        known = self.session(name)
        if known is None:
            raise KeyError("no such session is known")
        return known

    def end(self, session_id: Digest, reason: str, now: float) -> None:
        """Ends a session; the first reason stays."""
        with Session(self._engine) as session:
            row = session.get_one(TunnelRow, session_id)
            if not row.reason:
                row.reason, row.closed = reason or "done", int(now)
                report = self._reports.pop(session_id, None)
                row.report = encode(report) if report is not None else row.report
                session.add(row)
                session.commit()
        self._receipts.pop(session_id, None)

    def end_left_open(self, now: float) -> tuple[KnownSession, ...]:
        """Ends what a crash has left open, as `crashed`; those sessions. Their newest receipts are what they are settled by."""
        left = self.open_sessions()
        for one in left:
            self.end(one.session_id, "crashed", now)
        return left

    def session(self, session_id: Digest) -> KnownSession | None:
        with Session(self._engine) as session:
            row = session.get(TunnelRow, session_id)
            return _known(row) if row else None

    def sessions(self, most: int = 100) -> tuple[KnownSession, ...]:
        """The newest `most`, newest first."""
        with Session(self._engine) as session:
            rows = session.exec(select(TunnelRow).order_by(col(TunnelRow.opened).desc(), col(TunnelRow.budget_to).desc()).limit(most)).all()
            return tuple(_known(row) for row in rows)

    def open_sessions(self) -> tuple[KnownSession, ...]:
        """Those not ended, oldest first."""
        with Session(self._engine) as session:
            rows = session.exec(select(TunnelRow).where(TunnelRow.reason == "").order_by(col(TunnelRow.opened))).all()
            return tuple(_known(row) for row in rows)


def _falls(one: UsageReceipt | UsageReport, before: UsageReceipt | UsageReport) -> bool:
    return any(getattr(one, name) < getattr(before, name) for name in ("sequence", "bytes_up", "bytes_down", "duration", "time"))


def _known(row: TunnelRow) -> KnownSession:
    return KnownSession(
        Digest(row.session_id),
        Address(row.provider),
        row.region,
        int.from_bytes(row.price),
        int.from_bytes(row.budget_from),
        int.from_bytes(row.budget_to),
        row.opened,
        row.closed,
        row.reason,
        decode(Signed[UsageReceipt], row.receipt) if row.receipt else None,
        decode(Signed[UsageReport], row.report) if row.report else None,
    )
