"""The validator's tables, in SQLite or PostgreSQL; only `validator.archive`, `validator.pruning`, `validator.journal` and
`validator.ledger` see their rows.

Digests and addresses are kept as bytes and text as they are in the messages; messages as their canonical bytes. What is called packed is
a frame of `wire.packing`. Both databases compare and order bytes and text byte by byte, and hold numbers up to 2^63.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlmodel import Field, SQLModel

TEXT = String().with_variant(String(collation="C"), "postgresql")
"""Ordered by its bytes, whatever the language that the database was made for."""


class ProofRow(SQLModel, table=True):
    """A verified proof. sequence: 8 bytes, big-endian. size: bytes of the proof. receipt: the own one, None for a proof fetched from
    another validator. stranger: whether it counts towards the quota of strangers, see `validator.intake`."""

    __tablename__ = "validator_proof"
    digest: bytes = Field(primary_key=True)
    epoch: int = Field(index=True, sa_type=BigInteger)
    provider: str = Field(index=True, sa_type=TEXT)
    sequence: bytes
    size: int = Field(sa_type=BigInteger)
    stranger: bool
    packed: bytes
    receipt: bytes | None = None


class ReceiptedRow(SQLModel, table=True):
    """A proof that was receipted, and has been pruned."""

    __tablename__ = "validator_receipted"
    digest: bytes = Field(primary_key=True)
    epoch: int = Field(sa_type=BigInteger)


class InventoryRow(SQLModel, table=True):
    """One signed inventory per validator and epoch, for ever; the own one included."""

    __tablename__ = "validator_inventory"
    epoch: int = Field(primary_key=True, sa_type=BigInteger)
    validator: str = Field(primary_key=True, sa_type=TEXT)
    raw: bytes


class BlobRow(SQLModel, table=True):
    """A chunk or an index of a file, by its sha-256. epoch: the one in which it was last stored. packed: None once it has been pruned."""

    __tablename__ = "validator_blob"
    digest: bytes = Field(primary_key=True)
    epoch: int = Field(index=True, sa_type=BigInteger)
    packed: bytes | None = None


class PrunedRow(SQLModel, table=True):
    """Up to which epoch what is old has been pruned, or is being."""

    __tablename__ = "validator_pruned"
    id: int = Field(default=1, primary_key=True)
    through: int = Field(sa_type=BigInteger)


class BeginningRow(SQLModel, table=True):
    """When the database was made, in UTC seconds: it knows nothing of what this validator accepted or signed before."""

    __tablename__ = "validator_beginning"
    id: int = Field(default=1, primary_key=True)
    second: int = Field(sa_type=BigInteger)


class CandidateRow(SQLModel, table=True):
    """An attestation that was, or is about to be, recorded on chain by the proposer of its round."""

    __tablename__ = "validator_candidate"
    epoch: int = Field(primary_key=True, sa_type=BigInteger)
    round: int = Field(primary_key=True, sa_type=BigInteger)
    attestation: bytes


class JournalRow(SQLModel, table=True):
    """What this validator signs for an epoch and round: the key makes a second one impossible."""

    __tablename__ = "validator_journal"
    epoch: int = Field(primary_key=True, sa_type=BigInteger)
    round: int = Field(primary_key=True, sa_type=BigInteger)
    attestation: bytes


class AttestationRow(SQLModel, table=True):
    """A verified attestation, own ones included. The digest is in the key: a validator that signs two things is not hidden."""

    __tablename__ = "validator_attestation"
    epoch: int = Field(primary_key=True, sa_type=BigInteger)
    round: int = Field(primary_key=True, sa_type=BigInteger)
    validator: str = Field(primary_key=True, sa_type=TEXT)
    digest: bytes = Field(primary_key=True)
    raw: bytes


class ReportRow(SQLModel, table=True):
    """The secret of a commitment to a fraud's evidence: whoever loses it has to commit anew and comes later. name: the proof's."""

    __tablename__ = "validator_report"
    evidence: bytes = Field(primary_key=True)
    name: str
    salt: bytes


class BudgetRow(SQLModel, table=True):
    """What was ever promised of a consumer's deposit. next_from: 32 bytes, the end of the last interval. epoch: of the last promise.
    released: intervals that are over, in the form of `validator.ledger`; empty for none."""

    __tablename__ = "validator_budget"
    consumer: str = Field(primary_key=True, sa_type=TEXT)
    next_from: bytes = bytes(32)
    epoch: int = Field(default=0, sa_type=BigInteger)
    released: bytes = b""


class PromiseRow(SQLModel, table=True):
    """A demand receipt that still binds its interval. start, end: 32 bytes, big-endian."""

    __tablename__ = "validator_promise"
    session_id: bytes = Field(primary_key=True)
    consumer: str = Field(index=True, sa_type=TEXT)
    epoch: int = Field(sa_type=BigInteger)
    start: bytes
    end: bytes
    raw: bytes


TABLES = (
    ProofRow,
    ReceiptedRow,
    InventoryRow,
    BlobRow,
    PrunedRow,
    BeginningRow,
    CandidateRow,
    JournalRow,
    AttestationRow,
    ReportRow,
    BudgetRow,
    PromiseRow,
)
