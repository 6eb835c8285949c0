"""Announcements of providers behind a relay: whose echoes count, what is dialled, and what the report says."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field, replace

import pytest

from chain.keys import NodeKey
from chain.typed import sign, verify
from chain.types import Address
from master.checks import Checks
from master.dialback import PER_ADDRESS_AND_PORT, Verdict
from tests.unit.master.test_master_checks import ANNOUNCEMENT, CLOSED, DOMAIN, HOME, MASTER, NOW, PROVIDER, TIMING, WRONG, Scene
from wire.messages import Announcement, LatencyReport
from wire.refusals import Refused
from wire.relays import RelayPlace

RELAY = NodeKey(b"\x05" * 32).address
STRANGER = "20.9.0.9"
PLACE = RelayPlace(RELAY, "30.0.0.1", 7_300)
THERE = replace(ANNOUNCEMENT, host=PLACE.host, port=PLACE.port, relay=RELAY)


@dataclass
class Ways:
    """One relay, and what answers behind it."""

    verdict: Verdict = field(default_factory=lambda: Verdict("ok"))
    dialled: list[Address] = field(default_factory=list)

    async def find(self, master: Address) -> RelayPlace | None:
        return PLACE if master == RELAY else None

    async def dial(self, place: RelayPlace, provider: Address, now: float) -> Verdict:
        assert (place, now) == (PLACE, NOW)
        self.dialled.append(provider)
        return self.verdict


@pytest.fixture
def scene() -> Scene:
    return Scene()


def report(scene: Scene, ways: Ways, said: Announcement = THERE, posted_from: str = HOME) -> LatencyReport:
    checks = Checks(MASTER, DOMAIN, TIMING, scene.rules, scene.clock, scene.responder, scene.ledger, scene.dial, 32, ways)
    return verify(asyncio.run(checks.check(sign(said, DOMAIN, PROVIDER), ipaddress.ip_address(posted_from))), DOMAIN)


def refusal(scene: Scene, ways: Ways, said: Announcement = THERE, posted_from: str = HOME) -> str:
    with pytest.raises(Refused) as caught:
        report(scene, ways, said, posted_from)
    return caught.value.code


def test_a_relayed_provider_is_where_it_echoes_from(scene: Scene) -> None:
    ways = Ways()
    scene.echo()
    found = report(scene, ways)
    assert (found.address_ok, found.relay, found.group_prefix, found.rtt_min_us) == (True, RELAY, "20.0.0.0/24", 20_000)
    assert ways.dialled == [PROVIDER.address]
    assert scene.dialled == [], "nobody dials it directly"


def test_a_stranger_that_echoes_in_its_name_changes_nothing(scene: Scene) -> None:
    scene.echo(rounds=5, host=STRANGER, rtt_ms=1)
    assert refusal(scene, Ways()) == "no_echo"
    scene.echo()
    found = report(scene, Ways())
    assert (found.group_prefix, found.rtt_min_us) == ("20.0.0.0/24", 20_000)


def test_only_the_relay_that_a_listed_master_runs_is_dialled(scene: Scene) -> None:
    scene.echo()
    ways = Ways()
    assert refusal(scene, ways, replace(THERE, relay=MASTER.address)) == "not_a_relay"
    assert refusal(scene, ways, replace(THERE, port=22)) == "not_a_relay"
    assert refusal(scene, ways, replace(THERE, host="30.0.0.2")) == "not_a_relay"
    assert ways.dialled == []
    assert scene.refusal(THERE).code == "no_echo", "who cannot tell where it was posted from finds nothing"


@pytest.mark.parametrize("verdict", [CLOSED, WRONG])
def test_who_does_not_prove_its_key_through_the_relay_gets_no_report(scene: Scene, verdict: Verdict) -> None:
    scene.echo()
    ways = Ways(verdict)
    assert [refusal(scene, ways) for _ in range(2)] == [verdict.code] * 2
    assert scene.ledger.report(1, PROVIDER.address) is None


def test_a_relay_is_dialled_for_one_provider_only_so_often(scene: Scene) -> None:
    scene.echo()
    ways = Ways(CLOSED)
    checks = Checks(MASTER, DOMAIN, TIMING, scene.rules, scene.clock, scene.responder, scene.ledger, scene.dial, 32, ways)
    codes = []
    for _ in range(PER_ADDRESS_AND_PORT + 2):
        with pytest.raises(Refused) as caught:
            asyncio.run(checks.check(sign(THERE, DOMAIN, PROVIDER), ipaddress.ip_address(HOME)))
        codes.append(caught.value.code)
    assert codes == ["dial_back_failed"] * PER_ADDRESS_AND_PORT + ["dial_back_limit"] * 2


def test_too_few_echoes_from_home_are_too_few(scene: Scene) -> None:
    scene.echo(rounds=2)
    scene.echo(rounds=5, host=STRANGER)
    assert refusal(scene, Ways()) == "too_few_rounds"


def test_a_report_says_which_way_the_slot_was_measured(scene: Scene) -> None:
    scene.echo()
    assert report(scene, Ways(), ANNOUNCEMENT).relay != RELAY
    assert report(scene, Ways(), replace(THERE, sequence=6)).relay == RELAY, "another place is measured anew"


def test_who_was_timed_in_this_slot_or_the_last_one() -> None:
    scene, slot = Scene(), TIMING.slot_seconds
    assert not scene.responder.is_timed(PROVIDER.address, NOW)
    scene.echo()
    assert scene.responder.is_timed(PROVIDER.address, NOW)
    assert scene.responder.is_timed(PROVIDER.address, NOW + slot)
    assert not scene.responder.is_timed(PROVIDER.address, NOW + 2 * slot)
    gap = Scene()
    gap.echo()
    assert not gap.responder.is_timed(PROVIDER.address, NOW + 2 * slot), "a slot without a look at the clock is one too"
