"""How many connections a relay holds, and for whom.

Of every kind there are so many in all, of one provider and of one neighbourhood (`wire.addresses.group_prefix`), and providers that are not
registered on chain get half of all at most: accounts and addresses cost nothing, a registration costs a bond.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar

from chain.types import Address

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Bounds:
    """of_both: of one provider for one neighbourhood."""

    in_all: int
    of_one: int
    of_prefix: int
    of_both: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a place is for. prefix: where the connection comes from. registered: whether the provider is on chain, when it was taken."""

    provider: Address
    prefix: str
    registered: bool


class Places:
    """Those of one kind."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._taken = self._unregistered = 0
        self._of_one: Counter[Address] = Counter()
        self._of_prefix: Counter[str] = Counter()
        self._of_both: Counter[tuple[Address, str]] = Counter()

    @property
    def taken(self) -> int:
        return self._taken

    def of(self, provider: Address) -> int:
        """How many one provider has."""
        return self._of_one[provider]

    def has_room(self, holder: Holder) -> bool:
        """Whether one is free for it; a look into a few dictionaries."""
        bounds = self._bounds
        return (
            self._taken < bounds.in_all
            and (holder.registered or 2 * self._unregistered < bounds.in_all)
            and self._of_one[holder.provider] < bounds.of_one
            and self._of_prefix[holder.prefix] < bounds.of_prefix
            and self._of_both[holder.provider, holder.prefix] < bounds.of_both
        )

    def take(self, holder: Holder) -> bool:
        """Takes one, if one is free for it."""
        if not self.has_room(holder):
            return False
        self._taken += 1
        self._unregistered += not holder.registered
        self._of_one[holder.provider] += 1
        self._of_prefix[holder.prefix] += 1
        self._of_both[holder.provider, holder.prefix] += 1
        return True

    def free(self, holder: Holder) -> None:
        """Gives back one taken."""
        self._taken -= 1
        self._unregistered -= not holder.registered
        less(self._of_one, holder.provider)
        less(self._of_prefix, holder.prefix)
        less(self._of_both, (holder.provider, holder.prefix))


def less(counter: Counter[K], key: K) -> None:
    """Counts one down, and forgets what is at none."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
