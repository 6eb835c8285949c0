"""Finds what can be proven: validators that signed twice, and faults of the root that can be tried now.

Everything found is on the own disk before it is told, so that who was stopped finds it again. Each call does a bounded amount of work;
what others withhold or serve wrongly is logged once and asked for again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from chain.client import ChainClient
from chain.errors import CodecError
from chain.events import Posted
from chain.frauds import FraudProof
from chain.types import Address, Digest, to_hex
from chain.view import BlockStamp, ChainView, Listing
from validator.agreement import stagger_s
from validator.errors import Wrong
from validator.frauds import Fraud, LeafTree, equivocations, frauds_in
from validator.journal import Journal
from validator.peers import Peers
from validator.postings import signed_in_post
from validator.state import signed_leaves
from validator.verdict import transaction_data

log = logging.getLogger(__name__)

KEPT_POSTINGS = 32
"""The newest posted roots whose transactions are read for signatures."""
POSTINGS_A_STEP = 4
ASKED_EPOCHS = 4
"""Epochs, the newest, of whose rounds the others are asked for what they know."""
LOOKED_AT = 256
"""Frauds of one root that are looked at; one of each kind is kept."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """The chain at its newest block."""

    block: BlockStamp
    view: ChainView


@dataclass(frozen=True, slots=True)
class Trial:
    """What can be proven against a root. whole: whether that is all that can be said, or bytes that may still come are missing."""

    root: Digest
    frauds: tuple[Fraud, ...]
    whole: bool


def answerable(view: ChainView) -> frozenset[Address]:
    """Whom signing twice can still cost its stake: validators with stake, or stake on its way out, and no conviction."""
    leaving = {account for account, stake in view.unbonding.items() if stake.of_validator and stake.amount}
    return frozenset(({one.account for one in view.validators()} | leaving) - view.convictions.keys())


def proposed_rounds(view: ChainView, newest: int) -> list[tuple[int, int]]:
    """Epoch and round of the candidates and roots of the epochs from `newest - ASKED_EPOCHS + 1` on, newest first."""
    told = {(one.epoch, one.round) for one in view.proposed} | {(one.epoch, one.round) for one in view.posted}
    return sorted((one for one in told if newest - ASKED_EPOCHS < one[0] <= newest), reverse=True)


class Investigation:
    """One account's search; what it finds against itself it does not tell."""

    def __init__(self, me: Address, chain: ChainClient, journal: Journal, peers: Peers) -> None:
        self._me, self._chain, self._journal, self._peers = me, chain, journal, peers
        self._read: set[Digest] = set()
        self._trial: Trial | None = None
        self._active: tuple[Digest, LeafTree] | None = None
        self._tries = self._again_at = 0
        self._told: set[tuple[str, Digest]] = set()
        self.withheld: Posted | None = None

    # Signing twice

    async def read_postings(self, view: ChainView) -> None:
        """Keeps the signatures in the transactions of the newest postings that were not read yet, a few at a time."""
        unread = [one for one in view.posted[-KEPT_POSTINGS:] if one.at.transaction not in self._read]
        for posted in unread[: -POSTINGS_A_STEP - 1 : -1]:
            await self.read_posting(posted, view)

    async def read_posting(self, posted: Posted, view: ChainView) -> None:
        """Keeps the signatures in the transaction that posted a root."""
        data = await transaction_data(self._chain, posted.at.transaction)
        calls, accounts = signed_in_post(data, posted, self._chain.network.domain), answerable(view)
        if not calls:
            log.info("epoch %d: its signatures cannot be read from transaction %s", posted.epoch, to_hex(posted.at.transaction))
        for signed in calls:
            for signer, attestation in signed.items():
                if signer in accounts:
                    self._journal.keep_evidence(signer, attestation)
        self._read.add(posted.at.transaction)

    async def ask(self, view: ChainView, epoch: int, round_: int) -> None:
        """Keeps what the other validators know to be signed for a round."""
        others = [one for one in view.validators() if one.account != self._me]
        await self._peers.statements(others, epoch, round_, answerable(view))

    def signed_twice(self, view: ChainView) -> list[Fraud]:
        """Against those who can still be convicted, a proof for each."""
        accounts = answerable(view)
        found: dict[Address, Fraud] = {}
        for signer, proof in equivocations(self._journal.signed_twice(), self._chain.network.domain):
            if signer == self._me:
                if self._is_news("twice", proof.digest()):
                    log.error(
                        "epoch %d: two different statements are signed with this node's key; is it in use elsewhere?", proof.a.message.epoch
                    )
            elif signer in accounts:
                found.setdefault(signer, Fraud(proof))
        return list(found.values())

    # The root that can be tried

    async def try_root(self, sighting: Sighting) -> list[Fraud]:
        """One proof of each kind against the triable root; empty if there is none, it is sound, or it cannot be judged yet.

        `withheld` is the posting that cannot be judged for want of its bytes.
        """
        view, second = sighting.view, sighting.block.timestamp
        posted = view.triable_posting(second)
        if posted is None:
            self._trial = self.withheld = None
            return []
        if self._trial is None or self._trial.root != posted.root or (not self._trial.whole and second >= self._again_at):
            self._again_at = second + stagger_s(self._chain.network.timing)
            self._trial = Trial(posted.root, (), True) if self._is_own(posted) else await self._try(posted, view, second)
        frauds = list(self._trial.frauds)
        if frauds and self._me in view.signers[posted.epoch]:
            if self._is_news("own", posted.root):
                log.error("epoch %d: the posted root can be proven wrong, and this node signed it; nothing is reported", posted.epoch)
            return []
        return frauds

    async def _try(self, posted: Posted, view: ChainView, second: int) -> Trial:
        signers = view.signers[posted.epoch]
        peers = sorted((one for one in view.validators() if one.account != self._me), key=lambda one: one.account not in signers)
        active = view.active_posting(second)
        tree, judgeable = await self._tree(posted, peers)
        self.withheld = posted if tree is None else None
        if tree is None:
            return Trial(posted.root, (), whole=not judgeable)
        parent = None if active is None else await self.active_tree(view, second)
        deposits = {account: int(deposit.held) for account, deposit in view.deposits.items()}
        frauds = await asyncio.to_thread(_one_of_each, tree, posted.total_earned, parent, deposits)
        if frauds and self._is_news("fraud", posted.root):
            named = ", ".join(fraud.proof.NAME for fraud in frauds)
            log.warning("epoch %d: the root %s can be proven wrong: %s", posted.epoch, to_hex(posted.root), named)
        return Trial(posted.root, frauds, whole=parent is not None or active is None)

    async def active_tree(self, view: ChainView, second: int) -> LeafTree | None:
        """The tree of the active root; None if there is no root yet, or nobody serves its state."""
        posted = view.active_posting(second)
        if posted is not None and (self._active is None or self._active[0] != posted.root):
            tree, _ = await self._tree(posted, [one for one in view.validators() if one.account != self._me])
            self._active = None if tree is None else (posted.root, tree)
        return None if posted is None or self._active is None else self._active[1]

    async def _tree(self, posted: Posted, peers: Sequence[Listing]) -> tuple[LeafTree | None, bool]:
        """The tree of a posted root from its state's bytes; without one, whether it may be had later. What is signed as the state is known
        by its digest: if it makes another root it always will."""
        self._tries += 1
        turn = self._tries % max(1, len(peers)) if self._tries > 2 else 0  # whoever answers slowly is not always the first
        try:
            data = await asyncio.wait_for(self._peers.file(posted.state_digest, [*peers[turn:], *peers[:turn]]), self._peers.timeout_s)
        except TimeoutError:
            data = None
        except Wrong as wrong:
            return self._not_judged(posted, str(wrong)), False
        if data is None:
            return self._not_judged(posted, "nobody serves its state; it is asked for again"), True
        try:
            leaves = await asyncio.to_thread(signed_leaves, data, self._chain.network.treasury)
        except CodecError as error:
            return self._not_judged(posted, f"its state is none: {error}"), False
        tree = await asyncio.to_thread(LeafTree, leaves)
        if tree.root != posted.root:
            return self._not_judged(posted, f"its state makes the root {to_hex(tree.root)}"), False
        return tree, True

    def _not_judged(self, posted: Posted, why: str) -> LeafTree | None:
        if self._is_news("not judged", posted.root):
            log.warning("epoch %d: the root %s cannot be judged: %s", posted.epoch, to_hex(posted.root), why)
        return None

    def _is_own(self, posted: Posted) -> bool:
        """Whether this node recomputed the root itself, and came to the same."""
        bound = self._journal.signed(posted.epoch, posted.round)
        return bound is not None and (bound.root, bound.state_digest) == (posted.root, posted.state_digest)

    def _is_news(self, what: str, about: Digest) -> bool:
        news = (what, about) not in self._told
        self._told.add((what, about))
        return news


def _one_of_each(tree: LeafTree, total_earned: int, parent: LeafTree | None, deposits: Mapping[Address, int]) -> tuple[Fraud, ...]:
    kept: dict[type[FraudProof], Fraud] = {}
    for fraud in islice(frauds_in(tree, total_earned, parent, deposits), LOOKED_AT):
        kept.setdefault(type(fraud.proof), fraud)
    return tuple(kept.values())
