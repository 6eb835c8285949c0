"""`build/demo-settlement.json`: what the settlement demo found, as data. Amounts in wei are decimal strings, times seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chain.types import to_hex
from devnet.settlement.facts import DEAD, Facts
from devnet.settlement.rawlogs import proof_name
from devnet.verdict import Check


def report(facts: Facts, checks: Sequence[Check], setup_s: float, duration_s: float) -> dict[str, Any]:
    """duration_s: of the story, after set-up. Accounts are named as in the story."""
    names = facts.accounts.names()
    return {
        "duration_s": round(duration_s, 1),
        "setup_s": round(setup_s, 1),
        "processes": [{"role": started.role, "pid": started.pid} for started in facts.started],
        "accounts": {name: account for account, name in names.items()},
        "epochs": [
            {
                "epoch": log.epoch,
                "root": to_hex(log.root),
                "signers": sorted(names[account] for account in facts.accounts.signers(log.signers)),
                "earned": str(log.total_earned),
                "cancelled": log.cancelled,
                "transaction": log.transaction,
                "gas": log.gas,
            }
            for log in facts.posted
        ],
        "proven": [{"proof": proof_name(row), "reporter": facts.named(row.values[2])} for row in facts.records.proven],
        "slashed": [
            {
                "account": names[row.values[0]],
                "reporter": facts.named(row.values[1]),
                "amount": str(row.values[2]),
                "share": str(row.values[3]),
            }
            for row in facts.records.slashed
        ],
        "refused": {name: getattr(facts.refusals, name) for name in ("while_paused", "while_pending", "old_leaf", "late")},
        "claimed": str(sum(payment.transferred for payment in facts.payments)),
        "deposited": str(facts.deposit),
        "withdrawn": str(sum(row.values[1] for row in facts.records.withdrawn)),
        "burnt": str(facts.balances.get(DEAD, 0)),
        "supply": str(facts.supply),
        "balances": {names[account]: str(balance) for account, balance in facts.balances.items()},
        "checks": [{"name": check.name, "passed": check.passed, "detail": check.detail} for check in checks],
    }
