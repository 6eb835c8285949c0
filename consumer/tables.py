"""The consumer's SQLite tables; only `consumer.store` sees their rows. Amounts that may exceed 63 bits are 32 bytes, big-endian."""

from __future__ import annotations

from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """Keeps these tables apart from those of other roles in one process."""


class ReservedRow(Table, table=True):
    """How far the consumer's lifetime authorised amount has been promised."""

    __tablename__ = "reserved"
    id: int = Field(default=1, primary_key=True)
    consumer: str
    until: bytes = bytes(32)


class TunnelRow(Table, table=True):
    """A session that was accepted. receipt: the newest, as sent; report: the provider's newest. reason: empty while it is open."""

    __tablename__ = "tunnel"
    session_id: bytes = Field(primary_key=True)
    provider: str
    region: str
    price: bytes
    budget_from: bytes
    budget_to: bytes
    opened: int = Field(index=True)
    closed: int = 0
    reason: str = Field(default="", index=True)
    receipt: bytes = b""
    report: bytes = b""


TABLES = (ReservedRow, TunnelRow)
