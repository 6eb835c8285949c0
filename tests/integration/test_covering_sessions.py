"""A session is covered by two thirds of the stake, or not at all, and then it is said why."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from chain.keys import NodeKey
from chain.typed import Signed, digest_of, sign
from chain.types import Digest, Wei
from chain.view import BlockStamp, ChainView, Listing
from provider import covering
from provider.covering import Covering
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


@dataclass(slots=True)
class Listed:
    view: ChainView

    async def view_for(self, epoch: int) -> ChainView:
        assert epoch == 1
        return self.view


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
        cover = Covering(Listed(view), client, SystemClock(), DOMAIN, lambda now: 1, keep)
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
