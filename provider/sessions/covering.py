"""Has a session covered: shows the claim to every validator at once, until two thirds of the stake have signed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from chain.epochs import Timing
from chain.typed import Domain, Signed
from chain.types import Address, Digest
from chain.view import ChainView
from provider.peers import claim_demand
from provider.sessions.records import StoredSession
from runtime.clock import Clock
from wire.http import Client, PeerError, PeerRefused
from wire.messages import DemandReceipt
from wire.refusals import TABLE, Refused
from wire.sessions import DemandClaim, covers

COVER_S = 15.0
OPENING_S = 1.0
"""After a session was covered it is written: later receipts are added to it no earlier."""

Answer = asyncio.Task[Signed[DemandReceipt]]

Cover = tuple[tuple[Signed[DemandReceipt], ...], Mapping[Address, int]]
"""Demand receipts, and the stakes of all validators in wei."""


class Coverage(Protocol):
    async def cover(self, claim: DemandClaim, session_id: Digest) -> Cover:
        """Receipts of two thirds of the stake; `Refused` otherwise."""

    async def lapsed(self, session: StoredSession, epoch: int) -> str:
        """Why receipts of this session count no more in `epoch`, as far as the chain says by now: a code of `wire.refusals`, or nothing."""


class Lists(Protocol):
    """`provider.peers.Roster`."""

    async def view(self) -> ChainView:
        """The newest final view."""

    async def view_for(self, epoch: int) -> ChainView:
        """The view whose lists are those of an epoch."""


class Covering:
    """Asks the validators that the chain lists. keep: is given the receipts that come after a session was covered; `Refused` if it does not
    know the session."""

    def __init__(
        self, roster: Lists, client: Client, clock: Clock, domain: Domain, timing: Timing,
        keep: Callable[[Digest, Sequence[Signed[DemandReceipt]]], None],
    ) -> None:  # fmt: skip
        self._roster, self._client, self._clock, self._domain, self._timing, self._keep = roster, client, clock, domain, timing, keep
        self._late: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Waits for no validator any more."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def cover(self, claim: DemandClaim, session_id: Digest) -> Cover:
        """`Refused`: the validators' own code if those that refuse agree on one, else `not_covered`.

        Validators that have not answered when two thirds have signed are waited for in the background, at most `COVER_S` more: with their
        receipts the session stays payable should others lose their stake.
        """
        view = await self._roster.view_for(self._timing.epoch_at(self._clock.now()))
        validators = view.validators()
        stakes = {one.account: int(one.stake) for one in validators}
        asked = {asyncio.create_task(claim_demand(self._client, one, claim, self._domain)) for one in validators}
        waiting = set(asked)
        found: list[Signed[DemandReceipt]] = []
        codes: set[str] = set()
        covered = False
        try:
            async with asyncio.timeout(COVER_S):
                while waiting and not covered:
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    signed, refused = _sorted_out(done)
                    found += signed
                    codes |= refused
                    covered = 3 * sum(stakes[one.message.validator] for one in found) >= 2 * sum(stakes.values()) > 0
        except TimeoutError:
            codes.add("not_covered")
        finally:
            if covered and waiting:
                task = asyncio.create_task(self._keep_late(session_id, waiting))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
            else:
                await _end(waiting)
        if covered:
            return tuple(found), stakes
        code = codes.pop() if len(codes) == 1 else "not_covered"
        raise Refused(code if code in TABLE else "not_covered", "", {"receipts": str(len(found)), "validators": str(len(validators))})

    async def lapsed(self, session: StoredSession, epoch: int) -> str:
        """`no_deposit` if the consumer had exited so early that validators saw it only after they had signed: no receipt counts after the
        epoch that follows the exit. `session_not_covered` if those who signed hold less than two thirds of the stake of this epoch."""
        exited = (await self._roster.view()).deposit_of(session.consumer).exit_epoch
        if exited is not None and epoch > exited + 1:
            return "no_deposit"
        stakes = {one.account: int(one.stake) for one in (await self._roster.view_for(epoch)).validators()}
        covered = covers((signed.message for signed in session.demand), epoch, self._timing, stakes)
        return "" if covered else "session_not_covered"

    async def _keep_late(self, session_id: Digest, waiting: set[Answer]) -> None:
        try:
            await self._clock.sleep(OPENING_S)
            done, _ = await asyncio.wait(waiting, timeout=COVER_S)
            late, _ = _sorted_out(done)
            if late:
                with contextlib.suppress(Refused):  # it was not opened after all
                    await asyncio.to_thread(self._keep, session_id, late)
        finally:
            await _end(waiting)


def _sorted_out(answers: Iterable[Answer]) -> tuple[list[Signed[DemandReceipt]], set[str]]:
    """The receipts among answers that are there, and the codes of the others."""
    receipts, codes = [], set()
    for answer in answers:
        try:
            receipts.append(answer.result())
        except PeerRefused as refused:
            codes.add(refused.code)
        except PeerError:
            codes.add("not_covered")
    return receipts, codes


async def _end(tasks: set[Answer]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
