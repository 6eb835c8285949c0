"""What a provider's store keeps, across every reopening."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chain.keys import NodeKey
from chain.typed import Domain, Signed, sign
from chain.types import Address, Digest, Signature
from provider.proofs import Progress
from provider.store import NOT_RECEIPTED, RECEIPTED, SUPERSEDED, ForeignStore, Store, StoredProof
from runtime.storage import DatabaseMismatch
from wire.activity import broken_link
from wire.messages import ActivityProof, LatencyReport, ProofReceipt, UptimeTicket
from wire.slots import empty, with_slot

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
KEY, VALIDATOR = NodeKey(b"\x01" * 32), NodeKey(b"\x02" * 32)
MASTER, RESOLVER = Address("0x" + "0a" * 20), Address("0x" + "0b" * 20)
SIGNATURE = Signature(b"\x01" * 65)


@pytest.fixture
def reopened(tmp_path: Path) -> Callable[[], Store]:
    """Opens the same store anew at each call, as a process that was killed does."""
    return lambda: Store(tmp_path / "provider.sqlite", KEY.address, DOMAIN)


def slots(*numbers: int) -> bytes:
    map_ = empty(8)
    for number in numbers:
        map_ = with_slot(map_, number)
    return map_


def ticket(sequence: int, *numbers: int, epoch: int = 5) -> Signed[UptimeTicket]:
    return Signed(UptimeTicket(RESOLVER, KEY.address, epoch, sequence, slots(*numbers), 0, "10.0.0.0/24"), SIGNATURE)


def report(sequence: int, *numbers: int) -> Signed[LatencyReport]:
    message = LatencyReport(MASTER, KEY.address, 5, sequence, slots(*numbers), 9, 9, 0, 0, "10.0.0.0/24", address_ok=True)
    return Signed(message, SIGNATURE)


def proof(sequence: int, epoch: int = 5) -> Signed[ActivityProof]:
    return sign(ActivityProof(KEY.address, epoch, sequence, (), (), (), (), Digest(bytes(32))), DOMAIN, KEY)


def receipt(of: StoredProof) -> Signed[ProofReceipt]:
    return sign(ProofReceipt(VALIDATOR.address, KEY.address, of.epoch, of.digest, 1), DOMAIN, VALIDATOR)


def test_sequences_never_fall_whatever_the_clock_does(reopened: Callable[[], Store]) -> None:
    given = [reopened().next_sequence(now) for now in (10.0, 10.0, 9.0, 0.0, 10.0, 11.0)]
    assert given == [10_000, 10_001, 10_002, 10_003, 10_004, 11_000]


def test_the_log_goes_on_where_it_was(reopened: Callable[[], Store]) -> None:
    for number in range(5):
        reopened().append(100.0 + number, "started" if number == 0 else "resumed", f"n {number}")
    entries = reopened().entries(100)
    assert [entry.index for entry in entries] == [0, 1, 2, 3, 4]
    assert broken_link(entries, DOMAIN) is None
    assert reopened().entries(2) == entries[-2:]


def test_a_presence_is_logged_and_a_new_address_is_an_event(reopened: Callable[[], Store]) -> None:
    reopened().begin_presence(Digest(b"\x01" * 32), "10.0.0.1", 1, 100.0)
    reopened().begin_presence(Digest(b"\x02" * 32), "10.0.0.1", 1, 200.0)
    assert reopened().address_since() == 0
    reopened().begin_presence(Digest(b"\x03" * 32), "10.0.0.2", 1, 300.0)
    assert reopened().address_since() == 300
    assert [entry.kind for entry in reopened().entries(9)] == ["announced", "announced", "address_changed", "announced"]
    assert not any("10.0.0" in entry.detail for entry in reopened().entries(9))


def test_statements_are_held_while_they_add_something(reopened: Callable[[], Store]) -> None:
    assert reopened().hold_ticket(ticket(1, 0, 1))
    assert reopened().hold_ticket(ticket(2, 1))
    assert not reopened().hold_ticket(ticket(1, 0, 1))
    assert reopened().held(5).tickets == (ticket(2, 1), ticket(1, 0, 1))
    assert reopened().hold_ticket(ticket(3, 0, 1, 2))
    assert reopened().held(5).tickets == (ticket(3, 0, 1, 2),)
    assert reopened().held(6).tickets == ()


def test_a_report_is_logged_once(reopened: Callable[[], Store]) -> None:
    assert reopened().hold_report(report(1, 0), 100.0, "slot 0")
    assert not reopened().hold_report(report(1, 0), 101.0, "slot 0")
    assert [(entry.kind, entry.detail) for entry in reopened().entries(9)] == [("measured", "slot 0")]
    assert reopened().held(5).reports == (report(1, 0),)


def test_heartbeats_are_counted_by_epoch_and_a_proof_notes_how_far_it_came(reopened: Callable[[], Store]) -> None:
    for epoch in (5, 5, 6):
        reopened().count_heartbeat(epoch)
    assert reopened().progress(5) == Progress(2, 0)
    reopened().keep_proof(proof(1), 100.0)
    reopened().count_heartbeat(5)
    assert reopened().progress(5) == Progress(3, 2)
    assert reopened().progress(6) == Progress(1, 0)
    assert reopened().progress(7) == Progress()


def test_a_newer_proof_of_the_epoch_supersedes_the_open_one(reopened: Callable[[], Store]) -> None:
    first, second, other = (reopened().keep_proof(p, 100.0) for p in (proof(1), proof(2), proof(3, epoch=6)))
    assert reopened().open_proofs() == (second, other)
    newest = reopened().newest_proof(5)
    assert newest == second
    reopened().close_proof(first, RECEIPTED, 101.0)
    assert reopened().totals().receipted == 0, "what is superseded is not receipted any more"
    assert second.outcome != SUPERSEDED


@pytest.mark.parametrize("outcome", [RECEIPTED, NOT_RECEIPTED])
def test_a_proof_is_closed_once_and_the_log_says_how(outcome: str, reopened: Callable[[], Store]) -> None:
    stored = reopened().keep_proof(proof(1), 100.0)
    reopened().close_proof(stored, outcome, 101.0)
    reopened().close_proof(stored, RECEIPTED, 102.0)
    newest = reopened().newest_proof(5)
    assert newest is not None
    assert newest.outcome == outcome
    assert newest.raw == stored.raw
    assert reopened().open_proofs() == ()
    assert [entry.kind for entry in reopened().entries(9)] == ["proof", outcome]


def test_receipts_stay(reopened: Callable[[], Store]) -> None:
    stored = reopened().keep_proof(proof(1), 100.0)
    reopened().keep_receipt(receipt(stored))
    reopened().keep_receipt(receipt(stored))
    assert reopened().receipts(stored.digest) == (receipt(stored),)
    assert reopened().receipts(Digest(bytes(32))) == ()


def test_totals_count_over_all_epochs(reopened: Callable[[], Store]) -> None:
    assert (reopened().totals().heartbeats, reopened().totals().epoch) == (0, 0)
    reopened().count_heartbeat(5)
    reopened().count_heartbeat(6)
    reopened().close_proof(reopened().keep_proof(proof(1), 100.0), RECEIPTED, 101.0)
    reopened().close_proof(reopened().keep_proof(proof(2, epoch=6), 100.0), NOT_RECEIPTED, 101.0)
    totals = reopened().totals()
    assert (totals.heartbeats, totals.proofs, totals.receipted, totals.not_receipted, totals.epoch) == (2, 2, 1, 1, 6)


def test_evidence_of_another_identity_is_not_touched(tmp_path: Path, reopened: Callable[[], Store]) -> None:
    reopened().close()
    with pytest.raises(ForeignStore, match="another data_dir"):
        Store(tmp_path / "provider.sqlite", VALIDATOR.address, DOMAIN)


def test_evidence_of_another_network_is_not_touched(tmp_path: Path, reopened: Callable[[], Store]) -> None:
    reopened().close()
    with pytest.raises(DatabaseMismatch, match="another data_dir"):
        Store(tmp_path / "provider.sqlite", KEY.address, Domain(1, DOMAIN.settlement))
