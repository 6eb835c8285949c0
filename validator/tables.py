"""The validator's SQLite tables; only `validator.archive`, `validator.journal` and `validator.ledger`
see their rows.

Digests and addresses are kept as bytes and text as they are in the messages; messages as their canonical bytes.
"""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class ProofRow(SQLModel, table=True):
    """A verified proof. sequence: 8 bytes, big-endian. receipt: the own one, None for a proof fetched from another validator.
    stranger: whether it counts towards the quota of strangers, see `validator.intake`."""

    __tablename__ = "validator_proof"
    digest: bytes = Field(primary_key=True)
    epoch: int = Field(index=True)
    provider: str = Field(index=True)
    sequence: bytes
    size: int
    stranger: bool
    raw: bytes
    receipt: bytes | None = None


class InventoryRow(SQLModel, table=True):
    """One signed inventory per validator and epoch, for ever; the own one included."""

    __tablename__ = "validator_inventory"
    epoch: int = Field(primary_key=True)
    validator: str = Field(primary_key=True)
    raw: bytes


class BlobRow(SQLModel, table=True):
    """A chunk or an index of a file, by its sha-256."""

    __tablename__ = "validator_blob"
    digest: bytes = Field(primary_key=True)
    content: bytes


class CandidateRow(SQLModel, table=True):
    """An attestation that was, or is about to be, recorded on chain by the proposer of its round."""

    __tablename__ = "validator_candidate"
    epoch: int = Field(primary_key=True)
    round: int = Field(primary_key=True)
    attestation: bytes


class JournalRow(SQLModel, table=True):
    """What this validator signs for an epoch and round: the key makes a second one impossible."""

    __tablename__ = "validator_journal"
    epoch: int = Field(primary_key=True)
    round: int = Field(primary_key=True)
    attestation: bytes


class AttestationRow(SQLModel, table=True):
    """A verified attestation, own ones included. The digest is in the key: a validator that signs two things is not hidden."""

    __tablename__ = "validator_attestation"
    epoch: int = Field(primary_key=True)
    round: int = Field(primary_key=True)
    validator: str = Field(primary_key=True)
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
    consumer: str = Field(primary_key=True)
    next_from: bytes = bytes(32)
    epoch: int = 0
    released: bytes = b""


class PromiseRow(SQLModel, table=True):
    """A demand receipt that still binds its interval. start, end: 32 bytes, big-endian."""

    __tablename__ = "validator_promise"
    session_id: bytes = Field(primary_key=True)
    consumer: str = Field(index=True)
    epoch: int
    start: bytes
    end: bytes
    raw: bytes


TABLES = (ProofRow, InventoryRow, BlobRow, CandidateRow, JournalRow, AttestationRow, ReportRow, BudgetRow, PromiseRow)
