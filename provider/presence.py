"""A provider's place in a resolver's pool: announced, kept alive, explained, and given up with a goodbye.

One lock orders everything said to the resolver, since it takes sequences only as they rise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chain.typed import Signed, sign
from chain.types import Address, Digest
from chain.view import Listing
from provider.equipment import Equipment
from provider.errors import UnusableStatement
from provider.evidence import check_ticket
from provider.heartbeat import Offering, announcement, final_second, heartbeat, leaving, next_heartbeat
from provider.peers import ask_pool
from wire.answers import PoolAnswer, ReportBatch
from wire.http import PeerError, PeerRefused
from wire.messages import Announcement, LatencyReport, UptimeTicket

log = logging.getLogger(__name__)

CONNECTED = "connected"
GONE_STATES = ("expired", "left")
GONE_CODES = ("unknown_presence", "presence_expired")
GOODBYE_S = 3.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the provider stands, why, as seen by whom (itself where nobody answers) and when, and the next try (0: none is due)."""

    state: str
    code: str
    observer: Address
    time: int
    next_try: int


class Presence:
    """Announces, beats, hands reports over and leaves. `woken` are called after each answer: there may be news for other duties."""

    def __init__(self, equipment: Equipment) -> None:
        self._eq = equipment
        self.woken: tuple[Callable[[], None], ...] = ()
        self.offering = equipment.offering
        """What is announced; see `move`."""
        self.waits_for_a_place = False
        """Whether nothing is announced before `move`."""
        self._node, self._store = equipment.node, equipment.store
        self._lock = asyncio.Lock()
        self._id: Digest | None = None
        self._resolver: Listing | None = None
        self._attempt = 0
        self._due = 0.0
        self._answered = 0.0
        self._announced = 0.0
        self._handed: set[tuple[Address, int, int]] = set()
        self.standing = Standing("starting", "no_answer", self._node.address, int(self._node.clock.now()), 0)

    @property
    def id(self) -> Digest | None:
        """The presence that was announced or is about to be; None before the first attempt."""
        return self._id

    def begin(self) -> None:
        """Notes the start in the log."""
        kind = "resumed" if self._store.entries(1) else "started"
        self._store.append(self._node.clock.now(), kind, "the process has started")
        self._eq.reached("started")

    async def step(self) -> float:
        """What is due now: an announcement or a heartbeat; when the next one is."""
        async with self._lock:
            now, turn = self._node.clock.now(), self._due
            if self.waits_for_a_place:
                return now + self._pause
            if now >= turn:
                self._due = now + self._pause  # unless this attempt succeeds
                if self._resolver is None:
                    await self._announce(turn)
                else:
                    await self._beat(self._resolver, turn)
                await self._hand_over()
        return self._due

    async def hand_over(self) -> None:
        """Hands the resolver the reports of this slot and the last that it has not been given in this presence."""
        async with self._lock:
            await self._hand_over()

    async def move(self, offering: Offering) -> None:
        """From the next `step` on, which is due at once, this is announced, under a new presence."""
        async with self._lock:
            if self.standing.state == CONNECTED:
                self._store.append(self._node.clock.now(), "lost", "address_changed")
            self.offering, self.waits_for_a_place = offering, False
            self._resolver, self._id, self._due = None, None, 0.0
            self.standing = replace(self.standing, state="starting")

    async def leave(self, reason: str, next_try: int = 0) -> None:
        """Says goodbye and waits a moment for the answer; a resolver that is silent will see the presence expire. The next `step` announces
        a new presence. next_try: the UTC second of that step, 0 if none is planned."""
        if self._resolver is None or self._id is None:
            return
        async with self._lock:
            now = self._node.clock.now()
            self._store.append(now, "left", reason)
            message = leaving(self._node.address, self._id, self._store.next_sequence(now), now, reason)
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await ask_pool(self._node.client, self._resolver, "/v1/leaving", self._signed(message))
            except (PeerError, TimeoutError) as error:
                log.warning("the resolver did not take the goodbye and will see this presence expire: %s", error)
            self._resolver, self._id, self._due = None, None, 0.0
            self._stand("left", reason, self._node.address, int(now), next_try)

    def announcement(self) -> Signed[Announcement] | None:
        """A fresh announcement of this presence, as masters are shown before they dial back; None before the first attempt."""
        if self._id is None:
            return None
        now = self._node.clock.now()
        return sign(
            announcement(self._node.address, self._id, self._store.next_sequence(now), now, self.offering),
            self._node.domain,
            self._node.key,
        )

    async def _announce(self, turn: float) -> None:
        resolver = await self._eq.roster.resolver(self._attempt)
        now = self._node.clock.now()
        if self._id is None:
            self._id = Digest(self._eq.entropy(32))
            self._store.begin_presence(self._id, self.offering.host, self.offering.port, now)
            self._eq.reached("announced")
        signed = self.announcement()
        answer = await self._ask(resolver, "/v1/announcements", signed)
        if answer is None:
            self._attempt += 1
            return
        self._resolver, self._handed, self._announced = resolver, set(), now
        self._due = self._next_turn(turn)
        await self._compare_masters(answer)
        await self._take(answer)

    async def _beat(self, resolver: Listing, turn: float) -> None:
        if self._id is None:
            return
        now = self._node.clock.now()
        message = heartbeat(self._node.address, self._id, self._store.next_sequence(now), now, self.offering)
        answer = await self._ask(resolver, "/v1/heartbeats", self._signed(message))
        if answer is None:
            if now - self._answered >= self._node.network.rules.presence_ttl_s:
                self._give_up()
            return
        self._due = self._next_turn(turn)
        await self._take(answer, self._node.network.timing.epoch_at(message.time))

    async def _hand_over(self) -> None:
        if self._resolver is None:
            return
        fresh = [signed for signed in await self._current_reports() if _identity(signed) not in self._handed]
        if not fresh:
            return
        answer = await self._ask(self._resolver, "/v1/reports", ReportBatch(tuple(fresh)))
        if answer is not None:
            self._handed |= {_identity(signed) for signed in fresh}
            await self._take(answer)

    async def _current_reports(self) -> Sequence[Signed[LatencyReport]]:
        """The newest held of each listed master, of this epoch, and of the last one during this one's first slot."""
        now, timing = self._node.clock.now(), self._node.network.timing
        epoch = timing.epoch_at(now)
        listed = {master.account for master in (await self._eq.roster.view()).masters()}
        found: dict[tuple[Address, int], Signed[LatencyReport]] = {}
        for candidate in (epoch, epoch - 1) if epoch and timing.slot_at(now) == 0 else (epoch,):
            for signed in self._store.held(candidate).reports:
                if signed.message.master in listed:
                    found.setdefault((signed.message.master, candidate), signed)
        return list(found.values())

    async def _ask(self, resolver: Listing, path: str, value: Any) -> PoolAnswer | None:
        """The answer; None if there is none that helps, with the reason in `standing`."""
        try:
            answer = await ask_pool(self._node.client, resolver, path, value)
        except PeerRefused as refused:
            log.warning("%s", refused)
            now = self._node.clock.now()
            self._stand(self.standing.state, refused.code, resolver.account, refused.time or int(now), refused.next_try)
            if refused.code in GONE_CODES:
                self._give_up()
            elif refused.next_try > self._due:
                self._due = min(float(refused.next_try), now + self._node.network.rules.presence_ttl_s)
            return None
        except PeerError as error:
            log.warning("the resolver gives no answer, the next try is due in %g s: %s", self._due - self._node.clock.now(), error)
            self._stand(self.standing.state, "no_answer", self._node.address, int(self._node.clock.now()), int(self._due))
            return None
        self._answered = self._node.clock.now()
        return answer

    async def _take(self, answer: PoolAnswer, beaten_in: int | None = None) -> None:
        """Holds what the answer brings, then follows the state it tells of. beaten_in: the epoch of the heartbeat it answers."""
        for ticket in answer.tickets:
            await self._hold(ticket)
        if beaten_in is not None:
            self._store.count_heartbeat(beaten_in)
            self._eq.reached("heartbeat")
        was = self.standing.state
        if (answer.state == CONNECTED) != (was == CONNECTED):
            self._store.append(self._node.clock.now(), CONNECTED if answer.state == CONNECTED else "lost", answer.code)
        self._stand(answer.state, answer.code, answer.observer, answer.time, answer.next_try)
        if answer.state == CONNECTED != was:
            self._eq.reached("connected")
        if answer.state in GONE_STATES:
            self._give_up()
        for wake in self.woken:
            wake()

    async def _hold(self, ticket: Signed[UptimeTicket]) -> None:
        view, now = await self._eq.roster.view(), self._node.clock.now()
        try:
            check_ticket(ticket, self._node.address, now, view, self._node.network.timing, self._node.domain)
        except UnusableStatement as error:
            log.warning("a ticket is not held: %s", error)
            return
        self._store.hold_ticket(ticket)

    async def _compare_masters(self, answer: PoolAnswer) -> None:
        named = {master.master for master in answer.masters}
        listed = {master.account for master in (await self._eq.roster.view()).masters()}
        if named != listed:
            log.warning(
                "resolver %s names %d masters, the chain lists %d: those on chain are asked", answer.observer, len(named), len(listed)
            )

    def _give_up(self) -> None:
        """The presence is gone: a new one is announced, at once unless the last announcement was just now."""
        if self._resolver is None:
            return
        now, code = self._node.clock.now(), self.standing.code
        log.warning("the presence at resolver %s is gone (%s), a new one will be announced", self._resolver.account, code)
        if self.standing.state == CONNECTED:
            self._store.append(now, "lost", code)
        self._attempt += code == "no_answer"
        self._resolver, self._id, self._due = None, None, max(now, self._announced + self._pause)
        self.standing = replace(self.standing, state="expired" if code != "unknown_presence" else "starting")

    def _next_turn(self, turn: float) -> float:
        """When the next heartbeat is due, after the one whose turn was `turn`."""
        now, timing = self._node.clock.now(), self._node.network.timing
        epochs = (timing.epoch_at(now) - 1, timing.epoch_at(now))
        final = min((s for e in epochs if e > 0 and (s := final_second(timing, e, self._node.address)) > now), default=0.0)
        return next_heartbeat(turn, now, self._node.network.rules.heartbeat_s, final)

    @property
    def _pause(self) -> float:
        """Between two tries: short enough for several within the time that a presence lasts."""
        return self._node.network.rules.heartbeat_s / 3

    def _signed(self, message: Any) -> Signed[Any]:
        return sign(message, self._node.domain, self._node.key)

    def _stand(self, state: str, code: str, observer: Address, time: int, next_try: int) -> None:
        self.standing = Standing(state, code, observer, time, next_try)


def _identity(signed: Signed[LatencyReport]) -> tuple[Address, int, int]:
    return signed.message.master, signed.message.epoch, signed.message.sequence
