"""The settlement demo's checks: pure judgements over `Facts`, each with what was compared; those of money are in `devnet.settlement.money`.

A check that cannot be made has failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from chain.types import to_hex
from devnet.settlement import money
from devnet.settlement.facts import Facts
from devnet.settlement.rawlogs import Mark, proof_name
from devnet.table import tokens
from devnet.verdict import Check, compared


def judge(facts: Facts) -> tuple[Check, ...]:
    """Every check, in the order of the story."""
    return tuple(check(facts) for check in CHECKS)


def one_honest_process(facts: Facts) -> Check:
    """All that reports is a validator's own process: the demo itself holds the hostile keys and proves nothing."""
    names = Counter(started.role for started in facts.started)
    wrong = [] if names == {"chain": 1, "validator": 1} else [f"started were {dict(names)}"]
    wrong += [f"{started.name} has ended" for started in facts.started if started.name not in facts.alive]
    if len({started.pid for started in facts.started}) != len(facts.started):
        wrong.append("two processes have one id")
    return compared("chain and honest validator are processes of their own", wrong, f"{len(facts.started)} processes, alive to the end")


def first_root_is_honest(facts: Facts) -> Check:
    """The honest validator signed it, among two thirds, and serves the bytes that make it: evidence pays, every depositor has a leaf."""
    epoch, who = facts.epochs[0], facts.accounts
    log, leaves = facts.posting(epoch), facts.leaves.get(epoch, {})
    if log is None:
        return Check("the first root is honest, with a leaf for the depositor", False, f"epoch {epoch} was never posted")
    wrong = [] if who.honest in who.signers(log.signers) else ["the honest validator did not sign it"]
    if 3 * log.signers.bit_count() < 2 * len(who.validators):
        wrong.append(f"{log.signers.bit_count()} of {len(who.validators)} signed")
    if facts.roots.get(epoch) != log.root:
        wrong.append("the state that is served makes another root")
    wrong += [f"the {name} has no leaf" for name in ("consumer", "provider") if getattr(who, name) not in leaves]
    earned = facts.earned(epoch, who.provider)
    if earned <= 0:
        wrong.append("the provider has earned nothing")
    detail = f"{log.signers.bit_count()} signatures, {tokens(earned)} DPN earned"
    return compared("the first root is honest, with a leaf for the depositor", wrong, detail)


def quorum_writes_amounts(facts: Facts) -> Check:
    """What no code can tell: the honest validator does not sign, and the root stands all the same, within what was deposited."""
    epoch, who = facts.epochs[1], facts.accounts
    log, leaf = facts.posting(epoch), facts.leaves.get(epoch, {}).get(facts.accounts.consumer)
    wrong = [] if log is not None and not log.cancelled else [f"epoch {epoch} was not posted, or cancelled"]
    if log is not None and who.signers(log.signers) != set(who.hostile()):
        wrong.append("it is not signed by all hostile validators and them alone")
    spent = leaf.spent if leaf else 0
    if not 0 < spent <= facts.deposit:
        wrong.append(f"{spent} wei are charged")
    if [row for row in facts.records.proven if row.values[1] == (log.root if log else b"")]:
        wrong.append("it was proven to be wrong")
    return compared(
        "amounts within the totals are for two thirds of the stake to say", wrong, f"{tokens(spent)} DPN charged, no proof of it"
    )


def claim_pays(facts: Facts) -> Check:
    epoch, following, _ = facts.epochs
    log = facts.posting(following)
    paid = [one for one in facts.payments if one.account == facts.accounts.provider]
    early = [one for one in paid if log is not None and _mark(facts, one.transaction) < Mark(log.block, 0)]
    earned = facts.earned(epoch, facts.accounts.provider)
    wrong = [] if len(early) == 1 else [f"{len(early)} claims were paid from the first root"]
    wrong += [
        f"{one.amount} claimed, {one.transferred} moved, {earned} earned" for one in early if {one.amount, one.transferred} != {earned}
    ]
    return compared("a claim from the first root pays what its leaf says", wrong, f"{tokens(earned)} DPN")


def pause_stops_claims(facts: Facts) -> Check:
    return _refused("while the guardian pauses claims are refused", facts.refusals.while_paused, "IsPaused")


def contradiction_convicts(facts: Facts) -> Check:
    """Exactly that one, and the root it signed stands."""
    _, epoch, falling = facts.epochs
    who, last = facts.accounts.equivocator, facts.posting(falling)
    logs = [row for row in facts.records.proven if proof_name(row) == "equivocates"]
    wrong = [] if [row.values[1][12:] for row in logs] == [bytes.fromhex(who[2:])] else [f"{len(logs)} proofs, or about another one"]
    before = [row.values[0] for row in facts.records.convicted if last is None or row.mark.block < last.block]
    if before != [who]:
        wrong.append(f"convicted were {', '.join(facts.named(account) for account in before) or 'none'}")
    log = facts.posting(epoch)
    if log is None or log.cancelled or log.root not in facts.activated:
        wrong.append(f"the root of epoch {epoch} did not become active")
    return compared("who signs two structs for one round is convicted, and nobody else", wrong, facts.named(who))


def previous_root_stays(facts: Facts) -> Check:
    """While the fraudulent root was pending, the one before verified: a claim was paid from it, between the two logs."""
    _, before, epoch = facts.epochs
    log, good = facts.posting(epoch), facts.posting(before)
    wrong = [] if log and good and facts.pending == (log.root, good.root) else ["another root was pending or active"]
    begins = next((row.mark for row in facts.records.posted if row.values[0] == epoch), None)
    ends = next((row.mark for row in facts.records.cancelled if row.values[0] == epoch), None)
    paid = [one for one in facts.payments if begins and ends and begins < _mark(facts, one.transaction) < ends]
    due = facts.earned(before, facts.accounts.provider) - facts.earned(facts.epochs[0], facts.accounts.provider)
    if [(one.account, one.transferred) for one in paid] != [(facts.accounts.provider, due)] or due <= 0:
        wrong.append(f"{len(paid)} claims were paid meanwhile, {due} wei were due")
    return compared("while the fraudulent root is pending the previous one pays", wrong, f"{tokens(due)} DPN claimed meanwhile")


def fall_cancels(facts: Facts) -> Check:
    _, before, epoch = facts.epochs
    log = facts.posting(epoch)
    was, is_ = facts.earned(before, facts.accounts.provider), facts.earned(epoch, facts.accounts.provider)
    wrong = [] if is_ < was else ["nothing has fallen in its state"]
    proofs = [row.values[1] for row in facts.records.proven if proof_name(row) == "falls"]
    if log is None or proofs != [log.root]:
        wrong.append(f"{len(proofs)} proofs of a fall, or about another root")
    if [(row.values[0], row.values[2]) for row in facts.records.cancelled] != [(epoch, facts.accounts.judge)]:
        wrong.append("it was not the judge that cancelled it, or not it alone")
    return compared("a root in which earned falls is proven and cancelled", wrong, f"{tokens(was)} DPN fell to {tokens(is_)}")


def exactly_the_signers(facts: Facts) -> Check:
    log = facts.posting(facts.epochs[2])
    signers = facts.accounts.signers(log.signers) if log else frozenset()
    guilty = signers | {facts.accounts.equivocator}
    wrong = [] if 3 * len(signers) >= 2 * (len(facts.accounts.validators) - 1) else [f"only {len(signers)} signed"]
    for what, found in (
        ("convicted", [row.values[0] for row in facts.records.convicted]),
        ("slashed", [row.values[0] for row in facts.records.slashed]),
        ("barred", list(facts.barred)),
        ("without stake", [account for account, stake in facts.stakes.items() if stake == 0]),
    ):
        if sorted(found) != sorted(guilty):
            wrong.append(f"{what}: {', '.join(facts.named(account) for account in sorted(found)) or 'none'}")
    if facts.stakes.get(facts.accounts.honest) != facts.stake or facts.accounts.honest in guilty:
        wrong.append("the honest validator's stake is not what it was")
    return compared(
        "exactly the signers lose their stake; the honest one keeps its own",
        wrong,
        f"{len(guilty)} of {len(facts.stakes)}",
    )


def late_report_is_refused(facts: Facts) -> Check:
    check = _refused("a stranger's later report is refused", facts.refusals.late, "NothingTriable")
    paid = facts.shares.get(facts.accounts.stranger, 0) + len(facts.of("collected", facts.accounts.stranger))
    return check if not paid else Check(check.name, False, "the stranger has a share")


def epoch_is_dead(facts: Facts) -> Check:
    """Its time came and went: the root before it is the active one, and the epoch counts as posted for ever."""
    _, before, epoch = facts.epochs
    log, good = facts.posting(epoch), facts.posting(before)
    if log is None or good is None:
        return Check("the cancelled epoch is dead", False, "it was never posted, or the one before was not")
    wrong = [] if log.cancelled else ["it was not cancelled"]
    if facts.second <= log.active_at:
        wrong.append("its time had not come")
    if facts.active != good.root:
        wrong.append(f"activeRoot() is {to_hex(facts.active)}")
    if log.root in facts.activated or facts.last_posted != epoch:
        wrong.append("it was activated, or another epoch followed")
    return compared("the cancelled epoch is dead", wrong, f"activeRoot() is still that of epoch {before}")


def withdrawal_waits(facts: Facts) -> Check:
    return _refused("no deposit is withdrawn while a root is pending", facts.refusals.while_pending, "NotQuiet")


def old_leaf_is_refused(facts: Facts) -> Check:
    return _refused("an old root's leaf, with less spent, withdraws nothing", facts.refusals.old_leaf, "NotInTree")


CHECKS: tuple[Callable[[Facts], Check], ...] = (
    one_honest_process,
    money.deposited_by_permit,
    first_root_is_honest,
    claim_pays,
    pause_stops_claims,
    quorum_writes_amounts,
    contradiction_convicts,
    previous_root_stays,
    fall_cancels,
    exactly_the_signers,
    money.reporter_is_paid,
    late_report_is_refused,
    epoch_is_dead,
    withdrawal_waits,
    old_leaf_is_refused,
    money.withdrawal_pays_the_rest,
    money.everything_adds_up,
)


def _refused(name: str, found: str, expected: str) -> Check:
    return Check(name, found == expected, found or "it was not refused")


def _mark(facts: Facts, transaction: str) -> Mark:
    """Where the claim of this transaction stands."""
    return next(row.mark for row in facts.records.claimed if row.transaction == transaction)
