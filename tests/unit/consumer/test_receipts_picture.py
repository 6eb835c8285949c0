"""What `dpn consumer receipts` prints: whole addresses and amounts, however narrow the terminal is."""

from __future__ import annotations

import pytest

from consumer.picture import print_receipts


def test_a_session_is_two_lines_with_everything_in_them(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    one = {
        "session": "0x" + "ab" * 32,
        "provider": "0x" + "cd" * 20,
        "opened": 1_700_000_000,
        "closed": "",
        "price": "0.02",
        "receipted": 6_001_050,
        "reported": 6_001_060,
        "difference": 10,
        "fee": "0.000111777",
        "budget": "1.25",
    }
    print_receipts([one, {**one, "closed": "crashed"}])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("0xabababababababab  2023-11-14 ")
    assert lines[0].endswith(f"provider 0x{'cd' * 20}  open")
    assert (
        lines[1].strip()
        == "6001050 bytes receipted, 6001060 by the provider's count; 0.000111777 DPN of 1.25 reserved, at 0.02 DPN for one GiB"
    )
    assert lines[2].endswith("crashed")
