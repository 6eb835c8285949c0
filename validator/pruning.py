"""Lets go of what is older than the operator keeps, a little at a time, so that it may be stopped anywhere and holds nothing up.

What has a later use stays, whatever is set: all that was ever signed or promised here, statements that prove that somebody signed twice,
the digests of receipted proofs, of every file its index, the newest active root and its pending successor with all their evidence, and
the state that the oldest root that is kept was built on, so that it can still be recomputed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from sqlalchemy import Engine, exists, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, delete, select, update

from chain.canonical import decode
from chain.epochs import Timing
from chain.errors import CodecError
from chain.events import Posted
from chain.messages import EpochAttestation
from chain.typed import Signed
from chain.types import Address, Digest
from chain.view import ChainView
from runtime.database import put_new
from validator.archive import Archive
from validator.journal import KEPT_EPOCHS
from validator.sight import Sight
from validator.tables import AttestationRow, BlobRow, CandidateRow, InventoryRow, ProofRow, PrunedRow, ReceiptedRow
from wire.files import parse_index
from wire.messages import Inventory

AT_ONCE = 500
"""Proofs or blobs in one transaction."""
A_STEP = 8
"""Transactions in one step."""


def prunable(view: ChainView, retention_s: int) -> Posted | None:
    """The newest root of which the evidence, and of all the epochs before, may go: it has been active for `retention_s`, and another one is
    active by now. None if there is none."""
    second = view.block.timestamp
    active = [root for root in view.roots() if root.active_at <= second]
    return next((root for root in reversed(active[:-1]) if root.active_at + retention_s <= second), None)


class Pruning:
    """The pruning of one validator's database. sight: the newest one, None before the first. retention_epochs: 0 prunes nothing.
    reached: is told `pruned` after each transaction."""

    def __init__(
        self,
        engine: Engine,
        archive: Archive,
        me: Address,
        timing: Timing,
        retention_epochs: int,
        sight: Callable[[], Sight | None],
        reached: Callable[[str], None],
    ) -> None:
        self._engine, self._archive, self._me, self._timing = engine, archive, me, timing
        self.retention_epochs, self._sight, self._reached = retention_epochs, sight, reached
        # What follows is only remembered to save work.
        self._done = 0
        self._seen: ChainView | None = None
        self._swept: tuple[int, Digest] = 0, Digest(b"")

    async def step(self) -> None:
        """Prunes some of what may go; whether anything is left is found out by the next step."""
        sight = self._sight()
        if not self.retention_epochs or sight is None or sight.view is self._seen:
            return
        view = sight.view
        last = prunable(view, self.retention_epochs * self._timing.epoch_length)
        if last is None or last.epoch == self._done:
            self._seen = view
            return
        kept = cache(lambda: frozenset(self._kept(view, last)))  # anew in each step: more may be held by then
        for _ in range(A_STEP):
            if not await asyncio.to_thread(self._some, view, last, kept):
                self._done = last.epoch
                return
            self._reached("pruned")

    def _some(self, view: ChainView, last: Posted, kept: Callable[[], frozenset[Digest]]) -> bool:
        """One transaction; whether there was anything to do. What goes is said to be gone before it goes."""
        through = last.through
        attested = min(through, self._timing.epoch_at(view.block.timestamp) - KEPT_EPOCHS)
        return self._announce(through) or self._proofs(through) or self._said(through, attested) or self._blobs(last, kept)

    def _announce(self, through: int) -> bool:
        with Session(self._engine) as session:
            row = session.get(PrunedRow, 1) or PrunedRow(through=0)
            if row.through >= through:
                return False
            row.through = through
            session.add(row)
            session.commit()
        return True

    def _proofs(self, through: int) -> bool:
        query = select(ProofRow.digest, ProofRow.epoch, col(ProofRow.receipt).is_not(None)).where(ProofRow.epoch <= through)
        with Session(self._engine) as session:
            found = session.exec(query.limit(AT_ONCE)).all()
            for digest, epoch, receipted in found:
                if receipted:
                    put_new(session, ReceiptedRow(digest=digest, epoch=epoch))
            session.exec(delete(ProofRow).where(col(ProofRow.digest).in_([digest for digest, _, _ in found])))
            session.commit()
        return bool(found)

    def _said(self, through: int, attested: int) -> bool:
        """Inventories and candidates of one epoch, or attestations: there are few. The own ones stay."""
        other = aliased(AttestationRow)
        again = exists().where(
            col(other.epoch) == AttestationRow.epoch,
            col(other.round) == AttestationRow.round,
            col(other.validator) == AttestationRow.validator,
            col(other.digest) != AttestationRow.digest,
        )
        return (
            self._oldest(InventoryRow, through, col(InventoryRow.validator) != self._me)
            or self._oldest(CandidateRow, through)
            or self._oldest(AttestationRow, attested, col(AttestationRow.validator) != self._me, ~again)
        )

    def _oldest(self, table: Any, through: int, *which: Any) -> bool:
        """Deletes these rows of the oldest epoch that has any up to `through`; whether there were any."""
        with Session(self._engine) as session:
            epoch = session.exec(select(func.min(table.epoch)).where(table.epoch <= through, *which)).one()
            if epoch is None:
                return False
            session.exec(delete(table).where(table.epoch == epoch, *which))
            session.commit()
        return True

    def _blobs(self, last: Posted, kept: Callable[[], frozenset[Digest]]) -> bool:
        """Takes the bytes of blobs that were last stored before the last root to go was active, and that nothing has which is kept."""
        after = self._swept[1] if self._swept[0] == last.epoch else Digest(b"")
        old = (col(BlobRow.epoch) <= self._timing.epoch_at(last.active_at), col(BlobRow.packed).is_not(None))
        with Session(self._engine) as session:
            while True:
                query = select(BlobRow.digest).where(*old, col(BlobRow.digest) > after)
                found = session.exec(query.order_by(col(BlobRow.digest)).limit(AT_ONCE)).all()
                if not found:
                    return False
                after = Digest(found[-1])
                gone = [digest for digest in found if Digest(digest) not in kept()]
                if gone:  # unless one was stored again meanwhile
                    session.exec(update(BlobRow).where(*old, col(BlobRow.digest).in_(gone)).values(packed=None))
                    session.commit()
                    self._swept = last.epoch, after
                    return True

    def _kept(self, view: ChainView, last: Posted) -> Iterable[Digest]:
        """The blobs of every file that is kept, and the indices of those that are not."""
        for posted in view.posted:
            yield from (posted.state_digest, posted.manifest_digest)
            if posted.epoch >= last.epoch:
                yield from self._file(posted.state_digest)
            if posted.epoch > last.epoch:
                yield from self._file(posted.manifest_digest)
        with Session(self._engine) as session:
            inventories = session.exec(select(InventoryRow.raw).where(InventoryRow.epoch > last.through)).all()
            candidates = session.exec(select(CandidateRow.attestation).where(CandidateRow.epoch > last.through)).all()
        for raw in inventories:
            inventory: Signed[Inventory] = decode(Signed[Inventory], raw)
            yield from self._file(inventory.message.index_digest)
        for raw in candidates:
            candidate: EpochAttestation = decode(EpochAttestation, raw)
            yield from (*self._file(candidate.manifest_digest), *self._file(candidate.state_digest))

    def _file(self, digest: Digest) -> Iterable[Digest]:
        yield digest
        index = self._archive.blob(digest)
        if index is not None:
            try:
                yield from parse_index(index).chunks
            except CodecError:
                return  # no file has this digest
