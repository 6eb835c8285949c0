"""The Pythons of this machine, and what any of them needs to run what is pure here: nothing is installed for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

OLDEST = 11
"""The minor version that the project asks for at least."""
ASKED = "import sys, sysconfig as s; v = sys.version_info; print(sys.implementation.name, *v[:2], s.get_config_var('Py_GIL_DISABLED') or 0)"
KECCAK = '''"""keccak-256 by pycryptodome, whose compiled parts fit every version of Python, under the name of the library used here."""

from Crypto.Hash import keccak


def keccak_256(data=b""):
    return keccak.new(data=data, digest_bits=256)
'''


def pythons() -> dict[str, Path]:
    """One interpreter for each version of CPython from the oldest that will do on, this one first, by its version."""
    mine = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {mine: Path(sys.executable)}
    for candidate in _candidates():
        try:
            said = subprocess.run((candidate, "-c", ASKED), capture_output=True, text=True, timeout=30).stdout.split()
        except (OSError, subprocess.TimeoutExpired):
            continue
        if len(said) == 4 and (said[0], said[1], said[3]) == ("cpython", "3", "0") and int(said[2]) >= OLDEST:
            found.setdefault(f"3.{said[2]}", candidate)
    return found


def _candidates() -> Iterator[Path]:
    """What may be an interpreter: on the path, or kept by pyenv."""
    for minor in range(OLDEST, OLDEST + 10):
        if (named := shutil.which(f"python3.{minor}")) is not None:
            yield Path(named)
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(kept.glob("*/bin/python3"))


def libraries(folder: Path) -> Path:
    """A folder for the path of any version's Python: a keccak is all it holds."""
    spec = find_spec("Crypto")
    assert spec is not None
    assert spec.origin is not None
    folder.mkdir()
    (folder / "Crypto").symlink_to(Path(spec.origin).parent, target_is_directory=True)
    (folder / "sha3.py").write_text(KECCAK)
    return folder
