"""Covers sessions: a claim of a provider is checked, promised and receipted. Whoever sends the same claim again gets the same receipt.

A promise is about a deposit at the newest final block and the state of the active root, both as this validator sees them; it gives none
while it sees neither, or nothing newer than the last epoch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from chain.client import ChainClient
from chain.errors import CodecError
from chain.keys import NodeKey
from chain.typed import Domain, Signed, sign, verify
from chain.types import Address, Digest
from chain.view import ChainView
from runtime.clock import Clock
from validator.archive import Archive
from validator.closing import Closing
from validator.demand import Interval, Standing, released_before
from validator.ledger import Ledger
from validator.state import AccountState, decode_state
from wire.messages import DemandReceipt, SessionRequest
from wire.refusals import Refused
from wire.sessions import Budget, DemandClaim, check_offer, check_request, is_acceptance, session_id

MAX_AT_ONCE = 64
"""Claims being verified; more are told to come back."""


class Demands:
    """One validator's promises. Counts what it covered and refused since it started."""

    def __init__(
        self,
        key: NodeKey,
        chain: ChainClient,
        archive: Archive,
        ledger: Ledger,
        closing: Closing,
        clock: Clock,
        born: int,
        reached: Callable[[str], None],
    ) -> None:
        self._key, self._network, self._archive, self._ledger = key, chain.network, archive, ledger
        self._closing, self._clock, self._reached = closing, clock, reached
        self._born = chain.network.timing.epoch_at(born)
        self._at_once = 0
        self._accounts: tuple[Digest, Mapping[Address, AccountState]] | None = None
        self.covered = self.refused = 0

    async def cover(self, claim: DemandClaim) -> Signed[DemandReceipt]:
        """The receipt, once promise and receipt are on disk; `Refused` otherwise."""
        if self._at_once >= MAX_AT_ONCE:
            raise Refused("busy", next_try=int(self._clock.now()) + 1)
        self._at_once += 1
        try:
            return await self._cover(claim)
        except Refused:
            self.refused += 1
            raise
        finally:
            self._at_once -= 1

    async def budget(self, consumer: Address) -> Budget:
        """What could be promised of a consumer's deposit now."""
        standing = await self._standing(consumer)
        next_from, most = self._ledger.look(consumer, standing)
        return Budget(self._key.address, consumer, standing.held, standing.spent, next_from, most, standing.leaving)

    async def _cover(self, claim: DemandClaim) -> Signed[DemandReceipt]:
        request, offer, domain = claim.request.message, claim.offer.message, self._network.domain
        name = await asyncio.to_thread(session_id, request, offer, domain)
        if not is_acceptance(claim.acceptance.message, request.consumer, name):
            raise Refused("not_accepted")
        known = self._ledger.receipt(name)
        if known is not None:
            return known
        self._check_ledger()
        self._check_times(request, offer.expiry)
        check_offer(request, offer, domain)
        await self._standing(request.consumer, wanted=True)
        await asyncio.to_thread(_check_signatures, claim, domain)
        standing = await self._standing(request.consumer)
        # From here to the commit nothing else runs.
        now = int(self._clock.now())
        interval = Interval(request.budget_from, request.budget_to)
        message = DemandReceipt(self._key.address, request.consumer, offer.provider, name, interval.start, interval.end, now)
        epoch = self._network.timing.epoch_at(now)
        receipt = self._ledger.promise(name, request.consumer, interval, epoch, standing, lambda: sign(message, domain, self._key))
        self.covered += 1
        self._reached("demand_stored")
        return receipt

    def _check_ledger(self) -> None:
        """`Refused` (`not_yet`) while something may bind that this validator promised before its database was made. Networks start in the
        first epoch, so that one is excepted."""
        if self._born > 1 and released_before(self._view()) <= self._born:
            why = f"what this validator promised until epoch {self._born} is not in its database, and may bind"
            raise Refused("not_yet", why, next_try=int(self._clock.now()) + self._network.timing.epoch_length)

    def _check_times(self, request: SessionRequest, offer_expiry: int) -> None:
        """As `check_request`, with what the clocks may differ by."""
        now, tolerance_s = self._clock.now(), self._network.rules.tolerance_s
        check_request(request, self._network.rules, max(now - tolerance_s, min(now, request.expiry - 1)))
        if offer_expiry + tolerance_s <= now:
            raise Refused("stale_time", "the offer has expired", {"expiry": str(offer_expiry), "now": str(int(now))})

    async def _standing(self, consumer: Address, wanted: bool = False) -> Standing:
        """`Refused`: `chain_unavailable` without a recent view, `not_yet` without the active root's state; `no_deposit` if it is wanted."""
        view = self._view()
        deposit = view.deposit_of(consumer)
        if wanted and not deposit.held:
            raise Refused("no_deposit", "", {"held": "0"})
        account = (await self._accounts_at(view)).get(consumer)
        spent, settled = (account.spent, account.settled) if account is not None else (0, 0)
        leaving = deposit.exit_epoch is not None or bool(deposit.payable_at)
        return Standing(deposit.held, spent, settled, leaving, released_before(view))

    def _view(self) -> ChainView:
        """The newest final view, if it is of this epoch or the last one: the roots that receipts of one session are given under must not be
        further apart than `demand.ROOTS_BACK`."""
        sight, timing, now = self._closing.sight, self._network.timing, self._clock.now()
        if sight is None or sight.view.block.timestamp < timing.start_of(timing.epoch_at(now) - 1):
            raise Refused("chain_unavailable", next_try=int(now) + 1)
        return sight.view

    async def _accounts_at(self, view: ChainView) -> Mapping[Address, AccountState]:
        posted = view.active_posting(view.block.timestamp)
        if posted is None:
            return {}
        if self._accounts is None or self._accounts[0] != posted.state_digest:
            found = await asyncio.to_thread(self._read, posted.state_digest)
            if found is None:
                raise Refused("not_yet", "the state of the active root is not here yet", next_try=int(self._clock.now()) + 5)
            self._accounts = posted.state_digest, found
        return self._accounts[1]

    def _read(self, digest: Digest) -> Mapping[Address, AccountState] | None:
        data = self._archive.file(digest)
        return None if data is None else {account.account: account for account in decode_state(data).accounts}


def _check_signatures(claim: DemandClaim, domain: Domain) -> None:
    parts: tuple[Signed[Any], ...] = (claim.request, claim.offer, claim.acceptance)
    for signed in parts:
        try:
            verify(signed, domain)
        except CodecError as error:
            raise Refused(error.code, error.detail, {"at": type(signed.message).__name__}) from error
