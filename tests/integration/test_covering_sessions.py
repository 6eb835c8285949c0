"""A session is covered by two thirds of the stake, or not at all, and then it is said why."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from chain.epochs import Timing
from chain.keys import NodeKey
from chain.typed import Signed, digest_of, sign
from chain.types import Digest, Wei
from chain.view import BlockStamp, ChainView, Deposit, Listing
from provider.sessions import covering
from provider.sessions.covering import Covering
from provider.sessions.records import Served, StoredSession
from runtime.clock import SystemClock
from tests.tunnels import CONSUMER, DOMAIN, PROVIDER, VALIDATORS, request_by
from wire.http import Client, answer, application, read, serve
from wire.messages import DemandReceipt, Offer, UsageReceipt
from wire.refusals import Refused
from wire.sessions import DemandClaim, session_id

HOST = "127.79.4.1"


@dataclass(slots=True)
class Validator:
    """says: `sign`, `sign_other` (for another interval), `sleep`, `sleep_sign` (later), or a code that it refuses with."""

    key: NodeKey
    says: str
    stake: int = 1

    async def demands(self, request: web.Request) -> web.StreamResponse:
        claim = await read(request, DemandClaim)
        if self.says.startswith("sleep"):
            await asyncio.sleep(1.5)
        if "sign" not in self.says:
            raise Refused(self.says)
        message, offer = claim.request.message, claim.offer.message
        until = message.budget_to + (1 if self.says == "sign_other" else 0)
        name = session_id(message, offer, DOMAIN)
        receipt = DemandReceipt(
            self.key.address, message.consumer, offer.provider, name, message.budget_from, until, int(SystemClock().now())
        )
        return answer(sign(receipt, DOMAIN, self.key))


TIMING = Timing(int(SystemClock().now()) - 50, 86_400, 1_800, 21_600, 43_200, 3_600, 1_200, 144)


@dataclass(slots=True)
class Listed:
    """The chain's lists in the first epoch, and what it says by now; in later epochs they are `later`."""

    first: ChainView
    newest: ChainView | None = None
    later: ChainView | None = None

    async def view(self) -> ChainView:
        return self.newest or self.first

    async def view_for(self, epoch: int) -> ChainView:
        return self.first if epoch == 1 or self.later is None else self.later


@contextlib.asynccontextmanager
async def covering_by(validators: list[Validator], late: list[Signed[DemandReceipt]] | None = None) -> AsyncIterator[Covering]:
    def keep(session_id: Digest, receipts: Sequence[Signed[DemandReceipt]]) -> None:
        assert {one.message.session_id for one in receipts} == {session_id}
        if late is None:
            raise Refused("unknown_session")
        late.extend(receipts)

    async with contextlib.AsyncExitStack() as stack:
        listings = []
        for one in validators:
            app = application(DOMAIN, one.key.address, SystemClock())
            app.router.add_post("/v1/demands", one.demands)
            runner = await serve(app, HOST, 0)
            stack.push_async_callback(runner.cleanup)
            port = runner.addresses[0][1]
            listings.append(Listing(one.key.address, "validator", f"{HOST}:{port}", Wei(100), Wei(one.stake)))
        client = Client(DOMAIN)
        stack.push_async_callback(client.close)
        view = ChainView(BlockStamp(1, Digest(bytes(32)), 1), tuple(sorted(listings, key=lambda one: one.account)))
        cover = Covering(Listed(view), client, SystemClock(), DOMAIN, TIMING, keep)
        stack.push_async_callback(cover.close)
        yield cover


def claim() -> tuple[DemandClaim, Digest]:
    request = request_by(budget=(5, 500))
    offer = sign(Offer(PROVIDER.address, digest_of(request.message, DOMAIN), 1, request.message.expiry), DOMAIN, PROVIDER)
    name = session_id(request.message, offer.message, DOMAIN)
    acceptance = UsageReceipt(CONSUMER.address, name, 0, 0, 0, 0, 0, int(SystemClock().now()))
    return DemandClaim(request, offer, sign(acceptance, DOMAIN, CONSUMER)), name


@pytest.mark.parametrize(
    ("says", "found"),
    [
        (("sign", "sign", "sign"), 2), (("sign", "sleep", "sign"), 2), (("sign", "sign", "no_deposit"), 2),
        (("sign", "budget_not_covered", "budget_not_covered"), "budget_not_covered"), (("no_deposit",) * 3, "no_deposit"),
        (("sign", "no_deposit", "budget_used"), "not_covered"), (("sign", "sign_other", "sign_other"), "not_covered"),
        (("sleep", "sleep", "sign"), "not_covered"), (("not_covered",) * 3, "not_covered"),
    ],
)  # fmt: skip
def test_two_thirds_or_the_reason(says: tuple[str, ...], found: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covering, "COVER_S", 1.0)

    async def scene() -> None:
        async with covering_by([Validator(key, one) for key, one in zip(VALIDATORS, says, strict=True)]) as cover:
            shown, name = claim()
            if isinstance(found, int):
                receipts, stakes = await cover.cover(shown, name)
                assert found <= len(receipts) <= says.count("sign")
                assert sum(stakes.values()) == 3
                assert all(one.message.session_id == name for one in receipts)
            else:
                with pytest.raises(Refused) as refused:
                    await cover.cover(shown, name)
                assert refused.value.code == found

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_stake_counts_and_not_heads() -> None:
    async def scene() -> None:
        heavy = [replace(one, stake=10) if number == 0 else one for number, one in enumerate(
            [Validator(VALIDATORS[0], "no_deposit"), Validator(VALIDATORS[1], "sign"), Validator(VALIDATORS[2], "sign")]
        )]  # fmt: skip
        async with covering_by(heavy) as cover:
            with pytest.raises(Refused, match="no_deposit"):
                await cover.cover(*claim())

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_validator_that_answers_later_is_still_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covering, "OPENING_S", 0.1)

    async def scene() -> None:
        late: list[Signed[DemandReceipt]] = []
        seats = [Validator(VALIDATORS[0], "sign"), Validator(VALIDATORS[1], "sign"), Validator(VALIDATORS[2], "sleep_sign")]
        async with covering_by(seats, late) as cover:
            shown, name = claim()
            found, _ = await cover.cover(shown, name)
            assert {one.message.validator for one in found} == {VALIDATORS[0].address, VALIDATORS[1].address}
            while not late:  # noqa: ASYNC110 - a thread fills it
                await asyncio.sleep(0.01)
            assert [one.message.validator for one in late] == [VALIDATORS[2].address]

    asyncio.run(asyncio.wait_for(scene(), 30))


def listed_at(*stakes: int) -> ChainView:
    listings = [
        Listing(key.address, "validator", "127.79.4.1:1", Wei(100), Wei(stake)) for key, stake in zip(VALIDATORS, stakes, strict=True)
    ]
    return ChainView(BlockStamp(1, Digest(bytes(32)), 1), tuple(sorted(listings, key=lambda one: one.account)))


@pytest.mark.parametrize(
    ("exited", "stakes", "epoch", "code"),
    [
        (None, (1, 1, 1), 2, ""),
        (0, (1, 1, 1), 1, ""),
        (0, (1, 1, 1), 2, "no_deposit"),  # it exited in the epoch before, when validators could not see it yet
        (1, (1, 1, 1), 2, ""),
        (None, (1, 1, 5), 2, "session_not_covered"),  # who did not sign has got more than a third
        (None, (1, 1, 1), 3, "session_not_covered"),  # it ends with the epoch after the one it was covered in
    ],
)
def test_a_session_lapses_when_its_receipts_count_no_more(exited: int | None, stakes: tuple[int, int, int], epoch: int, code: str) -> None:
    async def scene() -> None:
        shown, name = claim()
        message, offer = shown.request.message, shown.offer.message
        demand = tuple(
            sign(DemandReceipt(key.address, message.consumer, offer.provider, name, 5, 500, TIMING.genesis + 60), DOMAIN, key)
            for key in VALIDATORS[:2]
        )
        stored = StoredSession(name, shown, demand, TIMING.genesis + 60, (1, 2), "", Served(), None, None)
        newest = replace(listed_at(*stakes), deposits={message.consumer: Deposit(Wei(500), Wei(0), exited)})
        lists = Listed(listed_at(1, 1, 1), newest, listed_at(*stakes))
        client = Client(DOMAIN)
        try:
            cover = Covering(lists, client, SystemClock(), DOMAIN, TIMING, lambda name, receipts: None)
            assert await cover.lapsed(stored, epoch) == code
        finally:
            await client.close()

    asyncio.run(asyncio.wait_for(scene(), 30))
