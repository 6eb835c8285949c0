"""Slots, groups, weights and pay against numbers worked out by hand."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest

from chain.rules import Rules
from chain.types import PPM, Address
from validator.pay import (
    Member,
    availability_budget,
    availability_pay,
    group_of,
    pay_weight,
    points_milli,
    rank_weight,
    rank_weights,
)
from wire.messages import LatencyReport

RULES = Rules()
GROUP = "203.0.113.0/24"


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


def report(slots: int, master: int = 1, sequence: int = 1, group: str = GROUP) -> LatencyReport:
    return LatencyReport(address(master), address(99), 1, sequence, bytes([slots]), 1, 1, 1, 0, group, True)


class TestGroup:
    def test_what_most_masters_name(self) -> None:
        other = "198.51.100.0/24"
        assert group_of([report(1, 1), report(1, 2), report(1, 3, group=other)]) == GROUP
        assert group_of([report(1, 1), report(1, 3, group=other), report(1, 4, group=other)]) == other

    def test_a_tie_goes_to_the_smaller_text(self) -> None:
        assert group_of([report(1, 1), report(1, 2, group="198.51.100.0/24")]) == "198.51.100.0/24"

    def test_a_master_votes_once_for_what_its_fullest_report_says(self) -> None:
        other = "198.51.100.0/24"
        assert group_of([report(1, 1, 9, other), report(2, 1, 8, other), report(3, 1, 7), report(3, 2)]) == GROUP

    def test_reports_without_a_slot_do_not_vote(self) -> None:
        assert group_of([report(0, 1, group="192.0.2.0/24"), report(0, 2, group="192.0.2.0/24"), report(1, 3)]) == GROUP
        assert group_of([report(0)]) == ""
        assert group_of([]) == ""


class TestRanks:
    def test_the_first_three_weigh_one_then_a_half_and_a_third(self) -> None:
        assert [rank_weight(rank, RULES) for rank in range(1, 8)] == [PPM, PPM, PPM, 500_000, 333_333, 250_000, 200_000]
        assert rank_weight(1, replace(RULES, group_full_ranks=1)) == PPM
        assert rank_weight(2, replace(RULES, group_full_ranks=1)) == 500_000

    def test_seniority_then_address(self) -> None:
        members = [Member(2, address(1), GROUP), Member(1, address(9), GROUP), Member(1, address(3), GROUP), Member(1, address(4), GROUP)]
        assert rank_weights(members, RULES) == {address(3): PPM, address(4): PPM, address(9): PPM, address(1): 500_000}

    def test_groups_rank_apart(self) -> None:
        members = [Member(1, address(n), f"203.0.{n}.0/24") for n in range(9)]
        assert set(rank_weights(members, RULES).values()) == {PPM}

    def test_an_ipv6_site_weighs_at_most_its_cap_and_its_seniors_keep_theirs(self) -> None:
        def group(number: int) -> str:
            return str(ipaddress.ip_network(f"2001:db8:{number:x}::/48"))

        # 32 groups, each with members at 1, 1, 1, 1/2: 3.5 each. The site is full within the nineteenth group.
        members = [Member(1, address(4 * g + i), group(g)) for g in range(32) for i in range(4)]
        weights = rank_weights(members, RULES)
        assert sum(weights.values()) == 64 * PPM
        assert [weights[address(n)] for n in (0, 1, 2, 3)] == [PPM, PPM, PPM, 500_000]
        assert [weights[address(4 * 18 + i)] for i in range(4)] == [PPM, 0, 0, 0]
        assert weights[address(127)] == 0
        elsewhere = rank_weights([*members, Member(9, address(999), "2001:db9::/48")], RULES)
        assert elsewhere[address(999)] == PPM

    def test_ipv4_has_no_site(self) -> None:
        members = [Member(1, address(n), f"203.{n // 256}.{n % 256}.0/24") for n in range(300)]
        assert sum(rank_weights(members, RULES).values()) == 300 * PPM


class TestPay:
    def test_a_weight_is_half_presence_half_reputation(self) -> None:
        assert pay_weight(5, 200_000, PPM) == 3_000_000
        assert pay_weight(144, 1_000_000, PPM) == 144_000_000
        assert pay_weight(1, 0, 500_000) == 250_000
        assert pay_weight(1, 333_333, 333_333) == 666_666 * 333_333 // PPM

    def test_the_cap_of_a_slot_binds_while_the_budget_suffices(self) -> None:
        weights = {address(1): 3_000_000, address(2): 1_800_000}
        assert availability_pay(weights, 7 * 10**15, RULES) == {address(1): 3 * 10**15, address(2): 18 * 10**14}

    def test_a_short_budget_is_shared_by_weight(self) -> None:
        weights = {address(1): 3_000_000, address(2): 1_800_000}
        assert availability_pay(weights, 1_000, RULES) == {address(1): 625, address(2): 375}
        assert availability_pay({address(1): 1, address(2): 1, address(3): 1}, 100, RULES) == {address(n): 33 for n in (1, 2, 3)}

    def test_where_both_bind_the_lower_one_is_paid(self) -> None:
        weights = {address(1): 1_000_000, address(2): 1_000_000}
        assert availability_pay(weights, 2 * 10**15, RULES) == {address(1): 10**15, address(2): 10**15}
        assert availability_pay(weights, 2 * 10**15 - 1, RULES) == {address(1): 10**15 - 1, address(2): 10**15 - 1}

    def test_nobody_and_nothing(self) -> None:
        assert availability_pay({}, 1_000, RULES) == {}
        assert availability_pay({address(1): 0}, 1_000, RULES) == {address(1): 0}
        assert availability_pay({address(1): 7}, 0, RULES) == {address(1): 0}

    @pytest.mark.parametrize(
        ("rate", "funded", "earned", "spent", "budget"),
        [
            (1_000, 10_000, 0, 0, 700),
            (1_001, 10_000, 0, 0, 700),
            (1_000, 10_000, 9_500, 0, 500),
            (1_000, 10_000, 10_000, 0, 0),
            (1_000, 10_000, 10_200, 300, 100),
            (1_000, 10_000, 12_000, 0, 0),
        ],
    )
    def test_a_budget_is_a_share_and_never_beyond_the_funds(self, rate: int, funded: int, earned: int, spent: int, budget: int) -> None:
        assert availability_budget(rate, funded, earned, spent, RULES) == budget

    def test_points_are_ten_an_hour(self) -> None:
        assert points_milli(144, 600, RULES) == 240_000
        assert points_milli(5, 4, RULES) == 55
        assert points_milli(0, 600, RULES) == 0
