"""What each account earns in one epoch, and by what: availability, sessions, its role, and those it referred. Pure, integers only.

Drawn in this order, so that what comes later never makes less of what comes before: availability, sessions, roles. A referrer's part is of
what its provider drew, never in addition. Source of the formulas: docs/protocol.md, section 8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from chain.rules import Rules
from chain.types import Address
from validator import pay
from validator.session_pay import Charges
from validator.state import State
from validator.verification import ListedRoles
from wire.agreement import ChainSection
from wire.tiers import Tier, tier_of


@dataclass(frozen=True, slots=True)
class Budgets:
    """What an epoch may draw, wei."""

    availability: int
    sessions: int
    roles: int


@dataclass(frozen=True, slots=True)
class Earnings:
    """Wei by account. budgets: from which they are drawn. fees: what is left to providers of their sessions' fees. availability, subsidies:
    what they draw from the budget; shared: what of these two goes to their referrers, and referred: the same by referrer. roles: to those
    listed."""

    budgets: Budgets
    fees: Mapping[Address, int]
    availability: Mapping[Address, int]
    subsidies: Mapping[Address, int]
    shared: Mapping[Address, int]
    referred: Mapping[Address, int]
    roles: Mapping[Address, int]

    def of_provider(self, provider: Address) -> int:
        """What it earns by availability and sessions, less its referrer's part."""
        drawn = self.availability.get(provider, 0) + self.subsidies.get(provider, 0) - self.shared.get(provider, 0)
        return self.fees.get(provider, 0) + drawn

    def beside(self) -> Mapping[Address, int]:
        """What accounts earn that is not for providing: by their role, and by those they referred."""
        found = Counter(self.roles)
        found.update(self.referred)
        return found


def earnings(
    weights: Mapping[Address, int], charges: Charges, state: State, section: ChainSection, lost: Collection[Address], rules: Rules
) -> Earnings:
    """What the epoch of `section` adds to those in the state of the epoch before.

    weights: for availability, of registered and bonded providers with a slot up. lost: accounts that are paid nothing.
    """
    before, spent = state.total_earned, state.total_spent
    for_availability = pay.availability_budget(section.rate, section.funded, before, spent, rules)
    availability = pay.availability_pay(weights, for_availability, rules)
    # What consumers pay adds as much to earned as to spent, so it leaves the funds as they are.
    left = section.funded + spent - before - sum(availability.values())
    for_sessions = pay.session_budget(section.rate, left, rules)
    subsidies = pay.session_subsidies(charges.subsidies, for_sessions)
    left -= sum(subsidies.values())
    for_roles = pay.role_budget(section.rate, left, rules)
    roles = pay.role_pay(_holders(section), _unpaid(section, lost), for_roles, rules)
    shared: dict[Address, int] = {}
    referred: Counter[Address] = Counter()
    for provider, (referrer, tier) in referrers(section, state, lost, rules).items():
        part = tier.share_of(availability.get(provider, 0) + subsidies.get(provider, 0))
        if part:
            shared[provider] = part
            referred[referrer] += part
    return Earnings(Budgets(for_availability, for_sessions, for_roles), charges.paid, availability, subsidies, shared, referred, roles)


def _holders(section: ChainSection) -> dict[str, Collection[Address]]:
    """Who held each role when the epoch began; of validators those with stake."""
    listed = ListedRoles.of(section.roles)
    return {"resolver": listed.resolvers, "master": listed.masters, "validator": listed.validators.keys()}


def _unpaid(section: ChainSection, lost: Collection[Address]) -> set[Address]:
    """Lost accounts, and validators that have no stake any more when the epoch ends."""
    began, ended = (ListedRoles.of(nodes).validators.keys() for nodes in (section.roles, section.validators))
    return {*lost, *(began - ended)}


def referrers(section: ChainSection, state: State, lost: Collection[Address], rules: Rules) -> dict[Address, tuple[Address, Tier]]:
    """By registered and bonded provider its referrer, with the tier by the points before this epoch, if there is one that is another,
    registered and bonded as well, and not lost."""
    bonded = {one.provider for one in section.providers if one.bond > 0 and one.provider not in lost}
    points = {account.account: account.points for account in state.accounts}
    return {
        one.provider: (one.referrer, tier_of(points.get(one.referrer, 0), rules))
        for one in section.providers
        if one.referrer != one.provider and {one.provider, one.referrer} <= bonded
    }
