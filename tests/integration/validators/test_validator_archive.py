"""What four validators keep and serve: the same bytes from every database, packed or not, and a word for what is gone."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import Engine, func
from sqlmodel import Session, select

from chain.canonical import decode, encode, parse
from chain.messages import EpochAttestation
from chain.typed import Domain, Signed, digest_of, sign, signer_of
from chain.types import ZERO_DIGEST, Address, Digest, Wei, to_hex
from chain.view import Listing
from runtime.clock import ManualClock
from runtime.database import open_database
from tests.databases import PostgresServer
from tests.validators import PROVIDERS, Seat, World, a_world
from validator.archive import Archive
from validator.errors import Wrong
from validator.journal import Journal
from validator.peers import AT_ONCE, Peers
from validator.tables import TABLES, BlobRow
from validator.verification import VerifiedProof
from wire import paths
from wire.agreement import FileIndex, Manifest
from wire.files import CHUNK_BYTES, assemble, chunks_of, file_digest, index_of, sha256
from wire.http import Client, PeerRefused, application, packed_answer, serve
from wire.messages import ActivityProof
from wire.packing import pack, unpack

DOMAIN = Domain(31337, Address("0x" + "11" * 20))

POINTS = ("inventory_signed", "candidate_stored", "attested", "quorum", "posted")


async def fetched(world: World, seat: Seat, path: str, accepted: str) -> tuple[str | None, bytes]:
    """The content encoding and the bytes of an answer, as they come."""
    headers = {"Accept-Encoding": accepted}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        http.get(f"http://{seat.endpoint}{path}", headers=headers) as response,
    ):
        assert response.status == 200
        return response.headers.get("Content-Encoding"), await response.read()


async def files_of(world: World, seat: Seat, epoch: int) -> tuple[bytes, bytes]:
    """State and manifest of a posted epoch, from one validator's answers alone."""
    posted = (await world.chain.view()).posting(epoch)
    assert posted is not None
    blobs: dict[Digest, bytes] = {}
    for digest in (posted.state_digest, posted.manifest_digest):
        blobs[digest] = await world.client.get(seat.endpoint, f"/v1/blobs/{to_hex(digest)}")
        for chunk in parse(blobs[digest])["chunks"]:
            name = Digest(bytes.fromhex(chunk[2:]))
            blobs[name] = await world.client.get(seat.endpoint, f"/v1/blobs/{chunk}")
            assert hashlib.sha256(blobs[name]).digest() == name
    state, manifest = assemble(posted.state_digest, blobs.get), assemble(posted.manifest_digest, blobs.get)
    assert state is not None
    assert manifest is not None
    return state, manifest


async def close(world: World, epochs: Sequence[int], seats: Sequence[Seat] | None = None) -> None:
    for epoch in epochs:
        await world.hand_in(epoch, seats)
        await world.until_posted(epoch, seats)


def test_a_validator_on_postgresql_makes_the_same_bytes(tmp_path: Path, postgres: PostgresServer) -> None:
    """It is stopped at every point of two epochs, its server is started anew between them, and without it there is no quorum."""

    async def scene(database: PostgresServer) -> None:
        with database.database() as at:
            async with a_world(tmp_path, databases={1: at}) as world:
                on_postgresql = world.seats[1]
                on_postgresql.stop_at = set(POINTS)
                await world.stop(world.seats[3])
                await close(world, (1,), world.seats[:3])
                database.cut(at.name)
                await close(world, (2,), world.seats[:3])
                await world.start(world.seats[3])
                for _ in range(3):
                    await world.step(world.seats)
                assert not (tmp_path / "validator1" / "validator.sqlite").exists()
                assert {"inventory_signed", "attested", "quorum"} <= set(on_postgresql.reached)
                view = await world.chain.view()
                assert on_postgresql.key.address in view.signers[1]
                assert on_postgresql.key.address in view.signers[2]
                for epoch in (1, 2):
                    found = {await files_of(world, seat, epoch) for seat in world.seats[:3]}
                    assert len(found) == 1
                    posting = view.posting(epoch)
                    assert posting is not None
                    manifest = decode(Manifest, found.pop()[1])
                    assert on_postgresql.key.address in [one.message.validator for one in manifest.covered[0].inventories]
                await world.move_to(world.network.timing.start_of(4))
                assert len({encode(await world.leaf(seat, PROVIDERS[0].address)) for seat in world.seats}) == 1

    asyncio.run(scene(postgres))


def test_bytes_come_packed_to_whoever_takes_them_so(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            await close(world, (1,))
            posted = (await world.chain.view()).posted[0]
            index = await world.client.get(world.seats[0].endpoint, f"/v1/blobs/{to_hex(posted.manifest_digest)}")
            proof = digest_of(world.proof(PROVIDERS[0], 1).message, world.network.domain)
            proofs = [f"/v1/proofs/{to_hex(entry.proof)}" for entry in world.seats[0].running.archive.newest_proofs(1)]  # type: ignore[union-attr]
            assert to_hex(proof) not in proofs  # which has been signed anew
            for path in (f"/v1/blobs/{parse(index)['chunks'][0]}", *proofs):
                plain = await fetched(world, world.seats[0], path, "gzip, deflate")
                packed = await fetched(world, world.seats[0], path, "zstd")
                assert (plain[0], packed[0]) == (None, "zstd")
                assert unpack(packed[1], len(plain[1])) == plain[1]
                assert len(packed[1]) < 0.8 * len(plain[1])

    asyncio.run(scene())


def test_what_is_pruned_is_refused_as_such_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validator.pruning.KEPT_EPOCHS", 1)

    async def scene(world: World) -> None:
        short, whole = world.seats[1], world.seats[2]
        await close(world, (1,))
        proofs = world.seats[1].running.archive.newest_proofs(1)  # type: ignore[union-attr]
        first = (await world.chain.view()).posting(1)
        assert first is not None
        chunk = parse(await world.client.get(short.endpoint, f"/v1/blobs/{to_hex(first.manifest_digest)}"))["chunks"][0]
        inventory = await world.client.get(short.endpoint, "/v1/inventories/1")
        short.retention_epochs = 1
        await world.stop(short)
        await world.start(short)
        short.stop_at = {"pruned"}
        await close(world, (2, 3))
        await world.move_to(world.network.timing.start_of(5))
        for _ in range(4):
            await world.step(world.seats)
        gone = [f"/v1/blobs/{chunk}", f"/v1/proofs/{to_hex(proofs[0].proof)}", f"/v1/candidates/1/{first.round}"]
        for path in gone:
            with pytest.raises(PeerRefused) as refused:
                await world.client.get(short.endpoint, path)
            assert (refused.value.code, refused.value.status, refused.value.next_try) == ("pruned", 410, 0), path
            assert refused.value.evidence == {"prunedThrough": "2"}
            assert await world.client.get(whole.endpoint, path)
        for path in (f"/v1/blobs/{'0x' + '00' * 32}", f"/v1/proofs/{'0x' + '00' * 32}", "/v1/candidates/9/0"):
            with pytest.raises(PeerRefused) as refused:
                await world.client.get(short.endpoint, path)
            assert refused.value.code == "not_found"
        assert await world.client.get(short.endpoint, f"/v1/blobs/{to_hex(first.manifest_digest)}")  # its index
        said = await world.client.get(short.endpoint, f"/v1/attestations/1/{first.round}")
        signed = decode(tuple[Signed[EpochAttestation], ...], said)
        assert [signer_of(one, world.network.domain) for one in signed] == [short.key.address]
        assert await world.client.get(short.endpoint, "/v1/inventories/1") == inventory
        assert parse(await world.client.get(short.endpoint, "/v1/manifests/1"))["digest"] == to_hex(first.manifest_digest)
        assert await files_of(world, short, 3) == await files_of(world, whole, 3)
        assert short.running is not None
        assert short.running.journal.signed(1, first.round) is not None
        assert parse(await world.client.get(short.endpoint, "/v1/status"))["archive"] == {"prunedThrough": 2}
        await close(world, (5,))
        assert [one.epoch for one in (await world.chain.view()).posted] == [1, 2, 3, 5]

    async def played() -> None:
        async with a_world(tmp_path) as world:
            await scene(world)

    asyncio.run(played())


@dataclass(frozen=True)
class Alone:
    """One validator's archive, and a peer that answers as it likes."""

    engine: Engine
    archive: Archive
    peers: Peers
    peer: Listing


@contextlib.asynccontextmanager
async def alone(
    folder: Path, path: str, answers: Callable[[web.Request], Awaitable[web.Response]], timeout_s: float
) -> AsyncIterator[Alone]:
    engine = open_database(folder / "one.sqlite", TABLES, DOMAIN)
    archive, client, clock = Archive(engine), Client(DOMAIN), ManualClock(1_000.0)
    app = application(DOMAIN, Address("0x" + "22" * 20), clock)
    app.router.add_get(path, answers)
    runner = await serve(app, "127.0.0.1", 0)
    peer = Listing(Address("0x" + "33" * 20), "validator", f"127.0.0.1:{runner.addresses[0][1]}", Wei(1))
    try:
        yield Alone(engine, archive, Peers(client, archive, Journal(engine, DOMAIN), DOMAIN, clock, timeout_s), peer)
    finally:
        await client.close()
        await runner.cleanup()
        engine.dispose()


def test_of_proofs_that_come_slowly_those_are_kept_that_have_come(tmp_path: Path) -> None:
    """However short the time is and however slow the peer, each try goes on where the last one ended."""
    messages = [ActivityProof(one.address, 1, 1, (), (), (), (), ZERO_DIGEST) for one in PROVIDERS]
    proofs = {digest_of(message, DOMAIN): encode(sign(message, DOMAIN, one)) for one, message in zip(PROVIDERS, messages, strict=True)}
    served = next(iter(proofs))

    def check(raw: bytes) -> VerifiedProof:
        signed: Signed[ActivityProof] = decode(Signed[ActivityProof], raw)
        return VerifiedProof(signed, digest_of(signed.message, DOMAIN), raw)

    async def scene() -> None:
        over = asyncio.Event()

        async def proof(request: web.Request) -> web.Response:
            if paths.digest(request.match_info["digest"]) != served:
                await over.wait()
            return packed_answer(request, pack(proofs[served]), 1 << 20, "text/plain")

        async with alone(tmp_path, "/v1/proofs/{digest}", proof, 5.0) as one:
            try:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(one.peers.proofs(proofs, [one.peer], check), 3)
                assert dict(one.archive.proofs(tuple(proofs))) == {served: proofs[served]}
            finally:
                over.set()

    asyncio.run(scene())


def test_a_peer_that_lets_proofs_time_out_is_not_asked_for_the_rest_of_them(tmp_path: Path) -> None:
    def check(_: bytes) -> VerifiedProof:
        raise AssertionError("nothing has come")

    async def scene() -> None:
        over, asked = asyncio.Event(), list[str]()

        async def proof(request: web.Request) -> web.Response:
            asked.append(request.path)
            await over.wait()
            return web.Response()

        async with alone(tmp_path, "/v1/proofs/{digest}", proof, 0.2) as one:
            try:
                for _ in range(2):
                    await one.peers.proofs([sha256(bytes([n])) for n in range(40)], [one.peer], check)
                    assert len(asked) == AT_ONCE
            finally:
                over.set()

    asyncio.run(scene())


def test_a_chunk_that_another_file_may_have_is_none_of_a_file_in_which_it_is_too_long(tmp_path: Path) -> None:
    """Two that conspire name it where its bound is higher, so that it is at hand; the file's own name would not be what it is kept as."""
    head, tail = bytes(700_000), bytes(range(250)) * 2_000
    other = encode(FileIndex(CHUNK_BYTES, (sha256(tail),)))
    false = encode(FileIndex(len(head + tail), (sha256(head), sha256(tail))))
    blobs = {sha256(blob): blob for blob in (head, tail, other, false)}

    async def scene() -> None:
        wanted, both = asyncio.Event(), asyncio.Event()

        async def blob(request: web.Request) -> web.Response:
            digest = paths.digest(request.match_info["digest"])
            if digest == sha256(tail):  # it comes once it is wanted for the false file too
                wanted.set()
                await both.wait()
            return web.Response(body=blobs[digest])

        async with alone(tmp_path, "/v1/blobs/{digest}", blob, 30.0) as one:

            async def fetched(index: bytes, size: int, parts: dict[int, bytes]) -> bytes | None:
                return await one.peers.checked_file(sha256(index), range(size, size + 1), bytes, parts, [one.peer])

            try:
                parts: dict[int, bytes] = {}
                first = asyncio.create_task(fetched(other, CHUNK_BYTES, {}))
                await wanted.wait()
                second = asyncio.create_task(fetched(false, len(head + tail), parts))
                for _ in range(500):
                    await asyncio.sleep(0.01)
                    if 0 in parts:
                        break
                both.set()
                for task in (first, second):
                    with pytest.raises(Wrong, match="chunks of other sizes"):
                        await task
                assert not one.archive.has_blob(file_digest(head + tail))
            finally:
                both.set()

    asyncio.run(scene())


def test_of_what_does_not_unpack_nothing_is_stored(tmp_path: Path) -> None:
    """A validator that serves bombs, garbage behind a frame, or other bytes, is passed over, and the next one has the file."""
    data = bytes(range(256)) * 5_000
    honest = {sha256(blob): blob for blob in (*chunks_of(data), encode(index_of(data)))}
    hostile = {"bomb": pack(bytes(1 << 26)), "more": pack(b"x" * 2_000_000), "behind": pack(b"x") + b"x", "others": pack(b"x")}

    async def blob(request: web.Request) -> web.Response:
        frame = hostile.get(request.match_info["peer"]) or pack(honest[paths.digest(request.match_info["digest"])])
        return packed_answer(request, frame, 1 << 20, "text/plain")

    async def scene() -> None:
        async with alone(tmp_path, "/{peer}/v1/blobs/{digest}", blob, 5.0) as one:
            for name in hostile:
                liar = replace(one.peer, endpoint=f"{one.peer.endpoint}/{name}")
                assert await one.peers.file(file_digest(data), [liar]) is None
                with Session(one.engine) as session:
                    assert session.exec(select(func.count()).select_from(BlobRow)).one() == 0
            assert await one.peers.file(file_digest(data), [liar, replace(liar, endpoint=f"{one.peer.endpoint}/honest")]) == data

    asyncio.run(scene())
