"""The limit of open files is raised as far as it may be, and never lowered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource
from runtime.files import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 400))
print(*(allow_open_files(needed) for needed in ({needed},)), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(("needed", "allowed"), [(50, 100), (300, 300), (4_000, 400)])
def test_what_is_needed_is_allowed_as_far_as_it_may_be(root: Path, needed: int, allowed: int) -> None:
    found = subprocess.run((sys.executable, "-c", SCRIPT.format(needed=needed)), cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.split() == [str(allowed)] * 2
