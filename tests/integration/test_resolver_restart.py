"""The pool survives the resolver: equal after reopening, and killed at any point it ends where it would have ended.

Points: `inserted`, `reported`, `connected`, `heartbeat`. A resolver dies before a step's transaction (nothing of the step remains) or
after it, before its answer leaves (all of it remains, and the provider, unanswered, says it again with a higher sequence).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chain.canonical import encode
from chain.errors import SignatureError
from chain.typed import Domain, sign
from chain.types import Address
from resolver.pool import Entry, standing
from resolver.service import Resolver
from resolver.store import PoolStore
from runtime.clock import ManualClock
from runtime.storage import DatabaseMismatch
from tests.unit.resolver.pool_world import (
    DOMAIN,
    HOST,
    MASTERS,
    OTHER,
    PROVIDER,
    START,
    STRANGER,
    TERMS,
    TIMING,
    announcement,
    heartbeat_of,
    leaving_of,
    open_resolver,
    report_of,
    signed_reports,
)
from wire.answers import PoolAnswer, ReportBatch
from wire.refusals import Refused

Step = Callable[[Resolver, int], PoolAnswer]
"""Takes the attempt's number, which makes its sequence."""


class Killed(BaseException):
    """The process is gone."""


class DyingStore(PoolStore):
    """Dies at the `fatal`-th save, before or after it is on disk."""

    saves = 0
    fatal = -1
    after = False

    def save(self, entry: Entry, before: Entry | None) -> None:
        self.saves += 1
        if self.saves == self.fatal and not self.after:
            raise Killed
        super().save(entry, before)
        if self.saves == self.fatal:
            raise Killed


def _announce(resolver: Resolver, attempt: int) -> PoolAnswer:
    return resolver.announce(sign(announcement(START, sequence=1_000 + attempt), DOMAIN, PROVIDER))


def _report_one(resolver: Resolver, attempt: int) -> PoolAnswer:
    return resolver.take_reports(ReportBatch(signed_reports(masters=MASTERS[:1])))


def _report_all(resolver: Resolver, attempt: int) -> PoolAnswer:
    return resolver.take_reports(ReportBatch(signed_reports()))


def _heartbeat(resolver: Resolver, attempt: int) -> PoolAnswer:
    return resolver.heartbeat(sign(heartbeat_of(START, sequence=2_000 + attempt), DOMAIN, PROVIDER))


STEPS: dict[str, Step] = {"inserted": _announce, "reported": _report_one, "connected": _report_all, "heartbeat": _heartbeat}


def _run(path: Path, point: str | None, after: bool) -> tuple[Entry, PoolAnswer]:
    """All steps, the resolver killed at `point`; what is on disk in the end, and the last answer."""
    clock = ManualClock(START)
    resolver, store = open_resolver(path, clock)
    for name, step in STEPS.items():
        if name == point:
            store.close()
            dying = DyingStore(path / "pool.sqlite", DOMAIN)
            dying.fatal, dying.after = 1, after
            doomed = Resolver(resolver._key, DOMAIN, dying, clock, resolver.surroundings, 100)
            with pytest.raises(Killed):
                step(doomed, 0)
            dying.close()
            resolver, store = open_resolver(path, clock)
        answer = step(resolver, 1)
    found = store.load()[PROVIDER.address]
    assert found == resolver.entries[PROVIDER.address]
    store.close()
    return found, answer


def _comparable(entry: Entry) -> Entry:
    """Without what a repeated message rightly leaves: it was heard once more."""
    uptime = tuple(replace(u, count=0) for u in entry.uptime)
    return replace(entry, uptime=uptime, presence=replace(entry.presence, heartbeats=0))


@pytest.mark.parametrize("after", [False, True], ids=["before-the-commit", "after-the-commit"])
@pytest.mark.parametrize("point", STEPS)
def test_a_resolver_killed_at_any_point_ends_as_one_that_never_stopped(tmp_path: Path, point: str, after: bool) -> None:
    expected, expected_answer = _run(tmp_path / "never", None, False)
    found, answer = _run(tmp_path / "killed", point, after)
    assert _comparable(found) == _comparable(expected)
    if not after:
        assert found == expected
    assert (answer.state, answer.code, answer.masters, answer.next_try) == (
        expected_answer.state,
        expected_answer.code,
        expected_answer.masters,
        expected_answer.next_try,
    )
    assert answer.state == "connected"


def test_the_answer_is_lost_and_the_same_message_comes_again(tmp_path: Path) -> None:
    resolver, store = open_resolver(tmp_path, ManualClock(START))
    message = sign(announcement(), DOMAIN, PROVIDER)
    resolver.announce(message)
    store.close()
    resolver, store = open_resolver(tmp_path, ManualClock(START))
    with pytest.raises(Refused) as refused:
        resolver.announce(message)
    assert refused.value.code == "reused_sequence"
    store.close()


def test_everything_is_equal_after_reopening(tmp_path: Path) -> None:
    async def go() -> None:
        clock = ManualClock(START)
        resolver, store = open_resolver(tmp_path, clock)
        resolver.announce(
            sign(announcement(bandwidth=10**12, price=10**24, sequence=2**64 - 3, region="AQ", latitude=-90), DOMAIN, PROVIDER)
        )
        resolver.announce(sign(announcement(key=OTHER, host="2606:4700::1111", region="", latitude=0, longitude=0), DOMAIN, OTHER))
        resolver.announce(sign(announcement(key=STRANGER), DOMAIN, STRANGER))
        resolver.take_reports(ReportBatch(signed_reports()))
        await clock.advance(40)
        resolver.heartbeat(sign(heartbeat_of(START + 40, host="5.6.9.9", sequence=2**64 - 2), DOMAIN, PROVIDER))
        resolver.leave(sign(leaving_of(START + 40, key=STRANGER), DOMAIN, STRANGER))
        await clock.advance(60)
        resolver.sweep()
        before = dict(resolver.entries)
        assert before[OTHER.address].presence.state == "expired", "what time has changed is written down"
        states = {provider: standing(entry, TERMS, clock.now()).state for provider, entry in before.items()}
        assert states == {PROVIDER.address: "connected", OTHER.address: "expired", STRANGER.address: "left"}
        shown = encode(resolver.pool("", 100))
        store.close()
        resolver, store = open_resolver(tmp_path, clock)
        assert resolver.entries == before
        assert encode(resolver.pool("", 100)) == shown
        store.close()

    asyncio.run(go())


def test_a_presence_that_ended_while_the_resolver_was_down_is_expired(tmp_path: Path) -> None:
    resolver, store = open_resolver(tmp_path, ManualClock(START))
    resolver.announce(sign(announcement(), DOMAIN, PROVIDER))
    resolver.take_reports(ReportBatch(signed_reports()))
    store.close()
    resolver, store = open_resolver(tmp_path, ManualClock(START + 89))
    assert [entry.provider for entry in resolver.connected()] == [PROVIDER.address]
    store.close()
    resolver, store = open_resolver(tmp_path, ManualClock(START + 90))
    assert list(resolver.connected()) == []
    assert resolver.provider(PROVIDER.address).since == START + 90
    store.close()


def test_what_is_forgotten_leaves_the_disk_too(tmp_path: Path) -> None:
    resolver, store = open_resolver(tmp_path, ManualClock(START))
    resolver.announce(sign(announcement(), DOMAIN, PROVIDER))
    resolver.take_reports(ReportBatch(signed_reports()))
    store.close()
    resolver, store = open_resolver(tmp_path, ManualClock(START + 242))
    resolver.sweep()
    assert resolver.entries == {}
    assert store.load() == {}
    assert resolver.announce(sign(announcement(START + 242), DOMAIN, PROVIDER)).masters[0].code == "no_report"
    store.close()


def test_a_newer_report_replaces_the_older_one_on_disk(tmp_path: Path) -> None:
    resolver, store = open_resolver(tmp_path, ManualClock(START))
    resolver.announce(sign(announcement(), DOMAIN, PROVIDER))
    for second in (0, 1):
        resolver.take_reports(ReportBatch(signed_reports(START + second)))
    held = store.load()[PROVIDER.address].reports
    assert sorted(report.signed.message.sequence for report in held) == [1000 * (START + 1)] * 3
    forged = replace(report_of(MASTERS[0], START + 2), rtt_min_us=1)
    with pytest.raises(SignatureError, match="wrong_signer"):
        resolver.take_reports(ReportBatch((sign(forged, DOMAIN, STRANGER),)))
    assert store.load()[PROVIDER.address].reports == held == resolver.entries[PROVIDER.address].reports
    store.close()


def test_a_pool_of_another_network_is_not_opened(tmp_path: Path) -> None:
    _, store = open_resolver(tmp_path, ManualClock(START))
    store.close()
    with pytest.raises(DatabaseMismatch, match="31338"):
        PoolStore(tmp_path / "pool.sqlite", Domain(31338, Address("0x" + "5e" * 20)))


def test_slots_are_counted_across_a_restart(tmp_path: Path) -> None:
    async def go() -> None:
        clock = ManualClock(TIMING.slot_start(1, 20))
        resolver, store = open_resolver(tmp_path, clock)
        resolver.announce(sign(announcement(clock.now(), host=HOST), DOMAIN, PROVIDER))
        for _ in range(17):
            await clock.advance(30)
            store.close()
            resolver, store = open_resolver(tmp_path, clock)
            answer = resolver.heartbeat(sign(heartbeat_of(clock.now()), DOMAIN, PROVIDER))
        assert answer.tickets[0].message.slots == bytes([0, 0, 1 << 4]) + bytes(15)
        store.close()

    asyncio.run(go())
