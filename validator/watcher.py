"""Watches the others: whatever can be proven against them is looked for and reported, beside closing and without holding it up.

One step, repeated; everything it needs is on disk or on chain (see `validator.investigation` and `validator.reporting`).
"""

from __future__ import annotations

import logging

from chain.client import ChainClient
from chain.epochs import Timing
from chain.types import Address, Digest, to_hex
from validator.agreement import stagger_s
from validator.frauds import Fraud
from validator.investigation import Investigation, Sighting, proposed_rounds
from validator.reporting import Progress, Reporter
from validator.verdict import Verdict, verdict_on

log = logging.getLogger(__name__)


class Watcher:
    """One validator's watch over the others, and its look at what was decided about itself."""

    def __init__(self, chain: ChainClient, investigation: Investigation, reporter: Reporter) -> None:
        self._chain, self._investigation, self._reporter = chain, investigation, reporter
        self._timing: Timing = chain.network.timing
        self._me: Address = reporter.me
        # What follows is only remembered to save work and words.
        self._refused: set[Digest] = set()
        self._first_seen: dict[tuple[str, Address], int] = {}
        self._looked_at: Digest | None = None
        self._asked_at, self._asked = 0, 0
        self.proven = 0
        self.verdict: Verdict | None = None

    @property
    def withheld(self) -> str:
        """The root that cannot be judged, since nobody serves its state or that makes another root; empty if there is none."""
        posted = self._investigation.withheld
        return "" if posted is None else to_hex(posted.root)

    async def step(self) -> None:
        """Looks once, and does what can be done now; without a new block, nothing. Raises `Recoverable` errors, of the chain; a peer that
        fails is no error."""
        block = await self._chain.latest()
        if block.hash == self._looked_at:
            return
        sighting = Sighting(block, await self._chain.view(block))
        await self._look_at_oneself(sighting)
        await self._slash(sighting)
        if all(sighting.view.convictions[account].reporter != self._me for account in sighting.view.unslashed()):
            await self._reporter.collect(sighting.view, block)  # all that a report brings at once
        await self._refute(sighting)
        # The root first: its time runs out.
        await self._report_one(await self._investigation.try_root(sighting), sighting)
        await self._investigation.read_postings(sighting.view)
        await self._ask(sighting)
        for fraud in self._investigation.signed_twice(sighting.view):
            await self._report_one([fraud], sighting)
        self._looked_at = block.hash

    async def _report_one(self, frauds: list[Fraud], sighting: Sighting) -> None:
        """The next step for the first of these proofs that the Judge has not refused: one is enough."""
        for fraud in frauds:
            evidence = fraud.proof.digest()
            if evidence in self._refused:
                continue
            progress = await self._reporter.report(fraud, sighting.block)
            if progress is Progress.REFUSED:
                self._refused.add(evidence)
                continue
            self.proven += progress is Progress.PROVEN
            return

    async def _slash(self, sighting: Sighting) -> None:
        """Takes the stake of convicts: the reporter at once, the others in turn, if it is not gone by then."""
        for account in sighting.view.unslashed():
            mine = sighting.view.convictions[account].reporter == self._me
            if account != self._me and self._is_my_turn("slash", account, sighting, at_once=mine):
                await self._reporter.slash(account, sighting.block)

    async def _refute(self, sighting: Sighting) -> None:
        """Shows the leaves of those who announced a withdrawal without one: it would take what they have spent from other depositors."""
        announced = {account for account, deposit in sighting.view.deposits.items() if deposit.payable_at}
        tree = await self._investigation.active_tree(sighting.view, sighting.block.timestamp) if announced else None
        for index, leaf in enumerate(tree.leaves if tree is not None else ()):
            if tree is not None and leaf.account in announced and self._is_my_turn("refute", leaf.account, sighting):
                await self._reporter.refute(leaf, tree.path(index), sighting.block)

    def _is_my_turn(self, what: str, account: Address, sighting: Sighting, *, at_once: bool = False) -> bool:
        """Whether to do what any validator may: in turn, by ascending address, counted from when it was first seen to be needed."""
        accounts = [one.account for one in sighting.view.validators()]
        place = accounts.index(self._me) if self._me in accounts else len(accounts)
        since = self._first_seen.setdefault((what, account), sighting.block.timestamp)
        turn = 0 if at_once else 1 + place
        return sighting.block.timestamp >= since + turn * stagger_s(self._timing)

    async def _ask(self, sighting: Sighting) -> None:
        """Asks the others what they know of one round, the recent ones in rotation, once in a while."""
        second = sighting.block.timestamp
        if second < self._asked_at + stagger_s(self._timing):
            return
        rounds = proposed_rounds(sighting.view, self._timing.epoch_at(second))
        if rounds:
            self._asked_at, self._asked = second, self._asked + 1
            await self._investigation.ask(sighting.view, *rounds[self._asked % len(rounds)])

    async def _look_at_oneself(self, sighting: Sighting) -> None:
        """Says once why this account was convicted, and once more when its stake is taken."""
        conviction = sighting.view.convictions.get(self._me)
        if conviction is None or (self.verdict is not None and self.verdict.slashed == conviction.slashed):
            return
        self.verdict = await verdict_on(self._me, self._chain, sighting.view)
        if self.verdict is not None:
            log.error("%s", self.verdict)
