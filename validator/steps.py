"""What a validator does next towards closing an epoch: facts in, one step out. Pure.

The daemon (`validator.closing`) reads the facts from the chain and its own disk, takes the step, and asks again; the simulation
(`tests/simulation`) does the same with a chain, disks and a network of its own. Nothing that decides an epoch is decided elsewhere, and no
step relies on one that came before it in the same process: after a crash the facts say where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chain.epochs import Timing, covered_epochs
from chain.types import Address, Digest
from validator.agreement import (
    Situation,
    Stakes,
    is_my_turn_to_activate,
    is_my_turn_to_post,
    is_my_turn_to_propose,
    open_epoch,
    proposer_of,
    stagger_s,
    waits_for_inventories,
)

if TYPE_CHECKING:
    from chain.contracts import Candidate


@dataclass(frozen=True, slots=True)
class CloseIntake:
    """Index the newest accepted proofs of an epoch, and sign the inventory."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Activate:
    """Call `activate` for the posted root of an epoch."""

    epoch: int
    round: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Fetch the files of the posted root of an epoch: those that did not compute it serve them too, and build on them."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Gather:
    """Ask the others for their inventories of these epochs, which a root would cover, and for the bytes behind them."""

    epochs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Build:
    """Make a candidate of what is here, and store it with its files."""

    epoch: int
    round: int


@dataclass(frozen=True, slots=True)
class Record:
    """Call `propose` with the stored candidate's digest."""

    epoch: int
    round: int


@dataclass(frozen=True, slots=True)
class Judge:
    """Fetch the recorded candidate with every byte behind it, recompute it, and journal it if it is the own outcome."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign what the journal says, and store the signature."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Tell:
    """Send the own signature to the validators that do not have it."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the others for the signatures that they know."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Post:
    """Call `post` with the signatures that are here."""

    candidate: Candidate


Step = CloseIntake | Activate | Follow | Gather | Build | Record | Judge | Sign | Tell | Ask | Post


@dataclass(frozen=True, slots=True)
class Ripening:
    """A posted root; active_at: the second from which on it can be activated."""

    epoch: int
    round: int
    active_at: int


@dataclass(frozen=True, slots=True)
class OnChain:
    """The chain as one validator sees it.

    second: of the newest block; newest, last_posted (the newest candidate and posted epoch) are read there. The others are read at the
    newest final block: through (what the active root covers), recorded (the newest candidate), posted (the newest root that was not
    cancelled, None before the first), validators (those listed with stake now, ascending), convicted (whether this one is barred).
    """

    second: int
    newest: Candidate | None
    last_posted: int
    through: int
    recorded: Candidate | None
    posted: Ripening | None
    validators: tuple[Address, ...]
    convicted: bool


@dataclass(frozen=True, slots=True)
class Held:
    """What one validator has: on its disk, but for what it merely remembers to save work.

    born: the second in which its database was made. inventories: the epochs whose own inventory is signed. followed: whether the newest
    posted root's state and manifest are here. complete: by covered epoch, the validators whose inventory is here with every byte behind it.
    candidate: whether one is stored for the open round. bound: the digest journaled for the recorded candidate's epoch and round. signed:
    whether the own signature under it is stored. quorum_since: the second in which signatures of two thirds of the stake on the newest
    candidate were first seen here, None without.
    Remembered: told (the validators that have the own signature), ask_from (the block second from which on others are to be asked for their
    signatures under the recorded candidate, None before it was seen to be recorded), activated (the newest epoch whose root was seen to be
    active), rejected and refused (candidates never to be signed here, or that the contract would not take).
    """

    born: int
    inventories: Collection[int]
    activated: int
    followed: bool
    complete: Mapping[int, Collection[Address]]
    candidate: bool
    bound: Digest | None
    signed: bool
    quorum_since: int | None
    told: Collection[Address]
    ask_from: int | None
    rejected: Collection[Digest]
    refused: Collection[Digest]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the next step depends on. now: UTC seconds by the own clock. sets: the validators and stakes of each epoch that a root of
    the open epoch covers, in order; None until the chain's final blocks say which. stakes: those of the open epoch itself."""

    timing: Timing
    me: Address
    now: float
    chain: OnChain
    sets: Mapping[int, Stakes] | None
    stakes: Stakes
    held: Held


def next_step(facts: Facts, tried: Collection[Step]) -> Step | None:
    """The first thing to do that was not `tried` since facts were last gathered anew; None if there is nothing."""
    return next((step for step in _steps(facts) if step not in tried), None)


def may_sign_inventory(timing: Timing, born: int, epoch: int) -> bool:
    """Whether a database made in this second holds every proof of the epoch that this validator accepted: it was there before the epoch
    began. In the first epoch, in which networks start, it is enough to have been there before its end."""
    return timing.epoch_at(born) < max(epoch, 2)


def may_attest(timing: Timing, born: int, epoch: int) -> bool:
    """Whether a journal made in this second holds everything that this validator signed about the epoch: it was there before the epoch's
    first round. One that was lost and made anew signs only in epochs that are still to be closed."""
    return born < timing.intake_end(epoch)


def ask_again_from(timing: Timing, since: int, second: int) -> int:
    """When to ask once more for the signatures under a candidate that is seen to be recorded since `since` and was asked about at `second`,
    all of block time. Whoever signs tells everybody, so what is asked for is what did not come by itself: a block later, then when twice as
    much time has passed, and so on, at last once a turn."""
    return second + max(1, min(second - since, stagger_s(timing)))


def situation_of(facts: Facts, epoch: int) -> Situation:
    """The open epoch as turns are decided from it."""
    chain, held = facts.chain, facts.held
    refused = chain.newest is not None and chain.newest.digest in held.refused
    posted = chain.last_posted >= epoch
    return Situation(facts.timing, epoch, chain.second, facts.me, facts.stakes, posted, chain.newest, held.quorum_since, refused)


def _steps(facts: Facts) -> Iterator[Step]:
    chain, held = facts.chain, facts.held
    closed = facts.timing.epoch_at(facts.now - facts.timing.intake) - 1
    for one in covered_epochs(chain.through, closed):
        if not chain.convicted and one not in held.inventories and may_sign_inventory(facts.timing, held.born, one):
            yield CloseIntake(one)
    posted = chain.posted
    if posted is not None and posted.epoch > held.activated and facts.me in chain.validators:
        first = proposer_of(posted.epoch, posted.round, chain.validators)
        if is_my_turn_to_activate(facts.timing, posted.active_at, chain.second, facts.me, first, chain.validators):
            yield Activate(posted.epoch, posted.round)
    if posted is not None and not held.followed:
        yield Follow(posted.epoch)
    epoch = open_epoch(facts.timing, chain.second)
    if chain.convicted or epoch is None or chain.last_posted >= epoch or facts.sets is None or facts.me not in facts.stakes:
        return
    if any(stakes.keys() - set(held.complete.get(one, ())) for one, stakes in facts.sets.items()):
        yield Gather(tuple(facts.sets))  # anew if the chain says meanwhile that others are covered
    situation = situation_of(facts, epoch)
    round_ = situation.round
    if round_ is not None and is_my_turn_to_propose(situation):
        if held.candidate:
            yield Record(epoch, round_)
        elif not waits_for_inventories(situation, held.complete, facts.sets):
            yield Build(epoch, round_)
    yield from _signing(facts, epoch)
    candidate = situation.candidate
    is_time = held.ask_from is not None and chain.second >= held.ask_from
    if candidate is not None and candidate == chain.recorded and situation.quorum_since is None and is_time:
        yield Ask(candidate)  # not before the record is final, since nobody signs before
    if candidate is not None and is_my_turn_to_post(situation):
        yield Post(candidate)


def _signing(facts: Facts, epoch: int) -> Iterator[Step]:
    recorded, held = facts.chain.recorded, facts.held
    if recorded is None or recorded.epoch != epoch or not may_attest(facts.timing, held.born, epoch):
        return
    if held.bound is None:
        if recorded.digest not in held.rejected:
            yield Judge(recorded)
    elif held.bound == recorded.digest:  # else something else was signed for this round, and one is all there is
        if not held.signed:
            yield Sign(recorded)
        elif set(facts.chain.validators) - {facts.me} - set(held.told):
            yield Tell(recorded)
