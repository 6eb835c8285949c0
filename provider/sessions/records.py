"""Sessions as a provider has them on disk, and what it judges about them without looking there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.epochs import Timing
from chain.typed import Signed
from chain.types import Address, Digest
from wire.messages import DemandReceipt, UsageReceipt, UsageReport
from wire.refusals import Refused
from wire.sessions import DemandClaim, counts_in, covers, fee_of, served_bytes


@dataclass(frozen=True, slots=True)
class Served:
    """What a session has carried so far: payload bytes from and to the consumer, seconds, microseconds."""

    up: int = 0
    down: int = 0
    duration: int = 0
    rtt_us: int = 0


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it is on disk. opened: UTC second; epochs: the first and the last one in which it is payable; reason: why it was
    closed, empty while it is open. demand: ascending by validator. receipt, report: the newest."""

    session_id: Digest
    claim: DemandClaim
    demand: tuple[Signed[DemandReceipt], ...]
    opened: int
    epochs: tuple[int, int]
    reason: str
    served: Served
    receipt: Signed[UsageReceipt] | None
    report: Signed[UsageReport] | None

    @property
    def consumer(self) -> Address:
        return self.claim.request.message.consumer

    @property
    def price(self) -> int:
        """Wei per GiB."""
        return self.claim.offer.message.price

    @property
    def budget(self) -> int:
        """The most that it may cost, wei."""
        return self.claim.request.message.budget_to - self.claim.request.message.budget_from


def check_receipt(receipt: UsageReceipt, consumer: Address, before: UsageReceipt | None) -> None:
    """Raises `Refused` (`bad_receipt`) unless the receipt is this consumer's and says no less than the one before, if it is another."""
    if receipt.consumer != consumer:
        raise Refused("bad_receipt", "it is another consumer's", {"consumer": receipt.consumer})
    if receipt.sequence == 0:
        raise Refused("bad_receipt", "sequence 0 accepts an offer, receipts begin with 1")
    if before is None or receipt == before:
        return
    if not is_after(receipt, before) or receipt.sequence == before.sequence:
        yours = f"{receipt.sequence}: {receipt.bytes_up} + {receipt.bytes_down}"
        raise Refused("bad_receipt", "", {"yours": yours, "newest": f"{before.sequence}: {before.bytes_up} + {before.bytes_down}"})


def is_after(one: UsageReceipt | UsageReport, before: UsageReceipt | UsageReport) -> bool:
    """Whether nothing in a statement falls below an earlier one."""
    return all(getattr(one, name) >= getattr(before, name) for name in ("sequence", "bytes_up", "bytes_down", "duration", "time"))


def fee_by(stored: StoredSession, receipt: Signed[UsageReceipt], report: Signed[UsageReport] | None) -> int:
    """What a session costs by this receipt and report, wei since it began."""
    served = served_bytes(receipt.message, report.message if report is not None else None)
    return min(stored.budget, fee_of(stored.price, served))


def fewest(
    demand: Sequence[Signed[DemandReceipt]], epoch: int, timing: Timing, stakes: Mapping[Address, int]
) -> tuple[Signed[DemandReceipt], ...]:
    """As few receipts as cover a session in the epoch, ascending by validator; none if all of them do not."""
    counting = [signed for signed in demand if signed.message.validator in stakes and counts_in(signed.message, epoch, timing)]
    counting.sort(key=lambda signed: (-stakes[signed.message.validator], signed.message.validator))
    for number in range(1, len(counting) + 1):
        if covers((signed.message for signed in counting[:number]), epoch, timing, stakes):
            return tuple(sorted(counting[:number], key=lambda signed: signed.message.validator))
    return ()
