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
from validator import pay, reputation, session_pay
from validator.errors import ManifestError
from validator.session_pay import Charges, Deposits
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
    deposits = Deposits.of(manifest.deposits)
    state, lost = _without_lost(parent, deposits)
    for section in sorted(manifest.chain, key=lambda section: section.epoch):
        state = _next_state(state, section, evidence.get(section.epoch, ()), deposits, lost, timing, rules)
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


def _without_lost(parent: State, deposits: Deposits) -> tuple[State, frozenset[Address]]:
    """The parent without the accounts that hold less than they have spent, and who these are.

    Only an announced withdrawal that nobody refuted leads there. Their leaf would convict whoever signs it, and so would one that fell; so
    they have none in this root, and in a later one they begin anew. What they earned and spent stays in the totals.
    """
    lost = [account for account in parent.accounts if account.spent > deposits.held.get(account.account, 0)]
    gone = frozenset(account.account for account in lost)
    kept = replace(
        parent,
        accounts=tuple(account for account in parent.accounts if account.account not in gone),
        lost_earned=parent.lost_earned + sum(account.earned for account in lost),
        lost_spent=parent.lost_spent + sum(account.spent for account in lost),
    )
    return kept, gone


def _next_state(
    state: State,
    section: ChainSection,
    proofs: Iterable[Signed[ActivityProof]],
    deposits: Deposits,
    lost: frozenset[Address],
    timing: Timing,
    rules: Rules,
) -> State:
    """lost: accounts that must not come into this root."""
    epoch, roles = section.epoch, ListedRoles.of(section.roles)
    told = [signed for signed in proofs if signed.message.provider not in lost]
    measured = {provider: _measure(found, roles, timing, rules) for provider, found in _gather(told, epoch, roles, timing).items()}
    bonded = {provider.provider for provider in section.providers if provider.bond > 0} - lost
    sessions = session_pay.shown(told, epoch, roles.validators, timing)
    charges = session_pay.charge(sessions, state, deposits, epoch, section.treasury, lost, rules)

    known = {account.account: account for account in state.accounts}
    before = {account.account: account for account in state.accounts if account.first_epoch}  # a deposit alone gives no standing
    accounts: dict[Address, AccountState] = {}
    for provider in before.keys() | measured.keys() | charges.paid.keys():
        account = before.get(provider) or _newcomer(provider, known.get(provider), epoch, rules)
        accounts[provider] = _placed(account, measured.get(provider, _SILENT), provider in bonded, epoch)
    earned = _earned(accounts, measured, bonded, charges, state, section, rules)

    after: dict[Address, AccountState] = {}
    for provider, account in sorted(accounts.items()):
        seen = measured.get(provider, _SILENT)
        sessions_ppm = reputation.sessions(charges.fees[provider].values(), rules) if provider in charges.fees else 0
        score = _score(account, seen, sessions_ppm, provider in bonded, epoch, timing, rules)
        buckets = reputation.with_bucket(account.buckets, score, rules)
        renewed = replace(
            account,
            earned=account.earned + earned.get(provider, 0),
            points=account.points + (_points(provider, seen, charges, timing, rules) if provider in bonded else 0),
            reputation=reputation.reputation(buckets, rules),
            buckets=buckets,
        )
        entered = provider in before or any(buckets) or earned.get(provider, 0)
        if entered and ((provider in bonded and provider in before) or _is_worth_keeping(renewed)):
            after[provider] = renewed
    resting = {account.account for account in state.accounts if not account.first_epoch and _is_worth_keeping(account)}
    for account_ in resting | deposits.held.keys() | ({section.treasury} if charges.spent else set()):
        if account_ not in lost:  # a leaf for everyone who may want to withdraw with one
            after.setdefault(account_, _newcomer(account_, known.get(account_), 0, rules))
    _book(after, charges, session_pay.settled_by(state), section.treasury)
    return replace(
        state,
        through=epoch,
        accounts=tuple(after[account] for account in sorted(after)),
        sessions=tuple(sorted(charges.open, key=lambda session: session.session_id)),
    )


def _book(after: dict[Address, AccountState], charges: Charges, settled: Mapping[Address, int], treasury: Address) -> None:
    """Writes what consumers spent, up to where they are settled, and the treasury's part into the accounts."""
    for consumer, amount in charges.spent.items():
        after[consumer] = replace(after[consumer], spent=after[consumer].spent + amount)
    for consumer, upto in settled.items():
        if consumer in after:  # else it has been lost
            after[consumer] = replace(after[consumer], settled=max(after[consumer].settled, upto))
    if protocol_fees := sum(charges.protocol_fees.values()):
        after[treasury] = replace(after[treasury], earned=after[treasury].earned + protocol_fees)


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


def _newcomer(account: Address, known: AccountState | None, epoch: int, rules: Rules) -> AccountState:
    """An account without a past as a provider, first seen in `epoch`; what it has as a depositor, or earned without evidence, it keeps."""
    fresh = AccountState(account, 0, 0, 0, reputation.reputation((), rules), epoch, "", 0, ())
    return fresh if known is None else replace(fresh, earned=known.earned, spent=known.spent, points=known.points, settled=known.settled)


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
    charges: Charges,
    state: State,
    section: ChainSection,
    rules: Rules,
) -> dict[Address, int]:
    """Wei for each provider: availability, for the registered and bonded with a slot up, and its sessions; `accounts` hold their groups and
    the reputation before this epoch."""
    up = sorted(provider for provider in bonded & measured.keys() if measured[provider].up)
    ranks = pay.rank_weights((pay.Member(accounts[p].group_since, p, accounts[p].group) for p in up), rules)
    weights = {p: pay.pay_weight(measured[p].up, accounts[p].reputation, ranks[p]) for p in up}
    budget = pay.availability_budget(section.rate, section.funded, state.total_earned, state.total_spent, rules)
    earned = pay.availability_pay(weights, budget, rules)
    # What consumers pay adds as much to earned as to spent, so it leaves the funds as they are.
    left = section.funded + state.total_spent - state.total_earned - sum(earned.values())
    subsidies = pay.session_subsidies(charges.subsidies, pay.session_budget(section.rate, left, rules))
    for provider, amount in charges.paid.items():
        earned[provider] = earned.get(provider, 0) + amount + subsidies[provider]
    return earned


def _points(provider: Address, measured: _Measured, charges: Charges, timing: Timing, rules: Rules) -> int:
    paid = charges.protocol_fees.get(provider, 0)
    return pay.points_milli(measured.up, timing.slot_seconds, rules) + pay.session_points_milli(paid, rules)


def _score(account: AccountState, measured: _Measured, sessions_ppm: int, bonded: bool, epoch: int, timing: Timing, rules: Rules) -> int:
    standing = reputation.standing(epoch - account.first_epoch, bonded)
    return reputation.score(measured.up, timing.slots_per_epoch, measured.performance_ppm, sessions_ppm, standing, rules)


def _is_worth_keeping(account: AccountState) -> bool:
    """Whether anything is lost by forgetting the account: one that never earned and was silent as long as it is remembered has nothing."""
    return bool(account.earned or account.spent or account.points or any(account.buckets))
