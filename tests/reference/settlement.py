"""The Settlement's rules: candidates, roots, claims, the guard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from chain.epochs import MAX_COVERED, proposer_index
from chain.messages import EpochAttestation, Leaf
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address
from chain.view import Guard
from tests.reference.values import Refused, Root, Standing, Tree, in_range, leads_to, require

if TYPE_CHECKING:
    from tests.reference.network import Reference

HOUR, DAY = 3_600, 86_400


class SettlementRules:
    def __init__(self, world: Reference, guardian: Address) -> None:
        self.world = world
        self.guard = Guard(guardian, since=world.now if guardian != ZERO_ADDRESS else 0)
        self.current, self.newest = Root(), Root()
        """The root activated last, and the one posted last."""
        self.pot = self.last_posted = 0
        self.candidate: tuple[int, int, EpochAttestation] | None = None
        self.standings: dict[Address, Standing] = {}

    # What others read

    def active(self) -> Root:
        """The root that verifies, activated or only matured."""
        return self.newest if self._is_matured() else self.current

    def pending(self) -> Root | None:
        return self.newest if self.newest.fate == "pending" and not self._is_matured() else None

    def triable(self) -> Root | None:
        return self.newest if self.newest.fate in ("pending", "cancelled") and self.world.now < self.newest.active_at else None

    def recipient_of(self, account: Address) -> Address:
        return self.standing(account).recipient or account

    def standing(self, account: Address) -> Standing:
        return self.standings.get(account, Standing())

    def proposer_of(self, epoch: int, round_: int) -> Address:
        staked = self.world.registry.staked()
        return staked[proposer_index(epoch, round_, len(staked))] if staked else ZERO_ADDRESS

    def open_candidate(self) -> tuple[int, int, EpochAttestation] | None:
        return self.candidate if self.candidate and self.candidate[0] > self.last_posted else None

    def through_of(self, epoch: int) -> int:
        return min(epoch, self.active().through + MAX_COVERED)

    # Candidates and roots

    def propose(self, caller: Address, epoch: int, round_: int, attestation: EpochAttestation | None) -> None:
        """None stands for the digest zero."""
        self._activate_matured()
        self._require_open(epoch)
        require(epoch > self.last_posted, "EpochAlreadyPosted")
        require(self.pending() is None, "RootPending")
        require(round_ == (self.world.now - self.world.timing.intake_end(epoch)) // self.world.timing.round_length, "RoundNotOpen")
        require(self.candidate is None or self.candidate[:2] != (epoch, round_), "AlreadyProposed")
        require(caller == self.proposer_of(epoch, round_), "NotProposer")
        if attestation is None:
            raise Refused("ZeroDigest")
        self.candidate = (epoch, round_, attestation)

    def post(self, caller: Address, attestation: EpochAttestation, signers: Sequence[Address | None]) -> None:
        del caller
        if self._says_the_latest(attestation):
            return
        self._activate_matured()
        require(self.world.now >= self.guard.paused_until, "IsPaused")
        require(self.pending() is None, "RootPending")
        self._require_open(attestation.epoch)
        require(self.world.now > self.world.timing.intake_end(attestation.epoch), "OutsideWindow")
        require(attestation.epoch > self.last_posted, "EpochAlreadyPosted")
        self._require_sound(attestation)
        proposed = self.candidate == (attestation.epoch, attestation.round, attestation)
        require(proposed, "NotNewestCandidate")
        bitmap = self.world.registry.quorum(signers)
        self.last_posted = attestation.epoch
        self.newest = Root(
            attestation.root, attestation.total_earned, attestation.total_spent, attestation.epoch, attestation.through, attestation.round,
            self.world.now + self.world.timing.challenge, bitmap, "pending",
        )  # fmt: skip

    def activate(self, caller: Address) -> None:
        del caller
        require(self._is_matured(), "NothingToActivate")
        self._activate_matured()

    # Claims

    def claim(self, caller: Address, leaf: Leaf, tree: Tree) -> None:
        del caller
        self._open_claims()
        require(in_range(leaf), "LeafOutOfRange")
        require(leads_to(self.current.root, leaf, tree), "NotInTree")
        require(leaf.earned > self.standing(leaf.account).claimed, "NothingToClaim")
        require(self.pot > 0, "PotEmpty")
        self._pay(leaf)

    def claim_many(self, caller: Address, leaves: Sequence[Leaf], trees: Sequence[Tree]) -> list[tuple[Address, int, str]]:
        """The items passed over: account, index, reason."""
        del caller
        require(len(leaves) == len(trees), "LengthMismatch")
        self._open_claims()
        skips = []
        for index, (leaf, tree) in enumerate(zip(leaves, trees, strict=True)):
            reason = self._reason(leaf) if not in_range(leaf) or leads_to(self.current.root, leaf, tree) else "not_in_tree"
            if reason:
                skips.append((leaf.account, index, reason))
            else:
                self._pay(leaf)
        return skips

    def claim_packed(self, caller: Address, leaves: Sequence[Leaf], tree: Tree) -> list[tuple[Address, int, str]]:
        """As `claim_many`; the leaves are in the order of their common proof."""
        self._open_claims()
        require(all(leads_to(self.current.root, leaf, tree) for leaf in leaves), "InvalidMultiproof")
        return self.claim_many(caller, leaves, [tree] * len(leaves))

    def push(self, caller: Address, leaf: Leaf, tree: Tree) -> None:
        del caller
        active, standing = self.active(), self.standing(leaf.account)
        require(active.root != ZERO_DIGEST, "NoActiveRoot")
        require(in_range(leaf), "LeafOutOfRange")
        require(leads_to(active.root, leaf, tree), "NotInTree")
        require(active.epoch > standing.epoch, "NotNewer")
        self.standings[leaf.account] = replace(standing, reputation=leaf.reputation, epoch=active.epoch)

    def set_recipient(self, caller: Address, account: Address, recipient: Address) -> None:
        require(recipient != ZERO_ADDRESS, "ZeroAddress")
        require(caller == self.recipient_of(account), "NotRecipient")
        self.redirect(account, recipient)

    def redirect(self, account: Address, recipient: Address) -> None:
        self.standings[account] = replace(self.standing(account), recipient=recipient)

    # The guard and the Judge

    def cancel(self, caller: Address) -> None:
        self._require_guardian(caller)
        require(self.pending() is not None, "NothingPending")
        self.newest = replace(self.newest, fate="cancelled")

    def convict(self, reporter: Address) -> None:
        """Called by the Judge, once it has found a triable root to be fraudulent."""
        self.newest = replace(self.newest, fate="tried")
        self.world.registry.convict_signers(self.newest.signers, reporter)

    def pause(self, caller: Address) -> None:
        self._require_guardian(caller)
        require(self.world.now >= self.guard.pausable_from, "PauseTooSoon")
        until = self.world.now + 72 * HOUR
        self.guard = replace(self.guard, paused_until=until, pausable_from=until + 14 * DAY)

    def unpause(self, caller: Address) -> None:
        self._require_guardian(caller)
        require(self.world.now < self.guard.paused_until, "NotPaused")
        self.guard = replace(self.guard, paused_until=0, pausable_from=self.world.now + 14 * DAY)

    def nominate_guardian(self, caller: Address, nominee: Address) -> None:
        require(caller == self.guard.guardian, "NotGuardian")
        self.guard = replace(self.guard, nominee=nominee)

    def accept_guard(self, caller: Address) -> None:
        require(caller == self.guard.nominee, "NotNominee")
        self.guard = replace(self.guard, guardian=caller, nominee=ZERO_ADDRESS)

    def replace_guardian(self, guardian: Address) -> None:
        """Called by the Registry for a bundle."""
        self.guard = replace(self.guard, guardian=guardian, since=self.world.now + 7 * DAY, nominee=ZERO_ADDRESS)

    # Below

    def _is_matured(self) -> bool:
        return self.newest.fate == "pending" and self.world.now >= self.newest.active_at

    def _activate_matured(self) -> None:
        if self._is_matured():
            growth = self.newest.total_earned - self.current.total_earned
            self.pot += growth
            self.current = self.newest = replace(self.newest, fate="activated")
            self.world.vault.feed(growth)

    def _says_the_latest(self, attestation: EpochAttestation) -> bool:
        known = self.newest if self.newest.fate == "pending" and attestation.epoch == self.newest.epoch else self.active()
        said = (attestation.epoch, attestation.round, attestation.root, attestation.total_earned, attestation.total_spent)
        return known.epoch != 0 and said == (known.epoch, known.round, known.root, known.total_earned, known.total_spent)

    def _require_open(self, epoch: int) -> None:
        require(epoch != 0 and epoch == self.world.last_ended(), "EpochNotOpen")
        require(self.world.timing.intake_end(epoch) <= self.world.now <= self.world.timing.post_end(epoch), "OutsideWindow")

    def _require_sound(self, one: EpochAttestation) -> None:
        parent, vault = self.current, self.world.vault
        require(one.root != ZERO_DIGEST, "ZeroRoot")
        require(one.parent_root == parent.root, "WrongParentRoot")
        require(one.rules_digest == self.world.registry.rules_digest, "WrongRules")
        require(one.through == self.through_of(one.epoch), "WrongThrough")
        require(one.total_spent >= parent.total_spent, "SpentFell")
        require(one.total_spent <= vault.deposits(), "AboveDeposits")
        require(one.total_earned >= parent.total_earned, "EarnedFell")
        budget = vault.rate * (one.through - parent.through) + one.total_spent - parent.total_spent
        require(one.total_earned - parent.total_earned <= budget, "AboveBudget")
        require(one.total_earned <= vault.funded + one.total_spent, "AboveFunds")

    def _open_claims(self) -> None:
        self._activate_matured()
        require(self.world.now >= self.guard.paused_until, "IsPaused")
        require(self.current.root != ZERO_DIGEST, "NoActiveRoot")

    def _reason(self, leaf: Leaf) -> str | None:
        """Why a leaf that leads to the root is not paid."""
        if not in_range(leaf):
            return "out_of_range"
        if leaf.earned <= self.standing(leaf.account).claimed:
            return "nothing_due"
        return "pot_empty" if self.pot == 0 else None

    def _pay(self, leaf: Leaf) -> None:
        standing = self.standing(leaf.account)
        amount = min(leaf.earned - standing.claimed, self.pot)
        self.pot -= amount
        standing = replace(standing, claimed=standing.claimed + amount)
        if self.current.epoch > standing.epoch:
            standing = replace(standing, reputation=leaf.reputation, epoch=self.current.epoch)
        self.standings[leaf.account] = standing
        self.world.move(self.world.network.settlement, self.recipient_of(leaf.account), amount)

    def _require_guardian(self, caller: Address) -> None:
        require(caller == self.guard.guardian and self.world.now >= self.guard.since, "NotGuardian")
