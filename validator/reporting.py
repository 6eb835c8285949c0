"""Takes a fraud to the Judge: the commitment, a block later the proof, then the convict's stake, then the reporter's share.

Each step looks at the chain first and does the next thing only, so it may be stopped anywhere and goes on where it was; the commitment's
secret is on disk before the commitment is sent. That another's report came first is as good. `reached` is told each point by name.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from enum import Enum

from chain.abi import ContractRefused
from chain.client import ChainClient
from chain.contracts import Call
from chain.frauds import ExcessiveSum, Path, commitment, running_hash
from chain.merkle import leaf_hash
from chain.messages import Leaf
from chain.types import Address, Digest, to_hex
from chain.view import BlockStamp, ChainView
from validator.frauds import Fraud
from validator.journal import Journal
from validator.poster import NOT_SENT, About, Poster, Sent

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Leaves in one call of `sum`: about a million gas at depth 20."""
REST_S = 30
"""Between tries of a call that the chain's node did not take, as for want of ether."""
TOO_LATE = (
    *("AlreadyConvicted", "NothingTriable", "NothingToSlash", "AlreadySlashed", "NothingToCollect", "AlreadyCommitted"),
    "NothingAnnounced",
)
"""Refusals that say that what was to be done is done, or can no longer be."""
AGAIN = ("", NOT_SENT, "NotCommitted")
"""Refusals after which the next look at the chain says more."""


class Progress(Enum):
    """How far a report is: something is still to be done; this one convicted; there is nobody left to convict; the Judge disagrees."""

    OPEN = "open"
    PROVEN = "proven"
    SETTLED = "settled"
    REFUSED = "refused"


class Reporter:
    """One account's reports. `draw` gives secrets."""

    def __init__(
        self,
        me: Address,
        chain: ChainClient,
        journal: Journal,
        poster: Poster,
        reached: Callable[[str], None] = lambda _: None,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.me = me
        self._chain, self._journal, self._poster, self._reached, self._draw = chain, journal, poster, reached, draw
        self._rests_until = 0
        self.sent: list[tuple[str, str]] = []
        """Each call that went through, and its transaction, in order."""
        self.refusal: ContractRefused | None = None
        """Why the last call did not."""

    @property
    def could_not_send(self) -> str | None:
        """Why the chain's node did not take the last call, None if it did."""
        return str(self.refusal.facts["why"]) if self.refusal is not None and self.refusal.name == NOT_SENT else None

    async def report(self, fraud: Fraud, latest: BlockStamp) -> Progress:
        """The next step of a report, as things are at the newest block. Raises `Recoverable` errors of the chain."""
        if latest.timestamp < self._rests_until:
            return Progress.OPEN
        evidence, judge = fraud.proof.digest(), self._chain.judge
        short = to_hex(evidence)[:18]
        salt = self._journal.salt(evidence)
        if salt is None:
            salt = self._journal.keep_salt(evidence, fraud.proof.NAME, Digest(self._draw(32)))
            self._reached("report_stored")
        committed = commitment(self.me, evidence, salt)
        since = await judge.committed_at(committed, latest)
        if since == 0:
            if (await self._send("commit", (short,), judge.commit(committed), latest)).done:
                self._reached("committed")
            return Progress.OPEN
        if isinstance(fraud.proof, ExcessiveSum):
            summing = await self._sum(fraud, fraud.proof, latest)
            if summing is not None:
                return summing
        if latest.number <= since:
            return Progress.OPEN
        sent = await self._send("prove", (short,), judge.prove(fraud.proof, salt), latest)
        if sent.done:
            log.warning("a fraud is proven: %s, transaction %s", fraud.proof.NAME, sent.transaction)
            self._reached("proven")
            return Progress.PROVEN
        return self._after(sent)

    async def slash(self, account: Address, latest: BlockStamp) -> bool:
        """Takes a convict's stake; whether it is gone."""
        if latest.timestamp < self._rests_until:
            return False
        sent = await self._send("slash", (account,), self._chain.registry.slash(account), latest)
        if sent.done:
            log.warning("the stake of %s is taken, transaction %s", account, sent.transaction)
            self._reached("slashed")
        return self._after(sent) in (Progress.PROVEN, Progress.SETTLED)

    async def refute(self, leaf: Leaf, path: Path, latest: BlockStamp) -> None:
        """Shows the leaf of an account that announced a withdrawal as if it had none."""
        if latest.timestamp < self._rests_until:
            return
        sent = await self._send("refute", (leaf.account,), self._chain.vault.refute_announcement(leaf, path), latest)
        if sent.done:
            log.warning("%s announced a withdrawal without a leaf and has one; it is shown, transaction %s", leaf.account, sent.transaction)

    async def collect(self, view: ChainView, latest: BlockStamp) -> bool:
        """Has the own shares paid, if there are any; whether they were."""
        if view.shares.get(self.me, 0) == 0 or latest.timestamp < self._rests_until:
            return False
        sent = await self._send("collect", (self.me,), self._chain.registry.collect(), latest)
        if sent.done:
            log.info("the reporter's share is collected, transaction %s", sent.transaction)
            self._reached("collected")
        return sent.done

    async def _sum(self, fraud: Fraud, proof: ExcessiveSum, latest: BlockStamp) -> Progress | None:
        """The next chunk of a sum; None once it is whole."""
        done = await self._chain.judge.summed(proof.root, self.me, latest)
        hashes = [leaf_hash(leaf) for leaf, _ in fraud.summands]
        if done.running == proof.running:
            return None
        if done.running != running_hash(hashes[: done.leaves]):
            log.error("root %s: this node has begun another sum of its leaves; this one cannot be shown", to_hex(proof.root))
            return Progress.REFUSED
        chunk = fraud.summands[done.leaves : done.leaves + AT_ONCE]
        call = self._chain.judge.sum([leaf for leaf, _ in chunk], [path for _, path in chunk])
        sent = await self._send("sum", (to_hex(proof.root)[:18], done.leaves), call, latest)
        if sent.done:
            self._reached("summed")
            return Progress.OPEN
        return self._after(sent)

    async def _send(self, what: str, about: About, call: Call, latest: BlockStamp) -> Sent:
        sent = await self._poster.send(what, about, call)
        self.refusal = sent.refusal
        if sent.refusal is None:
            self.sent.append((what, sent.transaction))
        elif sent.refusal.name == NOT_SENT:
            self._rests_until = latest.timestamp + REST_S
        return sent

    def _after(self, sent: Sent) -> Progress:
        if sent.refusal is None:
            return Progress.PROVEN
        if sent.refusal.name in TOO_LATE:
            return Progress.SETTLED
        if sent.refusal.name in AGAIN:
            return Progress.OPEN
        log.warning("the contract does not follow a report: %s", sent.refusal)
        return Progress.REFUSED
