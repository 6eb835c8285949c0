"""What the demo of validators is judged by: pure judgements over `Facts`. A check that cannot be made has failed."""

from __future__ import annotations

from chain.types import to_hex
from devnet.table import tokens
from devnet.validators.facts import Facts
from devnet.verdict import Check, compared


def judge(facts: Facts) -> tuple[Check, ...]:
    """Every check, in the order of the story."""
    return tuple(check(facts) for check in CHECKS)


def the_lie_is_recorded(facts: Facts) -> Check:
    found = [one for one in facts.recorded if (one.epoch, one.round) == (facts.false_epoch, 0)]
    wrong = [] if [one.proposer for one in found] == [facts.liar] else [f"{len(found)} candidates, not one by the liar"]
    return compared("the liar's candidate is recorded in its round", wrong, f"epoch {facts.false_epoch}, round 0")


def nobody_signs_the_lie(facts: Facts) -> Check:
    wrong = [f"{name} holds {len(signers)} signatures under it" for name, signers in facts.signed.items() if signers]
    wrong += [] if len(facts.signed) == len(facts.validators) else [f"{len(facts.signed)} validators answered"]
    return compared("no validator has signed it", wrong, f"{len(facts.signed)} were asked")


def the_next_round_posts(facts: Facts) -> Check:
    log = facts.posting(facts.false_epoch)
    wrong = [] if log is not None and log.round >= 1 else ["it was not posted, or in the liar's round"]
    if log is not None and 3 * log.signers.bit_count() < 2 * len(facts.validators):
        wrong.append(f"{log.signers.bit_count()} of {len(facts.validators)} signed")
    detail = "" if log is None else f"round {log.round}, {log.signers.bit_count()} signatures, by {facts.validators.get(log.poster)}"
    return compared("the lie costs its round and not the epoch", wrong, detail)


def the_dead_epoch_is_covered(facts: Facts) -> Check:
    wrong = [f"epoch {facts.dead} was posted"] if facts.posting(facts.dead) else []
    later = next((log for log in facts.posted if log.epoch > facts.dead), None)
    if later is None or later.through < facts.dead or facts.posting(facts.dead - 1) is None:
        wrong.append("no later root covers it")
    names = " and ".join(facts.killed)
    detail = "" if later is None else f"{names} were killed; the root of epoch {later.epoch} covers {facts.dead} and {later.through}"
    return compared("an epoch dies without two thirds, and the next root covers it", wrong, detail)


def restarts_need_no_hand(facts: Facts) -> Check:
    last = facts.posted[-1] if facts.posted else None
    signers = facts.signers(last.signers) if last else frozenset()
    named = {facts.validators[account] for account in signers}
    wrong = [f"{name} does not run" for name in facts.killed if name not in facts.alive]
    wrong += [] if set(facts.killed) & named else ["none of those that were killed has signed since"]
    return compared("who was killed goes on where it was", wrong, f"{len(named)} signed the last root")


def one_posting_an_epoch(facts: Facts) -> Check:
    epochs = [log.epoch for log in facts.posted]
    wrong = [f"epoch {epoch} was posted {epochs.count(epoch)} times" for epoch in set(epochs) if epochs.count(epoch) > 1]
    rounds = [(one.epoch, one.round) for one in facts.recorded]
    wrong += [f"{rounds.count(one)} candidates in round {one}" for one in set(rounds) if rounds.count(one) > 1]
    return compared("one root an epoch, one candidate a round", wrong, f"{len(epochs)} roots, {len(rounds)} candidates")


def the_same_bytes_everywhere(facts: Facts) -> Check:
    wrong = [f"{name} lacks the state of epoch {epoch}" for epoch, by in facts.states.items() for name, held in by.items() if not held]
    wrong += [] if len(facts.states) == len(facts.posted) else [f"{len(facts.states)} states of {len(facts.posted)}"]
    return compared(
        "every validator serves the bytes of every state", wrong, f"{len(facts.states)} states, {len(facts.validators)} validators"
    )


def providers_are_paid(facts: Facts) -> Check:
    wrong = [f"{account} has earned nothing" for account, earned in facts.earned.items() if earned <= 0]
    wrong += [] if facts.earned else ["there are none"]
    return compared("the dead epoch is paid as well", wrong, f"{tokens(sum(facts.earned.values()))} DPN to {len(facts.earned)} providers")


def the_audit_confirms(facts: Facts) -> Check:
    wrong = [f"{name}: exit code {one.code}: {one.says[:200]}" for name, one in facts.audits.items() if one.code != 0]
    wrong += [] if facts.audits else ["there was none"]
    roots = {to_hex(log.root) for log in facts.posted}
    missing = [name for name, one in facts.audits.items() if not all(root in one.says for root in roots)]
    wrong += [f"{name} does not name every root" for name in missing]
    return compared(
        "`dpn audit` confirms every epoch from outside", wrong, f"{len(roots)} roots, by the files of {' and of '.join(facts.audits)}"
    )


CHECKS = (
    the_lie_is_recorded,
    nobody_signs_the_lie,
    the_next_round_posts,
    the_dead_epoch_is_covered,
    restarts_need_no_hand,
    one_posting_an_epoch,
    the_same_bytes_everywhere,
    providers_are_paid,
    the_audit_confirms,
)
