"""The demos that there are, what names them, and how a run's exit code and report come about."""

from __future__ import annotations

import json
from importlib import import_module
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from devnet.cli import demo
from devnet.demos import DEMOS, Demo
from devnet.layout import load
from devnet.verdict import Check, compared, show


@pytest.mark.parametrize("one", DEMOS.values(), ids=list(DEMOS))
def test_every_demo_has_parameters_that_make_sense_and_can_be_played(one: Demo) -> None:
    assert load(one.parameters, relayed=one.relayed).places
    assert iscoroutinefunction(import_module(one.module).play)


def test_demos_share_neither_folder_nor_report() -> None:
    assert len({one.folder for one in DEMOS.values()}) == len({one.report for one in DEMOS.values()}) == len(DEMOS)


def test_without_a_name_it_is_the_tour() -> None:
    assert next(iter(DEMOS)) == "tour"
    assert "[default: tour]" in CliRunner().invoke(demo, ["--help"]).output


def test_the_list_names_each_first_in_its_line() -> None:
    found = CliRunner().invoke(demo, ["--list"])
    assert found.exit_code == 0
    assert [line.split()[0] for line in found.output.splitlines()] == list(DEMOS)


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    found = CliRunner().invoke(demo, ["siege"])
    assert found.exit_code == 2
    assert "none called 'siege'" in found.output
    assert "tour, settlement" in found.output


def test_parameters_that_make_no_sense_end_with_2_and_leave_no_report(tmp_path: Path) -> None:
    written = tmp_path / "demo.json"
    written.write_text(json.dumps({"checks": []}))
    found = CliRunner().invoke(demo, ["settlement", "--parameters", str(tmp_path / "absent.toml"), "--report", str(written)])
    assert found.exit_code == 2
    assert not written.exists()


def test_what_is_wrong_is_shown_and_cut_short() -> None:
    assert compared("a name", [], "all") == Check("a name", True, "all")
    assert compared("a name", ["1", "2", "3", "4", "5", "6", "7"], "all") == Check("a name", False, "1; 2; 3; 4; 5; and 2 more")


def test_the_verdict_counts_and_names_what_is_untrue() -> None:
    console = Console(record=True, width=100)
    assert show(console, [Check("a", True, "yes")]) == "All 1 checks are true"
    assert show(console, [Check("a", True, "yes"), Check("b", False, "[no]")]) == "1 of 2 checks failed"
    assert "UNTRUE: b: [no]" in console.export_text()
