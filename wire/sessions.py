"""A session from request to receipt: what names it, what it costs, what makes it payable. Pure, and the same for both ends and validators.

request (consumer) -> offer (provider) -> acceptance (consumer: a receipt of nothing) -> demand receipts (validators) -> service
-> receipts (consumer) and reports (provider), cumulative -> evidence in the provider's proof
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chain.epochs import Timing
from chain.hashing import keccak
from chain.rules import Rules
from chain.typed import Domain, Signed, digest_of
from chain.types import PPM, U256, Address, Digest
from wire.messages import DemandReceipt, Offer, SessionRequest, UsageReceipt, UsageReport
from wire.refusals import Refused

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class DemandClaim:
    """What a provider shows a validator to have a session covered."""

    request: Signed[SessionRequest]
    offer: Signed[Offer]
    acceptance: Signed[UsageReceipt]


@dataclass(frozen=True, slots=True)
class Budget:
    """A validator's view of a consumer's deposit, wei. Nothing in it is promised before a `DemandReceipt` is signed.

    held: deposited and not withdrawn. spent: by its leaf of the active root. next_from: where the next interval may begin.
    limit: where it has to end at the latest. leaving: whether the deposit is on its way out.
    """

    validator: Address
    consumer: Address
    held: U256
    spent: U256
    next_from: U256
    limit: U256
    leaving: bool


def session_id(request: SessionRequest, offer: Offer, domain: Domain) -> Digest:
    """keccak256(abi.encode(requestDigest, provider, offerDigest))."""
    provider = bytes(12) + bytes.fromhex(offer.provider[2:])
    return Digest(keccak(digest_of(request, domain) + provider + digest_of(offer, domain)))


def check_request(request: SessionRequest, rules: Rules, now: float) -> None:
    """Raises `Refused`: `stale_time` (it has expired), `future_time` (it lives too long) or `absurd_value`. now: UTC seconds."""
    evidence = {"expiry": str(request.expiry), "now": str(int(now))}
    if request.expiry <= now:
        raise Refused("stale_time", "the request has expired", evidence)
    if request.expiry > now + rules.request_life_s + rules.tolerance_s:
        raise Refused("future_time", f"a request lives {rules.request_life_s} s", evidence)
    if request.region and not is_region(request.region):
        raise Refused("absurd_value", "a region is two capitals, or empty for any", {"field": "region"})
    if request.budget_from > request.budget_to:
        raise Refused("absurd_value", "the budget's interval ends before it begins", {"field": "budgetFrom, budgetTo"})


def check_offer(request: SessionRequest, offer: Offer, domain: Domain) -> None:
    """Raises `Refused` (`bad_offer`) unless the offer is for this request, within its price, and not by the consumer itself."""
    if offer.request != digest_of(request, domain):
        raise Refused("bad_offer", "it answers another request")
    if offer.price > request.max_price:
        raise Refused("bad_offer", "it asks for more", {"price": str(offer.price), "maxPrice": str(request.max_price)})
    if offer.provider == request.consumer:
        raise Refused("bad_offer", "it is the consumer's own")


def is_acceptance(receipt: UsageReceipt, consumer: Address, session: Digest) -> bool:
    """Whether the receipt says no more than that the consumer takes the offer."""
    empty = (receipt.sequence, receipt.bytes_up, receipt.bytes_down, receipt.duration) == (0, 0, 0, 0)
    return receipt.consumer == consumer and receipt.session_id == session and empty


def covers(demand: Iterable[DemandReceipt], epoch: int, timing: Timing, stakes: Mapping[Address, int]) -> bool:
    """Whether these receipts for one session make it payable in `epoch`: those given in it or in the one before are of validators with
    two thirds of the stake. stakes: wei, of the validators at anchor(epoch - 1)."""
    signers = {receipt.validator for receipt in demand if counts_in(receipt, epoch, timing)}
    held = sum(stakes.get(signer, 0) for signer in signers)
    return held > 0 and 3 * held >= 2 * sum(stakes.values())


def payable_epochs(demand: Iterable[DemandReceipt], timing: Timing, stakes: Mapping[Address, int]) -> tuple[int, ...]:
    """The epochs in which a session with these receipts is payable, ascending, as long as the stakes stay what they are: that in which it
    was covered and the next one; fewer if two thirds of the stake did not sign within one epoch, none if they did not sign at all."""
    receipts = tuple(demand)
    epochs = {timing.epoch_at(receipt.time) for receipt in receipts}
    return tuple(epoch for epoch in sorted(epochs | {epoch + 1 for epoch in epochs}) if covers(receipts, epoch, timing, stakes))


def counts_in(receipt: DemandReceipt, epoch: int, timing: Timing) -> bool:
    """Whether the receipt was given in `epoch` or in the one before."""
    return timing.epoch_at(receipt.time) in (epoch - 1, epoch)


def is_usage_of(statement: UsageReceipt | UsageReport, epoch: int, timing: Timing) -> bool:
    """Whether a receipt or a report counts in `epoch`: it is of it or of the one before, since it is cumulative, and a provider that was
    down when an epoch ended shows in the next one what it could not show then."""
    return timing.epoch_at(statement.time) in (epoch - 1, epoch)


def is_region(text: str) -> bool:
    """Whether the text has the form of an ISO 3166-1 alpha-2 code."""
    return len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()


def served_bytes(receipt: UsageReceipt, report: UsageReport | None) -> int:
    """What is paid for: payload both ways, the smaller of receipt and report; the receipt's alone without a report."""
    received = receipt.bytes_up + receipt.bytes_down
    return received if report is None else min(received, report.bytes_up + report.bytes_down)


def fee_of(price: int, payload_bytes: int) -> int:
    """Wei for so many bytes at `price` wei per GiB: ceil(price * bytes / 2^30)."""
    return -(-price * payload_bytes // GIB)


def protocol_fee_of(fee: int, rules: Rules) -> int:
    """The treasury's part of a fee, wei, rounded down."""
    return fee * rules.protocol_fee_ppm // PPM


def subsidy_of(protocol_fee: int, rules: Rules) -> int:
    """What the budget adds for a protocol fee if it suffices, wei, rounded down: always less than the fee."""
    return protocol_fee * rules.session_subsidy_ppm // PPM


def affordable_bytes(price: int, budget: int) -> int:
    """The most payload whose fee is within `budget` wei; 2^63 if it costs nothing."""
    return budget * GIB // price if price else 1 << 63
