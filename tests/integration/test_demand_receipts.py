"""Sessions and validators over real HTTP: what four of them cover, what they refuse, and what a covered session pays on chain."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from chain.canonical import decode, encode, parse
from chain.messages import Leaf
from chain.typed import Signed, sign, verify
from chain.types import Wei
from provider.duties import Errands
from provider.equipment import Equipment
from provider.heartbeat import Offering
from provider.peers import Roster, claim_demand
from provider.proving import Proving
from provider.sessions.records import Served
from provider.store import Store
from tests.session_parts import Parties, key
from tests.validators import CONSUMER, DEPLOYER, ETHER, PROVIDERS, RULES, TREASURY, VALIDATORS, Seat, World, a_world
from wire.http import Client, PeerError, PeerMisbehaved, PeerRefused
from wire.messages import DemandReceipt, SessionEvidence
from wire.node import Node
from wire.refusals import TABLE
from wire.sessions import GIB, Budget, DemandClaim

PROVIDER = PROVIDERS[0]
HELD = 10 * ETHER


def parties(world: World, start: int, end: int, **changes: object) -> Parties:
    """A session at a token a byte, whose request is about to be accepted."""
    made = Parties(world.network.domain, CONSUMER, PROVIDER, start, end, ETHER * GIB, expiry=int(world.clock.now()) + RULES.request_life_s)
    return replace(made, **changes)  # type: ignore[arg-type]


async def cover(world: World, seat: Seat, claim: DemandClaim | bytes) -> Signed[DemandReceipt]:
    receipt: Signed[DemandReceipt] = decode(Signed[DemandReceipt], await world.client.post(seat.endpoint, "/v1/demands", claim))
    assert verify(receipt, world.network.domain).validator == seat.key.address
    return receipt


async def refusal(attempt: Awaitable[object]) -> str:
    with pytest.raises(PeerRefused) as refused:
        await attempt
    return refused.value.code


async def budget(world: World, seat: Seat) -> Budget:
    return decode(Budget, await world.client.get(seat.endpoint, f"/v1/budgets/{CONSUMER.address}"))


async def deposit(world: World, amount: int = HELD) -> None:
    """Seen by all validators."""
    chain = world.chain
    await world.call(DEPLOYER, chain.token.transfer(CONSUMER.address, Wei(amount)))
    await world.call(CONSUMER, chain.token.approve(world.network.vault, Wei(amount)), chain.vault.deposit(Wei(amount)))
    await world.step(world.seats)


def evidence(made: Parties, demand: list[Signed[DemandReceipt]], received: int, time: int) -> SessionEvidence:
    ascending = tuple(sorted(demand, key=lambda one: one.message.validator))
    claim = made.claim()
    return SessionEvidence(claim.request, claim.offer, ascending, (made.receipt(1, received, time),), (made.report(1, received, time),))


async def hand_in(world: World, epoch: int, *sessions: SessionEvidence) -> None:
    """At the epoch's end, with what everyone saw of the provider."""
    await world.move_to(world.network.timing.end_of(epoch) + 1)
    domain = world.network.domain
    proof = sign(replace(world.proof(PROVIDER, epoch).message, sessions=sessions), domain, PROVIDER)
    for seat in world.seats:
        await world.client.post(seat.endpoint, "/v1/proofs", proof)


async def until_active(world: World, epoch: int) -> None:
    await world.until_posted(epoch)
    record = await world.chain.settlement.pending_record()
    await world.move_to(record.active_at + 1)
    await world.step(world.seats)


def test_from_claim_to_leaf(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            made = parties(world, 0, 4 * ETHER)
            listings = (await world.chain.view()).validators()
            demand = [await claim_demand(world.client, one, made.claim(), world.network.domain) for one in listings[:3]]
            assert [await budget(world, seat) for seat in world.seats[:1]] == [
                Budget(world.seats[0].key.address, CONSUMER.address, HELD, 0, 4 * ETHER, HELD, leaving=False)
            ]
            await hand_in(world, 1, evidence(made, demand, 3, int(world.clock.now())))
            await until_active(world, 1)
            seat = world.seats[0]
            # 3 tokens: 0.15 to the treasury, of which 0.135 come out of the budget
            assert (await world.leaf(seat, CONSUMER.address)).spent == 3 * ETHER
            assert (await world.leaf(seat, TREASURY)).earned == 15 * ETHER // 100
            availability = 5 * 600_000 * ETHER // 10**6
            assert (await world.leaf(seat, PROVIDER.address)).earned == availability + (285 + 13) * ETHER // 100 + 5 * ETHER // 1_000
            status = parse(await world.client.get(seat.endpoint, "/v1/status"))
            assert status["demands"] == {"covered": 1 if seat.key.address in {one.account for one in listings[:3]} else 0, "refused": 0}

    asyncio.run(run())


def test_a_provider_s_own_proof_shows_its_sessions_and_is_paid_for_them(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world, asyncio.TaskGroup() as group:
            await deposit(world)
            made, now = parties(world, 0, 4 * ETHER), int(world.clock.now())
            demand = [await cover(world, seat, made.claim()) for seat in world.seats]
            store, client = Store(tmp_path / "provider.sqlite", PROVIDER.address, world.network.domain), Client(world.network.domain)
            try:
                stakes = {one.account: int(one.stake) for one in (await world.chain.view()).validators()}
                sessions = store.sessions(world.network.timing)
                sessions.open(made.claim(), demand, stakes, now)
                sessions.keep_receipt(made.receipt(1, 2, now), Served(0, 3), now)
                sessions.keep_report(made.report(1, 3, now))
                node = Node("provider", PROVIDER, world.backend, world.chain, client, world.clock)
                roster, errands = Roster(world.chain, world.clock, 1.0), Errands()
                errands.group = group
                proving = Proving(
                    Equipment(node, store, roster, Offering("127.0.0.1", 7_400, 1, 0, "", 0, 0, False), "127.0.0.1", bytes), errands
                )
                await world.move_to(world.network.timing.intake_end(1) - 2)
                while (proof := store.newest_proof(1)) is None or len(store.receipts(proof.digest)) < len(world.seats):
                    await proving.step()
                    await asyncio.sleep(0.01)
                (shown,) = proof.signed.message.sessions
                assert (len(shown.demand), shown.receipts, shown.reports) == (3, (made.receipt(1, 2, now),), (made.report(1, 3, now),))
            finally:
                await client.close()
                store.close()
            await until_active(world, 1)
            assert (await world.leaf(world.seats[0], CONSUMER.address)).spent == 2 * ETHER
            assert (await world.leaf(world.seats[0], PROVIDER.address)).earned == (190 + 9) * ETHER // 100

    asyncio.run(run())


def test_what_is_not_covered(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            seat, domain, made = world.seats[0], world.network.domain, parties(world, 0, ETHER)
            assert await refusal(cover(world, seat, made.claim())) == "chain_unavailable"  # nothing has been looked at yet
            await world.step(world.seats)
            assert await refusal(cover(world, seat, made.claim())) == "no_deposit"
            await deposit(world)

            now, made = int(world.clock.now()), parties(world, 0, ETHER)
            claim, other = made.claim(), key("stranger")
            renewed = parties(world, 0, ETHER, nonce=1)
            early, late = now - RULES.tolerance_s - 1, now + RULES.request_life_s + RULES.tolerance_s + 60
            wrong: dict[str, tuple[DemandClaim, str]] = {
                "another's acceptance": (replace(claim, acceptance=renewed.claim().acceptance), "not_accepted"),
                "an acceptance of something": (replace(claim, acceptance=made.receipt(0, 1, 0)), "not_accepted"),
                "an acceptance that is no first word": (replace(claim, acceptance=made.receipt(1, 0, 0)), "not_accepted"),
                "an acceptance by the provider": (
                    replace(claim, acceptance=sign(claim.acceptance.message, domain, PROVIDER)),
                    "wrong_signer",
                ),
                "a request by the provider": (replace(claim, request=sign(made.request, domain, PROVIDER)), "wrong_signer"),
                "an offer by somebody else": (replace(claim, offer=sign(made.offer, domain, other)), "wrong_signer"),
                "an offer for another request": (replace(claim, offer=renewed.claim().offer), "not_accepted"),
                "the consumer as its own provider": (replace(made, provider=CONSUMER).claim(), "bad_offer"),
                "a request that has expired": (replace(made, expiry=early).claim(), "stale_time"),
                "a request that lives too long": (replace(made, expiry=late).claim(), "future_time"),
                "a stranger's": (replace(made, consumer=other).claim(), "no_deposit"),
                "more than is held": (replace(made, end=HELD + 1).claim(), "budget_not_covered"),
                "an interval backwards": (replace(made, start=2, end=1).claim(), "absurd_value"),
            }
            for what, (bad, code) in wrong.items():
                assert await refusal(cover(world, seat, bad)) == code, what
            assert (await budget(world, seat)).next_from == 0
            await cover(world, seat, replace(made, expiry=now - RULES.tolerance_s + 5).claim())  # within what clocks may differ by

    asyncio.run(run())


def test_the_same_claim_again_and_one_that_overlaps(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            seat, made = world.seats[0], parties(world, 0, ETHER)
            first = await cover(world, seat, made.claim())
            await world.move_to(int(world.clock.now()) + 30)
            assert await cover(world, seat, made.claim()) == first
            # a signature made anew is another one of the same message; what is claimed is the same session
            again = await asyncio.gather(*(cover(world, seat, made.claim()) for _ in range(10)))
            assert set(again) == {first}
            assert await refusal(cover(world, seat, replace(made, nonce=1).claim())) == "budget_used"
            assert await refusal(cover(world, seat, replace(made, provider=PROVIDERS[1]).claim())) == "budget_used"
            await world.stop(seat)
            await world.start(seat)
            await world.step(world.seats)
            assert await cover(world, seat, made.claim()) == first
            assert await refusal(cover(world, seat, replace(made, nonce=1).claim())) == "budget_used"

    asyncio.run(run())


def test_fifty_sessions_at_once_on_one_deposit(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            made = [parties(world, n * ETHER, (n + 1) * ETHER, nonce=n) for n in range(50)]

            async def tried(seat: Seat, one: Parties) -> Parties | str:
                try:
                    await cover(world, seat, one.claim())
                except PeerRefused as refused:
                    return refused.code
                return one

            for seat in world.seats[:2]:
                found = await asyncio.gather(*(tried(seat, one) for one in made))
                covered = [one for one in found if isinstance(one, Parties)]
                assert sum(one.end - one.start for one in covered) <= HELD
                assert covered
                assert {one for one in found if isinstance(one, str)} <= {"budget_not_covered", "budget_used", "busy"}

    asyncio.run(run())


def test_a_validator_killed_between_its_promise_and_its_answer_gives_the_same_receipt(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            seat, made = world.seats[0], parties(world, 0, ETHER)
            promised_at = int(world.clock.now())
            seat.stop_at.add("demand_stored")
            with pytest.raises(PeerError):
                await cover(world, seat, made.claim())
            await world.stop(seat)
            await world.move_to(promised_at + 20)
            await world.start(seat)
            await world.step(world.seats)
            receipt = await cover(world, seat, made.claim())
            assert receipt.message.time == promised_at
            assert await cover(world, seat, made.claim()) == receipt
            assert (await budget(world, seat)).next_from == ETHER

    asyncio.run(run())


def test_who_exits_is_covered_no_more_and_pays_until_the_next_epoch_ends(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            made = parties(world, 0, 4 * ETHER)
            demand = [await cover(world, seat, made.claim()) for seat in world.seats[:3]]
            await world.call(CONSUMER, world.chain.vault.exit())
            await world.step(world.seats)
            later = parties(world, 4 * ETHER, 5 * ETHER)
            assert await refusal(cover(world, world.seats[0], later.claim())) == "no_deposit"
            assert (await budget(world, world.seats[0])).leaving
            await hand_in(world, 1, evidence(made, demand, 1, int(world.clock.now())))
            await until_active(world, 1)
            second = world.network.timing.start_of(2) + 5
            await hand_in(world, 2, evidence(made, demand, 3, second))
            await until_active(world, 2)
            assert (await world.leaf(world.seats[0], CONSUMER.address)).spent == 3 * ETHER
            leaf = await world.leaf(world.seats[0], CONSUMER.address)
            view = await world.chain.view()
            assert view.deposit_of(CONSUMER.address).held == HELD
            named = Leaf(leaf.account, leaf.earned, leaf.spent, leaf.points, leaf.reputation)
            await world.call(CONSUMER, world.chain.vault.withdraw(named, leaf.path))
            assert (await world.chain.view()).deposit_of(CONSUMER.address).held == 3 * ETHER
            await hand_in(world, 3)
            await until_active(world, 3)  # the root that follows is honest with what is left
            assert (await world.leaf(world.seats[0], CONSUMER.address)).spent == 3 * ETHER

    asyncio.run(run())


def test_a_proof_with_sessions_that_are_not_covered_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            made = parties(world, 0, 4 * ETHER)
            demand = [await cover(world, seat, made.claim()) for seat in world.seats[:3]]
            now = int(world.clock.now())
            assert await refusal(hand_in(world, 1, evidence(made, demand[:2], 1, now))) == "session_not_covered"
            whole = evidence(made, demand, 1, now)
            assert await refusal(hand_in(world, 1, whole, whole)) == "too_many_statements"
            invented = replace(whole, receipts=(sign(made.usage(1, 4, now), world.network.domain, PROVIDER),))
            assert await refusal(hand_in(world, 1, invented)) == "bad_statement"
            await hand_in(world, 1, whole)

    asyncio.run(run())


def test_a_full_proof_fits_through_the_door(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world, aiohttp.ClientSession() as http:
            seat = world.seats[0]
            await world.move_to(world.network.timing.genesis + 5)
            for size, code in ((RULES.proof_max_bytes, "malformed_json"), (RULES.proof_max_bytes + 1, "proof_too_large")):
                async with http.post(f"http://{seat.endpoint}/v1/proofs", data=b" " * size) as response:
                    assert parse(await response.read())["error"]["code"] == code

    asyncio.run(run())


def test_garbage_at_both_paths_is_refused_in_code(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world, aiohttp.ClientSession() as http:
            await deposit(world)
            base = f"http://{world.seats[0].endpoint}/v1"
            sound = encode(parties(world, 0, ETHER).claim())
            bodies = [b"", b"{}", b"[]", sound[:-1], sound + b" ", sound.replace(b"0x", b"1x", 1), b"9" * 10_000]
            bodies += [sound.replace(b'"nonce":0', b'"nonce":-1'), sound.replace(b'"budgetFrom":0', b'"budgetFrom":1')]
            bodies += [bytes((*sound[:at], sound[at] ^ 1, *sound[at + 1 :])) for at in range(0, len(sound), 37)]
            for body in bodies:
                async with http.post(f"{base}/demands", data=body) as response:
                    assert parse(await response.read())["error"]["code"] in TABLE.keys() - {"internal"}, body
            for name in ("", "0x", "0x12", CONSUMER.address.upper(), "0x" + "g" * 40, CONSUMER.address + "0"):
                async with http.get(f"{base}/budgets/{name}") as response:
                    assert parse(await response.read())["error"]["code"] in {"bad_parameter", "not_found"}
            assert (await budget(world, world.seats[0])).next_from == 0

    asyncio.run(run())


def test_an_answer_that_is_for_something_else_is_no_receipt(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            view = await world.chain.view()
            mine, other = (next(one for one in view.validators() if one.account == key_.address) for key_ in VALIDATORS[:2])
            claim = parties(world, 0, ETHER).claim()
            impostor = replace(mine, endpoint=other.endpoint)
            with pytest.raises(PeerMisbehaved):
                await claim_demand(world.client, impostor, claim, world.network.domain)

    asyncio.run(run())


def test_a_lost_ledger_promises_nothing_until_what_it_held_is_over(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            seat, other = world.seats[:2]
            await until_active(world, 1)
            await cover(world, seat, parties(world, 0, HELD).claim())
            await world.stop(seat)
            shutil.rmtree(seat.folder)
            await world.start(seat)
            await world.step(world.seats)
            assert await refusal(cover(world, seat, parties(world, 0, HELD, nonce=7).claim())) == "not_yet"
            assert await refusal(cover(world, other, parties(world, 0, HELD + 1, nonce=7).claim())) == "budget_not_covered"
            for epoch in (2, 3, 4, 5):  # the root three before the one of epoch 5 covers epoch 2, in which the ledger was lost
                await until_active(world, epoch)
                assert await refusal(cover(world, seat, parties(world, 0, HELD, nonce=epoch).claim())) == "not_yet"
            await until_active(world, 6)
            await cover(world, seat, parties(world, 0, HELD, nonce=8).claim())

    asyncio.run(run())
