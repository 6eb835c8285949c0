"""What sessions paid in one epoch: which count, what each adds, and from whose deposit to whose pay. Pure, integers only.

Input is a set: whoever shows a session, how often and in which order makes no difference. Several receipts of a consumer for one session
merge by maximum, and so do reports. Source of the formulas: docs/protocol.md, section 8.

A session is *open* in the state of the epoch in which its evidence was first counted, so that the next epoch pays only what it adds; with
that one it is settled. Whatever ends at or below what is settled was counted before, or can never be: it is passed over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chain.epochs import Timing
from chain.rules import Rules
from chain.typed import Signed
from chain.types import Address, Digest
from validator.state import OpenSession, State
from wire.agreement import Depositor
from wire.messages import ActivityProof, DemandReceipt, Offer, SessionEvidence, SessionRequest
from wire.sessions import covers, fee_of, is_usage_of, protocol_fee_of, subsidy_of


@dataclass(frozen=True, slots=True)
class Deposits:
    """What consumers may have spent once the root is posted, wei, and their exits: the epoch and one more, 0 without."""

    held: Mapping[Address, int]
    exited: Mapping[Address, int]

    @classmethod
    def of(cls, depositors: Iterable[Depositor]) -> Deposits:
        listed = tuple(depositors)
        return cls({one.account: one.held for one in listed}, {one.account: one.exited for one in listed})

    @property
    def total(self) -> int:
        return sum(self.held.values())

    def lets_receipts_count(self, consumer: Address, epoch: int) -> bool:
        """Whether the consumer is there and has not exited so long ago that no receipt counts any more: after the next epoch."""
        return consumer in self.held and not 0 < self.exited[consumer] < epoch


@dataclass(frozen=True, slots=True)
class Shown:
    """A session that one epoch's evidence covers. received, reported: bytes since it began, by its receipts and by its reports, None
    without any."""

    session_id: Digest
    request: SessionRequest
    offer: Offer
    received: int
    reported: int | None = None

    @property
    def payload(self) -> int:
        """Bytes to be paid for since it began."""
        return self.received if self.reported is None else min(self.received, self.reported)

    @property
    def fee(self) -> int:
        """Wei since it began: never more than its interval."""
        return min(self.request.budget_to - self.request.budget_from, fee_of(self.offer.price, self.payload))


@dataclass(frozen=True, slots=True)
class Charge:
    """What one session adds in one epoch, wei. paid: before. due: of the consumer. protocol_fee: of that. subsidy: what it asks for."""

    session: Shown
    paid: int
    due: int
    protocol_fee: int
    subsidy: int


@dataclass(slots=True)
class Charges:
    """What sessions add in one epoch, wei. spent: by consumer. paid: to providers, what is left of the fees. protocol_fees: of each
    provider's sessions, for the treasury. subsidies: what each provider's sessions ask of the budget. fees: of each provider's sessions, by
    consumer. open: those first counted now. each: one after the other."""

    spent: dict[Address, int] = field(default_factory=lambda: defaultdict(int))
    paid: dict[Address, int] = field(default_factory=lambda: defaultdict(int))
    protocol_fees: dict[Address, int] = field(default_factory=lambda: defaultdict(int))
    subsidies: dict[Address, int] = field(default_factory=lambda: defaultdict(int))
    fees: dict[Address, dict[Address, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    open: list[OpenSession] = field(default_factory=list)
    each: list[Charge] = field(default_factory=list)


@dataclass(slots=True)
class _Evidence:
    demand: set[DemandReceipt] = field(default_factory=set)
    received: int = 0
    reported: int | None = None


def shown(proofs: Iterable[Signed[ActivityProof]], epoch: int, stakes: Mapping[Address, int], timing: Timing) -> tuple[Shown, ...]:
    """The sessions that the union of these verified proofs covers in `epoch`, ascending by id. stakes: at anchor(epoch - 1)."""
    found: dict[tuple[Digest, SessionRequest, Offer], _Evidence] = defaultdict(_Evidence)
    for signed in proofs:
        for session in signed.message.sessions:
            _add(found, session, signed.message.provider, epoch, timing)
    return tuple(
        Shown(name, request, offer, held.received, held.reported)
        for (name, request, offer), held in sorted(found.items(), key=lambda item: item[0][0])
        if covers(held.demand, epoch, timing, stakes)
    )


def charge(
    sessions: Iterable[Shown], state: State, deposits: Deposits, epoch: int, treasury: Address, barred: frozenset[Address], rules: Rules
) -> Charges:
    """What these sessions, ascending by id, add to the state of the epoch before.

    No consumer's spent grows above what it holds, and all spent together not above what all hold: later ids go without. The treasury pays
    for none, as it would pay its protocol fee to itself; barred accounts neither pay nor are paid.
    """
    open_before = {session.session_id: session for session in state.sessions}
    accounts = {account.account: account for account in state.accounts}
    room = max(0, deposits.total - state.total_spent)
    charges = Charges()
    for session in sessions:
        consumer, provider, ends = session.request.consumer, session.offer.provider, session.request.budget_to
        known, opened = accounts.get(consumer), open_before.get(session.session_id)
        if consumer == treasury or barred & {consumer, provider} or not deposits.lets_receipts_count(consumer, epoch):
            continue
        if opened is None and known is not None and ends <= known.settled:
            continue
        paid = opened.paid if opened is not None else 0
        spent = (known.spent if known is not None else 0) + charges.spent[consumer]
        due = max(0, min(session.fee - paid, deposits.held[consumer] - spent, room))
        # Over the session's life, as in each epoch a payee could choose by its reports which way it is rounded.
        before, after = protocol_fee_of(paid, rules), protocol_fee_of(paid + due, rules)
        protocol_fee = after - before
        room -= due
        charges.spent[consumer] += due
        charges.paid[provider] += due - protocol_fee
        charges.protocol_fees[provider] += protocol_fee
        subsidy = subsidy_of(after, rules) - subsidy_of(before, rules)
        charges.subsidies[provider] += subsidy
        charges.fees[provider][consumer] += due
        if opened is None:
            charges.open.append(OpenSession(session.session_id, consumer, ends, due))
        charges.each.append(Charge(session, paid, due, protocol_fee, subsidy))
    return charges


def settled_by(state: State) -> dict[Address, int]:
    """Up to where the consumers of the state's open sessions are settled once the next epoch is accounted for."""
    found: dict[Address, int] = defaultdict(int)
    for session in state.sessions:
        found[session.consumer] = max(found[session.consumer], session.budget_to)
    return found


def _add(
    found: dict[tuple[Digest, SessionRequest, Offer], _Evidence], session: SessionEvidence, provider: Address, epoch: int, timing: Timing
) -> None:
    """Signatures, and what belongs together, have been checked before; who and when is looked at by the manifest's own lists."""
    receipts = [one.message for one in session.receipts if is_usage_of(one.message, epoch, timing)]
    if not receipts or session.offer.message.provider != provider:
        return
    held = found[receipts[0].session_id, session.request.message, session.offer.message]
    held.demand.update(one.message for one in session.demand)
    held.received = max(held.received, *(one.bytes_up + one.bytes_down for one in receipts))
    for report in session.reports:
        if is_usage_of(report.message, epoch, timing):
            held.reported = max(held.reported or 0, report.message.bytes_up + report.message.bytes_down)
