"""Being reached through a master's relay, for a provider that nobody can dial: a few connections to it wait for callers.

A connection that is called is handed to the listener, as if the caller had come by itself, and another one takes its place. If the relay
falls silent, is moved or delisted, or most masters do not come through it, another one takes over, and the provider announces itself anew.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from chain.typed import sign
from chain.types import ZERO_ADDRESS, Address, Digest
from chain.view import Listing
from provider.duties import Duty, Errands
from provider.equipment import Equipment
from provider.heartbeat import spread
from provider.measuring import Measuring
from provider.presence import Presence
from provider.reach.listener import Listener
from wire.addresses import parse_ip
from wire.connections import read_exactly
from wire.refusals import Refused
from wire.relay import (
    ALIVE_S,
    CALLED,
    CHALLENGE,
    NONCE_BYTES,
    REFUSED,
    REGISTER,
    WAITING,
    RelayRegistration,
    opening,
    refusal_code,
    registration_bytes,
)
from wire.relays import RelayFinder, RelayPlace
from wire.timing import Unreachable, be_timed, time_master

log = logging.getLogger(__name__)

KEPT_WAITING = 4
ANSWER_S = 5.0
RETRY_S = 1.0
LOST_S = 3.0
"""How long nothing may come of a relay before another one is taken."""
ASIDE_S = 60.0
TIMED_ROUNDS = 3


class Relayed:
    """Keeps the provider reachable by a relay, from the moment that it is needed on. moved: is called after each new place."""

    def __init__(
        self,
        equipment: Equipment,
        presence: Presence,
        measuring: Measuring,
        listener: Listener,
        errands: Errands,
        moved: Callable[[], None],
    ) -> None:
        self._eq, self._node, self._presence, self._measuring = equipment, equipment.node, presence, measuring
        self._listener, self._errands, self._moved = listener, errands, moved
        self._finder = RelayFinder(self._node.client, self._node.clock, self._node.network.rules)
        self._duty = Duty(self._step, self._node.clock, RETRY_S)
        errands.woken = self._duty.wake
        self._place: RelayPlace | None = None
        self._endpoint = ""
        self._failing_since: float | None = None
        self._aside: dict[Address, float] = {}
        self._none_there = False
        self._waiting: Counter[RelayPlace] = Counter()

    @property
    def waiting(self) -> int:
        """Connections that are ready for callers at the moment, also those at a relay that was left."""
        return self._waiting.total()

    @property
    def relay(self) -> Address:
        """The master whose relay is announced; the zero address if none is."""
        return self._presence.offering.relay

    async def run(self, needed: asyncio.Event) -> None:
        """Waits until it is needed, then runs until it is cancelled."""
        await needed.wait()
        if self.relay == ZERO_ADDRESS:
            log.warning("nobody can dial this provider: a master's relay is looked for")
        await self._duty.run()

    async def _step(self) -> float:
        now = self._node.clock.now()
        await self._look_after(self._place)
        lost = self._failing_since is not None and now - self._failing_since >= LOST_S
        if self._place is None or lost or (self._is_announced(self._place) and await self._measuring.is_undialled()):
            await self._choose(now)
        place = self._place
        if place is None:
            return now + ASIDE_S / 6
        for number in range(KEPT_WAITING):
            self._errands.start((place, number), partial(self._keep_waiting, place))
        if self._waiting[place] and not self._is_announced(place):
            await self._presence.move(replace(self._presence.offering, host=place.host, port=place.port, relay=place.master))
            log.info("reached through the relay of master %s from now on", place.master)
            self._moved()
        return now + RETRY_S

    def _is_announced(self, place: RelayPlace) -> bool:
        announced = self._presence.offering
        return (announced.relay, announced.host, announced.port) == (place.master, place.host, place.port)

    async def _look_after(self, place: RelayPlace | None) -> None:
        """Leaves a relay that is no listed master's any more, or is not where it was."""
        if place is None:
            return
        masters = (await self._eq.roster.view()).masters()
        listing = next((listing for listing in masters if listing.account == place.master), None)
        if listing is None or await self._finder.find(listing.account, listing.endpoint) != place:
            log.warning("the relay of master %s is not there any more: one is looked for", place.master)
            self._place = None
            self._aside.pop(place.master, None)  # what failed at the old place says nothing about a new one

    async def _choose(self, now: float) -> None:
        """The relay with the shortest way to it; not one that has just failed, unless there is no other."""
        if self._place is not None and self._aside.get(self._place.master, 0.0) <= now:
            log.warning("the relay of master %s lets nobody through: another one is looked for", self._place.master)
            self._aside[self._place.master] = now + ASIDE_S
        masters = (await self._eq.roster.view()).masters()
        found = await asyncio.gather(*(self._finder.find(master.account, master.endpoint) for master in masters))
        there = [(master, place) for master, place in zip(masters, found, strict=True) if place is not None]
        fresh = [(master, place) for master, place in there if self._aside.get(master.account, 0.0) <= now]
        distances = await asyncio.gather(*(self._distance(master) for master, _ in fresh))
        ordered = sorted(zip(distances, fresh, strict=True), key=lambda one: (one[0], spread(f"{self._node.address} {one[1][0].account}")))
        if ordered:
            _, (master, self._place) = ordered[0]
            self._endpoint = master.endpoint
        elif not there and not self._none_there:
            log.warning("no master runs a relay: open the announced port, or wait until one does")
        self._none_there = not there
        self._failing_since = None

    async def _distance(self, master: Listing) -> int:
        """Microseconds; the most there is if it does not answer."""
        clock, entropy = self._node.clock, self._eq.entropy
        try:
            found = await time_master(master.endpoint, TIMED_ROUNDS, self._eq.local_host, clock, entropy)
        except Unreachable:
            found = None
        return 1 << 32 if found is None else found

    async def _keep_waiting(self, place: RelayPlace) -> None:
        """The life of one connection: registered, waiting, and handed over once it is called."""
        sock = socket.socket(socket.AF_INET6 if ":" in place.host else socket.AF_INET, socket.SOCK_STREAM)
        called = False
        try:
            sock.setblocking(False)
            await self._register(sock, place)
            if place == self._place:
                self._failing_since = None
            self._waiting[place] += 1
            if not self._is_announced(place):
                self._duty.wake()
            try:
                called = await self._called(sock)
            finally:
                self._waiting[place] -= 1
                self._waiting += Counter()  # forgets relays that were left
        except Refused as refused:
            if self._failing_since is None:  # said once, however often it is tried again
                log.warning("the relay of master %s does not take this provider: %s", place.master, refused)
            if refused.code == "no_echo":
                await self._be_timed()
        except (OSError, EOFError, TimeoutError) as error:
            log.debug("a connection to the relay ended with %s", type(error).__name__)
        finally:
            if not called:
                sock.close()
        if called:
            self._listener.take(sock)
            return
        if self._failing_since is None and place == self._place and not self._waiting[place]:
            self._failing_since = self._node.clock.now()
        await self._node.clock.sleep(RETRY_S)

    async def _be_timed(self) -> None:
        rounds = self._node.network.rules.echo_rounds
        await be_timed(self._endpoint, self._node.address, rounds, self._eq.local_host, self._node.clock, self._eq.entropy)

    async def _register(self, sock: socket.socket, place: RelayPlace) -> None:
        """Until the relay says that it waits; `Refused` with the relay's code."""
        loop, node = asyncio.get_running_loop(), self._node
        async with asyncio.timeout(ANSWER_S):
            if parse_ip(self._eq.local_host).version == parse_ip(place.host).version:
                sock.bind((self._eq.local_host, 0))
            await loop.sock_connect(sock, (place.host, place.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_sendall(sock, opening(REGISTER, node.address))
            await _expect(sock, CHALLENGE)
            nonce = Digest(await read_exactly(sock, NONCE_BYTES))
            said = RelayRegistration(node.address, place.master, int(node.clock.now()), nonce)
            await loop.sock_sendall(sock, registration_bytes(sign(said, node.domain, node.key)))
            await _expect(sock, WAITING)

    async def _called(self, sock: socket.socket) -> bool:
        """Whether a caller came; False if the relay says something else. Not a byte more is read: what follows is TLS."""
        while True:
            async with asyncio.timeout(3 * ALIVE_S):
                word = await read_exactly(sock, 1)
            if word != WAITING:
                return word == CALLED


async def _expect(sock: socket.socket, word: bytes) -> None:
    found = await read_exactly(sock, 1)
    if found == REFUSED:
        raise Refused(refusal_code(await read_exactly(sock, (await read_exactly(sock, 1))[0])))
    if found != word:
        raise EOFError
