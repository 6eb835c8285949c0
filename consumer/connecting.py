"""From a list of candidates to a tunnel: all are dialled and asked at once, the best by what was measured and offered is accepted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from chain.epochs import Timing
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed
from chain.types import Address
from consumer.carrying import Tunnel
from consumer.store import Store
from consumer.tunnel import Door, ProviderFailed, dial
from runtime.clock import Clock
from wire.announcements import check_place
from wire.answers import Match
from wire.messages import Offer, SessionRequest
from wire.ranking import score
from wire.refusals import Refused

log = logging.getLogger(__name__)

MOST_KNOCKED = 5
KNOCK_S = 8.0
"""The longest that a candidate may take to be dialled, timed and asked."""
ASIDE_S, MOST_ASIDE_S = 30.0, 1_800.0
AT_ONCE_AGAIN = ("budget_spent", "session_closed", "done")
"""Ends of a session that say nothing against its provider, if it had come to its end: see `had_its_end`."""
NEARLY_SPENT_PERCENT = 75
"""Of a session's budget: from then on the next session is looked for."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who dials, and by what. local_host: the source address of connections (None: any)."""

    key: NodeKey
    domain: Domain
    rules: Rules
    clock: Clock
    store: Store
    local_host: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a candidate is no use at present. code: of `wire.refusals`, or `provider_failed`."""

    provider: Address
    code: str
    said: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Through a door. rtt_us: as measured over the connection."""

    tunnel: Tunnel
    match: Match
    rtt_us: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A candidate whose door is open, and its offer."""

    door: Door
    offer: Signed[Offer]
    match: Match


class Aside:
    """Providers left alone for a while, longer each time, until one works."""

    def __init__(self) -> None:
        self._until: dict[Address, float] = {}
        self._times: dict[Address, int] = {}

    def put(self, provider: Address, code: str, now: float) -> None:
        """For `ASIDE_S`, doubled each time, at most `MOST_ASIDE_S`; not for what says nothing against it."""
        if code in AT_ONCE_AGAIN:
            return
        times = self._times.get(provider, 0)
        self._times[provider] = times + 1
        self._until[provider] = now + min(MOST_ASIDE_S, ASIDE_S * 2**times)

    def ended(self, provider: Address, code: str, now: float, *, in_time: bool) -> None:
        """A session is over: if it had come to its end the provider begins anew; else it is left alone, whatever reason it names."""
        if in_time:
            self.forgive(provider)
        self.put(provider, code if in_time else "provider_failed", now)

    def forgive(self, provider: Address) -> None:
        """It works."""
        self._until.pop(provider, None)
        self._times.pop(provider, None)

    def at(self, now: float) -> tuple[Address, ...]:
        """Those left alone now, ascending."""
        return tuple(sorted(provider for provider, until in self._until.items() if until > now))


def had_its_end(receipted: int, affordable: int, opened: int, timing: Timing, now: float) -> bool:
    """Whether a session that is over was due to be over: most of what its budget affords is receipted (bytes), or the epoch that it was
    opened in has ended. opened, now: UTC seconds."""
    used = receipted > 0 and receipted >= affordable * NEARLY_SPENT_PERCENT // 100
    return used or timing.epoch_at(opened) < timing.epoch_at(now)


async def go_through_best(
    request: Signed[SessionRequest], candidates: Sequence[Match], caller: Caller
) -> tuple[Gone | None, tuple[Failure, ...]]:
    """A tunnel through the best of the candidates, or none; and which of them are no use, and why.

    One is accepted at most: what was accepted binds the interval, so after that has failed another request is needed.
    """
    async with contextlib.AsyncExitStack() as doors:
        knocked = await asyncio.gather(*(_knock(doors, request, match, caller) for match in candidates[:MOST_KNOCKED]))
        failures = [one for one in knocked if isinstance(one, Failure)]
        answers = [one for one in knocked if isinstance(one, Answer)]
        if not answers:
            return None, tuple(failures)
        message, rules = request.message, caller.rules
        best = max(answers, key=lambda one: _score(message, one, rules))
        caller.store.reserve(message.budget_to - message.budget_from, message.budget_from, message.budget_to)
        try:
            tunnel = await best.door.accept(request, best.offer, caller.store)
        except (ProviderFailed, Refused) as error:
            return None, (*failures, _failure(best.match.provider, error))
        return Gone(tunnel, best.match, best.door.rtt_us), tuple(failures)


async def _knock(doors: contextlib.AsyncExitStack, request: Signed[SessionRequest], match: Match, caller: Caller) -> Answer | Failure:
    try:
        check_place(match.host, match.port, caller.rules)  # a resolver that lies sends nobody into this machine's own network
        async with asyncio.timeout(KNOCK_S):
            dialling = dial(
                match.provider,
                match.host,
                match.port,
                caller.key,
                caller.domain,
                caller.rules,
                caller.clock,
                caller.local_host,
                relayed=match.relayed,
            )
            door = await doors.enter_async_context(dialling)
            if door.rtt_us > request.message.max_rtt_us:
                return Failure(match.provider, "rtt_too_high", f"the round trip takes {door.rtt_us / 1000:.1f} ms")
            return Answer(door, await door.ask(request), match)
    except TimeoutError:
        return Failure(match.provider, "provider_failed", "it does not answer in time")
    except (ProviderFailed, Refused) as error:
        return _failure(match.provider, error)


def _failure(provider: Address, error: ProviderFailed | Refused) -> Failure:
    code = error.code if isinstance(error, Refused) else "provider_failed"
    if code in AT_ONCE_AGAIN:  # no session has come to its end before it began
        code = "provider_failed"
    log.info("provider %s is no use: %s", provider, error)
    return Failure(provider, code, error.message if isinstance(error, Refused) else str(error))


def _score(request: SessionRequest, answer: Answer, rules: Rules) -> int:
    match = answer.match
    price = answer.offer.message.price
    return score(request, answer.door.rtt_us, match.reputation_ppm, match.bandwidth, price, rules, relayed=match.relayed).total
