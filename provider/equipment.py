"""What every duty of a provider works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from provider.heartbeat import Offering
from provider.peers import Roster
from provider.store import Store
from wire.node import Node


def ignore(_point: str) -> None:
    """The watcher that does not watch."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """local_host: the source address of datagrams. entropy: gives that many random bytes.

    reached: is told each point at which a kill must do no harm, once what belongs to it is on disk and before anyone is told of it:
    `started`, `announced`, `measured`, `connected`, `heartbeat`, `proof_stored`, `receipted`.
    """

    node: Node
    store: Store
    roster: Roster
    offering: Offering
    local_host: str
    entropy: Callable[[int], bytes]
    reached: Callable[[str], None] = ignore
