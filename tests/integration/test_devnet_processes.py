"""Processes of a devnet: started apart, ended by their own ids, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from devnet.ground import GroundError, configure, lay
from devnet.layout import load
from devnet.processes import LEASH, Command, ProcessError, Processes

BOUND_S = 30.0
WAITER = """
import pathlib, signal, sys, time
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text("here")
time.sleep(600)
"""


@pytest.fixture
def waiter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that says it is there and then waits."""
    (tmp_path / "devnet_test_waiter.py").write_text(WAITER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "devnet_test_waiter"


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


async def until(condition: Callable[[], bool]) -> None:
    """Neither a file nor a process of somebody else's wakes anyone, so this looks again and again."""
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def words_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_process_keeps_its_id_through_the_leash_and_ends_when_told(tmp_path: Path, waiter: str) -> None:
    async def scene() -> None:
        processes = Processes(tmp_path)
        started = await processes.start(Command("one", "role", (waiter, str(tmp_path / "one"))))
        await until((tmp_path / "one").exists)
        assert "devnet_test_waiter" in words_of(started.pid)
        assert os.getsid(started.pid) == started.pid != os.getsid(0)
        with pytest.raises(ProcessError, match="running already"):
            await processes.start(Command("one", "role", (waiter, "x")))
        await processes.end_all()
        assert processes.alive() == set()
        assert not is_there(started.pid)

    run(scene())


def test_a_killed_process_is_started_again_under_its_name_and_both_are_listed(tmp_path: Path, waiter: str) -> None:
    async def scene() -> None:
        processes = Processes(tmp_path)
        first = await processes.start(Command("one", "role", (waiter, str(tmp_path / "one"))))
        await until((tmp_path / "one").exists)
        processes.signal("one", signal.SIGKILL)
        assert await processes.ended("one", BOUND_S) == -signal.SIGKILL
        processes.require_alive()  # it was told to
        second = await processes.restart("one")
        assert processes.started == [first, second]
        assert processes.pid_of("one") == second.pid != first.pid
        await processes.end_all()

    run(scene())


def test_a_process_that_ends_by_itself_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    async def scene() -> None:
        processes = Processes(tmp_path)
        await processes.start(Command("one", "role", ("no_such_module_here",)))
        assert await processes.ended("one", BOUND_S) == 1
        with pytest.raises(ProcessError, match="No module named no_such_module_here"):
            processes.require_alive()

    run(scene())


def test_one_that_ignores_sigterm_and_one_that_is_stopped_are_ended_all_the_same(
    tmp_path: Path, waiter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devnet.processes.GRACE_S", 0.3)

    async def scene() -> None:
        processes = Processes(tmp_path)
        for name, arguments in (("deaf", ("deaf",)), ("stopped", ())):
            await processes.start(Command(name, "role", (waiter, str(tmp_path / name), *arguments)))
            await until((tmp_path / name).exists)
        processes.signal("stopped", signal.SIGSTOP)
        await processes.end_all([["deaf"], ["stopped"]])
        assert not any(is_there(started.pid) for started in processes.started)
        assert await processes.ended("deaf", BOUND_S) == -signal.SIGKILL
        assert await processes.ended("stopped", BOUND_S) == -signal.SIGTERM

    run(scene())


def test_nothing_outlives_a_devnet_that_is_killed(tmp_path: Path, waiter: str) -> None:
    script = f"""
import asyncio, pathlib
from devnet.processes import Command, Processes
async def main():
    processes = Processes(pathlib.Path({str(tmp_path)!r}))
    started = await processes.start(Command("one", "role", ({waiter!r}, {str(tmp_path / "one")!r}, "deaf")))
    pathlib.Path({str(tmp_path / "new")!r}).write_text(str(started.pid))
    pathlib.Path({str(tmp_path / "new")!r}).rename({str(tmp_path / "pid")!r})
    await asyncio.sleep(600)
asyncio.run(main())
"""

    async def scene() -> None:
        root = Path(__file__).parents[2]
        environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{root}"}
        devnet = await asyncio.create_subprocess_exec(sys.executable, "-c", script, env=environment)
        try:
            await until((tmp_path / "one").exists)
            await until((tmp_path / "pid").exists)
            pid = int((tmp_path / "pid").read_text())
            assert is_there(pid)
        finally:
            devnet.kill()
            await devnet.wait()
        await until(lambda: not is_there(pid))

    run(scene())


def test_the_leash_starts_nothing_for_a_parent_that_is_gone(tmp_path: Path) -> None:
    async def scene() -> None:
        leash = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(LEASH), "1", "/usr/bin/touch", str(tmp_path / "started"), stderr=asyncio.subprocess.PIPE
        )
        _, said = await leash.communicate()
        assert leash.returncode == 1
        assert b"has ended" in said
        assert not (tmp_path / "started").exists()

    run(scene())


def test_every_node_has_a_private_folder_with_a_key_of_its_own(tmp_path: Path) -> None:
    ground = lay(load(), tmp_path / "net")
    configure(ground, "http://127.0.0.1:8545", ground.deployer.address)
    homes = [ground.home(place) for place in ground.layout.places]
    assert len(set(ground.accounts().values())) == len(homes)
    for home in homes:
        assert {path: path.stat().st_mode & 0o777 for path in (home, home / "data")} == {home: 0o700, home / "data": 0o700}
        assert (home / "keystore.json").stat().st_mode & 0o777 == (home / "passphrase").stat().st_mode & 0o777 == 0o600
        text = (home / "config.toml").read_text()
        assert not [other for other in homes if other != home and str(other) in text]


def test_only_a_folder_that_a_devnet_made_is_emptied(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(GroundError, match="was not made by a devnet"):
        lay(load(), tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"
    first = lay(load(), tmp_path / "net").accounts()
    second = lay(load(), tmp_path / "net").accounts()
    assert not set(first.values()) & set(second.values())
