"""Every way a proof is refused, in the order of the checks, and nothing but a refusal for any bytes whatever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.canonical import encode
from chain.epochs import Timing
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed, digest_of, sign
from chain.types import ZERO_DIGEST, Address, Digest, Signature
from validator.verification import ListedRoles, VerifiedProof, is_unsigned, verify_envelope, verify_proof
from wire.agreement import ListedNode
from wire.messages import (
    ActivityEntry,
    ActivityProof,
    LatencyReport,
    UptimeTicket,
)
from wire.refusals import Refused

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
RULES = Rules()
PROVIDER, RESOLVER, OTHER_RESOLVER, MASTER, OTHER_MASTER, STRANGER = (NodeKey(bytes([n]) * 32) for n in range(1, 7))
ROLES = ListedRoles(frozenset({RESOLVER.address, OTHER_RESOLVER.address}), frozenset({MASTER.address, OTHER_MASTER.address}))
EPOCH = 2  # 1,020 to 1,040; slot i begins at 1,020 + 4 i
GROUP = "203.0.113.0/24"

TICKET = UptimeTicket(RESOLVER.address, PROVIDER.address, EPOCH, 1, b"\x1f", 0, GROUP)
REPORT = LatencyReport(MASTER.address, PROVIDER.address, EPOCH, 1, b"\x1f", 1_000, 1_200, 40, 0, GROUP, True)


def entries(count: int, first: int = 0) -> tuple[ActivityEntry, ...]:
    """A chain of entries; the first one follows an unknown one unless it is entry 0."""
    log: list[ActivityEntry] = []
    for index in range(first, first + count):
        previous = digest_of(log[-1], DOMAIN) if log else (ZERO_DIGEST if index == 0 else Digest(b"\x77" * 32))
        log.append(ActivityEntry(index, 1_020 + index, "announced", "", previous))
    return tuple(log)


@cache
def base() -> ActivityProof:
    log = entries(3, 7)
    return ActivityProof(
        PROVIDER.address,
        EPOCH,
        5,
        (sign(TICKET, DOMAIN, RESOLVER), sign(replace(TICKET, resolver=OTHER_RESOLVER.address), DOMAIN, OTHER_RESOLVER)),
        (sign(REPORT, DOMAIN, MASTER),),
        (),
        log,
        digest_of(log[-1], DOMAIN),
    )


def verified(proof: ActivityProof, now: int | None = None, key: NodeKey = PROVIDER) -> VerifiedProof:
    return verify_proof(encode(sign(proof, DOMAIN, key)), DOMAIN, TIMING, RULES, ROLES, now)


def refusal(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as refused:
        act()
    return refused.value


def with_report(**changes: object) -> ActivityProof:
    return replace(base(), reports=(sign(replace(REPORT, **changes), DOMAIN, MASTER),))  # type: ignore[arg-type]


def with_ticket(**changes: object) -> ActivityProof:
    return replace(base(), tickets=(sign(replace(TICKET, **changes), DOMAIN, RESOLVER),))  # type: ignore[arg-type]


def test_a_proof_verifies_and_keeps_its_bytes_and_identity() -> None:
    signed = sign(base(), DOMAIN, PROVIDER)
    raw = encode(signed)
    assert verify_proof(raw, DOMAIN, TIMING, RULES, ROLES, None) == VerifiedProof(signed, digest_of(base(), DOMAIN), raw)


def test_an_envelope_without_anything_in_it_verifies() -> None:
    verified(ActivityProof(PROVIDER.address, EPOCH, 1, (), (), (), (), ZERO_DIGEST))


def test_whether_anybody_else_has_signed_something_is_read_off_the_bytes() -> None:
    empty = replace(base(), tickets=(), reports=())
    for proof, unsigned in ((empty, True), (replace(empty, sequence=2**64 - 1), True), (base(), False), (with_ticket(), False)):
        assert is_unsigned(encode(sign(proof, DOMAIN, PROVIDER))) is unsigned
    detail = '"reports":[],"sequence":1,"sessions":[],"tickets":[]},"signature":"0x' + "00" * 65 + '"}'
    log = (replace(entries(1)[0], detail=detail),)
    assert not is_unsigned(encode(sign(replace(base(), log=log, log_head=digest_of(log[0], DOMAIN)), DOMAIN, PROVIDER)))


def test_roles_come_from_listed_nodes() -> None:
    nodes = [
        ListedNode(RESOLVER.address, "resolver", 1),
        ListedNode(MASTER.address, "master", 0),
        ListedNode(STRANGER.address, "validator", 9),
    ]
    assert ListedRoles.of(nodes) == ListedRoles(frozenset({RESOLVER.address}), frozenset({MASTER.address}), {STRANGER.address: 9})


class TestEnvelope:
    def test_too_large(self) -> None:
        raw = encode(sign(base(), DOMAIN, PROVIDER))
        small = replace(RULES, proof_max_bytes=len(raw) - 1)
        assert refusal(lambda: verify_envelope(raw, DOMAIN, small)).code == "proof_too_large"
        verify_envelope(raw, DOMAIN, replace(RULES, proof_max_bytes=len(raw)))

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b"", "malformed_json"),
            (b"\xff", "malformed_json"),
            (b"[" * 60_000, "malformed_json"),
            (b'{"a":' * 10_000, "malformed_json"),
            (b"9" * 60_000, "malformed_json"),
            (b"1e400", "malformed_json"),
            (b"[]", "wrong_type"),
            (b"{}", "missing_field"),
            (b'{"message":{},"signature":"0x","more":1}', "unknown_field"),
        ],
    )
    def test_bytes_that_are_no_proof(self, raw: bytes, code: str) -> None:
        assert refusal(lambda: verify_envelope(raw, DOMAIN, RULES)).code == code

    def test_other_bytes_of_the_same_value(self) -> None:
        raw = encode(sign(base(), DOMAIN, PROVIDER))
        for other in (raw + b"\n", raw.replace(b'"sequence":5', b'"sequence":"5"'), raw.replace(b'"epoch":2', b'"epoch": 2', 1)):
            assert refusal(lambda other=other: verify_envelope(other, DOMAIN, RULES)).code == "not_canonical"  # type: ignore[misc]

    def test_another_s_signature(self) -> None:
        refused = refusal(lambda: verified(base(), key=STRANGER))
        assert (refused.code, refused.evidence) == ("wrong_signer", {"signer": STRANGER.address, "provider": PROVIDER.address})

    def test_another_network_s_signature(self) -> None:
        foreign = Domain(1, DOMAIN.settlement)
        raw = encode(sign(base(), foreign, PROVIDER))
        assert refusal(lambda: verify_proof(raw, DOMAIN, TIMING, RULES, ROLES, None)).code == "wrong_signer"

    @pytest.mark.parametrize("signature", [bytes(65), b"\xff" * 65, b"\x01" * 64 + b"\x1d"])
    def test_a_malformed_signature(self, signature: bytes) -> None:
        raw = encode(Signed(base(), Signature(signature)))
        assert refusal(lambda: verify_envelope(raw, DOMAIN, RULES)).code == "bad_signature"


class TestLimits:
    def test_four_statements_of_one_signer_and_no_more(self) -> None:
        reports = tuple(sign(replace(REPORT, sequence=n), DOMAIN, MASTER) for n in range(5))
        verified(replace(base(), reports=reports[:4]))
        refused = refusal(lambda: verified(replace(base(), reports=reports)))
        assert refused.code == "too_many_statements"
        assert refused.evidence == {"signer": MASTER.address, "role": "master", "statements": "5", "limit": "4"}

    def test_the_same_statement_five_times(self) -> None:
        assert refusal(lambda: verified(replace(base(), tickets=base().tickets[:1] * 5))).code == "too_many_statements"

    def test_log_entries(self) -> None:
        for count, code in ((64, None), (65, "too_many_statements")):
            log = entries(count)
            proof = replace(base(), log=log, log_head=digest_of(log[-1], DOMAIN))
            if code is None:
                verified(proof)
            else:
                assert refusal(lambda proof=proof: verified(proof)).code == code  # type: ignore[misc]


class TestLog:
    @pytest.mark.parametrize(
        "log",
        [
            (entries(3)[0], entries(3)[2]),
            (entries(3)[1], entries(3)[0]),
            (entries(1)[0], replace(entries(2)[1], previous=ZERO_DIGEST)),
            (replace(entries(1)[0], detail="rewritten"), entries(2)[1]),
            (entries(1)[0], replace(entries(2)[1], index=5)),
            (replace(entries(1)[0], previous=Digest(b"\x01" * 32)),),
        ],
    )
    def test_entries_that_do_not_link(self, log: tuple[ActivityEntry, ...]) -> None:
        assert refusal(lambda: verified(replace(base(), log=log, log_head=digest_of(log[-1], DOMAIN)))).code == "broken_log"

    def test_a_head_that_is_not_the_last_entry(self) -> None:
        assert refusal(lambda: verified(replace(base(), log_head=ZERO_DIGEST))).code == "broken_log"
        assert refusal(lambda: verified(replace(base(), log=()))).code == "broken_log"


class TestStatements:
    @pytest.mark.parametrize("proof", [with_report(provider=STRANGER.address), with_ticket(epoch=1), with_report(epoch=3)])
    def test_about_another_provider_or_epoch(self, proof: ActivityProof) -> None:
        assert refusal(lambda: verified(proof)).code == "wrong_subject"

    def test_by_somebody_who_is_not_listed(self) -> None:
        report = sign(replace(REPORT, master=STRANGER.address), DOMAIN, STRANGER)
        refused = refusal(lambda: verified(replace(base(), reports=(report,))))
        assert (refused.code, refused.evidence["signer"]) == ("not_listed", STRANGER.address)

    def test_by_a_node_listed_in_the_other_role(self) -> None:
        as_master = sign(replace(REPORT, master=RESOLVER.address), DOMAIN, RESOLVER)
        as_resolver = sign(replace(TICKET, resolver=MASTER.address), DOMAIN, MASTER)
        assert refusal(lambda: verified(replace(base(), reports=(as_master,)))).code == "not_listed"
        assert refusal(lambda: verified(replace(base(), tickets=(as_resolver,)))).code == "not_listed"

    def test_by_the_provider_itself(self) -> None:
        own = sign(replace(REPORT, master=PROVIDER.address), DOMAIN, PROVIDER)
        raw = encode(sign(replace(base(), reports=(own,)), DOMAIN, PROVIDER))
        roles = replace(ROLES, masters=ROLES.masters | {PROVIDER.address})
        assert refusal(lambda: verify_proof(raw, DOMAIN, TIMING, RULES, roles, None)).code == "bad_statement"

    @pytest.mark.parametrize("slots", [b"", b"\x1f\x00", b"\x20", b"\xff"])
    def test_slots_that_are_no_map_of_the_epoch(self, slots: bytes) -> None:
        assert refusal(lambda: verified(with_report(slots=slots))).code == "bad_statement"
        assert refusal(lambda: verified(with_ticket(slots=slots))).code == "bad_statement"

    def test_a_slot_that_has_not_begun(self) -> None:
        proof = replace(with_report(slots=b"\x04"), tickets=())  # slot 2 begins at 1,028
        verified(proof, 1_028)
        refused = refusal(lambda: verified(proof, 1_027))
        assert (refused.code, refused.evidence["slot"], refused.next_try) == ("bad_statement", "2", 1_028)
        verified(proof, None)

    def test_a_map_without_slots_is_in_time_even_before_the_epoch(self) -> None:
        verified(replace(with_report(slots=b"\x00"), tickets=()), 0)

    @pytest.mark.parametrize(
        "prefix", ["", "203.0.113.7", "203.0.113.0/25", "203.0.113.7/24", "2001:db8::/32", "10.0.0.0/24 ", "fe80::%1/48", "x" * 9_000]
    )
    def test_a_prefix_that_is_none(self, prefix: str) -> None:
        refused = refusal(lambda: verified(with_report(group_prefix=prefix)))
        assert refused.code == "bad_statement"
        assert len(refused.message) < 400
        assert refusal(lambda: verified(with_ticket(group_prefix=prefix))).code == "bad_statement"

    def test_more_than_everything_lost(self) -> None:
        verified(with_report(loss_ppm=1_000_000))
        assert refusal(lambda: verified(with_report(loss_ppm=1_000_001))).code == "bad_statement"

    def test_signed_by_another_key(self) -> None:
        forged = sign(REPORT, DOMAIN, STRANGER)
        refused = refusal(lambda: verified(replace(base(), reports=(forged,))))
        assert (refused.code, refused.evidence["actual"]) == ("bad_statement", STRANGER.address)

    def test_a_figure_changed_after_signing(self) -> None:
        better = Signed(replace(REPORT, rtt_median_us=1), base().reports[0].signature)
        assert refusal(lambda: verified(replace(base(), reports=(better,)))).code == "bad_statement"

    def test_a_malformed_signature(self) -> None:
        broken = Signed(REPORT, Signature(bytes(65)))
        assert refusal(lambda: verified(replace(base(), reports=(broken,)))).code == "bad_statement"


def test_cheap_checks_come_first() -> None:
    forged, unlisted = sign(REPORT, DOMAIN, STRANGER), sign(replace(REPORT, master=STRANGER.address), DOMAIN, STRANGER)
    assert refusal(lambda: verified(replace(base(), reports=(forged, unlisted)))).code == "not_listed"
    assert refusal(lambda: verified(replace(base(), reports=(forged,) * 5, log_head=ZERO_DIGEST))).code == "too_many_statements"
    assert refusal(lambda: verified(replace(base(), reports=(forged,), log_head=ZERO_DIGEST))).code == "broken_log"
    assert refusal(lambda: verified(replace(base(), reports=(forged,) * 5), key=STRANGER)).code == "wrong_signer"


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(Refused):
        verify_proof(raw, DOMAIN, TIMING, RULES, ROLES, None)


@given(st.data())
def test_a_proof_with_a_byte_changed_is_refused(data: st.DataObject) -> None:
    raw = bytearray(encode(sign(base(), DOMAIN, PROVIDER)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[at]))
    with pytest.raises(Refused):
        verify_proof(bytes(raw), DOMAIN, TIMING, RULES, ROLES, None)


@given(st.text(max_size=60))
def test_any_prefix_is_refused_or_a_prefix(prefix: str) -> None:
    with pytest.raises(Refused) as refused:
        verified(with_report(group_prefix=prefix))
    assert refused.value.code == "bad_statement"
