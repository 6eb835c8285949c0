"""`dpn demo settlement` as its user runs it: a served chain, a validator's own process, and a report to read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from devnet.demos import SETTLEMENT

pytestmark = pytest.mark.e2e

BOUND_S = 280
NETS = {'bind_net = "127.11"': 'bind_net = "127.83"', 'public_net = "127.21"': 'public_net = "127.84"', "rpc_port = 8546": "rpc_port = 0"}
"""So that another one may run meanwhile."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Mapping[str, Any]:
    tmp = tmp_path_factory.mktemp("settlement")
    text = SETTLEMENT.parameters.read_text()
    for ours, theirs in NETS.items():
        assert ours in text
        text = text.replace(ours, theirs)
    (tmp / "settlement.toml").write_text(text)
    options = ("--parameters", str(tmp / "settlement.toml"), "--folder", str(tmp / "net"), "--report", str(tmp / "found.json"))
    command = (sys.executable, "-m", "cli.app", "demo", "settlement", *options)
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=BOUND_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    written: Mapping[str, Any] = json.loads((tmp / "found.json").read_text())
    return written


def test_every_check_is_true(found: Mapping[str, Any]) -> None:
    assert [check["name"] for check in found["checks"] if not check["passed"]] == []
    assert len(found["checks"]) >= 16


def test_two_frauds_are_proven_by_the_validator_that_runs_and_nobody_else(found: Mapping[str, Any]) -> None:
    assert [(one["proof"], one["reporter"]) for one in found["proven"]] == [
        ("equivocates", "honest validator"),
        ("falls", "honest validator"),
    ]
    assert [one["role"] for one in found["processes"]] == ["chain", "validator"]


def test_the_cancelled_roots_signers_and_the_one_that_signed_twice_lose_their_stake(found: Mapping[str, Any]) -> None:
    first, _, fraud = found["epochs"]
    assert "honest validator" in first["signers"]
    assert (first["cancelled"], fraud["cancelled"]) == (False, True)
    assert len(fraud["signers"]) == 2
    assert sorted(one["account"] for one in found["slashed"]) == ["hostile validator 1", *fraud["signers"]]


def test_a_tenth_of_each_stake_is_the_reporters_and_the_rest_nobodys(found: Mapping[str, Any]) -> None:
    amounts = [int(one["amount"]) for one in found["slashed"]]
    shares = [int(one["share"]) for one in found["slashed"]]
    assert [10 * share for share in shares] == amounts
    assert int(found["balances"]["honest validator"]) == sum(shares)
    assert int(found["burnt"]) == sum(amounts) - sum(shares)


def test_the_deposit_comes_back_less_what_was_spent_and_the_supply_is_all_there(found: Mapping[str, Any]) -> None:
    assert 0 < int(found["withdrawn"]) < int(found["deposited"])
    assert found["balances"]["consumer"] == found["withdrawn"]
    assert sum(map(int, found["balances"].values())) == int(found["supply"])
