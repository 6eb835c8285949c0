"""Proofs of each open epoch, made when they are due, and handed in until validators with 2/3 of the stake have receipted the newest one."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from chain.typed import sign
from chain.types import Address, Digest
from chain.view import Listing
from provider.duties import Errands
from provider.equipment import Equipment
from provider.errors import UnusableStatement
from provider.evidence import check_report, epoch_is_open
from provider.heartbeat import final_second
from provider.peers import ask_for_report, hand_in
from provider.proofs import build_proof, is_due, says_more
from provider.store import NOT_RECEIPTED, RECEIPTED, StoredProof
from wire.http import PeerError, PeerRefused
from wire.messages import ActivityProof, UsageReceipt

log = logging.getLogger(__name__)

COLLECT = "collect"
KEPT_EPOCHS = 32
"""For so long sessions stay on disk after their last epoch."""


class Proving:
    """Makes proofs and hands them in."""

    def __init__(self, equipment: Equipment, errands: Errands) -> None:
        self._eq, self._errands = equipment, errands
        self._node, self._store = equipment.node, equipment.store
        self._sessions = equipment.store.sessions(equipment.node.network.timing)
        self._collected: dict[int, set[Address]] = {}
        self._collect_at: dict[int, float] = {}
        self._asked: dict[int, list[Address]] = {}
        self._tries: dict[tuple[Digest, Address], tuple[int, float]] = {}

    async def step(self) -> float:
        """Makes the proofs that are due and starts handing in what is open; when to look again."""
        clock, timing = self._node.clock, self._node.network.timing
        epoch = timing.epoch_at(clock.now())
        for candidate in (epoch - 1, epoch):
            if epoch_is_open(candidate, clock.now(), timing):
                await self._prove(candidate)
        await self._hand_in_all()
        return self._next_turn()

    # Making

    async def _prove(self, epoch: int) -> None:
        timing, rules = self._node.network.timing, self._node.network.rules
        now = self._node.clock.now()
        if now < timing.end_of(epoch):
            if is_due(self._store.progress(epoch), rules.proof_every):
                self._keep(await self._candidate(epoch))
        elif now >= final_second(timing, epoch, self._node.address):
            await self._collect(epoch)
            if now < self._patience_end(epoch) and any((COLLECT, epoch, master) in self._errands for master in self._asked[epoch]):
                return
            candidate, newest = await self._candidate(epoch), self._store.newest_proof(epoch)
            if says_more(candidate, newest.signed.message if newest else None):
                self._keep(candidate)

    async def _candidate(self, epoch: int) -> ActivityProof:
        """What a proof made now would hold: of the statements on disk those whose signers may sign for the epoch, and the sessions that
        receipts of validators with stake in it make payable."""
        view, rules = await self._eq.roster.view_for(epoch), self._node.network.rules
        resolvers, masters = ({listing.account for listing in listed} for listed in (view.resolvers(), view.masters()))
        held = self._store.held(epoch).of(resolvers, masters)
        entries = self._store.entries(rules.proof_max_log_entries)
        stakes = {validator.account: validator.stake for validator in view.validators()}
        proven = self._proven(epoch - 1)
        sessions = await asyncio.to_thread(self._sessions.evidence, epoch, stakes, rules.proof_max_sessions, proven)
        sequence = self._store.next_sequence(self._node.clock.now())
        return build_proof(self._node.address, epoch, sequence, held, entries, rules, self._node.domain, sessions)

    def _proven(self, epoch: int) -> frozenset[UsageReceipt]:
        """The consumers' receipts that validators took in the epoch's newest proof."""
        newest = self._store.newest_proof(epoch)
        if newest is None or newest.outcome != RECEIPTED:
            return frozenset()
        return frozenset(receipt.message for session in newest.signed.message.sessions for receipt in session.receipts)

    def _keep(self, proof: ActivityProof) -> None:
        self._store.keep_proof(sign(proof, self._node.domain, self._node.key), self._node.clock.now())
        self._eq.reached("proof_stored")

    async def _collect(self, epoch: int) -> None:
        """Fetches the final reports of an ended epoch, from each master once; from those that do not answer again after a while."""
        now, timing = self._node.clock.now(), self._node.network.timing
        if now < self._collect_at.get(epoch, 0.0):
            return
        done = self._collected.setdefault(epoch, set())
        masters = [master for master in (await self._eq.roster.view()).masters() if master.account not in done]
        self._asked[epoch] = [master.account for master in masters]
        for master in masters:
            self._errands.start((COLLECT, epoch, master.account), partial(self._collect_of, master, epoch, done))
        self._collect_at[epoch] = now + max(0.5, timing.intake / 60) if masters else float(timing.intake_end(epoch))
        self._sessions.forget(epoch - KEPT_EPOCHS)
        for old in [e for e in self._collected if e < epoch]:
            del self._collected[old], self._collect_at[old], self._asked[old]

    async def _collect_of(self, master: Listing, epoch: int, done: set[Address]) -> None:
        try:
            signed = await ask_for_report(self._node.client, master, epoch, self._node.address)
            now, view = self._node.clock.now(), await self._eq.roster.view()
            check_report(signed, self._node.address, now, view, self._node.network.timing, self._node.domain)
        except PeerRefused as refused:
            if refused.code == "not_found":
                done.add(master.account)
            return
        except (PeerError, UnusableStatement) as error:
            log.warning("the final report of master %s for epoch %d is missing: %s", master.account, epoch, error)
            return
        self._store.hold_report(signed, now, f"epoch {epoch} final master {master.account}")
        done.add(master.account)

    # Handing in

    async def _hand_in_all(self) -> None:
        proofs = self._store.open_proofs()
        open_digests = {proof.digest for proof in proofs}
        self._tries = {key: value for key, value in self._tries.items() if key[0] in open_digests}
        for proof in proofs:
            await self._hand_in(proof)

    async def _hand_in(self, proof: StoredProof) -> None:
        now = self._node.clock.now()
        if now >= self._node.network.timing.intake_end(proof.epoch):
            log.warning("the newest proof of epoch %d was not receipted by validators with 2/3 of the stake in time", proof.epoch)
            self._store.close_proof(proof, NOT_RECEIPTED, now)
            return
        validators = (await self._eq.roster.view()).validators()
        receipted = {receipt.message.validator for receipt in self._store.receipts(proof.digest)}
        stake = sum(validator.stake for validator in validators if validator.account in receipted)
        if stake and 3 * stake >= 2 * sum(validator.stake for validator in validators):
            self._store.close_proof(proof, RECEIPTED, now)
            self._eq.reached("receipted")
            return
        for validator in validators:
            name = (proof.digest, validator.account)
            if validator.account not in receipted and self._tries.get(name, (0, 0.0))[1] <= now:
                self._errands.start(name, partial(self._hand_in_to, validator, proof))

    async def _hand_in_to(self, validator: Listing, proof: StoredProof) -> None:
        key = (proof.digest, validator.account)
        tries = self._tries.get(key, (0, 0.0))[0] + 1
        heartbeat_s = self._node.network.rules.heartbeat_s
        pause = min(2.0 * heartbeat_s, heartbeat_s / 8 * 2 ** min(tries, 8))
        again = self._node.clock.now() + pause
        self._tries[key] = (tries, again)
        try:
            receipt = await hand_in(self._node.client, validator, proof, self._node.domain)
        except PeerRefused as refused:
            if key in self._tries:  # its intake may have closed, and the try been forgotten, while this answer was on its way
                self._tries[key] = (tries, max(again, float(refused.next_try)))
            log.warning("validator %s does not take the proof of epoch %d, try %d: %s", validator.account, proof.epoch, tries, refused)
        except PeerError as error:
            log.warning("validator %s does not take the proof of epoch %d, try %d: %s", validator.account, proof.epoch, tries, error)
        else:
            self._store.keep_receipt(receipt)

    def _patience_end(self, epoch: int) -> float:
        """Until when the final proof waits for the masters' final reports."""
        timing = self._node.network.timing
        return final_second(timing, epoch, self._node.address) + timing.intake / 8

    def _next_turn(self) -> float:
        """The next retry, the close of an intake, or when final statements are collected, whichever comes first."""
        now, timing = self._node.clock.now(), self._node.network.timing
        epoch = timing.epoch_at(now)
        turns = [float(timing.genesis) if epoch == 0 else final_second(timing, epoch, self._node.address)]
        if epoch > 1:
            turns += [final_second(timing, epoch - 1, self._node.address), self._patience_end(epoch - 1)]
            turns += [self._collect_at.get(epoch - 1, 0.0)]
        turns += [at for _, at in self._tries.values()]
        turns += [float(timing.intake_end(proof.epoch)) for proof in self._store.open_proofs()]
        return min((turn for turn in turns if turn > now), default=now + 1.0)
