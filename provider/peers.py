"""Whom a provider talks to, as listed on chain, and what it accepts as their answers: signed by the one asked, about what was asked.

Every call raises `PeerRefused`, `PeerMisbehaved` or `PeerUnavailable` (`wire.http`).
"""

from __future__ import annotations

import logging
from typing import Any

from chain.backend import RpcError
from chain.canonical import decode
from chain.client import ChainClient
from chain.errors import CodecError, Recoverable
from chain.typed import Domain, Signed, verify
from chain.types import Address
from chain.view import ChainView, Listing
from provider.errors import NoPeer
from provider.store import StoredProof
from runtime.clock import Clock
from wire.answers import PoolAnswer
from wire.http import Client, PeerMisbehaved, is_code
from wire.messages import Announcement, DemandReceipt, LatencyReport, ProofReceipt
from wire.sessions import DemandClaim

log = logging.getLogger(__name__)


class Roster:
    """The network's nodes as the chain lists them; what was read last serves while the chain's node is silent."""

    def __init__(self, chain: ChainClient, clock: Clock, fresh_s: float, preferred: Address | None = None) -> None:
        self._chain, self._clock, self._fresh_s, self._preferred = chain, clock, fresh_s, preferred
        self._view: ChainView | None = None
        self._read_at = 0.0
        self._at_start: dict[int, ChainView] = {}

    async def view(self) -> ChainView:
        """The newest final view, at most `fresh_s` seconds old if the chain's node answers."""
        if self._view is not None and self._clock.now() - self._read_at < self._fresh_s:
            return self._view
        try:
            self._view = await self._chain.view()
        except (RpcError, Recoverable) as error:
            if self._view is None:
                raise
            log.warning("the chain cannot be read, so the lists of block %d go on to serve: %s", self._view.block.number, error)
        self._read_at = self._clock.now()
        return self._view

    async def view_for(self, epoch: int) -> ChainView:
        """The view whose resolvers and masters may sign for an epoch: at the anchor of the one before, else the newest final one."""
        if epoch not in self._at_start and epoch > 1:
            try:
                anchor = await self._chain.anchor(epoch - 1)
                if anchor is not None:
                    self._at_start = {e: v for e, v in self._at_start.items() if e >= epoch - 1}
                    self._at_start[epoch] = await self._chain.view(anchor)
            except (RpcError, Recoverable) as error:
                log.warning("the lists at the start of epoch %d cannot be read, the newest ones serve: %s", epoch, error)
        return self._at_start.get(epoch) or await self.view()

    async def resolver(self, attempt: int) -> Listing:
        """The resolver to announce to: the preferred one if it is listed, else by listing order, another at each `attempt`."""
        listed = (await self.view()).resolvers()
        chosen = next((listing for listing in listed if listing.account == self._preferred), None)
        if chosen is None and not listed:
            raise NoPeer("resolver")
        return chosen or listed[attempt % len(listed)]


async def ask_pool(client: Client, resolver: Listing, path: str, value: Any) -> PoolAnswer:
    """Posts an announcement, a heartbeat, a report batch or a goodbye; the tickets in the answer are yet to be verified."""
    answer: PoolAnswer = _decoded(PoolAnswer, await client.post(resolver.endpoint, path, value), resolver)
    if answer.observer != resolver.account:
        raise PeerMisbehaved(f"{resolver.endpoint} is {answer.observer[:42]}, the chain lists {resolver.account} there")
    if not (is_code(answer.state) and is_code(answer.code)):  # both go into the activity log, and with it into proofs
        raise PeerMisbehaved(f"{resolver.endpoint} names a state or a code that is none")
    return answer


async def ask_for_check(client: Client, master: Listing, announcement: Signed[Announcement]) -> Signed[LatencyReport]:
    """Asks a master to take the echoes of this slot and dial back; the report is yet to be verified."""
    found: Signed[LatencyReport] = _decoded(Signed[LatencyReport], await client.post(master.endpoint, "/v1/checks", announcement), master)
    return _of(master, found)


async def ask_for_report(client: Client, master: Listing, epoch: int, provider: Address) -> Signed[LatencyReport]:
    """A master's newest report; it is yet to be verified."""
    content = await client.get(master.endpoint, f"/v1/reports/{epoch}/{provider}")
    found: Signed[LatencyReport] = _decoded(Signed[LatencyReport], content, master)
    return _of(master, found)


async def hand_in(client: Client, validator: Listing, proof: StoredProof, domain: Domain) -> Signed[ProofReceipt]:
    """Posts a proof as stored; the receipt is verified to be this validator's and for this proof."""
    content = await client.post(validator.endpoint, "/v1/proofs", proof.raw)
    signed: Signed[ProofReceipt] = _decoded(Signed[ProofReceipt], content, validator)
    try:
        receipt = verify(signed, domain)
    except CodecError as error:
        raise PeerMisbehaved(f"{validator.endpoint} answers with a receipt that does not verify: {error}") from error
    subject = (receipt.validator, receipt.provider, receipt.epoch, receipt.proof)
    if subject != (validator.account, proof.signed.message.provider, proof.epoch, proof.digest):
        raise PeerMisbehaved(f"{validator.endpoint} answers with a receipt for something else")
    return signed


async def claim_demand(client: Client, validator: Listing, claim: DemandClaim, domain: Domain) -> Signed[DemandReceipt]:
    """Asks a validator to cover a session; the receipt is verified to be this validator's and for this session and interval.

    In which epochs it counts is for `wire.sessions.payable_epochs` to say.
    """
    content = await client.post(validator.endpoint, "/v1/demands", claim)
    signed: Signed[DemandReceipt] = _decoded(Signed[DemandReceipt], content, validator)
    try:
        receipt = verify(signed, domain)
    except CodecError as error:
        raise PeerMisbehaved(f"{validator.endpoint} answers with a demand receipt that does not verify: {error}") from error
    request, offer = claim.request.message, claim.offer.message
    said = (receipt.validator, receipt.consumer, receipt.provider, receipt.session_id, receipt.budget_from, receipt.budget_to)
    asked = (request.consumer, offer.provider, claim.acceptance.message.session_id, request.budget_from, request.budget_to)
    if said != (validator.account, *asked):
        raise PeerMisbehaved(f"{validator.endpoint} answers with a demand receipt for something else")
    return signed


def _of(master: Listing, signed: Signed[LatencyReport]) -> Signed[LatencyReport]:
    if signed.message.master != master.account:
        raise PeerMisbehaved(f"{master.endpoint} answers with a report of {signed.message.master}, the chain lists {master.account} there")
    return signed


def _decoded(struct: Any, content: bytes, peer: Listing) -> Any:
    try:
        return decode(struct, content)
    except CodecError as error:
        raise PeerMisbehaved(f"{peer.endpoint} answers with something else than was asked for: {error}") from error
