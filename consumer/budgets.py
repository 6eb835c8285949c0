"""Which interval of the deposit the next session may reserve: what validators say, and how a budget is split into sessions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chain.canonical import decode
from chain.errors import CodecError
from chain.types import Address
from chain.view import Listing
from wire.http import Client, PeerError
from wire.sessions import Budget, fee_of

log = logging.getLogger(__name__)

PARTS = 4
"""Sessions that a budget is split into, if each is then worth it."""
LEAST_BYTES = 256 << 20
"""What a session's budget buys at the highest price allowed, unless less is left: every session costs a handshake with all validators."""


@dataclass(frozen=True, slots=True)
class Room:
    """The interval [begin, end) of the lifetime authorised amount, wei, that validators with two thirds of the stake would cover now; empty
    if begin is end. leaving: whether as many say that the deposit is on its way out. held: wei, as the most generous of them sees it."""

    begin: int
    end: int
    leaving: bool
    held: int

    @property
    def wei(self) -> int:
        return self.end - self.begin


def room_in(budgets: Iterable[Budget], stakes: Mapping[Address, int], own_begin: int, wanted: int) -> Room:
    """What two thirds of the stake leave for an interval of `wanted` wei that begins at `own_begin` at the earliest.

    It begins where all answers let it begin, so that nobody has to refuse it; but one validator that names a number out of the world takes
    no room away: then it begins lower, where the others let it. Those that do not answer allow nothing.
    """
    answers = [budget for budget in budgets if budget.validator in stakes]
    total = sum(stakes.values())
    leaving = 3 * sum(stakes[one.validator] for one in answers if one.leaving) >= 2 * total > 0
    held = max((one.held for one in answers), default=0)
    best = Room(own_begin, own_begin, leaving, held)
    for begin in sorted({max(own_begin, one.next_from) for one in answers}, reverse=True):
        end = _limit([one for one in answers if one.next_from <= begin and not one.leaving], stakes, total)
        if end - begin > best.wei:
            best = Room(begin, end, leaving, held)
        if best.wei >= wanted:
            break
    return best


def session_budget(left: int, total: int, max_price: int, room: int) -> int:
    """How much one session reserves, wei: a quarter of the `total` budget, at least what `LEAST_BYTES` cost at `max_price`, at most what is
    `left` of it and what validators leave `room` for. So a provider that fails can lock no more than that until the session is settled."""
    return min(left, room, max(-(-total // PARTS), fee_of(max_price, LEAST_BYTES)))


async def ask_budgets(client: Client, validators: Sequence[Listing], consumer: Address) -> tuple[Budget, ...]:
    """What the validators say of the consumer's deposit; those that do not answer are left out."""
    found = await asyncio.gather(*(_ask(client, validator, consumer) for validator in validators))
    return tuple(budget for budget in found if budget is not None)


async def _ask(client: Client, validator: Listing, consumer: Address) -> Budget | None:
    try:
        budget: Budget = decode(Budget, await client.get(validator.endpoint, f"/v1/budgets/{consumer}"))
    except (PeerError, CodecError) as error:
        log.info("validator %s says nothing of the budget: %s", validator.account, error)
        return None
    return budget if (budget.validator, budget.consumer) == (validator.account, consumer) else None


def _limit(answers: Sequence[Budget], stakes: Mapping[Address, int], total: int) -> int:
    """The highest end that validators with two thirds of the stake allow; 0 if there is none."""
    stake = 0
    for one in sorted(answers, key=lambda one: one.limit, reverse=True):
        stake += stakes[one.validator]
        if 3 * stake >= 2 * total:
            return one.limit
    return 0
