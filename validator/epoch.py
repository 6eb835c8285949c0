"""Recomputation: `(parent state, manifest, the bytes it names) -> (state, leaves, root)`, a pure function.

Input is a set: order, duplicates and who handed a statement in make no difference. Integers only, rounded down; no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from chain.epochs import Timing, covered_epochs
from chain.merkle import MerkleTree
from chain.messages import EpochAttestation, Leaf
from chain.rules import Rules
from chain.typed import Signed
from chain.types import Address, Digest
from validator import pay, reputation, session_pay
from validator.earnings import Earnings, earnings
from validator.errors import ManifestError
from validator.session_pay import Charges, Deposits, Shown
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
class Counting:
    """The counting statements about one provider in one epoch, each once."""

    tickets: set[UptimeTicket] = field(default_factory=set)
    reports: set[LatencyReport] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one epoch's evidence says of one provider. up: slots. group: empty without a slot up."""

    up: int
    performance_ppm: int
    group: str


SILENT = Measured(0, 0, "")


@dataclass(frozen=True, slots=True)
class Reckoning:
    """One covered epoch, recomputed: the states before and after it, and all that lies between them, which whoever explains pay reads.

    lost: accounts without a leaf in this root. counting, measured: by provider. bonded: who is registered, bonded and not lost. sessions:
    those that the evidence covers. placed: providers in their groups, otherwise as they were before the epoch. ranks (ppm), weights: of
    those whose availability is paid.
    """

    section: ChainSection
    before: State
    lost: frozenset[Address]
    counting: Mapping[Address, Counting]
    measured: Mapping[Address, Measured]
    bonded: Collection[Address]
    sessions: tuple[Shown, ...]
    charges: Charges
    placed: Mapping[Address, AccountState]
    ranks: Mapping[Address, int]
    weights: Mapping[Address, int]
    earned: Earnings
    after: State


def recompute(
    parent: State, manifest: Manifest, evidence: Mapping[int, Iterable[Signed[ActivityProof]]], timing: Timing, rules: Rules
) -> Outcome:
    """The outcome of a manifest upon the state of its parent.

    evidence: for each covered epoch the verified proofs that its inventories name, in any order, any number of one provider.
    Statements that do not count under the manifest's own lists (see `fault_of`) are passed over; signatures have been checked before.
    Raises `ManifestError` if the manifest does not go with the parent, the rules or itself.
    """
    state = parent
    for reckoning in reckonings(parent, manifest, evidence, timing, rules):
        state = reckoning.after
    leaves = leaves_of(state, manifest.chain[0].treasury)
    return Outcome(state, leaves, MerkleTree(leaves).root, state.total_earned, state.total_spent)


def reckonings(
    parent: State, manifest: Manifest, evidence: Mapping[int, Iterable[Signed[ActivityProof]]], timing: Timing, rules: Rules
) -> Iterator[Reckoning]:
    """The covered epochs one after the other, as `recompute` takes them."""
    _check(parent, manifest, rules)
    deposits = Deposits.of(manifest.deposits)
    state, lost = _without_lost(parent, deposits)
    for section in sorted(manifest.chain, key=lambda section: section.epoch):
        reckoning = _reckon(state, section, evidence.get(section.epoch, ()), deposits, lost, timing, rules)
        yield reckoning
        state = reckoning.after


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


def _reckon(
    state: State,
    section: ChainSection,
    proofs: Iterable[Signed[ActivityProof]],
    deposits: Deposits,
    lost: frozenset[Address],
    timing: Timing,
    rules: Rules,
) -> Reckoning:
    """lost: accounts that must not come into this root."""
    epoch, roles = section.epoch, ListedRoles.of(section.roles)
    told = [signed for signed in proofs if signed.message.provider not in lost]
    counting = _gather(told, epoch, roles, timing)
    measured = {provider: _measure(found, roles, timing, rules) for provider, found in counting.items()}
    bonded = {provider.provider for provider in section.providers if provider.bond > 0} - lost
    sessions = session_pay.shown(told, epoch, roles.validators, timing)
    charges = session_pay.charge(sessions, state, deposits, epoch, section.treasury, lost, rules)

    known = {account.account: account for account in state.accounts}
    before = {account.account: account for account in state.accounts if account.first_epoch}  # a deposit alone gives no standing
    accounts: dict[Address, AccountState] = {}
    for provider in before.keys() | measured.keys() | charges.paid.keys():
        account = before.get(provider) or _newcomer(provider, known.get(provider), epoch, rules)
        accounts[provider] = _placed(account, measured.get(provider, SILENT), provider in bonded, epoch)
    ranks, weights = _weights(accounts, measured, bonded, rules)
    earned = earnings(weights, charges, state, section, lost, rules)

    after: dict[Address, AccountState] = {}
    for provider, account in sorted(accounts.items()):
        seen = measured.get(provider, SILENT)
        sessions_ppm = reputation.sessions(charges.fees[provider].values(), rules) if provider in charges.fees else 0
        score = _score(account, seen, sessions_ppm, provider in bonded, epoch, timing, rules)
        buckets = reputation.with_bucket(account.buckets, score, rules)
        renewed = replace(
            account,
            earned=account.earned + earned.of_provider(provider),
            shared=account.shared + earned.shared.get(provider, 0),
            points=account.points + (_points(provider, seen, charges, timing, rules) if provider in bonded else 0),
            reputation=reputation.reputation(buckets, rules),
            buckets=buckets,
        )
        entered = provider in before or any(buckets) or earned.of_provider(provider)
        if entered and ((provider in bonded and provider in before) or _is_worth_keeping(renewed)):
            after[provider] = renewed
    beside = {account: amount for account, amount in earned.beside().items() if amount}
    resting = {account.account for account in state.accounts if not account.first_epoch and _is_worth_keeping(account)}
    for account_ in resting | deposits.held.keys() | beside.keys() | ({section.treasury} if charges.spent else set()):
        if account_ not in lost:  # a leaf for everyone who may want to withdraw with one
            after.setdefault(account_, _newcomer(account_, known.get(account_), 0, rules))
    for account_, amount in beside.items():
        after[account_] = replace(after[account_], earned=after[account_].earned + amount)
    _book(after, charges, session_pay.settled_by(state), section.treasury)
    following = replace(
        state,
        through=epoch,
        accounts=tuple(after[account] for account in sorted(after)),
        sessions=tuple(sorted(charges.open, key=lambda session: session.session_id)),
    )
    seen_by = (counting, measured, bonded, sessions, charges)
    return Reckoning(section, state, lost, *seen_by, accounts, ranks, weights, earned, following)


def _book(after: dict[Address, AccountState], charges: Charges, settled: Mapping[Address, int], treasury: Address) -> None:
    """Writes what consumers spent, up to where they are settled, and the treasury's part into the accounts."""
    for consumer, amount in charges.spent.items():
        after[consumer] = replace(after[consumer], spent=after[consumer].spent + amount)
    for consumer, upto in settled.items():
        if consumer in after:  # else it has been lost
            after[consumer] = replace(after[consumer], settled=max(after[consumer].settled, upto))
    if protocol_fees := sum(charges.protocol_fees.values()):
        after[treasury] = replace(after[treasury], earned=after[treasury].earned + protocol_fees)


def _gather(proofs: Iterable[Signed[ActivityProof]], epoch: int, roles: ListedRoles, timing: Timing) -> dict[Address, Counting]:
    """The union of all counting statements, by provider."""
    found: dict[Address, Counting] = {}
    for signed in proofs:
        proof = signed.message
        held = found.setdefault(proof.provider, Counting())
        held.tickets.update(t.message for t in proof.tickets if fault_of(t.message, proof.provider, epoch, timing, roles, None) is None)
        held.reports.update(r.message for r in proof.reports if fault_of(r.message, proof.provider, epoch, timing, roles, None) is None)
    return found


def _measure(found: Counting, roles: ListedRoles, timing: Timing, rules: Rules) -> Measured:
    masters, slots = len(roles.masters), timing.slots_per_epoch
    up = count(slots_up(found.tickets, found.reports, masters, slots))
    marks = [reputation.master_mark(of_one, slots, rules.max_rtt_us) for of_one in pay.by_signer(found.reports)]
    return Measured(up, reputation.performance(marks, masters), pay.group_of(found.reports) if up else "")


def _newcomer(account: Address, known: AccountState | None, epoch: int, rules: Rules) -> AccountState:
    """An account without a past as a provider, first seen in `epoch`; what it has as a depositor, or earned without evidence, it keeps."""
    fresh = AccountState(account, 0, 0, 0, reputation.reputation((), rules), epoch, "", 0, ())
    if known is None:
        return fresh
    return replace(fresh, earned=known.earned, spent=known.spent, points=known.points, settled=known.settled, shared=known.shared)


def _placed(account: AccountState, measured: Measured, bonded: bool, epoch: int) -> AccountState:
    """The account in its group: it keeps its place while it is silent, and loses it by moving or by leaving the registry."""
    if not bonded:
        return replace(account, group="", group_since=0)
    if measured.up and measured.group != account.group:
        return replace(account, group=measured.group, group_since=epoch)
    return account


def _weights(
    accounts: Mapping[Address, AccountState], measured: Mapping[Address, Measured], bonded: set[Address], rules: Rules
) -> tuple[dict[Address, int], dict[Address, int]]:
    """Ranks and weights of the registered and bonded with a slot up; `accounts` hold their groups and the reputation before this epoch."""
    up = sorted(provider for provider in bonded & measured.keys() if measured[provider].up)
    ranks = pay.rank_weights((pay.Member(accounts[p].group_since, p, accounts[p].group) for p in up), rules)
    return ranks, {p: pay.pay_weight(measured[p].up, accounts[p].reputation, ranks[p]) for p in up}


def _points(provider: Address, measured: Measured, charges: Charges, timing: Timing, rules: Rules) -> int:
    paid = charges.protocol_fees.get(provider, 0)
    return pay.points_milli(measured.up, timing.slot_seconds, rules) + pay.session_points_milli(paid, rules)


def _score(account: AccountState, measured: Measured, sessions_ppm: int, bonded: bool, epoch: int, timing: Timing, rules: Rules) -> int:
    standing = reputation.standing(epoch - account.first_epoch, bonded)
    return reputation.score(measured.up, timing.slots_per_epoch, measured.performance_ppm, sessions_ppm, standing, rules)


def _is_worth_keeping(account: AccountState) -> bool:
    """Whether anything is lost by forgetting the account: one that never earned and was silent as long as it is remembered has nothing."""
    return bool(account.earned or account.shared or account.spent or account.points or any(account.buckets))
