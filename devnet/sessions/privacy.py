"""Looks through everything the nodes have written and say, for what must be nowhere: destinations and consumers' addresses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devnet.network import Devnet

OWN = ("config.toml", "keystore.json", "passphrase")
"""What the operator wrote, and no node."""
INTERNET = ("relay.log", "chain.log")
"""Of processes that are no nodes: the devnet's Internet sees addresses, as the Internet does."""


@dataclass(frozen=True, slots=True)
class Scan:
    """found: sentences. looked_at: files and answers."""

    found: tuple[str, ...]
    looked_at: int


def scan(devnet: Devnet, needles: Mapping[str, str], answers: Mapping[str, Mapping[str, Any]]) -> Scan:
    """Every file of every node and every log, and what nodes say of themselves. needles: what each stands for, by its text."""
    files = sorted(_files(devnet.folder))
    found = [f"{file.relative_to(devnet.folder)}: {what}" for file in files for what in _within(file.read_bytes(), needles)]
    found += [f"status of {name}: {what}" for name, answer in answers.items() for what in _within(json.dumps(answer).encode(), needles)]
    return Scan(tuple(found), len(files) + len(answers))


def _files(folder: Path) -> Iterable[Path]:
    yield from (file for file in (folder / "nodes").rglob("*") if file.is_file() and file.name not in OWN)
    yield from (file for file in folder.glob("*.log") if file.name not in INTERNET)


def _within(content: bytes, needles: Mapping[str, str]) -> Iterable[str]:
    return (what for text, what in needles.items() if text.encode() in content)
