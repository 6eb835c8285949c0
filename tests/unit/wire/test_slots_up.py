"""Which slots count, against maps worked out by hand."""

from __future__ import annotations

from chain.types import Address
from wire.messages import LatencyReport, UptimeTicket
from wire.statements import slots_up

GROUP = "203.0.113.0/24"


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


def ticket(slots: int, resolver: int = 1, sequence: int = 1) -> UptimeTicket:
    return UptimeTicket(address(resolver), address(99), 1, sequence, bytes([slots]), 0, GROUP)


def report(slots: int, master: int = 1, sequence: int = 1, group: str = GROUP) -> LatencyReport:
    return LatencyReport(address(master), address(99), 1, sequence, bytes([slots]), 1, 1, 1, 0, group, True)


def up(tickets: list[UptimeTicket], reports: list[LatencyReport], masters: int) -> int:
    return int.from_bytes(slots_up(tickets, reports, masters, 5), "little")


def test_a_resolver_and_most_of_all_masters() -> None:
    reports = [report(0b11110, 1), report(0b11100, 2), report(0b11000, 3)]
    assert up([ticket(0b01111)], reports, 3) == 0b01100
    assert up([ticket(0b11111)], reports, 3) == 0b11100


def test_masters_that_say_nothing_count_against() -> None:
    assert up([ticket(31)], [report(31, 1), report(31, 2)], 4) == 0  # two of four are not more than half
    assert up([ticket(31)], [report(31, 1), report(31, 2)], 3) == 31


def test_no_master_is_more_than_half_of_none() -> None:
    assert up([ticket(31)], [], 0) == 0


def test_resolvers_alone_or_masters_alone_make_no_slot() -> None:
    assert up([ticket(31)], [], 1) == 0
    assert up([], [report(31)], 1) == 0


def test_one_of_several_resolvers_is_enough() -> None:
    assert up([ticket(1, 1), ticket(2, 2)], [report(31)], 1) == 3


def test_statements_of_one_signer_merge_and_count_once() -> None:
    restarted = [report(0b00011, 1, 1), report(0b11000, 1, 2)]
    assert up([ticket(1, 1, 1), ticket(16, 1, 2)], restarted, 1) == 0b10001
    assert up([ticket(31)], [report(31, 1, 1), report(31, 1, 2)], 2) == 0


def test_the_map_is_as_long_as_the_epoch_needs() -> None:
    assert len(slots_up([], [], 3, 144)) == 18
