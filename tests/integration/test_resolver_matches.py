"""Matchmaking over HTTP: who gets endpoints, how many, how long a request waits, and what its consumer's distances change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from chain.canonical import decode
from chain.keys import NodeKey
from chain.typed import sign
from chain.types import Address, Wei
from chain.view import Deposit
from resolver.pending import MOST_ASKED
from resolver.service import MOST_LOOKS
from tests.integration.test_resolver_api import Served, on_loopback, refused
from tests.unit.resolver.pool_world import (
    CONSUMER,
    DOMAIN,
    MASTERS,
    OTHER,
    PROVIDER,
    START,
    STRANGER,
    announcement,
    query_of,
    signed_reports,
)
from wire.answers import MasterRtt, Matches, MatchQuery, ProviderView, ReportBatch
from wire.geography import Spot

MANY = [NodeKey(bytes([n]) * 32) for n in range(0x50, 0x5C)]


async def join(node: Served, key: NodeKey, host: str = "5.6.7.8", rtts: tuple[int, ...] = (20_000,) * 3, **changes: Any) -> None:
    now = node.clock.now()
    await node.accepted("/v1/announcements", sign(announcement(now, key, host=host, **changes), DOMAIN, key))
    prefix = f"{host.rpartition('.')[0]}.0/24"
    reports = [
        signed_reports(now, [master], provider=key.address, group_prefix=prefix, rtt_min_us=rtt, rtt_median_us=rtt)[0]
        for master, rtt in zip(MASTERS, rtts, strict=True)
    ]
    assert (await node.accepted("/v1/reports", ReportBatch(tuple(reports)))).state == "connected"


async def ask(node: Served, query: MatchQuery) -> Matches:
    status, body = await node.post("/v1/matches", query)
    assert status == 200, body
    found: Matches = decode(Matches, body)
    return found


def test_endpoints_are_for_those_whose_deposit_covers_the_interval(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        await join(node, PROVIDER)
        (match,) = (await ask(node, query_of(nonce=1))).matches
        assert (match.host, match.port) == ("5.6.7.8", 7400)

        for deposit, expected in (
            (None, "no_deposit"),
            (Deposit(Wei(10), Wei(10)), "no_deposit"),
            (Deposit(Wei(10**18), exit_epoch=3), "no_deposit"),
            (Deposit(Wei(10**18 - 1)), "budget_not_covered"),
            (Deposit(Wei(10**18), Wei(1)), "budget_not_covered"),
        ):
            deposits = {CONSUMER.address: deposit} if deposit else {}
            node.resolver.surroundings = replace(node.resolver.surroundings, deposits=deposits)
            assert refused(*await node.post("/v1/matches", query_of(nonce=1))) == expected
        assert node.resolver.pending.counts() == {"waiting": 0, "matched": 1}, "who is refused takes no place"

        high = query_of(nonce=2, budget_from=7 * 10**18, budget_to=7 * 10**18 + 5)
        node.resolver.surroundings = replace(node.resolver.surroundings, deposits={CONSUMER.address: Deposit(Wei(5))})
        assert len((await ask(node, high)).matches) == 1, "it is the interval's length that counts"

    on_loopback(tmp_path, go)


def test_a_look_at_the_market_shows_no_endpoint_and_is_kept_nowhere(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        await join(node, PROVIDER)
        look = query_of(key=STRANGER, consumer=STRANGER.address, budget_from=3, budget_to=3)
        status, body = await node.post("/v1/matches", look)
        assert (status, "5.6.7.8" in str(body)) == (200, False)
        found: Matches = decode(Matches, body)
        assert [(match.provider, match.host, match.port) for match in found.matches] == [(PROVIDER.address, "", 0)]
        assert found.waits_until == 0
        assert node.resolver.pending.counts() == {"waiting": 0, "matched": 0}

    on_loopback(tmp_path, go)


def test_a_request_waits_for_whom_it_suits_until_its_life_is_over(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        query = query_of(region="DE")
        found = await ask(node, query)
        assert (found.matches, found.waits_until) == ((), START + 60)
        await join(node, OTHER, "5.9.9.9", region="FR", latitude=48, longitude=2)
        assert (await ask(node, query)).matches == ()
        assert node.resolver.pending.counts() == {"waiting": 1, "matched": 0}
        await node.clock.advance(20)
        await join(node, PROVIDER)
        found = await ask(node, query)
        assert ([match.provider for match in found.matches], found.waits_until) == ([PROVIDER.address], START + 60)
        assert node.resolver.pending.counts() == {"waiting": 0, "matched": 1}
        await node.clock.advance(40)
        node.resolver.sweep()
        assert node.resolver.pending.counts() == {"waiting": 0, "matched": 0}
        status, body = await node.post("/v1/matches", query)
        assert (status, json.loads(body)["error"]["code"]) == (400, "stale_time")

    on_loopback(tmp_path, go)


def test_no_depositor_walks_the_whole_pool(tmp_path: Path) -> None:
    """Twelve providers: one request is shown five of them however often it asks, and only so many requests are taken in a minute."""

    async def go(node: Served) -> None:
        for number, key in enumerate(MANY):
            await join(node, key, f"6.0.{number}.1", price=10**15 - number)
        query, shown = query_of(), set[Address]()
        for _ in range(4):
            found = [match.provider for match in (await ask(node, query)).matches]
            shown.update(found)
            assert (len(found), len(shown)) == (5, 5)
        for number in range(2, 7):
            await ask(node, query_of(nonce=number))
        status, body = await node.post("/v1/matches", query_of(nonce=7))
        assert refused(status, body) == "busy"
        error = json.loads(body)["error"]
        assert error["nextTry"] == START + 61
        assert len((await ask(node, query)).matches) == 5, "the same request may be asked again"
        two = tuple(sorted(shown))[:2]
        left = [match.provider for match in (await ask(node, replace(query, without=two))).matches]
        assert set(left) == shown - set(two), "leaving some out brings no others"
        await node.clock.advance(61)
        assert (await ask(node, query_of(node.clock.now(), nonce=7))).waits_until == START + 121

    on_loopback(tmp_path, go)


def test_distances_filter_on_the_least_and_rank_on_the_most(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        await join(node, PROVIDER, rtts=(10_000, 90_000, 90_000))
        await join(node, OTHER, "5.9.9.9", rtts=(90_000, 10_000, 90_000))
        near = [MasterRtt(master.address, rtt) for master, rtt in zip(MASTERS, (100_000, 5_000, 95_000), strict=True)]
        first, second = (await ask(node, query_of(nonce=1, vector=near))).matches
        assert (first.provider, first.rtt_low_us, first.rtt_high_us) == (OTHER.address, 10_000, 15_000)
        assert (second.provider, second.rtt_low_us, second.rtt_high_us) == (PROVIDER.address, 90_000, 95_000)
        assert first.latency_ppm > second.latency_ppm
        (only,) = (await ask(node, query_of(nonce=2, vector=near, max_rtt_us=80_000))).matches
        assert only.provider == OTHER.address
        blind = (await ask(node, query_of(nonce=3, max_rtt_us=80_000))).matches
        assert {(match.rtt_low_us, match.rtt_high_us) for match in blind} == {(0, 90_000)}
        endless = [MasterRtt(Address(f"0x{n:040x}"), 1) for n in range(257)]
        assert refused(*await node.post("/v1/matches", query_of(nonce=4, vector=endless))) == "absurd_value"
        many = replace(query_of(nonce=4), without=tuple(one.master for one in endless))
        assert refused(*await node.post("/v1/matches", many)) == "absurd_value"
        (other,) = (await ask(node, replace(query_of(nonce=4), without=(OTHER.address,)))).matches
        assert other.provider == PROVIDER.address

    on_loopback(tmp_path, go)


def test_a_refuted_claim_is_out_of_matchmaking_and_display(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        await join(node, PROVIDER, rtts=(1_000, 2_000, 200_000), region="JP", latitude=36, longitude=140)
        assert len((await ask(node, query_of(nonce=1, region="JP"))).matches) == 1
        places = {MASTERS[0].address: Spot(50, 9), MASTERS[1].address: Spot(52, 5), MASTERS[2].address: Spot(36, 140)}
        node.resolver.surroundings = replace(node.resolver.surroundings, places=places)
        assert (await ask(node, query_of(nonce=2, region="JP"))).matches == ()
        (match,) = (await ask(node, query_of(nonce=3))).matches
        assert (match.provider, match.region) == (PROVIDER.address, "")
        view: ProviderView = decode(ProviderView, (await node.call("GET", f"/v1/providers/{PROVIDER.address}"))[1])
        assert (view.state, view.location, view.region, view.latitude, view.longitude) == ("connected", "location_refuted", "", 0, 0)
        assert [(one.master, one.rtt_min_us) for one in view.refutations] == [(MASTERS[0].address, 1_000), (MASTERS[1].address, 2_000)]
        assert all(one.least_us > 50_000 for one in view.refutations)

    on_loopback(tmp_path, go)


def test_looks_at_the_market_are_bounded_and_hold_up_no_depositor(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        await join(node, PROVIDER)
        looks = [query_of(key=STRANGER, consumer=STRANGER.address, budget_to=0, nonce=n) for n in range(MOST_LOOKS + 1)]
        for look in looks[:-1]:
            assert len((await ask(node, look)).matches) == 1
        assert refused(*await node.post("/v1/matches", looks[-1])) == "busy"
        assert len((await ask(node, query_of(nonce=1))).matches) == 1
        await node.clock.advance(1)
        assert len((await ask(node, looks[-1])).matches) == 1

    on_loopback(tmp_path, go)


def test_one_request_is_answered_so_often_and_no_more(tmp_path: Path) -> None:
    async def go(node: Served) -> None:
        for _ in range(MOST_ASKED):
            await ask(node, query_of(nonce=1))
        status, body = await node.post("/v1/matches", query_of(nonce=1))
        assert refused(status, body) == "busy"
        assert json.loads(body)["error"]["nextTry"] == START + 60
        assert (await ask(node, query_of(nonce=2))).matches == ()

    on_loopback(tmp_path, go)


def test_odd_hints_are_answered_or_refused_and_move_nobody_else(tmp_path: Path) -> None:
    """A vector with unlisted, repeated and huge round trips, and one that names the consumer's own distance as nothing."""

    async def go(node: Served) -> None:
        await join(node, PROVIDER)
        await join(node, OTHER, "5.9.9.9", rtts=(30_000,) * 3)
        honest = [match.provider for match in (await ask(node, query_of(nonce=1))).matches]
        first = MASTERS[0].address
        for nonce, vector in enumerate(
            (
                (MasterRtt(STRANGER.address, 1), MasterRtt(PROVIDER.address, 2**32 - 1)),
                (MasterRtt(first, 5), MasterRtt(first, 2**32 - 1), MasterRtt(first, 0)),
                (MasterRtt(first, 0),),
            ),
            start=2,
        ):
            found = (await ask(node, query_of(nonce=nonce, vector=vector))).matches
            assert [match.provider for match in found] == honest
            assert all(0 <= match.rtt_low_us <= match.rtt_high_us for match in found)
        far = query_of(nonce=5, vector=[MasterRtt(first, 2**32 - 1)])
        assert (await ask(node, far)).matches == (), "who says it is far from everybody is shown nobody"
        assert [match.provider for match in (await ask(node, query_of(nonce=1))).matches] == honest

    on_loopback(tmp_path, go)
