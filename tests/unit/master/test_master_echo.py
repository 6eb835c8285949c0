"""The responder: what counts, and each reason for which an echo does not."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.epochs import Timing
from chain.types import Address
from master.echo import (
    MAX_EXCHANGES_PER_SITE,
    MAX_STRANGE_SOURCES,
    EpochSlot,
    Exchange,
    Responder,
    Source,
    candidates,
    majority,
    site,
    slot_of,
)
from wire.udp import Cookie, Echo, Hello, make_nonce, pack, parse

GENESIS = 1_000_000
TIMING = Timing(GENESIS, 86_400, 1800, 21_600, 43_200, 3600, 1200, 144)
NOW = GENESIS + 300.0
"""The middle of slot 0 of epoch 1."""
MS = 1_000_000
START_NS = 50_000 * MS
PROVIDER = Address("0x" + "aa" * 20)
SOURCE = Source(ipaddress.ip_address("192.0.2.7"), 4000)


def responder(max_exchanges: int = 100) -> Responder:
    return Responder(b"k" * 32, TIMING, 5, max_exchanges)


def receive(
    master: Responder, data: bytes, at_ns: int = START_NS, source: Source = SOURCE, now: float = NOW, waited_ns: int = 0
) -> bytes | None:
    return master.receive(data, source, now=now, now_ns=at_ns + waited_ns, arrived_ns=at_ns)


def ask(master: Responder, round_: int = 0, provider: Address = PROVIDER, source: Source = SOURCE, at_ns: int = START_NS) -> Cookie:
    reply = receive(master, pack(Hello(provider, make_nonce(b"noncexx", round_))), at_ns, source)
    assert reply is not None
    cookie = parse(reply)
    assert isinstance(cookie, Cookie)
    return cookie


def rtts(master: Responder, now: float = NOW, provider: Address = PROVIDER) -> list[tuple[int, ...]]:
    return [exchange.rtts_us for exchange in master.exchanges(provider, now)]


def test_a_round_trip_is_timed_in_microseconds() -> None:
    master = responder()
    cookie = ask(master)
    assert receive(master, pack(Echo(cookie)), START_NS + 12_345_678) is None
    assert master.exchanges(PROVIDER, NOW) == (Exchange(SOURCE, (12_345,)),)
    assert master.counts == {"cookies": 1, "echoes": 1}


def test_rounds_are_kept_in_order_of_arrival() -> None:
    master = responder()
    cookies = {r: ask(master, r) for r in range(5)}
    for wait, round_ in enumerate((3, 0, 4, 1, 2), start=1):
        receive(master, pack(Echo(cookies[round_])), START_NS + wait * 10 * MS)
    assert rtts(master) == [(10_000, 20_000, 30_000, 40_000, 50_000)]


def test_a_hello_costs_no_memory_and_gets_no_longer_answer() -> None:
    master = responder()
    hello = pack(Hello(PROVIDER, make_nonce(bytes(7), 0)))
    reply = receive(master, hello)
    assert reply is not None
    assert len(reply) <= len(hello)
    assert master.exchanges(PROVIDER, NOW) == ()


def test_time_in_the_socket_buffer_is_not_the_providers() -> None:
    master = responder()
    cookie = ask(master)
    receive(master, pack(Echo(cookie)), START_NS + 10 * MS, waited_ns=700 * MS)
    assert rtts(master) == [(10_000,)]


def test_a_delayed_echo_only_looks_slower() -> None:
    """No change to the cookie makes a round trip shorter than the time that really passed."""
    early, late = responder(), responder()
    receive(early, pack(Echo(ask(early))), START_NS + 20 * MS)
    receive(late, pack(Echo(ask(late))), START_NS + 900 * MS)
    assert rtts(early) == [(20_000,)]
    assert rtts(late) == [(900_000,)]


@given(st.integers(1, 10**9))
def test_a_later_send_time_cannot_be_claimed(later_ns: int) -> None:
    master = responder()
    cookie = ask(master)
    receive(master, pack(Echo(replace(cookie, sent_ns=cookie.sent_ns + later_ns))), START_NS + 10**9)
    assert rtts(master) == []
    assert master.counts["tag"] == 1


def test_an_echo_before_its_cookie_was_sent_is_ignored() -> None:
    master = responder()
    cookie = ask(master)
    receive(master, pack(Echo(replace(cookie, sent_ns=START_NS + MS))), START_NS)
    assert rtts(master) == []
    assert master.counts["age"] == 1


@pytest.mark.parametrize(("age_ms", "reason"), [(1999, "echoes"), (2000, "age"), (60_000, "age")])
def test_an_echo_counts_for_two_seconds(age_ms: int, reason: str) -> None:
    master = responder()
    receive(master, pack(Echo(ask(master))), START_NS + age_ms * MS)
    assert master.counts[reason] == 1


def test_a_round_counts_once_whichever_cookie_it_comes_with() -> None:
    master = responder()
    first, second = ask(master), ask(master, at_ns=START_NS + 5 * MS)
    for cookie in (first, first, second):
        receive(master, pack(Echo(cookie)), START_NS + 30 * MS)
    assert rtts(master) == [(30_000,)]
    assert master.counts["repeated"] == 2


def test_rounds_beyond_the_rules_are_ignored() -> None:
    master = responder()
    assert receive(master, pack(Hello(PROVIDER, make_nonce(bytes(7), 5)))) is None
    cookie = ask(master)
    receive(master, pack(Echo(replace(cookie, nonce=make_nonce(b"noncexx", 5)))), START_NS + MS)
    assert master.counts["round"] == 2


@pytest.mark.parametrize(
    "source", [Source(SOURCE.address, SOURCE.port + 1), Source(ipaddress.ip_address("192.0.2.8"), SOURCE.port)], ids=["port", "address"]
)
def test_a_cookie_works_only_from_where_it_was_asked_for(source: Source) -> None:
    master = responder()
    receive(master, pack(Echo(ask(master))), START_NS + MS, source)
    assert master.counts["tag"] == 1
    assert rtts(master) == []


def test_a_cookie_of_another_master_or_another_start_is_worthless() -> None:
    master, other = responder(), Responder(b"other key" + bytes(23), TIMING, 5)
    receive(master, pack(Echo(ask(other))), START_NS + MS)
    assert master.counts["tag"] == 1


def test_a_cookie_counts_in_the_slot_it_was_sent_in_and_no_other() -> None:
    master = responder()
    end = GENESIS + 600.0
    cookie = ask(master)
    receive(master, pack(Echo(cookie)), START_NS + 100 * MS, now=end - 0.01)
    receive(master, pack(Echo(cookie)), START_NS + 200 * MS, now=end + 0.09)
    assert master.counts["echoes"] == 1
    assert master.counts["other_slot"] == 1
    assert rtts(master, end + 0.09) == []


def test_what_was_counted_is_forgotten_with_its_slot() -> None:
    master = responder()
    receive(master, pack(Echo(ask(master))), START_NS + MS)
    assert rtts(master, NOW + 600) == []
    receive(master, b"anything", now=NOW + 600)
    assert rtts(master, NOW) == []


def test_nothing_happens_before_genesis() -> None:
    master = responder()
    assert receive(master, pack(Hello(PROVIDER, make_nonce(bytes(7), 0))), now=GENESIS - 1) is None
    assert master.counts == {"before_genesis": 1}
    assert master.exchanges(PROVIDER, GENESIS - 1) == ()


def test_cookies_and_strangers_bytes_are_not_for_a_master() -> None:
    master = responder()
    assert receive(master, pack(ask(master))) is None
    assert receive(master, b"") is None
    assert master.counts["not_ours"] == 2


@given(st.binary(max_size=100), st.integers(0, 2**40))
def test_garbage_is_met_with_silence_or_a_shorter_answer(data: bytes, at_ns: int) -> None:
    master = responder()
    reply = receive(master, data, at_ns)
    assert reply is None or len(reply) <= len(data)
    assert rtts(master) == []


@given(st.sampled_from([1, 2, 3]), st.binary(min_size=68, max_size=75), st.integers(0, 2**40))
def test_near_misses_are_never_counted(kind: int, body: bytes, at_ns: int) -> None:
    master = responder()
    data = b"DPN1" + bytes([kind]) + body
    reply = receive(master, data, at_ns)
    assert reply is None or len(reply) <= len(data)
    assert master.counts["echoes"] == 0


def test_one_site_fills_only_its_share_of_the_memory() -> None:
    master = responder(max_exchanges=10_000)
    for port in range(1, MAX_EXCHANGES_PER_SITE + 3):
        source = Source(SOURCE.address, port)
        receive(master, pack(Echo(ask(master, source=source))), START_NS + MS, source)
    assert master.counts["echoes"] == MAX_EXCHANGES_PER_SITE
    assert master.counts["full"] == 2
    elsewhere = Source(ipaddress.ip_address("192.0.2.8"), 1)
    receive(master, pack(Echo(ask(master, source=elsewhere))), START_NS + MS, elsewhere)
    assert master.counts["echoes"] == MAX_EXCHANGES_PER_SITE + 1


def test_all_sites_together_fill_no_more_than_the_bound_and_only_for_a_slot() -> None:
    master = responder(max_exchanges=3)
    for host in range(1, 6):
        source = Source(ipaddress.ip_address(f"192.0.2.{host}"), 1)
        receive(master, pack(Echo(ask(master, source=source))), START_NS + MS, source)
    assert master.counts["echoes"] == 3
    assert master.counts["full"] == 2
    receive(master, b"", now=NOW + 600)
    source = Source(ipaddress.ip_address("192.0.2.99"), 1)
    hello = pack(Hello(PROVIDER, make_nonce(bytes(7), 0)))
    cookie = parse(receive(master, hello, source=source, now=NOW + 600) or b"")
    assert isinstance(cookie, Cookie)
    receive(master, pack(Echo(cookie)), START_NS + MS, source, now=NOW + 600)
    assert master.counts["echoes"] == 4


def test_an_ipv6_house_is_one_site() -> None:
    inside = (ipaddress.ip_address("2001:db8:1::1"), ipaddress.ip_address("2001:db8:1:ffff::2"))
    assert len({site(a) for a in inside}) == 1
    assert site(ipaddress.ip_address("2001:db8:2::1")) != site(inside[0])
    assert site(ipaddress.ip_address("192.0.2.1")) != site(ipaddress.ip_address("192.0.2.2"))


def test_slots_have_epoch_and_number() -> None:
    assert slot_of(TIMING, GENESIS - 0.5) is None
    assert slot_of(TIMING, GENESIS) == EpochSlot(1, 0)
    assert slot_of(TIMING, GENESIS + 86_400 + 1200) == EpochSlot(2, 2)


class TestCandidates:
    """Whose echoes are the announced provider's."""

    home = ipaddress.ip_address("192.0.2.7")

    @staticmethod
    def exchange(host: str, *rtts_us: int, port: int = 1) -> Exchange:
        return Exchange(Source(ipaddress.ip_address(host), port), rtts_us)

    def test_a_majority_of_rounds_is_needed(self) -> None:
        assert [majority(n) for n in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]
        assert candidates([self.exchange("192.0.2.7", 1, 2)], self.home, 5) == ()
        assert len(candidates([self.exchange("192.0.2.7", 1, 2, 3)], self.home, 5)) == 1

    def test_the_announced_address_comes_before_every_faster_stranger(self) -> None:
        slow, fast = self.exchange("192.0.2.7", 900, 900, 900), self.exchange("203.0.113.1", 1, 1, 1, 1, 1)
        assert candidates([fast, slow], self.home, 5) == (slow,)

    def test_a_stranger_does_not_step_in_for_an_announced_address_with_too_few(self) -> None:
        few, stranger = self.exchange("192.0.2.7", 900), self.exchange("203.0.113.1", 1, 1, 1, 1, 1)
        assert candidates([few, stranger], self.home, 5) == ()

    def test_of_one_address_the_least_round_trip_wins(self) -> None:
        inflated, true = self.exchange("192.0.2.7", 500, 500, 500, 500, port=1), self.exchange("192.0.2.7", 30, 40, 50, port=2)
        assert candidates([inflated, true], self.home, 5) == (true,)

    def test_without_the_announced_address_a_few_others_are_tried_once_each(self) -> None:
        others = [self.exchange(f"203.0.113.{n}", n, n, n, port=p) for n in range(1, 9) for p in (1, 2)]
        found = candidates(others, self.home, 5)
        assert len(found) == MAX_STRANGE_SOURCES
        assert len({e.source.address for e in found}) == MAX_STRANGE_SOURCES
