"""What a validator does next: the parts of the decision that a network seldom meets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.contracts import Candidate
from chain.epochs import Timing
from chain.types import Address, Digest, Wei
from validator.agreement import proposer_of
from validator.steps import (
    Activate,
    Ask,
    Build,
    CloseIntake,
    Facts,
    Follow,
    Gather,
    Held,
    Judge,
    OnChain,
    Post,
    Record,
    Ripening,
    Sign,
    Step,
    Tell,
    ask_again_from,
    may_attest,
    may_sign_inventory,
    next_step,
)

TIMING = Timing(genesis=1_000, epoch_length=400, intake=40, post_window=200, challenge=100, margin=60, round_length=40, slots_per_epoch=5)
NODES = tuple(Address(f"0x{n:040x}") for n in (1, 3, 7, 9))
STAKES = {node: Wei(100) for node in NODES}
DIGEST = Digest(bytes([1]) * 32)
OPENS = TIMING.intake_end(1)
FIRST = proposer_of(1, 0, NODES)
OTHER = next(node for node in NODES if node != FIRST)
RECORDED = Candidate(1, 0, DIGEST)

CHAIN = OnChain(OPENS, None, 0, 0, None, None, NODES, convicted=False)
HELD = Held(1_000, {1}, 0, True, {1: NODES}, False, None, False, None, (), OPENS, (), ())


def facts(me: Address = FIRST, chain: OnChain = CHAIN, held: Held = HELD) -> Facts:
    return Facts(TIMING, me, float(chain.second), chain, {1: STAKES}, STAKES, held)


def every_step(one: Facts) -> list[Step]:
    found: list[Step] = []
    while (step := next_step(one, found)) is not None:
        found.append(step)
    return found


def test_the_round_s_proposer_builds_once_and_records_what_is_stored() -> None:
    assert every_step(facts()) == [Build(1, 0)]
    assert every_step(facts(held=replace(HELD, candidate=True))) == [Record(1, 0)]
    assert every_step(facts(OTHER)) == []


def test_a_recorded_candidate_is_judged_then_signed_then_told_to_whoever_lacks_it() -> None:
    chain = replace(CHAIN, newest=RECORDED, recorded=RECORDED)
    assert every_step(facts(OTHER, chain)) == [Judge(RECORDED), Ask(RECORDED)]
    bound = replace(HELD, bound=DIGEST)
    assert every_step(facts(OTHER, chain, bound)) == [Sign(RECORDED), Ask(RECORDED)]
    signed = replace(bound, signed=True)
    assert every_step(facts(OTHER, chain, signed)) == [Tell(RECORDED), Ask(RECORDED)]
    told = replace(signed, told=[node for node in NODES if node != OTHER])
    assert every_step(facts(OTHER, chain, told)) == [Ask(RECORDED)]


def test_what_is_recorded_and_not_final_yet_is_not_judged() -> None:
    assert every_step(facts(OTHER, replace(CHAIN, newest=RECORDED))) == []


def test_a_round_has_one_signature_whatever_is_recorded_later() -> None:
    chain = replace(CHAIN, newest=RECORDED, recorded=RECORDED)
    held = replace(HELD, bound=Digest(bytes([2]) * 32), signed=False)
    assert every_step(facts(OTHER, chain, held)) == [Ask(RECORDED)]


def test_who_has_the_quorum_posts_in_turn() -> None:
    chain = replace(CHAIN, second=OPENS + 1, newest=RECORDED, recorded=RECORDED)
    held = replace(HELD, bound=DIGEST, signed=True, told=NODES, quorum_since=OPENS + 1)
    assert every_step(facts(FIRST, chain, held)) == [Post(RECORDED)]
    assert every_step(facts(OTHER, chain, held)) == []
    assert Post(RECORDED) in every_step(facts(OTHER, replace(chain, second=OPENS + 20), held))


def test_the_files_of_a_posted_root_are_fetched_by_whoever_lacks_them_also_by_one_without_stake() -> None:
    posted, lacking = replace(CHAIN, posted=Ripening(1, 0, OPENS + 100), last_posted=1), replace(HELD, followed=False)
    assert every_step(facts(OTHER, posted, lacking)) == [Follow(1)]
    assert every_step(replace(facts(OTHER, posted, lacking), stakes={})) == [Follow(1)]
    assert every_step(facts(OTHER, posted)) == []


def test_an_epoch_that_is_posted_or_not_read_yet_and_a_convict_s_own_are_left_alone() -> None:
    for one in (
        facts(chain=replace(CHAIN, last_posted=1)),
        replace(facts(), sets=None),
        replace(facts(), stakes={}),
        facts(chain=replace(CHAIN, convicted=True)),
    ):
        assert every_step(one) == []


def test_a_ripe_root_is_activated_in_turn_and_an_intake_is_closed_whoever_else_does_what() -> None:
    ripe = replace(CHAIN, posted=Ripening(1, 0, OPENS - 10), last_posted=1)
    assert every_step(facts(FIRST, ripe)) == [Activate(1, 0)]
    assert every_step(facts(FIRST, ripe, replace(HELD, activated=1))) == []
    assert every_step(facts(FIRST, CHAIN, replace(HELD, inventories=()))) == [CloseIntake(1), Build(1, 0)]


@pytest.mark.parametrize(
    ("born", "epoch", "inventory", "attest"),
    [
        (900, 1, True, True),
        (TIMING.end_of(1) - 1, 1, True, True),
        (TIMING.end_of(1), 1, False, True),
        (TIMING.intake_end(1), 1, False, False),
        (TIMING.start_of(2), 2, False, True),
        (TIMING.end_of(1) - 1, 2, True, True),
        (TIMING.intake_end(2), 2, False, False),
        (TIMING.intake_end(2), 4, True, True),
    ],
)
def test_a_database_speaks_for_what_came_after_it(born: int, epoch: int, inventory: bool, attest: bool) -> None:
    assert may_sign_inventory(TIMING, born, epoch) is inventory
    assert may_attest(TIMING, born, epoch) is attest


def test_inventories_are_asked_for_as_long_as_one_lacks_and_anew_if_other_epochs_turn_out_to_be_covered() -> None:
    lacking = facts(held=replace(HELD, complete={1: NODES[:3]}))
    assert next_step(lacking, ()) == Gather((1,))
    assert next_step(facts(), ()) == Build(1, 0)
    more = replace(facts(), sets={0: STAKES, 1: STAKES})
    assert next_step(more, [Gather((1,))]) == Gather((0, 1))


def test_signatures_are_asked_for_from_a_block_after_the_record_on_ever_more_seldom_and_at_last_once_a_turn() -> None:
    chain = replace(CHAIN, newest=RECORDED, recorded=RECORDED)
    signed = replace(HELD, bound=DIGEST, signed=True, told=NODES)
    for ask_from, asks in ((None, []), (OPENS + 1, []), (OPENS, [Ask(RECORDED)])):
        assert every_step(facts(OTHER, chain, replace(signed, ask_from=ask_from))) == asks
    assert every_step(facts(OTHER, chain, replace(signed, quorum_since=OPENS))) == []
    seconds = [OPENS]
    while len(seconds) < 7:
        seconds.append(ask_again_from(TIMING, OPENS, seconds[-1]))
    assert [second - OPENS for second in seconds] == [0, 1, 2, 4, 8, 13, 18]  # a turn is 5 s


def test_what_was_lost_is_not_signed_anew() -> None:
    chain = replace(CHAIN, newest=RECORDED, recorded=RECORDED)
    held = replace(HELD, born=OPENS, inventories=())
    assert every_step(facts(OTHER, chain, held)) == [Ask(RECORDED)]
