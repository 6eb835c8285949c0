"""What stands between a provider's announcement and a signed latency report, cheapest first.

A dictionary look-up (is there an echo for this provider in this slot?) precedes the signature, so nobody makes this node check signatures
without having answered at an address first; the dial-back comes last. Which exchange is the announced provider's: see `echo.candidates`.

A provider behind a relay proves its key through it, which says nothing about where it is. So of its exchanges only those count that came
from the address that the announcement was posted from: a stranger who echoes in its name changes nothing in its report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NoReturn, Protocol, TypeVar

from chain.epochs import Timing
from chain.errors import SignatureError
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed, sign, verify
from chain.types import Address
from master.dialback import Dial, DialLimits, Verdict
from master.echo import EpochSlot, Exchange, Responder, candidates, majority, slot_of
from master.report import Ledger, LedgerFull, Place
from runtime.clock import Clock
from wire.addresses import IPAddress
from wire.announcements import check_place, check_time
from wire.messages import Announcement, LatencyReport
from wire.refusals import Refused
from wire.relays import RelayPlace

R = TypeVar("R")

MAX_DIALS = 32
"""Dial-backs going on at once."""


class Relays(Protocol):
    """The relays of listed masters, and the way through them."""

    async def find(self, master: Address) -> RelayPlace | None:
        """Where the master's relay is; None if no such master is listed, or it runs none."""

    async def dial(self, place: RelayPlace, provider: Address, now: float) -> Verdict:
        """See `master.dialback.Dialer`."""


class Checks:
    """Judges announcements. `counts` holds `reports`, `dials` and how often each refusal was given. relays: without it none is known."""

    def __init__(
        self,
        key: NodeKey,
        domain: Domain,
        timing: Timing,
        rules: Rules,
        clock: Clock,
        responder: Responder,
        ledger: Ledger,
        dial: Dial,
        max_dials: int = MAX_DIALS,
        relays: Relays | None = None,
    ) -> None:
        self._relays = relays
        self._key, self._domain, self._timing, self._rules, self._clock = key, domain, timing, rules, clock
        self._responder, self._ledger, self._dial, self._max_dials = responder, ledger, dial, max_dials
        self._limits = DialLimits()
        self._dialling = 0
        self.counts: Counter[str] = Counter()

    async def check(self, signed: Signed[Announcement], posted_from: IPAddress | None = None) -> Signed[LatencyReport]:
        """The report that now includes this slot. posted_from: where the announcement came from. Raises `Refused` or `SignatureError`."""
        try:
            return await self._check(signed, posted_from)
        except (Refused, SignatureError) as refused:
            self.counts[refused.code] += 1
            raise

    async def _check(self, signed: Signed[Announcement], posted_from: IPAddress | None) -> Signed[LatencyReport]:
        now, provider = self._clock.now(), signed.message.provider
        at = slot_of(self._timing, now)
        if at is None:
            raise Refused("unknown_epoch", "epoch 1 has not begun", next_try=self._timing.genesis)
        exchanges = self._responder.exchanges(provider, now)
        if not exchanges:
            raise Refused("no_echo", next_try=int(now) + 1)
        said = signed.message
        place = Place(check_place(said.host, said.port, self._rules), said.port, said.sequence, said.relay)
        verify(signed, self._domain)
        check_time(said.time, self._rules, now)
        self._check_sequence(said)
        self._ledger.begin(at.epoch)
        finished = self._ledger.finished(provider, at, place)
        if finished is not None:
            return finished
        home = place.host
        if place.is_relayed:
            exchanges = tuple(exchange for exchange in exchanges if exchange.source.address == posted_from)
            if posted_from is None or not exchanges:
                raise Refused("no_echo", "none from the address that this was posted from", next_try=int(now) + 1)
            home = posted_from
        found = candidates(exchanges, home, self._rules.echo_rounds)
        if not found:
            self._refuse_few(provider, at, home, exchanges, now)
        if place.is_relayed:
            return await self._dial_relay(provider, at, place, found[0], now)
        return await self._dial_back(provider, at, place, found, now)

    def _check_sequence(self, announcement: Announcement) -> None:
        newest = self._ledger.newest_sequence(announcement.provider)
        if announcement.sequence < newest:  # the same one again is welcome: it goes to every master, and a lost answer is asked for again
            raise Refused("reused_sequence", evidence={"sequence": str(announcement.sequence), "newest": str(newest)})

    def _refuse_few(self, provider: Address, at: EpochSlot, home: IPAddress, exchanges: tuple[Exchange, ...], now: float) -> NoReturn:
        most = max(exchanges, key=lambda e: (e.source.address == home, len(e.rtts_us)))
        if most.source.address == home:
            self._with_room(lambda: self._ledger.missed(provider, at, most), now)
        needed = majority(self._rules.echo_rounds)
        raise Refused("too_few_rounds", evidence={"echoes": str(len(most.rtts_us)), "needed": str(needed)}, next_try=int(now) + 1)

    async def _dial_back(
        self, provider: Address, at: EpochSlot, place: Place, found: tuple[Exchange, ...], now: float
    ) -> Signed[LatencyReport]:
        next_slot = self._timing.slot_start(at.epoch, at.slot + 1)
        refused = Refused("dial_back_limit", next_try=next_slot)
        for exchange in found:
            address = exchange.source.address
            if self._dialling >= self._max_dials:
                raise Refused("busy", next_try=int(now) + 1)
            if not self._limits.take(at, address, place.port):
                continue
            self.counts["dials"] += 1
            self._dialling += 1
            try:
                verdict = await self._dial(address, place.port, provider, now)
            finally:
                self._dialling -= 1
            if verdict.code == "ok":
                return self._report(provider, at, place, exchange)
            evidence = {"announced": str(place.host), "observed": str(address), "port": str(place.port)}
            next_try = int(now) + 1 if self._limits.left(at, address, place.port) > 0 else next_slot
            refused = Refused(verdict.code, verdict.detail, evidence, next_try)
        raise refused

    async def _dial_relay(self, provider: Address, at: EpochSlot, place: Place, exchange: Exchange, now: float) -> Signed[LatencyReport]:
        """The report, once the provider has proven its key through the relay that its announcement names."""
        relay = await self._relays.find(place.relay) if self._relays is not None else None
        if self._relays is None or relay is None or (relay.host, relay.port) != (str(place.host), place.port):
            raise Refused("not_a_relay", evidence={"relay": place.relay, "port": str(place.port)}, next_try=int(now) + 1)
        if self._dialling >= self._max_dials:
            raise Refused("busy", next_try=int(now) + 1)
        source = exchange.source.address
        if not self._limits.take(at, source, provider):
            raise Refused("dial_back_limit", next_try=self._timing.slot_start(at.epoch, at.slot + 1))
        self.counts["dials"] += 1
        self._dialling += 1
        try:
            verdict = await self._relays.dial(relay, provider, now)
        finally:
            self._dialling -= 1
        if verdict.code != "ok":
            again = self._limits.left(at, source, provider) > 0
            raise Refused(
                verdict.code,
                verdict.detail,
                {"relay": place.relay},
                int(now) + 1 if again else self._timing.slot_start(at.epoch, at.slot + 1),
            )
        return self._report(provider, at, place, exchange)

    def _report(self, provider: Address, at: EpochSlot, place: Place, exchange: Exchange) -> Signed[LatencyReport]:
        now = self._clock.now()
        report = self._with_room(lambda: self._ledger.measured(provider, at, place, exchange, now), now)
        signed = sign(report, self._domain, self._key)
        self._ledger.keep(signed)
        self.counts["reports"] += 1
        return signed

    def _with_room(self, write: Callable[[], R], now: float) -> R:
        try:
            return write()
        except LedgerFull as error:
            raise Refused("busy", "this master remembers as many providers as it can in this epoch", next_try=int(now) + 60) from error
