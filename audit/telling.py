"""An audit as a sentence or two, and as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit.verdicts import Audit, Recomputed, printable
from chain.amounts import tokens
from chain.merkle import MerkleTree, verify
from chain.messages import Leaf
from chain.types import Address, Digest, to_hex
from validator.state import State, leaves_of
from wire.tiers import MILLI


def as_text(audit: Audit, account: Address | None, treasury: Address) -> str:
    """For people."""
    lines = [f"epoch {audit.epoch}: {audit.state}" + (f"; {audit.note}" if audit.note else "")]
    if audit.posted is not None:
        first, last = (audit.covered[0], audit.covered[-1]) if audit.covered else (audit.epoch, audit.epoch)
        lines.append(
            f"  root {to_hex(audit.posted.root)}, of round {audit.posted.round}, covers "
            + (f"epochs {first} to {last}" if first < last else f"epoch {last}")
        )
        looked = audit.looked
        lines.append(
            f"  looked at {looked.proofs} proofs in {looked.inventories} inventories, {looked.signatures} signatures, "
            f"{looked.received} bytes fetched; signed by {len(looked.signers)} of {looked.validators} validators"
        )
        if looked.unread:
            lines.append(f"  of its own signatures the contract's word was taken: {looked.unread}")
    lines += [f"  {finding.code}: {printable(finding.detail)}" for finding in audit.findings]
    if account is not None and audit.recomputed is not None and audit.posted is not None:
        lines += _leaf_lines(_leaves(audit.recomputed, audit.posted.root, account, treasury))
    return "\n".join(lines)


def as_data(audit: Audit, account: Address | None, treasury: Address) -> Mapping[str, Any]:
    """For programs; amounts in wei, as text."""
    looked, posted = audit.looked, audit.posted
    found: dict[str, Any] = {
        "epoch": audit.epoch,
        "state": audit.state,
        "passed": audit.passed,
        "note": audit.note,
        "findings": [{"code": one.code, "detail": one.detail} for one in audit.findings],
    }
    if posted is not None:
        found |= {
            "root": to_hex(posted.root),
            "round": posted.round,
            "covered": list(audit.covered),
            "total_earned_wei": str(posted.total_earned),
            "total_spent_wei": str(posted.total_spent),
            "proofs": looked.proofs,
            "inventories": looked.inventories,
            "signatures": looked.signatures,
            "bytes": looked.received,
            "signers": list(looked.signers),
            "validators": looked.validators,
            "signatures_unread": looked.unread,
        }
    if account is not None and audit.recomputed is not None and posted is not None:
        found["account"] = _leaves(audit.recomputed, posted.root, account, treasury)
    return found


def _leaves(recomputed: Recomputed, root: Digest, account: Address, treasury: Address) -> Mapping[str, Any]:
    """The account's record before and after, recomputed, and the path that leads from the latter to the posted root."""
    tree = MerkleTree(recomputed.outcome.leaves)
    after = tree.leaf(account)
    path = tree.path(account) if after is not None else ()
    return {
        "account": account,
        "before": _leaf(_leaf_in(recomputed.parent, account, treasury)),
        "after": _leaf(after),
        "path": [to_hex(one) for one in path],
        "leads_to_the_root": after is not None and verify(root, after, path),
    }


def _leaf_in(state: State, account: Address, treasury: Address) -> Leaf | None:
    return next((leaf for leaf in leaves_of(state, treasury) if leaf.account == account), None) if state.through else None


def _leaf(leaf: Leaf | None) -> Mapping[str, Any] | None:
    if leaf is None:
        return None
    return {
        "earned_wei": str(leaf.earned),
        "spent_wei": str(leaf.spent),
        "points_milli": leaf.points,
        "reputation_ppm": leaf.reputation,
    }


def _leaf_lines(found: Mapping[str, Any]) -> list[str]:
    lines = [f"  account {found['account']}"]
    for name in ("before", "after"):
        leaf = found[name]
        if leaf is None:
            lines.append(f"    {name}: no leaf")
        else:
            sums = f"earned {tokens(int(leaf['earned_wei']))} DPN, spent {tokens(int(leaf['spent_wei']))} DPN"
            lines.append(f"    {name}: {sums}, {leaf['points_milli'] / MILLI:g} points, reputation {leaf['reputation_ppm']} ppm")
    if found["after"] is not None:
        leads = "leads to the posted root" if found["leads_to_the_root"] else "does not lead to the posted root"
        lines += [f"    its path {leads}:", *(f"      {one}" for one in found["path"])]
    return lines
