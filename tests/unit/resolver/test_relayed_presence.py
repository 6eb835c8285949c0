"""Providers behind a relay in the pool: what confirms them, how they are grouped, and what it costs them in matchmaking."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.types import PPM, Address, Digest
from resolver.estimates import Estimate, estimate_relayed
from resolver.matching import Candidate, rank
from resolver.pool import CONNECTED, PENDING, Entry, announce, heartbeat, standing, take_reports
from tests.unit.resolver.pool_world import MASTERS, OTHER, RULES, START, TERMS, announcement, heartbeat_of, report_of, request_of, unsigned
from wire.messages import LatencyReport
from wire.ranking import RELAYED_PPM, Reputation
from wire.refusals import Refused

RELAY, ANOTHER = MASTERS[0].address, MASTERS[1].address
HOME = "77.1.2.0/24"
DIGEST = Digest(b"\x07" * 32)


def behind(relay: Address = RELAY, now: float = START) -> Entry:
    return announce(None, announcement(now, host="9.0.0.1", port=7300, relay=relay), TERMS, now)


def reports(relay: Address = RELAY, prefixes: tuple[str, ...] = (HOME,) * 3) -> tuple[LatencyReport, ...]:
    return tuple(report_of(master, relay=relay, group_prefix=prefix) for master, prefix in zip(MASTERS, prefixes, strict=False))


def test_reports_of_the_way_through_the_relay_confirm_it() -> None:
    entry = take_reports(behind(), unsigned(reports()), TERMS, START)
    assert standing(entry, TERMS, START).state == CONNECTED
    assert entry.prefix == HOME, "it is grouped by where it is, not by where the relay is"
    assert behind().prefix == "9.0.0.0/24", "before anybody has told"


def test_reports_of_another_way_do_not() -> None:
    direct = unsigned(report_of(master, group_prefix="9.0.0.0/24") for master in MASTERS)
    for others in (direct, unsigned(reports(relay=ANOTHER))):
        found = standing(take_reports(behind(), others, TERMS, START), TERMS, START)
        assert (found.state, found.code) == (PENDING, "address_mismatch")


def test_who_shows_masters_different_homes_is_confirmed_by_those_that_agree() -> None:
    entry = take_reports(behind(), unsigned(reports(prefixes=(HOME, "78.0.0.0/24", HOME))), TERMS, START)
    assert [view.code for view in standing(entry, TERMS, START).masters] == ["ok", "address_mismatch", "ok"]
    scattered = take_reports(behind(), unsigned(reports(prefixes=(HOME, "78.0.0.0/24", "79.0.0.0/24"))), TERMS, START)
    assert standing(scattered, TERMS, START).state == PENDING


def test_only_a_listed_master_is_a_relay() -> None:
    with pytest.raises(Refused) as caught:
        behind(OTHER.address)
    assert caught.value.code == "not_a_relay"


def test_a_relayed_presence_keeps_its_place() -> None:
    entry = behind()
    assert heartbeat(entry, heartbeat_of(START + 30, host="9.0.0.1", port=7300), TERMS, START + 30).presence.relay == RELAY
    with pytest.raises(Refused) as caught:
        heartbeat(entry, heartbeat_of(START + 30, host="9.0.0.1", port=7301), TERMS, START + 30)
    assert caught.value.code == "not_a_relay"


def test_another_relay_is_another_address() -> None:
    before = take_reports(behind(), unsigned(reports()), TERMS, START)
    moved = announce(before, announcement(START + 9, host="9.0.0.1", port=7300, relay=ANOTHER), TERMS, START + 9)
    assert (moved.presence.address_since, moved.reports) == (int(START + 9), ())
    old = take_reports(moved, unsigned(reports(relay=ANOTHER)), TERMS, START + 9)
    assert standing(old, TERMS, START + 9).state == PENDING, "reports of before the change count no more"


def test_all_bytes_go_by_the_relay_and_so_does_the_estimate() -> None:
    assert estimate_relayed({RELAY: 7, ANOTHER: 1}, {RELAY: 30, ANOTHER: 2}, RELAY, TERMS) == Estimate(37, 37)
    assert estimate_relayed({ANOTHER: 1}, {RELAY: 30, ANOTHER: 2}, RELAY, TERMS) == Estimate(30, 60)
    assert estimate_relayed({RELAY: 7}, {ANOTHER: 2}, RELAY, TERMS) == Estimate(0, RULES.max_rtt_us)


def test_a_relay_costs_three_tenths_of_the_score() -> None:
    direct = Candidate(Address("0x" + "aa" * 20), "5.6.7.8", 7400, "DE", 10**8, 10**15, Estimate(30_000, 50_000), Reputation(200_000, 0))
    relayed = replace(direct, provider=Address("0x" + "bb" * 20), relayed=True)
    first, second = rank(request_of(), DIGEST, (relayed, direct), TERMS)
    assert (first.relayed, second.relayed) == (False, True)
    assert second.score_ppm == first.score_ppm * RELAYED_PPM // PPM
    assert second.latency_ppm == first.latency_ppm, "the parts are what they are"
