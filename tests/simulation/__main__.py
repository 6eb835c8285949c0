"""Plays seeds, and stops at the first that breaks a property.

`python -m tests.simulation [FIRST [COUNT]]`    histories with everything that may go wrong
`python -m tests.simulation liars [COUNT]`      what one liar of four costs, kind by kind, when nothing else goes wrong
"""

from __future__ import annotations

import sys
import time

from tests.simulation.liars import LIARS
from tests.simulation.node import Node
from tests.simulation.world import WHOLE_ROUNDS, World, drawn, one_liar


def histories(first: int, count: int) -> None:
    began = time.monotonic()
    posted = lost = crashes = reorganisations = 0
    for seed in range(first, first + count):
        found = World(drawn(seed)).run()
        posted, lost = posted + found.posted, lost + len(found.lost)
        crashes, reorganisations = crashes + found.crashes, reorganisations + found.reorganisations
    took = time.monotonic() - began
    print(f"{count} histories from seed {first}: {posted} roots, {lost} epochs without one, {crashes} crashes, ", end="")
    print(f"{reorganisations} reorganisations; {1000 * took / count:.0f} ms each")


def liars(count: int) -> None:
    print(f"{'one of four is':<16}{'epochs':>8}{'lost':>6}{'rounds':>8}   of {WHOLE_ROUNDS} an epoch has")
    kinds: tuple[type[Node], ...] = (Node, *LIARS)
    for kind in kinds:
        epochs = lost = rounds = 0
        for seed in range(1, count + 1):
            world = World(one_liar(kind, seed))
            found = world.run()
            epochs, lost = epochs + found.posted + len(found.lost), lost + len(found.lost)
            rounds += sum(1 + root.statement.round for root in world.chain.blocks[-1].state.roots)
        name = "honest too" if kind is Node else kind.__name__
        print(f"{name:<16}{epochs:>8}{lost:>6}{rounds / max(1, epochs - lost):>8.2f}")


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["liars"]:
        liars(int(arguments[1]) if len(arguments) > 1 else 50)
    else:
        histories(int(arguments[0]) if arguments else 1, int(arguments[1]) if len(arguments) > 1 else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
