"""Recomputation: `(parent state, manifest, the bytes it names) -> (state, leaves, root)`, a pure function.

Input is a set: order, duplicates and who handed a statement in make no difference. Integers only, rounded down; no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from chain.epochs import MAX_COVERED, Timing
from chain.merkle import MerkleTree
from chain.messages import EpochAttestation, Leaf
from chain.rules import Rules
from chain.typed import Signed
from chain.types import Address, Digest
from validator import pay, reputation
from validator.errors import ManifestError
from validator.state import AccountState, State, leaves_of
from validator.verification import ListedRoles, fault_of
from wire.agreement import ChainSection, Manifest
from wire.messages import ActivityProof, LatencyReport, UptimeTicket
from wire.slots import count
from wire.statements import slots_up


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a root is made of. leaves: ascending by address. totals: wei, over all leaves."""

    state: State
    leaves: tuple[Leaf, ...]
    root: Digest
    total_earned: int
    total_spent: int


@dataclass(slots=True)
class _Evidence:
    """The counting statements about one provider in one epoch, each once."""

    tickets: set[UptimeTicket] = field(default_factory=set)
    reports: set[LatencyReport] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What one epoch's evidence says of one provider. up: slots. group: empty without a slot up."""

    up: int
    performance_ppm: int
    group: str


_SILENT = _Measured(0, 0, "")


def covered_epochs(parent_through: int, epoch: int) -> range:
    """The epochs that a root of `epoch` covers: the oldest uncovered ones in order, at most seven; empty if there is none."""
    return range(parent_through + 1, min(epoch, parent_through + MAX_COVERED) + 1)


def recompute(
    parent: State, manifest: Manifest, evidence: Mapping[int, Iterable[Signed[ActivityProof]]], timing: Timing, rules: Rules
) -> Outcome:
    """The outcome of a manifest upon the state of its parent.

    evidence: for each covered epoch the verified proofs that its inventories name, in any order, any number of one provider.
    Statements that do not count under the manifest's own lists (see `fault_of`) are passed over; signatures have been checked before.
    Raises `ManifestError` if the manifest does not go with the parent, the rules or itself.
    """
    _check(parent, manifest, rules)
    state = parent
    for section in sorted(manifest.chain, key=lambda section: section.epoch):
        state = _next_state(state, section, evidence.get(section.epoch, ()), timing, rules)
    leaves = leaves_of(state, manifest.chain[0].treasury)
    return Outcome(state, leaves, MerkleTree(leaves).root, state.total_earned, state.total_spent)


def attestation_of(manifest: Manifest, manifest_digest: Digest, outcome: Outcome, state_digest: Digest, round_: int) -> EpochAttestation:
    """What a validator signs once it has recomputed `outcome` from the manifest; its anchor is that of the last covered epoch.

    manifest_digest, state_digest: file digests of the manifest's and of the outcome's state's canonical bytes.
    """
    last = max(manifest.chain, key=lambda section: section.epoch)
    return EpochAttestation(
        epoch=manifest.epoch,
        through=manifest.through,
        round=round_,
        parent_root=manifest.parent_root,
        parent_state_digest=manifest.parent_state_digest,
        state_digest=state_digest,
        root=outcome.root,
        total_earned=outcome.total_earned,
        total_spent=outcome.total_spent,
        anchor_block_hash=last.anchor_block_hash,
        rules_digest=manifest.rules_digest,
        manifest_digest=manifest_digest,
    )


def _check(parent: State, manifest: Manifest, rules: Rules) -> None:
    wanted = list(covered_epochs(parent.through, manifest.epoch))
    found = sorted(section.epoch for section in manifest.chain), sorted(covered.epoch for covered in manifest.covered)
    if not wanted or manifest.through != wanted[-1] or found != (wanted, wanted):
        detail = f"after {parent.through} a root of {manifest.epoch} covers {wanted}; the manifest says {found} through {manifest.through}"
        raise ManifestError("wrong_epochs", detail)
    if manifest.rules_digest != rules.digest():
        raise ManifestError("wrong_rules", f"0x{manifest.rules_digest.hex()} is not the digest of the rules in force")
    if len({section.treasury for section in manifest.chain}) != 1:
        raise ManifestError("wrong_treasury", "its sections name several treasuries")


def _next_state(state: State, section: ChainSection, proofs: Iterable[Signed[ActivityProof]], timing: Timing, rules: Rules) -> State:
    roles = ListedRoles.of(section.roles)
    measured = {
        provider: _measure(found, roles, timing, rules) for provider, found in _gather(proofs, section.epoch, roles, timing).items()
    }
    bonded = {provider.provider for provider in section.providers if provider.bond > 0}
    before = {account.account: account for account in state.accounts if account.first_epoch}  # a deposit alone gives no standing
    spent = {account.account: account.spent for account in state.accounts}

    accounts: dict[Address, AccountState] = {}
    for provider in before.keys() | measured.keys():
        account = before.get(provider) or _newcomer(provider, spent.get(provider, 0), section.epoch, rules)
        accounts[provider] = _placed(account, measured.get(provider, _SILENT), provider in bonded, section.epoch)
    earned = _earned(accounts, measured, bonded, state, section, rules)

    after: dict[Address, AccountState] = {}
    for provider, account in sorted(accounts.items()):
        seen = measured.get(provider, _SILENT)
        score = _score(account, seen, provider in bonded, section.epoch, timing, rules)
        buckets = reputation.with_bucket(account.buckets, score, rules)
        renewed = replace(
            account,
            earned=account.earned + earned.get(provider, 0),
            points=account.points + (pay.points_milli(seen.up, timing.slot_seconds, rules) if provider in bonded else 0),
            reputation=reputation.reputation(buckets, rules),
            buckets=buckets,
        )
        if (provider in bonded and provider in before) or _is_worth_keeping(renewed):
            after[provider] = renewed
    for deposit in section.deposits:  # a leaf for everyone who may want to withdraw with one
        after.setdefault(deposit.account, _newcomer(deposit.account, spent.get(deposit.account, 0), 0, rules))
    return State(section.epoch, tuple(after[account] for account in sorted(after)))


def _gather(proofs: Iterable[Signed[ActivityProof]], epoch: int, roles: ListedRoles, timing: Timing) -> dict[Address, _Evidence]:
    """The union of all counting statements, by provider."""
    found: dict[Address, _Evidence] = {}
    for signed in proofs:
        proof = signed.message
        held = found.setdefault(proof.provider, _Evidence())
        held.tickets.update(t.message for t in proof.tickets if fault_of(t.message, proof.provider, epoch, timing, roles, None) is None)
        held.reports.update(r.message for r in proof.reports if fault_of(r.message, proof.provider, epoch, timing, roles, None) is None)
    return found


def _measure(found: _Evidence, roles: ListedRoles, timing: Timing, rules: Rules) -> _Measured:
    masters, slots = len(roles.masters), timing.slots_per_epoch
    up = count(slots_up(found.tickets, found.reports, masters, slots))
    marks = [reputation.master_mark(of_one, slots, rules.max_rtt_us) for of_one in pay.by_signer(found.reports)]
    return _Measured(up, reputation.performance(marks, masters), pay.group_of(found.reports) if up else "")


def _newcomer(account: Address, spent: int, epoch: int, rules: Rules) -> AccountState:
    """Spent is what it was: nothing adds to it before there are receipts, and what will is capped by what is held at the anchor."""
    return AccountState(account, 0, spent, 0, reputation.reputation((), rules), epoch, "", 0, ())


def _placed(account: AccountState, measured: _Measured, bonded: bool, epoch: int) -> AccountState:
    """The account in its group: it keeps its place while it is silent, and loses it by moving or by leaving the registry."""
    if not bonded:
        return replace(account, group="", group_since=0)
    if measured.up and measured.group != account.group:
        return replace(account, group=measured.group, group_since=epoch)
    return account


def _earned(
    accounts: Mapping[Address, AccountState],
    measured: Mapping[Address, _Measured],
    bonded: set[Address],
    state: State,
    section: ChainSection,
    rules: Rules,
) -> dict[Address, int]:
    """Wei for each registered, bonded provider with a slot up; `accounts` hold their groups and the reputation before this epoch."""
    paid = sorted(provider for provider in bonded & measured.keys() if measured[provider].up)
    ranks = pay.rank_weights((pay.Member(accounts[p].group_since, p, accounts[p].group) for p in paid), rules)
    weights = {p: pay.pay_weight(measured[p].up, accounts[p].reputation, ranks[p]) for p in paid}
    budget = pay.availability_budget(section.rate, section.funded, state.total_earned, state.total_spent, rules)
    return pay.availability_pay(weights, budget, rules)


def _score(account: AccountState, measured: _Measured, bonded: bool, epoch: int, timing: Timing, rules: Rules) -> int:
    standing = reputation.standing(epoch - account.first_epoch, bonded)
    return reputation.score(measured.up, timing.slots_per_epoch, measured.performance_ppm, standing, rules)


def _is_worth_keeping(account: AccountState) -> bool:
    """Whether anything is lost by forgetting the account: one that never earned and was silent as long as it is remembered has nothing."""
    return bool(account.earned or account.spent or account.points or any(account.buckets))
