"""Closes epochs: section 6 of the protocol. What comes next is decided by `validator.steps`; here the facts are read and the step is taken.

Nothing it needs is kept in memory only, so it may be stopped between any two lines and goes on where it was: each thing is written down
before it is told to anyone, and each call on chain is one that another may have made already. `reached` is told each point by name.
Long because every step is taken here, beside the facts that it is decided from.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from chain.canonical import encode
from chain.client import ChainClient
from chain.contracts import Candidate
from chain.keys import NodeKey
from chain.messages import EpochAttestation
from chain.sender import Lost, OthersWait, TransactionPending
from chain.typed import Signed, digest_of, sign
from chain.types import Address, Digest, to_hex
from chain.view import Listing
from runtime.clock import Clock
from validator.agreement import Stakes, is_quorum, open_epoch
from validator.archive import Archive
from validator.basis import BasisReader
from validator.candidates import Candidates, Inventories
from validator.errors import Defect, ManifestError, Wrong
from validator.journal import Journal
from validator.manifests import Basis
from validator.peers import Peers
from validator.poster import NOT_SENT, Poster
from validator.sight import Lookout, Sight
from validator.steps import (
    Activate,
    Ask,
    Build,
    CloseIntake,
    Facts,
    Follow,
    Gather,
    Held,
    Judge,
    OnChain,
    Post,
    Record,
    Ripening,
    Sign,
    Step,
    Tell,
    ask_again_from,
    next_step,
)
from wire.agreement import InventoryIndex
from wire.messages import Inventory

log = logging.getLogger(__name__)

UNSETTLED = (TransactionPending, OthersWait, Lost)
"""What becomes of an own transaction is still open."""
NOT_NOW = (NOT_SENT, "OutsideWindow", "NotNewestCandidate", "EpochNotOpen", "EpochAlreadyPosted", "RootPending")
"""Failures of `post` that say nothing about the candidate."""


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
        candidates: Candidates,
        born: int,
        reached: Callable[[str], None],
    ) -> None:
        self._key, self._chain, self._clock = key, chain, clock
        self._archive, self._journal, self._peers, self._poster = archive, journal, peers, poster
        self._born, self._reached = born, reached
        self._domain, self._timing = chain.network.domain, chain.network.timing
        self._lookout, self._basis = Lookout(chain), BasisReader(chain)
        self._candidates = candidates
        # What follows is only remembered to save work: a validator that forgets it does the same things.
        self._closed: set[int] = set()
        self._ready: Inventories = {}
        self._rejected: set[Digest] = set()
        self._refused: set[Digest] = set()
        self._quorums: dict[Digest, int] = {}
        self._told: dict[Digest, set[Address]] = {}
        self._recorded: dict[Digest, tuple[int, int]] = {}  # since when it is seen, and from when on others are asked
        self._fetched: set[Digest] = set()
        self._activated = 0
        self._posted = 0

    @property
    def sight(self) -> Sight | None:
        """The chain as it was looked at last, None before the first time."""
        return self._lookout.sight

    def is_posting(self, epoch: int) -> bool:
        return self._poster.is_waiting("post", epoch)

    def has_quorum(self, digest: Digest) -> bool:
        return digest in self._quorums

    async def step(self) -> None:
        """Does what can be done now. Raises `Recoverable` errors, of the chain; a peer that fails is no error."""
        tried: set[Step] = set()
        held_up: TransactionPending | OthersWait | Lost | None = None
        while True:
            sight = await self._lookout.look()
            if sight.last_posted < self._posted:
                log.warning("epoch %d is not posted any more: blocks were undone, or the chain's node is behind", self._posted)
                self._quorums.clear()  # turns to post begin anew: else everybody's has come
            self._posted = sight.last_posted
            basis = await self._read_basis(sight)
            step = next_step(self._facts(sight, basis), tried)
            if step is None:
                if held_up is not None:
                    raise held_up
                return
            tried.add(step)
            try:
                await self._take(step, sight, basis)
            except UNSETTLED as unsettled:  # what needs no transaction, a signature say, goes on
                held_up = unsettled

    async def _take(self, step: Step, sight: Sight, basis: Basis | None) -> None:
        match step:
            case CloseIntake(epoch):
                self._close_intake(epoch)
            case Activate(epoch, round_):
                # Refused if it is active already: estimating says so, and nothing is sent.
                sent = await self._poster.send("activate", (epoch, round_), self._chain.settlement.activate())
                if sent.refusal is None or sent.refusal.name != NOT_SENT:
                    self._activated = epoch
                    self._reached("activated")
            case Follow():
                await self._follow(sight)
            case _ if basis is None:
                raise AssertionError(f"{step} without a basis")
            case Gather():
                self._ready = await self._candidates.collect(basis, self._sources(sight))
                self._reached("gathered")
            case Build(_, round_):
                await self._build(basis, round_, sight)
            case Record(epoch, round_):
                await self._record(epoch, round_)
            case Judge(candidate):
                await self._judge(candidate, basis, sight)
            case Sign(candidate):
                self._sign(candidate)
            case Tell(candidate):
                await self._tell(candidate, sight)
            case Ask(candidate):
                since, second = self._recorded[candidate.digest][0], sight.latest.timestamp
                self._recorded[candidate.digest] = since, ask_again_from(self._timing, since, second)
                await self._peers.attestations(self._sources(sight), candidate.epoch, candidate.round, candidate.digest, basis.stakes)
            case Post(candidate):
                await self._post(candidate, basis.stakes)

    # The facts

    async def _read_basis(self, sight: Sight) -> Basis | None:
        """What a root of the open epoch builds on; None if none is to be made, or while it cannot be read from final blocks yet."""
        epoch = open_epoch(self._timing, sight.latest.timestamp)
        if epoch is None or sight.last_posted >= epoch or self._is_convicted(sight):
            return None
        basis = await self._basis.read(epoch, sight.parent, sight.view)
        if basis is not None and self._key.address not in basis.stakes:
            log.warning("epoch %d is closed by others: %s is not listed as a validator, or has bonded no stake", epoch, self._key.address)
        return basis

    def _facts(self, sight: Sight, basis: Basis | None) -> Facts:
        sets, stakes = (None, {}) if basis is None else (basis.sets, basis.stakes)
        held = self._held(sight, basis)
        return Facts(self._timing, self._key.address, self._clock.now(), self._on_chain(sight), sets, stakes, held)

    def _on_chain(self, sight: Sight) -> OnChain:
        roots = sight.view.roots()
        return OnChain(
            second=sight.latest.timestamp,
            newest=sight.newest,
            last_posted=sight.last_posted,
            through=sight.parent.through,
            recorded=sight.recorded,
            posted=Ripening(roots[-1].epoch, roots[-1].round, roots[-1].active_at) if roots else None,
            validators=tuple(listing.account for listing in sight.view.validators()),
            convicted=self._is_convicted(sight),
        )

    def _held(self, sight: Sight, basis: Basis | None) -> Held:
        recorded = sight.recorded
        second = sight.latest.timestamp
        bound = None if recorded is None else self._journal.signed(recorded.epoch, recorded.round)
        round_ = None if basis is None else self._timing.round_at(basis.epoch, sight.latest.timestamp)
        return Held(
            born=self._born,
            inventories=self._closed,
            activated=self._activated,
            followed=_files_of(sight) <= self._fetched,
            complete={epoch: [signed.message.validator for signed in found] for epoch, found in self._ready.items()},
            candidate=basis is not None and round_ is not None and self._journal.candidate(basis.epoch, round_) is not None,
            bound=None if bound is None else digest_of(bound, self._domain),
            signed=recorded is not None and self._key.address in self._signatures(recorded),
            quorum_since=None if basis is None else self._quorum_since(sight, basis),
            told=() if recorded is None else self._told.get(recorded.digest, ()),
            ask_from=None if recorded is None else self._recorded.setdefault(recorded.digest, (second, second + 1))[1],
            rejected=self._rejected,
            refused=self._refused,
        )

    def _quorum_since(self, sight: Sight, basis: Basis) -> int | None:
        newest = sight.newest
        if newest is None or newest.epoch != basis.epoch or not is_quorum(self._signatures(newest), basis.stakes):
            return None
        if newest.digest not in self._quorums:
            log.info("epoch %d, round %d: two thirds of the stake have signed", newest.epoch, newest.round)
            self._quorums[newest.digest] = sight.latest.timestamp
            self._reached("quorum")
        return self._quorums[newest.digest]

    def _signatures(self, candidate: Candidate) -> dict[Address, Signed[EpochAttestation]]:
        return self._journal.attestations(candidate.epoch, candidate.round, candidate.digest)

    def _is_convicted(self, sight: Sight) -> bool:
        return self._key.address in sight.view.convictions  # barred for good; `validator.watcher` says why

    # The steps

    def _close_intake(self, epoch: int) -> None:
        """Signs the inventory, once for ever."""
        if self._archive.inventory(epoch, self._key.address) is None:
            index = InventoryIndex(epoch, self._archive.newest_proofs(epoch))
            digest = self._archive.keep_file(encode(index))
            inventory = Inventory(self._key.address, epoch, len(index.entries), digest)
            self._archive.keep_inventory(sign(inventory, self._domain, self._key))
            log.info("intake of epoch %d is closed with proofs of %d providers", epoch, len(index.entries))
            self._reached("inventory_signed")
        self._closed.add(epoch)

    async def _build(self, basis: Basis, round_: int, sight: Sight) -> None:
        try:
            candidate = await self._candidates.build(basis, self._ready, round_, self._sources(sight))
        except ManifestError as error:
            log.warning("epoch %d, round %d: nothing can be proposed: %s", basis.epoch, round_, error)
        except Defect as defect:
            log.error("epoch %d, round %d: nothing is proposed, by a defect of this program: %s", basis.epoch, round_, defect)  # noqa: TRY400
        else:
            if candidate is not None:
                self._journal.keep_candidate(candidate)
                self._reached("candidate_stored")

    async def _record(self, epoch: int, round_: int) -> None:
        candidate = self._journal.candidate(epoch, round_)
        if candidate is None:
            return
        digest = digest_of(candidate, self._domain)
        sent = await self._poster.send("propose", (epoch, round_), self._chain.settlement.propose(epoch, round_, digest))
        if sent.done:
            log.info("epoch %d, round %d: candidate %s is recorded", epoch, round_, to_hex(digest))
            self._reached("proposed")
        else:
            log.info("epoch %d, round %d: candidate %s is not recorded: %s", epoch, round_, to_hex(digest), sent.refusal)

    async def _judge(self, recorded: Candidate, basis: Basis, sight: Sight) -> None:
        """Journals the recorded candidate if it is the own outcome; while bytes are missing nothing is said of it."""
        try:
            bound = await self._candidates.judge(recorded, basis, self._sources(sight))
        except (Wrong, ManifestError) as wrong:
            log.warning("epoch %d, round %d: the candidate is not signed: %s", recorded.epoch, recorded.round, wrong)
            self._rejected.add(recorded.digest)
        except Defect as defect:
            # It is the recomputation that is wrong; where it was is of no use to whoever reads this.
            log.error("epoch %d, round %d: nothing is signed, by a defect of this program: %s", recorded.epoch, recorded.round, defect)  # noqa: TRY400
            self._rejected.add(recorded.digest)
        else:
            if bound is not None:
                self._journal.bind(bound)
                self._reached("bound")

    def _sign(self, recorded: Candidate) -> None:
        bound = self._journal.signed(recorded.epoch, recorded.round)
        if bound is not None:
            self._journal.keep_attestation(self._key.address, sign(bound, self._domain, self._key))
            log.info("epoch %d, round %d: attested root %s", recorded.epoch, recorded.round, to_hex(bound.root))
            self._reached("attested")

    async def _tell(self, recorded: Candidate, sight: Sight) -> None:
        told = self._told.setdefault(recorded.digest, set())
        mine = self._signatures(recorded)[self._key.address]
        told |= await self._peers.push(mine, [peer for peer in self._sources(sight) if peer.stake and peer.account not in told])
        self._reached("told")

    async def _post(self, candidate: Candidate, stakes: Stakes) -> None:
        held = self._signatures(candidate)
        signers = sorted(account for account in held if account in stakes)
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

    async def _follow(self, sight: Sight) -> None:
        for digest in _files_of(sight) - self._fetched:
            try:
                if await self._peers.file(digest, self._sources(sight)) is not None:
                    self._fetched.add(digest)
                    self._reached("followed")
            except Wrong as wrong:
                log.warning("epoch %d: %s", sight.view.roots()[-1].epoch, wrong)

    def _sources(self, sight: Sight) -> tuple[Listing, ...]:
        """The others, those last that have no stake any more: for a while only those that leave may have what they signed."""
        listed = (listing for listing in sight.view.listed("validator") if listing.account != self._key.address)
        return tuple(sorted(listed, key=lambda listing: listing.stake == 0))


def _files_of(sight: Sight) -> set[Digest]:
    """The state and the manifest of the newest posted root; none before the first."""
    return {digest for posted in sight.view.roots()[-1:] for digest in (posted.state_digest, posted.manifest_digest)}
