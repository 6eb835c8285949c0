"""When a proof is due and what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chain.canonical import encode
from chain.rules import Rules
from chain.typed import Domain, Signed
from chain.types import ZERO_DIGEST, Address, Signature
from provider.activity import entry_after
from provider.proofs import Held, Progress, build_proof, is_due, says_more
from tests.session_parts import Parties, key
from wire.activity import log_head
from wire.messages import ActivityEntry, ActivityProof, LatencyReport, SessionEvidence, UptimeTicket
from wire.slots import empty, with_slot

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
PROVIDER = Address("0x" + "aa" * 20)
SIGNATURE = Signature(b"\x01" * 65)
RULES = Rules()
PARTIES = Parties(DOMAIN, key("consumer"), key("provider"))
VALIDATORS = [key(f"validator {n}") for n in range(3)]


def slots(*numbers: int) -> bytes:
    map_ = empty(144)
    for number in numbers:
        map_ = with_slot(map_, number)
    return map_


def node(number: int) -> Address:
    return Address(f"0x{number:040x}")


def ticket(resolver: int, sequence: int, *numbers: int) -> Signed[UptimeTicket]:
    return Signed(UptimeTicket(node(resolver), PROVIDER, 5, sequence, slots(*numbers), 0, "10.0.0.0/24"), SIGNATURE)


def report(master: int, sequence: int, *numbers: int) -> Signed[LatencyReport]:
    message = LatencyReport(node(master), PROVIDER, 5, sequence, slots(*numbers), 900, 950, 10, 0, "10.0.0.0/24", address_ok=True)
    return Signed(message, SIGNATURE)


def log(length: int) -> list[ActivityEntry]:
    entries: list[ActivityEntry] = []
    for number in range(length):
        entries.append(entry_after(entries[-1] if entries else None, number, "measured", "x" * 60, DOMAIN))
    return entries


def built(
    held: Held, entries: list[ActivityEntry] | None = None, rules: Rules = RULES, sessions: Sequence[SessionEvidence] = ()
) -> ActivityProof:
    return build_proof(PROVIDER, 5, 77, held, entries or [], rules, DOMAIN, sessions)


@pytest.mark.parametrize(
    ("every", "heartbeats", "proven", "due"),
    [(10, 9, 0, False), (10, 10, 0, True), (10, 12, 10, False), (10, 20, 10, True), (1, 0, 0, False), (1, 1, 0, True), (1, 1, 1, False)],
)
def test_due_every_n_heartbeats_one_included(every: int, heartbeats: int, proven: int, due: bool) -> None:
    assert is_due(Progress(heartbeats, proven), every) is due


def test_the_final_proof_is_sent_again_only_for_other_statements() -> None:
    first = built(Held((ticket(1, 1, 0),), (report(2, 1, 0),)))
    assert says_more(first, None)
    assert not says_more(replace(first, sequence=78, log=tuple(log(2))), first)
    assert says_more(built(Held((ticket(1, 2, 0, 1),), (report(2, 1, 0),))), first)


def test_without_statements_there_is_nothing_to_say_at_the_end() -> None:
    assert not says_more(built(Held(), log(3)), None)


def test_a_proof_names_statements_by_signer_the_newest_first_and_the_log_head() -> None:
    entries = log(70)
    held = Held((ticket(3, 1, 4), ticket(1, 5, 1), ticket(1, 9, 2)), (report(9, 1, 1), report(2, 8, 1)))
    proof = built(held, entries)
    assert [s.message.sequence for s in proof.tickets] == [9, 5, 1]
    assert [s.message.master for s in proof.reports] == [node(2), node(9)]
    assert proof.log == tuple(entries[-64:])
    assert proof.log_head == log_head([entries[-1]], DOMAIN)
    assert (proof.provider, proof.epoch, proof.sequence, proof.sessions) == (PROVIDER, 5, 77, ())


def test_the_head_of_no_log_is_zero() -> None:
    assert built(Held()).log_head == ZERO_DIGEST


def test_the_order_in_which_statements_are_held_does_not_matter() -> None:
    held = Held((ticket(3, 1, 4), ticket(1, 5, 1), ticket(1, 9, 2)), (report(9, 1, 1), report(2, 8, 1)))
    assert built(Held(held.tickets[::-1], held.reports[::-1])) == built(held)


def test_what_is_too_large_loses_log_first_then_older_statements_then_the_emptiest() -> None:
    held = Held((ticket(1, 9, 1), ticket(1, 5, 2)), tuple(report(m, 3, *range(m)) for m in range(2, 12)))
    whole = len(encode(Signed(built(held), SIGNATURE)))
    roomy = built(held, log(64), Rules(proof_max_bytes=whole + 2_000))
    assert 0 < len(roomy.log) < 64
    assert roomy.log_head == log_head([log(64)[-1]], DOMAIN)
    assert len(roomy.reports) == 10
    tight = built(held, log(64), Rules(proof_max_bytes=whole))
    assert len(encode(Signed(tight, SIGNATURE))) <= whole
    assert [s.message.sequence for s in tight.tickets] == [9]
    tighter = built(held, log(64), Rules(proof_max_bytes=whole // 2))
    assert len(encode(Signed(tighter, SIGNATURE))) <= whole // 2
    kept = {s.message.master for s in tighter.reports}
    assert node(11) in kept
    assert node(2) not in kept


def session(number: int) -> SessionEvidence:
    return replace(PARTIES, nonce=number).evidence(VALIDATORS, number, 1_000)


def test_sessions_go_with_the_statements_up_to_their_limit() -> None:
    held, several = Held((ticket(1, 9, 1),), ()), [session(n) for n in range(5)]
    assert built(held, sessions=several).sessions == tuple(several)
    assert built(held, sessions=several, rules=Rules(proof_max_sessions=2)).sessions == tuple(several[:2])


def test_what_is_too_large_loses_the_last_sessions_before_any_signer_s_newest_word() -> None:
    held = Held((ticket(1, 9, 1), ticket(1, 5, 2)), tuple(report(m, 3, *range(m)) for m in range(2, 12)))
    several = [session(n) for n in range(12)]
    one = len(encode(several[0])) + 1
    whole = len(encode(Signed(built(held, log(64), sessions=several), SIGNATURE)))
    for missing in (3 * one, 9 * one):
        limit = whole - 64 * 250 - missing
        proof = built(held, log(64), Rules(proof_max_bytes=limit), sessions=several)
        assert len(encode(Signed(proof, SIGNATURE))) <= limit
        assert proof.sessions == tuple(several[: len(proof.sessions)])
        assert 0 < len(proof.sessions) < 12
        assert (len(proof.log), len(proof.tickets), len(proof.reports)) == (1, 1, 10)
    least = len(encode(Signed(built(Held(held.tickets[:1], held.reports), log(1)), SIGNATURE)))
    bare = built(held, log(1), Rules(proof_max_bytes=least), several)
    assert (len(bare.tickets), len(bare.reports), bare.sessions) == (1, 10, ())


def test_another_session_or_receipt_is_something_to_say() -> None:
    held = Held((ticket(1, 1, 0),), ())
    first = built(held, sessions=[session(1)])
    assert says_more(built(Held(), sessions=[session(1)]), None)
    assert not says_more(replace(first, sequence=78), first)
    assert says_more(built(held, sessions=[session(1), session(2)]), first)
    newer = replace(session(1), receipts=(replace(PARTIES, nonce=1).receipt(2, 9, 1_000),))
    assert says_more(built(held, sessions=[newer]), first)


def test_rules_that_take_no_proof_at_all_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="proof_max_bytes"):
        built(Held(), [], Rules(proof_max_bytes=10))


def test_statements_of_unlisted_signers_are_left_out() -> None:
    held = Held((ticket(1, 1, 0), ticket(2, 1, 0)), (report(3, 1, 0), report(4, 1, 0)))
    assert held.of({node(2)}, {node(3)}) == Held((ticket(2, 1, 0),), (report(3, 1, 0),))


def test_a_slot_is_up_by_a_resolver_and_more_than_half_of_all_masters() -> None:
    held = Held((ticket(1, 1, 0, 1, 2),), (report(3, 1, 0, 1), report(4, 1, 1, 2), report(4, 2, 3)))
    assert held.slots_up(3, 144) == 1
    assert held.slots_up(2, 144) == 1
    assert held.slots_up(1, 144) == 3
    assert Held().slots_up(3, 144) == 0
