"""From candidates to a tunnel: all are dialled and asked at once; the best by what was measured, offered and verified is taken."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.epochs import Timing
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed
from chain.types import Address
from consumer.carrying import Tunnel
from consumer.reputations import Reputations
from consumer.store import Store
from consumer.tunnel import Door, ProviderFailed, dial
from runtime.clock import Clock
from wire.announcements import check_place
from wire.answers import Match
from wire.messages import Offer, SessionRequest
from wire.ranking import Reputation, Score, score
from wire.refusals import Refused

log = logging.getLogger(__name__)

MOST_KNOCKED = 5
VERIFY_S = 0.5
"""The longest that is waited, once all doors are tried, for the proofs of the candidates' reputations."""
KNOCK_S = 8.0
"""The longest that a candidate may take to be dialled, timed and asked."""
ASIDE_S, MOST_ASIDE_S = 30.0, 1_800.0
AT_ONCE_AGAIN = ("budget_spent", "session_closed", "done")
"""Ends of a session that say nothing against its provider, if it had come to its end: see `had_its_end`."""
NEARLY_SPENT_PERCENT = 75
"""Of a session's budget: from then on the next session is looked for."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who dials, and by what. local_host: the source address of connections (None: any). reputations: what verifies them (None: nothing,
    the resolver's are taken)."""

    key: NodeKey
    domain: Domain
    rules: Rules
    clock: Clock
    store: Store
    local_host: str | None
    reputations: Reputations | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a candidate is no use at present. code: of `wire.refusals`, or `provider_failed`."""

    provider: Address
    code: str
    said: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a candidate is ranked. verified: whether its reputation was proven to this consumer, or is the resolver's word."""

    score: Score
    reputation: Reputation
    verified: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """Through a door. rtt_us: as measured over the connection. standing: why it was the best."""

    tunnel: Tunnel
    match: Match
    rtt_us: int
    standing: Standing


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
        knocked, verified = await _knock_and_verify(doors, request, candidates[:MOST_KNOCKED], caller)
        failures = [one for one in knocked if isinstance(one, Failure)]
        answers = [one for one in knocked if isinstance(one, Answer)]
        if not answers:
            return None, tuple(failures)
        message = request.message
        ranked = [(stand(message, one, verified, caller.rules), one) for one in answers]
        for standing, one in ranked:
            log.info("candidate %s: %s", one.match.provider, explained(standing, one.door.rtt_us))
        standing, best = max(ranked, key=lambda pair: pair[0].score.total)
        caller.store.reserve(message.budget_to - message.budget_from, message.budget_from, message.budget_to)
        try:
            tunnel = await best.door.accept(request, best.offer, caller.store)
        except (ProviderFailed, Refused) as error:
            return None, (*failures, _failure(best.match.provider, error))
        return Gone(tunnel, best.match, best.door.rtt_us, standing), tuple(failures)


def stand(request: SessionRequest, answer: Answer, verified: Mapping[Address, Reputation], rules: Rules) -> Standing:
    """By the round trip that was measured, the price that is asked and the reputation that is verified, if it is."""
    match = answer.match
    proven = verified.get(match.provider)
    reputation = proven or Reputation(match.reputation_ppm, match.reputation_epoch)
    price, rtt_us = answer.offer.message.price, answer.door.rtt_us
    parts = score(request, rtt_us, reputation.ppm, match.bandwidth, price, rules, relayed=match.relayed)
    return Standing(parts, reputation, proven is not None)


def explained(standing: Standing, rtt_us: int) -> str:
    """The parts of a score, for people."""
    parts, reputation = standing.score, standing.reputation
    source = f"epoch {reputation.epoch}" if reputation.epoch else "the prior"
    by = "verified" if standing.verified else "by the resolver's word"
    return (
        f"score {parts.total} ppm: latency {parts.latency} ({rtt_us / 1000:.1f} ms), reputation {parts.reputation} ({source}, {by}), "
        f"bandwidth {parts.bandwidth}, price {parts.price}{', through a relay' if parts.relayed else ''}"
    )


async def _knock_and_verify(
    doors: contextlib.AsyncExitStack, request: Signed[SessionRequest], candidates: Sequence[Match], caller: Caller
) -> tuple[list[Answer | Failure], Mapping[Address, Reputation]]:
    """All doors at once, and meanwhile the reputations, which are waited for no longer than `VERIFY_S` after the doors."""
    reputations = caller.reputations
    if reputations is None:
        return await asyncio.gather(*(_knock(doors, request, match, caller) for match in candidates)), {}
    verifying = asyncio.create_task(reputations.verify([match.provider for match in candidates]))
    try:
        knocked = await asyncio.gather(*(_knock(doors, request, match, caller) for match in candidates))
        if any(isinstance(one, Answer) for one in knocked):
            await asyncio.wait({verifying}, timeout=VERIFY_S)
    finally:
        verifying.cancel()
        await asyncio.gather(verifying, return_exceptions=True)
    if not verifying.cancelled():
        verifying.result()
    return knocked, dict(reputations.verified)


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
