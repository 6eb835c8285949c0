"""The pool's state machine: every refusal, every edge of time, every way from one state to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chain.types import Digest
from resolver.pool import (
    CONNECTED,
    EXPIRED,
    LEFT,
    PENDING,
    Entry,
    announce,
    heartbeat,
    leave,
    may_be_forgotten,
    settle,
    standing,
    take_reports,
)
from resolver.terms import Terms
from tests.unit.resolver.pool_world import (
    HOST,
    MASTERS,
    RULES,
    START,
    TERMS,
    TIMING,
    announcement,
    connected,
    heartbeat_of,
    leaving_of,
    pending,
    report_of,
    unsigned,
)
from wire.refusals import Refused

TTL = RULES.presence_ttl_s
ANY_HOST = "0.0.0.0"
NEW_HOST, NEW_PREFIX = "5.6.9.9", "5.6.9.0/24"

PRIVATE_TERMS = Terms(TIMING, replace(RULES, allow_private_addresses=True), TERMS.masters)


def code(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        act()
    return refused.value.code


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"time": START - 121}, "stale_time"),
        ({"time": START + 121}, "future_time"),
        ({"host": "192.168.1.7"}, "private_address"),
        ({"host": "127.0.0.1"}, "private_address"),
        ({"host": "100.64.0.1"}, "private_address"),
        ({"host": "fd00::1"}, "private_address"),
        ({"host": ANY_HOST}, "absurd_value"),
        ({"host": "224.0.0.1"}, "absurd_value"),
        ({"host": "::ffff:5.6.7.8"}, "absurd_value"),
        ({"host": "2606:4700::1%x"}, "absurd_value"),
        ({"host": "example.org"}, "absurd_value"),
        ({"host": "5.6.7.08"}, "absurd_value"),
        ({"host": ""}, "absurd_value"),
        ({"port": 0}, "absurd_value"),
        ({"bandwidth": 0}, "absurd_value"),
        ({"bandwidth": 10**12 + 1}, "absurd_value"),
        ({"price": 10**24 + 1}, "absurd_value"),
    ],
)
def test_what_an_announcement_or_heartbeat_is_refused_for(changes: dict[str, Any], expected: str) -> None:
    assert code(lambda: announce(None, replace(announcement(), **changes), TERMS, START)) == expected
    entry = pending(START - 30)
    assert code(lambda: heartbeat(entry, replace(heartbeat_of(START), **changes), TERMS, START)) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"region": "de"},
        {"region": "DEU"},
        {"region": "Ä1"},
        {"latitude": 91},
        {"latitude": -91},
        {"longitude": 181},
        {"longitude": -181},
        {"region": "", "latitude": 1, "longitude": 0},
        {"region": "", "latitude": 0, "longitude": 1},
    ],
)
def test_a_location_is_refused(changes: dict[str, Any]) -> None:
    assert code(lambda: announce(None, announcement(**changes), TERMS, START)) == "absurd_value"


@pytest.mark.parametrize(
    "changes",
    [
        {"time": START - 120},
        {"time": START + 120},
        {"bandwidth": 10**12, "price": 10**24},
        {"price": 0},
        {"region": "", "latitude": 0, "longitude": 0},
        {"region": "AQ", "latitude": -90, "longitude": -180},
        {"host": "2606:4700::1111"},
    ],
)
def test_the_bounds_themselves_are_allowed(changes: dict[str, Any]) -> None:
    assert announce(None, announcement(**changes), TERMS, START).presence.state == PENDING


def test_private_addresses_are_allowed_where_the_rules_say_so() -> None:
    assert announce(None, announcement(host="127.0.1.9"), PRIVATE_TERMS, START).presence.host == "127.0.1.9"
    assert code(lambda: announce(None, announcement(host=ANY_HOST), PRIVATE_TERMS, START)) == "absurd_value"


def test_a_refusal_does_not_repeat_the_address() -> None:
    with pytest.raises(Refused) as refused:
        announce(None, announcement(host="192.168.77.7"), TERMS, START)
    assert "192.168" not in f"{refused.value.message} {refused.value.evidence}"


def test_a_sequence_is_used_once_and_is_remembered_past_the_presence() -> None:
    entry = pending()
    again = announcement(START + 1, sequence=entry.sequence)
    assert code(lambda: announce(entry, again, TERMS, START + 1)) == "reused_sequence"
    assert code(lambda: heartbeat(entry, heartbeat_of(START + 1, sequence=entry.sequence), TERMS, START + 1)) == "reused_sequence"
    assert code(lambda: leave(entry, leaving_of(START + 1, sequence=entry.sequence), TERMS, START + 1)) == "reused_sequence"
    gone = leave(entry, leaving_of(START + 1), TERMS, START + 1)
    assert code(lambda: announce(gone, announcement(START + 2, sequence=gone.sequence), TERMS, START + 2)) == "reused_sequence"
    assert announce(gone, announcement(START + 2, sequence=gone.sequence + 1), TERMS, START + 2).presence.state == PENDING


def test_presence_ends_exactly_at_its_ttl() -> None:
    entry = connected(START + 0.25)
    end = START + 0.25 + TTL
    late = START + TTL - 60 + 0.25
    entry = take_reports(entry, unsigned(report_of(m, late) for m in MASTERS), TERMS, late)
    assert standing(entry, TERMS, end - 0.002).state == CONNECTED
    found = standing(entry, TERMS, end)
    assert (found.state, found.code, found.since) == (EXPIRED, "presence_expired", int(end))
    assert heartbeat(entry, heartbeat_of(end - 0.002), TERMS, end - 0.002).presence.state == CONNECTED
    assert code(lambda: heartbeat(entry, heartbeat_of(end), TERMS, end)) == "presence_expired"
    assert code(lambda: leave(entry, leaving_of(end), TERMS, end)) == "presence_expired"
    assert code(lambda: take_reports(entry, unsigned([report_of(MASTERS[2], end)]), TERMS, end)) == "presence_expired"


def test_only_an_announcement_leads_back_from_expired_and_left() -> None:
    later = START + TTL + 1
    expired = settle(connected(), TERMS, later)
    assert expired.presence.state == EXPIRED
    assert settle(expired, TERMS, START).presence.state == EXPIRED, "a clock set back does not revive"
    left = leave(connected(), leaving_of(START + 1), TERMS, START + 1)
    assert (left.presence.state, standing(left, TERMS, later).state) == (LEFT, LEFT)
    for entry, refusal in ((expired, "presence_expired"), (left, "unknown_presence")):
        assert code(lambda e=entry: heartbeat(e, heartbeat_of(later), TERMS, later)) == refusal  # type: ignore[misc]
        back = announce(entry, announcement(later), TERMS, later)
        assert (back.presence.state, back.presence.since, back.reports) == (PENDING, later, ())


def test_messages_of_another_presence_are_unknown() -> None:
    other = Digest(b"\x22" * 32)
    assert code(lambda: heartbeat(None, heartbeat_of(START), TERMS, START)) == "unknown_presence"
    assert code(lambda: leave(None, leaving_of(START), TERMS, START)) == "unknown_presence"
    assert code(lambda: take_reports(None, (), TERMS, START)) == "unknown_presence"
    assert code(lambda: heartbeat(pending(), heartbeat_of(START + 1, presence_id=other), TERMS, START + 1)) == "unknown_presence"
    assert code(lambda: leave(pending(), leaving_of(START + 1, presence_id=other), TERMS, START + 1)) == "unknown_presence"


@pytest.mark.parametrize("reason", ["", "bored", "Shutdown"])
def test_leaving_for_no_known_reason_is_refused(reason: str) -> None:
    assert code(lambda: leave(pending(), leaving_of(START + 1, reason=reason), TERMS, START + 1)) == "absurd_value"


def test_connected_falls_back_when_no_majority_reported_in_this_or_the_last_slot() -> None:
    entry = connected()
    for now in range(START + 30, TIMING.slot_start(1, 12), 30):
        entry = heartbeat(entry, heartbeat_of(now), TERMS, now)
        assert entry.presence.state == CONNECTED
    late = TIMING.slot_start(1, 12)
    assert standing(entry, TERMS, late - 1).state == CONNECTED
    found = standing(entry, TERMS, late)
    assert (found.state, found.code) == (PENDING, "no_report")
    entry = heartbeat(entry, heartbeat_of(late), TERMS, late)
    again = take_reports(entry, unsigned(report_of(m, late) for m in MASTERS[1:]), TERMS, late)
    assert (again.presence.state, again.presence.since) == (CONNECTED, late)


def _moved(now: float) -> Entry:
    return heartbeat(connected(), heartbeat_of(now, host=NEW_HOST), TERMS, now)


def _beat_until(entry: Entry, first: int, last: int, **changes: Any) -> Entry:
    for now in range(first, last, 30):
        entry = heartbeat(entry, heartbeat_of(now, **changes), TERMS, now)
    return entry


def test_a_changed_address_serves_on_until_the_end_of_the_next_slot() -> None:
    now, end = START + 30, TIMING.slot_start(1, 12)
    entry = _moved(now)
    found = standing(entry, TERMS, now)
    assert (found.state, found.code) == (CONNECTED, "address_changed")
    assert {view.code for view in found.masters} == {"address_mismatch", "no_report"}
    assert entry.uptime[-1].address_changes == 1
    entry = _beat_until(entry, now + 30, end, host=NEW_HOST)
    assert standing(entry, TERMS, end - 1).state == CONNECTED
    assert standing(entry, TERMS, end).state == PENDING


def test_a_changed_address_that_is_verified_stays() -> None:
    now, end = START + 30, TIMING.slot_start(1, 12)
    reports = unsigned(report_of(m, now + 1, group_prefix=NEW_PREFIX) for m in MASTERS[:2])
    entry = take_reports(_moved(now), reports, TERMS, now + 1)
    assert (entry.presence.grace_until, standing(entry, TERMS, now + 1).code) == (0, "ok")
    entry = _beat_until(entry, now + 30, end, host=NEW_HOST)
    assert standing(entry, TERMS, end).state == PENDING, "the grace does not outlive the verification"


def test_moving_within_a_prefix_or_to_another_port_is_verified_by_reports_made_after_it() -> None:
    now = START + 30
    for changes in ({"host": "5.6.7.99"}, {"port": 7401}):
        entry = heartbeat(connected(), heartbeat_of(now, **changes), TERMS, now)
        assert standing(entry, TERMS, now).code == "address_changed"
        old = take_reports(entry, unsigned(report_of(m, now - 2) for m in MASTERS), TERMS, now)
        assert standing(old, TERMS, now).code == "address_changed"
        new = take_reports(entry, unsigned(report_of(m, now) for m in MASTERS), TERMS, now)
        assert standing(new, TERMS, now).code == "ok"
    assert entry.uptime[-1].address_changes == 0, "a port is no address"


def test_changing_again_and_again_does_not_prolong_the_grace() -> None:
    now, end = START + 30, TIMING.slot_start(1, 12)
    entry = _moved(now)
    for number, moment in enumerate(range(now + 30, end, 30)):
        entry = heartbeat(entry, heartbeat_of(moment, host=f"5.6.{number}.9"), TERMS, moment)
    assert standing(entry, TERMS, end).state == PENDING
    entry = heartbeat(entry, heartbeat_of(end, host=HOST), TERMS, end)
    assert entry.presence.state == PENDING


def test_a_pending_provider_gains_no_grace_by_moving() -> None:
    entry = heartbeat(pending(), heartbeat_of(START + 1, host=NEW_HOST), TERMS, START + 1)
    assert (entry.presence.state, entry.presence.grace_until) == (PENDING, 0)


def test_what_is_forgotten_could_not_be_replayed() -> None:
    entry = leave(pending(), leaving_of(START + 1, time=START + 1 + 120), TERMS, START + 1)
    assert not may_be_forgotten(entry, TERMS, START + 1 + 240)
    gone = START + 1 + 243
    assert may_be_forgotten(entry, TERMS, gone)
    assert code(lambda: announce(None, announcement(time=START + 1 + 120), TERMS, gone)) == "stale_time"


def test_an_entry_whose_slots_are_still_wanted_is_kept_until_intake_closes() -> None:
    entry = _beat_until(connected(), START + 30, START + 590)
    assert entry.uptime[-1].slots == bytes([0, 1 << 2]) + bytes(16)
    gone = leave(entry, leaving_of(START + 591), TERMS, START + 591)
    assert not may_be_forgotten(gone, TERMS, TIMING.intake_end(1) - 1)
    assert may_be_forgotten(gone, TERMS, TIMING.intake_end(1))
    assert not may_be_forgotten(pending(), TERMS, START), "nobody present is forgotten"
