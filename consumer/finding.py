"""Finding whom to dial: how far the masters are, what may be reserved, the signed request, and the resolver's answer to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from chain.canonical import decode
from chain.errors import CodecError, Recoverable
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed, sign
from chain.view import Listing
from consumer.budgets import Room
from consumer.config import Wishes
from runtime.clock import Clock
from wire.answers import MasterRtt, Matches, MatchQuery
from wire.http import Client, PeerError, PeerMisbehaved, PeerRefused
from wire.messages import SessionRequest
from wire.sessions import is_region
from wire.timing import Unreachable, time_master

log = logging.getLogger(__name__)

ROUNDS = 3
LARGEST_RTT_US = 2**32 - 1


class NobodyAnswers(Recoverable):
    """No resolver listed on chain answers."""


async def measure_masters(
    masters: Sequence[Listing], local_host: str, clock: Clock, entropy: Callable[[int], bytes]
) -> tuple[MasterRtt, ...]:
    """The minimum round trip to each master that answers, in listing order."""

    async def measure(master: Listing) -> MasterRtt | None:
        try:
            rtt = await time_master(master.endpoint, ROUNDS, local_host, clock, entropy)
        except Unreachable as error:
            log.info("master %s is not reached: %s", master.account, error)
            return None
        return None if rtt is None else MasterRtt(master.account, min(rtt, LARGEST_RTT_US))

    found = await asyncio.gather(*(measure(master) for master in masters))
    return tuple(one for one in found if one is not None)


def make_request(
    wishes: Wishes, room: Room, wei: int, rules: Rules, key: NodeKey, domain: Domain, now: float, nonce: int
) -> Signed[SessionRequest]:
    """A signed request that reserves the first `wei` of the room."""
    request = SessionRequest(
        consumer=key.address,
        region=wishes.region,
        min_bandwidth=wishes.min_bandwidth,
        max_rtt_us=wishes.max_rtt_us,
        max_price=wishes.max_price,
        budget_from=room.begin,
        budget_to=room.begin + wei,
        nonce=nonce,
        expiry=int(now) + rules.request_life_s,
    )
    return sign(request, domain, key)


def drawn(resolvers: tuple[Listing, ...], nonce: int) -> tuple[Listing, ...]:
    """In listing order from a drawn one on, so that not all ask the first."""
    start = nonce % len(resolvers) if resolvers else 0
    return (*resolvers[start:], *resolvers[:start])


async def ask_resolvers(client: Client, resolvers: Sequence[Listing], query: MatchQuery) -> Matches:
    """What the first resolver that answers says, in the order given; one that has nobody is only believed if no other has somebody.

    Raises the first refusal (`PeerRefused`) if all refuse, `NobodyAnswers` if none answers.
    """
    refused: PeerRefused | None = None
    waiting: Matches | None = None
    for resolver in resolvers:
        try:
            found = await _ask(client, resolver, query)
        except PeerRefused as error:
            refused = refused or error
        except PeerError as error:
            log.info("resolver %s is of no use: %s", resolver.account, error)
        else:
            if found.matches:
                return found
            waiting = waiting or found
    if waiting is not None:
        return waiting
    if refused is not None:
        raise refused
    raise NobodyAnswers("no resolver that the chain lists answers: check the way to the internet")


async def _ask(client: Client, resolver: Listing, query: MatchQuery) -> Matches:
    try:
        found: Matches = decode(Matches, await client.post(resolver.endpoint, "/v1/matches", query))
    except CodecError as error:
        raise PeerMisbehaved(f"{resolver.endpoint} answers with something else than matches: {error}") from error
    if found.resolver != resolver.account:
        raise PeerMisbehaved(f"{resolver.endpoint} is {found.resolver[:42]}, the chain lists {resolver.account} there")
    if not all(one.region == "" or is_region(one.region) for one in found.matches):  # it is printed and logged
        raise PeerMisbehaved(f"{resolver.endpoint} names a region that is none")
    return found
