"""What a provider holds about its sessions, in the database of `provider.store`: the claim, the demand receipts that cover it, the newest
receipt and report of each epoch, what was served, and how much each consumer may leave unreceipted.

Every write is on disk when the call returns, but for receipts that were just answered, see `keep_answer` and `settle`. Signatures are
the caller's to check, and so is that the demand receipts are of listed validators. Times are UTC seconds; the epoch of a statement is
that of its signer's second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, delete, select

from chain.canonical import decode, encode
from chain.epochs import Timing
from chain.typed import Signed
from chain.types import Address, Digest
from provider.sessions.records import Served as Served
from provider.sessions.records import StoredSession as StoredSession
from provider.sessions.records import check_receipt, fee_by, fewest, is_after
from provider.tables import CreditRow, DemandRow, SessionRow, UsageRow
from runtime.database import quickly, settle
from wire.messages import DemandReceipt, SessionEvidence, UsageReceipt, UsageReport
from wire.refusals import Refused
from wire.sessions import DemandClaim, payable_epochs

CONSUMER, PROVIDER = "consumer", "provider"
REASON_CHARS = 40

_PUT = "INSERT OR REPLACE INTO session_usage (session_id, role, epoch, raw) VALUES (?, ?, ?, ?)"
_COUNT = "UPDATE session SET up = max(up, ?), down = max(down, ?), duration = max(duration, ?), rtt_us = ? WHERE session_id = ?"


class SessionStore:
    """The sessions of one provider; made by `Store.sessions`."""

    def __init__(self, engine: Engine, timing: Timing) -> None:
        self._engine, self._timing = engine, timing
        self._answered: dict[Digest, tuple[SessionRow, UsageReceipt | None, UsageReport | None]] = {}

    # A session's life

    def open(self, claim: DemandClaim, demand: Iterable[Signed[DemandReceipt]], stakes: Mapping[Address, int], now: float) -> StoredSession:
        """A session that is about to be served. One that is known already is left as it is, closed or not.

        stakes: wei, of the validators now. `Refused` (`not_covered`) if these receipts make it payable in no epoch.
        """
        demand, session_id = tuple(demand), claim.acceptance.message.session_id
        epochs = payable_epochs((signed.message for signed in demand), self._timing, stakes)
        if not epochs:
            raise Refused("not_covered", "", {"receipts": str(len(demand))})
        with Session(self._engine) as session:
            if session.get(SessionRow, session_id) is None:
                row = SessionRow(
                    session_id=session_id,
                    consumer=claim.request.message.consumer,
                    opened=int(now),
                    first=epochs[0],
                    last=epochs[-1],
                    claim=encode(claim),
                )
                session.add(row)
                _add_demand(session, session_id, demand)
            session.commit()
            return _stored(session, session.get_one(SessionRow, session_id))

    def add_demand(self, session_id: Digest, demand: Iterable[Signed[DemandReceipt]]) -> None:
        """Further receipts for a known session; a validator's first one stays."""
        with Session(self._engine) as session:
            _require(session, session_id)
            _add_demand(session, session_id, demand)
            session.commit()

    def close(self, session_id: Digest, reason: str, now: float) -> None:
        """Ends a session; the first reason stays. Receipts that come later are still kept: they are worth the same."""
        self._answered.pop(session_id, None)
        with Session(self._engine) as session:
            row = _require(session, session_id)
            if not row.reason:
                row.reason = reason[:REASON_CHARS] or "closed"
                row.closed = int(now)
                session.add(row)
                session.commit()

    def session(self, session_id: Digest) -> StoredSession | None:
        with Session(self._engine) as session:
            row = session.get(SessionRow, session_id)
            return _stored(session, row) if row is not None else None

    def open_sessions(self) -> tuple[StoredSession, ...]:
        """Those that were never closed, oldest first; after a crash they are closed with a last report of what is known to be served."""
        query = select(SessionRow).where(SessionRow.reason == "").order_by(col(SessionRow.opened), col(SessionRow.session_id))
        with Session(self._engine) as session:
            return tuple(_stored(session, row) for row in session.exec(query).all())

    # What each end says

    def keep_receipt(self, signed: Signed[UsageReceipt], served: Served, now: float) -> bool:
        """Stores a verified receipt with what had been served when it came; whether it is new, which the same one again is not.

        Raises `Refused`: `unknown_session`; `bad_receipt` if it is another consumer's, or its sequence, a counter or its time falls below
        an earlier one's; `stale_time` or `future_time` if it is of an epoch in which the session is not payable, or takes no proofs now.
        """
        receipt = signed.message
        self._answered.pop(receipt.session_id, None)
        with Session(self._engine) as session:
            row = _require(session, receipt.session_id)
            before = _newest(session, receipt.session_id, CONSUMER)
            check_receipt(receipt, Address(row.consumer), before.message if before is not None else None)
            if before is not None and before.message == receipt:
                return False
            self._check_epoch(receipt, row, now)
            _put(session, receipt.session_id, CONSUMER, self._timing.epoch_at(receipt.time), encode(signed))
            _count(row, served)
            session.add(row)
            session.commit()
            return True

    def keep_report(self, signed: Signed[UsageReport]) -> None:
        """Stores the provider's own report before it leaves. Its sequence is that of the receipt it answers; what it says was served is
        what is known to be. `ValueError` if it says less than the one before it."""
        report = signed.message
        self._answered.pop(report.session_id, None)
        with Session(self._engine) as session:
            row = _require(session, report.session_id)
            before = _newest(session, report.session_id, PROVIDER)
            if before is not None and not is_after(report, before.message):
                raise ValueError("a report never says less than the one before it")
            _put(session, report.session_id, PROVIDER, self._timing.epoch_at(report.time), encode(signed))
            _count(row, Served(report.bytes_up, report.bytes_down, report.duration, report.rtt_us))
            session.add(row)
            session.commit()

    def keep_answer(self, signed: Signed[UsageReceipt], answer: Signed[UsageReport], now: float) -> None:
        """What `keep_receipt` and `keep_report` do, as one write: the report answers the receipt. It raises what they raise.

        Plain SQL, what was kept last in memory, and no waiting for the disk: with 21 receipts a GiB this is what metering costs. A kill
        loses nothing. A power cut may lose what came since the last `settle`: money of the provider's alone, since a receipt that is gone
        was honoured already and is shown to no validator.
        """
        receipt, report = signed.message, answer.message
        name = receipt.session_id
        known = self._answered.get(name)
        if known is None:
            with Session(self._engine) as session:
                row = _require(session, name)
                before, reported = _newest(session, name, CONSUMER), _newest(session, name, PROVIDER)
                session.expunge(row)
            known = (row, before.message if before else None, reported.message if reported else None)
        row, before_receipt, before_report = known
        check_receipt(receipt, Address(row.consumer), before_receipt)
        self._check_epoch(receipt, row, now)
        if report.session_id != name or (before_report is not None and not is_after(report, before_report)):
            raise ValueError("a report never says less than the one before it")
        with quickly(self._engine) as cursor:
            for role, said, raw in ((CONSUMER, receipt.time, encode(signed)), (PROVIDER, report.time, encode(answer))):
                cursor.execute(_PUT, (name, role, self._timing.epoch_at(said), raw))
            cursor.execute(_COUNT, (report.bytes_up, report.bytes_down, report.duration, report.rtt_us, name))
        self._answered[name] = (row, receipt, report)

    def settle(self) -> None:
        """Has everything on disk; may be called from a thread of its own."""
        settle(self._engine)

    def receipt(self, session_id: Digest, epoch: int | None = None) -> Signed[UsageReceipt] | None:
        """The consumer's newest, overall or of an epoch."""
        with Session(self._engine) as session:
            found: Signed[UsageReceipt] | None = _newest(session, session_id, CONSUMER, epoch)
            return found

    def report(self, session_id: Digest, epoch: int | None = None) -> Signed[UsageReport] | None:
        """The own newest, overall or of an epoch."""
        with Session(self._engine) as session:
            found: Signed[UsageReport] | None = _newest(session, session_id, PROVIDER, epoch)
            return found

    # Credit

    def credit_of(self, consumer: Address) -> int | None:
        """Bytes that the consumer may leave unreceipted in all its sessions together; None for one never heard of."""
        with Session(self._engine) as session:
            row = session.get(CreditRow, consumer)
            return row.credit if row is not None else None

    def set_credit(self, consumer: Address, credit: int) -> None:
        with Session(self._engine) as session:
            session.merge(CreditRow(consumer=consumer, credit=credit))
            session.commit()

    # What a proof shows

    def evidence(
        self, epoch: int, stakes: Mapping[Address, int], most: int, proven: Collection[UsageReceipt] = ()
    ) -> tuple[SessionEvidence, ...]:
        """Of the sessions payable in `epoch`, the `most` with the highest fee outstanding, that one first.

        proven: what the epoch before was shown; newer receipts of that epoch, which came too late for it, are shown in this one.
        stakes: wei, of the validators at anchor(epoch - 1); as few demand receipts as cover the session are shown. A report that is older
        than the receipt is left out: it speaks of an earlier moment, and would hold back what was receipted since.
        """
        query = select(SessionRow).join(UsageRow, col(UsageRow.session_id) == col(SessionRow.session_id))
        found = []
        with Session(self._engine) as session:
            recent = col(UsageRow.epoch).in_((epoch - 1, epoch))
            for row in session.exec(query.where(UsageRow.role == CONSUMER, recent).distinct()).all():
                stored = _stored(session, row)
                of_epoch = _newest(session, stored.session_id, CONSUMER, epoch)
                receipt = of_epoch or _newest(session, stored.session_id, CONSUMER, epoch - 1)
                demand = fewest(stored.demand, epoch, self._timing, stakes)
                if receipt is None or not demand or receipt.message in proven:
                    continue
                report = _newest(session, stored.session_id, PROVIDER, self._timing.epoch_at(receipt.message.time))
                reports = (report,) if report is not None and report.message.sequence >= receipt.message.sequence else ()
                before = self._fee_before(session, stored, epoch) if of_epoch else 0
                outstanding = fee_by(stored, receipt, report) - before
                evidence = SessionEvidence(stored.claim.request, stored.claim.offer, demand, (receipt,), reports)
                found.append((-outstanding, stored.session_id, evidence))
        return tuple(evidence for *_, evidence in sorted(found, key=lambda one: one[:2])[:most])

    def forget(self, before_epoch: int) -> int:
        """Drops what no longer matters once epochs before `before_epoch` are settled: closed sessions payable in those alone; how many."""
        query = select(SessionRow).where(SessionRow.last < before_epoch, SessionRow.reason != "")
        with Session(self._engine) as session:
            old = session.exec(query).all()
            for row in old:
                session.exec(delete(DemandRow).where(col(DemandRow.session_id) == row.session_id))
                session.exec(delete(UsageRow).where(col(UsageRow.session_id) == row.session_id))
                session.delete(row)
            session.commit()
            return len(old)

    def _fee_before(self, session: Session, stored: StoredSession, epoch: int) -> int:
        receipt = _newest(session, stored.session_id, CONSUMER, epoch - 1)
        return fee_by(stored, receipt, _newest(session, stored.session_id, PROVIDER, epoch - 1)) if receipt is not None else 0

    def _check_epoch(self, receipt: UsageReceipt, row: SessionRow, now: float) -> None:
        epoch = self._timing.epoch_at(receipt.time)
        if epoch < row.first or now >= self._timing.intake_end(epoch):
            raise Refused(
                "stale_time", f"epoch {epoch} takes no receipt of this session now", {"time": str(receipt.time), "now": str(int(now))}
            )
        if epoch > row.last:
            raise Refused(
                "future_time", f"the session is payable until epoch {row.last}", {"time": str(receipt.time), "now": str(int(now))}
            )


def _require(session: Session, session_id: Digest) -> SessionRow:
    row = session.get(SessionRow, session_id)
    if row is None:
        raise Refused("unknown_session")
    return row


def _stored(session: Session, row: SessionRow) -> StoredSession:
    session_id = Digest(row.session_id)
    query = select(DemandRow.raw).where(DemandRow.session_id == session_id).order_by(col(DemandRow.validator))
    return StoredSession(
        session_id,
        decode(DemandClaim, row.claim),
        tuple(decode(Signed[DemandReceipt], raw) for raw in session.exec(query)),
        row.opened,
        (row.first, row.last),
        row.reason,
        Served(row.up, row.down, row.duration, row.rtt_us),
        _newest(session, session_id, CONSUMER),
        _newest(session, session_id, PROVIDER),
    )


def _add_demand(session: Session, session_id: Digest, demand: Iterable[Signed[DemandReceipt]]) -> None:
    for signed in demand:
        if signed.message.session_id != session_id:
            raise ValueError("a demand receipt is for another session")
        if session.get(DemandRow, (session_id, signed.message.validator)) is None:
            session.add(DemandRow(session_id=session_id, validator=signed.message.validator, raw=encode(signed)))
            session.flush()


def _newest(session: Session, session_id: Digest, role: str, epoch: int | None = None) -> Any:
    """The newest receipt or report, overall or of an epoch; times never fall, so that of the last epoch is the newest."""
    query = select(UsageRow.raw).where(UsageRow.session_id == session_id, UsageRow.role == role).order_by(col(UsageRow.epoch).desc())
    raw = session.exec(query.limit(1) if epoch is None else query.where(UsageRow.epoch == epoch)).first()
    return decode(Signed[UsageReceipt] if role == CONSUMER else Signed[UsageReport], raw) if raw is not None else None


def _put(session: Session, session_id: Digest, role: str, epoch: int, raw: bytes) -> None:
    session.merge(UsageRow(session_id=session_id, role=role, epoch=epoch, raw=raw))


def _count(row: SessionRow, served: Served) -> None:
    row.up, row.down = max(row.up, served.up), max(row.down, served.down)
    row.duration, row.rtt_us = max(row.duration, served.duration), served.rtt_us
