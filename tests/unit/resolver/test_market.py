"""What is remembered of the pool is what looking at every entry would say, whatever happens and whenever it is asked."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address
from resolver.market import Market
from resolver.pool import CONNECTED, Entry, heartbeat, leave, standing
from tests.unit.resolver.pool_world import MASTERS, RULES, START, TERMS, TIMING, connected, heartbeat_of, leaving_of, pending
from wire.geography import Spot

DUBLIN, TOKYO = Spot(53, -6), Spot(36, 140)
STEPS = (1.0, 0.5, float(RULES.presence_ttl_s), float(TIMING.slot_seconds), 2.0 * TIMING.slot_seconds)


@given(
    st.lists(st.tuples(st.sampled_from(["wait", "beat", "move", "leave", "return", "terms", "back"]), st.sampled_from(STEPS)), max_size=12)
)
def test_it_says_what_a_fresh_look_says(story: list[tuple[str, float]]) -> None:
    market, terms, now = Market(), TERMS, float(START)
    entries: dict[Address, Entry] = {entry.provider: entry for entry in (connected(),)}
    (provider,) = entries
    for what, seconds in story:
        now = now + seconds if what != "back" else now - seconds
        entry = entries[provider]
        alive = standing(entry, terms, now).state not in ("expired", "left") and int(now * 1000) > entry.sequence
        if what == "beat" and alive:
            entries[provider] = heartbeat(entry, heartbeat_of(now), terms, now)
        elif what == "move" and alive:
            entries[provider] = heartbeat(entry, heartbeat_of(now, host="5.6.8.9"), terms, now)
        elif what == "leave" and alive:
            entries[provider] = leave(entry, leaving_of(now), terms, now)
        elif what == "return":
            entries[provider] = connected(now) if now >= TIMING.genesis else pending(now)
        elif what == "terms":
            terms = replace(terms, masters=terms.masters[1:] if len(terms.masters) > 1 else TERMS.masters)
        for moment in (now, now + 0.25):
            expected = [entry.provider for entry in entries.values() if standing(entry, terms, moment).state == CONNECTED]
            assert [one.entry.provider for one in market.listed(entries, terms, {}, moment)] == expected
            assert list(market.states(entries, terms, {}, moment)) == [standing(one, terms, moment).state for one in entries.values()]


def test_a_claim_is_judged_anew_when_masters_say_where_they_are() -> None:
    market, entry = Market(), connected()
    entries = {entry.provider: entry}
    far = {master.address: TOKYO for master in MASTERS}
    for places, region in (({}, "DE"), (far, ""), (far | {MASTERS[0].address: DUBLIN}, "DE"), (far, "")):
        (one,) = market.listed(entries, TERMS, places, START)
        assert (one.region, one.rtts) == (region, {master.address: 20_000 for master in MASTERS[:2]})


def test_who_is_forgotten_takes_no_room() -> None:
    market, entry = Market(), connected()
    assert len(list(market.listed({entry.provider: entry}, TERMS, {}, START))) == 1
    market.forget(entry.provider)
    market.forget(entry.provider)
    assert list(market.listed({}, TERMS, {}, START)) == []
