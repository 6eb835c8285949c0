"""How a process lives: repeated duties, a clock that tests move, databases that belong to one network."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from sqlmodel import Field, Session, SQLModel

from chain.errors import Recoverable
from chain.typed import Domain
from chain.types import Address
from runtime.clock import ManualClock
from runtime.database import open_database
from runtime.loop import every, run
from runtime.storage import DatabaseMismatch


class Away(Exception):
    """An error that is not recoverable."""


class Later(Recoverable):
    """One that is."""


def test_a_duty_goes_on_after_what_is_recoverable_and_stops_when_told() -> None:
    async def run() -> list[float]:
        clock, stop, times = ManualClock(100.0), asyncio.Event(), []

        async def step() -> None:
            times.append(clock.now())
            if len(times) == 2:
                raise Later

        duty = asyncio.create_task(every(10.0, step, stop, clock))
        await clock.advance(35.0)
        stop.set()
        await duty
        return times

    assert asyncio.run(run()) == [100.0, 110.0, 120.0, 130.0]


def test_any_other_error_ends_the_duty() -> None:
    async def run() -> None:
        async def step() -> None:
            raise Away

        with pytest.raises(Away):
            await every(1.0, step, asyncio.Event(), ManualClock(0.0))

    asyncio.run(run())


def test_daemons_that_carry_data_run_on_the_faster_loop() -> None:
    async def loop() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert run(loop()) == "uvloop"


def test_sleepers_wake_at_their_own_instants_in_order() -> None:
    async def run() -> list[tuple[str, float]]:
        clock, woken = ManualClock(0.0), list[tuple[str, float]]()

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.now()))

        tasks = [asyncio.create_task(sleeper(name, seconds)) for name, seconds in (("b", 20.0), ("a", 10.0), ("c", 50.0))]
        await clock.advance(30.0)
        seen = list(woken)
        await clock.advance(30.0)
        await asyncio.gather(*tasks)
        assert woken[-1] == ("c", 50.0)
        return seen

    assert asyncio.run(run()) == [("a", 10.0), ("b", 20.0)]


class Row(SQLModel, table=True):
    __tablename__ = "test_life_row"

    id: int = Field(primary_key=True)


def test_a_database_belongs_to_one_network_and_to_its_owner(tmp_path: Path) -> None:
    file, domain = tmp_path / "node" / "x.sqlite", Domain(1, Address("0x" + "11" * 20))
    engine = open_database(file, [Row], domain)
    with Session(engine) as session:
        session.add(Row(id=7))
        session.commit()
    engine.dispose()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    again = open_database(file, [Row], domain)
    with Session(again) as session:
        assert session.get(Row, 7) is not None
    again.dispose()
    with pytest.raises(DatabaseMismatch, match=r"1/0x11.* 2/0x11"):
        open_database(file, [Row], Domain(2, domain.settlement))
