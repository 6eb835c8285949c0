"""Who does what when an epoch is closed: values in, decisions out. Seconds are block time; validators are in ascending order of address.

The chain orders candidates: a round has one proposer, a newer candidate replaces an older one, and only the newest can be posted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chain.epochs import Timing, proposer_index
from chain.typed import Signed
from chain.types import Address, Wei
from wire.messages import Inventory

if TYPE_CHECKING:
    from chain.contracts import Candidate

Stakes = Mapping[Address, Wei]
"""Validators with stake by ascending address, and their stakes in wei."""


def open_epoch(timing: Timing, second: int) -> int | None:
    """The epoch that a root can be proposed for: the one that ended last, if its window is open."""
    epoch = timing.epoch_at(second) - 1
    return epoch if epoch >= 1 and timing.round_at(epoch, second) is not None else None


def proposer_of(epoch: int, round_: int, validators: Sequence[Address]) -> Address:
    """The one validator that may propose in a round; there is at least one validator."""
    return validators[proposer_index(epoch, round_, len(validators))]


def is_quorum(signers: Iterable[Address], stakes: Stakes) -> bool:
    """Whether these accounts hold two thirds of the stake; strangers and doubles count for nothing."""
    held = sum(stakes.get(account, 0) for account in set(signers))
    return held > 0 and 3 * held >= 2 * sum(stakes.values())


def choose_inventories(ready: Iterable[Signed[Inventory]], stakes: Stakes) -> tuple[Signed[Inventory], ...] | None:
    """All inventories of validators with stake among those whose bytes are here, ascending by validator; None below two thirds."""
    chosen = {signed.message.validator: signed for signed in ready if signed.message.validator in stakes}
    return tuple(chosen[account] for account in sorted(chosen)) if is_quorum(chosen, stakes) else None


def stagger_s(timing: Timing) -> int:
    """Seconds between the turns of validators that could all do the same thing."""
    return max(2, timing.round_length // 8)


def turn_of(me: Address, first: Address, validators: Sequence[Address]) -> int:
    """How many validators come before `me` if `first` begins and the others follow by ascending address."""
    return (validators.index(me) - validators.index(first)) % len(validators)


@dataclass(frozen=True, slots=True)
class Situation:
    """One validator's view of the epoch that is being closed.

    second: of the newest block. newest: the newest candidate on chain, of any epoch. quorum_since: the second from which on signatures
    of two thirds of the stake on the newest candidate were at hand, None without. refused: whether the contract refused to post it.
    """

    timing: Timing
    epoch: int
    second: int
    me: Address
    stakes: Stakes
    posted: bool
    newest: Candidate | None
    quorum_since: int | None = None
    refused: bool = False

    @property
    def validators(self) -> tuple[Address, ...]:
        return tuple(self.stakes)

    @property
    def round(self) -> int | None:
        """The round that is open."""
        return self.timing.round_at(self.epoch, self.second)

    @property
    def candidate(self) -> Candidate | None:
        """The newest candidate, if it is of this epoch."""
        return self.newest if self.newest is not None and self.newest.epoch == self.epoch else None


def is_my_turn_to_propose(situation: Situation) -> bool:
    """Whether this validator is the open round's proposer, and a candidate of its own is wanted.

    A candidate that can be posted is posted, not replaced.
    """
    round_ = situation.round
    if situation.posted or round_ is None or situation.me not in situation.stakes:
        return False
    if situation.candidate is not None and situation.candidate.round >= round_:
        return False
    if situation.quorum_since is not None and not situation.refused:
        return False
    return proposer_of(situation.epoch, round_, situation.validators) == situation.me


def waits_for_inventories(situation: Situation, ready: Mapping[int, Collection[Address]], sets: Mapping[int, Stakes]) -> bool:
    """Whether the proposer waits for more inventories than it needs: for a quarter of its round, then it takes what it has."""
    if all(set(sets[epoch]) <= set(ready.get(epoch, ())) for epoch in sets):
        return False
    into = (situation.second - situation.timing.intake_end(situation.epoch)) % situation.timing.round_length
    return 4 * into < situation.timing.round_length


def is_my_turn_to_post(situation: Situation) -> bool:
    """Whether to post the newest candidate: its proposer does at once, the others in turn; the open round's proposer comes second."""
    candidate, since = situation.candidate, situation.quorum_since
    if situation.posted or situation.refused or candidate is None or since is None or situation.me not in situation.stakes:
        return False
    if not situation.timing.intake_end(situation.epoch) < situation.second + 1 <= situation.timing.post_end(situation.epoch):
        return False
    turn = turn_of(situation.me, proposer_of(candidate.epoch, candidate.round, situation.validators), situation.validators)
    round_ = situation.round
    if round_ is not None and proposer_of(situation.epoch, round_, situation.validators) == situation.me:
        turn = min(turn, 1)
    return situation.second >= since + turn * stagger_s(situation.timing)


def is_my_turn_to_activate(timing: Timing, active_at: int, second: int, me: Address, first: Address, validators: Sequence[Address]) -> bool:
    """Whether to activate a root that matured at `active_at`: the poster's round's proposer first, then the others in turn."""
    return me in validators and second >= active_at + turn_of(me, first, validators) * stagger_s(timing)
