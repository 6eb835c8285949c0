"""Duties that know when they are due, and errands that hold up nobody."""

from __future__ import annotations

import asyncio

import pytest

from chain.errors import Recoverable
from provider.duties import Duty, Errands
from runtime.clock import ManualClock


def test_a_duty_runs_when_it_said_when_woken_and_after_a_recoverable_error() -> None:
    async def scene() -> None:
        clock, turns = ManualClock(1_000.0), []

        async def step() -> float:
            turns.append(clock.now())
            if len(turns) == 3:
                raise Recoverable("silence")
            return clock.now() + 10.0

        duty = Duty(step, clock, pause_s=4.0)
        task = asyncio.create_task(duty.run())
        await clock.advance(12.0, settle=0.01)
        assert turns == [1_000.0, 1_010.0]
        duty.wake()
        await clock.advance(0.0, settle=0.01)
        assert turns == [1_000.0, 1_010.0, 1_012.0]
        await clock.advance(5.0, settle=0.01)
        assert turns[3:] == [1_016.0]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())


def test_a_duty_that_is_woken_while_it_works_has_another_turn_at_once() -> None:
    async def scene() -> None:
        clock, turns = ManualClock(1_000.0), []

        async def step() -> float:
            turns.append(clock.now())
            if len(turns) == 1:
                duty.wake()
            return clock.now() + 10.0

        duty = Duty(step, clock, pause_s=4.0)
        task = asyncio.create_task(duty.run())
        await clock.advance(1.0, settle=0.01)
        assert turns == [1_000.0, 1_000.0]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())


def test_an_error_that_is_not_recoverable_ends_the_daemon() -> None:
    async def scene() -> None:
        async def step() -> float:
            raise KeyError("a mistake")

        async def errand() -> None:
            raise KeyError("another")

        with pytest.raises(KeyError, match="a mistake"):
            await Duty(step, ManualClock(0.0), 1.0).run()

        async def daemon() -> None:
            errands = Errands()
            async with asyncio.TaskGroup() as group:
                errands.group = group
                errands.start("x", errand)

        with pytest.raises(ExceptionGroup) as caught:
            await daemon()
        assert caught.group_contains(KeyError, match="another")

    asyncio.run(scene())


def test_errands_go_on_side_by_side_one_of_a_name() -> None:
    async def scene() -> None:
        errands, gate, done, woken = Errands(), asyncio.Event(), [], []

        async def slow() -> None:
            await gate.wait()
            done.append("slow")

        async def quick() -> None:
            done.append("quick")
            raise Recoverable("it failed, and is over")

        errands.woken = lambda: woken.append(tuple(done))
        with pytest.raises(RuntimeError, match="task group"):
            errands.start("early", quick)
        async with asyncio.TaskGroup() as group:
            errands.group = group
            for _ in range(3):
                errands.start("slow", slow)
            errands.start("quick", quick)
            for _ in range(5):
                await asyncio.sleep(0)
            assert "slow" in errands
            assert "quick" not in errands
            gate.set()
        assert done == ["quick", "slow"]
        assert len(woken) == 2

    asyncio.run(scene())


def test_errands_can_be_ended() -> None:
    async def scene() -> None:
        errands = Errands()
        async with asyncio.TaskGroup() as group:
            errands.group = group
            errands.start("for ever", asyncio.Event().wait)  # type: ignore[arg-type]
            await asyncio.sleep(0)
            errands.cancel()
        assert "for ever" not in errands

    asyncio.run(scene())
