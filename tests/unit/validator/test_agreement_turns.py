"""Who proposes, posts and activates when: every decision of closing an epoch, from values alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.contracts import Candidate
from chain.epochs import Timing
from chain.typed import Signed
from chain.types import Address, Digest, Signature, Wei
from validator.agreement import (
    Situation,
    Stakes,
    choose_inventories,
    is_my_turn_to_activate,
    is_my_turn_to_post,
    is_my_turn_to_propose,
    is_quorum,
    open_epoch,
    proposer_of,
    stagger_s,
    turn_of,
    waits_for_inventories,
)
from wire.messages import Inventory

TIMING = Timing(genesis=1_000, epoch_length=400, intake=40, post_window=200, challenge=100, margin=60, round_length=40, slots_per_epoch=5)
NODES = tuple(Address(f"0x{n:040x}") for n in (9, 3, 7, 1))
STAKES: Stakes = {node: Wei(100) for node in NODES}
DIGEST = Digest(bytes([1]) * 32)
OPENS = TIMING.intake_end(1)


def situation(second: int = OPENS, me: Address = NODES[0], newest: Candidate | None = None, since: int | None = None) -> Situation:
    return Situation(TIMING, 1, second, me, STAKES, False, newest, since)


def candidate(round_: int = 0, epoch: int = 1) -> Candidate:
    return Candidate(epoch, round_, DIGEST)


def who_proposes(one: Situation) -> list[Address]:
    return [node for node in NODES if is_my_turn_to_propose(replace(one, me=node))]


def who_posts(one: Situation) -> list[Address]:
    return [node for node in NODES if is_my_turn_to_post(replace(one, me=node))]


@pytest.mark.parametrize(
    ("second", "epoch"),
    [(999, None), (1_399, None), (1_400, None), (1_439, None), (1_440, 1), (1_600, 1), (1_601, None), (1_839, None), (1_840, 2)],
)
def test_an_epoch_is_open_from_the_end_of_intake_to_the_end_of_the_window(second: int, epoch: int | None) -> None:
    assert open_epoch(TIMING, second) == epoch


@pytest.mark.parametrize(
    ("signers", "enough"),
    [(NODES[:2], False), (NODES[:3], True), ((NODES[0],) * 3, False), ((*NODES[:2], Address("0x" + "77" * 20)), False), ((), False)],
)
def test_two_thirds_of_the_stake(signers: tuple[Address, ...], enough: bool) -> None:
    assert is_quorum(signers, STAKES) is enough


def test_exactly_two_thirds_are_enough_and_no_stake_is_none() -> None:
    assert is_quorum([NODES[0]], {NODES[0]: Wei(2), NODES[1]: Wei(1)})
    assert not is_quorum([NODES[0]], {NODES[0]: Wei(199), NODES[1]: Wei(101)})
    assert not is_quorum([NODES[0]], {})


def test_each_round_has_one_proposer_and_it_is_the_one_of_the_contract() -> None:
    for round_ in range(4):
        assert who_proposes(situation(OPENS + 40 * round_)) == [proposer_of(1, round_, NODES)]


def test_nothing_is_proposed_before_after_or_once_it_is_posted() -> None:
    assert who_proposes(situation(OPENS - 1)) == []
    assert who_proposes(situation(TIMING.post_end(1) + 1)) == []
    assert who_proposes(replace(situation(), posted=True)) == []


def test_a_recorded_candidate_is_followed_only_by_one_of_a_later_round() -> None:
    assert who_proposes(situation(OPENS + 5, newest=candidate(0))) == []
    assert who_proposes(situation(OPENS + 45, newest=candidate(0))) == [proposer_of(1, 1, NODES)]
    assert who_proposes(situation(OPENS, newest=candidate(3, epoch=0))) == [proposer_of(1, 0, NODES)]


def test_a_candidate_that_can_be_posted_is_not_replaced_unless_the_contract_refused_it() -> None:
    later = situation(OPENS + 45, newest=candidate(0), since=OPENS + 39)
    assert who_proposes(later) == []
    assert who_proposes(replace(later, refused=True)) == [proposer_of(1, 1, NODES)]


def test_its_proposer_posts_at_once_and_the_others_in_turn() -> None:
    first = proposer_of(1, 0, NODES)
    start = NODES.index(first)
    order = NODES[start:] + NODES[:start]
    for passed in range(4):
        second = OPENS + 3 + passed * stagger_s(TIMING)
        assert set(who_posts(situation(second, newest=candidate(0), since=OPENS + 3))) == set(order[: passed + 1])


def test_the_open_rounds_proposer_comes_second_wherever_it_is_listed() -> None:
    first = proposer_of(1, 0, NODES)
    round_ = next(r for r in range(1, 4) if turn_of(proposer_of(1, r, NODES), first, NODES) > 1)
    since = OPENS + 40 * round_
    assert who_posts(situation(since, newest=candidate(0), since=since)) == [first]
    second = {first, NODES[(NODES.index(first) + 1) % 4], proposer_of(1, round_, NODES)}
    assert set(who_posts(situation(since + stagger_s(TIMING), newest=candidate(0), since=since))) == second


@pytest.mark.parametrize(
    "one",
    [
        situation(OPENS + 50, newest=candidate(0)),
        situation(OPENS + 50, since=OPENS),
        replace(situation(OPENS + 50, newest=candidate(0), since=OPENS), posted=True),
        replace(situation(OPENS + 50, newest=candidate(0), since=OPENS), refused=True),
        situation(OPENS + 50, newest=candidate(0, epoch=0), since=OPENS),
        situation(TIMING.post_end(1), newest=candidate(0), since=OPENS),
    ],
    ids=["no quorum", "no candidate", "posted", "refused", "of another epoch", "too late"],
)
def test_nobody_posts(one: Situation) -> None:
    assert who_posts(one) == []


def test_a_stranger_has_no_turn() -> None:
    stranger = Address("0x" + "77" * 20)
    one = replace(situation(OPENS + 50, newest=candidate(0), since=OPENS), me=stranger)
    assert not is_my_turn_to_post(one)
    assert not is_my_turn_to_propose(replace(one, newest=None, quorum_since=None))
    assert not is_my_turn_to_activate(TIMING, 0, 10**6, stranger, NODES[0], NODES)


def test_turns_follow_the_listing_from_the_first_on() -> None:
    assert [turn_of(node, NODES[2], NODES) for node in NODES] == [2, 3, 0, 1]
    for turn, node in enumerate(NODES[2:] + NODES[:2]):
        due = 5_000 + turn * stagger_s(TIMING)
        assert is_my_turn_to_activate(TIMING, 5_000, due, node, NODES[2], NODES)
        assert not is_my_turn_to_activate(TIMING, 5_000, due - 1, node, NODES[2], NODES)


def test_every_turn_comes_before_the_window_closes_at_the_networks_own_parameters() -> None:
    network = Timing(0, 86_400, 1_800, 21_600, 43_200, 3_600, 1_200, 144)
    assert 31 * stagger_s(network) < network.post_window - network.intake - 2 * network.round_length


def test_a_proposer_waits_a_quarter_of_its_round_for_the_last_inventories() -> None:
    sets = {1: STAKES}
    assert waits_for_inventories(situation(OPENS + 9), {1: NODES[:3]}, sets)
    assert not waits_for_inventories(situation(OPENS + 10), {1: NODES[:3]}, sets)
    assert not waits_for_inventories(situation(OPENS), {1: NODES}, sets)
    assert waits_for_inventories(situation(OPENS + 41), {1: NODES[:3]}, sets)


def inventory(node: Address) -> Signed[Inventory]:
    return Signed(Inventory(node, 1, 0, DIGEST), Signature(bytes(65)))


def test_inventories_are_chosen_by_stake_and_ascend() -> None:
    stranger = inventory(Address("0x" + "77" * 20))
    chosen = choose_inventories([stranger, *map(inventory, NODES)], STAKES)
    assert chosen is not None
    assert [one.message.validator for one in chosen] == sorted(NODES)
    assert choose_inventories([stranger, *map(inventory, NODES[:2])], STAKES) is None
