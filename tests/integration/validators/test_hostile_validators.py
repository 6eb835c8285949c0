"""What a listed validator, or anybody, may send to the others: each lie is refused by name, in bounded memory, with nothing of it stored,
and the others close the epoch in the first round that is theirs."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import inspect
from sqlalchemy import select as select_columns
from sqlmodel import Session

from chain.backend import Reverted
from chain.canonical import decode, encode, parse
from chain.messages import EpochAttestation
from chain.typed import Signed, digest_of, sign
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Signature, to_hex
from tests.validators import ALL_SLOTS, ETHER, PORT, PROVIDERS, RULES, VALIDATORS, Seat, World, a_world, key
from validator.archive import Archive, Packed
from validator.journal import MOST_OF_ONE
from validator.manifests import index_size
from validator.tables import TABLES
from wire.agreement import FileIndex, InventoryEntry, InventoryIndex, Manifest, RegisteredProvider
from wire.files import CHUNK_BYTES, chunks_of, file_digest, index_of, sha256
from wire.http import MAX_BODY, NETWORK_HEADER, PeerRefused, serve
from wire.messages import ActivityEntry, ActivityProof, Inventory
from wire.packing import pack

STRANGER = key("a stranger")
BOMB = pack(bytes(1 << 28))
"""A frame of some kilobytes that holds 256 MiB."""
Rows = dict[str, frozenset[tuple[Any, ...]]]


def archive_of(seat: Seat) -> Archive:
    assert seat.running is not None
    return seat.running.archive


def rows(seat: Seat) -> Rows:
    """The key of every row that a validator has stored, by table."""
    with Session(archive_of(seat)._engine) as session:
        keys = {str(table.__tablename__): inspect(table).primary_key for table in TABLES}
        return {name: frozenset(map(tuple, session.connection().execute(select_columns(*found)))) for name, found in keys.items()}


def blobs(seat: Seat) -> set[Digest]:
    return {Digest(digest) for (digest,) in rows(seat)["validator_blob"]}


def proofs(seat: Seat) -> set[Digest]:
    return {Digest(digest) for (digest,) in rows(seat)["validator_proof"]}


def pieces(data: bytes) -> set[Digest]:
    """What a file is kept as."""
    return {file_digest(data), *map(sha256, chunks_of(data))}


@contextmanager
def memory_below(most: int) -> Iterator[None]:
    """Fails if at any time so many bytes more than before are in use."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[1] - before < most
    finally:
        tracemalloc.stop()


async def close(world: World, epoch: int, honest: Sequence[Seat]) -> tuple[Address, ...]:
    """Closes an epoch with these validators alone, in the first round that one of them proposes in: whose inventories are in the root."""
    timing = world.network.timing
    first = next(round_ for round_ in range(9) if world.proposer(epoch, round_) in honest)
    opens = timing.intake_end(epoch) + first * timing.round_length
    await world.move_to(timing.intake_end(epoch))
    await world.step(honest)
    await world.move_to(opens + timing.round_length // 4)  # whoever is not complete by then is not waited for
    await world.until_posted(epoch, honest)
    posted = (await world.chain.view()).posting(epoch)
    assert posted is not None
    assert posted.round == first
    data = archive_of(world.proposer(epoch, first)).file(posted.manifest_digest)
    assert data is not None
    (covered,) = decode(Manifest, data).covered
    return tuple(signed.message.validator for signed in covered.inventories)


async def only_what_the_root_is_of(world: World, epoch: int, honest: Sequence[Seat], before: dict[str, Rows]) -> None:
    """Since then these validators have stored the root's own files and proofs, and nothing of anything else."""
    posted = (await world.chain.view()).posting(epoch)
    assert posted is not None
    theirs = {seat.key.address for seat in honest}
    for seat in honest:
        archive, told, known = archive_of(seat), rows(seat), before[seat.endpoint]
        own: set[Digest] = set()
        files = [posted.manifest_digest, posted.state_digest]
        files += [one.message.index_digest for one in archive.inventories(epoch) if one.message.validator in theirs]
        for digest in files:
            data = archive.file(digest)
            assert data is not None
            own |= pieces(data)
        assert {digest for (digest,) in told["validator_blob"] - known["validator_blob"]} <= own
        assert {digest for (digest,) in told["validator_proof"]} == {digest for (digest,) in known["validator_proof"]}
        listed = {one.address for one in VALIDATORS}
        assert {(e, v) for e, v in told["validator_inventory"] - known["validator_inventory"]} <= {(epoch, one) for one in listed}
        said = told["validator_attestation"] - known["validator_attestation"]
        recorded = {one.digest for one in (await world.chain.view()).proposed}
        assert all(validator in listed and digest in recorded for _, _, validator, digest in said)


# Inventories


@dataclass(frozen=True)
class Claim:
    """An inventory that says so many entries, over an index of these bytes, and what the others say of it. head: in place of the index's
    own head. unread: no chunk of it is ever asked for."""

    count: int
    index: bytes
    says: str
    head: bytes = b""
    unread: bool = False


def entries(count: int) -> tuple[InventoryEntry, ...]:
    return tuple(InventoryEntry(Address(f"0x{n:040x}"), Digest(n.to_bytes(32))) for n in range(1, count + 1))


def head_of(size: int) -> bytes:
    """The head of a file of this size, whose chunks nobody has."""
    return encode(FileIndex(size, tuple(Digest(n.to_bytes(32)) for n in range(-(-size // CHUNK_BYTES)))))


def claims(epoch: int, sound: tuple[InventoryEntry, ...]) -> dict[str, Claim]:
    """sound: what the others' indices name."""
    whole = encode(InventoryIndex(epoch, sound))
    long = encode(InventoryIndex(epoch, entries(20_000)))
    crowd = Inventory(ZERO_ADDRESS, epoch, 400_000, ZERO_DIGEST)
    same = encode(InventoryIndex(epoch, (*sound[:1], replace(sound[1], proof=sound[0].proof))))
    return {
        "more than any number of providers": Claim(2**64 - 1, whole, "proofs; there can be", unread=True),
        "more than all strangers' quota has room for": Claim(400_000, b"", "proofs; there can be", head_of(index_size(crowd)), unread=True),
        "an index far longer than its count": Claim(2, long, "are expected", unread=True),
        "a head that is none": Claim(2, b"", "malformed index", bytes(range(256)) * 4_096, unread=True),
        "a head of more than is taken": Claim(2, b"", "malformed index", encode(FileIndex(2**64 - 1, ())), unread=True),
        "out of order": Claim(2, encode(InventoryIndex(epoch, sound[::-1])), "not ascending"),
        "a provider twice": Claim(2, encode(InventoryIndex(epoch, sound[:1] * 2)), "not ascending"),
        "a proof twice": Claim(2, same, "several providers'"),
        "another epoch": Claim(2, encode(InventoryIndex(epoch - 1, sound)), "or of another epoch"),
        "other bytes of that size": Claim(2, b"[" * len(whole), "is none"),
    }


def test_an_inventory_that_is_none_is_left_out_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            liar, *honest = world.seats
            archive, asked, served = archive_of(liar), set[Digest](), archive_of(liar).packed_blob
            archive.packed_blob = lambda digest: (asked.add(digest), served(digest))[1]  # type: ignore[method-assign, func-returns-value]
            for epoch, name in enumerate(claims(1, entries(2)), start=1):
                await world.hand_in(epoch)
                claim = claims(epoch, archive.newest_proofs(epoch))[name]
                digest = archive.keep_blob(claim.head) if claim.head else archive.keep_file(claim.index)
                archive.keep_inventory(sign(Inventory(liar.key.address, epoch, claim.count, digest), world.network.domain, liar.key))
                before = {seat.endpoint: rows(seat) for seat in honest}
                caplog.clear()
                asked.clear()
                with caplog.at_level("DEBUG", "validator.candidates"):
                    assert liar.key.address not in await close(world, epoch, honest), name
                left_out = [one.message for one in caplog.records if "an inventory is left out" in one.message]
                assert left_out, name
                assert all(claim.says in one for one in left_out), (name, left_out)
                assert len(asked & (pieces(claim.index) - {digest})) == (0 if claim.unread else 1), name
                await only_what_the_root_is_of(world, epoch, honest, before)

    asyncio.run(scene())


def test_a_large_index_is_fetched_in_parts_and_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    """A part of it is at hand at first: it is kept in memory and not asked for again, and nothing is on disk until all has been seen."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            bad, *honest = world.seats
            await world.hand_in(1)
            archive, served, asked = archive_of(bad), archive_of(bad).packed_blob, list[Digest]()
            index = encode(InventoryIndex(1, entries(20_000)))
            digest = archive.keep_file(index)
            first, *rest = map(sha256, chunks_of(index))
            withheld = set(rest)

            def packed_blob(name: Digest) -> Packed | None:
                asked.append(name)
                return None if name in withheld else served(name)

            archive.packed_blob = packed_blob  # type: ignore[method-assign, assignment]
            archive.keep_inventory(sign(Inventory(bad.key.address, 1, 20_000, digest), world.network.domain, bad.key))
            await world.move_to(world.network.timing.intake_end(1))
            seat = honest[0]
            for _ in range(2):
                await world.step([seat])
            assert asked.count(first) == 1
            assert asked.count(rest[0]) > 1
            assert not blobs(seat) & pieces(index)
            withheld.clear()

            async def kept() -> bool:
                return pieces(index) <= blobs(seat)  # it is in order, though nobody has what it names

            await world.run_until(kept, [seat])
            assert asked.count(first) == 1

    asyncio.run(scene())


# Proofs


@dataclass(frozen=True)
class Named:
    """A proof that an index names for a provider, the bytes that are served as it, and what the others say of it. packed: as served."""

    provider: Address
    digest: Digest
    raw: bytes
    says: str
    packed: bytes = b""


def named_proofs(world: World, epoch: int) -> dict[str, Named]:
    domain, provider, other = world.network.domain, PROVIDERS[0], PROVIDERS[1]

    def named(proof: ActivityProof, says: str, signer: Any = provider, of: Address = provider.address) -> Named:
        return Named(of, digest_of(proof, domain), encode(sign(proof, domain, signer)), says)

    sound = world.proof(provider, epoch).message
    empty = replace(sound, tickets=(), reports=())
    ticket = sound.tickets[0].message
    forged, unlisted = sign(ticket, domain, STRANGER), sign(replace(ticket, resolver=STRANGER.address), domain, STRANGER)
    entry = ActivityEntry(0, 1, "announced", "x" * RULES.proof_max_bytes, ZERO_DIGEST)
    large = replace(empty, log=(entry,), log_head=digest_of(entry, domain))
    foreign = world.proof(other, epoch).message
    return {
        "of another epoch": named(replace(empty, epoch=epoch + 1), "another provider's or epoch's"),
        "of an epoch beyond all numbers": named(replace(empty, epoch=2**64 - 1), "another provider's or epoch's"),
        "of another provider": named(foreign, "another provider's or epoch's", other),
        "with statements about another": named(replace(sound, reports=foreign.reports), "wrong_subject"),
        "signed by another": named(sound, "wrong_signer", STRANGER),
        "with a forged ticket": named(replace(sound, tickets=(forged,)), "bad_statement"),
        "with a stranger's ticket": named(replace(sound, tickets=(unlisted,)), "not_listed"),
        "with a statement five times": named(replace(sound, tickets=sound.tickets * 5), "too_many_statements"),
        "larger than any": named(large, "body_too_large"),
        "with a space": replace(named(sound, "not_canonical"), raw=encode(sign(sound, domain, provider)).replace(b":", b": ", 1)),
        "another than asked for": replace(named(sound, "another proof than asked for"), raw=encode(world.proof(provider, epoch))),
        "a bomb": replace(named(sound, "body_too_large"), packed=BOMB),
        "no frame": replace(named(sound, "bad_encoding"), packed=b"x" * 100),
    }


def test_a_proof_that_does_not_verify_is_not_kept_and_its_inventory_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            liar, *honest = world.seats
            archive, served, shown = archive_of(liar), archive_of(liar).packed_proof, dict[Digest, Packed]()
            archive.packed_proof = lambda digest: shown.get(digest) or served(digest)  # type: ignore[method-assign]
            for epoch, name in enumerate(named_proofs(world, 1), start=1):
                await world.hand_in(epoch)
                proof = named_proofs(world, epoch)[name]
                shown[proof.digest] = Packed(proof.packed or pack(proof.raw), 1 << 20)
                index = encode(InventoryIndex(epoch, (InventoryEntry(proof.provider, proof.digest),)))
                said = Inventory(liar.key.address, epoch, 1, archive.keep_file(index))
                archive.keep_inventory(sign(said, world.network.domain, liar.key))
                before = {seat.endpoint: rows(seat) for seat in honest}
                caplog.clear()
                with caplog.at_level("DEBUG", "validator"), memory_below(32 << 20) if name == "a bomb" else nullcontext():
                    assert liar.key.address not in await close(world, epoch, honest), name
                assert proof.says in caplog.text, name
                for seat in honest:
                    assert proofs(seat) == {digest for (digest,) in before[seat.endpoint]["validator_proof"]}, name

    asyncio.run(scene())


def test_of_proofs_that_nobody_else_has_signed_no_more_is_fetched_than_an_intake_takes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are free: a validator could name any number of them, each with a proof as large as any."""
    quota = 4_000
    monkeypatch.setattr("validator.evidence.STRANGERS_QUOTA_BYTES", quota)

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            liar, *honest = world.seats
            domain, archive = world.network.domain, archive_of(liar)
            crowd = sorted((key(f"one of many {n}") for n in range(40)), key=lambda one: one.address)
            signed = [sign(ActivityProof(one.address, 1, 1, (), (), (), (), ZERO_DIGEST), domain, one) for one in crowd]
            names = [digest_of(one.message, domain) for one in signed]
            await world.hand_in(1)
            for digest, proof in zip(names, signed, strict=True):
                archive.keep_proof(digest, encode(proof), proof.message)
            index = InventoryIndex(1, tuple(InventoryEntry(one.address, digest) for one, digest in zip(crowd, names, strict=True)))
            said = Inventory(liar.key.address, 1, len(crowd), archive.keep_file(encode(index)))
            archive.keep_inventory(sign(said, domain, liar.key))
            for seat in honest[:2]:  # they have been shown all of it before: it is refused by them as by the third
                for digest, proof in zip(names, signed, strict=True):
                    archive_of(seat).keep_proof(digest, encode(proof), proof.message)
            with caplog.at_level("DEBUG", "validator.candidates"):
                assert liar.key.address not in await close(world, 1, honest)
            reasons = [one.message for one in caplog.records if "left out" in one.message]
            assert reasons
            assert all("more proofs without a statement by anybody else" in one for one in reasons)
            fetched = proofs(honest[2]) & set(names)
            assert sum(len(archive_of(honest[2]).proof(digest) or b"") for digest in fetched) <= quota
            assert fetched

    asyncio.run(scene())


def test_a_proof_of_an_unregistered_provider_is_taken_and_pays_it_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            await world.hand_in(1)
            for seat in world.seats:
                await world.client.post(seat.endpoint, "/v1/proofs", world.proof(STRANGER, 1, ALL_SLOTS))
            assert len(await close(world, 1, world.seats)) == len(world.seats)
            await world.move_to(world.network.timing.end_of(2))
            await world.step(world.seats)
            leaves = [await world.leaf(world.seats[0], one.address) for one in (STRANGER, *PROVIDERS)]
            assert (leaves[0].earned, leaves[0].points) == (0, 0)
            assert all(leaf.earned > 0 and leaf.points > 0 for leaf in leaves[1:])

    asyncio.run(scene())


# Manifests


def _said(world: World, seat: Seat, epoch: int, index: bytes, count: int, signer: Any = None) -> Signed[Inventory]:
    """An inventory of a validator over an index that it serves."""
    said = Inventory(seat.key.address, epoch, count, archive_of(seat).keep_file(index))
    return sign(said, world.network.domain, signer or seat.key)


Lie = Callable[[World, Seat, Manifest], Manifest | bytes]


def _covering(change: Callable[[World, Seat, int, tuple[Signed[Inventory], ...]], Iterable[Signed[Inventory]]]) -> Lie:
    """The manifest with other inventories."""

    def lie(world: World, liar: Seat, manifest: Manifest) -> Manifest:
        (covered,) = manifest.covered
        return replace(manifest, covered=(replace(covered, inventories=tuple(change(world, liar, covered.epoch, covered.inventories))),))

    return lie


def _ascending(inventories: Iterable[Signed[Inventory]]) -> list[Signed[Inventory]]:
    return sorted(inventories, key=lambda one: one.message.validator)


def _instead(change: Callable[[World, Seat, int], Signed[Inventory]]) -> Lie:
    """The manifest with another inventory of the liar in place of its own."""
    return _covering(
        lambda world, liar, epoch, all_: _ascending(
            [change(world, liar, epoch), *(one for one in all_ if one.message.validator != liar.key.address)]
        )
    )


TWICE = "an inventory whose index names a provider twice"
"""Here the manifest is one, and is kept; the index is not."""


def _twice(world: World, liar: Seat, epoch: int) -> Signed[Inventory]:
    entry = archive_of(liar).newest_proofs(epoch)[0]
    return _said(world, liar, epoch, encode(InventoryIndex(epoch, (entry, entry))), 2)


def _twice_over(liar: Seat, epoch: int) -> set[Digest]:
    return pieces(encode(InventoryIndex(epoch, archive_of(liar).newest_proofs(epoch)[:1] * 2)))


def _outsider(world: World, liar: Seat, epoch: int, all_: tuple[Signed[Inventory], ...]) -> list[Signed[Inventory]]:
    said = Inventory(STRANGER.address, epoch, all_[0].message.count, all_[0].message.index_digest)
    return _ascending([*all_, sign(said, world.network.domain, STRANGER)])


OTHER = Digest(bytes([7]) * 32)
NOBODY = RegisteredProvider(STRANGER.address, ZERO_ADDRESS, ETHER)
MANIFESTS: dict[str, tuple[Lie, str]] = {
    "other rules": (lambda _, __, m: replace(m, rules_digest=OTHER), "its epochs, parent, rules"),
    "another provider than is registered": (
        lambda _, __, m: replace(
            m,
            chain=(replace(m.chain[0], providers=(NOBODY, m.chain[0].providers[1])),),
        ),
        "its epochs, parent, rules",
    ),
    "an inventory twice": (_covering(lambda _, __, ___, all_: (all_[0], *all_)), "not ascending"),
    "an inventory of another epoch": (
        _instead(lambda world, liar, epoch: _said(world, liar, epoch + 1, encode(InventoryIndex(epoch + 1, ())), 0)),
        "is of another epoch, or of no validator",
    ),
    "an inventory of a validator outside the set": (_covering(_outsider), "is of another epoch, or of no validator"),
    "an inventory that another has signed": (
        _instead(lambda world, liar, epoch: _said(world, liar, epoch, encode(InventoryIndex(epoch, ())), 0, STRANGER)),
        "an inventory of epoch",
    ),
    "inventories of half of the stake": (_covering(lambda _, __, ___, all_: all_[:2]), "less than two thirds"),
    TWICE: (_instead(_twice), "not ascending"),
    "brackets of its size": (lambda _, __, m: b"[" * len(encode(m)), "its epochs, parent, rules"),
    "more bytes than it can have": (lambda _, __, m: encode(m) + b" " * (8 << 20), "are expected"),
}


def test_a_manifest_that_is_false_is_not_signed_and_the_next_round_posts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each epoch's first proposer records a false one and serves all of it, unless every round is its own: then nobody could help."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            lies: list[bytes] = []
            for seat in world.seats:
                _let_lie(world, seat, lies)
            timing = world.network.timing
            epoch = 0
            for name, (_, says) in MANIFESTS.items():
                epoch += 1
                while not _has_another_round(world, epoch):
                    await world.hand_in(epoch)
                    await world.until_posted(epoch)
                    epoch += 1
                liar = world.proposer(epoch)
                honest = [seat for seat in world.seats if seat is not liar]
                await world.hand_in(epoch)
                await world.move_to(timing.intake_end(epoch))
                caplog.clear()
                for _ in range(4):
                    await world.step(world.seats)
                refused = [one.message for one in caplog.records if "is not signed" in one.message]
                assert len(refused) == len(world.seats), name  # its own maker's program does not sign it either
                assert all(says in one for one in refused), (name, refused)
                first = next(round_ for round_ in range(1, 9) if world.proposer(epoch, round_) is not liar)
                await world.move_to(timing.intake_end(epoch) + first * timing.round_length)
                await world.until_posted(epoch, honest)
                view = await world.chain.view()
                posted = view.posting(epoch)
                assert posted is not None
                assert posted.round == first, name
                recorded = next(one for one in view.proposed if (one.epoch, one.round) == (epoch, 0))
                assert recorded.proposer == liar.key.address
                false = _twice_over(liar, epoch) if name == TWICE else pieces(lies[-1])
                assert false <= blobs(liar)
                for seat in honest:
                    assert seat.running is not None
                    assert not blobs(seat) & false, name
                    assert seat.running.journal.signed(epoch, 0) is None
                    assert seat.running.journal.attestations(epoch, 0, recorded.digest) == {}

    asyncio.run(scene())


def _has_another_round(world: World, epoch: int) -> bool:
    """Whether somebody else than its first proposer has a round of an epoch."""
    return len({world.proposer(epoch, round_).endpoint for round_ in range(4)}) > 1


def _let_lie(world: World, seat: Seat, lies: list[bytes]) -> None:
    """Whenever this validator is the first to propose, it builds the next of the false manifests."""
    assert seat.running is not None
    candidates, archive = seat.running.closing._candidates, seat.running.archive
    build = candidates.build

    async def false(basis: Any, ready: Any, round_: int, others: Any) -> EpochAttestation | None:
        honest = await build(basis, ready, round_, others)
        if honest is None or round_ > 0 or not _has_another_round(world, basis.epoch):
            return honest
        data = archive.file(honest.manifest_digest)
        assert data is not None
        lie, _ = list(MANIFESTS.values())[len(lies)]
        made = lie(world, seat, decode(Manifest, data))
        lies.append(made if isinstance(made, bytes) else encode(made))
        return replace(honest, manifest_digest=archive.keep_file(lies[-1]))

    candidates.build = false  # type: ignore[method-assign]


def test_an_attestation_on_other_rules_is_not_looked_into(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The manifest that it names is never asked for."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            liar = world.proposer(1)
            honest = [seat for seat in world.seats if seat is not liar]
            assert liar.running is not None
            candidates, archive = liar.running.closing._candidates, liar.running.archive
            build, served, asked = candidates.build, archive.packed_blob, list[Digest]()

            async def false(basis: Any, ready: Any, round_: int, others: Any) -> EpochAttestation | None:
                made = await build(basis, ready, round_, others)
                return None if made is None else replace(made, rules_digest=OTHER, manifest_digest=archive.keep_file(b"a lie"))

            candidates.build = false  # type: ignore[method-assign]
            archive.packed_blob = lambda digest: (asked.append(digest), served(digest))[1]  # type: ignore[method-assign, func-returns-value]
            await world.hand_in(1)
            before = {seat.endpoint: rows(seat) for seat in honest}
            await world.move_to(world.network.timing.intake_end(1))
            for _ in range(4):
                await world.step(world.seats)
            refused = [one.message for one in caplog.records if "is not signed" in one.message]
            assert len(refused) == len(world.seats)
            assert all("another epoch, parent or rules than the chain" in one for one in refused)
            first = next(round_ for round_ in range(1, 9) if world.proposer(1, round_) is not liar)
            await world.move_to(world.network.timing.intake_end(1) + first * world.network.timing.round_length)
            await world.until_posted(1, honest)
            await only_what_the_root_is_of(world, 1, honest, before)
            assert not pieces(b"a lie") & set(asked)

    asyncio.run(scene())


# Answers


Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _packed(request: web.Request, body: bytes, encoding: str) -> web.StreamResponse:
    return web.Response(body=body, headers={"Content-Encoding": encoding})


async def _without_end(request: web.Request, piece: bytes, pause_s: float) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:  # until whoever asked goes away, or this server is stopped
        await response.write(piece)
        await asyncio.sleep(pause_s)


ANSWERS: dict[str, Answering] = {
    "a bomb in zstd": lambda request: _packed(request, BOMB, "zstd"),
    "a bomb in gzip": lambda request: _packed(request, BODIES["gzip"], "gzip"),
    "what is said to be br": lambda request: _packed(request, b"\x5b\xff\xff\xff\x03", "br"),
    "packed twice": lambda request: _packed(request, pack(BOMB), "zstd, zstd"),
    "brackets without end": lambda request: _without_end(request, b"[" * 65_536, 0),
    "a byte at a time": lambda request: _without_end(request, b"[", 0.02),
}


MANY_BYTES = ("a bomb in zstd", "a bomb in gzip", "brackets without end")


@asynccontextmanager
async def hostile_server(world: World, seat: Seat, answers: Callable[[web.Request], Answering | None]) -> AsyncIterator[None]:
    """In the place of a validator: answers everything in the way it is told to, but its inventory, which is signed, where None is told."""
    domain = world.network.domain

    async def answer(request: web.Request) -> web.StreamResponse:
        how = answers(request)
        if how is not None:
            return await how(request)
        said = Inventory(seat.key.address, int(request.path.rsplit("/", 1)[1]), 2, sha256(request.path.encode()))
        return web.Response(body=encode(sign(said, domain, seat.key)))

    async def named(_: web.Request, response: web.StreamResponse) -> None:
        response.headers[NETWORK_HEADER] = str(domain)

    app = web.Application()
    app.on_response_prepare.append(named)
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = await serve(app, seat.host, PORT)
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("signs", [True, False], ids=["behind a signed inventory", "to everything"])
def test_whatever_a_peer_answers_costs_its_inventory_alone(tmp_path: Path, signs: bool) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            liar, *honest = world.seats
            await world.stop(liar)
            how, seen = "", list[str]()

            def answers(request: web.Request) -> Answering | None:
                seen.append(request.path)
                return None if signs and request.path.startswith("/v1/inventories/") else ANSWERS[how]

            async with hostile_server(world, liar, answers):
                for epoch, how in enumerate(ANSWERS if signs else ("a bomb in zstd", "a byte at a time"), start=1):
                    seen.clear()
                    await world.hand_in(epoch, honest)
                    before = {seat.endpoint: rows(seat) for seat in honest}
                    with memory_below(48 << 20) if signs and how in MANY_BYTES else nullcontext():
                        assert liar.key.address not in await close(world, epoch, honest), how
                    assert any(path.startswith("/v1/blobs/" if signs else "/v1/inventories/") for path in seen), how
                    await only_what_the_root_is_of(world, epoch, honest, before)

    asyncio.run(scene())


def test_what_a_validator_serves_to_the_proposer_alone_the_others_have_from_the_proposer(tmp_path: Path) -> None:
    """Else one that lets everybody else wait would keep an honest candidate from being signed."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            proposer, serves, over = world.proposer(1), False, asyncio.Event()
            liar, *others = (seat for seat in world.seats if seat is not proposer)
            await world.stop(liar)
            await world.hand_in(1, [proposer, *others])
            proof = world.proof(PROVIDERS[0], 1)
            named = InventoryEntry(PROVIDERS[0].address, digest_of(proof.message, world.network.domain))
            index = encode(InventoryIndex(1, (named,)))
            said = Inventory(liar.key.address, 1, 1, file_digest(index))
            bodies = {f"/v1/blobs/{to_hex(sha256(blob))}": blob for blob in (index, encode(index_of(index)))}
            bodies[f"/v1/proofs/{to_hex(named.proof)}"] = encode(proof)

            async def answer(request: web.Request) -> web.StreamResponse:
                if request.path.startswith("/v1/inventories/"):
                    return web.Response(body=encode(sign(said, world.network.domain, liar.key)))
                if request.path in bodies and not serves:
                    await over.wait()
                return web.Response(body=bodies[request.path]) if request.path in bodies else web.Response(status=404)

            async with hostile_server(world, liar, lambda _: answer):
                await world.move_to(world.network.timing.intake_end(1))
                for _ in range(8):
                    for seat in (*others, proposer):
                        serves = seat is proposer
                        await world.step([seat])
                over.set()
            posted = (await world.chain.view()).posting(1)
            assert posted is not None
            assert posted.round == 0
            data = archive_of(others[0]).file(posted.manifest_digest)
            assert data is not None
            assert said in [signed.message for signed in decode(Manifest, data).covered[0].inventories]

    asyncio.run(scene())


def test_headers_without_end_cost_no_more_than_a_time_out(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            liar, *honest = world.seats
            await world.stop(liar)
            asked = 0

            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                nonlocal asked
                asked += 1
                writer.write(b"HTTP/1.1 200 OK\r\n")
                try:
                    while not reader.at_eof():
                        writer.write(b"X-More: " + b"x" * 4_096 + b"\r\n")
                        await asyncio.wait_for(writer.drain(), 10)
                        await asyncio.sleep(0)
                except (ConnectionError, TimeoutError):
                    pass
                finally:
                    writer.close()

            server = await asyncio.start_server(talk, liar.host, PORT)
            async with server:
                await world.hand_in(1, honest)
                before = {seat.endpoint: rows(seat) for seat in honest}
                with memory_below(32 << 20):
                    assert liar.key.address not in await close(world, 1, honest)
                await only_what_the_root_is_of(world, 1, honest, before)
            assert asked > 0

    asyncio.run(scene())


# Requests


async def refusal(world: World, seat: Seat, path: str, value: Any = None) -> tuple[int, str]:
    """Status and code of a refusal of this validator's own; a value is posted."""
    with pytest.raises(PeerRefused) as refused:
        await (world.client.get(seat.endpoint, path) if value is None else world.client.post(seat.endpoint, path, value))
    assert refused.value.observer == seat.key.address
    return refused.value.status, refused.value.code


BODIES: dict[str, bytes] = {
    "gzip": gzip.compress(bytes(1 << 26)),
    "deflate": zlib.compress(bytes(1 << 26)),
    "br": b"\x5b\xff\xff\xff\x03",
    "zstd": BOMB,
    "zstd, gzip": BOMB,
    "nonsense": b"{}",
}


def test_a_packed_body_is_refused_unread(tmp_path: Path) -> None:
    """Whatever it holds: also what would be taken if it came plainly."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            seat = world.seats[0]
            await world.move_to(world.network.timing.end_of(1) + 1)
            sound = encode(world.proof(PROVIDERS[0], 1))
            before = rows(seat)
            bodies = [*BODIES.items(), ("gzip", gzip.compress(sound)), ("zstd", pack(sound)), ("GZIP ", gzip.compress(sound))]
            async with aiohttp.ClientSession() as http:
                for path in ("/v1/proofs", "/v1/attestations", "/v1/demands"):
                    for encoding, body in bodies:
                        with memory_below(4 << 20):
                            headers = {"Content-Encoding": encoding}
                            async with http.post(f"http://{seat.endpoint}{path}", data=body, headers=headers) as response:
                                error = parse(await response.read())["error"]
                        assert (response.status, error["code"], error["observer"]) == (400, "bad_encoding", seat.key.address), encoding
            assert rows(seat) == before
            await world.client.post(seat.endpoint, "/v1/proofs", sound)

    asyncio.run(scene())


def test_a_body_without_end_is_refused_at_its_bound(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world, aiohttp.ClientSession() as http:
            seat = world.seats[0]
            before = rows(seat)

            async def endless() -> AsyncIterator[bytes]:
                for _ in range(1_000):
                    yield b"[" * 65_536

            for path in ("/v1/proofs", "/v1/attestations"):
                with memory_below(16 << 20):
                    try:
                        async with http.post(f"http://{seat.endpoint}{path}", data=endless()) as response:
                            assert parse(await response.read())["error"]["code"] == "body_too_large"
                    except aiohttp.ClientError:  # the answer came, and the connection was closed, while this was still sending
                        pass
            assert await refusal(world, seat, "/v1/attestations", b"[" * MAX_BODY) == (400, "malformed_json")
            assert rows(seat) == before
        for _ in range(100):  # what is left of a refused body is waited for, for a moment, also after its sender has gone
            if len(asyncio.all_tasks()) == 1:
                break
            await asyncio.sleep(0.05)

    asyncio.run(scene())


def attestation(epoch: int, round_: int = 0, mark: int = 1) -> EpochAttestation:
    return EpochAttestation(epoch, epoch, round_, *(ZERO_DIGEST,) * 4, 0, mark, *(ZERO_DIGEST,) * 3)


def test_epochs_and_rounds_of_the_future_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            seat, timing, domain = world.seats[0], world.network.timing, world.network.domain
            peer = VALIDATORS[1]
            await world.hand_in(1)
            await world.move_to(timing.intake_end(1) + 1)
            await world.step(world.seats)
            before = rows(seat)
            rounds = (timing.post_window - timing.intake) // timing.round_length
            for epoch in (0, 3, 4, 10**6, 2**53, 2**63 - 1, 2**63, 2**64 - 1):
                proof = ActivityProof(PROVIDERS[0].address, epoch, 2**64 - 1, (), (), (), (), ZERO_DIGEST)
                assert await refusal(world, seat, "/v1/proofs", sign(proof, domain, PROVIDERS[0])) == (400, "unknown_epoch"), epoch
            for epoch, round_ in (
                *((epoch, 0) for epoch in (0, 2, 3, 10**6, 2**63 - 1, 2**63, 2**64 - 1)),
                *((1, round_) for round_ in (2, rounds + 1, 2**63 - 1, 2**63, 2**64 - 1)),
                (2**64 - 1, 2**64 - 1),
            ):
                said = sign(attestation(epoch, round_), domain, peer)
                assert await refusal(world, seat, "/v1/attestations", said) == (404, "unknown_candidate"), (epoch, round_)
            for epoch in (2, 3, 10**6, 2**53, 2**63 - 1):
                assert await refusal(world, seat, f"/v1/inventories/{epoch}") == (425, "not_yet"), epoch
                for path in (f"candidates/{epoch}/0", f"manifests/{epoch}", f"states/{epoch}"):
                    assert await refusal(world, seat, f"/v1/{path}") == (404, "not_found"), path
                assert await world.client.get(seat.endpoint, f"/v1/attestations/{epoch}/0") == b"[]"
            for number in (2**63, 2**64, "01", "-1", "1e3"):
                for path in (f"inventories/{number}", f"candidates/{number}/0", f"candidates/1/{number}", f"attestations/1/{number}"):
                    assert await refusal(world, seat, f"/v1/{path}") == (400, "bad_parameter"), path
            assert rows(seat) == before
            await world.client.post(seat.endpoint, "/v1/attestations", sign(attestation(1, 1), domain, peer))  # a peer may be a round ahead
            assert len(rows(seat)["validator_attestation"]) == len(before["validator_attestation"]) + 1

    asyncio.run(scene())


def test_a_proposer_from_the_future_is_asked_for_nothing_and_holds_up_nobody(tmp_path: Path) -> None:
    """Rounds open by block time: whoever records a candidate for one that is not open, or whose proposer it is not, is refused on chain."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            await world.hand_in(1)
            await world.move_to(world.network.timing.intake_end(1) + 1)
            settlement = world.chain.settlement
            for seat in world.seats:
                for epoch, round_ in ((1, 5), (2, 0), (2**63, 0)):
                    with pytest.raises(Reverted):
                        await world.call(seat.key, settlement.propose(epoch, round_, OTHER))
            assert (await world.chain.view()).proposed == ()
            await world.until_posted(1)

    asyncio.run(scene())


def test_only_those_whose_word_can_cost_them_stake_are_heard(tmp_path: Path) -> None:
    """Refused are unknown keys, other roles, a convict, and a listed validator whose stake is out; one that is on its way out is heard."""

    async def scene() -> None:
        async with a_world(tmp_path, watching=True) as world:
            seat, leaver, cheat = world.seats[0], world.seats[1], world.seats[2]
            timing, domain = world.network.timing, world.network.domain

            async def told(who: Any, mark: int = 1) -> tuple[int, str]:
                before = rows(seat)
                found = await refusal(world, seat, "/v1/attestations", sign(attestation(1, 0, mark), domain, who))
                assert rows(seat) == before
                return found

            await world.hand_in(1)
            await world.until_posted(1)
            await world.move_to(timing.post_end(1) + timing.challenge + 1)
            await world.step(world.seats)
            for stranger in (STRANGER, PROVIDERS[0], key("resolver"), key("master 0")):
                assert await told(stranger) == (403, "not_listed")
            wrong = Signed(attestation(1), sign(attestation(1, 0, 2), domain, cheat.key).signature)  # of some key, nobody's
            assert await refusal(world, seat, "/v1/attestations", wrong) == (403, "not_listed")
            assert await refusal(world, seat, "/v1/attestations", replace(wrong, signature=Signature(bytes(65)))) == (401, "bad_signature")

            registry = world.chain.registry
            await world.call(leaver.key, registry.unbond(leaver.key.address, (await world.chain.view()).validators()[0].stake))
            await world.step([seat])
            await world.client.post(seat.endpoint, "/v1/attestations", sign(attestation(1, 3), domain, leaver.key))
            for mark in range(2, 9):  # as often as it likes: two are kept
                await world.client.post(seat.endpoint, "/v1/attestations", sign(attestation(1, 0, mark), domain, cheat.key))
            said = [one for one in rows(seat)["validator_attestation"] if one[:3] == (1, 0, cheat.key.address)]
            assert len(said) == MOST_OF_ONE

            async def slashed() -> bool:
                view = await world.chain.view()
                return cheat.key.address in view.convictions and not view.unslashed()

            await world.run_until(slashed, [seat])
            await world.step([seat])
            assert await told(cheat.key, 9) == (403, "not_listed")
            unbonding = (await world.chain.view()).unbonding[leaver.key.address]
            await world.move_to(max(unbonding.release_at, timing.post_end(timing.epoch_at(unbonding.release_at) - 1)) + 1)
            await world.call(leaver.key, registry.withdraw_stake(leaver.key.address))
            await world.step([seat])
            listing = (await world.chain.view()).listing(leaver.key.address)
            assert listing is not None
            assert listing.stake == 0
            assert await told(leaver.key, 9) == (403, "not_listed")

    asyncio.run(scene())
