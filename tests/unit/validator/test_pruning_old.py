"""What is old goes, a little at a time; what has a later use stays; and whoever is stopped on the way ends where one ends that was not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from chain.canonical import encode
from chain.epochs import Timing
from chain.events import Cancelled, Posted
from chain.keys import NodeKey
from chain.messages import EpochAttestation
from chain.typed import Domain, digest_of, sign
from chain.types import ZERO_DIGEST, Address, Digest
from chain.view import BlockStamp, ChainView
from runtime.database import open_database
from runtime.storage import Storage
from tests.unit.validator.postings_made import posted
from validator.archive import Archive
from validator.journal import KEPT_EPOCHS, Journal
from validator.pruning import Pruning, prunable
from validator.sight import Sight
from validator.tables import TABLES
from wire.agreement import InventoryEntry, InventoryIndex
from wire.files import CHUNK_BYTES
from wire.messages import ActivityProof, Inventory, ProofReceipt

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
ME, OTHER, LIAR = (NodeKey(bytes([n]) * 32) for n in (1, 2, 3))
PROVIDERS = [NodeKey(bytes([n]) * 32) for n in (4, 5)]
TIMING = Timing(0, 100, 10, 50, 30, 10, 10, 5)
"""Root e is active from 100 e + 80 on."""
DEAD, CANCELLED, NEWEST = 3, 6, 9
CANCELLATION = cast(Cancelled, None)
SHARED = random.Random(0).randbytes(CHUNK_BYTES)
"""A first chunk of every state, as of accounts that rest."""


class Stopped(Exception):
    """The process ends here."""


@dataclass
class Validator:
    """A database with nine epochs in it, the third dead and the root of the sixth cancelled. Its time is that of the newest block."""

    engine: Engine
    second: int = 0
    posted: list[Posted] = field(default_factory=list)
    proofs: dict[tuple[int, str], Digest] = field(default_factory=dict)
    files: dict[tuple[int, str], Digest] = field(default_factory=dict)

    @property
    def archive(self) -> Archive:
        return Archive(self.engine, lambda: TIMING.epoch_at(self.second))

    @property
    def journal(self) -> Journal:
        return Journal(self.engine, DOMAIN)

    def live(self) -> None:
        for epoch in range(1, NEWEST + 1):
            self.second = TIMING.intake_end(epoch)
            self._epoch(epoch)

    def _epoch(self, epoch: int) -> None:
        archive, journal = self.archive, self.journal
        for number, provider in enumerate(PROVIDERS):
            message = ActivityProof(provider.address, epoch, 1, (), (), (), (), ZERO_DIGEST)
            digest = digest_of(message, DOMAIN)
            receipt = sign(ProofReceipt(ME.address, provider.address, epoch, digest, 1), DOMAIN, ME)
            archive.keep_proof(digest, encode(sign(message, DOMAIN, provider)), message, None if number else receipt)
            self.proofs[epoch, "fetched" if number else "receipted"] = digest
        for who, key in (("own index", ME), ("index", OTHER)):
            index = InventoryIndex(epoch, (InventoryEntry(key.address, Digest(bytes(32))),))
            self.files[epoch, who] = archive.keep_file(encode(index))
            archive.keep_inventory(sign(Inventory(key.address, epoch, 1, self.files[epoch, who]), DOMAIN, key))
        noise = random.Random(epoch)
        self.files[epoch, "state"] = archive.keep_file(SHARED + noise.randbytes(700))
        self.files[epoch, "manifest"] = archive.keep_file(_manifest(epoch))
        self.files[epoch, "stray"] = archive.keep_file(noise.randbytes(300))
        said = EpochAttestation(
            epoch, epoch, 0, *(ZERO_DIGEST,) * 2, self.files[epoch, "state"], *(ZERO_DIGEST,) * 1, 5, 0, *(ZERO_DIGEST,) * 3
        )
        said = replace(said, manifest_digest=self.files[epoch, "manifest"])
        journal.keep_candidate(said)
        journal.bind(said)
        for key in (ME, OTHER, LIAR):
            journal.keep_attestation(key.address, sign(said, DOMAIN, key))
        journal.keep_attestation(LIAR.address, sign(replace(said, total_earned=6), DOMAIN, LIAR))
        if epoch != DEAD:
            root = posted(epoch, through=epoch, active_at=100 * epoch + 80)
            self.posted.append(replace(root, state_digest=said.state_digest, manifest_digest=said.manifest_digest))

    def view(self) -> ChainView:
        stamp = BlockStamp(self.second, Digest(bytes(32)), self.second)
        return ChainView(stamp, posted=tuple(self.posted), cancelled={CANCELLED: CANCELLATION})

    def pruning(self, retention_epochs: int, reached: Callable[[str], None] = lambda _: None) -> Pruning:
        sight = Sight(self.view().block, self.view(), cast(Any, None), None, None, NEWEST)
        return Pruning(self.engine, self.archive, ME.address, TIMING, retention_epochs, lambda: sight, reached)

    def prune(self, retention_epochs: int, steps: int = 9) -> None:
        pruning = self.pruning(retention_epochs)
        for _ in range(steps):
            asyncio.run(pruning.step())

    def whole(self, what: str) -> list[int]:
        """The epochs of which this file is here."""
        return [epoch for (epoch, kind), digest in sorted(self.files.items()) if kind == what and self.archive.file(digest) is not None]

    def rows(self) -> dict[str, list[str]]:
        with Session(self.engine) as session:
            return {table.__name__: sorted(str(row.model_dump()) for row in session.exec(select(table))) for table in TABLES}


def _manifest(epoch: int) -> bytes:
    return random.Random(100 + epoch).randbytes(900)


@pytest.fixture
def validator(storage: Storage) -> Iterator[Validator]:
    engine = open_database(storage, TABLES, DOMAIN, alone=True)
    made = Validator(engine)
    made.live()
    made.second = 1_280  # epoch 13; the root of epoch 9 has been active for three epochs
    yield made
    made.engine.dispose()


@pytest.fixture
def no_attestation_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validator.pruning.KEPT_EPOCHS", 1)


@pytest.mark.usefixtures("no_attestation_is_young")
def test_what_is_old_goes_and_what_has_a_use_stays(validator: Validator) -> None:
    validator.prune(retention_epochs=6)  # what is older than 1_280 - 600: the root of epoch 6 would be, and is cancelled
    archive, journal = validator.archive, validator.journal
    assert archive.pruned_through() == 5
    assert [epoch for epoch in range(1, 10) if archive.proof(validator.proofs[epoch, "receipted"]) is not None] == [6, 7, 8, 9]
    assert [epoch for epoch in range(1, 10) if archive.pruned(validator.proofs[epoch, "receipted"])] == [1, 2, 3, 4, 5]
    assert [epoch for epoch in range(1, 10) if archive.proof_subjects([validator.proofs[epoch, "fetched"]])] == [6, 7, 8, 9]
    assert [len(archive.inventories(epoch)) for epoch in range(1, 10)] == [1] * 5 + [2] * 4
    assert all(archive.inventory(epoch, ME.address) is not None for epoch in range(1, 10))
    assert validator.whole("state") == [5, 6, 7, 8, 9]  # the state of 5 is what 7 is recomputed from
    assert validator.whole("manifest") == validator.whole("index") == validator.whole("own index") == [6, 7, 8, 9]
    assert validator.whole("stray") == [6, 7, 8, 9]
    assert [epoch for epoch in range(1, 10) if journal.candidate(epoch, 0) is not None] == [6, 7, 8, 9]
    assert all(journal.signed(epoch, 0) is not None for epoch in range(1, 10))
    assert [len(journal.attestations_of(epoch, 0)) for epoch in range(1, 10)] == [3] * 5 + [4] * 4
    assert len(journal.signed_twice()[LIAR.address]) == 18
    for epoch in (1, 2, 4, 5):  # of a posted epoch every index stays
        assert archive.has_blob(validator.files[epoch, "state"])
        assert archive.has_blob(validator.files[epoch, "manifest"])
        assert archive.pruned(validator.files[epoch, "stray"])
        assert not archive.has_blob(validator.files[epoch, "stray"])
    assert not archive.pruned(validator.files[9, "state"])
    assert not archive.pruned(ZERO_DIGEST)


def test_attestations_that_convict_somebody_are_kept_longer(validator: Validator) -> None:
    validator.prune(retention_epochs=6)
    assert [len(validator.journal.attestations_of(epoch, 0)) for epoch in range(1, 10)] == [4] * 9
    validator.second = 100 * (KEPT_EPOCHS + 2)  # epoch 35
    validator.prune(retention_epochs=6)
    assert [len(validator.journal.attestations_of(epoch, 0)) for epoch in range(1, 6)] == [3, 3, 3, 4, 4]


@pytest.mark.parametrize("retention", [1, 2, 50, 0])
def test_the_newest_active_root_and_what_it_was_built_on_stay_whatever_is_set(validator: Validator, retention: int) -> None:
    validator.second = 4_000
    before = validator.rows()
    validator.prune(retention)
    if retention in (0, 50):
        assert validator.rows() == before
        return
    assert validator.archive.pruned_through() == 8
    assert validator.whole("state") == [8, 9]
    assert validator.whole("manifest") == validator.whole("index") == [9]
    assert validator.archive.proof(validator.proofs[9, "fetched"]) is not None


def test_a_pending_root_replaces_none(validator: Validator) -> None:
    validator.second = 979  # the root of epoch 9 is active a second later
    validator.prune(1)
    assert validator.archive.pruned_through() == 7
    assert validator.whole("state") == [7, 8, 9]


def test_what_was_stored_again_stays(validator: Validator) -> None:
    """Bytes of a new file that are those of an old one are the new one's."""
    old, again = (_manifest(epoch) for epoch in (2, 4))
    assert validator.archive.keep_file(old) == validator.files[2, "manifest"]
    validator.prune(6)
    assert validator.archive.file(validator.files[2, "manifest"]) == old
    assert validator.archive.file(validator.files[4, "manifest"]) is None
    assert validator.archive.keep_file(again) == validator.files[4, "manifest"]
    assert validator.archive.file(validator.files[4, "manifest"]) == again


def test_a_longer_retention_brings_nothing_back_and_says_so(validator: Validator) -> None:
    validator.prune(3)
    assert validator.archive.pruned_through() == 8
    after = validator.rows()
    validator.prune(6)
    assert validator.rows() == after


@pytest.mark.usefixtures("no_attestation_is_young")
def test_each_step_is_bounded_and_work_goes_on_where_it_was(validator: Validator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validator.pruning.AT_ONCE", 2)
    monkeypatch.setattr("validator.pruning.A_STEP", 3)
    done: list[str] = []
    pruning, before = validator.pruning(6, done.append), len(validator.rows()["ProofRow"])
    asyncio.run(pruning.step())
    assert len(done) == 3
    assert len(validator.rows()["ProofRow"]) == before - 2 * 2
    for _ in range(20):
        asyncio.run(pruning.step())
    assert len(done) < 50
    ended = validator.rows()
    asyncio.run(pruning.step())
    assert validator.rows() == ended
    assert validator.whole("manifest") == [6, 7, 8, 9]


@pytest.mark.usefixtures("no_attestation_is_young")
def test_what_a_new_candidate_is_made_of_stays_also_if_pruning_has_begun(validator: Validator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validator.pruning.AT_ONCE", 1)
    monkeypatch.setattr("validator.pruning.A_STEP", 1)
    pruning, strays = validator.pruning(6), validator.whole("stray")
    while validator.whole("stray") == strays:
        asyncio.run(pruning.step())
    old = validator.whole("stray")[0]
    said = EpochAttestation(NEWEST + 1, NEWEST + 1, 0, *(ZERO_DIGEST,) * 4, 5, 0, *(ZERO_DIGEST,) * 3)
    validator.journal.keep_candidate(replace(said, manifest_digest=validator.files[old, "stray"]))
    monkeypatch.setattr("validator.pruning.A_STEP", 200)
    asyncio.run(pruning.step())
    assert validator.whole("manifest") == [6, 7, 8, 9]
    assert old in validator.whole("stray")


@pytest.mark.usefixtures("no_attestation_is_young")
def test_whoever_is_stopped_anywhere_ends_where_one_ends_that_was_not(
    storage: Storage, validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("validator.pruning.AT_ONCE", 3)

    def stop(_: str) -> None:
        raise Stopped

    stops = 0
    while True:
        try:
            asyncio.run(validator.pruning(6, stop).step())
            break
        except Stopped:
            stops += 1
            validator.engine.dispose()
            validator.engine = open_database(storage, TABLES, DOMAIN, alone=True)
            assert validator.archive.pruned_through() == 5, "what goes is said to be gone before it goes"
    found = validator.rows()
    validator.prune(6)
    assert stops > 15
    assert found == validator.rows()
    assert validator.whole("manifest") == [6, 7, 8, 9]


def test_only_roots_that_were_active_for_long_enough_are_old() -> None:
    roots = tuple(posted(epoch, through=epoch + 1, active_at=100 * epoch) for epoch in (1, 3, 5))

    def at(second: int, *cancelled: int) -> int | None:
        view = ChainView(BlockStamp(1, ZERO_DIGEST, second), posted=roots, cancelled=dict.fromkeys(cancelled, CANCELLATION))
        found = prunable(view, 1_000)
        return None if found is None else found.epoch

    assert [at(second) for second in (1_099, 1_100, 1_299, 1_300, 1_500, 9_999)] == [None, 1, 1, 3, 3, 3]
    assert at(9_999, 3) == 1
    assert at(9_999, 5) == 1
