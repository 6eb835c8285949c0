"""The largest file there can be is stored and read a little at a time."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from chain.typed import Domain
from chain.types import Address
from runtime.database import open_database
from validator.archive import Archive
from validator.tables import TABLES
from wire.files import CHUNK_BYTES, MAX_FILE_BYTES

T = TypeVar("T")


def measured(act: Callable[[], T]) -> tuple[T, int]:
    """What it gives, and the most memory that it took in between, bytes."""
    tracemalloc.start()
    try:
        return act(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_largest_file_takes_little_beside_itself(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "validator.sqlite", TABLES, Domain(31337, Address("0x" + "11" * 20)))
    archive = Archive(engine)
    data = b"".join(number.to_bytes(8) * (CHUNK_BYTES // 8) for number in range(MAX_FILE_BYTES // CHUNK_BYTES))
    digest, storing = measured(lambda: archive.keep_file(data))
    found, reading = measured(lambda: archive.file(digest))
    engine.dispose()
    assert found is not None
    assert hashlib.sha256(found).digest() == hashlib.sha256(data).digest()
    assert storing < 8 * CHUNK_BYTES
    assert reading < 1.25 * MAX_FILE_BYTES
