"""Which statements a provider holds: everything else would spoil its proofs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.epochs import Timing
from chain.keys import NodeKey
from chain.typed import Domain, Signed, sign
from chain.types import Address, Digest, Signature, Wei
from chain.view import BlockStamp, ChainView, Listing
from provider.errors import UnusableStatement
from provider.evidence import check_report, check_ticket, epoch_is_open
from wire.messages import LatencyReport, UptimeTicket
from wire.slots import empty, with_slot

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
TIMING = Timing(1_000, 1_000, 100, 300, 400, 100, 50, 10)
RESOLVER, MASTER, STRANGER = (NodeKey(bytes([n]) * 32) for n in (1, 2, 3))
PROVIDER = Address("0x" + "aa" * 20)
VIEW = ChainView(
    BlockStamp(9, Digest(bytes(32)), 1_000),
    (
        Listing(RESOLVER.address, "resolver", "10.0.0.1:1", Wei(0)),
        Listing(MASTER.address, "master", "10.0.0.2:1", Wei(0)),
    ),
)
NOW = 3_550.0
"""Epoch 3, slot 5."""

TICKET = UptimeTicket(RESOLVER.address, PROVIDER, 3, 1, with_slot(empty(10), 5), 0, "10.0.0.0/24")
REPORT = LatencyReport(MASTER.address, PROVIDER, 3, 1, with_slot(empty(10), 5), 900, 900, 0, 0, "10.0.0.0/24", address_ok=True)


def refusal(key: NodeKey, message: Any, now: float = NOW) -> str:
    """The code, or `held`."""
    check: Any = check_ticket if isinstance(message, UptimeTicket) else check_report
    try:
        check(sign(message, DOMAIN, key), PROVIDER, now, VIEW, TIMING, DOMAIN)
    except UnusableStatement as error:
        return error.code
    return "held"


def test_a_ticket_and_a_report_that_are_right_are_held() -> None:
    assert refusal(RESOLVER, TICKET) == "held"
    assert refusal(MASTER, REPORT) == "held"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"resolver": MASTER.address}, "not_listed"),
        ({"resolver": STRANGER.address}, "not_listed"),
        ({"provider": STRANGER.address}, "wrong_subject"),
        ({"epoch": 2}, "unknown_epoch"),
        ({"epoch": 4}, "unknown_epoch"),
        ({"epoch": 0}, "unknown_epoch"),
        ({"slots": empty(16) + b"\x00"}, "bad_statement"),
        ({"slots": with_slot(empty(10), 12)}, "bad_statement"),
        ({"slots": with_slot(empty(10), 6)}, "bad_statement"),
        ({"group_prefix": "10.0.0.1/24"}, "bad_statement"),
        ({"group_prefix": "nowhere"}, "bad_statement"),
    ],
)
def test_a_ticket_that_is_wrong_is_not_held(change: dict[str, object], code: str) -> None:
    message: UptimeTicket = replace(TICKET, **change)  # type: ignore[arg-type]
    key = {MASTER.address: MASTER, STRANGER.address: STRANGER}.get(message.resolver, RESOLVER)
    assert refusal(key, message) == code


def test_another_keys_signature_is_not_held() -> None:
    assert refusal(STRANGER, TICKET) == "wrong_signer"
    assert refusal(RESOLVER, REPORT) == "wrong_signer"


def test_a_signature_that_is_none_is_not_held() -> None:
    with pytest.raises(UnusableStatement, match="bad_signature"):
        check_ticket(Signed(TICKET, Signature(bytes(65))), PROVIDER, NOW, VIEW, TIMING, DOMAIN)


def test_a_loss_of_more_than_everything_is_not_held() -> None:
    assert refusal(MASTER, replace(REPORT, loss_ppm=1_000_001)) == "bad_statement"


def test_a_report_for_which_a_resolver_would_refuse_the_whole_batch_is_not_held() -> None:
    assert refusal(MASTER, replace(REPORT, rtt_min_us=901)) == "bad_statement"


def test_a_nodes_word_about_itself_is_not_held() -> None:
    with pytest.raises(UnusableStatement, match="wrong_subject"):
        check_report(sign(replace(REPORT, provider=MASTER.address), DOMAIN, MASTER), MASTER.address, NOW, VIEW, TIMING, DOMAIN)


def test_the_last_epoch_is_open_until_its_intake_closes_with_all_its_slots() -> None:
    last = replace(TICKET, epoch=2, slots=with_slot(empty(10), 9))
    assert refusal(RESOLVER, last, now=3_099.0) == "held"
    assert refusal(RESOLVER, last, now=3_100.0) == "unknown_epoch"


@pytest.mark.parametrize(
    ("epoch", "now", "is_open"), [(0, 500.0, False), (1, 999.0, False), (1, 1_000.0, True), (1, 2_099.0, True), (1, 2_100.0, False)]
)
def test_an_epoch_is_open_from_its_start_to_the_end_of_its_intake(epoch: int, now: float, is_open: bool) -> None:
    assert epoch_is_open(epoch, now, TIMING) is is_open
