"""`build/demo.json`: what the tour found, as data. Amounts in wei are decimal strings, times seconds, RTTs microseconds, reputation ppm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chain.types import Address, to_hex
from devnet.facts import Facts
from devnet.verdict import Check


def report(facts: Facts, checks: Sequence[Check], setup_s: float, duration_s: float) -> dict[str, Any]:
    """duration_s: of the tour, after set-up. Processes include restarts. Epochs are the posted ones."""
    return {
        "duration_s": round(duration_s, 1),
        "setup_s": round(setup_s, 1),
        "processes": [{"role": started.role, "pid": started.pid} for started in facts.started],
        "providers": [_provider(facts, name, account) for name, account in facts.providers.items()],
        "epochs": [
            {
                "epoch": log.epoch,
                "root": to_hex(log.root),
                "signers": [account for bit, account in enumerate(facts.listed_validators) if log.signers >> bit & 1],
                "transaction": log.transaction,
                "gas": log.gas,
                "accounts": facts.trees[log.epoch].accounts if log.epoch in facts.trees else 0,
                "total": str(log.total_earned),
            }
            for log in facts.posted
        ],
        "checks": [{"name": check.name, "passed": check.passed, "detail": check.detail} for check in checks],
    }


def _provider(facts: Facts, name: str, account: Address) -> dict[str, Any]:
    view, money = facts.pool.get(account), facts.accounts[name]
    earned = max((leaf.earned for leaf in facts.leaves.get(name, {}).values() if leaf is not None), default=0)
    return {
        "address": account,
        "state": view.state if view else "absent",
        "reason": view.code if view else "",
        "rtt_us": dict(facts.joined_rtt_us.get(name, {})),
        "heartbeats": view.heartbeats if view else 0,
        "proofs_accepted": int(facts.status.get(name, {}).get("receipted", 0)),
        "earned": str(earned),
        "claimed": str(money.claimed),
        "balance_before": str(money.balance_before),
        "balance_after": str(money.balance_after),
        "reputation": money.reputation,
    }
