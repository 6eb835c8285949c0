"""Histories of agreement under everything that may go wrong at once, and that the simulation would notice if a rule were missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest

from chain.contracts import Candidate
from chain.epochs import Timing
from chain.types import Address
from tests.simulation import node as simulated
from tests.simulation.liars import LIARS, Omitter, Thinner, Waverer, Withholder
from tests.simulation.messages import Inventory, Offered
from tests.simulation.node import Basis, Node
from tests.simulation.world import WHOLE_ROUNDS, Broken, Setting, Trouble, World, drawn, one_liar
from validator import steps

FIRST = int(os.environ.get("SEED", "1"))
"""`make test` draws another one each time; `python -m tests.simulation SEED` plays one again."""
HISTORIES, AT_ONCE = 1_000, 50


@pytest.mark.parametrize("first", range(FIRST, FIRST + HISTORIES, AT_ONCE))
def test_every_property_holds_in_every_history(first: int) -> None:
    posted = sum(World(drawn(seed)).run().posted for seed in range(first, first + AT_ONCE))
    assert posted > AT_ONCE  # a history in which nothing happens shows nothing


def test_a_seed_is_a_history() -> None:
    for seed in range(FIRST, FIRST + 5):
        assert World(drawn(seed)).run() == World(drawn(seed)).run()


@pytest.mark.parametrize("kind", LIARS)
def test_one_liar_of_four_costs_rounds_and_no_epoch(kind: type[Node]) -> None:
    """But for an epoch all of whose rounds are drawn for it: one in 4 ** WHOLE_ROUNDS."""
    for seed in range(FIRST, FIRST + 5):
        world = World(one_liar(kind, seed))
        lost = world.run().lost
        assert [epoch for epoch in lost if len({*world.proposers(epoch)}) > 1] == []
    assert WHOLE_ROUNDS == 5


def forget(_: Timing, __: int, ___: int) -> bool:
    return True


def has_all(_: Node, __: Collection[Inventory]) -> bool:
    return True


def no_fault(_: Node, __: Offered, ___: Candidate, ____: Basis) -> str:
    return ""


def a_half(signers: Collection[Address], stakes: Any) -> bool:
    held: int = sum(stakes.get(account, 0) for account in set(signers))
    return 2 * held >= int(sum(stakes.values()))


def everything(kind: type[Node], seed: int) -> Setting:
    """Four validators, one such liar, and all that may go wrong."""
    return replace(drawn(seed), nodes=4, liars=(kind,))


def disks_lost(_: type[Node], seed: int) -> Setting:
    return Setting(seed, 7, 4, 5, Trouble(crash=0.02, disk=1.0), (), 2, changes=False)


def finality_broken(kind: type[Node], seed: int) -> Setting:
    trouble = Trouble(crash=0.015, disk=1.0, reorganisation=0.4)
    return Setting(seed, 7, 2, 3, trouble, (kind,) * 4, 1, changes=False, deep=True)


@pytest.mark.parametrize(
    ("what", "name", "instead", "setting", "liar", "says"),
    [
        (steps, "may_attest", forget, finality_broken, Waverer, "signed two statements"),
        (steps, "may_sign_inventory", forget, disks_lost, Node, "signed two inventories"),
        (Node, "_has_all", has_all, everything, Withholder, "has not every byte"),
        (Node, "_fault_of", no_fault, everything, Thinner, "less than two thirds"),
        (simulated, "is_quorum", a_half, everything, Omitter, "less than two thirds"),
        (Node, "_close_intake", Omitter._close_intake, everything, Omitter, "is not in the root"),
    ],
)
def test_without_one_rule_some_history_breaks_a_property(
    monkeypatch: pytest.MonkeyPatch,
    what: object,
    name: str,
    instead: Callable[..., object],
    setting: Callable[[type[Node], int], Setting],
    liar: type[Node],
    says: str,
) -> None:
    def play() -> None:
        for seed in range(1, 200):
            World(setting(liar, seed)).run()

    monkeypatch.setattr(what, name, instead)
    with pytest.raises(Broken, match=says):
        play()
