"""What a validator has promised of consumers' deposits: written before a demand receipt leaves, read after every restart.

Only promises that still bind are kept one by one; what is over becomes a few intervals a consumer, so the tables grow with the consumers
that have a deposit and not with their sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine, func
from sqlmodel import Session, col, delete, select

from chain.canonical import decode, encode
from chain.typed import Signed
from chain.types import Address, Digest
from validator.demand import Interval, Standing, check_interval, limit, merged
from validator.tables import BudgetRow, PromiseRow
from wire.messages import DemandReceipt
from wire.refusals import Refused

MOST_PROMISED = 1_024
"""Promises of one consumer that bind at once."""


@dataclass(frozen=True, slots=True)
class _Released:
    """The form in which intervals are kept."""

    intervals: tuple[Interval, ...]


class Ledger:
    """The promises of one validator's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def receipt(self, session_id: Digest) -> Signed[DemandReceipt] | None:
        """The receipt given for a session, as long as its promise binds."""
        with Session(self._engine) as session:
            row = session.get(PromiseRow, session_id)
            return decode(Signed[DemandReceipt], row.raw) if row is not None else None

    def look(self, consumer: Address, standing: Standing) -> tuple[int, int]:
        """Where the consumer's next interval may begin, and where it has to end at the latest, wei."""
        with Session(self._engine) as session:
            row = session.get(BudgetRow, consumer)
            if row is None:
                return 0, limit(standing, ())
            return int.from_bytes(row.next_from), limit(standing, self._released(session, row, standing))

    def promise(
        self,
        session_id: Digest,
        consumer: Address,
        wanted: Interval,
        epoch: int,
        standing: Standing,
        sign: Callable[[], Signed[DemandReceipt]],
    ) -> Signed[DemandReceipt]:
        """The receipt that `sign` makes, once it and what it binds are on disk; for a session that has one already that one.

        epoch: the validator's own now; one that has gone back counts as the last one. Raises `Refused` as `demand.check_interval` does, and
        `busy` while too many promises of the consumer bind.
        """
        with Session(self._engine) as session:
            known = session.get(PromiseRow, session_id)
            if known is not None:
                return decode(Signed[DemandReceipt], known.raw)
            row = session.get(BudgetRow, consumer, with_for_update=True) or BudgetRow(consumer=consumer)
            released = self._fold(session, row, standing)
            check_interval(wanted, int.from_bytes(row.next_from), limit(standing, released), standing)
            bound: int = session.exec(select(func.count()).where(PromiseRow.consumer == consumer)).one()
            if bound >= MOST_PROMISED:
                raise Refused("busy", f"{bound} sessions of this consumer are not settled yet", {"sessions": str(bound)})
            receipt = sign()
            row.next_from, row.epoch = wanted.end.to_bytes(32), max(row.epoch, epoch)
            start, end = wanted.start.to_bytes(32), wanted.end.to_bytes(32)
            session.add(row)
            session.add(PromiseRow(session_id=session_id, consumer=consumer, epoch=row.epoch, start=start, end=end, raw=encode(receipt)))
            session.commit()
            return receipt

    def _released(self, session: Session, row: BudgetRow, standing: Standing) -> tuple[Interval, ...]:
        query = select(PromiseRow).where(PromiseRow.consumer == row.consumer, PromiseRow.epoch < standing.released_before)
        newly = [Interval(int.from_bytes(one.start), int.from_bytes(one.end)) for one in session.exec(query).all()]
        return merged(decode(_Released, row.released).intervals if row.released else (), newly, standing.settled)

    def _fold(self, session: Session, row: BudgetRow, standing: Standing) -> tuple[Interval, ...]:
        """The released intervals, written down in place of the promises that they were."""
        released = self._released(session, row, standing)
        row.released = encode(_Released(released))
        of_consumer = col(PromiseRow.consumer) == row.consumer
        over = (col(PromiseRow.epoch) < standing.released_before) | (col(PromiseRow.end) <= standing.settled.to_bytes(32))
        session.exec(delete(PromiseRow).where(of_consumer, over))
        return released
