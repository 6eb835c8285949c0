"""What a validator has on disk: first things stay, and for one epoch and round there is one thing it signs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from chain.canonical import encode
from chain.keys import NodeKey
from chain.messages import EpochAttestation
from chain.typed import Domain, digest_of, sign
from chain.types import ZERO_DIGEST, Address, Digest
from runtime.database import open_database
from runtime.storage import Storage
from validator.archive import Archive
from validator.errors import JournalConflict
from validator.journal import Journal
from validator.tables import TABLES
from validator.verification import VerifiedProof
from wire.agreement import InventoryEntry
from wire.messages import ActivityProof, Inventory, ProofReceipt

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
VALIDATOR, OTHER = NodeKey(bytes([1]) * 32), NodeKey(bytes([2]) * 32)
PROVIDERS = sorted((NodeKey(bytes([n]) * 32) for n in (3, 4, 5)), key=lambda one: one.address)
HONEST = EpochAttestation(3, 3, 1, *(ZERO_DIGEST,) * 4, 5, 0, *(ZERO_DIGEST,) * 3)


@pytest.fixture
def engine(storage: Storage) -> Iterator[Engine]:
    opened = open_database(storage, TABLES, DOMAIN, alone=True)
    yield opened
    opened.dispose()


def proof_of(provider: NodeKey, sequence: int, epoch: int = 3) -> tuple[Digest, bytes, ActivityProof]:
    message = ActivityProof(provider.address, epoch, sequence, (), (), (), (), ZERO_DIGEST)
    return digest_of(message, DOMAIN), encode(sign(message, DOMAIN, provider)), message


def keep(archive: Archive, provider: NodeKey, sequence: int, *, receipted: bool = True, stranger: bool = False) -> Digest:
    digest, raw, message = proof_of(provider, sequence)
    receipt = sign(ProofReceipt(VALIDATOR.address, provider.address, 3, digest, 1), DOMAIN, VALIDATOR) if receipted else None
    archive.keep_proof(digest, raw, message, receipt, stranger)
    return digest


def test_proofs_that_are_kept_together_are_as_if_they_had_been_kept_one_by_one(engine: Engine) -> None:
    archive = Archive(engine)
    receipted = keep(archive, PROVIDERS[0], 1)
    proofs = {digest: (raw, sign(message, DOMAIN, one)) for one in PROVIDERS for digest, raw, message in [proof_of(one, 1)]}
    archive.keep_proofs([])
    for _ in range(2):
        archive.keep_proofs([VerifiedProof(signed, digest, raw) for digest, (raw, signed) in proofs.items()])
    unknown = Digest(bytes(32))
    assert dict(archive.proofs((*proofs, unknown))) == {digest: raw for digest, (raw, _) in proofs.items()}
    assert archive.proof_subjects((*proofs, unknown)) == {digest: (one.message.provider, 3) for digest, (_, one) in proofs.items()}
    assert [digest for digest in proofs if archive.receipt(digest) is not None] == [receipted]


def test_every_commit_is_written_through(engine: Engine) -> None:
    promised: dict[str, dict[str, object]] = {
        "sqlite": {"PRAGMA synchronous": 2},
        "postgresql": {"SHOW synchronous_commit": "on", "SHOW fsync": "on"},
    }
    asked = promised[engine.dialect.name]
    with contextlib.ExitStack() as stack:
        for connection in [stack.enter_context(engine.connect()) for _ in range(3)]:
            assert {question: connection.execute(text(question)).scalar() for question in asked} == asked


def test_the_newest_receipted_proof_of_each_provider_is_listed(engine: Engine) -> None:
    archive = Archive(engine)
    keep(archive, PROVIDERS[1], 2**64 - 1)
    keep(archive, PROVIDERS[1], 9)
    keep(archive, PROVIDERS[0], 255)
    newest = keep(archive, PROVIDERS[0], 256)
    keep(archive, PROVIDERS[2], 1, receipted=False)
    entries = archive.newest_proofs(3)
    assert entries == (
        InventoryEntry(PROVIDERS[0].address, newest),
        InventoryEntry(PROVIDERS[1].address, proof_of(PROVIDERS[1], 2**64 - 1)[0]),
    )
    assert archive.newest_proofs(4) == ()


def test_holdings_count_what_was_receipted(engine: Engine) -> None:
    archive = Archive(engine)
    assert archive.holdings(PROVIDERS[0].address, 3).sequence == -1
    keep(archive, PROVIDERS[0], 7)
    keep(archive, PROVIDERS[0], 9, receipted=False)
    keep(archive, PROVIDERS[1], 1, stranger=True)
    held = archive.holdings(PROVIDERS[0].address, 3)
    assert (held.sequence, held.size) == (7, len(proof_of(PROVIDERS[0], 7)[1]))
    assert archive.stranger_bytes(3) == len(proof_of(PROVIDERS[1], 1)[1])
    keep(archive, PROVIDERS[2], 1, receipted=False)
    keep(archive, PROVIDERS[2], 1, stranger=True)  # fetched from another validator before its provider came with it
    assert archive.stranger_bytes(3) == sum(len(proof_of(one, 1)[1]) for one in PROVIDERS[1:])


def test_a_proof_that_came_from_a_peer_gets_its_receipt_later_and_keeps_it(engine: Engine) -> None:
    archive = Archive(engine)
    digest = keep(archive, PROVIDERS[0], 7, receipted=False)
    assert archive.receipt(digest) is None
    keep(archive, PROVIDERS[0], 7)
    first = archive.receipt(digest)
    _, raw, message = proof_of(PROVIDERS[0], 7)
    archive.keep_proof(
        digest, b"other bytes", message, sign(ProofReceipt(VALIDATOR.address, message.provider, 3, digest, 99), DOMAIN, VALIDATOR)
    )
    assert archive.receipt(digest) == first
    assert archive.proof(digest) == raw
    assert archive.proof_subjects([digest]) == {digest: (PROVIDERS[0].address, 3)}


def test_the_first_inventory_of_a_validator_and_epoch_stays(engine: Engine) -> None:
    archive = Archive(engine)
    one = sign(Inventory(VALIDATOR.address, 3, 1, ZERO_DIGEST), DOMAIN, VALIDATOR)
    archive.keep_inventory(one)
    archive.keep_inventory(sign(Inventory(VALIDATOR.address, 3, 2, ZERO_DIGEST), DOMAIN, VALIDATOR))
    assert archive.inventories(3) == (one,)


def test_a_file_survives_in_pieces(engine: Engine) -> None:
    archive = Archive(engine)
    data = bytes(3 * 2**20 + 5)
    digest = archive.keep_file(data)
    assert archive.file(digest) == data
    assert archive.keep_file(data) == digest
    assert archive.file(ZERO_DIGEST) is None


def test_one_attestation_for_an_epoch_and_round_across_restarts(engine: Engine, storage: Storage) -> None:
    Journal(engine, DOMAIN).bind(HONEST)
    engine.dispose()
    reopened = open_database(storage, TABLES, DOMAIN, alone=True)
    journal = Journal(reopened, DOMAIN)
    journal.bind(HONEST)
    with pytest.raises(JournalConflict):
        journal.bind(replace(HONEST, total_earned=6))
    assert journal.signed(3, 1) == HONEST
    journal.bind(replace(HONEST, round=2, total_earned=6))
    reopened.dispose()


def test_a_stored_candidate_stays_until_the_chain_has_another(engine: Engine) -> None:
    journal = Journal(engine, DOMAIN)
    assert journal.keep_candidate(HONEST) == HONEST
    other = replace(HONEST, total_earned=6)
    assert journal.keep_candidate(other) == HONEST
    journal.replace_candidate(other)
    assert journal.candidate(3, 1) == other


def test_a_validator_that_signs_two_things_is_seen_to_do_so(engine: Engine) -> None:
    journal = Journal(engine, DOMAIN)
    one, two = sign(HONEST, DOMAIN, OTHER), sign(replace(HONEST, total_earned=6), DOMAIN, OTHER)
    assert journal.keep_attestation(OTHER.address, one)
    assert not journal.keep_attestation(OTHER.address, one)
    assert journal.keep_attestation(OTHER.address, two)
    assert set(journal.attestations_of(3, 1)) == {one, two}
    assert journal.attestations(3, 1, digest_of(HONEST, DOMAIN)) == {OTHER.address: one}


def test_of_what_others_say_two_statements_a_round_are_kept(engine: Engine) -> None:
    journal = Journal(engine, DOMAIN)
    said = [sign(replace(HONEST, total_earned=n), DOMAIN, VALIDATOR) for n in range(4)]
    assert [journal.keep_evidence(VALIDATOR.address, one) for one in (said[0], said[0], *said[1:])] == [True, False, True, False, False]
    assert journal.keep_evidence(VALIDATOR.address, sign(replace(HONEST, round=2), DOMAIN, VALIDATOR))
    assert journal.keep_evidence(OTHER.address, sign(HONEST, DOMAIN, OTHER))
    assert set(journal.signed_twice()) == {VALIDATOR.address}
    assert set(journal.signed_twice()[VALIDATOR.address]) == set(said[:2])


def test_who_signed_twice_in_two_rounds_is_found_with_all_of_it(engine: Engine) -> None:
    journal = Journal(engine, DOMAIN)
    assert journal.signed_twice() == {}
    said = [sign(replace(HONEST, total_earned=n, epoch=epoch), DOMAIN, VALIDATOR) for n in range(2) for epoch in (3, 4)]
    for one in said:
        journal.keep_evidence(VALIDATOR.address, one)
    assert set(journal.signed_twice()[VALIDATOR.address]) == set(said)


def test_the_secret_of_a_report_is_drawn_once(engine: Engine) -> None:
    evidence, first, second = (Digest(bytes([n]) * 32) for n in (1, 2, 3))
    assert Journal(engine, DOMAIN).salt(evidence) is None
    assert Journal(engine, DOMAIN).keep_salt(evidence, "falls", first) == first
    assert Journal(engine, DOMAIN).keep_salt(evidence, "falls", second) == first
    assert Journal(engine, DOMAIN).salt(evidence) == first
