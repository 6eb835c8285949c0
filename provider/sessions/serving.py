"""Sessions at the provider: asked for, offered, accepted, covered, served, receipted, closed.

A connection's first word says what it is: `JOIN` a stream (`provider.sessions.streams`), all else the control connection of a
session to be. What a receipt says is on disk before credit grows by it; a session that a crash left open is closed with a last report
at the next start.

Long because it is one conversation, to be read from the first word to the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chain.errors import ChainError, CodecError, Recoverable
from chain.keys import NodeKey
from chain.network import Network
from chain.typed import Signed, digest_of, sign, verify
from chain.types import Address, Digest
from provider.sessions.caps import Caps
from provider.sessions.covering import Coverage
from provider.sessions.metering import Credit, Rate, SessionMeter
from provider.sessions.reporting import Reporting, round_trip_us
from provider.sessions.store import Served, SessionStore, StoredSession
from provider.sessions.streams import Session, Streams
from runtime.clock import Clock
from wire.messages import Offer, SessionRequest, UsageReceipt
from wire.refusals import Refused
from wire.secure import TALK_S, Channel, ChannelError, ChannelMisused
from wire.sessions import DemandClaim, affordable_bytes, check_request, is_acceptance, session_id
from wire.tls import BindingError, peer_address
from wire.tunnel import (
    ACCEPTANCE,
    GOODBYE,
    JOIN,
    OFFER,
    OPENED,
    PING,
    PONG,
    RECEIPT,
    REFUSAL,
    REPORTED,
    REQUEST,
    Opened,
    Reported,
    Word,
)  # fmt: skip

log = logging.getLogger(__name__)

FIRST_WORD_S = 5.0
ASKING_S = 30.0
"""The longest between two words of one who has no session yet."""
MOST_ASKING = 256
"""Control connections without a session."""
MOST_QUESTIONS = 64
"""Before a session, on one connection."""
LOOK_S = 0.25
COUNT_BYTES = 1 << 20
"""The caps are told of what was carried after so many bytes, or after `LOOK_S`: a cap is overrun by no more than that and a read."""
SETTLE_S = 1.0
"""The longest that a receipt is safe from a kill and not from a power cut."""
OVERDUE_TURNS = 3
"""Times `receiptEveryS` after which a session that owes a receipt is closed."""
SILENT_TURNS = 6
"""Times `receiptEveryS` after which a consumer that says nothing is taken for gone: one that is there signs or pings in each. Without it a
machine that lost its power would keep its place until the next epoch ends."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator serves at. price: wei per GiB. bandwidth: bit/s, as announced. rate, session_rate: bytes per second, 0 for no
    limit."""

    price: int
    bandwidth: int
    sessions: int = 64
    rate: float = 0.0
    session_rate: float = 0.0


class Serving:
    """Attends to every connection that shows a certificate. leaving: set once the provider goes."""

    def __init__(
        self, key: NodeKey, network: Network, clock: Clock, entropy: Callable[[int], bytes], terms: Terms, store: SessionStore,
        caps: Caps, coverage: Coverage, streams: Streams,
    ) -> None:  # fmt: skip
        self._key, self._clock, self._entropy, self._terms = key, clock, entropy, terms
        self._domain, self._rules, self._timing = network.domain, network.rules, network.timing
        self._store, self._caps, self._coverage, self.streams = store, caps, coverage, streams
        self._reporting = Reporting(key, network.domain, store)
        self._sessions: dict[Digest, Session] = {}
        self._opening: set[Digest] = set()
        self._credits: dict[Address, Credit] = {}
        self._rate = Rate(terms.rate, time.monotonic)
        self._asking = self._uncounted = 0
        self._ended_served = self._ended_receipted = 0
        self.leaving = False
        self.idle = asyncio.Event()
        """Set while no session is served."""
        self.idle.set()
        self.refused: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Those that are being served."""
        return tuple(self._sessions.values())

    def figures(self) -> dict[str, object]:
        """Counts for the operator: never whom, never where. Since the start: bytes served, those that receipts were signed for, and the
        difference, which nobody pays."""
        self._count_carried()
        day, month = self._caps.carried(self._clock.now())
        meters = [session.meter for session in self._sessions.values()]
        served = self._ended_served + sum(meter.served for meter in meters)
        receipted = self._ended_receipted + sum(meter.receipted for meter in meters)
        return {
            "bytesServed": served,
            "bytesReceipted": receipted,
            "bytesDifference": served - receipted,
            "sessions": len(self._sessions),
            "streams": self.streams.live,
            "streamsOpened": self.streams.opened,
            "carriedToday": day,
            "carriedThisMonth": month,
            "unreceipted": sum(meter.unreceipted for meter in meters),
            "refused": dict(self.refused + self.streams.refused),
            "ended": dict(self.ended),
        }

    def close_left_open(self) -> None:
        """Ends what a crash has left open."""
        self._reporting.close_left_open(self._rules.credit_start_bytes, self._clock.now())

    def end_all(self, code: str) -> None:
        """Ends every session for a reason of the provider's own."""
        for session in self.sessions:
            session.end(code)

    async def serve(self, channel: Channel) -> None:
        """Attends to one connection until it ends."""
        try:
            async with asyncio.timeout(FIRST_WORD_S):
                kind, word = await channel.receive(JOIN, PING, REQUEST)
            if kind == JOIN:
                session = self._sessions.get(word.session_id)
                await self.streams.serve(channel, session, word, lambda: self._proven(channel))
            else:
                await self._control(channel, kind, word)
        except ChannelMisused as misuse:
            self.refused[misuse.code] += 1
            with contextlib.suppress(ChannelError, TimeoutError):
                await self._say(channel, REFUSAL, Word(misuse.code, misuse.detail))
        except (ChannelError, BindingError, TimeoutError) as error:
            log.debug("a connection ended with %s", type(error).__name__)
        finally:
            channel.close(politely=True)

    # Before a session

    async def _control(self, channel: Channel, kind: int, word: Any) -> None:
        if self._asking >= MOST_ASKING:
            await self._say(channel, REFUSAL, Word("busy", ""))
            return
        consumer = self._proven(channel)
        self._asking += 1
        try:
            opened = await self._until_accepted(channel, consumer, kind, word)
        finally:
            self._asking -= 1
        if opened is None:
            return
        session, stored = opened
        try:
            await self._say(channel, OPENED, Opened(session.session_id, session.token, self._share(consumer)))
            await self._attend(channel, session, stored)
        finally:
            session.end("done")
            session.stop()
            self._settle(session, stored)

    async def _until_accepted(self, channel: Channel, consumer: Address, kind: int, word: Any) -> tuple[Session, StoredSession] | None:
        """The session that the talk leads to, if it does."""
        asked: tuple[Signed[SessionRequest], Signed[Offer]] | None = None
        for _ in range(MOST_QUESTIONS):
            try:
                if kind == PING:
                    await self._say(channel, PONG, word)
                elif kind == REQUEST:
                    asked = (word, self._offer(word, consumer))
                    await self._say(channel, OFFER, asked[1])
                elif kind == ACCEPTANCE and asked is not None:
                    return await self._open(channel, consumer, DemandClaim(*asked, word))
                else:
                    raise Refused("not_accepted", "nothing was offered")
            except Refused as refused:
                self.refused[refused.code] += 1
                await self._say(channel, REFUSAL, Word(refused.code, refused.detail[:200]))
            except CodecError as error:
                raise ChannelMisused(error.code, error.detail[:200]) from error
            async with asyncio.timeout(ASKING_S):
                kind, word = await channel.receive(PING, REQUEST, ACCEPTANCE)
        return None

    def _offer(self, signed: Signed[SessionRequest], consumer: Address) -> Signed[Offer]:
        request, now = verify(signed, self._domain), self._clock.now()
        if request.consumer != consumer:
            raise Refused("wrong_signer", "the certificate is another account's")
        check_request(request, self._rules, now)
        self._may_serve(now)
        if self._terms.price > request.max_price or request.min_bandwidth > self._terms.bandwidth:
            raise Refused("bad_offer", "less is served, or for more", {"price": str(self._terms.price)})
        offer = Offer(self._key.address, digest_of(request, self._domain), self._terms.price, request.expiry)
        return sign(offer, self._domain, self._key)

    def _may_serve(self, now: float) -> None:
        if self.leaving:
            raise Refused("leaving")
        code = self._caps.refusal(now)
        if code:
            raise Refused(code, next_try=self._caps.next_try(now))
        if len(self._sessions) + len(self._opening) >= self._terms.sessions:
            raise Refused("busy")

    async def _open(self, channel: Channel, consumer: Address, claim: DemandClaim) -> tuple[Session, StoredSession]:
        now, request, offer = self._clock.now(), claim.request.message, claim.offer.message
        name = session_id(request, offer, self._domain)
        if not is_acceptance(verify(claim.acceptance, self._domain), consumer, name):
            raise Refused("not_accepted")
        if offer.expiry <= now:
            raise Refused("stale_time", "the offer has expired")
        self._may_serve(now)
        if name in self._sessions or name in self._opening or self._store.session(name) is not None:
            raise Refused("session_closed", "it was opened before")
        self._opening.add(name)
        try:
            demand, stakes = await self._coverage.cover(claim, name)
            stored = await asyncio.to_thread(self._store.open, claim, demand, stakes, self._clock.now())
        except Recoverable as error:
            log.warning("a session could not be covered: %s", error)
            raise Refused("chain_unavailable") from error
        except ChainError as error:
            log.warning("a session could not be covered: %s", type(error).__name__)
            raise Refused("not_covered") from error
        finally:
            self._opening.discard(name)
        token, certificate = Digest(self._entropy(32)), channel.certificate or b""
        session: Session
        rates = (Rate(self._terms.session_rate, time.monotonic), self._rate)
        most = affordable_bytes(stored.price, stored.budget)
        meter = SessionMeter(self._credit(consumer), most, rates, self._carried, lambda: session.end("budget_spent"))
        session = Session(name, consumer, certificate, token, meter)
        self._sessions[name] = session
        self.idle.clear()
        return session, stored

    def _credit(self, consumer: Address) -> Credit:
        """Shared by all sessions of one consumer."""
        rules = self._rules
        if consumer not in self._credits:
            known = self._store.credit_of(consumer)
            limit = min(rules.credit_most_bytes, known or rules.credit_start_bytes)
            self._credits[consumer] = Credit(rules.credit_start_bytes, rules.credit_most_bytes, limit)
        return self._credits[consumer]

    def _share(self, consumer: Address) -> int:
        """What a session of the consumer may count on of its credit: the others use it as well."""
        return self._credits[consumer].share

    # During a session

    async def _attend(self, channel: Channel, session: Session, stored: StoredSession) -> None:
        """Takes receipts and answers them until either end is done, then says goodbye."""
        owing_since: float | None = None
        last_second = self._timing.end_of(stored.epochs[1])
        reported = Served()
        sequence = 0
        parting_until = settle_at = look_at = 0.0
        heard_at = time.monotonic()
        while True:
            now = self._clock.now()
            self._count_carried()
            if settle_at and now >= settle_at:
                settle_at = 0.0
                await asyncio.to_thread(self._store.settle)
            if owing_since is None and session.meter.unreceipted:
                owing_since = now
            if owing_since is not None and now - owing_since > OVERDUE_TURNS * self._rules.receipt_every_s:
                session.end("receipt_overdue")
            if time.monotonic() - heard_at > SILENT_TURNS * self._rules.receipt_every_s:
                session.end("consumer_gone")
            if now >= last_second:
                session.end("session_closed")
            elif now >= look_at and self._timing.epoch_at(now) > stored.epochs[0]:
                look_at = now + self._rules.receipt_every_s
                await self._end_if_lapsed(session, self._timing.epoch_at(now))
            if session.ending and not parting_until:
                parting_until = now + TALK_S
                await self._say(channel, GOODBYE, Word(session.ending, ""))
            if parting_until and now >= parting_until:
                break
            try:
                async with asyncio.timeout(LOOK_S):
                    kind, word = await channel.receive(RECEIPT, PING, GOODBYE)
            except TimeoutError:
                continue
            except ChannelError:
                session.end("consumer_gone")
                break
            heard_at = time.monotonic()
            if kind == PING:
                await self._say(channel, PONG, word)
            elif kind == GOODBYE:
                session.end("done")
                break
            else:
                try:
                    sequence, reported = await self._take_receipt(channel, session, stored, word)
                except Refused as refused:
                    self.refused[refused.code] += 1
                    session.end(refused.code)
                    break
                owing_since, settle_at = None, settle_at or now + SETTLE_S
        final = self._served(channel, session, stored)
        if (final.up, final.down) != (reported.up, reported.down):
            self._reporting.keep_last(session.session_id, sequence, final, max(session.said_at, self._clock.now()))
        with contextlib.suppress(ChannelError, TimeoutError):
            await self._say(channel, GOODBYE, Word(session.ending, ""))

    async def _end_if_lapsed(self, session: Session, epoch: int) -> None:
        """In the epoch after the one it was covered in a session may count no more: nothing is served then that nobody pays for."""
        stored = await asyncio.to_thread(self._store.session, session.session_id)  # with the receipts that came later
        if stored is None:
            return
        try:
            code = await self._coverage.lapsed(stored, epoch)
        except Recoverable as error:
            log.warning("whether a session still counts cannot be read: %s", error)
            return
        if code:
            session.end(code)

    async def _take_receipt(
        self, channel: Channel, session: Session, stored: StoredSession, signed: Signed[UsageReceipt]
    ) -> tuple[int, Served]:
        """Verifies a receipt, keeps it with the report that answers it, honours it, and answers; its sequence, and what was reported."""
        try:
            receipt = verify(signed, self._domain)
        except CodecError as error:
            raise Refused("bad_receipt", error.code) from error
        if receipt.session_id != session.session_id or receipt.consumer != session.consumer:
            raise Refused("bad_receipt", "it is for another session")
        now = self._clock.now()
        if abs(receipt.time - now) > self._rules.tolerance_s:
            raise Refused("stale_time" if receipt.time < now else "future_time", "", {"time": str(receipt.time), "now": str(int(now))})
        session.said_at = now = max(session.said_at, now)
        served = self._served(channel, session, stored)
        report = self._reporting.report(session.session_id, receipt.sequence, served, now)
        self._store.keep_answer(signed, report, now)
        credit = self._credits[session.consumer]
        before = credit.limit
        session.meter.receipt(receipt.bytes_up + receipt.bytes_down)
        if credit.limit != before:
            await asyncio.to_thread(self._store.set_credit, session.consumer, credit.limit)
        await self._say(channel, REPORTED, Reported(report, self._share(session.consumer)))
        return receipt.sequence, served

    def _settle(self, session: Session, stored: StoredSession) -> None:
        """The session is over: what it still owes is lost, and the consumer's credit with it."""
        self._count_carried()
        session.meter.close()
        self._ended_served += session.meter.served
        self._ended_receipted += session.meter.receipted
        credit = self._credits[session.consumer]
        self._sessions.pop(session.session_id, None)
        self._store.set_credit(session.consumer, credit.limit)
        if not any(other.consumer == session.consumer for other in self._sessions.values()):
            del self._credits[session.consumer]
        self._store.close(session.session_id, session.ending, self._clock.now())
        self._caps.flush()
        self.ended[session.ending] += 1
        if not self._sessions:
            self.idle.set()
        log.info("session 0x%s of %s ended: %s", session.session_id.hex()[:16], stored.consumer, session.ending)

    def _served(self, channel: Channel, session: Session, stored: StoredSession) -> Served:
        seconds = int(max(session.said_at, self._clock.now())) - stored.opened
        return Served(session.meter.up, session.meter.down, max(0, seconds), round_trip_us(channel))

    def _carried(self, size: int) -> None:
        self._uncounted += size
        if self._uncounted >= COUNT_BYTES:
            self._count_carried()

    def _count_carried(self) -> None:
        """Tells the caps what was carried, and ends every session if it was enough."""
        if not self._uncounted:
            return
        now = self._clock.now()
        self._caps.count(self._uncounted, now)
        self._uncounted = 0
        code = self._caps.refusal(now)
        if code:
            self.end_all(code)

    def _proven(self, channel: Channel) -> Address:
        return peer_address(channel.certificate, self._domain, self._clock.now())

    async def _say(self, channel: Channel, kind: int, message: Any) -> None:
        async with asyncio.timeout(TALK_S):
            await channel.send(kind, message)
