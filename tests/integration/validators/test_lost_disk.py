"""A validator that lost its database: it does not know what it signed and accepted, so it signs nothing that it may have signed before."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from tests.validators import a_world


def test_a_lost_journal_signs_only_epochs_that_are_still_to_be_closed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            victim = world.proposer(1, 1)
            others = [seat for seat in world.seats if seat is not victim]
            await world.hand_in(1)
            await world.move_to(world.network.timing.intake_end(1))
            await world.step(world.seats)
            await world.stop(victim)
            shutil.rmtree(victim.folder)
            await world.start(victim)
            victim.reached.clear()
            await world.until_posted(1)
            for _ in range(3):
                await world.step(world.seats)
            assert victim.running is not None
            assert not {"inventory_signed", "attested", "candidate_stored"} & set(victim.reached)
            assert victim.running.archive.inventory(1, victim.key.address) is None
            await world.hand_in(2)
            await world.until_posted(2)
            for _ in range(3):
                await world.step(world.seats)
            assert {"attested"} <= set(victim.reached)
            assert victim.running.archive.inventory(2, victim.key.address) is None  # it may have accepted proofs of epoch 2 before
            await world.hand_in(3)
            await world.until_posted(3)
            assert victim.running.archive.inventory(3, victim.key.address) is not None
            assert len((await world.chain.view()).posted) == 3
            assert len(others) == 3

    asyncio.run(scene())
