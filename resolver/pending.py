"""Requests that wait to be matched: the same one may be asked again until it expires, and is shown at most so many providers in all. Pure.

What a depositor can learn of the pool is bounded: `MOST_MATCHES` endpoints a request, `MOST_OF_ONE` different requests in a request's life,
so 30 endpoints a minute at the network's rules, however often it asks; more accounts need a deposit each, frozen for `exitDelay` once it
is to come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chain.rules import Rules
from chain.types import Address, Digest
from chain.view import Deposit
from wire.messages import SessionRequest
from wire.refusals import Refused

MOST_MATCHES = 5
MOST_OF_ONE = 6
MOST_WAITING = 10_000
MOST_ASKED = 60
"""How often one request is answered: a consumer that waits asks every other second."""


@dataclass(slots=True)
class Waiting:
    """One request. until: the UTC second from which on it is forgotten. asked: how often it was answered. shown: to whom its consumer was
    pointed."""

    consumer: Address
    until: int
    asked: int = 1
    shown: set[Address] = field(default_factory=set)


class PendingPool:
    """The requests of the last `request_life_s`, in memory: a resolver that restarts is asked again."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._waiting: dict[Digest, Waiting] = {}
        self._begun: dict[Address, list[float]] = {}

    def take(self, digest: Digest, request: SessionRequest, rules: Rules, now: float) -> Waiting:
        """The request's place, a new one if it has none. Raises `Refused` (`busy`) if its consumer asks too much, or the pool is full."""
        self.sweep(rules, now)
        known = self._waiting.get(digest)
        if known is not None:
            if known.asked >= MOST_ASKED:
                raise Refused("busy", "this request was answered as often as it may be", {"answers": str(known.asked)}, known.until)
            known.asked += 1
            return known
        begun = self._begun.get(request.consumer, [])
        if len(begun) >= MOST_OF_ONE:
            evidence = {"requests": str(len(begun)), "seconds": str(rules.request_life_s)}
            raise Refused(
                "busy", "this consumer has asked for as many sessions as it may", evidence, int(begun[0]) + rules.request_life_s + 1
            )
        if len(self._waiting) >= self._most:
            raise Refused("busy", "as many requests wait as there is room for", next_try=int(now) + 1)
        self._waiting[digest] = Waiting(request.consumer, min(request.expiry, int(now) + rules.request_life_s))
        self._begun[request.consumer] = [*begun, now]
        return self._waiting[digest]

    def sweep(self, rules: Rules, now: float) -> None:
        """Forgets requests that have expired, and when consumers asked before that counts no more."""
        if any(waiting.until <= now for waiting in self._waiting.values()):
            self._waiting = {digest: waiting for digest, waiting in self._waiting.items() if waiting.until > now}
        since = now - rules.request_life_s
        if any(times[0] <= since for times in self._begun.values()):
            kept = {consumer: [time for time in times if time > since] for consumer, times in self._begun.items()}
            self._begun = {consumer: times for consumer, times in kept.items() if times}

    def counts(self) -> dict[str, int]:
        """How many requests wait, and how many have been shown somebody."""
        matched = sum(bool(waiting.shown) for waiting in self._waiting.values())
        return {"waiting": len(self._waiting) - matched, "matched": matched}


def check_deposit(request: SessionRequest, deposits: Mapping[Address, Deposit]) -> None:
    """Raises `Refused` unless the consumer's deposit covers the length of the interval: `no_deposit` or `budget_not_covered`."""
    deposit = deposits.get(request.consumer, Deposit())
    if deposit.held == 0:
        raise Refused("no_deposit", "it is read at the newest final block", {"held": "0"})
    if deposit.exit_epoch is not None:
        raise Refused("no_deposit", "it is on its way out", {"exitEpoch": str(deposit.exit_epoch)})
    wanted = request.budget_to - request.budget_from
    if wanted > deposit.held:
        raise Refused("budget_not_covered", "", {"held": str(deposit.held), "wanted": str(wanted)})
