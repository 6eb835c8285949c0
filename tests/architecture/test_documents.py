"""What documents name exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_contracts_md_names_exists() -> None:
    sources = "\n".join(file.read_text() for file in (ROOT / "contracts" / "test").rglob("*.sol"))
    defined = set(re.findall(r"function (\w+)\(", sources))
    named = set(re.findall(r"`((?:test|testFuzz|invariant)_\w+)`", (ROOT / "docs" / "contracts.md").read_text()))
    assert len(named) > 40
    assert sorted(named - defined) == []
