"""What a resolver that lies, or a provider that is none, can do to a consumer that dials its candidates: cost it a candidate."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest

from chain.keys import NodeKey
from chain.merkle import MerkleTree
from chain.messages import Leaf
from chain.rules import Rules
from chain.typed import Domain, Signed, sign
from chain.types import Address, Digest
from consumer import connecting
from consumer.connecting import MOST_KNOCKED, Aside, Caller, Failure, go_through_best
from consumer.reputations import Reputations
from consumer.store import Store
from provider.sessions.covering import Cover
from runtime.clock import SystemClock
from tests.histories.table import DEPLOYER
from tests.integration.test_verified_reputations import honest, stage
from tests.tunnels import HOST as PROVIDER_HOST
from tests.tunnels import PRICE, PROVIDER, Keys, provider_at
from wire.answers import Match
from wire.messages import SessionRequest
from wire.refusals import Refused
from wire.sessions import DemandClaim
from wire.tls import make_identity, server_context

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
CONSUMER, OTHER = NodeKey(b"\x01" * 32), NodeKey(b"\x02" * 32)
HOST = "127.92.1.1"
LENIENT = Rules(allow_private_addresses=True)


def match(host: str, port: int, number: int = 1) -> Match:
    return Match(Address(f"0x{number:040x}"), host, port, "DE", 10**8, 1, 0, 1, 0, 0, 0, 0, 0)


def request(max_price: int = 10) -> Signed[SessionRequest]:
    now = int(time.time())
    return sign(SessionRequest(CONSUMER.address, "", 0, 10**6, max_price, 0, 10**18, 1, now + 60), DOMAIN, CONSUMER)


def failures(folder: Path, *candidates: Match, rules: Rules = LENIENT) -> tuple[Failure, ...]:
    async def knock() -> tuple[Failure, ...]:
        store = Store(folder / "consumer.sqlite", CONSUMER.address, DOMAIN)
        try:
            gone, failed = await go_through_best(request(), candidates, Caller(CONSUMER, DOMAIN, rules, SystemClock(), store, None))
            assert gone is None
            assert store.reserved_until() == 0, "nothing is promised to nobody"
            return failed
        finally:
            store.close()

    return asyncio.run(knock())


@pytest.mark.parametrize(
    ("host", "port", "code"),
    [
        ("10.1.2.3", 22, "private_address"),
        ("127.0.0.1", 8545, "private_address"),
        ("::1", 22, "private_address"),
        ("somewhere.example", 443, "absurd_value"),
        ("", 443, "absurd_value"),
        ("8.8.8.8", 0, "absurd_value"),
    ],
)
def test_nobody_is_sent_into_the_own_network_or_to_a_name(tmp_path: Path, host: str, port: int, code: str) -> None:
    (failed,) = failures(tmp_path, match(host, port), rules=Rules())
    assert failed.code == code


def test_a_port_that_is_closed(tmp_path: Path) -> None:
    (failed,) = failures(tmp_path, match(HOST, 9))
    assert failed.code == "provider_failed"
    assert HOST not in failed.said


def test_another_node_at_the_port_and_a_list_without_end(tmp_path: Path) -> None:
    async def scene() -> tuple[tuple[Failure, ...], int]:
        came = 0

        def took(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal came
            came += 1
            writer.close()

        context = server_context(make_identity(OTHER, DOMAIN, int(time.time()) + 100))
        async with await asyncio.start_server(took, HOST, 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            candidates = [match(HOST, port, number) for number in range(1, 12)]
            return await asyncio.to_thread(failures, tmp_path, *candidates), came

    failed, came = asyncio.run(scene())
    assert [one.code for one in failed] == ["provider_failed"] * MOST_KNOCKED
    assert came == MOST_KNOCKED
    assert all(OTHER.address in one.said for one in failed)


@pytest.mark.parametrize("code", ["session_closed", "budget_spent", "not_covered"])
def test_one_that_quotes_and_then_refuses_is_left_alone_whatever_it_says(
    tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interval that was accepted is not used again, and nothing is spent; the reason that it names does not bring it back at once."""

    async def refuse(_: Keys, claim: DemandClaim, session_id: Digest) -> Cover:
        raise Refused(code)

    async def scene() -> None:
        monkeypatch.setattr(Keys, "cover", refuse)
        (tmp_path / "provider").mkdir()
        store = Store(tmp_path / "consumer.sqlite", CONSUMER.address, DOMAIN)
        try:
            async with provider_at(tmp_path / "provider", LENIENT) as served:
                offered = match(PROVIDER_HOST, served.listener.port)
                offered = replace(offered, provider=PROVIDER.address)
                caller = Caller(CONSUMER, DOMAIN, LENIENT, SystemClock(), store, None)
                asked = request(max_price=PRICE)
                gone, failed = await go_through_best(asked, [offered], caller)
            assert gone is None
            (failure,) = failed
            aside = Aside()
            aside.put(failure.provider, failure.code, 0)
            assert aside.at(0) == (PROVIDER.address,)
            assert store.reserved_until() == asked.message.budget_to
            (known,) = store.sessions()
            assert (known.fee, known.reason) == (0, code)
        finally:
            store.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("shown", "said"), [(True, "reputation 640000 (epoch 1, verified)"), (False, "reputation 1000000 (epoch 9, by the resolver's word)")]
)
def test_the_reputation_is_verified_meanwhile_and_not_waited_for_long(
    tmp_path: Path, shown: bool, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Validators that show nothing until the consumer is done cost it `VERIFY_S` and the proof."""

    async def refuse(_: Keys, claim: DemandClaim, session_id: Digest) -> Cover:
        raise Refused("not_covered")

    async def scene() -> None:
        monkeypatch.setattr(Keys, "cover", refuse)
        monkeypatch.setattr(connecting, "VERIFY_S", 20.0 if shown else 0.05)
        for name in ("provider", "pool"):
            (tmp_path / name).mkdir()
        tree = MerkleTree([Leaf(PROVIDER.address, 0, 0, 0, 640_000), Leaf(OTHER.address, 0, 0, 0, 1), Leaf(DEPLOYER.address, 0, 0, 0, 0)])
        store = Store(tmp_path / "consumer.sqlite", CONSUMER.address, DOMAIN)
        try:
            async with (
                stage(tmp_path / "pool", honest, honest, honest, honest, tree=tree) as stand_in,
                provider_at(tmp_path / "provider", LENIENT) as served,
            ):
                if not shown:
                    stand_in.gate.clear()
                offered = match(PROVIDER_HOST, served.listener.port)
                offered = replace(offered, provider=PROVIDER.address, reputation_ppm=10**6, reputation_epoch=9)
                reputations = Reputations(stand_in.scene.chain, stand_in.client, stand_in.clock)
                caller = Caller(CONSUMER, DOMAIN, LENIENT, SystemClock(), store, None, reputations)
                gone, _ = await go_through_best(request(max_price=PRICE), [offered], caller)
                assert gone is None
                assert stand_in.gate.is_set() is shown
                stand_in.gate.set()
        finally:
            store.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(scene())
    assert f"candidate {PROVIDER.address}: score" in caplog.text
    assert said in caplog.text
