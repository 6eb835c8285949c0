"""What a validator holds: proofs as received with its receipts for them, inventories, and files in chunks.

Every write is on disk when the call returns (SQLite with `synchronous=FULL`); nothing is kept that was not verified before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from chain.canonical import decode, encode
from chain.typed import Signed
from chain.types import Address, Digest
from validator.files import assemble, chunks_of, file_digest, index_of, sha256
from validator.tables import BlobRow, InventoryRow, ProofRow
from wire.agreement import InventoryEntry
from wire.messages import ActivityProof, Inventory, ProofReceipt

AT_ONCE = 500
"""Digests in one question to the database."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is held of one provider for one epoch. sequence: the highest accepted, -1 for none. size: bytes accepted."""

    sequence: int
    size: int


class Archive:
    """The database of one validator, apart from what it signed about epochs (`validator.journal`)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # Proofs

    def holdings(self, provider: Address, epoch: int) -> Holdings:
        """Of the proofs that this validator receipted."""
        query = select(func.max(ProofRow.sequence), func.sum(ProofRow.size)).where(
            ProofRow.provider == provider, ProofRow.epoch == epoch, col(ProofRow.receipt).is_not(None)
        )
        with Session(self._engine) as session:
            found: tuple[bytes | None, int | None] = session.exec(query).one()
        sequence, size = found
        return Holdings(-1 if sequence is None else int.from_bytes(sequence), size or 0)

    def stranger_bytes(self, epoch: int) -> int:
        """Bytes of all receipted proofs of the epoch that were marked as a stranger's."""
        query = select(func.sum(ProofRow.size)).where(
            ProofRow.epoch == epoch, col(ProofRow.stranger).is_(True), col(ProofRow.receipt).is_not(None)
        )
        with Session(self._engine) as session:
            return session.exec(query).one() or 0

    def receipt(self, digest: Digest) -> Signed[ProofReceipt] | None:
        """The receipt this validator gave for a proof, None if it gave none."""
        with Session(self._engine) as session:
            row = session.get(ProofRow, digest)
            return decode(Signed[ProofReceipt], row.receipt) if row is not None and row.receipt is not None else None

    def keep_proof(
        self, digest: Digest, raw: bytes, proof: ActivityProof, receipt: Signed[ProofReceipt] | None = None, stranger: bool = False
    ) -> None:
        """Stores a verified proof's bytes, with the own receipt if there is one. A receipt once given stays; so do the bytes."""
        with Session(self._engine) as session:
            row = session.get(ProofRow, digest)
            if row is None:
                row = ProofRow(
                    digest=digest,
                    epoch=proof.epoch,
                    provider=proof.provider,
                    sequence=proof.sequence.to_bytes(8),
                    size=len(raw),
                    stranger=stranger,
                    raw=raw,
                )
            if receipt is not None and row.receipt is None:
                row.receipt = encode(receipt)
            session.add(row)
            session.commit()

    def proof(self, digest: Digest) -> bytes | None:
        """A proof's bytes as received."""
        with Session(self._engine) as session:
            row = session.get(ProofRow, digest)
            return row.raw if row is not None else None

    def proof_subjects(self, digests: Sequence[Digest]) -> dict[Digest, tuple[Address, int]]:
        """Provider and epoch of those of these proofs that are held; for more than a few this is much cheaper than one by one."""
        found: dict[Digest, tuple[Address, int]] = {}
        with Session(self._engine) as session:
            for start in range(0, len(digests), AT_ONCE):
                query = select(ProofRow.digest, ProofRow.provider, ProofRow.epoch)
                for digest, provider, epoch in session.exec(query.where(col(ProofRow.digest).in_(digests[start : start + AT_ONCE]))):
                    found[Digest(digest)] = Address(provider), epoch
        return found

    def newest_proofs(self, epoch: int) -> tuple[InventoryEntry, ...]:
        """The newest receipted proof of each provider, ascending by address."""
        query = (
            select(ProofRow.provider, ProofRow.sequence, ProofRow.digest)
            .where(ProofRow.epoch == epoch, col(ProofRow.receipt).is_not(None))
            .order_by(col(ProofRow.provider), col(ProofRow.sequence))
        )
        with Session(self._engine) as session:
            newest = {provider: digest for provider, _, digest in session.exec(query)}
        return tuple(InventoryEntry(Address(provider), Digest(digest)) for provider, digest in newest.items())

    # Inventories

    def keep_inventory(self, inventory: Signed[Inventory]) -> None:
        """Stores a verified inventory; the first one of a validator and epoch stays."""
        message = inventory.message
        with Session(self._engine) as session:
            if session.get(InventoryRow, (message.epoch, message.validator)) is None:
                session.add(InventoryRow(epoch=message.epoch, validator=message.validator, raw=encode(inventory)))
                session.commit()

    def inventory(self, epoch: int, validator: Address) -> Signed[Inventory] | None:
        with Session(self._engine) as session:
            row = session.get(InventoryRow, (epoch, validator))
            return decode(Signed[Inventory], row.raw) if row is not None else None

    def inventories(self, epoch: int) -> tuple[Signed[Inventory], ...]:
        """All that are held for an epoch, ascending by validator."""
        query = select(InventoryRow.raw).where(InventoryRow.epoch == epoch).order_by(col(InventoryRow.validator))
        with Session(self._engine) as session:
            return tuple(decode(Signed[Inventory], raw) for raw in session.exec(query))

    # Files

    def keep_file(self, data: bytes) -> Digest:
        """Stores a file in chunks; its digest."""
        with Session(self._engine) as session:
            for blob in (*chunks_of(data), encode(index_of(data))):
                if session.get(BlobRow, sha256(blob)) is None:
                    session.add(BlobRow(digest=sha256(blob), content=blob))
                    session.flush()
            session.commit()
        return file_digest(data)

    def keep_blob(self, content: bytes) -> Digest:
        """Stores one chunk or index under the sha-256 of what it is."""
        digest = sha256(content)
        with Session(self._engine) as session:
            if session.get(BlobRow, digest) is None:
                session.add(BlobRow(digest=digest, content=content))
                session.commit()
        return digest

    def blob(self, digest: Digest) -> bytes | None:
        with Session(self._engine) as session:
            row = session.get(BlobRow, digest)
            return row.content if row is not None else None

    def file(self, digest: Digest) -> bytes | None:
        """A whole file, None while a piece is missing; `CodecError` if what has this digest is no file's index."""
        find: Callable[[Digest], bytes | None] = self.blob
        return assemble(digest, find)
