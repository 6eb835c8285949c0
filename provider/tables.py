"""The provider's SQLite tables; only `provider.store` and `provider.sessions.store` see their rows.

Messages are kept as their canonical bytes.
"""

from __future__ import annotations

from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """Keeps these tables apart from those of other roles in one process."""


class EntryRow(Table, table=True):
    """The activity log."""

    __tablename__ = "activity"
    index: int = Field(primary_key=True)
    raw: bytes


class StatementRow(Table, table=True):
    """A verified ticket (role `resolver`) or report (role `master`) worth holding."""

    __tablename__ = "statement"
    signer: str = Field(primary_key=True)
    epoch: int = Field(primary_key=True, index=True)
    place: int = Field(primary_key=True)
    """0 for the newest of its signer."""
    role: str
    raw: bytes


class EpochRow(Table, table=True):
    """Accepted heartbeats of an epoch, and how many of them its newest proof came after."""

    __tablename__ = "epoch"
    epoch: int = Field(primary_key=True)
    heartbeats: int = 0
    proven: int = 0


class ProofRow(Table, table=True):
    """A signed proof. outcome: `open`, `receipted`, `not_receipted`, or `superseded` by a newer one of its epoch."""

    __tablename__ = "proof"
    digest: bytes = Field(primary_key=True)
    epoch: int = Field(index=True)
    sequence: int
    outcome: str = Field(default="open", index=True)
    raw: bytes


class ReceiptRow(Table, table=True):
    """A verified receipt of one validator."""

    __tablename__ = "receipt"
    proof: bytes = Field(primary_key=True)
    validator: str = Field(primary_key=True)
    raw: bytes


class StandingRow(Table, table=True):
    """What must never go back: the highest sequence used; with the presence of the newest start and the address it announced.

    address_since: the UTC second since which the address is announced, 0 if there was no other before it.
    """

    __tablename__ = "standing"
    id: int = Field(default=1, primary_key=True)
    provider: str
    sequence: int = 0
    presence_id: bytes = b""
    host: str = ""
    port: int = 0
    address_since: int = 0


class SessionRow(Table, table=True):
    """A consumer's session. opened, closed: UTC seconds. first, last: the epochs from and to which it is payable.

    reason: why it was closed, empty while it is open.
    up, down, duration, rtt_us: what the provider had served when it last wrote anything about the session.
    """

    __tablename__ = "session"
    session_id: bytes = Field(primary_key=True)
    consumer: str = Field(index=True)
    opened: int
    first: int
    last: int = Field(index=True)
    closed: int = 0
    reason: str = Field(default="", index=True)
    up: int = 0
    down: int = 0
    duration: int = 0
    rtt_us: int = 0
    claim: bytes


class DemandRow(Table, table=True):
    """A verified demand receipt."""

    __tablename__ = "session_demand"
    session_id: bytes = Field(primary_key=True)
    validator: str = Field(primary_key=True)
    raw: bytes


class UsageRow(Table, table=True):
    """The newest receipt (role `consumer`) or report (role `provider`) of a session in an epoch of its signer's."""

    __tablename__ = "session_usage"
    session_id: bytes = Field(primary_key=True)
    role: str = Field(primary_key=True)
    epoch: int = Field(primary_key=True, index=True)
    raw: bytes


class CreditRow(Table, table=True):
    """Bytes that a consumer may leave unreceipted, over all its sessions."""

    __tablename__ = "credit"
    consumer: str = Field(primary_key=True)
    credit: int


TABLES = (EntryRow, StatementRow, EpochRow, ProofRow, ReceiptRow, StandingRow, SessionRow, DemandRow, UsageRow, CreditRow)
