"""Every check of the settlement demo is true of a sound run, and untrue once the thing it is about is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chain.merkle import MerkleTree
from chain.messages import Leaf
from chain.types import Address, Digest
from devnet.processes import Started
from devnet.rawchain import Payment, PostedLog
from devnet.settlement import checks, money
from devnet.settlement.checks import judge
from devnet.settlement.facts import DEAD, MINT, Accounts, Facts, Refusals
from devnet.settlement.rawlogs import Mark, Records, Row
from devnet.settlement.report import report
from devnet.verdict import Check


def account(number: int) -> Address:
    return Address(f"0x{number:040x}")


V = tuple(account(n) for n in range(0x31, 0x35))
HONEST, TWICE, THIEF = V[1], V[0], V[2]
CONSUMER, PROVIDER, STRANGER, GUARDIAN = (account(n) for n in (0x41, 0x42, 0x43, 0x44))
REGISTRY, VAULT, SETTLEMENT, JUDGE = (account(n) for n in (0x51, 0x52, 0x53, 0x54))
WHO = Accounts(V, HONEST, TWICE, CONSUMER, PROVIDER, STRANGER, GUARDIAN, REGISTRY, VAULT, SETTLEMENT, JUDGE)
STAKE, DEPOSIT, SPENT, SUPPLY, FUNDED = 1000, 50, 4, 100_000, 50_000


def leaves(provider: int, consumer_spent: int, thief: int = 0) -> dict[Address, Leaf]:
    found = (
        Leaf(PROVIDER, provider, 0, 30, 400_000),
        Leaf(CONSUMER, 0, consumer_spent, 0, 0),
        Leaf(THIEF, thief, 0, 0, 0),
        Leaf(GUARDIAN, 0, 0, 0, 0),
    )
    return {leaf.account: leaf for leaf in found}


STATES = {1: leaves(20, 0), 2: leaves(24, SPENT), 3: leaves(0, SPENT, 24)}
ROOTS = {epoch: MerkleTree(tuple(found.values())).root for epoch, found in STATES.items()}


def posted(epoch: int, block: int, signers: int, *, cancelled: bool = False) -> PostedLog:
    earned = sum(leaf.earned for leaf in STATES[epoch].values())
    state = Digest(bytes([epoch]) * 32)
    active_at = 1000 + 100 * epoch
    return PostedLog(epoch, 0, ROOTS[epoch], epoch, earned, state, state, signers, active_at, block, f"0x{epoch}", V[2], 9, cancelled)


def row(block: int, *values: Any, transaction: str = "0xff", index: int = 0) -> Row:
    return Row(values, Mark(block, index), transaction)


def name(text: str) -> Digest:
    return Digest(text.encode().ljust(32, b"\0"))


def subject(who: Address) -> Digest:
    return Digest(bytes(12) + bytes.fromhex(who[2:]))


GUILTY = (TWICE, V[2], V[3])
SLASHES = {who: f"0x5{number}" for number, who in enumerate(GUILTY)}
TRANSFERS = (
    row(1, MINT, GUARDIAN, SUPPLY),
    row(2, GUARDIAN, VAULT, FUNDED),
    *(row(3, GUARDIAN, REGISTRY, STAKE) for _ in V),
    row(4, GUARDIAN, CONSUMER, DEPOSIT),
    row(10, CONSUMER, VAULT, DEPOSIT, transaction="0xd"),
    row(19, VAULT, SETTLEMENT, 20),
    row(20, SETTLEMENT, PROVIDER, 20, transaction="0xc1"),
    row(40, VAULT, SETTLEMENT, 4),
    row(41, SETTLEMENT, PROVIDER, 4, transaction="0xc2"),
    *(row(45, REGISTRY, DEAD, 900, transaction=transaction) for transaction in SLASHES.values()),
    row(46, REGISTRY, HONEST, 300, transaction="0x60"),
    row(50, VAULT, CONSUMER, DEPOSIT - SPENT, transaction="0xe"),
)
BALANCES = {
    **dict.fromkeys((*V, STRANGER), 0),
    GUARDIAN: SUPPLY - FUNDED - 4 * STAKE - DEPOSIT,
    REGISTRY: STAKE,
    VAULT: FUNDED + SPENT - 24,
    SETTLEMENT: 0,
    PROVIDER: 24,
    CONSUMER: DEPOSIT - SPENT,
    DEAD: 2700,
    HONEST: 300,
}


def sound() -> Facts:
    return Facts(
        accounts=WHO,
        epochs=(1, 2, 3),
        stake=STAKE,
        deposit=DEPOSIT,
        its_transactions=1,
        posted=(posted(1, 15, 0b1111), posted(2, 30, 0b1101), posted(3, 40, 0b1100, cancelled=True)),
        payments=(Payment(PROVIDER, PROVIDER, 20, "0xc1", 20), Payment(PROVIDER, PROVIDER, 4, "0xc2", 4)),
        records=Records(
            posted=tuple(row(block, epoch) for block, epoch in ((15, 1), (30, 2), (40, 3))),
            cancelled=(row(43, 3, ROOTS[3], JUDGE),),
            claimed=(row(20, PROVIDER, PROVIDER, 20, transaction="0xc1"), row(41, PROVIDER, PROVIDER, 4, transaction="0xc2")),
            proven=(row(33, name("equivocates"), subject(TWICE), HONEST), row(43, name("falls"), ROOTS[3], HONEST)),
            convicted=(row(33, TWICE, HONEST), row(43, V[2], HONEST), row(43, V[3], HONEST)),
            slashed=tuple(row(45, who, HONEST, STAKE, 100, transaction=transaction) for who, transaction in SLASHES.items()),
            collected=(row(46, HONEST, 300),),
            deposited=(row(10, CONSUMER, DEPOSIT, DEPOSIT, transaction="0xd"),),
            exited=(row(11, CONSUMER, 1, 1011),),
            withdrawn=(row(50, CONSUMER, DEPOSIT - SPENT, DEPOSIT - SPENT, transaction="0xe"),),
            transfers=TRANSFERS,
        ),
        leaves=STATES,
        roots=ROOTS,
        refusals=Refusals("IsPaused", "NotQuiet", "NotInTree", "NothingTriable"),
        pending=(ROOTS[3], ROOTS[2]),
        active=ROOTS[2],
        second=2000,
        last_posted=3,
        activated=(ROOTS[1], ROOTS[2]),
        stakes={who: STAKE if who == HONEST else 0 for who in V},
        barred=frozenset(GUILTY),
        shares=dict.fromkeys((*V, STRANGER), 0),
        balances=BALANCES,
        supply=SUPPLY,
        started=(Started("chain", "chain", 1), Started("validator-2", "validator", 2)),
        alive=frozenset({"chain", "validator-2"}),
    )


Change = Callable[[Facts], Facts]


def other(**changes: Any) -> Change:
    return lambda facts: replace(facts, **changes)


def logs(**changes: Callable[[tuple[Row, ...]], tuple[Row, ...]]) -> Change:
    """Other logs of some kinds, made of those there are."""

    def change(facts: Facts) -> Facts:
        found = {kind: made(getattr(facts.records, kind)) for kind, made in changes.items()}
        return replace(facts, records=replace(facts.records, **found))

    return change


def refused(**changes: str) -> Change:
    return lambda facts: replace(facts, refusals=replace(facts.refusals, **changes))


def log(epoch: int, **changes: Any) -> Change:
    return lambda facts: replace(facts, posted=tuple(replace(one, **changes) if one.epoch == epoch else one for one in facts.posted))


def state(epoch: int, who: Address, **changes: Any) -> Change:
    def change(facts: Facts) -> Facts:
        found = dict(facts.leaves[epoch])
        found[who] = replace(found[who], **changes)
        return replace(facts, leaves={**facts.leaves, epoch: found})

    return change


def values(number: int, *new: Any) -> Callable[[tuple[Row, ...]], tuple[Row, ...]]:
    """The rows with other values in one of them."""
    return lambda rows: tuple(replace(one, values=new) if index == number else one for index, one in enumerate(rows))


def moved(number: int) -> Callable[[tuple[Row, ...]], tuple[Row, ...]]:
    """The rows with one of them much later."""
    return lambda rows: tuple(replace(one, mark=Mark(99, 0)) if index == number else one for index, one in enumerate(rows))


def fewer(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return rows[:-1]


def none(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return ()


BREAKS: list[tuple[Callable[[Facts], Check], Change, str]] = [
    (checks.one_honest_process, other(started=(Started("chain", "chain", 1),)), "{'chain': 1}"),
    (checks.one_honest_process, other(started=(Started("chain", "chain", 1), Started("validator-2", "validator", 1))), "one id"),
    (checks.one_honest_process, other(alive=frozenset({"chain"})), "validator-2 has ended"),
    (money.deposited_by_permit, logs(deposited=none), "0 deposits"),
    (money.deposited_by_permit, logs(transfers=none), "0 wei went to the vault"),
    (money.deposited_by_permit, other(its_transactions=2), "2 transactions"),
    (checks.first_root_is_honest, other(posted=()), "never posted"),
    (checks.first_root_is_honest, log(1, signers=0b1101), "did not sign"),
    (checks.first_root_is_honest, log(1, signers=0b0010), "1 of 4 signed"),
    (checks.first_root_is_honest, other(roots={}), "makes another root"),
    (checks.first_root_is_honest, other(leaves={1: {PROVIDER: STATES[1][PROVIDER]}}), "the consumer has no leaf"),
    (checks.first_root_is_honest, state(1, PROVIDER, earned=0), "has earned nothing"),
    (checks.claim_pays, other(payments=()), "0 claims"),
    (checks.claim_pays, state(1, PROVIDER, earned=21), "21 earned"),
    (checks.pause_stops_claims, refused(while_paused=""), "it was not refused"),
    (checks.quorum_writes_amounts, log(2, cancelled=True), "cancelled"),
    (checks.quorum_writes_amounts, log(2, signers=0b1111), "them alone"),
    (checks.quorum_writes_amounts, state(2, CONSUMER, spent=0), "0 wei are charged"),
    (checks.quorum_writes_amounts, state(2, CONSUMER, spent=DEPOSIT + 1), "51 wei are charged"),
    (checks.quorum_writes_amounts, logs(proven=values(1, name("falls"), ROOTS[2], HONEST)), "it was proven"),
    (checks.contradiction_convicts, logs(proven=none), "0 proofs"),
    (checks.contradiction_convicts, logs(proven=values(0, name("equivocates"), subject(V[3]), HONEST)), "another one"),
    (
        checks.contradiction_convicts,
        logs(convicted=lambda rows: (*rows, row(34, V[3], HONEST))),
        "hostile validator 1, hostile validator 3",
    ),
    (checks.contradiction_convicts, other(activated=(ROOTS[1],)), "did not become active"),
    (checks.previous_root_stays, other(pending=(Digest(bytes(32)), ROOTS[2])), "another root was pending"),
    (checks.previous_root_stays, other(pending=(ROOTS[3], ROOTS[3])), "another root was pending"),
    (checks.previous_root_stays, logs(claimed=moved(1)), "0 claims were paid meanwhile"),
    (checks.previous_root_stays, state(2, PROVIDER, earned=20), "0 wei were due"),
    (checks.fall_cancels, state(3, PROVIDER, earned=24), "nothing has fallen"),
    (checks.fall_cancels, logs(proven=fewer), "0 proofs of a fall"),
    (checks.fall_cancels, logs(proven=values(1, name("falls"), ROOTS[2], HONEST)), "another root"),
    (checks.fall_cancels, logs(cancelled=values(0, 3, ROOTS[3], GUARDIAN)), "not the judge"),
    (checks.exactly_the_signers, log(3, signers=0b0100), "only 1 signed"),
    (checks.exactly_the_signers, logs(convicted=fewer), "convicted: hostile validator 1, hostile validator 2"),
    (checks.exactly_the_signers, logs(slashed=fewer), "slashed: hostile validator 1, hostile validator 2"),
    (checks.exactly_the_signers, other(barred=frozenset(V)), "barred: hostile validator 1, honest validator"),
    (checks.exactly_the_signers, other(stakes=dict.fromkeys(V, 0)), "the honest validator's stake"),
    (checks.exactly_the_signers, log(3, signers=0b1110), "without stake"),
    (money.reporter_is_paid, logs(slashed=values(0, TWICE, STRANGER, STAKE, 100)), "100 for stranger"),
    (money.reporter_is_paid, logs(slashed=values(0, TWICE, HONEST, STAKE, 101)), "101 for honest validator"),
    (money.reporter_is_paid, logs(slashed=none, collected=none, transfers=none), "nobody was slashed"),
    (money.reporter_is_paid, logs(collected=none), "collected in logs: 0 wei instead of 300"),
    (money.reporter_is_paid, logs(transfers=lambda rows: tuple(one for one in rows if one.values[1] != HONEST)), "paid: 0 wei instead"),
    (money.reporter_is_paid, logs(transfers=lambda rows: tuple(one for one in rows if one.values[1] != DEAD)), "dead: 0 wei instead"),
    (money.reporter_is_paid, other(shares={HONEST: 5}), "left to collect: 5"),
    (money.reporter_is_paid, logs(proven=values(0, name("equivocates"), subject(TWICE), STRANGER)), "stranger proved equivocates"),
    (checks.late_report_is_refused, refused(late=""), "it was not refused"),
    (checks.late_report_is_refused, other(shares={STRANGER: 1}), "the stranger has a share"),
    (checks.epoch_is_dead, log(3, cancelled=False), "it was not cancelled"),
    (checks.epoch_is_dead, other(second=1300), "its time had not come"),
    (checks.epoch_is_dead, other(active=ROOTS[3]), "activeRoot() is 0x"),
    (checks.epoch_is_dead, other(activated=tuple(ROOTS.values())), "it was activated"),
    (checks.epoch_is_dead, other(last_posted=4), "another epoch followed"),
    (checks.epoch_is_dead, other(posted=()), "never posted"),
    (checks.withdrawal_waits, refused(while_pending="RootTooOld"), "RootTooOld"),
    (checks.old_leaf_is_refused, refused(old_leaf=""), "it was not refused"),
    (money.withdrawal_pays_the_rest, state(2, CONSUMER, spent=0), "nothing was spent"),
    (money.withdrawal_pays_the_rest, state(2, CONSUMER, spent=5), "45 were due"),
    (money.withdrawal_pays_the_rest, logs(withdrawn=lambda rows: (*rows, *rows)), "46 were due"),
    (money.withdrawal_pays_the_rest, logs(exited=values(0, CONSUMER, 2, 1011)), "did not exit once"),
    (money.withdrawal_pays_the_rest, logs(transfers=fewer), "(46, 0)"),
    (money.everything_adds_up, logs(transfers=lambda rows: (*rows, row(60, VAULT, account(9), 1))), "nobody that is known"),
    (money.everything_adds_up, other(balances={**BALANCES, PROVIDER: 25}), "provider: 24 by the logs, 25 by balanceOf"),
    (money.everything_adds_up, other(balances={who: held for who, held in BALANCES.items() if who != DEAD}), "dead address was not asked"),
    (money.everything_adds_up, other(supply=SUPPLY + 1), "supply 100001"),
]


def test_a_sound_run_is_true() -> None:
    found = judge(sound())
    assert [(check.name, check.detail) for check in found if not check.passed] == []
    assert len({check.name for check in found}) == len(found) == len(checks.CHECKS)


@pytest.mark.parametrize(("check", "change", "says"), BREAKS, ids=[f"{check.__name__}-{says}" for check, _, says in BREAKS])
def test_each_check_can_fail_and_says_why(check: Callable[[Facts], Check], change: Change, says: str) -> None:
    found = check(change(sound()))
    assert not found.passed
    assert says in found.detail


def test_no_check_is_without_a_failure() -> None:
    assert {check for check, _, _ in BREAKS} == set(checks.CHECKS)


def test_the_report_names_everyone_and_holds_money_as_text() -> None:
    facts = sound()
    found = report(facts, judge(facts), 3.21, 45.67)
    assert (found["setup_s"], found["duration_s"]) == (3.2, 45.7)
    assert [one["signers"] for one in found["epochs"]][2] == ["hostile validator 2", "hostile validator 3"]
    assert found["proven"] == [
        {"proof": "equivocates", "reporter": "honest validator"},
        {"proof": "falls", "reporter": "honest validator"},
    ]
    assert {(one["amount"], one["share"]) for one in found["slashed"]} == {("1000", "100")}
    assert (found["claimed"], found["withdrawn"], found["burnt"], found["supply"]) == ("24", "46", "2700", "100000")
    assert all(check["passed"] for check in found["checks"])
