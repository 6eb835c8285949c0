"""Roots recomputed to the committed bytes: in every order, with every hash seed, by every Python here, and out of both databases."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain.canonical import encode
from chain.typed import digest_of
from runtime.clock import ManualClock
from runtime.database import open_database
from runtime.storage import Storage
from tests.pythons import libraries, pythons
from tests.recomputation import VECTORS, Vector, vectors
from tests.rich_epochs import written
from validator.archive import Archive
from validator.evidence import Evidence
from validator.journal import Journal
from validator.peers import Peers
from validator.state import State, decode_state
from validator.tables import TABLES
from wire.files import file_digest
from wire.http import PeerUnavailable

SEEDS = ("0", "1", "4242")


def test_the_file_is_as_it_is_written() -> None:
    """`make vectors` writes it. A change of the rules changes it, and nothing else does."""
    assert VECTORS.read_text() == written()


def test_something_of_everything_is_in_them() -> None:
    first, second = vectors()
    before, after = (decode_state(encode(one.expected["state"])) for one in (first, second))
    assert (second.parent, first.parent) == (before, State(0, ()))
    assert [covered.epoch for one in (first, second) for covered in one.manifest.covered] == [1, 2, 3]
    assert before.sessions
    assert after.sessions
    assert after.lost_spent > 0
    assert any(account.shared for account in after.accounts)
    assert any(account.settled for account in after.accounts)
    assert {account.group_since for account in after.accounts} == {0, 1, 2, 3}
    assert sum(account.first_epoch == 0 and account.earned > 0 for account in after.accounts) > 5


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: str(vector.name))
def test_every_order_gives_the_committed_bytes(vector: Vector) -> None:
    for seed in range(8):
        assert vector.recompute(vector.evidence(random.Random(seed))) == vector.expected


def test_every_hash_seed_and_every_python_here_gives_the_committed_bytes(
    root: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Without any library but a keccak."""
    told, wanted = list[str](), [one.expected for one in vectors()]
    path = os.pathsep.join((str(root), str(libraries(tmp_path / "libraries"))))
    settings = {**os.environ, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
    for version, python in pythons().items():
        for seed in SEEDS:
            environment = {**settings, "PYTHONHASHSEED": seed}
            command = (str(python), "-S", "-m", "tests.recomputation", seed)
            run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=60)
            assert run.returncode == 0, run.stderr
            said: dict[str, Any] = json.loads(run.stdout)
            assert said["python"].startswith(version)
            assert said["roots"] == wanted
        told.append(str(said["python"]))
    alone = "" if len(told) > 1 else " alone: this machine has no other"
    record_property("roots recomputed", f"by Python {', '.join(told)}{alone}")


class Nobody:
    """There is no peer: what is not here is nowhere."""

    async def get(self, endpoint: str, path: str, most: int = 0) -> bytes:
        raise PeerUnavailable(f"{endpoint}{path}, {most} bytes")

    async def post(self, endpoint: str, path: str, value: Any) -> bytes:
        raise PeerUnavailable(f"{endpoint}{path}, {value}")


def test_both_databases_give_the_committed_bytes(storage: Storage) -> None:
    """Whatever order it was stored in."""
    for vector in vectors():
        engine = open_database(storage, TABLES, vector.domain)
        try:
            archive, order = Archive(engine), random.Random(len(vector.proofs))
            for signed in order.sample(vector.proofs, len(vector.proofs)):
                archive.keep_proof(digest_of(signed.message, vector.domain), encode(signed), signed.message)
            assert {file_digest(encode(index)) for index in vector.indices} == {
                signed.message.index_digest for covered in vector.manifest.covered for signed in covered.inventories
            }
            for index in order.sample(vector.indices, len(vector.indices)):
                archive.keep_file(encode(index))
            peers = Peers(Nobody(), archive, Journal(engine, vector.domain), vector.domain, ManualClock(0.0), 1.0)
            evidence = Evidence(archive, peers, vector.domain, vector.timing, vector.rules)
            for section, covered in zip(vector.manifest.chain, vector.manifest.covered, strict=True):
                # Only what is fetched has to come in time.
                assert all(asyncio.run(evidence.gather(one, section, (), 0.0)) for one in covered.inventories)
            assert vector.recompute(evidence.of(vector.manifest)) == vector.expected
        finally:
            engine.dispose()
