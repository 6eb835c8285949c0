"""Four validators that talk real HTTP on loopback: epochs are closed, whoever sleeps, lies or is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from chain.canonical import decode, encode, parse
from chain.errors import Recoverable
from chain.merkle import verify as verify_path
from chain.messages import EpochAttestation, Leaf
from chain.sender import Sender
from chain.typed import Signed, digest_of, sign
from chain.types import ZERO_DIGEST, Address, Digest, to_hex
from tests.validators import PORT, PROVIDERS, RULES, VALIDATORS, Flaky, Seat, Stopped, World, a_world
from validator.archive import Packed
from wire.agreement import InventoryEntry, InventoryIndex, Manifest
from wire.files import file_digest
from wire.http import PeerRefused, application, serve
from wire.messages import ActivityProof, Inventory
from wire.packing import pack


def test_epochs_are_closed_and_paid(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path, watching=True) as world:
            for epoch in (1, 2, 3):
                await world.hand_in(epoch)
                await world.until_posted(epoch)
            await world.move_to(world.network.timing.end_of(4))
            root = await world.chain.settlement.active_root()
            for seat in world.seats:
                for provider in PROVIDERS:
                    leaf = await world.leaf(seat, provider.address)
                    assert leaf.earned > 0
                    record = Leaf(leaf.account, leaf.earned, leaf.spent, leaf.points, leaf.reputation)
                    assert verify_path(root, record, leaf.path)
            events = (await world.chain.view()).posted
            assert [event.epoch for event in events] == [1, 2, 3]
            assert (await world.chain.view()).commitments == {}  # nobody has thought of reporting anything
            await world.step(world.seats)
            told = await world.epochs(world.seats[0])
            assert {told[e]["state"] for e in (1, 2, 3)} == {"active"}
            assert told[3]["root"] == to_hex(root)
            assert len(told[3]["signers"]) >= 3
            assert told[3]["postedBy"] in [one.address for one in VALIDATORS]
            assert world.seats[1].running is not None
            world.seats[1].running.node.chain.backend = Flaky(world.backend, 1)
            told = await world.epochs(world.seats[1])
            assert [(told[e]["state"], told[e]["root"] != "", told[e]["postedBy"]) for e in (3, 2)] == [("active", True, "")] * 2

    asyncio.run(scene())


POINTS = (
    *("inventory_signed", "gathered", "candidate_stored", "proposed", "bound", "attested", "told", "quorum", "posted", "followed"),
    "activated",
)
"""Every step of an epoch's closing."""


async def _close_two(tmp_path: Path, points: Sequence[str], victims_of: Callable[[World], Sequence[Seat]]) -> tuple[Any, ...]:
    """Closes two epochs with validators that are stopped the first time they come to each of `points`: what is true in the end."""
    async with a_world(tmp_path) as world:
        victims = victims_of(world)
        for seat in victims:
            seat.stop_at = set(points)
        await world.hand_in(1)
        await world.until_posted(1)
        await world.hand_in(2)
        await world.until_posted(2)
        await world.move_to(world.network.timing.end_of(2) + world.network.timing.post_window + 110)
        for _ in range(3):
            await world.step(world.seats)
        told = [await world.epochs(seat) for seat in world.seats]
        end = [[(one[e]["state"], one[e]["root"], one[e]["signers"], one[e]["postedBy"]) for e in (1, 2)] for one in told]
        leaves = [[await world.leaf(seat, provider.address) for provider in PROVIDERS] for seat in world.seats]
        # Block hashes, and with them digests of manifests, depend on the ports that were free.
        bound = []
        for seat in world.seats:
            signed = [seat.running.journal.signed(e, 0) for e in (1, 2)] if seat.running is not None else []
            bound.append([(one.root, one.state_digest, one.total_earned) for one in signed if one is not None])
        for seat in victims[:1]:
            assert not seat.stop_at, f"never came to {seat.stop_at}"
        return end, leaves, bound, await world.calls()


def _proposer(world: World) -> Sequence[Seat]:
    return [world.proposer(1)]


def _everyone(world: World) -> Sequence[Seat]:
    return [world.proposer(1), *(seat for seat in world.seats if seat is not world.proposer(1))]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    return asyncio.run(_close_two(tmp_path_factory.mktemp("whole"), (), _proposer))


@pytest.mark.parametrize("point", POINTS)
def test_stopped_anywhere_it_ends_the_same(tmp_path: Path, uninterrupted: tuple[Any, ...], point: str) -> None:
    assert asyncio.run(_close_two(tmp_path, [point], _proposer)) == uninterrupted


def test_all_stopped_everywhere_they_end_the_same(tmp_path: Path, uninterrupted: tuple[Any, ...]) -> None:
    _, leaves, _, calls = asyncio.run(_close_two(tmp_path, POINTS, _everyone))
    assert (leaves, calls) == (uninterrupted[1], uninterrupted[3])


def test_a_proof_is_on_disk_before_its_receipt_leaves(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            await world.move_to(world.network.timing.end_of(1) + 1)
            seat, proof = world.seats[0], world.proof(PROVIDERS[0], 1)
            assert seat.running is not None
            seat.stop_at = {"proof_stored"}
            with pytest.raises(Stopped):
                await seat.running.intake.accept(encode(proof))
            await world.stop(seat)
            await world.start(seat)
            again = [await world.client.post(seat.endpoint, "/v1/proofs", proof) for _ in range(2)]
            assert again[0] == again[1]
            digest = digest_of(proof.message, world.network.domain)
            assert await world.client.get(seat.endpoint, f"/v1/proofs/{to_hex(digest)}") == encode(proof)
            assert seat.reached.count("proof_stored") == 1

    asyncio.run(scene())


def test_chain_nodes_that_fail_now_and_then_change_nothing(tmp_path: Path, uninterrupted: tuple[Any, ...]) -> None:
    async def scene() -> tuple[Any, ...]:
        async with a_world(tmp_path) as world:
            for nth, seat in zip((29, 37, 41, 53), world.seats, strict=True):
                seat.answers_but_every = nth
                await world.stop(seat)
                await world.start(seat)
            for epoch in (1, 2):
                await world.hand_in(epoch)
                await world.until_posted(epoch)
            view = await world.chain.view()
            return [(event.epoch, event.root) for event in view.posted], await world.calls()

    posted, calls = asyncio.run(scene())
    assert [to_hex(root) for _, root in posted] == [root for _, root, *_ in uninterrupted[0][0]]
    assert [name for name, _ in calls].count("propose") == len(posted) == 2


def test_after_a_silent_proposer_the_next_round_posts(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            silent = world.proposer(1)
            await world.hand_in(1)
            await world.stop(silent)
            await world.until_posted(1)
            (posted,) = (await world.chain.view()).posted
            first = next(r for r in range(1, 9) if world.proposer(1, r) is not silent)
            assert posted.round == first
            await world.start(silent)
            await world.hand_in(2)
            await world.until_posted(2)
            told = await world.epochs(silent)
            assert told[1]["state"] in ("posted", "active")
            await world.move_to(world.network.timing.end_of(3))
            assert (await world.leaf(silent, PROVIDERS[0].address)).epoch == 2

    asyncio.run(scene())


def test_what_only_a_validator_that_leaves_still_has_is_fetched_from_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            late, leaver, *others = world.seats
            await world.stop(late)
            await world.hand_in(1, [leaver, *others])
            await world.until_posted(1)
            await world.move_to(world.network.timing.post_end(1) + world.network.timing.challenge + 1)
            await world.step(world.seats)
            await world.call(leaver.key, world.chain.registry.unbond(leaver.key.address, (await world.chain.view()).validators()[0].stake))
            for seat in others:
                await world.stop(seat)
            await world.start(late)
            await world.step([late])
            (posted,) = (await world.chain.view()).roots()
            assert late.running is not None
            held = [late.running.archive.file(digest) is not None for digest in (posted.state_digest, posted.manifest_digest)]
            assert held == [True, True]

    asyncio.run(scene())


def test_a_dead_epoch_is_covered_by_the_next_root(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            await world.hand_in(1)
            for seat in world.seats[:2]:
                await world.stop(seat)
            await world.move_to(world.network.timing.intake_end(1))
            for _ in range(3):
                await world.step(world.seats)
            await world.move_to(world.network.timing.post_end(1) + 1)
            for seat in world.seats[:2]:
                await world.start(seat)
            await world.step(world.seats)
            assert (await world.epochs(world.seats[0]))[1]["state"] == "dead"
            await world.hand_in(2)
            await world.until_posted(2)
            (posted,) = (await world.chain.view()).posted
            assert (posted.epoch, posted.through) == (2, 2)
            manifest = await _manifest(world, 2)
            assert [covered.epoch for covered in manifest.covered] == [1, 2]
            await world.move_to(world.network.timing.end_of(3))
            timing = world.network.timing
            slots = 2 * timing.slots_per_epoch
            leaf = await world.leaf(world.seats[0], PROVIDERS[0].address)
            assert leaf.points == 2 * (timing.slots_per_epoch * timing.slot_seconds * RULES.points_milli_per_hour // 3600)
            assert leaf.earned > slots * RULES.slot_cap_wei // 2

    asyncio.run(scene())


async def _manifest(world: World, epoch: int) -> Manifest:
    """The manifest of a posted epoch, as anyone fetches it: digest, index, chunks."""
    seat = world.seats[0]
    await world.step(world.seats)
    digest = parse(await world.client.get(seat.endpoint, f"/v1/manifests/{epoch}"))["digest"]
    index = parse(await world.client.get(seat.endpoint, f"/v1/blobs/{digest}"))
    data = b"".join([await world.client.get(seat.endpoint, f"/v1/blobs/{chunk}") for chunk in index["chunks"]])
    assert to_hex(file_digest(data)) == digest
    return decode(Manifest, data)


LIES: dict[str, Callable[[EpochAttestation], EpochAttestation]] = {
    "root": lambda honest: replace(honest, root=Digest(bytes([7]) * 32)),
    "totals": lambda honest: replace(honest, total_earned=honest.total_earned + 1),
    "through": lambda honest: replace(honest, through=honest.through + 1),
    "manifest": lambda honest: replace(honest, manifest_digest=Digest(bytes([8]) * 32)),
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_a_lying_proposers_candidate_stays_unsigned(tmp_path: Path, lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It records a false candidate and serves it; nobody signs, and the next round's proposer posts the truth."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            liar = world.proposer(1)
            assert liar.running is not None
            candidates = liar.running.closing._candidates
            build = candidates.build

            async def false(*arguments: Any) -> EpochAttestation | None:
                honest = await build(*arguments)
                return None if honest is None else LIES[lie](honest)

            monkeypatch.setattr(candidates, "build", false)
            await world.hand_in(1)
            await world.until_posted(1)
            view = await world.chain.view()
            assert view.proposed[0].proposer == liar.key.address
            assert view.proposed[0].round < view.posted[0].round
            for seat in world.seats:
                assert seat.running is not None
                if seat is not liar:
                    assert seat.running.journal.signed(1, view.proposed[0].round) is None
                assert seat.running.journal.attestations(1, view.proposed[0].round, view.proposed[0].digest) == {}

    asyncio.run(scene())


def test_killed_after_its_quorum_and_before_it_is_mined_the_epoch_is_posted_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            poster = world.proposer(1)
            await world.hand_in(1)

            async def proposed() -> bool:
                return "proposed" in poster.reached

            await world.move_to(world.network.timing.intake_end(1))
            await world.run_until(proposed)
            await world.backend.request("evm_setAutomine", [False])
            for _ in range(20):  # nothing is mined, so the step that posts ends in `TransactionPending`
                for seat in world.seats:
                    assert seat.running is not None
                    with contextlib.suppress(Recoverable):
                        await seat.running.closing.step()
                if poster.running is not None and poster.running.closing.is_posting(1):
                    break
            assert poster.running is not None
            assert poster.running.closing.is_posting(1)
            assert "quorum" in poster.reached
            assert "posted" not in poster.reached
            await world.stop(poster)
            await world.backend.request("evm_setAutomine", [True])
            await world.until_posted(1)
            await world.start(poster)
            for _ in range(4):
                await world.step(world.seats)
            assert len((await world.chain.view()).posted) == 1
            assert (await world.epochs(poster))[1]["state"] == "posted"
            assert "posted" not in poster.reached

    asyncio.run(scene())


def test_after_a_reorganisation_nobody_signs_another_candidate_of_the_round(tmp_path: Path) -> None:
    """The record that was signed is undone, and its proposer records another one in the same round: the next round closes the epoch."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            liar = world.proposer(1)
            others = [seat for seat in world.seats if seat is not liar]
            await world.hand_in(1)
            await world.move_to(world.network.timing.intake_end(1))
            before = await world.backend.request("evm_snapshot", [])

            async def all_signed() -> bool:
                return all("attested" in seat.reached for seat in world.seats)

            await world.run_until(all_signed)
            bound = {seat.endpoint: seat.running.journal.signed(1, 0) for seat in world.seats if seat.running is not None}
            assert await world.backend.request("evm_revert", [before])
            assert liar.running is not None
            honest = liar.running.journal.candidate(1, 0)
            # As sound as the first one, over three inventories instead of four: only the journal speaks against it.
            closing = liar.running.closing
            sight = await closing._lookout.look()
            basis = await closing._basis.read(1, sight.parent, sight.view)
            assert basis is not None
            other = await closing._candidates.build(basis, {1: liar.running.archive.inventories(1)[:3]}, 0, ())
            assert other is not None
            assert other != honest
            liar.running.journal.replace_candidate(other)
            call = world.chain.settlement.propose(1, 0, digest_of(other, world.network.domain))
            sender = Sender(world.backend, liar.key, 31337, poll_s=0.01)
            await sender.wait(await sender.send(call.to, call.data))
            await world.until_posted(1, others)
            (posted,) = (await world.chain.view()).posted
            assert posted.round > 0
            for seat in others:
                assert seat.running is not None
                assert seat.running.journal.signed(1, 0) == bound[seat.endpoint]
                assert all(one.message == honest for one in seat.running.journal.attestations_of(1, 0))

    asyncio.run(scene())


def test_a_withholding_validator_costs_no_more_than_a_round(tmp_path: Path) -> None:
    """It serves a signed inventory that names a proof it never hands out, and another that lets every request time out."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            withholder = next(seat for seat in world.seats if seat is not world.proposer(1))
            await world.stop(withholder)
            stall = asyncio.Event()

            async def never(request: web.Request) -> web.Response:
                await stall.wait()
                return web.Response()

            app = web.Application()
            app.router.add_route("*", "/{rest:.*}", never)
            runner = await serve(app, withholder.host, PORT)
            await world.hand_in(1, [seat for seat in world.seats if seat is not withholder])
            await world.until_posted(1)
            (posted,) = (await world.chain.view()).posted
            assert posted.round == 0
            stall.set()
            await runner.cleanup()

    asyncio.run(scene())


def test_an_inventory_with_a_proof_nobody_has_is_left_out(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            bad = next(seat for seat in world.seats if seat is not world.proposer(1))
            assert bad.running is not None
            await world.hand_in(1)
            archive = bad.running.archive
            entries = (InventoryEntry(PROVIDERS[0].address, Digest(bytes([9]) * 32)),)
            digest = archive.keep_file(encode(InventoryIndex(1, entries)))
            archive.keep_inventory(sign(Inventory(bad.key.address, 1, 1, digest), world.network.domain, bad.key))
            await world.until_posted(1)
            accounts = [signed.message.validator for signed in (await _manifest(world, 1)).covered[0].inventories]
            assert bad.key.address not in accounts
            assert len(accounts) == 3

    asyncio.run(scene())


def test_an_inventory_with_another_count_over_an_honest_index_stops_nobody(tmp_path: Path) -> None:
    """Its index is whole and everyone has all it names, so that only the inventory itself is wrong."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            bad = next(seat for seat in world.seats if seat is not world.proposer(1))
            assert bad.running is not None
            await world.hand_in(1)
            archive = bad.running.archive
            entries = archive.newest_proofs(1)
            digest = archive.keep_file(encode(InventoryIndex(1, entries)))
            archive.keep_inventory(sign(Inventory(bad.key.address, 1, len(entries) + 1, digest), world.network.domain, bad.key))
            await world.move_to(world.network.timing.intake_end(1))
            for _ in range(3):
                await world.step(world.seats)
            await world.until_posted(1)
            accounts = [signed.message.validator for signed in (await _manifest(world, 1)).covered[0].inventories]
            assert bad.key.address not in accounts

    asyncio.run(scene())


def test_a_proof_of_an_epoch_beyond_all_numbers_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can sign an empty proof for any epoch; a validator names one in its inventory and hands it out."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            bad = next(seat for seat in world.seats if seat is not world.proposer(1))
            assert bad.running is not None
            await world.hand_in(1)
            archive, domain = bad.running.archive, world.network.domain
            proof = sign(ActivityProof(PROVIDERS[0].address, 2**64 - 1, 1, (), (), (), (), ZERO_DIGEST), domain, PROVIDERS[0])
            named, served = digest_of(proof.message, domain), archive.packed_proof
            packed = Packed(pack(encode(proof)), len(encode(proof)))
            monkeypatch.setattr(archive, "packed_proof", lambda digest: packed if digest == named else served(digest))
            digest = archive.keep_file(encode(InventoryIndex(1, (InventoryEntry(PROVIDERS[0].address, named),))))
            archive.keep_inventory(sign(Inventory(bad.key.address, 1, 1, digest), domain, bad.key))
            await world.until_posted(1, [seat for seat in world.seats if seat is not bad])
            accounts = [signed.message.validator for signed in (await _manifest(world, 1)).covered[0].inventories]
            assert bad.key.address not in accounts
            for seat in world.seats:
                assert seat.running is not None
                assert seat.running.archive.proof_subjects([named]) == {}

    asyncio.run(scene())


ELSEWHERE: dict[str, Callable[[EpochAttestation], EpochAttestation]] = {
    "the next round": lambda honest: replace(honest, round=honest.round + 1),
    "no number of a database": lambda honest: replace(honest, epoch=2**64 - 1, round=2**64 - 1),
}


@pytest.mark.parametrize("where", sorted(ELSEWHERE))
def test_a_candidate_that_says_another_round_is_kept_nowhere(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its proposer records and serves what would take the place of another round's candidate, signed by itself."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            liar = world.proposer(1)
            assert liar.running is not None
            candidates, journal = liar.running.closing._candidates, liar.running.journal
            build, known = candidates.build, journal.candidate
            lies: list[EpochAttestation] = []

            async def false(*arguments: Any) -> EpochAttestation | None:
                honest = await build(*arguments)
                if honest is not None and not lies:
                    lies.append(ELSEWHERE[where](honest))
                return lies[0] if lies else None

            def stored(epoch: int, round_: int) -> EpochAttestation | None:
                return lies[0] if lies and (epoch, round_) == (1, 0) else known(epoch, round_)

            monkeypatch.setattr(candidates, "build", false)
            monkeypatch.setattr(journal, "candidate", stored)
            monkeypatch.setattr(journal, "keep_candidate", lambda candidate: candidate)
            monkeypatch.setattr(
                journal, "attestations_of", lambda epoch, round_: [sign(lie, world.network.domain, liar.key) for lie in lies]
            )
            await world.hand_in(1)
            await world.move_to(world.network.timing.intake_end(1))
            honest = [seat for seat in world.seats if seat is not liar]
            for _ in range(4):
                await world.step(world.seats)
            assert len(lies) == 1
            for seat in honest:
                assert seat.running is not None
                assert seat.running.journal.candidate(1, 1) is None
            await world.until_posted(1, honest)
            (proposed, *_), (posted,) = (await world.chain.view()).proposed, (await world.chain.view()).posted
            assert proposed.digest == digest_of(lies[0], world.network.domain)
            later = next(round_ for round_ in range(1, 9) if world.proposer(1, round_) is not liar)
            assert posted.round == later

    asyncio.run(scene())


def test_an_inventory_without_end_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names more proofs than anyone could fetch in a round, and its validator answers each question just before the time-out."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            bad = next(seat for seat in world.seats if seat is not world.proposer(1))
            await world.hand_in(1)
            assert bad.running is not None
            archive, asked = bad.running.archive, 0
            entries = tuple(InventoryEntry(Address(f"0x{n:040x}"), Digest(n.to_bytes(32))) for n in range(1, 2_001))
            digest = archive.keep_file(encode(InventoryIndex(1, entries)))
            archive.keep_inventory(sign(Inventory(bad.key.address, 1, len(entries), digest), world.network.domain, bad.key))

            @web.middleware
            async def slow(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
                nonlocal asked
                if request.path.startswith("/v1/proofs/"):
                    asked += 1
                    await asyncio.sleep(0.3)
                return cast(web.StreamResponse, await handler(request))

            await world.stop(bad)
            with monkeypatch.context() as patched:
                patched.setattr("validator.api.application", lambda *given: _with(slow, application(*given)))
                await world.start(bad)
            others = [seat for seat in world.seats if seat is not bad]

            async def close() -> None:
                await world.move_to(world.network.timing.intake_end(1))
                await world.step(others)
                await world.move_to(world.network.timing.intake_end(1) + world.network.timing.round_length // 4)
                await world.until_posted(1, others)

            await asyncio.wait_for(close(), 60)
            accounts = [signed.message.validator for signed in (await _manifest(world, 1)).covered[0].inventories]
            assert bad.key.address not in accounts
            assert 0 < asked < len(entries)

    asyncio.run(scene())


def _with(middleware: Any, app: web.Application) -> web.Application:
    app.middlewares.insert(0, middleware)
    return app


def near_misses(value: Any) -> Iterator[Any]:
    """The same JSON with one thing wrong: a field less, a field more, a value of another type or out of range, anywhere in it."""
    if isinstance(value, dict):
        for name in value:
            yield {key: item for key, item in value.items() if key != name}
            yield value | {name + "_": value[name]}
            for other in near_misses(value[name]):
                yield value | {name: other}
    elif isinstance(value, list):
        yield [*value, 0]
        yield [*value, [*value]]
        for index, item in enumerate(value[:1]):
            for other in near_misses(item):
                yield [*value[:index], other, *value[index + 1 :]]
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from (-1, 2**64, float(value), str(value), None, True, {}, value + 1)
    elif isinstance(value, str):
        yield from (value.upper(), value[:-1], value + "00", 0, None, [], value[:-2] + ("00" if value[-2:] != "00" else "01"))
    elif isinstance(value, bool):
        yield from (not value, 1, "true")


def test_of_near_misses_nothing_is_stored(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            seat = world.seats[0]
            await world.move_to(world.network.timing.end_of(1) + 1)
            proof = parse(encode(world.proof(PROVIDERS[0], 1)))
            tried = 0
            for wrong in near_misses(proof):
                body = json.dumps(wrong, sort_keys=True, separators=(",", ":")).encode()
                if body == encode(proof):  # digits have no capitals
                    continue
                with pytest.raises(PeerRefused) as refused:
                    await world.client.post(seat.endpoint, "/v1/proofs", body)
                assert 400 <= refused.value.status < 500, body
                assert refused.value.observer == seat.key.address
                assert refused.value.code != "internal"
                tried += 1
            assert tried > 200
            assert seat.running is not None
            assert seat.running.archive.newest_proofs(1) == ()
            assert seat.running.intake.refused >= tried

    asyncio.run(scene())


def test_beyond_its_quota_a_provider_is_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    quota = 3_000

    async def scene() -> None:
        async with a_world(tmp_path, replace(RULES, intake_quota_bytes=quota)) as world:
            await world.move_to(world.network.timing.end_of(1) - 1)
            seat = world.seats[0]
            assert seat.running is not None
            archive = seat.running.archive
            first, second = world.proof(PROVIDERS[0], 1), world.proof(PROVIDERS[0], 1)
            size = len(encode(first))
            assert size <= quota < 2 * size
            receipt = await world.client.post(seat.endpoint, "/v1/proofs", first)
            before = archive.holdings(PROVIDERS[0].address, 1)
            with pytest.raises(PeerRefused) as refused:
                await world.client.post(seat.endpoint, "/v1/proofs", second)
            assert (refused.value.code, refused.value.status) == ("quota_exceeded", 429)
            assert refused.value.evidence == {"used": str(size), "bytes": str(len(encode(second))), "quota": str(quota)}
            assert archive.proof(digest_of(second.message, world.network.domain)) is None
            assert archive.holdings(PROVIDERS[0].address, 1) == before
            assert before.size == size
            assert seat.reached.count("proof_stored") == 1
            assert await world.client.post(seat.endpoint, "/v1/proofs", first) == receipt  # it costs nothing to ask again
            await world.client.post(seat.endpoint, "/v1/proofs", world.proof(PROVIDERS[1], 1))  # one's quota is nobody else's

    asyncio.run(scene())


def test_hostile_requests_are_refused_with_their_codes(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            seat, timing, domain = world.seats[0], world.network.timing, world.network.domain

            async def code(method: str, path: str, value: Any = None) -> str:
                with pytest.raises(PeerRefused) as refused:
                    await (world.client.get(seat.endpoint, path) if method == "GET" else world.client.post(seat.endpoint, path, value))
                return refused.value.code

            await world.move_to(timing.end_of(1) - 1)
            early, current = world.proof(PROVIDERS[0], 2), world.proof(PROVIDERS[0], 1)
            assert await code("POST", "/v1/proofs", early) == "unknown_epoch"
            assert await code("POST", "/v1/proofs", b"{") == "malformed_json"
            assert await code("POST", "/v1/proofs", b" " + encode(current)) == "not_canonical"
            assert await code("POST", "/v1/proofs", b" " * (RULES.proof_max_bytes + 1)) == "proof_too_large"
            assert await code("POST", "/v1/proofs", b" " * (2 * RULES.proof_max_bytes + 1)) == "body_too_large"
            assert await code("POST", "/v1/proofs", Signed(current.message, PROVIDERS[1].sign(bytes(32)))) == "wrong_signer"
            unlisted = sign(replace(current.message.tickets[0].message, resolver=PROVIDERS[1].address), domain, PROVIDERS[1])
            by_stranger = sign(replace(current.message, tickets=(unlisted,)), domain, PROVIDERS[0])
            assert await code("POST", "/v1/proofs", by_stranger) == "not_listed"
            await world.client.post(seat.endpoint, "/v1/proofs", current)
            other = sign(replace(current.message, reports=()), domain, PROVIDERS[0])
            assert await code("POST", "/v1/proofs", other) == "reused_sequence"
            far = sign(replace(current.message, epoch=2**64 - 1, sequence=2**64 - 1, tickets=(), reports=()), domain, PROVIDERS[0])
            assert await code("POST", "/v1/proofs", far) == "unknown_epoch"
            last = sign(replace(current.message, sequence=2**64 - 1), domain, PROVIDERS[0])
            await world.client.post(seat.endpoint, "/v1/proofs", last)
            for path in ("/v1/blobs/0x00", "/v1/proofs/zz", "/v1/inventories/x", "/v1/leaves/0x0", "/v1/candidates/1/99999999999999999999"):
                assert await code("GET", path) == "bad_parameter", path
            assert await code("GET", "/v1/inventories/1") == "not_yet"
            assert await code("GET", "/v1/inventories/9007199254740992") == "not_yet"
            assert await code("GET", f"/v1/inventories/{2**63 - 1}") == "not_yet"
            assert await code("GET", f"/v1/candidates/{2**63 - 1}/{2**63 - 1}") == "not_found"
            assert await code("GET", f"/v1/blobs/{to_hex(bytes(32))}") == "not_found"
            await world.step(world.seats)
            assert await code("GET", "/v1/manifests/1") == "not_found"
            stranger = sign(_attestation(1), domain, PROVIDERS[0])
            assert await code("POST", "/v1/attestations", stranger) == "unknown_candidate"
            await world.move_to(timing.intake_end(1) + 1)
            await world.step(world.seats)
            assert await code("POST", "/v1/attestations", stranger) == "not_listed"
            assert await code("POST", "/v1/proofs", world.proof(PROVIDERS[0], 1)) == "intake_closed"
            for n in range(5):  # two different attestations of one validator prove that it signed twice; more prove no more
                await world.client.post(seat.endpoint, "/v1/attestations", sign(_attestation(1, n), domain, VALIDATORS[1]))
            assert seat.running is not None
            signers = [one for one in seat.running.journal.attestations_of(1, 0) if one.message.total_spent]
            assert len(signers) <= 2

    asyncio.run(scene())


def _attestation(epoch: int, marked: int = 0) -> EpochAttestation:
    return EpochAttestation(epoch, epoch, 0, *(ZERO_DIGEST,) * 4, 0, 1 + marked, *(ZERO_DIGEST,) * 3)
