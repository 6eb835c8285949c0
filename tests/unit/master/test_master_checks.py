"""What a check refuses, in which order, and what it never does: check signatures or dial for somebody who has not echoed."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field, replace

import pytest

from chain.epochs import Timing
from chain.errors import SignatureError
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed, sign, verify
from chain.types import Address, Digest, Signature
from master.checks import Checks
from master.dialback import PER_ADDRESS, PER_ADDRESS_AND_PORT, DialLimits, Verdict
from master.echo import EpochSlot, Responder, Source
from master.report import Ledger
from runtime.clock import ManualClock
from wire.addresses import IPAddress
from wire.messages import Announcement, LatencyReport
from wire.refusals import Refused
from wire.udp import Cookie, Echo, Hello, make_nonce, pack, parse

DOMAIN = Domain(31337, Address("0x" + "22" * 20))
TIMING = Timing(1_000_000, 86_400, 1800, 21_600, 43_200, 3600, 1200, 144)
NOW = 1_000_100.0
MASTER, PROVIDER = NodeKey(b"\x01" * 32), NodeKey(b"\x02" * 32)
HOME, ELSEWHERE = "20.0.0.7", "20.1.0.9"
MS = 1_000_000
WRONG = Verdict("dial_back_wrong_key", "another answers there")
CLOSED = Verdict("dial_back_failed", "no connection")

ANNOUNCEMENT = Announcement(
    provider=PROVIDER.address,
    presence_id=Digest(bytes(32)),
    sequence=5,
    time=int(NOW),
    host=HOME,
    port=4433,
    bandwidth=10**8,
    price=1,
    region="",
    latitude=0,
    longitude=0,
    dns=False,
)


@dataclass
class Scene:
    """A master in memory. What stands where is `there`: a dial-back finds the verdict for the address, else a closed port."""

    rules: Rules = field(default_factory=Rules)
    max_dials: int = 32
    max_providers: int = 100
    there: dict[str, Verdict] = field(default_factory=lambda: {HOME: Verdict("ok")})
    dialled: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    start: float = NOW

    def __post_init__(self) -> None:
        self.clock = ManualClock(self.start)
        self.responder = Responder(b"k" * 32, TIMING, self.rules.echo_rounds)
        self.ledger = Ledger(MASTER.address, TIMING, self.rules.echo_rounds, self.max_providers)
        self.checks = Checks(MASTER, DOMAIN, TIMING, self.rules, self.clock, self.responder, self.ledger, self.dial, self.max_dials)

    async def dial(self, address: IPAddress, port: int, provider: Address, now: float) -> Verdict:
        assert (provider, now) == (PROVIDER.address, self.clock.now())
        self.dialled.append(f"{address}:{port}")
        if self.gate is not None:
            await self.gate.wait()
        return self.there.get(str(address), CLOSED)

    def echo(self, rounds: int = 5, host: str = HOME, rtt_ms: int = 20, port: int = 999, provider: Address = PROVIDER.address) -> None:
        """Echoes of the first `rounds` rounds from this address."""
        source, now = Source(ipaddress.ip_address(host), port), self.clock.now()
        for round_ in range(rounds):
            hello = pack(Hello(provider, make_nonce(bytes(7), round_)))
            cookie = parse(self.responder.receive(hello, source, now=now, now_ns=10**12, arrived_ns=10**12) or b"")
            assert isinstance(cookie, Cookie)
            then = 10**12 + rtt_ms * MS
            self.responder.receive(pack(Echo(cookie)), source, now=now, now_ns=then, arrived_ns=then)

    def check(self, announcement: Announcement = ANNOUNCEMENT, key: NodeKey = PROVIDER) -> Signed[LatencyReport]:
        return asyncio.run(self.checks.check(sign(announcement, DOMAIN, key)))

    def refusal(self, announcement: Announcement = ANNOUNCEMENT) -> Refused:
        with pytest.raises(Refused) as caught:
            self.check(announcement)
        return caught.value


def test_a_timed_and_proven_provider_gets_a_signed_report() -> None:
    scene = Scene()
    scene.echo()
    signed = scene.check()
    report = verify(signed, DOMAIN)
    assert report.master == MASTER.address
    assert (report.provider, report.epoch, report.rtt_min_us, report.loss_ppm) == (PROVIDER.address, 1, 20_000, 0)
    assert (report.address_ok, report.group_prefix, report.slots[0]) == (True, "20.0.0.0/24", 1)
    assert scene.dialled == [f"{HOME}:4433"]
    assert scene.ledger.report(1, PROVIDER.address) == signed


def test_without_an_echo_no_signature_is_looked_at() -> None:
    scene = Scene()
    garbage = Signed(ANNOUNCEMENT, Signature(bytes(65)))
    with pytest.raises(Refused) as caught:
        asyncio.run(scene.checks.check(garbage))
    assert caught.value.code == "no_echo"
    assert caught.value.next_try == int(NOW) + 1
    scene.echo()
    with pytest.raises(SignatureError) as bad:
        asyncio.run(scene.checks.check(garbage))
    assert bad.value.code == "bad_signature"


def test_echoes_of_the_last_slot_are_none_of_this_one() -> None:
    scene = Scene()
    scene.echo()
    asyncio.run(scene.clock.advance(600))
    assert scene.refusal().code == "no_echo"


def test_another_keys_signature_is_refused_before_anything_is_dialled() -> None:
    scene = Scene()
    scene.echo()
    with pytest.raises(SignatureError) as caught:
        scene.check(key=NodeKey(b"\x03" * 32))
    assert caught.value.code == "wrong_signer"
    assert scene.dialled == []
    assert scene.checks.counts == {"wrong_signer": 1}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"time": int(NOW) - 121}, "stale_time"),
        ({"time": int(NOW) + 121}, "future_time"),
        ({"host": "10.0.0.7"}, "private_address"),
        ({"host": "example.org"}, "absurd_value"),
        ({"host": "020.0.0.7"}, "absurd_value"),
        ({"port": 0}, "absurd_value"),
    ],
)
def test_what_an_announcement_may_not_say(change: dict[str, int | str], code: str) -> None:
    scene = Scene()
    scene.echo()
    assert scene.refusal(replace(ANNOUNCEMENT, **change)).code == code  # type: ignore[arg-type]
    assert scene.dialled == []
    assert len(scene.ledger) == 0


@pytest.mark.parametrize("time", [int(NOW) - 120, int(NOW) + 120])
def test_the_tolerance_is_inclusive(time: int) -> None:
    scene = Scene()
    scene.echo()
    scene.check(replace(ANNOUNCEMENT, time=time))


def test_private_addresses_pass_where_the_rules_say_so() -> None:
    scene = Scene(rules=Rules(allow_private_addresses=True), there={"127.1.0.7": Verdict("ok")})
    scene.echo(host="127.1.0.7")
    assert scene.check(replace(ANNOUNCEMENT, host="127.1.0.7")).message.address_ok


def test_too_few_rounds_are_refused_and_count_as_loss_later() -> None:
    scene = Scene()
    scene.echo(rounds=2)
    refused = scene.refusal()
    assert (refused.code, refused.evidence) == ("too_few_rounds", {"echoes": "2", "needed": "3"})
    assert scene.dialled == []
    asyncio.run(scene.clock.advance(600))
    scene.echo()
    assert scene.check(replace(ANNOUNCEMENT, time=int(NOW) + 600)).message.loss_ppm == 300_000


def test_too_few_rounds_of_a_stranger_cost_the_named_provider_nothing() -> None:
    scene = Scene()
    scene.echo(rounds=2, host=ELSEWHERE)
    assert scene.refusal().code == "too_few_rounds"
    assert len(scene.ledger) == 0


@pytest.mark.parametrize("verdict", [CLOSED, WRONG])
def test_a_failed_dial_back_is_said_and_may_be_tried_once_more_in_the_slot(verdict: Verdict) -> None:
    scene = Scene(there={HOME: verdict})
    scene.echo()
    first, second, third = scene.refusal(), scene.refusal(), scene.refusal()
    assert [r.code for r in (first, second, third)] == [verdict.code, verdict.code, "dial_back_limit"]
    assert [r.next_try for r in (first, second, third)] == [int(NOW) + 1, 1_000_600, 1_000_600]
    assert first.evidence == {"announced": HOME, "observed": HOME, "port": "4433"}
    assert len(scene.dialled) == 2
    assert len(scene.ledger) == 0
    asyncio.run(scene.clock.advance(600))
    scene.echo()
    assert scene.refusal(replace(ANNOUNCEMENT, time=int(NOW) + 600)).code == verdict.code


def test_after_the_last_slot_of_an_epoch_comes_the_next_epochs_first() -> None:
    scene = Scene(there={HOME: CLOSED})
    asyncio.run(scene.clock.advance(86_400 - 200))
    announcement = replace(ANNOUNCEMENT, time=int(scene.clock.now()))
    scene.echo()
    scene.refusal(announcement)
    assert scene.refusal(announcement).next_try == 1_086_400


def test_a_measured_slot_is_answered_again_without_another_dial() -> None:
    scene = Scene()
    scene.echo()
    assert scene.check() == scene.check()
    assert len(scene.dialled) == 1


def test_a_new_port_is_dialled_even_in_a_measured_slot() -> None:
    scene = Scene()
    scene.echo()
    scene.check()
    scene.check(replace(ANNOUNCEMENT, port=4434, sequence=6))
    assert scene.dialled == [f"{HOME}:4433", f"{HOME}:4434"]


def test_an_older_announcement_cannot_undo_a_newer_one() -> None:
    scene = Scene(there={HOME: Verdict("ok"), ELSEWHERE: Verdict("ok")})
    scene.echo()
    scene.check()
    refused = scene.refusal(replace(ANNOUNCEMENT, host=ELSEWHERE, sequence=4))
    assert refused.code == "reused_sequence"
    assert scene.ledger.report(1, PROVIDER.address) is not None
    assert len(scene.dialled) == 1


def test_a_wrong_source_is_not_measured_unless_it_proves_the_key() -> None:
    scene = Scene(there={HOME: Verdict("ok"), ELSEWHERE: WRONG})
    scene.echo(host=ELSEWHERE)
    assert scene.refusal().code == "dial_back_wrong_key"
    assert scene.dialled == [f"{ELSEWHERE}:4433"], "the announced address has not echoed: it is never dialled"


def test_another_source_that_proves_the_key_is_reported_as_not_the_announced() -> None:
    scene = Scene(there={ELSEWHERE: Verdict("ok")})
    scene.echo(host=ELSEWHERE)
    report = scene.check().message
    assert (report.address_ok, report.group_prefix) == (False, "20.1.0.0/24")


def test_a_faster_stranger_in_the_providers_name_changes_nothing() -> None:
    scene = Scene(there={HOME: Verdict("ok"), ELSEWHERE: WRONG})
    scene.echo(host=ELSEWHERE, rtt_ms=1)
    scene.echo(rtt_ms=80)
    assert scene.check().message.rtt_min_us == 80_000
    assert scene.dialled == [f"{HOME}:4433"]


def test_dial_backs_at_once_are_bounded() -> None:
    async def scenario() -> str:
        scene = Scene(max_dials=1, gate=asyncio.Event())
        scene.echo()
        signed = sign(ANNOUNCEMENT, DOMAIN, PROVIDER)
        first = asyncio.ensure_future(scene.checks.check(signed))
        await asyncio.sleep(0)
        with pytest.raises(Refused) as caught:
            await scene.checks.check(signed)
        assert scene.gate is not None
        scene.gate.set()
        assert (await first).message.address_ok
        return caught.value.code

    assert asyncio.run(scenario()) == "busy"


def test_a_full_memory_is_said() -> None:
    scene = Scene(max_providers=0)
    scene.echo()
    assert scene.refusal().code == "busy"


def test_before_genesis_there_is_nothing_to_check() -> None:
    scene = Scene(start=999_990)
    refused = scene.refusal()
    assert (refused.code, refused.next_try) == ("unknown_epoch", 1_000_000)


class TestDialLimits:
    """Twice per slot, address and port; sixteen times per slot and address."""

    home: IPAddress = ipaddress.ip_address(HOME)

    def test_per_address_and_port(self) -> None:
        limits, at = DialLimits(), EpochSlot(1, 0)
        assert [limits.take(at, self.home, 1) for _ in range(3)] == [True, True, False]
        assert limits.take(at, self.home, 2)
        assert limits.take(at, ipaddress.ip_address(ELSEWHERE), 1)
        assert PER_ADDRESS_AND_PORT == 2

    def test_per_address(self) -> None:
        limits, at = DialLimits(), EpochSlot(1, 0)
        assert sum(limits.take(at, self.home, port) for port in range(1, 40)) == PER_ADDRESS == 16
        assert limits.take(at, ipaddress.ip_address(ELSEWHERE), 1)

    def test_a_new_slot_begins_anew_and_an_old_one_is_over(self) -> None:
        limits = DialLimits()
        assert [limits.take(EpochSlot(1, 0), self.home, 1) for _ in range(3)] == [True, True, False]
        assert limits.take(EpochSlot(1, 1), self.home, 1)
        assert not limits.take(EpochSlot(1, 0), self.home, 1)
        assert limits.left(EpochSlot(1, 1), self.home, 1) == 1
        assert limits.left(EpochSlot(2, 0), self.home, 1) == 2
