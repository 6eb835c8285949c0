"""What the table shows, read back from the text it renders to."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from chain.types import Address, Digest
from devnet.observer import Money, NodeSight, ProviderSight, Sight
from devnet.rawchain import PostedLog
from devnet.table import picture, plain, tokens
from wire.answers import MasterView, ProviderView

ACCOUNT, MASTER = Address("0x" + "11" * 20), Address("0x" + "21" * 20)
MASTERS = {MASTER: "master-1"}


def sight(state: str = "connected", code: str = "ok", rtt: int = 107_340) -> Sight:
    view = ProviderView(
        ACCOUNT, state, code, 1, "FR", 48, 2, "ok", (), 1, 1, "127.20.9.0/24", 31, (MasterView(MASTER, "h:1", code, rtt, 9),)
    )
    node = NodeSight("provider-1", "provider", "Johannesburg", 77, {"slots": 4, "receipted": 7, "proofs": 8})
    provider = ProviderSight(node, ACCOUNT, view, Money(2 * 10**18, 3 * 10**18, 5_123_456_789_000_000_000, 373_387, 27_500))
    nodes = (
        NodeSight("master-1", "master", "Singapore", 70, {"datagrams": {"echoes": 12}}),
        NodeSight("validator-1", "validator", "Tokyo", 0, {}),
        NodeSight("validator-2", "validator", "Tokyo", 72, {"proofs": {"accepted": 9}, "epochs": [{"epoch": 4, "state": "posting"}]}),
    )
    zero = Digest(bytes(32))
    logs = tuple(PostedLog(epoch, 0, zero, epoch, 10**18, zero, zero, 7, 0, 1, "0x1", ACCOUNT, 119_233) for epoch in (1, 2, 3))
    return Sight(103, 5, 5, 3, 2, logs, nodes, (provider,))


def rendered(shown: Sight, width: int = 80) -> list[str]:
    console = Console(file=StringIO(), width=width)
    console.print(picture(shown, MASTERS, "devnet"))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def line(lines: list[str], *words: str) -> str:
    return next(text for text in lines if all(word in text for word in words))


def test_where_a_provider_stands_fits_eighty_columns() -> None:
    lines = rendered(sight())
    assert line(lines, "provider-1", "Johannesburg", "connected", "ok", "107.3", "31")
    assert line(lines, "provider-1", "4", "7 of 8", "5.123", "2.000", "3.000", "27.500", "37.3 %")
    assert not any("…" in text for text in lines if "0x" not in text)


def test_masters_are_headed_by_their_city() -> None:
    assert line(rendered(sight()), "Singapore", "heart-")


def test_epochs_are_past_active_or_pending() -> None:
    lines = rendered(sight())
    assert [("past" in text, "active" in text, "pending" in text) for text in lines if "119,233" in text] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_nodes_speak_for_themselves_or_are_silent() -> None:
    lines = rendered(sight())
    assert line(lines, "validator-1", "no answer")
    assert line(lines, "validator-2", "72", "9 proofs; epochs 4 posting")
    assert line(lines, "master-1", "12 echoes")


def test_a_provider_without_a_report_has_a_reason_and_no_rtt() -> None:
    text = line(rendered(sight("pending_verification", "dial_back_failed", 0), 100), "provider-1", "pending", "dial_back_failed")
    assert " - " in text


def test_plain_data_holds_money_as_text() -> None:
    found = plain(sight(), MASTERS)
    assert found["providers"][0]["earned"] == "5123456789000000000"
    assert found["providers"][0]["rtt_us"] == {"master-1": 107_340}
    assert (found["epoch"], found["active_epoch"], found["epochs"][2]["signers"]) == (5, 2, 3)


@pytest.mark.parametrize(
    ("wei", "text"), [(0, "0.000"), (999_999_999_999_999, "0.000"), (10**15, "0.001"), (12 * 10**18 + 10**17, "12.100")]
)
def test_tokens_round_down(wei: int, text: str) -> None:
    assert tokens(wei) == text
