"""What has to be true once the sessions demo is over. Pure: facts in, checks out."""

from __future__ import annotations

from collections import Counter

from devnet.sessions.facts import Counted, Facts, LeafSums
from devnet.sessions.ledger import fee
from devnet.verdict import Check, compared

NOT_ALLOWED = 2
"""The SOCKS reply to what the provider's policy refuses (RFC 1928, section 6)."""


def judge(facts: Facts) -> tuple[Check, ...]:
    """Every check, in the order of the story."""
    return (
        _files(facts),
        _regions(facts),
        _three_counts(facts),
        _refusals(facts),
        _moved_on(facts),
        _credit(facts),
        _evidence(facts),
        _spent(facts),
        _earned(facts),
        _treasury(facts),
        _nothing_made(facts),
        _claimed(facts),
        _private(facts),
    )


def _files(facts: Facts) -> Check:
    wrong = [f"{one.consumer} got {one.path} changed" for one in facts.downloads if one.found != one.expected]
    size = sum(one.size for one in facts.downloads)
    clients = ", ".join(sorted({one.client for one in facts.downloads}))
    return compared("every file arrives as the origin has it", wrong, f"{len(facts.downloads)} files, {size} bytes, by {clients}")


def _regions(facts: Facts) -> Check:
    used = {one.via[0] for one in facts.downloads}
    wrong = [] if len(used) >= 3 else [f"only {', '.join(sorted(used))}"]
    return compared("they came through providers of different regions", wrong, ", ".join(sorted(used)))


def _three_counts(facts: Facts) -> Check:
    """Of the consumers whose provider was not killed."""
    wrong, told = [], []
    for consumer, there in facts.origin_bytes.items():
        if consumer == facts.kill.consumer:
            continue
        receipted = sum(one.receipted for one in facts.sessions if one.consumer == consumer)
        reported = sum(one.reported for one in facts.sessions if one.consumer == consumer)
        told.append(f"{consumer} {there}")
        if not there == receipted == reported:
            wrong.append(f"{consumer}: origin {there}, consumer {receipted}, provider {reported}")
    return compared("origin, consumer and provider count the same bytes", wrong, ", ".join(told))


def _refusals(facts: Facts) -> Check:
    wrong = [f"{what}: SOCKS reply {reply}" for what, reply in facts.refused.items() if reply != NOT_ALLOWED]
    if not facts.refused:
        wrong.append("nothing was tried")
    return compared("no stream reaches where it must not", wrong, ", ".join(facts.refused))


def _moved_on(facts: Facts) -> Check:
    kill = facts.kill
    wrong = [] if kill.after and kill.after != kill.before else [f"from {kill.before} to {kill.after or 'nobody'}"]
    return compared("the session moves on when a provider is killed", wrong, f"{kill.consumer}: {kill.before} -> {kill.after}")


def _credit(facts: Facts) -> Check:
    kill = facts.kill
    lost = kill.carried - kill.receipted
    wrong = [] if lost <= kill.credit and kill.receipted <= kill.carried else [f"{lost} bytes unreceipted, {kill.credit} allowed"]
    return compared("what was unpaid then is within the credit", wrong, f"{max(0, lost)} of {kill.credit} bytes")


def _evidence(facts: Facts) -> Check:
    """Every session that carried something is in the archive with its last receipt. The killed provider's too, as it was started again;
    but a receipt that was on its way when it was killed never reached it."""
    archived = {"0x" + one.session.hex(): one.received for _, sessions in sorted(facts.served.items()) for one in sessions}
    wrong = []
    for one in facts.sessions:
        allowed = facts.kill.credit if _is_killed(one, facts) else 0
        if not 0 <= one.receipted - archived.get(one.session, 0) <= allowed:
            wrong.append(f"{one.consumer} with {one.provider}: receipted {one.receipted}, archived {archived.get(one.session, 0)}")
    return compared("the archive holds every session's last receipt", wrong, f"{len(archived)} sessions")


def _is_killed(session: Counted, facts: Facts) -> bool:
    return (session.consumer, session.provider) == (facts.kill.consumer, facts.kill.before)


def _spent(facts: Facts) -> Check:
    wrong, told = [], []
    for name in facts.origin_bytes:
        account = facts.accounts[name]
        by_hand, leaf = facts.sums.spent[account], facts.leaves.get(account, LeafSums(0, 0)).spent
        own = sum(one.fee for one in facts.sessions if one.consumer == name)
        lost = sum(fee(one.price, facts.kill.credit) for one in facts.sessions if one.consumer == name and _is_killed(one, facts))
        told.append(f"{name} {leaf}")
        if not (leaf == by_hand and own - lost <= leaf <= own <= facts.deposits[name]):
            wrong.append(f"{name}: leaf {leaf}, by hand {by_hand}, by its own receipts {own}, deposited {facts.deposits[name]}")
    return compared("each consumer is charged what it signed for, to the last unit", wrong, ", ".join(told))


def _earned(facts: Facts) -> Check:
    wrong, told = [], []
    for name, account in facts.accounts.items():
        if not name.startswith("provider"):
            continue
        by_hand, leaf = facts.sums.earned[account], facts.leaves.get(account, LeafSums(0, 0)).earned
        told.append(f"{name} {leaf}")
        if leaf != by_hand:
            wrong.append(f"{name}: leaf {leaf}, by hand {by_hand}")
    if not sum(facts.sums.earned.values()):
        wrong.append("nobody earned anything")
    return compared("each provider is paid for its bandwidth, to the last unit", wrong, ", ".join(told))


def _treasury(facts: Facts) -> Check:
    leaf = facts.leaves.get(facts.treasury, LeafSums(0, 0)).earned
    wrong = [] if leaf == facts.sums.treasury > 0 else [f"leaf {leaf}, by hand {facts.sums.treasury}"]
    return compared("the treasury has the protocol fee", wrong, str(leaf))


def _nothing_made(facts: Facts) -> Check:
    """A session brings all who may be one person less than it cost."""
    spent, earned = sum(facts.sums.spent.values()), sum(facts.sums.earned.values())
    wrong = [] if earned < spent == facts.total_spent else [f"earned {earned}, spent {spent}, on chain {facts.total_spent}"]
    return compared("providers earn less by sessions than consumers pay", wrong, f"{earned} of {spent}")


def _claimed(facts: Facts) -> Check:
    owed = Counter({name: facts.sums.earned[facts.accounts[name]] for name in facts.claimed})
    wrong = [f"{name}: {paid}, owed {owed[name]}" for name, paid in facts.claimed.items() if paid != owed[name]]
    if not facts.claimed:
        wrong.append("nobody claimed")
    return compared("claims bring it into their wallets", wrong, ", ".join(sorted(facts.claimed)))


def _private(facts: Facts) -> Check:
    wrong = facts.found if facts.unpacked else (*facts.found, "nothing of the archives was unpacked")
    detail = f"{facts.scanned} looked at, with {facts.unpacked} packed values"
    return compared("no archive, store, log or status names a destination or a consumer's address", wrong, detail)
