"""What an operator reads: the doctor's lines, and the status of a running provider."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provider.doctor.findings import Finding
from provider.doctor.remedies import REMEDIES, remedy
from provider.picture import print_status, show_finding
from wire.refusals import TABLE

MASTER = "0x" + "11" * 20


def test_a_line_says_what_is_wrong_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    show_finding(Finding("disk", "ok", "there is room"), as_json=False)
    show_finding(Finding("clock", "stale_time", "300 s behind", "set it"), as_json=False)
    show_finding(Finding("clock", "stale_time", "300 s behind", "set it"), as_json=True)
    well, wrong, data = capsys.readouterr().out.splitlines()
    assert well == "ok    disk: there is room"
    assert wrong == "WRONG clock [stale_time]: 300 s behind -> set it"
    assert json.loads(data) == {"check": "clock", "code": "stale_time", "said": "300 s behind", "do": "set it"}
    assert Finding("clock", "note", "").is_wrong is False


def test_the_status_names_reason_observer_and_remedy(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    found: dict[str, Any] = {
        "role": "provider",
        "address": "0x" + "aa" * 20,
        "network": "1/0x00/1",
        "time": 1_700_000_000,
        "state": "pending_verification",
        "code": "dial_back_failed",
        "observer": "0x" + "bb" * 20,
        "stateTime": 1_700_000_000,
        "nextTry": 1_700_000_600,
        "masters": [
            {"master": MASTER, "endpoint": "h:1", "code": "dial_back_failed", "rttMinUs": 0, "time": 0},
            {"master": MASTER, "endpoint": "h:2", "code": "ok", "rttMinUs": 12_340, "time": 1_700_000_000},
        ],
        "newestProofs": [],
        "heartbeats": 7,
        "sessions": 3,
        "carriedToday": 99,
        "refused": {"port_refused": 2},
    }
    print_status(found)
    shown = capsys.readouterr().out
    for said in ("pending_verification (dial_back_failed)", "0x" + "bb" * 20, "next try", remedy("dial_back_failed"), "12.3", "never"):
        assert said in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["sessions", "3"] in lines
    assert ["carriedToday", "99"] in lines
    assert ["refused", "port_refused", "2"] in lines


def test_remedies_are_for_codes_that_exist() -> None:
    own = {"no_answer", "no_report", "left", "location_refuted"}
    assert REMEDIES.keys() - TABLE.keys() == own
    assert all(sentence and not sentence.endswith(".") for sentence in REMEDIES.values())
    assert remedy("something_new") == ""
