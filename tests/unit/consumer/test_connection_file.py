"""What a connection writes down about itself, and what `dpn consumer status` makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from consumer.cli import app
from consumer.status import FILE, LOCK, Connection, Left, held, read, write
from runtime.terminal import NoAnswer, UsageError

PROVIDER = "0x" + "aa" * 20
PICTURE = Connection(
    pid=os.getpid(),
    account="0x" + "cc" * 20,
    network="1/0x00/1",
    socks="127.0.0.1:1080",
    state="connected",
    code="ok",
    said="",
    since=1_700_000_000,
    time=1_700_000_100,
    next_try=0,
    provider=PROVIDER,
    region="DE",
    price=str(2 * 10**16),
    rtt_us=23_400,
    reputation=640_000,
    reputation_epoch=7,
    verified=True,
    bytes=3_000,
    receipted=2_000,
    reported=2_500,
    difference=500,
    budget=str(5 * 10**18),
    spent=str(10**17),
    left=str(49 * 10**17),
    session=str(125 * 10**16),
    sessions=2,
    aside=1,
    last_left=Left("0x" + "bb" * 20, "provider_failed", "it broke off", 1_700_000_050),
)


def test_it_is_private_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write(folder, PICTURE)
    assert (folder / FILE).stat().st_mode & 0o077 == 0
    assert [file.name for file in folder.iterdir()] == [FILE]
    found = read(folder)
    assert (found["runs"], found["provider"], found["last_left"]["code"]) == (True, PROVIDER, "provider_failed")


@pytest.mark.parametrize("changes", [{"pid": 2**22 + 1}, {"pid": 0}, {"state": "ended"}])
def test_a_process_that_is_gone_does_not_run(tmp_path: Path, changes: dict[str, int]) -> None:
    write(tmp_path, replace(PICTURE, **changes))  # type: ignore[arg-type]
    assert not read(tmp_path)["runs"]


def test_nothing_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="dpn consumer connect"):
        read(tmp_path)
    (tmp_path / FILE).write_text("{")
    with pytest.raises(NoAnswer):
        read(tmp_path)


def test_the_command_says_it_in_lines_and_in_json(tmp_path: Path) -> None:
    write(tmp_path, PICTURE)
    shown = CliRunner().invoke(app, ["status", "--data-dir", str(tmp_path)])
    assert shown.exit_code == 0
    for said in ("connected", PROVIDER, "DE", "0.02 DPN", "23.4 ms", "500 bytes", "left 4.9", "it broke off"):
        assert said in shown.output
    as_json = CliRunner().invoke(app, ["status", "--json", "--data-dir", str(tmp_path)])
    assert json.loads(as_json.stdout)["left"] == str(49 * 10**17)
    write(tmp_path, replace(PICTURE, state="ended"))
    assert CliRunner().invoke(app, ["status", "--data-dir", str(tmp_path)]).exit_code == 3
    assert CliRunner().invoke(app, ["status", "--data-dir", str(tmp_path / "none")]).exit_code == 3


HOLD = """
import sys
from pathlib import Path
from consumer.status import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_of_one_connection_until_that_is_gone_even_by_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="data-dir of its own"), held(folder):
            pytest.fail("it was another's")
        other.kill()
        other.wait()
        with held(folder):
            assert (folder / LOCK).stat().st_mode & 0o777 == 0o600
    with held(folder):
        pass
