"""Epochs of a network of four validators, recomputed from outside: what is so is confirmed, and what is not is told exactly."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

from audit.auditor import Auditor, opened
from audit.sources import Files
from audit.verdicts import Audit
from chain.amounts import tokens
from chain.backend import Backend, RpcError
from chain.canonical import decode, encode
from chain.client import ChainClient
from chain.merkle import MerkleTree
from chain.typed import Signed, digest_of, sign
from chain.types import ZERO_ADDRESS, Digest, Wei, to_hex
from chain.view import Listing
from cli.app import app
from tests.session_parts import Parties
from tests.validators import CONSUMER, DEPLOYER, ETHER, GUARDIAN, PROVIDERS, VALIDATORS, Seat, World, a_world
from validator.archive import Packed
from validator.chain_section import chain_section
from validator.epoch import Outcome, recompute
from validator.export import export
from validator.peers import Asks
from validator.state import encode_state, leaves_of
from wire.agreement import FileIndex, InventoryIndex, Manifest
from wire.messages import ProofReceipt, SessionEvidence
from wire.packing import pack

PAYLOAD = 3 * ETHER // 10
"""Bytes of a session, at a wei a byte."""


def files_of(*seats: Seat) -> list[Listing]:
    return [Listing(seat.key.address, "validator", seat.endpoint, Wei(0)) for seat in seats]


@contextlib.contextmanager
def auditing(world: World, client: Asks | None = None, sources: list[Listing] | None = None) -> Any:
    with opened(ChainClient(world.backend, world.network), client or world.client, sources) as auditor:
        yield auditor


async def audited(world: World, epoch: int, client: Asks | None = None, sources: list[Listing] | None = None) -> Audit:
    with auditing(world, client, sources) as auditor:
        found: Audit = await auditor.audit(epoch)
        return found


async def through(auditor: Auditor, last: int) -> list[Audit]:
    return [one async for one in auditor.audit_through(last)]


def codes(audit: Audit) -> list[str]:
    return [one.code for one in audit.findings]


async def deposit(world: World) -> None:
    chain, amount = world.chain, Wei(5 * ETHER)
    await world.call(DEPLOYER, chain.token.transfer(CONSUMER.address, amount))
    await world.call(CONSUMER, chain.token.approve(world.network.vault, amount), chain.vault.deposit(amount))


def session(world: World, epoch: int) -> SessionEvidence:
    """One that the first provider served in the epoch; the provider has counted less than the consumer."""
    parties = Parties(world.network.domain, CONSUMER, PROVIDERS[0], (epoch - 1) * ETHER, epoch * ETHER, nonce=epoch)
    at = world.network.timing.start_of(epoch) + 1
    return parties.evidence(VALIDATORS[:3], PAYLOAD, at, served=PAYLOAD - epoch)


async def hand_in(world: World, epoch: int) -> None:
    """Both were there, and the first one served a session."""
    await world.move_to(world.network.timing.end_of(epoch) + 1)
    for provider in PROVIDERS:
        proof = world.proof(provider, epoch).message
        if provider is PROVIDERS[0]:
            proof = replace(proof, sessions=(session(world, epoch),))
        for seat in world.seats:
            await world.client.post(seat.endpoint, "/v1/proofs", sign(proof, world.network.domain, provider))


async def close(world: World, epoch: int) -> None:
    """The epoch is posted and its root active."""
    await world.until_posted(epoch)
    await world.move_to((await world.chain.settlement.pending_record()).active_at + 1)
    await world.step(world.seats)


@contextlib.asynccontextmanager
async def two_epochs(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as world:
        await deposit(world)
        for epoch in (1, 2):
            await hand_in(world, epoch)
            await close(world, epoch)
        yield world


def test_what_is_so_is_confirmed_by_anybodys_files(tmp_path: Path) -> None:
    async def scene() -> None:
        async with two_epochs(tmp_path) as world:
            whole = await audited(world, 2)
            assert (whole.state, whole.findings, whole.covered) == ("confirmed", (), (2,))
            # two proofs, each with a ticket and three reports; a session of seven parts; four inventories; four signers
            assert (whole.looked.proofs, whole.looked.inventories, len(whole.looked.signers)) == (2, 4, 4)
            assert whole.looked.signatures == 2 * (1 + 1 + 3) + 7 + 4 + 4
            assert whole.looked.received > 5_000
            alone = await audited(world, 2, sources=files_of(world.seats[3]))
            assert (alone.state, alone.looked.received) == ("confirmed", whole.looked.received)
            with auditing(world) as auditor:
                both = await through(auditor, await auditor.last_posted())
            assert [(one.epoch, one.state) for one in both] == [(1, "confirmed"), (2, "confirmed")]
            assert both[1].looked.received < whole.looked.received, "no state of a parent was asked for"
            assert both[1].recomputed is not None
            assert both[1].posted is not None
            leaf = next(leaf for leaf in both[1].recomputed.outcome.leaves if leaf.account == PROVIDERS[0].address)
            assert leaf.earned > 2 * PAYLOAD * 95 // 100
            assert MerkleTree(both[1].recomputed.outcome.leaves).root == both[1].posted.root

    asyncio.run(scene())


async def needed(world: World, folder: Path, epoch: int) -> dict[str, str]:
    """One file of each kind that the audit of an epoch needs, by its path in the folder."""
    view = await world.chain.view()
    posted, parent = view.posting(epoch), view.posting(epoch - 1)
    assert posted is not None
    assert parent is not None

    def chunk(digest: Digest) -> Digest:
        index: FileIndex = decode(FileIndex, (folder / "blobs" / to_hex(digest)).read_bytes())
        (only,) = index.chunks
        return only

    manifest: Manifest = decode(Manifest, (folder / "blobs" / to_hex(chunk(posted.manifest_digest))).read_bytes())
    index_digest = manifest.covered[0].inventories[0].message.index_digest
    index: InventoryIndex = decode(InventoryIndex, (folder / "blobs" / to_hex(chunk(index_digest))).read_bytes())
    blobs = {
        "manifest's index": posted.manifest_digest,
        "manifest": chunk(posted.manifest_digest),
        "parent's state": chunk(parent.state_digest),
        "index": chunk(index_digest),
    }
    return {what: f"blobs/{to_hex(digest)}" for what, digest in blobs.items()} | {"proof": f"proofs/{to_hex(index.entries[0].proof)}"}


def test_files_alone_are_enough_and_each_tampered_one_is_told(tmp_path: Path) -> None:
    """The folder of an export, with no validator up."""

    async def scene() -> None:
        folder = tmp_path / "files"
        async with two_epochs(tmp_path) as world:
            for epoch in (1, 2):
                done = await export(world.chain, world.client, world.seats[1].endpoint, epoch, folder)
                assert done.proofs == 2
            again = await export(world.chain, world.client, world.seats[1].endpoint, 2, folder)
            assert again.bytes == 0
            for seat in world.seats:
                await world.stop(seat)
            source = [Listing(ZERO_ADDRESS, "validator", str(folder), Wei(0))]
            with auditing(world, Files(folder), source) as auditor:
                assert [one.state for one in await through(auditor, 2)] == ["confirmed", "confirmed"]
            assert (await audited(world, 2, Files(folder), source)).state == "confirmed"
            for what, name in (await needed(world, folder, 2)).items():
                file = folder / name
                kept = file.read_bytes()
                for content in (kept[:-1] + bytes([kept[-1] ^ 1]), None):
                    file.unlink() if content is None else file.write_bytes(content)
                    found = await audited(world, 2, Files(folder), source)
                    assert (found.state, codes(found)) == ("unproven", ["not_served"] * (4 if what in ("index", "proof") else 1)), what
                    said = "not_found" if content is None else "malformed_json" if what == "proof" else "other bytes than asked for"
                    assert said in found.findings[0].detail, what
                file.write_bytes(kept)
            assert (await audited(world, 2, Files(folder), source)).state == "confirmed"

    asyncio.run(scene())


def test_a_wrong_state_served_is_told_and_another_validator_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with two_epochs(tmp_path) as world:
            liar = world.seats[0]
            assert liar.running is not None
            posted = (await world.chain.view()).posting(1)
            assert posted is not None
            held = liar.running.archive.packed_blob
            false = encode_state(replace((await audited(world, 1)).recomputed.outcome.state, lost_earned=1))  # type: ignore[union-attr]
            served = Packed(pack(false), len(false))
            monkeypatch.setattr(liar.running.archive, "packed_blob", lambda name: served if name == posted.state_digest else held(name))
            alone = await audited(world, 2, sources=files_of(liar))
            assert (alone.state, codes(alone)) == ("unproven", ["not_served"])
            assert "the state of epoch 1" in alone.findings[0].detail
            assert f"{liar.endpoint} answers with other bytes than asked for" in alone.findings[0].detail
            assert (await audited(world, 2, sources=files_of(*world.seats))).state == "confirmed"
            with auditing(world, sources=files_of(liar)) as auditor:
                assert [one.state for one in await through(auditor, 2)] == ["confirmed", "confirmed"], "nobody's state is asked for"

    asyncio.run(scene())


def richer(*arguments: Any) -> Outcome:
    """The recomputation of who wants the second provider to have a wei more than it earned."""
    honest = recompute(*arguments)
    accounts = tuple(replace(one, earned=one.earned + 1) if one.account == PROVIDERS[1].address else one for one in honest.state.accounts)
    state = replace(honest.state, accounts=accounts)
    leaves = leaves_of(state, arguments[1].chain[0].treasury)
    return Outcome(state, leaves, MerkleTree(leaves).root, state.total_earned, state.total_spent)


def test_a_lie_of_all_validators_together_is_told_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One wei, in a root that no proof on chain can refute; and the honest root that comes after it."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            await deposit(world)
            await hand_in(world, 1)
            with monkeypatch.context() as patched:
                patched.setattr("validator.candidates.recompute", richer)
                await close(world, 1)
            await hand_in(world, 2)
            await close(world, 2)
            lie = await audited(world, 1)
            assert (lie.state, codes(lie)) == ("differs", ["root_differs", "state_differs", "earned_differs"])
            posted = (await world.chain.view()).posting(1)
            assert posted is not None
            assert lie.recomputed is not None
            own = lie.recomputed.outcome
            assert own.total_earned == posted.total_earned - 1
            assert lie.findings[0].detail == f"its root is {to_hex(posted.root)}, recomputed {to_hex(own.root)}"
            assert lie.findings[2].detail.endswith(f"is {posted.total_earned}, recomputed {own.total_earned}")
            assert (await audited(world, 2)).state == "confirmed", "upon the state that was signed for epoch 1"
            with auditing(world) as auditor:
                both = await through(auditor, 2)
            assert [(one.state, codes(one)) for one in both] == [("differs", codes(lie)), ("differs", ["parent_differs"])]

    asyncio.run(scene())


def test_a_manifest_that_is_not_the_chains_is_told_field_by_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All validators agree that the Vault is funded better than it is, and that a stranger is a registered provider."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:

            def false(*arguments: Any) -> Any:
                honest = chain_section(*arguments)
                return replace(honest, funded=honest.funded + 1, providers=honest.providers[:1])

            await world.hand_in(1)
            with monkeypatch.context() as patched:
                patched.setattr("validator.basis.chain_section", false)
                await world.until_posted(1)
            found = await audited(world, 1)
            assert found.state == "differs"
            assert codes(found)[:2] == ["manifest_differs", "manifest_differs"]
            gone = max(one.address for one in PROVIDERS)
            assert found.findings[0].detail == f"its providers of epoch 1 differ from the chain's in {gone}"
            assert found.findings[1].detail.startswith("its funded of epoch 1 is ")
            assert "root_differs" in codes(found), "who was left out was not paid"

    asyncio.run(scene())


def test_dead_cancelled_and_open_epochs_are_said_to_be_so(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            timing = world.network.timing
            await world.hand_in(1)
            assert (await audited(world, 1)).state == "open"
            await world.until_posted(1)
            assert (await audited(world, 1)).state == "confirmed", "while it can still be cancelled"
            await world.call(GUARDIAN, world.chain.settlement.cancel())
            assert (await audited(world, 1)).note.endswith("the next root will cover its epochs")
            await world.move_to(timing.post_end(2) + 1)
            dead = await audited(world, 2)
            assert (dead.state, dead.note) == ("dead", "no root was posted in time; the next root will cover it")
            await world.hand_in(3)
            await world.until_posted(3)
            with auditing(world) as auditor:
                states = await through(auditor, 3)
            assert [one.state for one in states] == ["cancelled", "dead", "confirmed"]
            assert states[0].note == f"its root was cancelled by {GUARDIAN.address}; the root of epoch 3 covers its epochs"
            assert states[0].findings == ()
            assert states[1].note == "no root was posted in time; the root of epoch 3 covers it"
            assert states[2].covered == (1, 2, 3)
            assert all(one.passed for one in states)
            assert (await audited(world, 4)).note == "epoch 4 has not ended"

    asyncio.run(scene())


def test_a_forged_ticket_that_all_validators_count_is_told(tmp_path: Path) -> None:
    """It is in every archive with a receipt, so none of them looks at its signatures again."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            domain = world.network.domain
            await world.move_to(world.network.timing.end_of(1) + 1)
            honest = world.proof(PROVIDERS[0], 1).message
            forged = Signed(honest.tickets[0].message, PROVIDERS[0].sign(bytes(32)))
            proof = sign(replace(honest, tickets=(forged,)), domain, PROVIDERS[0])
            digest = digest_of(proof.message, domain)
            for seat in world.seats:
                assert seat.running is not None
                said = ProofReceipt(seat.key.address, proof.message.provider, 1, digest, 1)
                seat.running.archive.keep_proof(digest, encode(proof), proof.message, sign(said, domain, seat.key))
            await world.until_posted(1)
            found = await audited(world, 1)
            assert (found.state, codes(found)) == ("differs", ["proof"])
            assert found.findings[0].detail.startswith(f"the proof {to_hex(digest)}, which is counted, is refused: bad_statement")
            signature = Signed(proof.message, PROVIDERS[1].sign(digest))  # of one who serves it with another's signature nothing is said
            folder = tmp_path / "files"
            await export(world.chain, world.client, world.seats[0].endpoint, 1, folder)
            (folder / "proofs" / to_hex(digest)).write_bytes(encode(signature))
            source = [Listing(ZERO_ADDRESS, "validator", str(folder), Wei(0))]
            served = await audited(world, 1, Files(folder), source)
            assert (served.state, set(codes(served))) == ("unproven", {"not_served"})

    asyncio.run(scene())


class Forgetful:
    """A chain's node that no longer knows single transactions."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def request(self, method: str, params: Sequence[object]) -> object:
        return None if method == "eth_getTransactionByHash" else await self._backend.request(method, params)

    async def close(self) -> None:
        """Leaves the chain as it is."""


def test_where_the_posting_cannot_be_read_the_contract_s_word_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            await world.hand_in(1)
            await world.until_posted(1)
            with opened(ChainClient(Forgetful(world.backend), world.network), world.client, None) as auditor:
                found = await auditor.audit(1)
            assert (found.state, found.looked.signatures) == ("confirmed", 2 * (1 + 1 + 3) + 4)
            assert found.looked.unread.startswith("they cannot be read from the transaction 0x")

    asyncio.run(scene())


async def served_chain(world: World) -> tuple[web.AppRunner, str]:
    """The world's chain over JSON-RPC."""

    async def answer(request: web.Request) -> web.Response:
        asked = await request.json()
        try:
            said = {"result": await world.backend.request(asked["method"], asked["params"])}
        except RpcError as error:
            said = {"error": {"code": error.code, "message": error.message}}
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], **said})

    site = web.Application()
    site.add_routes([web.post("/", answer)])
    runner = web.AppRunner(site, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


def test_the_command_says_it_all_and_ends_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with two_epochs(tmp_path) as world:
            runner, url = await served_chain(world)

            async def dpn(*arguments: str) -> Any:
                given = [*arguments, "--rpc", url, "--settlement", world.network.settlement]
                return await asyncio.to_thread(CliRunner().invoke, app, given)

            try:
                all_ = await dpn("audit", "all", "--account", PROVIDERS[0].address, "--json")
                assert all_.exit_code == 0, all_.output
                first, second = (json.loads(line) for line in all_.stdout.splitlines())
                assert (first["state"], second["state"], second["proofs"]) == ("confirmed", "confirmed", 2)
                assert first["account"]["before"] is None
                assert second["account"]["before"] == first["account"]["after"]
                assert second["account"]["leads_to_the_root"] is True
                told = await world.leaf(world.seats[0], PROVIDERS[0].address)
                assert second["account"]["path"] == [to_hex(one) for one in told.path]
                assert second["account"]["after"]["earned_wei"] == str(told.earned)
                one = await dpn("audit", "2", "--validator", world.seats[2].endpoint)
                assert one.stdout.startswith("epoch 2: confirmed\n")
                assert "signed by 4 of 4 validators" in one.stdout
                part = await dpn("audit", "2..9")
                assert part.stdout.startswith("epoch 2: confirmed\n")
                assert (await dpn("audit", "3")).exit_code == 5
                assert (await dpn("audit", "0")).exit_code == 2
                nobody = await dpn("audit", "1", "--validator", "127.0.0.1:1")
                assert nobody.exit_code == 8
                assert "not_served: nobody serves the manifest" in nobody.stdout
                assert (await dpn("audit", "1", "--files", str(tmp_path))).exit_code == 2
                why = await dpn("provider", "explain", "--account", PROVIDERS[0].address)
                assert why.exit_code == 0, why.output
                assert f"earned {tokens(int(told.earned) - int(first['account']['after']['earned_wei']))} DPN" in why.stdout
                assert "! Receipts and reports differ by 2 bytes, which are paid to nobody" in why.stdout
                data = json.loads((await dpn("provider", "explain", "--account", PROVIDERS[0].address, "--epoch", "1", "--json")).stdout)
                assert (data["epoch"], data["audit"], data["earned_wei"]) == (1, "confirmed", first["account"]["after"]["earned_wei"])
                assert data["mean"]["after"] == first["account"]["after"]["reputation_ppm"]
                assert (await dpn("provider", "explain", "--account", PROVIDERS[0].address, "--epoch", "3")).exit_code == 5
            finally:
                await runner.cleanup()

    asyncio.run(scene())
