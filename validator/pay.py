"""What one epoch draws from the budget, for availability, for sessions and for roles, and its points. Integers only, every division rounds
down, remainders stay in the vault.

Source of the formulas: docs/protocol.md, section 8. Nothing in here reads a number that the paid one signed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from chain.rules import Rules
from chain.types import PPM, Address
from wire.addresses import site_prefix
from wire.messages import LatencyReport
from wire.slots import count
from wire.statements import merge_reports

WEI_PER_TOKEN = 10**18


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A registered provider with a slot up, in a group since an epoch. Members order by seniority: that epoch, then the address."""

    since: int
    provider: Address
    group: str


def by_signer(reports: Iterable[LatencyReport]) -> list[tuple[LatencyReport, ...]]:
    """The reports about one provider, one tuple a master, ascending by master."""
    ordered = sorted(reports, key=lambda report: report.master)
    return [tuple(of_one) for _, of_one in groupby(ordered, key=lambda report: report.master)]


def group_of(reports: Iterable[LatencyReport]) -> str:
    """The prefix that most masters' merged reports with a slot name, the smaller text of several; empty without such reports."""
    merged = [merge_reports(of_one) for of_one in by_signer(reports)]
    votes = Counter(report.group_prefix for report in merged if count(report.slots))
    return min(votes, key=lambda prefix: (-votes[prefix], prefix), default="")


def rank_weights(members: Iterable[Member], rules: Rules) -> dict[Address, int]:
    """Each member's rank weight in ppm: by its rank in its group, then, in order of seniority, what is left of its IPv6 /32's cap.

    A member therefore depends on its seniors alone: nobody who joins later lowers it.
    """
    ranks: Counter[str] = Counter()
    left: dict[str, int] = {}
    weights = {}
    for member in sorted(members):
        ranks[member.group] += 1
        weight = rank_weight(ranks[member.group], rules)
        site = site_prefix(member.group)
        if site is not None:
            weight = min(weight, left.setdefault(site, rules.site_weight_cap * PPM))
            left[site] -= weight
        weights[member.provider] = weight
    return weights


def rank_weight(rank: int, rules: Rules) -> int:
    """In ppm: 1 up to the last full rank, then 1/2, 1/3, …"""
    return PPM // max(1, rank - rules.group_full_ranks + 1)


def pay_weight(up: int, reputation_ppm: int, rank_weight_ppm: int) -> int:
    """up * (1/2 + reputation / 2) * rank weight, in ppm of one slot of a provider of full reputation and rank."""
    return up * (PPM // 2 + reputation_ppm // 2) * rank_weight_ppm // PPM


def availability_budget(rate: int, funded: int, earned: int, spent: int, rules: Rules) -> int:
    """Wei that one epoch's availability may draw: its share of the epoch's budget, never more than the vault's funds leave
    after all that was `earned` before (`spent` flows back into them)."""
    return max(0, min(rate * rules.availability_share_ppm // PPM, funded + spent - earned))


def availability_pay(weights: Mapping[Address, int], budget: int, rules: Rules) -> dict[Address, int]:
    """Wei for each provider: by weight up to the cap of a slot, and never more than the weight's share of the budget."""
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 0)
    return {provider: min(weight * rules.slot_cap_wei // PPM, budget * weight // total) for provider, weight in weights.items()}


def session_budget(rate: int, left: int, rules: Rules) -> int:
    """Wei that one epoch's sessions may draw beside what consumers pay: their share of the epoch's budget, never more than is `left` of
    the vault's funds after all that was earned before and in the epoch."""
    return max(0, min(rate * rules.session_share_ppm // PPM, left))


def session_subsidies(wanted: Mapping[Address, int], budget: int) -> dict[Address, int]:
    """Wei for each provider: what its sessions ask for, all scaled down alike if the budget is short."""
    total = sum(wanted.values())
    return dict(wanted) if total <= budget else {provider: budget * amount // total for provider, amount in wanted.items()}


def role_budget(rate: int, left: int, rules: Rules) -> int:
    """Wei that one epoch's roles may draw: their share of the epoch's budget, never more than is `left` of the vault's funds after all that
    was earned before and in the epoch."""
    return max(0, min(rate * rules.role_share_ppm // PPM, left))


def role_pay(holders: Mapping[str, Collection[Address]], unpaid: Collection[Address], budget: int, rules: Rules) -> dict[Address, int]:
    """Wei for each account: each role's part in as many equal shares as it has `holders`. The share of one that is `unpaid` stays in the
    vault: nobody gains by another's fall."""
    parts = {"resolver": rules.resolver_part_ppm, "master": rules.master_part_ppm, "validator": rules.validator_part_ppm}
    earned: Counter[Address] = Counter()
    for role, accounts in holders.items():
        for account in accounts:
            if account not in unpaid:
                earned[account] += budget * parts[role] // PPM // len(accounts)
    return dict(earned)


def points_milli(up: int, slot_seconds: int, rules: Rules) -> int:
    """Thousandths of a point for the slots up of one epoch."""
    return up * slot_seconds * rules.points_milli_per_hour // 3600


def session_points_milli(protocol_fee: int, rules: Rules) -> int:
    """Thousandths of a point for what a provider's sessions paid in protocol fees in one epoch, wei."""
    return protocol_fee * rules.points_milli_per_token // WEI_PER_TOKEN
