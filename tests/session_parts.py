"""The parts of sessions, signed: from the request to the evidence, for the tests of whoever makes, covers, counts or keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from chain.keys import NodeKey
from chain.typed import Domain, Signed, digest_of, sign
from chain.types import Digest
from wire.messages import DemandReceipt, Offer, SessionEvidence, SessionRequest, UsageReceipt, UsageReport
from wire.sessions import GIB, DemandClaim, session_id

PRICE = GIB
"""Wei per GiB, so that a byte costs one wei."""


def key(name: str) -> NodeKey:
    return NodeKey(hashlib.sha256(name.encode()).digest())


@dataclass(frozen=True)
class Parties:
    """One consumer and one provider on one network, and what they sign about a session of [start, end) wei."""

    domain: Domain
    consumer: NodeKey
    provider: NodeKey
    start: int = 0
    end: int = 1_000
    price: int = PRICE
    nonce: int = 0
    expiry: int = 10**9

    @property
    def request(self) -> SessionRequest:
        return SessionRequest(self.consumer.address, "", 1, 500_000, self.price, self.start, self.end, self.nonce, self.expiry)

    @property
    def offer(self) -> Offer:
        return Offer(self.provider.address, digest_of(self.request, self.domain), self.price, self.expiry)

    @property
    def name(self) -> Digest:
        return session_id(self.request, self.offer, self.domain)

    def claim(self) -> DemandClaim:
        return DemandClaim(
            sign(self.request, self.domain, self.consumer),
            sign(self.offer, self.domain, self.provider),
            sign(self.usage(0, 0, 0), self.domain, self.consumer),
        )

    def usage(self, sequence: int, received: int, time: int) -> UsageReceipt:
        return UsageReceipt(self.consumer.address, self.name, sequence, 0, received, 0, 0, time)

    def receipt(self, sequence: int, received: int, time: int) -> Signed[UsageReceipt]:
        return sign(self.usage(sequence, received, time), self.domain, self.consumer)

    def report(self, sequence: int, served: int, time: int) -> Signed[UsageReport]:
        return sign(UsageReport(self.provider.address, self.name, sequence, 0, served, 0, 0, time), self.domain, self.provider)

    def demand(self, validator: NodeKey, time: int) -> Signed[DemandReceipt]:
        message = DemandReceipt(validator.address, self.consumer.address, self.provider.address, self.name, self.start, self.end, time)
        return sign(message, self.domain, validator)

    def evidence(
        self, validators: Iterable[NodeKey], received: int, time: int, *, served: int | None = None, covered: int | None = None
    ) -> SessionEvidence:
        """A session with one receipt at `time`, and a report if something is said to be `served`; covered at `covered`, else at `time`."""
        ascending = sorted(validators, key=lambda one: one.address)
        claim = self.claim()
        return SessionEvidence(
            claim.request,
            claim.offer,
            tuple(self.demand(one, time if covered is None else covered) for one in ascending),
            (self.receipt(1, received, time),),
            () if served is None else (self.report(1, served, time),),
        )
