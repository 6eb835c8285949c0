"""Claims that come at the wrong time, or too many at once: a validator promises nothing on what it cannot judge."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from chain.typed import digest_of, sign
from tests.integration.test_demand_receipts import HELD, PROVIDER, budget, cover, deposit, parties, refusal
from tests.session_parts import Parties
from tests.validators import CONSUMER, ETHER, RULES, World, a_world
from validator import demands
from wire.messages import Offer, UsageReceipt
from wire.sessions import DemandClaim, session_id


def offered(world: World, made: Parties, **changes: object) -> DemandClaim:
    """The claim of a session whose offer is another one, accepted as it is."""
    domain, request = world.network.domain, made.request
    honest = Offer(PROVIDER.address, digest_of(request, domain), made.price, made.expiry)
    offer = replace(honest, **changes)  # type: ignore[arg-type]
    acceptance = UsageReceipt(CONSUMER.address, session_id(request, offer, domain), 0, 0, 0, 0, 0, 0)
    return DemandClaim(made.claim().request, sign(offer, domain, PROVIDER), sign(acceptance, domain, CONSUMER))


def test_an_offer_is_covered_while_it_lasts_and_for_what_was_asked(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            seat, made, now = world.seats[0], parties(world, 0, ETHER), int(world.clock.now())
            for changes, code in (
                ({"expiry": now - RULES.tolerance_s}, "stale_time"),
                ({"price": made.price + 1}, "bad_offer"),
                ({"request": parties(world, 0, ETHER, nonce=7).offer.request}, "bad_offer"),
            ):
                assert await refusal(cover(world, seat, offered(world, made, **changes))) == code, changes
            assert (await budget(world, seat)).next_from == 0
            await cover(world, seat, offered(world, made, expiry=now - RULES.tolerance_s + 5))  # clocks may differ by so much

    asyncio.run(run())


def test_who_has_not_looked_at_the_chain_since_the_last_epoch_promises_nothing(tmp_path: Path) -> None:
    """The roots that receipts of one session are given under must not be too far apart."""

    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            seat, timing = world.seats[0], world.network.timing
            await world.move_to(timing.end_of(2) - 2)
            await cover(world, seat, parties(world, 0, ETHER).claim())
            await world.move_to(timing.start_of(3))
            late = parties(world, ETHER, 2 * ETHER)
            assert await refusal(cover(world, seat, late.claim())) == "chain_unavailable"
            await world.step(world.seats)
            await cover(world, seat, late.claim())
            assert (await budget(world, seat)).next_from == 2 * ETHER <= HELD

    asyncio.run(run())


def test_claims_beyond_what_is_verified_at_once_are_told_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            seat, made = world.seats[0], parties(world, 0, ETHER)
            monkeypatch.setattr(demands, "MAX_AT_ONCE", 0)
            assert await refusal(cover(world, seat, made.claim())) == "busy"
            monkeypatch.setattr(demands, "MAX_AT_ONCE", 1)
            for nonce in (1, 2):  # each makes room again, whether it was covered or not
                assert await refusal(cover(world, seat, replace(made, end=HELD + 1, nonce=nonce).claim())) == "budget_not_covered"
            first = await cover(world, seat, made.claim())
            assert await cover(world, seat, made.claim()) == first

    asyncio.run(run())
