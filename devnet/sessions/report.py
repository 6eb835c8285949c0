"""`build/demo-sessions.json`: what the sessions demo found, as data. Amounts in wei are decimal strings, sizes payload bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from devnet.sessions.facts import Facts
from devnet.verdict import Check


def report(facts: Facts, checks: Sequence[Check], setup_s: float, duration_s: float) -> dict[str, Any]:
    """duration_s: of the story, after set-up."""
    return {
        "duration_s": round(duration_s, 1),
        "setup_s": round(setup_s, 1),
        "processes": [{"role": started.role, "pid": started.pid} for started in facts.started],
        "downloads": [{"consumer": one.consumer, "path": one.path, "bytes": one.size, "via": list(one.via)} for one in facts.downloads],
        "origin_bytes": dict(facts.origin_bytes),
        "refused": dict(facts.refused),
        "sessions": [asdict(one) | {"price": str(one.price), "fee": str(one.fee)} for one in facts.sessions],
        "kill": asdict(facts.kill),
        "epoch": facts.epoch,
        "leaves": {
            facts.name_of(account): {"earned": str(leaf.earned), "spent": str(leaf.spent)} for account, leaf in sorted(facts.leaves.items())
        },
        "claimed": {name: str(amount) for name, amount in facts.claimed.items()},
        "checks": [{"name": check.name, "passed": check.passed, "detail": check.detail} for check in checks],
    }
