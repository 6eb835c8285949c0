"""Looks through everything the nodes have written and say, for what must be nowhere: destinations and consumers' addresses.

What a database holds packed is looked at unpacked as well.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devnet.network import Devnet
from wire.files import CHUNK_BYTES
from wire.packing import is_packed, unpack

OWN = ("config.toml", "keystore.json", "passphrase")
"""What the operator wrote, and no node."""
INTERNET = ("relay.log", "chain.log")
"""Of processes that are no nodes: the devnet's Internet sees addresses, as the Internet does."""


@dataclass(frozen=True, slots=True)
class Scan:
    """found: sentences. looked_at: files and answers; unpacked: values of databases."""

    found: tuple[str, ...]
    looked_at: int
    unpacked: int


def scan(devnet: Devnet, needles: Mapping[str, str], answers: Mapping[str, Mapping[str, Any]]) -> Scan:
    """Every file of every node and every log, and what nodes say of themselves. needles: what each stands for, by its text."""
    files = sorted(_files(devnet.folder))
    found, unpacked = [], 0
    for file in files:
        contents = [file.read_bytes(), *(_packed_in(file) if file.suffix == ".sqlite" else ())]
        unpacked += len(contents) - 1
        seen = {what for content in contents for what in _within(content, needles)}
        found += [f"{file.relative_to(devnet.folder)}: {what}" for what in sorted(seen)]
    found += [f"status of {name}: {what}" for name, answer in answers.items() for what in _within(json.dumps(answer).encode(), needles)]
    return Scan(tuple(found), len(files) + len(answers), unpacked)


def _files(folder: Path) -> Iterable[Path]:
    yield from (file for file in (folder / "nodes").rglob("*") if file.is_file() and file.name not in OWN)
    yield from (file for file in folder.glob("*.log") if file.name not in INTERNET)


def _packed_in(file: Path) -> list[bytes]:
    """Every packed value of every table of a node's database, unpacked; the node may be at work with it."""
    found = []
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - its own tables
                found += [unpack(value, CHUNK_BYTES) for value in row if isinstance(value, bytes) and is_packed(value)]
    return found


def _within(content: bytes, needles: Mapping[str, str]) -> Iterable[str]:
    return (what for text, what in needles.items() if text.encode() in content)
