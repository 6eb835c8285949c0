"""Being measured anew in every slot by every master listed on chain.

Once most masters could not dial back, `undialled` is set: nobody else can dial this provider either.

Whether a master has measured this slot is read from the reports on disk, so a restart asks again only for what is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from chain.typed import Signed
from chain.types import Address
from chain.view import Listing
from provider.duties import Errands
from provider.equipment import Equipment
from provider.errors import UnusableStatement
from provider.evidence import check_report
from provider.heartbeat import measuring_second
from provider.peers import ask_for_check, ask_for_report
from provider.presence import Presence
from wire.answers import MasterView
from wire.http import PeerError, PeerRefused
from wire.messages import LatencyReport
from wire.slots import has_slot
from wire.timing import Unreachable, be_timed

log = logging.getLogger(__name__)

TRIES_PER_SLOT = 6


class Measuring:
    """Has this provider timed and dialled back."""

    def __init__(self, equipment: Equipment, presence: Presence, errands: Errands) -> None:
        self._eq, self._presence, self._errands = equipment, presence, errands
        self._node, self._store = equipment.node, equipment.store
        self._views: dict[Address, MasterView] = {}
        self._retry_at: dict[Address, float] = {}
        self.undialled = asyncio.Event()

    @property
    def views(self) -> Mapping[Address, MasterView]:
        """How the last measurement by each master went; code `ok`, or why there is no report of it."""
        return self._views

    def begin_anew(self) -> None:
        """The place that is announced is another one: what failed at the old one says nothing about it."""
        self._retry_at.clear()
        self._views.clear()

    async def step(self) -> float:
        """Starts the measurements that are due; each hands over what it gave. When the next one is due."""
        clock, timing = self._node.clock, self._node.network.timing
        now = clock.now()
        epoch = timing.epoch_at(now)
        if epoch == 0:
            return float(timing.genesis)
        if self._presence.id is None:
            return now + 1.0
        slot = timing.slot_at(now)
        due = await self._due(epoch, slot)
        for master, second in due:
            if second <= now:
                self._errands.start(master.account, partial(self._measure_and_hand_over, master, epoch, slot))
        later = [second for _, second in due if second > now]
        return min([*later, float(timing.slot_start(epoch, slot + 1))])

    async def _due(self, epoch: int, slot: int) -> list[tuple[Listing, float]]:
        """The masters that have not measured this slot and are not at it, and when each is asked: at once if it missed the last one too."""
        timing = self._node.network.timing
        last = (epoch, slot - 1) if slot else (epoch - 1, timing.slots_per_epoch - 1)
        by, before = self._measured_by(epoch, slot), self._measured_by(*last)
        due = []
        for master in (await self._eq.roster.view()).masters():
            if master.account not in by and master.account not in self._errands:
                planned = measuring_second(timing, epoch, slot, self._node.address, master.account) if master.account in before else 0.0
                due.append((master, max(planned, self._retry_at.get(master.account, 0.0))))
        return due

    def _measured_by(self, epoch: int, slot: int) -> set[Address]:
        """The masters of whom a report is held that has this slot, made since the announced address is what it is."""
        since = 1000 * self._store.address_since()
        reports = (signed.message for signed in self._store.held(epoch).reports)
        return {report.master for report in reports if report.sequence >= since and has_slot(report.slots, slot)}

    async def _measure_and_hand_over(self, master: Listing, epoch: int, slot: int) -> None:
        if await self._measure(master, epoch, slot):
            await self._presence.hand_over()

    async def _measure(self, master: Listing, epoch: int, slot: int) -> bool:
        """One measurement; whether there is a new report."""
        clock, timing = self._node.clock, self._node.network.timing
        self._retry_at[master.account] = clock.now() + timing.slot_seconds / TRIES_PER_SLOT
        offering = self._presence.offering
        try:
            rounds = self._node.network.rules.echo_rounds
            await be_timed(master.endpoint, self._node.address, rounds, self._eq.local_host, clock, self._eq.entropy)
            signed = await self._ask(master, epoch)
            changed = await self._hold(signed, f"epoch {epoch} slot {slot} master {master.account}")
        except PeerRefused as refused:
            if offering is self._presence.offering:  # else it is about a place that was left meanwhile
                self._retry_at[master.account] = max(self._retry_at.get(master.account, 0.0), float(refused.next_try))
                self._note(master, refused.code, refused.observer, str(refused))
                if await self.is_undialled():
                    self.undialled.set()
        except (PeerError, Unreachable) as error:
            self._note(master, "no_answer", self._node.address, str(error))
        except UnusableStatement as error:
            self._note(master, error.code, self._node.address, str(error))
        else:
            code = "ok" if signed.message.address_ok else "address_mismatch"
            self._views[master.account] = MasterView(master.account, master.endpoint, code, signed.message.rtt_min_us, int(clock.now()))
            return changed
        return False

    async def _ask(self, master: Listing, epoch: int) -> Signed[LatencyReport]:
        """The report; where the master has dialled back as often as it will, the one it made then."""
        announcement = self._presence.announcement()
        if announcement is None:
            raise UnusableStatement("unknown_presence", "the presence is gone, so there is nothing to show to a master")
        try:
            return await ask_for_check(self._node.client, master, announcement)
        except PeerRefused as refused:
            if refused.code != "dial_back_limit":
                raise
            return await ask_for_report(self._node.client, master, epoch, self._node.address)

    async def _hold(self, signed: Signed[LatencyReport], detail: str) -> bool:
        view, now = await self._eq.roster.view(), self._node.clock.now()
        check_report(signed, self._node.address, now, view, self._node.network.timing, self._node.domain)
        if not self._store.hold_report(signed, now, detail):
            return False
        self._eq.reached("measured")
        return True

    async def is_undialled(self) -> bool:
        """Whether most masters could not dial back to the place that is announced."""
        masters = (await self._eq.roster.view()).masters()
        failed = sum(master.account in self._views and self._views[master.account].code == "dial_back_failed" for master in masters)
        return 2 * failed > len(masters)

    def _note(self, master: Listing, code: str, observer: str, sentence: str) -> None:
        log.warning("no report of master %s (%s, as seen by %s): %s", master.account, code, observer or "nobody", sentence)
        known = self._views.get(master.account)
        rtt = known.rtt_min_us if known else 0
        self._views[master.account] = MasterView(master.account, master.endpoint, code, rtt, int(self._node.clock.now()))
