"""Has a session covered: shows the claim to every validator at once, until two thirds of the stake have signed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from chain.canonical import decode
from chain.errors import CodecError
from chain.typed import Domain, Signed, verify
from chain.types import Address, Digest
from chain.view import ChainView, Listing
from runtime.clock import Clock
from wire.http import Client, PeerError, PeerMisbehaved, PeerRefused
from wire.messages import DemandReceipt
from wire.refusals import TABLE, Refused
from wire.sessions import DemandClaim

COVER_S = 15.0

Cover = tuple[tuple[Signed[DemandReceipt], ...], Mapping[Address, int]]
"""Demand receipts, and the stakes of all validators in wei."""


class Coverage(Protocol):
    async def cover(self, claim: DemandClaim, session_id: Digest) -> Cover:
        """Receipts of two thirds of the stake; `Refused` otherwise."""


class Lists(Protocol):
    """`provider.peers.Roster`."""

    async def view_for(self, epoch: int) -> ChainView:
        """The view whose lists are those of an epoch."""


class Covering:
    """Asks the validators that the chain lists."""

    def __init__(self, roster: Lists, client: Client, clock: Clock, domain: Domain, epoch_at: Callable[[float], int]) -> None:
        self._roster, self._client, self._clock, self._domain, self._epoch_at = roster, client, clock, domain, epoch_at

    async def cover(self, claim: DemandClaim, session_id: Digest) -> Cover:
        """`Refused`: the validators' own code if those that refuse agree on one, else `not_covered`."""
        view = await self._roster.view_for(self._epoch_at(self._clock.now()))
        validators = view.validators()
        stakes = {one.account: int(one.stake) for one in validators}
        asked = [asyncio.create_task(self._ask(one, claim, session_id)) for one in validators]
        found: list[Signed[DemandReceipt]] = []
        codes: set[str] = set()
        try:
            async with asyncio.timeout(COVER_S):
                for answer in asyncio.as_completed(asked):
                    try:
                        found.append(await answer)
                    except PeerRefused as refused:
                        codes.add(refused.code)
                    except PeerError:
                        codes.add("not_covered")
                    if 3 * sum(stakes[one.message.validator] for one in found) >= 2 * sum(stakes.values()) > 0:
                        return tuple(found), stakes
        except TimeoutError:
            codes.add("not_covered")
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        code = codes.pop() if len(codes) == 1 else "not_covered"
        raise Refused(code if code in TABLE else "not_covered", "", {"receipts": str(len(found)), "validators": str(len(validators))})

    async def _ask(self, validator: Listing, claim: DemandClaim, session_id: Digest) -> Signed[DemandReceipt]:
        content = await self._client.post(validator.endpoint, "/v1/demands", claim)
        try:
            signed: Signed[DemandReceipt] = decode(Signed[DemandReceipt], content)
            receipt = verify(signed, self._domain)
        except CodecError as error:
            raise PeerMisbehaved(f"{validator.endpoint} answers with a demand receipt that does not verify") from error
        request = claim.request.message
        subject = (validator.account, request.consumer, claim.offer.message.provider, session_id, request.budget_from, request.budget_to)
        says = (receipt.validator, receipt.consumer, receipt.provider, receipt.session_id, receipt.budget_from, receipt.budget_to)
        if subject != says:
            raise PeerMisbehaved(f"{validator.endpoint} answers with a demand receipt for something else")
        return signed
