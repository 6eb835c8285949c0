"""The tour's checks: pure judgements over `Facts`, each with what was compared. A check that cannot be made has failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chain.merkle import verify
from chain.messages import Leaf
from chain.types import to_hex
from devnet.facts import Facts
from devnet.verdict import Check, compared

RECEIPTED = "receipted"
MOST_MATCHES = 5


def judge(facts: Facts) -> tuple[Check, ...]:
    """Every check, in the order of the tour."""
    return tuple(check(facts) for check in CHECKS)


def processes_are_separate(facts: Facts) -> Check:
    pids = [started.pid for started in facts.started]
    missing = sorted(facts.roles.keys() - {started.name for started in facts.started})
    wrong = [f"{name} was never started" for name in missing]
    wrong += [f"{name} has ended" for name in sorted(facts.roles.keys() - facts.alive - {facts.left[0], *missing})]
    if len(set(pids)) != len(pids):
        wrong.append("two processes have had one id")
    return compared("every node is a process of its own", wrong, f"{len(pids)} processes, {len(set(pids))} ids")


def files_are_private(facts: Facts) -> Check:
    wrong = [f"{name} has {file} open" for name, files in facts.foreign_files.items() for file in files]
    wrong += [f"{name} was not looked at" for name in sorted(facts.roles.keys() - facts.foreign_files.keys())]
    return compared("no node reads another's files", wrong, f"looked at what {len(facts.foreign_files)} processes had open")


def everyone_connected(facts: Facts) -> Check:
    states = {sight.node.name: sight.view.state if sight.view else "absent" for sight in facts.joined}
    wrong = [f"{name} is {states.get(name, 'absent')}" for name in facts.providers if states.get(name) != "connected"]
    return compared("every provider is connected", wrong, f"{len(states)} providers")


def everyone_timed(facts: Facts) -> Check:
    """A datagram is never early: an RTT below the two ways between the cities would mean that it did not travel."""
    wrong = []
    for name in facts.providers:
        for master in facts.masters:
            measured, least = facts.joined_rtt_us.get(name, {}).get(master, 0), facts.least_rtt_us[name][master]
            if measured < max(1, least):
                wrong.append(f"{name} to {master}: {measured} us, light takes {least} us")
    return compared("every master has timed every provider, and no RTT is shorter than the map", wrong, _rtt_table(facts))


def observed_addresses(facts: Facts) -> Check:
    """The prefix in the pool is the public one, which the relay put there; the provider binds in another."""
    found = {sight.node.name: sight.view.group_prefix if sight.view else "" for sight in facts.joined}
    wrong = [f"{name}: {found.get(name)} instead of {prefix}" for name, prefix in facts.prefixes.items() if found.get(name) != prefix]
    if len(set(found.values())) != len(found):
        wrong.append("two providers share a prefix")
    return compared("every provider is seen at its public address, in a prefix of its own", wrong, ", ".join(sorted(found.values())))


def forgery_refused(facts: Facts) -> Check:
    forgery, wrong = facts.forgery, []
    if forgery.code != "wrong_signer":
        wrong.append(f"the code is {forgery.code or 'none'}")
    before, after = forgery.before, forgery.after
    if before is None or after is None or (before.state, before.since, before.price) != (after.state, after.since, after.price):
        wrong.append(f"{forgery.victim} has changed in the pool")
    return compared("a forged announcement is refused", wrong, f"{forgery.code}; {forgery.victim} is in the pool as before")


def silence_expires(facts: Facts) -> Check:
    name, view = facts.silent
    wrong = [] if view is not None and view.state == "expired" else [f"{name} is {view.state if view else 'absent'}"]
    return compared("who falls silent expires", wrong, f"{name} is expired")


def matchmaking_offers_the_connected(facts: Facts) -> Check:
    """There are at most five places, and as many providers that are connected while one is silent."""
    silent = facts.providers[facts.silent[0]]
    wrong = [f"{facts.silent[0]} is offered"] if silent in facts.offered else []
    connected = set(facts.providers.values()) - {silent}
    if len(facts.offered) < min(len(connected), MOST_MATCHES) or not set(facts.offered) <= connected:
        wrong.append(f"{len(facts.offered)} of {len(connected)} connected providers are offered")
    return compared("matchmaking offers who is connected, and nobody else", wrong, f"{len(facts.offered)} candidates")


def goodbye_leaves(facts: Facts) -> Check:
    name, view = facts.left
    wrong = [] if view is not None and view.state == "left" else [f"{name} is {view.state if view else 'absent'}"]
    return compared("who says goodbye has left", wrong, f"{name} is left, which is not expired")


def poster_was_killed(facts: Facts) -> Check:
    kill, wrong = facts.kill, []
    if kill is None:
        return Check("the poster is killed before its transaction is mined", False, "no validator was caught with a waiting transaction")
    if kill.exit_code != -9:
        wrong.append(f"{kill.validator} ended with {kill.exit_code}, not by SIGKILL")
    if kill.mined_before:
        wrong.append(f"{kill.transaction} was mined already")
    if kill.new_pid == kill.pid:
        wrong.append("the restarted process has the old id")
    detail = f"{kill.validator}, process {kill.pid}, had sent {kill.transaction} for epoch {kill.epoch}; started again as {kill.new_pid}"
    return compared("the poster is killed before its transaction is mined", wrong, detail)


def posted_once(facts: Facts) -> Check:
    wrong = [] if facts.kill is not None else ["nobody was killed"]
    if facts.kill is not None and facts.kill.epoch not in [log.epoch for log in facts.posted]:
        wrong.append(f"epoch {facts.kill.epoch} was never posted")
    for log in facts.posted:
        times = sum(other.epoch == log.epoch for other in facts.posted)
        if times != 1:
            wrong.append(f"epoch {log.epoch} was posted {times} times")
        if 3 * log.signers.bit_count() < 2 * len(facts.listed_validators):
            wrong.append(f"epoch {log.epoch} has {log.signers.bit_count()} signers")
        if log.poster not in facts.listed_validators:
            wrong.append(f"epoch {log.epoch} was posted by {log.poster}")
    epoch = facts.kill.epoch if facts.kill else 0
    by = next((log.poster for log in facts.posted if log.epoch == epoch), "nobody")
    return compared("every epoch is posted exactly once", wrong, f"{len(facts.posted)} epochs; epoch {epoch} by {_name(facts, by)}")


def restarted_reports(facts: Facts) -> Check:
    name = "the restarted validator reports the epoch it was killed in"
    if facts.kill is None or facts.restarted is None:
        return Check(name, False, "no validator was restarted")
    log = next((log for log in facts.posted if log.epoch == facts.kill.epoch), None)
    epochs: list[dict[str, Any]] = facts.restarted.status.get("epochs", [])
    said = next((e for e in epochs if e.get("epoch") == facts.kill.epoch), {})
    if log is None:
        return Check(name, False, f"epoch {facts.kill.epoch} is not on chain")
    expected = {"root": to_hex(log.root), "tx": log.transaction, "postedBy": log.poster, "manifest": to_hex(log.manifest_digest)}
    wrong = [f"{key}: {said.get(key)} instead of {value}" for key, value in expected.items() if said.get(key) != value]
    return compared(name, wrong, f"{facts.restarted.name}: epoch {facts.kill.epoch} is {said.get('state')}, root {expected['root'][:18]}…")


def roots_became_active(facts: Facts) -> Check:
    """Money moves only with activation, which leaves a log; a root verifies from its time on, whoever activates it later."""
    wrong = [] if len(facts.activated) >= facts.needed_roots else [f"{len(facts.activated)} roots became active"]
    newest = next((log.root for log in reversed(facts.posted) if log.is_active(facts.second)), None)
    if newest != facts.active_root:
        wrong.append(f"activeRoot() is {to_hex(facts.active_root)}, not the newest root whose time has come")
    unknown = [to_hex(root) for root in facts.activated if root not in {log.root for log in facts.posted}]
    wrong += [f"{root} was never posted" for root in unknown]
    return compared(f"at least {facts.needed_roots} roots became active", wrong, f"{len(facts.activated)} of {len(facts.posted)} posted")


def states_make_the_roots(facts: Facts) -> Check:
    wrong = [] if facts.posted else ["nothing was posted"]
    for log in facts.posted:
        tree = facts.trees.get(log.epoch)
        if tree is None or (tree.root, tree.earned) != (log.root, log.total_earned):
            wrong.append(f"epoch {log.epoch}: {'no state is served' if tree is None else f'the state makes {to_hex(tree.root)}'}")
    return compared("the state files, read anew, make the roots on chain", wrong, f"{len(facts.posted)} roots")


def manifests_agree(facts: Facts) -> Check:
    wrong = []
    for log in facts.posted:
        for validator, said in facts.manifests.get(log.epoch, {}).items():
            if said != to_hex(log.manifest_digest):
                wrong.append(f"{validator} names {said or 'nothing'} for epoch {log.epoch}")
        unasked = set(facts.validators) - facts.manifests.get(log.epoch, {}).keys()
        wrong += [f"{validator} was not asked about epoch {log.epoch}" for validator in sorted(unasked)]
    return compared(
        "every validator names the manifests that are on chain", wrong, f"{len(facts.posted)} epochs, {len(facts.validators)} validators"
    )


def stores_agree(facts: Facts) -> Check:
    """A proof that the provider holds receipts of 2/3 of the stake for is in the manifest of its epoch: what was receipted counts."""
    wrong, proofs = [], 0
    for name, account in facts.providers.items():
        for epoch, digest in facts.proven.get(name, {}).items():
            if epoch in facts.evidence:
                proofs += 1
                if digest not in facts.evidence[epoch].get(account, frozenset()):
                    wrong.append(f"{name}, epoch {epoch}: {digest} is in no inventory")
        if not facts.proven.get(name, {}).keys() & facts.evidence.keys():
            wrong.append(f"{name} holds no receipted proof of a posted epoch")
    return compared("what providers hold receipts for is what the manifests hold", wrong, f"{proofs} proofs by digest")


def heartbeats_agree(facts: Facts) -> Check:
    """A provider counts a heartbeat once it was answered, the resolver before it answers; the provider was asked first."""
    wrong = []
    for name, account in facts.providers.items():
        own, pool = int(facts.status.get(name, {}).get("heartbeats", 0)), facts.pool.get(account)
        if not 0 < own <= (pool.heartbeats if pool else 0):
            wrong.append(f"{name} counts {own}, the resolver {pool.heartbeats if pool else 0}")
    return compared("providers and resolver have counted the same heartbeats", wrong, f"{len(facts.providers)} providers")


def leaves_verify(facts: Facts) -> Check:
    wrong = []
    for name, account in facts.providers.items():
        served = facts.leaves.get(name, {})
        paths = [leaf for leaf in served.values() if leaf is not None]
        wrong += [f"{validator} serves no leaf of {name}" for validator, leaf in served.items() if leaf is None]
        wrong += [f"{validator} was not asked about {name}" for validator in sorted(set(facts.validators) - served.keys())]
        if len(set(paths)) > 1:
            wrong.append(f"validators differ about {name}")
        for path in set(paths):
            leaf = Leaf(path.account, path.earned, path.spent, path.points, path.reputation)
            if path.account != account or path.root != facts.active_root or not verify(facts.active_root, leaf, path.path):
                wrong.append(f"a leaf of {name} does not lead to the active root")
    return compared("every validator serves the same leaves, and all lead to activeRoot()", wrong, to_hex(facts.active_root))


def everyone_paid(facts: Facts) -> Check:
    """Claims, the token's own transfers, `claimedOf` and the balances before and after say the same; nobody got more than was earned."""
    wrong = []
    for name, account in facts.providers.items():
        money, paid = facts.accounts[name], [payment for payment in facts.payments if payment.account == account]
        sums = {
            "claimed in logs": sum(payment.amount for payment in paid),
            "transferred": sum(payment.transferred for payment in paid),
            "claimedOf": money.claimed,
            "balance": money.balance_after - money.balance_before,
        }
        if len(set(sums.values())) != 1 or money.claimed <= 0:
            wrong.append(f"{name}: {', '.join(f'{key} {value}' for key, value in sums.items())}")
        earned = [leaf.earned for leaf in facts.leaves.get(name, {}).values() if leaf is not None]
        if not earned or money.claimed > min(earned):
            wrong.append(f"{name} was paid {money.claimed} of {min(earned, default=0)} earned")
    total = sum(money.claimed for money in facts.accounts.values())
    return compared("every provider was paid, and only what it earned", wrong, f"{total} wei in {len(facts.payments)} claims")


def reputation_is_on_chain(facts: Facts) -> Check:
    wrong = [
        f"{name}: {money.reputation} ppm of epoch {money.reputation_epoch}"
        for name, money in facts.accounts.items()
        if not (0 < money.reputation <= 1_000_000 and money.reputation_epoch > 0)
    ]
    shown = ", ".join(f"{name} {money.reputation / 10_000:.1f} %" for name, money in facts.accounts.items())
    return compared("every provider's reputation is readable on chain", wrong, shown)


CHECKS: tuple[Callable[[Facts], Check], ...] = (
    processes_are_separate,
    files_are_private,
    everyone_connected,
    everyone_timed,
    observed_addresses,
    forgery_refused,
    silence_expires,
    matchmaking_offers_the_connected,
    poster_was_killed,
    posted_once,
    restarted_reports,
    roots_became_active,
    states_make_the_roots,
    manifests_agree,
    stores_agree,
    heartbeats_agree,
    leaves_verify,
    everyone_paid,
    reputation_is_on_chain,
    goodbye_leaves,
)


def _rtt_table(facts: Facts) -> str:
    parts = [f"{name} {'/'.join(f'{us / 1000:.0f}' for us in rtt.values())} ms" for name, rtt in facts.joined_rtt_us.items()]
    return ", ".join(parts)


def _name(facts: Facts, account: str) -> str:
    return next((name for name, found in facts.validators.items() if found == account), account)
