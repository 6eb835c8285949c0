"""Closes epochs: section 6 of the protocol as one step, repeated. It reads the own database and the chain, and does what comes next.

Nothing it needs is kept in memory only, so it may be stopped between any two lines and goes on where it was: each thing is written down
before it is told to anyone, and each call on chain is one that another may have made already. `reached` is told each point by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from chain.canonical import encode
from chain.client import ChainClient
from chain.contracts import Candidate, RootRecord
from chain.keys import NodeKey
from chain.typed import digest_of, sign
from chain.types import Address, Digest, to_hex
from chain.view import BlockStamp, ChainView, Listing
from runtime.clock import Clock
from validator.agreement import (
    Situation,
    is_my_turn_to_activate,
    is_my_turn_to_post,
    is_my_turn_to_propose,
    is_quorum,
    open_epoch,
    proposer_of,
    waits_for_inventories,
)
from validator.archive import Archive
from validator.basis import BasisReader
from validator.candidates import Candidates, Inventories
from validator.epoch import covered_epochs
from validator.errors import Defect, ManifestError, Wrong
from validator.journal import Journal
from validator.manifests import Basis
from validator.peers import Peers
from validator.poster import NOT_SENT, Poster
from wire.agreement import InventoryIndex
from wire.messages import Inventory

log = logging.getLogger(__name__)

NOT_NOW = (NOT_SENT, "OutsideWindow", "NotNewestCandidate", "EpochNotOpen", "EpochAlreadyPosted", "RootPending")
"""Failures of `post` that say nothing about the candidate."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The chain at its newest block. view, parent (the active record) and recorded (the newest candidate) are those of the newest
    final block; newest (candidate) and last_posted (epoch) those of the newest one."""

    latest: BlockStamp
    view: ChainView
    parent: RootRecord
    recorded: Candidate | None
    newest: Candidate | None
    last_posted: int


class Closing:
    """One validator's part in closing epochs."""

    def __init__(
        self,
        key: NodeKey,
        chain: ChainClient,
        clock: Clock,
        archive: Archive,
        journal: Journal,
        peers: Peers,
        poster: Poster,
        reached: Callable[[str], None],
    ) -> None:
        self._key, self._chain, self._clock = key, chain, clock
        self._archive, self._journal, self._peers, self._poster, self._reached = archive, journal, peers, poster, reached
        self._domain, self._timing, self._rules = chain.network.domain, chain.network.timing, chain.network.rules
        self._basis = BasisReader(chain)
        self._candidates = Candidates(chain.network, archive, peers)
        # What follows is only remembered to save work: a validator that forgets it does the same things.
        self.sight: Sight | None = None
        self._rejected: set[Digest] = set()
        self._refused: set[Digest] = set()
        self._quorums: dict[Digest, int] = {}
        self._pushed: dict[Digest, set[Address]] = {}
        self._held: set[Digest] = set()
        self._activated = 0

    def is_posting(self, epoch: int) -> bool:
        return self._poster.is_waiting("post", epoch)

    def has_quorum(self, digest: Digest) -> bool:
        return digest in self._quorums

    async def step(self) -> None:
        """Does what can be done now. Raises `Recoverable` errors, of the chain; a peer that fails is no error."""
        sight = await self._look()
        self._close_intakes(sight.parent.through)
        await self._catch_up(sight)
        await self._activate(sight)
        if self._key.address in sight.view.convictions:
            return  # barred for good; `validator.watcher` says why
        epoch = open_epoch(self._timing, sight.latest.timestamp)
        if epoch is None or sight.last_posted >= epoch:
            return
        basis = await self._basis.read(epoch, sight.parent, sight.view)
        if basis is None:
            return
        if self._key.address not in basis.stakes:
            log.warning("epoch %d is closed by others: %s is not listed as a validator, or has bonded no stake", epoch, self._key.address)
            return
        ready = await self._candidates.collect(basis, self._others(sight))
        await self._propose(basis, ready, sight)
        await self._attest(basis, await self._look())
        await self._post(basis, sight)

    async def _look(self) -> Sight:
        """The chain now; as long as there is no new block, what was read at the last one."""
        latest = await self._chain.latest()
        if self.sight is None or self.sight.latest.hash != latest.hash:
            depth = self._rules.finality_blocks - 1
            final = latest if depth == 0 else await self._chain.block(max(0, latest.number - depth))
            settlement = self._chain.settlement
            newest = await settlement.candidate(latest)
            self.sight = Sight(
                latest=latest,
                view=await self._chain.view(final),
                parent=await settlement.active_record(final),
                recorded=newest if depth == 0 else await settlement.candidate(final),
                newest=newest,
                last_posted=await settlement.last_posted_epoch(latest),
            )
        return self.sight

    # 1. The own inventory

    def _close_intakes(self, parent_through: int) -> None:
        """Signs the inventories of the oldest uncovered epochs whose intake has closed, each once."""
        newest = self._timing.epoch_at(self._clock.now() - self._timing.intake) - 1
        for epoch in covered_epochs(parent_through, newest):
            if self._archive.inventory(epoch, self._key.address) is None:
                index = InventoryIndex(epoch, self._archive.newest_proofs(epoch))
                digest = self._archive.keep_file(encode(index))
                inventory = Inventory(self._key.address, epoch, len(index.entries), digest)
                self._archive.keep_inventory(sign(inventory, self._domain, self._key))
                log.info("intake of epoch %d is closed with proofs of %d providers", epoch, len(index.entries))
                self._reached("inventory_signed")

    # 2, 3. The others' bytes, and a candidate, if it is this validator's round

    async def _propose(self, basis: Basis, ready: Inventories, sight: Sight) -> None:
        situation = await self._situation(basis)
        round_ = situation.round
        if round_ is None or not is_my_turn_to_propose(situation):
            return
        candidate = self._journal.candidate(basis.epoch, round_)
        if candidate is None:
            accounts = {epoch: [signed.message.validator for signed in held] for epoch, held in ready.items()}
            if waits_for_inventories(situation, accounts, basis.sets):
                return
            try:
                candidate = await self._candidates.build(basis, ready, round_, self._others(sight))
            except ManifestError as error:
                log.warning("epoch %d, round %d: nothing can be proposed: %s", basis.epoch, round_, error)
                return
            except Defect as defect:
                log.error("epoch %d, round %d: nothing is proposed, by a defect of this program: %s", basis.epoch, round_, defect)  # noqa: TRY400
                return
            if candidate is None:
                return
            candidate = self._journal.keep_candidate(candidate)
            self._reached("candidate_stored")
        digest = digest_of(candidate, self._domain)
        sent = await self._poster.send("propose", (basis.epoch, round_), self._chain.settlement.propose(basis.epoch, round_, digest))
        if sent.done:
            log.info("epoch %d, round %d: candidate %s is recorded", basis.epoch, round_, to_hex(digest))
            self._reached("proposed")
        else:
            log.info("epoch %d, round %d: candidate %s is not recorded: %s", basis.epoch, round_, to_hex(digest), sent.refusal)

    # 4. The newest recorded candidate, judged and signed

    async def _attest(self, basis: Basis, sight: Sight) -> None:
        recorded = sight.recorded
        if recorded is None or recorded.epoch != basis.epoch or recorded.digest in self._rejected:
            return
        bound = self._journal.signed(recorded.epoch, recorded.round)
        if bound is None:
            try:
                bound = await self._candidates.judge(recorded, basis, self._others(sight))
            except (Wrong, ManifestError) as wrong:
                log.warning("epoch %d, round %d: the candidate is not signed: %s", recorded.epoch, recorded.round, wrong)
                self._rejected.add(recorded.digest)
                return
            except Defect as defect:
                # It is the recomputation that is wrong; where it was is of no use to whoever reads this.
                log.error("epoch %d, round %d: nothing is signed, by a defect of this program: %s", recorded.epoch, recorded.round, defect)  # noqa: TRY400
                self._rejected.add(recorded.digest)
                return
            if bound is None:
                return
            self._journal.bind(bound)
        if digest_of(bound, self._domain) != recorded.digest:
            return  # something else was signed for this round, and one is all there is
        mine = self._journal.attestations(recorded.epoch, recorded.round, recorded.digest).get(self._key.address)
        if mine is None:
            mine = sign(bound, self._domain, self._key)
            self._journal.keep_attestation(self._key.address, mine)
            log.info("epoch %d, round %d: attested root %s", recorded.epoch, recorded.round, to_hex(bound.root))
            self._reached("attested")
        pushed = self._pushed.setdefault(recorded.digest, set())
        pushed |= await self._peers.push(mine, [peer for peer in self._others(sight) if peer.account not in pushed])

    # 5. Post

    async def _post(self, basis: Basis, sight: Sight) -> None:
        situation = await self._situation(basis)
        candidate = situation.candidate
        if situation.posted or candidate is None:
            return
        if situation.quorum_since is None:
            await self._peers.attestations(self._others(sight), candidate.epoch, candidate.round, candidate.digest, basis.stakes)
            situation = await self._situation(basis)
        if not is_my_turn_to_post(situation):
            return
        held = self._journal.attestations(candidate.epoch, candidate.round, candidate.digest)
        signers = sorted(account for account in held if account in basis.stakes)
        call = self._chain.settlement.post(held[signers[0]].message, [held[signer].signature for signer in signers])
        sent = await self._poster.send("post", (candidate.epoch, candidate.round), call)
        if sent.done:
            done = "root posted" if sent.effect else "another has posted the root"
            log.info("epoch %d: %s; %d signatures, transaction %s", candidate.epoch, done, len(signers), sent.transaction)
            self._reached("posted")
        elif sent.refusal is not None:
            log.info("epoch %d, round %d: not posted: %s", candidate.epoch, candidate.round, sent.refusal)
            if sent.refusal.name not in NOT_NOW:
                self._refused.add(candidate.digest)

    async def _situation(self, basis: Basis) -> Situation:
        sight = await self._look()
        newest, second = sight.newest, sight.latest.timestamp
        since = None
        if newest is not None and newest.epoch == basis.epoch and self._is_signed(newest, basis):
            if newest.digest not in self._quorums:
                log.info("epoch %d, round %d: two thirds of the stake have signed", newest.epoch, newest.round)
                self._quorums[newest.digest] = second
                self._reached("quorum")
            since = self._quorums[newest.digest]
        posted = sight.last_posted >= basis.epoch
        refused = newest is not None and newest.digest in self._refused
        return Situation(self._timing, basis.epoch, second, self._key.address, basis.stakes, posted, newest, since, refused)

    def _is_signed(self, candidate: Candidate, basis: Basis) -> bool:
        """Whether signatures of two thirds of the stake are here."""
        return is_quorum(self._journal.attestations(candidate.epoch, candidate.round, candidate.digest), basis.stakes)

    # 6. Activate, and hold what is posted

    async def _activate(self, sight: Sight) -> None:
        roots = sight.view.roots()
        if not roots:
            return
        newest = roots[-1]
        accounts = [listing.account for listing in sight.view.validators()]
        if newest.epoch <= self._activated or self._key.address not in accounts:
            return
        first = proposer_of(newest.epoch, newest.round, accounts)
        if is_my_turn_to_activate(self._timing, newest.active_at, sight.latest.timestamp, self._key.address, first, accounts):
            # Refused if it is active already: estimating says so, and nothing is sent.
            await self._poster.send("activate", (newest.epoch, newest.round), self._chain.settlement.activate())
            self._activated = newest.epoch

    async def _catch_up(self, sight: Sight) -> None:
        """Fetches state and manifest of the newest posted root if this validator has not computed it: it serves them and builds on them."""
        roots = sight.view.roots()
        if not roots:
            return
        newest = roots[-1]
        for digest in {newest.state_digest, newest.manifest_digest} - self._held:
            try:
                if await self._peers.file(digest, self._others(sight)) is not None:
                    self._held.add(digest)
            except Wrong as wrong:
                log.warning("epoch %d: %s", newest.epoch, wrong)

    def _others(self, sight: Sight) -> tuple[Listing, ...]:
        return tuple(listing for listing in sight.view.validators() if listing.account != self._key.address)
