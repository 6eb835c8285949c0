"""Random histories, played by the contracts and by a plain reference of their rules: the same is refused, the rest equal to the last unit.

Three accounts of all that can be read are compared after each: the contracts' getters, the reference, and the fold of all events.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.fold import fold
from chain.keys import NodeKey
from chain.view import ChainView
from tests.histories.match import Match, Step
from tests.histories.player import KINDS, Player
from tests.histories.roots import Draft, Drafts
from tests.histories.state import Getters, as_folded, difference, expected, folded
from tests.histories.table import MAXIMUM, PEOPLE, VALIDATORS, network_parameters, seated
from tests.reference.network import Reference
from tests.reference.values import Refused

STEPS = st.lists(st.integers(0, 2**32 - 1), min_size=20, max_size=50)
"""A seed for each step of a history."""
OPENINGS = ("bonded", "posted", "lied")
"""After the first bonds, deposits and exits; with a first root active and the second epoch over; with a fraudulent second root pending."""


@dataclass(frozen=True)
class Opening:
    """Where histories start: a match at its beginning, and all that is needed to go back there."""

    match: Match
    saved: dict[str, Any]
    drafts: dict[Any, Draft]
    view: ChainView

    async def play(self, seeds: Sequence[int]) -> Counter[str]:
        """Plays a history and compares; what was accepted by name, what was refused by error."""
        match, backend, steps = self.match, self.match.backend, list[Step]()
        snapshot = await backend.request("evm_snapshot", [])
        match.reference.restore(self.saved)
        player, told = Player(match.reference, Drafts(self.drafts)), Counter[str]()
        try:
            for seed in seeds:
                steps.append(player.draw(seed))
                told[await match.play(steps[-1]) or steps[-1].name] += 1
            await self.compare()
        except AssertionError as differs:
            differs.add_note("\n".join(map(str, steps)))
            raise
        finally:
            await backend.request("evm_revert", [snapshot])
        return told

    async def compare(self) -> None:
        world, chain = self.match.reference, self.match.chain
        mined = (await chain.latest()).timestamp == world.now
        found = await Getters(self.match.backend, chain.network, mined=mined).state(world)
        assert difference(found, expected(world)) == {}, "the getters and the reference differ"
        stamp = await self.match.stamp()
        view = fold(self.view, await chain.events(self.view.block.number + 1, stamp.number), stamp)
        assert difference(folded(view, chain.network, world.now), as_folded(found)) == {}, "the fold and the getters differ"


@cache
def opening(name: str) -> Opening:
    """One of `OPENINGS`."""
    return asyncio.run(_open(name))


async def _open(name: str) -> Opening:
    backend, chain, balances = await seated()
    head, guard = await chain.latest(), await chain.settlement.guard()
    reference = Reference(chain.network, network_parameters(), guard.since, balances)
    match, player = Match(backend, chain, reference), Player(reference)
    steps: list[tuple[str, str, NodeKey, tuple[Any, ...]]] = []
    steps += [("registry", "bond", key, (key.address, MAXIMUM)) for key in VALIDATORS[:4]]
    steps += [("vault", "deposit", key, (1_000,)) for key in PEOPLE]
    steps += [("vault", "exit", key, ()) for key in PEOPLE[:2]]
    for place, (part, function, key, arguments) in enumerate(steps):
        assert await match.play(Step(head.timestamp + 1 + place, part, function, key.address, arguments)) is None
    if name != "bonded":
        await _post(match, player, 1, lied=False)
        await match.play(Step(match.chain.network.timing.end_of(2) - 10, "settlement", "activate", PEOPLE[0].address))
    if name == "lied":
        await _post(match, player, 2, lied=True)
    view = await chain.view(await chain.latest())
    return Opening(match, reference.save(), dict(player.drafts.by_root), view)


async def _post(match: Match, player: Player, epoch: int, *, lied: bool) -> None:
    """A root of the epoch with something in it, posted in the first round."""
    world, first = match.reference, match.chain.network.timing.intake_end(epoch)
    world.now, rng = first, Random(epoch)
    proposer, staked = world.settlement.proposer_of(epoch, 0), world.registry.staked()
    for _ in range(10_000):
        draft = player.drafts.draw(world, rng, epoch, 0)
        post = (draft.attestation, staked)
        # All that is missing is that it was proposed.
        sound = world.refusal("settlement", "post", proposer, post, first + 1) == "NotNewestCandidate"
        if sound and (draft.proof is not None) == lied and len(draft.tree.leaves) >= 5 and draft.attestation.total_earned >= 300 * epoch:
            assert await match.play(Step(first, "settlement", "propose", proposer, (epoch, 0, draft.attestation))) is None
            assert await match.play(Step(first + 1, "settlement", "post", proposer, post)) is None
            return
    raise AssertionError("no such root among all drafts")


@pytest.mark.timeout(4 * 3_600)
@settings(max_examples=2_000 if settings.get_current_profile_name() == "deep" else 40)
@given(name=st.sampled_from(OPENINGS), seeds=STEPS)
def test_every_history_ends_equal(name: str, seeds: list[int]) -> None:
    asyncio.run(opening(name).play(seeds))


def test_every_kind_of_call_is_accepted_somewhere_and_most_errors_are_met() -> None:
    """Drawn against the reference alone, which is quick: what it accepts and refuses the contracts do too, as the test above shows."""
    told = Counter[str]()
    for number in range(150):
        start = opening(OPENINGS[number % len(OPENINGS)])
        world = start.match.reference
        world.restore(start.saved)
        player, rng = Player(world, Drafts(start.drafts)), Random(number)
        for _ in range(40):
            step = player.draw(rng.randrange(2**32))
            world.now = step.at
            try:
                world.call(step.part, step.name, step.caller, step.arguments)
                told[step.name] += 1
            except Refused as refused:
                told[refused.name] += 1
    assert {kind: told[kind] for kind in KINDS if told[kind] < 8} == {}
    assert len(told.keys() - KINDS.keys()) >= 60
