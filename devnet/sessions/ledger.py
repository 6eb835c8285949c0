"""What sessions cost and bring, computed by hand from the archived evidence: nothing of the validators' own computation is in here.

fee       ceil(price · min(receipt, report) / 2^30), lifetime of the session; an epoch pays what it grew by
consumer  spends the fee
treasury  earns floor(5 % of the fee)
provider  earns the rest of it and floor(90 % of the treasury's part) from the epoch's budget
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chain.canonical import decode
from chain.typed import Domain, Signed
from chain.types import Address, Digest
from devnet.archives import proofs_of
from devnet.layout import Place
from wire.http import Client
from wire.messages import ActivityProof, SessionEvidence
from wire.sessions import session_id

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Served:
    """A session as one epoch's evidence has it, cumulative. price: wei per GiB. budget: wei. received, reported: bytes both ways."""

    session: Digest
    consumer: Address
    provider: Address
    price: int
    budget: int
    received: int
    reported: int

    @property
    def fee(self) -> int:
        """Wei, lifetime of the session."""
        return min(self.budget, fee(self.price, min(self.received, self.reported)))


@dataclass(slots=True)
class Sums:
    """Lifetime sums in wei, by account."""

    spent: Counter[Address] = field(default_factory=Counter)
    earned: Counter[Address] = field(default_factory=Counter)
    treasury: int = 0


async def served(client: Client, validator: Place, manifests: Iterable[Digest], domain: Domain) -> dict[int, tuple[Served, ...]]:
    """By covered epoch the sessions in the proofs that these manifests name, as one validator serves them. `NotServed` if it does not."""
    found: dict[int, tuple[Served, ...]] = {}
    for manifest in manifests:
        for epoch, by_provider in (await proofs_of(client, validator, manifest)).items():
            newest: dict[Digest, Served] = {}
            for digest in sorted(one for digests in by_provider.values() for one in digests):
                signed: Signed[ActivityProof] = decode(Signed[ActivityProof], await client.get(validator.endpoint, f"/v1/proofs/{digest}"))
                for evidence in signed.message.sessions:
                    one = _served(evidence, domain)
                    known = newest.get(one.session)
                    if known is None or one.received > known.received:
                        newest[one.session] = one
            found[epoch] = tuple(newest[session] for session in sorted(newest))
    return found


def fee(price: int, size: int) -> int:
    """Wei for so many bytes at `price` wei per GiB, rounded up."""
    return -(-price * size // GIB)


def sums(by_epoch: Mapping[int, tuple[Served, ...]]) -> Sums:
    """What all of it comes to, if no deposit and no budget falls short."""
    total, paid = Sums(), Counter[Digest]()
    for epoch in sorted(by_epoch):
        for one in by_epoch[epoch]:
            before, now = paid[one.session], max(paid[one.session], one.fee)
            paid[one.session] = now
            fee_before, fee_now = before * 5 // 100, now * 5 // 100
            total.spent[one.consumer] += now - before
            total.treasury += fee_now - fee_before
            total.earned[one.provider] += now - before - (fee_now - fee_before) + fee_now * 9 // 10 - fee_before * 9 // 10
    return total


def _served(evidence: SessionEvidence, domain: Domain) -> Served:
    request, offer = evidence.request.message, evidence.offer.message
    receipts = [one.message.bytes_up + one.message.bytes_down for one in evidence.receipts]
    reports = [one.message.bytes_up + one.message.bytes_down for one in evidence.reports]
    received = max(receipts, default=0)
    budget = request.budget_to - request.budget_from
    session = session_id(request, offer, domain)
    return Served(session, request.consumer, offer.provider, offer.price, budget, received, max(reports, default=received))
