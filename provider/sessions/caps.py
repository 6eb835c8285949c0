"""When the operator lets the provider serve: hours of the day, and how much a day and a month. All in UTC.

What was carried survives a restart, but for what a crash loses: at most `FLUSH_BYTES`, or what a second carried.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel, delete

from chain.typed import Domain
from runtime.database import open_database

FLUSH_BYTES = 64 << 20


class Table(SQLModel, registry=registry()):
    """Keeps this table apart from those of other roles in one process."""


class CarriedRow(Table, table=True):
    """Payload bytes carried in a day `2026-11-26` or a month `2026-11`."""

    __tablename__ = "carried"
    period: str = Field(primary_key=True)
    size: int = 0


@dataclass(frozen=True, slots=True)
class Hours:
    """From minute `begin` of the day to minute `end`, exclusive; across midnight if `end` is not above `begin`."""

    begin: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Hours | None:
        """`22:00-06:30`; None for an empty text, that is always. `ValueError` otherwise."""
        if not text:
            return None
        begin, dash, end = text.partition("-")
        if not dash:
            raise ValueError(f"{text!r} is not of the form 22:00-06:30")
        return cls(_minute(begin), _minute(end) % 1440)

    def holds(self, now: float) -> bool:
        minute = int(now) % 86_400 // 60
        return self.begin <= minute < self.end if self.begin < self.end else minute >= self.begin or minute < self.end

    def next_begin(self, now: float) -> int:
        """The next UTC second at which they begin."""
        today = int(now) - int(now) % 86_400 + 60 * self.begin
        return today if today > now else today + 86_400


@dataclass(frozen=True, slots=True)
class Allowance:
    """day, month: the most payload bytes, 0 for no limit. hours: when to serve, None for always."""

    day: int = 0
    month: int = 0
    hours: Hours | None = None


class Caps:
    """Counts what is carried, and says whether more may be."""

    def __init__(self, path: Path, allowance: Allowance, domain: Domain) -> None:
        self._engine, self._allowance = open_database(path, (CarriedRow,), domain), allowance
        self._day = self._month = ""
        self._carried = {"day": 0, "month": 0}
        self._unwritten, self._number = 0, -1

    def close(self) -> None:
        """Writes what was counted."""
        if self._day:
            self._write()
        self._engine.dispose()

    def count(self, size: int, now: float) -> None:
        """So many more payload bytes were carried."""
        self._turn(now)
        self._carried["day"] += size
        self._carried["month"] += size
        self._unwritten += size
        if self._unwritten >= FLUSH_BYTES:
            self._write()

    def flush(self) -> None:
        if self._unwritten:
            self._write()

    def carried(self, now: float) -> tuple[int, int]:
        """Payload bytes of this day and of this month."""
        self._turn(now)
        return self._carried["day"], self._carried["month"]

    def refusal(self, now: float) -> str:
        """`cap_reached`, `outside_hours`, or nothing if more may be carried."""
        day, month = self.carried(now)
        allowed = self._allowance
        if (allowed.day and day >= allowed.day) or (allowed.month and month >= allowed.month):
            return "cap_reached"
        return "outside_hours" if allowed.hours is not None and not allowed.hours.holds(now) else ""

    def next_try(self, now: float) -> int:
        """The UTC second from which on more may be carried; now if it may already."""
        refusal, moment = self.refusal(now), datetime.fromtimestamp(int(now), UTC)
        if not refusal:
            return int(now)
        if refusal == "outside_hours" and self._allowance.hours is not None:
            return self._allowance.hours.next_begin(now)
        midnight = moment.replace(hour=0, minute=0, second=0)
        if self._allowance.month and self._carried["month"] >= self._allowance.month:
            return int((midnight.replace(day=1) + timedelta(days=32)).replace(day=1).timestamp())
        return int((midnight + timedelta(days=1)).timestamp())

    def _turn(self, now: float) -> None:
        """Goes on to the day and the month of `now`."""
        number = int(now) // 86_400
        if number == self._number:
            return
        today = datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%d")
        if self._day:
            self._write()
        self._number = number
        self._day, self._month = today, today[:7]
        with Session(self._engine) as session:
            for kind, period in (("day", self._day), ("month", self._month)):
                row = session.get(CarriedRow, period)
                self._carried[kind] = row.size if row else 0

    def _write(self) -> None:
        with Session(self._engine) as session:
            session.exec(delete(CarriedRow))
            session.add(CarriedRow(period=self._day, size=self._carried["day"]))
            session.add(CarriedRow(period=self._month, size=self._carried["month"]))
            session.commit()
        self._unwritten = 0


def _minute(text: str) -> int:
    hour, colon, minute = text.strip().partition(":")
    if not (colon and hour.isascii() and hour.isdigit() and minute.isascii() and minute.isdigit()):
        raise ValueError(f"{text!r} is not a time such as 22:00")
    if int(hour) > 24 or int(minute) > 59 or 60 * int(hour) + int(minute) > 1440:
        raise ValueError(f"{text!r} is not a time of the day")
    return 60 * int(hour) + int(minute)
