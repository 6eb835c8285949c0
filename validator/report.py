"""How far each of the newest epochs is, in the words of `GET /v1/status`: a view of the database and the chain, for people and tests."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from chain.backend import RpcError
from chain.client import ChainClient
from chain.errors import Recoverable
from chain.events import Posted
from chain.typed import digest_of
from chain.types import Address, Digest, to_hex
from validator.agreement import open_epoch
from validator.archive import Archive
from validator.closing import Closing
from validator.journal import Journal
from validator.sight import Sight
from validator.verdict import Verdict

log = logging.getLogger(__name__)

SHOWN = 8
"""Epochs shown."""


class Report:
    """One validator's account of the newest epochs."""

    def __init__(self, me: Address, chain: ChainClient, archive: Archive, journal: Journal, closing: Closing) -> None:
        self._me, self._chain, self._archive, self._journal, self._closing = me, chain, archive, journal, closing
        self._senders: dict[Digest, str] = {}

    async def epochs(self) -> list[Mapping[str, Any]]:
        """Newest first. state: collecting, inventoried, proposed, attested, quorum, posting, posted, active or dead; and for a posted
        epoch its round, root, transaction, who sent it, who signed, totals in wei."""
        sight = self._closing.sight
        if sight is None:
            return []
        current = self._chain.network.timing.epoch_at(sight.latest.timestamp)
        return [await self._epoch(epoch, sight) for epoch in range(current, max(0, current - SHOWN), -1)]

    def stake(self) -> Mapping[str, Any]:
        """What this validator has bonded, and what it could get; amounts in wei. Empty until the chain has been read."""
        sight = self._closing.sight
        if sight is None:
            return {}
        listing, leaving = sight.view.listing(self._me), sight.view.unbonding.get(self._me)
        return {
            "bonded": str(listing.stake if listing is not None else 0),
            "maximum": str(listing.max_stake if listing is not None else 0),
            "unbonding": str(leaving.amount if leaving is not None else 0),
            "unbondingFreeAt": leaving.release_at if leaving is not None else 0,
            "share": str(sight.view.shares.get(self._me, 0)),
        }

    async def _epoch(self, epoch: int, sight: Sight) -> Mapping[str, Any]:
        posted = sight.view.posting(epoch)
        if posted is None:
            return {"epoch": epoch, "state": self._state(epoch, sight)}
        return {
            "epoch": epoch,
            "state": _state_of(posted, sight),
            "round": posted.round,
            "through": posted.through,
            "root": posted.root,
            "tx": posted.at.transaction,
            "postedBy": await self._sender(posted),
            "signers": list(sight.view.signers[epoch]),
            "earned": str(posted.total_earned),
            "manifest": posted.manifest_digest,
            "stateDigest": posted.state_digest,
        }

    def _state(self, epoch: int, sight: Sight) -> str:
        if open_epoch(self._chain.network.timing, sight.latest.timestamp) == epoch:
            if self._closing.is_posting(epoch):
                return "posting"
            candidate = next((one for one in reversed(sight.view.proposed) if one.epoch == epoch), None)
            if candidate is not None and self._closing.has_quorum(candidate.digest):
                return "quorum"
            if candidate is not None:
                bound = self._journal.signed(epoch, candidate.round)
                signed = bound is not None and digest_of(bound, self._chain.network.domain) == candidate.digest
                return "attested" if signed else "proposed"
        elif sight.latest.timestamp > self._chain.network.timing.post_end(epoch):
            return "dead"
        return "inventoried" if self._archive.inventory(epoch, self._me) is not None else "collecting"

    async def _sender(self, posted: Posted) -> str:
        """The account that sent the transaction; empty while the chain's node does not tell: a view of the rest is better than none."""
        transaction = posted.at.transaction
        if transaction not in self._senders:
            try:
                found = await self._chain.backend.request("eth_getTransactionByHash", [to_hex(transaction)])
            except (RpcError, Recoverable) as error:
                log.info("the chain's node does not tell who sent %s: %s", to_hex(transaction), error)
                return ""
            if not isinstance(found, dict):
                return ""
            self._senders[transaction] = str(found["from"]).lower()
        return self._senders[transaction]


def conviction(verdict: Verdict | None) -> Mapping[str, Any]:
    """Why this validator was convicted; empty if it was not."""
    if verdict is None:
        return {}
    return {
        "proof": verdict.proof,
        "reason": verdict.reason,
        "epoch": verdict.epoch,
        "round": verdict.round,
        "root": verdict.root,
        "reporter": verdict.reporter,
        "transaction": verdict.transaction,
        "slashed": verdict.slashed,
        "amount": str(verdict.amount),
    }


def _state_of(posted: Posted, sight: Sight) -> str:
    if posted.epoch in sight.view.cancelled:
        return "dead"
    return "active" if posted.active_at <= sight.latest.timestamp else "posted"
