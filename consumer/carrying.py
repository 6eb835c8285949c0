"""A tunnel through one provider: its streams, and the receipts that pay for them.

The control connection says what each end has counted; each stream has a connection of its own, some ready before they are asked for, and
one that has ended in order carries the next. A receipt is signed when three quarters of the credit are unreceipted, every
`receipt_every_s` and at the end; it is kept before it leaves.

Long because streams and receipts share one end: what has come until the last stream is over is what the last receipt is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from chain.errors import CodecError, Recoverable
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed, sign, verify
from consumer.metering import Usage, UsageMeter
from consumer.store import Store
from runtime.clock import Clock
from wire.handover import HAND_OVER_S, handed_over
from wire.messages import Offer, SessionRequest, UsageReceipt, UsageReport
from wire.refusals import TABLE
from wire.secure import TALK_S, Channel, ChannelError
from wire.sessions import affordable_bytes
from wire.splice import BROKEN, ENDED, Splice
from wire.tunnel import ANSWERED, GOODBYE, JOIN, OK, OPEN, PING, PONG, RECEIPT, REPORTED, Beat, Join, Open, Opened, Word

SPARES = 2
"""Connections kept ready, so that a stream costs one round trip."""
MOST_SPARES = 16
"""Connections kept after their streams have ended."""
HANDSHAKES = 4
"""At the same time; a provider takes only so many of one address."""
ANSWER_S = 20.0
"""The longest that a provider may take to reach a destination."""
STALL_S = 1.0
"""Without a byte for so long a receipt is signed early: other sessions with the provider may have used up the credit they share."""
LOST = "provider_failed"


@dataclass(frozen=True, slots=True)
class Line:
    """What a tunnel works with. open: another proven connection to the provider."""

    control: Channel
    open: Callable[[], Awaitable[Channel]]
    key: NodeKey
    domain: Domain
    rules: Rules
    clock: Clock
    store: Store
    rtt_us: int


class Tunnel:
    """One session, open until `closed` is set; `reason` then says why: `done`, `provider_failed`, or a code of `wire.refusals`."""

    def __init__(self, line: Line, request: SessionRequest, offer: Offer, opened: Opened) -> None:
        self._line, self.provider, self.session_id, self.price = line, offer.provider, opened.session_id, offer.price
        self._token = opened.token
        self.budget = request.budget_to - request.budget_from
        self.closed, self.reason = asyncio.Event(), ""
        self._due, self._answered = asyncio.Event(), asyncio.Event()
        most = affordable_bytes(offer.price, self.budget)
        self._meter = UsageMeter(most, opened.credit, self._due.set, lambda: self._part("budget_spent"))
        self._began, self._sequence, self._signed = line.clock.now(), 0, (0, 0)
        self._closing, self._said_goodbye, self._parting = False, False, ""
        self._receipting, self._signed_at = asyncio.Lock(), 0.0
        self._spares: list[Channel] = []
        self._live: set[Splice] = set()
        self._quiet = asyncio.Event()
        self._handshakes = asyncio.Semaphore(HANDSHAKES)
        self._tasks = {asyncio.create_task(self._listen()), asyncio.create_task(self._keep_receipting())}
        self._warm()

    @property
    def usage(self) -> Usage:
        return self._meter.usage

    @property
    def _leaving(self) -> bool:
        return self.closed.is_set() or self._closing or bool(self._parting)

    @property
    def streams(self) -> int:
        """Those that carry something now."""
        return len(self._live)

    async def carry(self, client: socket.socket, host: str, port: int, answered: Callable[[str], Awaitable[None]]) -> None:
        """Carries one stream to its end. `answered` is told `ok` or a code of `wire.refusals` before the first byte; the socket stays the
        caller's to close, and after a failure is set to end in a reset. Raises nothing of the tunnel's own."""
        channel: Channel | None = None
        try:
            channel, code = await self._reach(host, port)
            await answered(code)
            if code != OK or channel is None:
                if channel is not None:
                    self._put_back(channel)
                    channel = None
                return
            if await self._splice(client, channel) == ENDED:
                self._put_back(channel)
                channel = None
        finally:
            if channel is not None:
                channel.close()

    async def close(self, reason: str = "done") -> None:
        """Ends the session: its streams, a last receipt and the provider's report on it, goodbye. Waits for the provider only a moment."""
        self._closing = True
        self._stop_streams()
        if not self.closed.is_set():
            with contextlib.suppress(ChannelError, TimeoutError):
                async with asyncio.timeout(TALK_S):
                    await self._receipt()
                    if not self._parting:
                        await self._say_goodbye(reason)
                    await self.closed.wait()
        self._end(self._parting or reason)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Streams

    async def _reach(self, host: str, port: int) -> tuple[Channel | None, str]:
        """A connection whose far end has reached the destination and `ok`, or why there is none."""
        fresh = False
        while not (self._leaving or fresh):
            fresh = not self._spares
            channel: Channel | None = None
            try:
                channel = await self._joined() if fresh else self._spares.pop()
                self._warm()
                async with asyncio.timeout(ANSWER_S):
                    await channel.send(OPEN, Open(host, port))
                    _, answer = await channel.receive(ANSWERED)
            except TimeoutError:
                _close(channel)
                return None, "connect_timed_out"
            except Recoverable:  # a spare may have been closed meanwhile: a fresh one decides
                _close(channel)
            except BaseException:
                _close(channel)
                raise
            else:
                return channel, answer.code if answer.code == OK or answer.code in TABLE else "internal"
        return None, "session_closed"

    async def _splice(self, client: socket.socket, channel: Channel) -> str:
        splice = Splice(client, channel.sock, self._meter)
        self._live.add(splice)
        try:
            if self._leaving:
                splice.stop()
            else:
                splice.start()
            outcome = await splice.done
            if outcome not in (ENDED, BROKEN):
                await handed_over(client)
            return outcome
        finally:
            splice.stop()
            self._live.discard(splice)
            if not self._live:
                self._quiet.set()

    async def _joined(self) -> Channel:
        """A new connection that belongs to the session."""
        async with self._handshakes:
            channel = await self._line.open()
            try:
                async with asyncio.timeout(TALK_S):
                    await channel.send(JOIN, Join(self.session_id, self._token))
                    _, answer = await channel.receive(ANSWERED)
            except BaseException:
                channel.close()
                raise
        if answer.code != OK:
            channel.close()
            raise ChannelError(f"the provider takes no stream: {answer.code[:40]}")
        return channel

    def _put_back(self, channel: Channel) -> None:
        if self._leaving or len(self._spares) >= MOST_SPARES:
            channel.close()
        else:
            self._spares.append(channel)

    def _warm(self) -> None:
        """Has spares made ready, unless that is under way."""
        if not self._spares and len(self._tasks) < 2 + SPARES and not self._leaving:
            task = asyncio.create_task(self._add_spare())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _add_spare(self) -> None:
        with contextlib.suppress(Recoverable, TimeoutError):
            while len(self._spares) < SPARES:
                self._put_back(await self._joined())
                if self._leaving:
                    return

    def _stop_streams(self) -> None:
        for splice in tuple(self._live):
            splice.stop()
        for channel in self._spares:
            channel.close()
        self._spares.clear()

    # Receipts

    async def _keep_receipting(self) -> None:
        """Signs what is due, and asks a provider that has been silent whether it is still there."""
        every, waited = self._line.rules.receipt_every_s, 0.0
        try:
            while not self.closed.is_set():
                look, before = min(every, STALL_S), self.usage.total
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(look):
                        await self._due.wait()
                waited += look
                stalled = self.usage.total == before and self._meter.could_stall
                if not self._due.is_set() and not stalled and waited < every:
                    continue
                self._due.clear()
                waited = 0.0
                parting = bool(self._parting)  # one that begins during a receipt has the next
                if parting:
                    await self._hear_out()
                async with asyncio.timeout(TALK_S):
                    if not await self._receipt() and not self._parting:
                        self._answered.clear()
                        await self._line.control.send(PING, Beat(self._sequence))
                        await self._answered.wait()
                    if parting:
                        await self._say_goodbye(self._parting)
                        self._end(self._parting)
        except (ChannelError, TimeoutError):
            self._end(self._parting or LOST)

    async def _hear_out(self) -> None:
        """Lets what the provider has read still come, for a moment: it is paid for."""
        for splice in tuple(self._live):
            splice.hear_out()
        self._quiet.clear()
        if self._live and not self.closed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HAND_OVER_S):
                    await self._quiet.wait()
        self._stop_streams()

    async def _receipt(self) -> bool:
        """Signs, keeps and sends a receipt, and waits until it is answered; False if there is nothing new to sign."""
        up, down = self._meter.up, self._meter.down
        if (up, down) == self._signed:
            return False
        async with self._receipting:
            await self._sign(self._meter.up, self._meter.down)
        return True

    async def _sign(self, up: int, down: int) -> None:
        line, self._signed_at = self._line, max(self._signed_at, self._line.clock.now())  # also if the clock is set back
        now = self._signed_at
        self._sequence += 1
        self._signed = (up, down)
        duration = max(0, int(now - self._began))
        receipt = UsageReceipt(line.key.address, self.session_id, self._sequence, up, down, duration, line.rtt_us, int(now))
        signed = sign(receipt, line.domain, line.key)
        line.store.keep_receipt(signed)
        self._meter.note_receipt(up + down)
        self._answered.clear()
        await line.control.send(RECEIPT, signed)
        await self._answered.wait()

    async def _say_goodbye(self, reason: str) -> None:
        self._said_goodbye = True
        await self._line.control.send(GOODBYE, Word(reason, ""))

    async def _listen(self) -> None:
        try:
            while not self.closed.is_set():
                kind, message = await self._line.control.receive(REPORTED, PONG, GOODBYE)
                if kind == GOODBYE and self._said_goodbye:
                    self._end(self._parting or "done")
                elif kind == GOODBYE and self._closing:
                    continue  # it is on its way, behind a last receipt
                elif kind == GOODBYE:
                    self._part(message.code if message.code in TABLE else LOST)
                elif kind == REPORTED:
                    await self._take_report(message.report)
                    self._meter.credit = message.credit
                    self._meter.note_receipt(sum(self._signed))
                self._answered.set()
        except (ChannelError, CodecError):
            self._end(self._parting or LOST)

    async def _take_report(self, signed: Signed[UsageReport]) -> None:
        report: Any = verify(signed, self._line.domain)
        if (report.provider, report.session_id, report.sequence) != (self.provider, self.session_id, self._sequence):
            raise CodecError("wrong_type", "the report is about something else")
        self._line.store.note_report(signed)
        self._meter.receipted, self._meter.reported = sum(self._signed), report.bytes_up + report.bytes_down

    def _part(self, reason: str) -> None:
        """No new stream is carried; what is under way arrives, a last receipt is signed, then the session ends."""
        if not (self._parting or self._closing):
            self._parting = reason
            self._due.set()

    def _end(self, reason: str) -> None:
        """Only the first reason counts."""
        if self.closed.is_set():
            return
        self.reason = reason
        self.closed.set()
        self._quiet.set()
        self._due.set()
        self._answered.set()
        self._stop_streams()
        self._line.control.close(politely=True)
        self._line.store.end(self.session_id, reason, self._line.clock.now())


def _close(channel: Channel | None) -> None:
    if channel is not None:
        channel.close()
