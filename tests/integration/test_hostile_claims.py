"""Claims and evidence with the largest and the strangest numbers: a code, or the payment that the rules say, and every epoch is closed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.typed import sign
from tests.integration.test_demand_receipts import HELD, PROVIDER, budget, cover, deposit, evidence, hand_in, parties, refusal, until_active
from tests.session_parts import key
from tests.validators import CONSUMER, ETHER, World, a_world
from wire.messages import SessionEvidence, UsageReceipt, UsageReport
from wire.sessions import DemandClaim

U32, U64, U96, U128, U256 = (2**bits - 1 for bits in (32, 64, 96, 128, 256))


CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "the whole line": ({"end": U96}, "budget_not_covered"),
    "the last unit of the line": ({"start": U96 - 1, "end": U96}, "budget_not_covered"),
    "backwards": ({"start": 5, "end": 4}, "absurd_value"),
    "for ever": ({"expiry": U64}, "future_time"),
    "long ago": ({"expiry": 0}, "stale_time"),
    "at a price without end": ({"price": U128, "end": U96}, "budget_not_covered"),
    "by a stranger": ({"consumer": key("nobody")}, "no_deposit"),
    "by the provider itself": ({"consumer": PROVIDER}, "bad_offer"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def test_a_claim_beyond_all_numbers_gets_a_code_and_binds_nothing(folder: Path) -> None:
    async def run() -> None:
        async with a_world(folder / "claims") as world:
            await deposit(world)
            seat = world.seats[0]
            for what, (changes, code) in CLAIMS.items():
                made = replace(parties(world, 0, ETHER), **changes)
                assert await refusal(cover(world, seat, made.claim())) == code, what
            free = parties(world, 0, 0, price=U128, nonce=U256)
            await cover(world, seat, free.claim())  # an empty interval binds nothing
            found = await budget(world, seat)
            assert (found.next_from, found.limit) == (0, HELD)

    asyncio.run(run())


def test_an_acceptance_of_something_else_covers_nothing(folder: Path) -> None:
    """Of another session, of more than nothing, by another, signed by another, or for another network."""

    async def run() -> None:
        async with a_world(folder / "acceptances") as world:
            await deposit(world)
            seat, domain, made = world.seats[0], world.network.domain, parties(world, 0, ETHER)
            other = replace(made, nonce=1)
            claim, foreign = made.claim(), replace(domain, chain_id=domain.chain_id + 1)
            nothing = made.usage(0, 0, 0)
            wrong = {
                "another session's": (sign(other.usage(0, 0, 0), domain, CONSUMER), "not_accepted"),
                "a receipt": (sign(made.usage(1, 5, 0), domain, CONSUMER), "not_accepted"),
                "says something": (sign(replace(nothing, bytes_up=U64), domain, CONSUMER), "not_accepted"),
                "by the provider": (sign(replace(nothing, consumer=PROVIDER.address), domain, PROVIDER), "not_accepted"),
                "signed by the provider": (sign(nothing, domain, PROVIDER), "wrong_signer"),
                "of another chain": (sign(nothing, foreign, CONSUMER), "wrong_signer"),
            }
            for what, (acceptance, code) in wrong.items():
                assert await refusal(cover(world, seat, DemandClaim(claim.request, claim.offer, acceptance))) == code, what
            elsewhere = replace(made, domain=foreign).claim()
            assert await refusal(cover(world, seat, elsewhere)) in ("not_accepted", "wrong_signer")
            assert (await budget(world, seat)).next_from == 0

    asyncio.run(run())


async def shown(world: World, whole: SessionEvidence, what: str) -> SessionEvidence:
    """The same session with something about its receipt or report that is not so."""
    domain, receipt = world.network.domain, whole.receipts[0].message
    odd: dict[str, SessionEvidence] = {
        "of the end of time": replace(whole, receipts=(sign(replace(receipt, time=U64), domain, CONSUMER),)),
        "of the next epoch": replace(whole, receipts=(sign(replace(receipt, time=world.network.timing.start_of(2)), domain, CONSUMER),)),
        "a report of the end of time": replace(
            whole, reports=(sign(UsageReport(PROVIDER.address, receipt.session_id, U64, U64, U64, U64, U32, U64), domain, PROVIDER),)
        ),
        "no receipt": replace(whole, receipts=()),
        "two receipts": replace(whole, receipts=whole.receipts * 2),
        "no demand": replace(whole, demand=()),
    }
    return odd[what]


def test_evidence_beyond_all_numbers_is_refused_or_capped_and_the_epoch_is_paid(folder: Path) -> None:
    async def run() -> None:
        async with a_world(folder / "evidence") as world:
            await deposit(world)
            made = parties(world, 0, 4 * ETHER, price=U128, nonce=U256)
            demand = [await cover(world, seat, made.claim()) for seat in world.seats[:3]]
            now, domain = int(world.clock.now()), world.network.domain
            whole = evidence(made, demand, 1, now)
            for what, code in {
                "of the end of time": "wrong_subject",
                "of the next epoch": "wrong_subject",
                "a report of the end of time": "wrong_subject",
                "no receipt": "bad_statement",
                "two receipts": "too_many_statements",
                "no demand": "session_not_covered",
            }.items():
                assert await refusal(hand_in(world, 1, await shown(world, whole, what))) == code, what
            most = UsageReceipt(CONSUMER.address, made.name, U64, U64, U64, U64, U32, now)
            report = UsageReport(PROVIDER.address, made.name, U64, U64, U64, U64, U32, now)
            await hand_in(world, 1, replace(whole, receipts=(sign(most, domain, CONSUMER),), reports=(sign(report, domain, PROVIDER),)))
            await until_active(world, 1)
            assert (await world.leaf(world.seats[0], CONSUMER.address)).spent == 4 * ETHER, "never more than the interval"

    asyncio.run(run())


def test_evidence_of_one_epoch_or_session_is_worth_nothing_in_another(folder: Path) -> None:
    """The same evidence in the third epoch, and demand receipts of one session under another."""

    async def run() -> None:
        async with a_world(folder / "replays") as world:
            await deposit(world)
            first, second = parties(world, 0, 4 * ETHER), parties(world, 4 * ETHER, 8 * ETHER, nonce=1)
            demand = [await cover(world, seat, first.claim()) for seat in world.seats[:3]]
            now = int(world.clock.now())
            whole = evidence(first, demand, 3, now)
            assert await refusal(hand_in(world, 1, evidence(second, demand, 3, now))) == "wrong_subject"
            await hand_in(world, 1, whole)
            await until_active(world, 1)
            await hand_in(world, 2, whole)  # a late receipt may be shown in the next epoch
            await until_active(world, 2)
            assert (await world.leaf(world.seats[0], CONSUMER.address)).spent == 3 * ETHER, "it was paid once"
            assert await refusal(hand_in(world, 3, whole)) == "wrong_subject"
            newer = evidence(first, demand, 4, world.network.timing.start_of(3) + 1)
            assert await refusal(hand_in(world, 3, newer)) == "session_not_covered"
            assert (await budget(world, world.seats[3])).limit == HELD - 3 * ETHER + 4 * ETHER, "one that never saw it knows it is settled"

    asyncio.run(run())
