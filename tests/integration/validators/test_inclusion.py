"""A validator that leaves out what it receipted is found by its receipt, with evidence that stands for itself; an honest one never is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.archives import passing_archive
from audit.inclusion import Omission, check_omission
from audit.receipts import Held, Receipts
from chain.canonical import decode, encode
from chain.client import ChainClient
from chain.keys import encrypt, write_new
from chain.typed import Signed, digest_of, sign
from chain.types import Digest, to_hex
from cli.app import app
from provider.store import Store
from tests.integration.validators.test_audit import served_chain
from tests.validators import PROVIDERS, VALIDATORS, Seat, World, a_world
from validator.errors import Wrong
from wire.agreement import InventoryEntry
from wire.messages import ActivityProof, ProofReceipt


async def hand_in(world: World, proof: Signed[ActivityProof]) -> list[Signed[ProofReceipt]]:
    return [decode(Signed[ProofReceipt], await world.client.post(seat.endpoint, "/v1/proofs", proof)) for seat in world.seats]


async def looked_up(world: World, receipts: list[Signed[ProofReceipt]]) -> list[Held]:
    with passing_archive(world.network.domain) as (archive, journal):
        lookup = Receipts(ChainClient(world.backend, world.network), archive, journal, world.client)
        return await lookup.look_up(receipts, {})


def cheat(seat: Seat, monkeypatch: pytest.MonkeyPatch, entries: Callable[[tuple[InventoryEntry, ...]], tuple[InventoryEntry, ...]]) -> None:
    assert seat.running is not None
    archive = seat.running.archive
    newest = archive.newest_proofs
    monkeypatch.setattr(archive, "newest_proofs", lambda epoch: entries(newest(epoch)))


def test_what_is_left_out_is_found_and_what_is_not_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One forgets a provider, one names an older proof of it; the others do as they have to. The command finds both from what the provider
    has stored."""

    async def scene() -> None:
        async with a_world(tmp_path) as world:
            domain = world.network.domain
            await world.move_to(world.network.timing.end_of(1) + 1)
            old, new = world.proof(PROVIDERS[0], 1), world.proof(PROVIDERS[0], 1)
            receipts = [*await hand_in(world, old), *await hand_in(world, new)]
            early = await looked_up(world, receipts[:1])
            assert [one.outcome for one in early] == ["unknown"]
            assert "nobody shows an inventory" in early[0].detail
            forgetful, stale = world.seats[1], world.seats[2]
            cheat(forgetful, monkeypatch, lambda _: ())
            older = (InventoryEntry(PROVIDERS[0].address, digest_of(old.message, domain)),)
            cheat(stale, monkeypatch, lambda _: older)
            await world.until_posted(1)

            held = await looked_up(world, receipts)
            outcomes = {(one.receipt.message.validator, one.receipt.message.proof): one.outcome for one in held}
            first, second = digest_of(old.message, domain), digest_of(new.message, domain)
            for seat in world.seats:
                said = outcomes[seat.key.address, first], outcomes[seat.key.address, second]
                assert said == {1: ("omitted", "omitted"), 2: ("included", "omitted")}.get(
                    world.seats.index(seat), ("superseded", "included")
                )
            found = [one.omission for one in held if one.omission is not None]
            assert len(found) == 3
            for omission in found:
                check_omission(decode(Omission, encode(omission)), domain)
            refuses(found[-1] if found[-1].named else found[0], found[0], world)

            for one in VALIDATORS[:1]:  # what the first one says of the epoch is in the manifest too
                await world.stop(world.seat_of(one.address))
            assert [one.outcome for one in await looked_up(world, receipts)] == [one.outcome for one in held]
            await command(world, tmp_path, [old, new], receipts)

    asyncio.run(scene())


def refuses(compared: Omission, missing: Omission, world: World) -> None:
    """Evidence with one thing changed proves nothing."""
    domain = world.network.domain
    other = sign(replace(missing.receipt.message, validator=VALIDATORS[0].address), domain, VALIDATORS[0])
    changed = {
        "another signer's receipt": replace(missing, receipt=other),
        "no receipt of the signer": replace(missing, receipt=Signed(missing.receipt.message, other.signature)),
        "another index": replace(missing, index=replace(missing.index, epoch=2)),
        "nothing to compare": replace(compared, proof=()),
        "a newer one": replace(compared, proof=compared.named, named=compared.proof),
    }
    for omission in changed.values():
        with pytest.raises(Wrong):
            check_omission(omission, domain)


async def command(world: World, tmp_path: Path, proofs: list[Signed[ActivityProof]], receipts: list[Signed[ProofReceipt]]) -> None:
    """`dpn validator audit`, from a provider's database, and of the evidence that it writes."""
    runner, url = await served_chain(world)
    keystore, config, evidence = tmp_path / "key.json", tmp_path / "provider.toml", tmp_path / "evidence.jsonl"
    write_new(keystore, encrypt(PROVIDERS[0], "phrase"))
    settings = f'rpc_urls = ["{url}"]\nsettlement = "{world.network.settlement}"\nkeystore = "key.json"\ndata_dir = "data"\nport = 1\n'
    config.write_text(settings + 'public_host = "127.0.0.1"\n')
    store = Store(tmp_path / "data" / "provider.sqlite", PROVIDERS[0].address, world.network.domain)
    for proof in proofs:
        store.keep_proof(proof, 1.0)
    for receipt in receipts:
        store.keep_receipt(receipt)
    store.close()
    try:
        found = await asyncio.to_thread(
            CliRunner().invoke, app, ["validator", "audit", "--config", str(config), "--evidence", str(evidence)]
        )
        assert found.exit_code == 8, found.output
        assert "8 receipts looked up: 3 proofs left out." in found.stdout
        chain = ["--rpc", url, "--settlement", world.network.settlement]
        checked = await asyncio.to_thread(CliRunner().invoke, app, ["validator", "audit", "--check", str(evidence), *chain])
        assert checked.exit_code == 0, checked.output
        digest: Digest = digest_of(proofs[1].message, world.network.domain)
        assert f"{world.seats[2].key.address} left the proof {to_hex(digest)} of {PROVIDERS[0].address} out" in checked.stdout
        evidence.write_bytes(evidence.read_bytes().replace(b'"epoch":1', b'"epoch":2'))
        spoilt = await asyncio.to_thread(CliRunner().invoke, app, ["validator", "audit", "--check", str(evidence), *chain])
        assert spoilt.exit_code == 4
        assert "proves nothing" in spoilt.stderr
    finally:
        await runner.cleanup()
