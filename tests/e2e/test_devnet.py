"""A small devnet through its own command: real processes, real datagrams, a served chain; with its relay, without it, and interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devnet.layout import DEFAULT_PARAMETERS, Layout, delay_s, plan

pytestmark = pytest.mark.e2e

BOUND_S = 240
CITIES = {
    "resolver": ["Frankfurt"],
    "master": ["London", "Singapore"],
    "validator": ["Amsterdam", "Toronto", "Tokyo"],
    "provider": ["San Francisco", "Johannesburg"],
}
"""Far from one another: each round trip is 45 ms or more."""
NETS = {"bind_net": "127.81", "public_net": "127.82", "rpc_port": 0}
"""So that another devnet may run meanwhile."""


@dataclass(frozen=True, slots=True)
class Outcome:
    layout: Layout
    found: Mapping[str, Any]
    said: str


def parameters() -> dict[str, Any]:
    found = tomllib.loads(DEFAULT_PARAMETERS.read_text())
    return found | {"addresses": NETS, "cities": CITIES}


def written(tmp: Path) -> Path:
    """The parameters as a file: the network's own, with these cities and addresses."""
    lines = [line for line in DEFAULT_PARAMETERS.read_text().splitlines() if line.split(" ")[0] not in (*NETS, *CITIES)]
    text = "\n".join(lines)
    for section, values in (("addresses", NETS), ("cities", CITIES)):
        text = text.replace(f"[{section}]", f"[{section}]\n" + "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items()))
    file = tmp / "small.toml"
    file.write_text(text)
    return file


def command(tmp: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "cli.app", "devnet", "--parameters", str(written(tmp)), "--folder", str(tmp / "net"), *options]


def devnet(tmp: Path, root: Path, seconds: int, *options: str) -> Outcome:
    ran = subprocess.run(command(tmp, "--json", "--for", str(seconds), *options), cwd=root, capture_output=True, text=True, timeout=BOUND_S)
    assert ran.returncode == 0, ran.stderr
    return Outcome(plan(parameters()), json.loads(ran.stdout), ran.stderr)


def processes_of(folder: Path) -> list[str]:
    """The command lines of processes that were started for a folder and still run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if any(str(folder) in word for word in words) and entry.name != str(os.getpid()):
            found.append(" ".join(words))
    return found


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Outcome:
    return devnet(tmp_path_factory.mktemp("relayed"), root, 40)


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Outcome:
    return devnet(tmp_path_factory.mktemp("direct"), root, 10, "--no-relay")


def rtts(outcome: Outcome) -> dict[tuple[str, str], int]:
    return {(one["name"], master): us for one in outcome.found["providers"] for master, us in one["rtt_us"].items()}


def test_everyone_is_connected_timed_and_seen_to_be_a_process_of_its_own(relayed: Outcome) -> None:
    assert {one["state"] for one in relayed.found["providers"]} == {"connected"}
    assert len(rtts(relayed)) == 4
    pids = [one["pid"] for one in relayed.found["nodes"]]
    assert len(set(pids)) == len(pids) == 6


def test_no_round_trip_is_shorter_than_the_map(relayed: Outcome) -> None:
    for (provider, master), measured in rtts(relayed).items():
        least = 2 * delay_s(relayed.layout.place(provider), relayed.layout.place(master))
        assert measured >= int(least * 1_000_000)


def test_removing_the_relay_drops_every_rtt(relayed: Outcome, direct: Outcome) -> None:
    with_relay, without = rtts(relayed), rtts(direct)
    assert with_relay.keys() == without.keys()
    assert {pair: (us, without[pair]) for pair, us in with_relay.items() if us <= without[pair]} == {}


def test_epochs_are_posted_once_and_pay(relayed: Outcome) -> None:
    epochs = [one["epoch"] for one in relayed.found["epochs"]]
    assert len(epochs) >= 1
    assert len(set(epochs)) == len(epochs)
    assert all(3 * one["signers"] >= 2 * 3 for one in relayed.found["epochs"])
    assert int(relayed.found["epochs"][-1]["total"]) > 0


def test_ctrl_c_while_it_is_set_up_leaves_no_process(tmp_path: Path, root: Path) -> None:
    running = subprocess.Popen(command(tmp_path), cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + BOUND_S
        while len(processes_of(tmp_path / "net")) < 4 and time.monotonic() < deadline:  # itself, the relay, and some nodes
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=BOUND_S)
        assert running.returncode == 130, said
        assert "interrupted before it was set up" in said
        assert processes_of(tmp_path / "net") == []
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


def test_parameters_that_make_no_sense_are_refused_before_anything_starts(tmp_path: Path, root: Path) -> None:
    asked = command(tmp_path)
    file = tmp_path / "small.toml"
    file.write_text(file.read_text().replace("Johannesburg", "Atlantis"))
    ran = subprocess.run(asked, cwd=root, capture_output=True, text=True, timeout=BOUND_S)
    assert ran.returncode == 2
    assert not (tmp_path / "net").exists()
    assert "Atlantis" in ran.stderr
