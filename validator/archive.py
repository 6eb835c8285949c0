"""What a validator holds: proofs as received with its receipts for them, inventories, and files in chunks.

Every write is on disk when the call returns (`runtime.database`); nothing is kept that was not verified before. Proofs and chunks are
packed; a digest is always that of the unpacked bytes. What is old goes away, see `validator.pruning`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Engine, case, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select, update

from chain.canonical import decode, encode
from chain.typed import Signed
from chain.types import Address, Digest
from runtime.database import put_all_new, put_new
from validator.tables import BlobRow, InventoryRow, ProofRow, PrunedRow, ReceiptedRow
from validator.verification import VerifiedProof
from wire.agreement import FileIndex, InventoryEntry
from wire.files import CHUNK_BYTES, assemble, chunks_of, sha256
from wire.messages import ActivityProof, Inventory, ProofReceipt
from wire.packing import pack, unpack

AT_ONCE = 500
"""Digests in one question to the database."""
CHUNKS_AT_ONCE = 8
"""Chunks of a file in one transaction."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is held of one provider for one epoch. sequence: the highest accepted, -1 for none. size: bytes accepted."""

    sequence: int
    size: int


@dataclass(frozen=True, slots=True)
class Packed:
    """Bytes as they are kept. size: at most so many once they are unpacked."""

    frame: bytes
    size: int


class Archive:
    """The database of one validator, apart from what it signed about epochs (`validator.journal`). epoch: the one that it is now."""

    def __init__(self, engine: Engine, epoch: Callable[[], int] = lambda: 0) -> None:
        self._engine, self._epoch = engine, epoch

    # Proofs

    def holdings(self, provider: Address, epoch: int) -> Holdings:
        """Of the proofs that this validator receipted."""
        receipted = (ProofRow.provider == provider, ProofRow.epoch == epoch, col(ProofRow.receipt).is_not(None))
        newest = select(ProofRow.sequence).where(*receipted).order_by(col(ProofRow.sequence).desc()).limit(1)
        with Session(self._engine) as session:
            sequence = session.exec(newest).first()
            size = session.exec(select(func.sum(ProofRow.size)).where(*receipted)).one()
        return Holdings(-1 if sequence is None else int.from_bytes(sequence), int(size or 0))

    def stranger_bytes(self, epoch: int) -> int:
        """Bytes of all receipted proofs of the epoch that were marked as a stranger's."""
        query = select(func.sum(ProofRow.size)).where(
            ProofRow.epoch == epoch, col(ProofRow.stranger).is_(True), col(ProofRow.receipt).is_not(None)
        )
        with Session(self._engine) as session:
            return int(session.exec(query).one() or 0)

    def receipt(self, digest: Digest) -> Signed[ProofReceipt] | None:
        """The receipt this validator gave for a proof, None if it gave none."""
        with Session(self._engine) as session:
            row = session.get(ProofRow, digest)
            return decode(Signed[ProofReceipt], row.receipt) if row is not None and row.receipt is not None else None

    def keep_proof(
        self, digest: Digest, raw: bytes, proof: ActivityProof, receipt: Signed[ProofReceipt] | None = None, stranger: bool = False
    ) -> None:
        """Stores a verified proof's bytes, with the own receipt if there is one. A receipt once given stays; so do the bytes.

        stranger: whether it counts as one's (`stranger_bytes`); only what is receipted does."""
        with Session(self._engine) as session:
            put_new(session, ProofRow(**_row(digest, raw, proof, stranger)))
            if receipt is not None:
                without = (col(ProofRow.digest) == digest, col(ProofRow.receipt).is_(None))
                session.exec(update(ProofRow).where(*without).values(receipt=encode(receipt), stranger=stranger))
            session.commit()

    def keep_proofs(self, proofs: Sequence[VerifiedProof]) -> None:
        """Stores what others have served, all or none, without receipts; for more than a few this is much cheaper than one by one."""
        rows = [_row(one.digest, one.raw, one.signed.message, False) for one in proofs]
        with self._engine.begin() as connection:
            put_all_new(connection, ProofRow, rows)

    def proof(self, digest: Digest) -> bytes | None:
        """A proof's bytes as received."""
        found = self.packed_proof(digest)
        return None if found is None else unpack(found.frame, found.size)

    def proofs(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Those of these proofs that are held, as received, in no order."""
        with self._engine.connect() as connection:
            for start in range(0, len(digests), AT_ONCE):
                query = select(ProofRow.digest, ProofRow.packed, ProofRow.size)
                for digest, packed, size in connection.execute(query.where(col(ProofRow.digest).in_(digests[start : start + AT_ONCE]))):
                    yield Digest(digest), unpack(packed, size)

    def packed_proof(self, digest: Digest) -> Packed | None:
        with Session(self._engine) as session:
            row = session.get(ProofRow, digest)
            return None if row is None else Packed(row.packed, row.size)

    def proof_subjects(self, digests: Sequence[Digest]) -> dict[Digest, tuple[Address, int]]:
        """Provider and epoch of those of these proofs that are held; for more than a few this is much cheaper than one by one."""
        found: dict[Digest, tuple[Address, int]] = {}
        with Session(self._engine) as session:
            for start in range(0, len(digests), AT_ONCE):
                query = select(ProofRow.digest, ProofRow.provider, ProofRow.epoch)
                for digest, provider, epoch in session.exec(query.where(col(ProofRow.digest).in_(digests[start : start + AT_ONCE]))):
                    found[Digest(digest)] = Address(provider), epoch
        return found

    def proof_bytes(self, digests: Sequence[Digest]) -> int:
        """Of those of these proofs that are held."""
        with Session(self._engine) as session:
            some = (digests[start : start + AT_ONCE] for start in range(0, len(digests), AT_ONCE))
            sizes = (session.exec(select(func.sum(ProofRow.size)).where(col(ProofRow.digest).in_(one))).one() for one in some)
            return sum(int(size or 0) for size in sizes)

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
            put_new(session, InventoryRow(epoch=message.epoch, validator=message.validator, raw=encode(inventory)))
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
        """Stores a file in chunks, and then its index; its digest."""
        names: list[Digest] = []
        chunks = chunks_of(data)
        while some := self._keep(islice(chunks, CHUNKS_AT_ONCE)):
            names += some
        return self.keep_blob(encode(FileIndex(len(data), tuple(names))))

    def keep_blob(self, content: bytes) -> Digest:
        """Stores one chunk or index under the sha-256 of what it is."""
        return self._keep((content,))[0]

    def blob(self, digest: Digest) -> bytes | None:
        found = self.packed_blob(digest)
        return None if found is None else unpack(found.frame, found.size)

    def packed_blob(self, digest: Digest) -> Packed | None:
        with Session(self._engine) as session:
            row = session.get(BlobRow, digest)
            return None if row is None or row.packed is None else Packed(row.packed, CHUNK_BYTES)

    def has_blob(self, digest: Digest) -> bool:
        """Whether a chunk or index is here; much cheaper than its bytes."""
        query = select(BlobRow.digest).where(BlobRow.digest == digest, col(BlobRow.packed).is_not(None))
        with Session(self._engine) as session:
            return session.exec(query).first() is not None

    def file(self, digest: Digest) -> bytes | None:
        """A whole file, None while a piece is missing; `CodecError` if what has this digest is no file's index."""
        find: Callable[[Digest], bytes | None] = self.blob
        return assemble(digest, find)

    def _keep(self, blobs: Iterable[bytes]) -> list[Digest]:
        """Stores blobs, all or none; those that are here already are as if they had been stored now."""
        names, epoch = [], self._epoch()
        with Session(self._engine) as session:
            of = postgresql if self._engine.dialect.name == "postgresql" else sqlite
            for blob in blobs:
                names.append(name := sha256(blob))
                held = (col(BlobRow.digest) == name, col(BlobRow.packed).is_not(None))
                newest = case((col(BlobRow.epoch) < epoch, epoch), else_=col(BlobRow.epoch))
                if not session.exec(update(BlobRow).where(*held).values(epoch=newest)).rowcount:
                    packed = pack(blob)
                    stored = of.insert(BlobRow).values(digest=name, epoch=epoch, packed=packed)
                    session.exec(stored.on_conflict_do_update(index_elements=["digest"], set_={"epoch": epoch, "packed": packed}))
            session.commit()
        return names

    # What is gone

    def pruned_through(self) -> int:
        """The last epoch that has been pruned, or is being; 0 for none."""
        with Session(self._engine) as session:
            row = session.get(PrunedRow, 1)
            return 0 if row is None else row.through

    def pruned(self, digest: Digest) -> bool:
        """Whether this digest is of a receipted proof, a chunk or an index that was here and has been pruned."""
        with Session(self._engine) as session:
            blob = session.get(BlobRow, digest)
            return (blob is not None and blob.packed is None) or session.get(ReceiptedRow, digest) is not None


def _row(digest: Digest, raw: bytes, proof: ActivityProof, stranger: bool) -> dict[str, Any]:
    """What is stored of a proof, apart from a receipt."""
    return {
        "digest": digest,
        "epoch": proof.epoch,
        "provider": proof.provider,
        "sequence": proof.sequence.to_bytes(8),
        "size": len(raw),
        "stranger": stranger,
        "packed": pack(raw),
    }
