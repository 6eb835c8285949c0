"""The settlement demo's checks of money: every amount by the token's own Transfer logs, beside what the contracts say. Pure."""

from __future__ import annotations

from collections import Counter

from chain.types import Address
from devnet.settlement.facts import DEAD, MINT, Facts
from devnet.settlement.rawlogs import proof_name
from devnet.table import tokens
from devnet.verdict import Check, compared

SHARE_PERCENT = 10


def deposited_by_permit(facts: Facts) -> Check:
    """One transaction, so no approval came before it."""
    logs = facts.of("deposited", facts.accounts.consumer)
    wrong = [] if [log.values[1] for log in logs] == [facts.deposit] else [f"{len(logs)} deposits"]
    moved = sum(facts.moved(facts.accounts.consumer, facts.accounts.vault, log.transaction) for log in logs)
    if moved != facts.deposit:
        wrong.append(f"{moved} wei went to the vault")
    if facts.its_transactions != 1:
        wrong.append(f"it took {facts.its_transactions} transactions")
    return compared("the consumer's deposit takes one transaction, with a permit", wrong, f"{tokens(facts.deposit)} DPN")


def reporter_is_paid(facts: Facts) -> Check:
    """Of each stake a tenth to the validator that reported, by its own collecting; the rest to the dead address. By the token's own log."""
    accounts, share = facts.accounts, facts.stake * SHARE_PERCENT // 100
    wrong = []
    for row in facts.records.slashed:
        if row.values[1:] != (accounts.honest, facts.stake, share):
            wrong.append(f"{facts.named(row.values[0])}: {row.values[2]} wei, of which {row.values[3]} for {facts.named(row.values[1])}")
        if (burnt := facts.moved(accounts.registry, DEAD, row.transaction)) != facts.stake - share:
            wrong.append(f"{facts.named(row.values[0])}: {burnt} wei went to the dead address in that transaction")
    wrong += [f"{facts.named(row.values[2])} proved {proof_name(row)}" for row in facts.records.proven if row.values[2] != accounts.honest]
    count = len(facts.records.slashed)
    sums = {
        "dead": (facts.moved(accounts.registry, DEAD), count * (facts.stake - share)),
        "collected in logs": (sum(row.values[1] for row in facts.of("collected", accounts.honest)), count * share),
        "paid": (facts.moved(accounts.registry, accounts.honest), count * share),
        "left to collect": (sum(facts.shares.values()), 0),
    }
    wrong += [f"{name}: {found} wei instead of {expected}" for name, (found, expected) in sums.items() if found != expected]
    wrong += ["nobody was slashed"] if not count else []
    return compared("the reporter collects 10 % of each stake, and nobody has the rest", wrong, f"{tokens(count * share)} DPN collected")


def withdrawal_pays_the_rest(facts: Facts) -> Check:
    """By a root that covers more than the epoch of the exit; once."""
    accounts, epoch = facts.accounts, facts.epochs[1]
    leaf, log = facts.leaves.get(epoch, {}).get(accounts.consumer), facts.posting(epoch)
    spent = leaf.spent if leaf else 0
    wrong = [] if spent > 0 else ["its leaf says that nothing was spent"]
    exits, paid = facts.of("exited", accounts.consumer), facts.of("withdrawn", accounts.consumer)
    if len(exits) != 1 or log is None or log.through <= exits[0].values[1]:
        wrong.append("it did not exit once, before an epoch that the root covers")
    amounts = [(row.values[1], facts.moved(accounts.vault, accounts.consumer, row.transaction)) for row in paid]
    if amounts != [(facts.deposit - spent, facts.deposit - spent)]:
        wrong.append(f"paid were {amounts}, {facts.deposit - spent} were due")
    return compared("the withdrawal pays what was deposited less what was spent", wrong, f"{tokens(facts.deposit)} - {tokens(spent)} DPN")


def everything_adds_up(facts: Facts) -> Check:
    """The token's Transfer logs, summed up by account, are what `balanceOf` says, and all of them together the supply."""
    sums: Counter[Address] = Counter()
    for row in facts.records.transfers:
        source, target, amount = row.values
        sums[source] -= amount
        sums[target] += amount
    minted = -sums.pop(MINT, 0)
    known = facts.accounts.names()
    wrong = [f"{account} holds {amount} wei and is nobody that is known" for account, amount in sums.items() if account not in known]
    wrong += [
        f"{known[account]}: {sums[account]} by the logs, {balance} by balanceOf"
        for account, balance in facts.balances.items()
        if sums[account] != balance and account != MINT
    ]
    wrong += [f"{known[account]} was not asked for its balance" for account in known.keys() - facts.balances.keys() - {MINT}]
    if not minted == facts.supply == sum(sums.values()):
        wrong.append(f"minted {minted}, supply {facts.supply}, held {sum(sums.values())}")
    held = sum(1 for amount in sums.values() if amount)
    return compared(
        "every token is accounted for", wrong, f"{tokens(facts.supply)} DPN at {held} accounts, {len(facts.records.transfers)} transfers"
    )
