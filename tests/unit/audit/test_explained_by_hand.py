"""One provider's epoch worked out by hand, as a person reads it, and each thing it is warned of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from audit.explaining import explain
from audit.explanation import Explanation
from audit.picture import as_data, as_text
from chain.epochs import Timing
from chain.rules import Rules
from chain.typed import Signed
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Signature
from validator.epoch import reckonings
from validator.reputation import reputation
from validator.state import AccountState, State, genesis_state
from wire.agreement import ChainSection, CoveredEpoch, Depositor, ListedNode, Manifest, RegisteredProvider
from wire.messages import (
    ActivityProof,
    DemandReceipt,
    LatencyReport,
    Offer,
    SessionEvidence,
    SessionRequest,
    UptimeTicket,
    UsageReceipt,
    UsageReport,
)
from wire.sessions import GIB

TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
RULES = Rules()
TREASURY, ME, REFERRER, CONSUMER = (Address("0x" + digit * 40) for digit in ("f", "a", "b", "d"))
RESOLVER, VALIDATOR = Address("0x" + "11" * 20), Address("0x" + "33" * 20)
MASTERS = tuple(Address("0x" + f"2{n}" * 20) for n in range(3))
GROUP = "203.0.113.0/24"
M = TypeVar("M")
MEMBER = 2_000_000


def unsigned(message: M) -> Signed[M]:
    return Signed(message, Signature(bytes(65)))


def session(received: int, served: int | None, name: int = 7, promised: bool = True) -> SessionEvidence:
    """At a wei a byte, in the first epoch."""
    at, digest = TIMING.start_of(1), Digest(bytes([name]) * 32)
    demand = (unsigned(DemandReceipt(VALIDATOR, CONSUMER, ME, digest, 0, 10**18, at)),) if promised else ()
    request = unsigned(SessionRequest(CONSUMER, "", 0, 0, GIB, 0, 10**18, name, 9**9))
    receipt = unsigned(UsageReceipt(CONSUMER, digest, 1, 0, received, 0, 0, at))
    reports = () if served is None else (unsigned(UsageReport(ME, digest, 1, 0, served, 0, 0, at)),)
    return SessionEvidence(request, unsigned(Offer(ME, digest, GIB, 9**9)), demand, (receipt,), reports)


def told(
    *sessions: SessionEvidence,
    resolver: int = 0b11111,
    masters: Sequence[int] = (0b11111, 0b11111, 0b00111),
    bond: int = 1,
    epochs: int = 1,
    parent: State | None = None,
) -> Explanation:
    """My last epoch. resolver, masters: the slots that each saw in the first one; in later ones nobody saw me. The referrer is a Member."""
    ticket = UptimeTicket(RESOLVER, ME, 1, 1, bytes([resolver]), 0, GROUP)
    said = zip(MASTERS, masters, strict=True)
    reports = tuple(unsigned(LatencyReport(one, ME, 1, 1, bytes([slots]), 0, 0, 0, 0, GROUP, True)) for one, slots in said if slots)
    proof = unsigned(ActivityProof(ME, 1, 1, (unsigned(ticket),), reports, sessions, (), ZERO_DIGEST))
    roles = (ListedNode(RESOLVER, "resolver", 0), *(ListedNode(one, "master", 0) for one in MASTERS), ListedNode(VALIDATOR, "validator", 1))
    providers = tuple(RegisteredProvider(one, to, 1) for one, to in ((ME, REFERRER), (REFERRER, ZERO_ADDRESS)) if bond or one != ME)
    sections = tuple(
        ChainSection(epoch, epoch, ZERO_DIGEST, roles, roles[-1:], providers, 10**24, 10**17, TREASURY) for epoch in range(1, epochs + 1)
    )
    covered, deposits = tuple(CoveredEpoch(one.epoch, ()) for one in sections), (Depositor(CONSUMER, 10**18, 0, 0),)
    manifest = Manifest(epochs, epochs, ZERO_DIGEST, ZERO_DIGEST, RULES.digest(), deposits, sections, covered)
    before = parent or State(0, (AccountState(REFERRER, 0, 0, MEMBER, 200_000, 0, "", 0, ()),))
    *_, last = reckonings(before, manifest, {1: (proof,)}, TIMING, RULES)
    return explain(last, ME, (proof,) if epochs == 1 else (), TIMING, RULES)


def test_every_term_by_hand() -> None:
    found = told(session(10_000, 9_000))
    slots = found.availability
    # all slots: two of three masters saw the last two; weight 5 x (1/2 + 200,000 ppm / 2), at a cap of 10^15 wei a slot
    assert (slots.up, slots.rank, slots.weight, slots.pay) == (5, 1, 3_000_000, 3 * 10**15)
    assert [(one.slots, one.saw) for one in slots.witnesses] == [(5, "0-4"), (5, "0-4"), (5, "0-4"), (3, "0-2")]
    assert slots.gaps == ()
    (paid,) = found.sessions
    assert (paid.received_bytes, paid.reported_bytes, paid.unpaid_bytes) == (10_000, 9_000, 1_000)
    assert (paid.due, paid.protocol_fee, paid.kept, paid.subsidy) == (9_000, 450, 8_550, 405)
    assert found.given is not None
    assert (found.given.account, found.given.tier, found.given.amount) == (REFERRER, "Member", (3 * 10**15 + 405) * 3 // 100)
    assert found.earned == found.earned_after == 3 * 10**15 + 8_550 + 405 - found.given.amount
    assert found.bucket is not None
    assert [mark.ppm for mark in found.bucket.marks] == [1_000_000, 1_000_000, 600_000]
    assert (found.bucket.performance_ppm, found.bucket.standing_ppm, found.bucket.score_ppm) == (1_000_000, 500_000, 800_000)
    assert found.mean is not None
    assert found.mean.after == (3 * 200_000 + 800_000) // 4
    assert found.points.by_slots == 20 * 10_000 // 3_600


def test_a_person_reads_the_same() -> None:
    rest = "15 % x 0 sessions + 10 % x 500000 standing"
    text = as_text(told(session(10_000, 9_000), masters=(0b11111, 0, 0b00111)))
    for line in (
        "availability: 3 of 5 slots up, 0.0018 DPN",
        f"  master {MASTERS[1]} saw 0",
        "  not up: 3-4: seen by 1 resolvers (of 1 needed) and 1 masters (of 2 needed)",
        f"score of the epoch: 50 % x 600000 availability + 25 % x 600000 performance + {rest} = 500000 ppm",
        "reputation: (200000 x 3000000 + 500000 x 1000000) / 4000000 = 275000 of 1000000 ppm, 200000 before",
    ):
        assert line in text.splitlines(), text
    assert "receipt 10000 bytes, report 9000, difference 1000" in text
    data = as_data(told(session(10_000, 9_000)))
    assert (data["earned_wei"], data["sessions"][0]["due_wei"], data["given"]["tier"]) == ("2910000000008943", "9000", "Member")
    assert data["sessions"][0]["session"] == "0x" + "07" * 32


def test_each_warning_is_given_when_it_is_due_and_not_else() -> None:
    def warned(found: Explanation, of: str) -> bool:
        return any(of in warning for warning in found.warnings)

    well = told()
    assert [warning.split(",")[0] for warning in well.warnings] == ["If it is silent in the next epoch"]
    assert warned(told(masters=(31, 31, 0)), f"Not a slot was seen by master {MASTERS[2]}")
    assert not warned(told(masters=(0, 0, 0), resolver=0), "Not a slot was seen")
    assert warned(told(bond=0), "not registered with a bond")
    assert warned(told(epochs=2), "Reputation fell from 350000 to ")
    assert warned(told(epochs=2), "its availability is weak, 0 of 1000000 ppm, which costs 500000")
    assert warned(told(session(10, None, promised=False)), "1 sessions that it showed were not counted")
    assert warned(told(session(10, 9)), "differ by 1 bytes")
    assert not warned(told(session(10, None)), "differ by")
    near = State(0, (AccountState(ME, 0, 0, MEMBER - 100, 200_000, 0, "", 0, ()),))
    assert warned(told(parent=near), "The tier Member is near: 0.045 points are missing, 1 epochs like this one")
    assert not warned(told(parent=genesis_state()), "is near")
    good = (900_000,) * 3
    past = State(0, (AccountState(ME, 0, 0, 0, reputation(good, RULES), 1, "", 0, good),))
    assert not warned(told(parent=past), "Reputation fell")
    assert warned(told(parent=past, masters=(7, 7, 7)), "Reputation fell from 533095 to 513265 ppm")


def test_why_a_session_does_not_count_is_said() -> None:
    found = told(session(10, None, promised=False))
    assert [(one.session[0], one.reason) for one in found.passed_over] == [
        (7, "in this epoch and the one before it was not promised by two thirds of the stake, or has no receipt")
    ]
    took = State(0, (AccountState(ME, 0, 1, 0, 200_000, 1, "", 0, ()),))  # spent 1, of which nothing is held
    assert told(session(10, None), parent=took).passed_over[0].reason == "the account took its deposit away"
    settled = State(0, (AccountState(CONSUMER, 0, 0, 0, 200_000, 0, "", 0, (), 10**18),))
    assert told(session(10, None), parent=settled).passed_over[0].reason == "it is settled: nothing can be added to it any more"
