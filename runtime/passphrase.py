"""Where a pass phrase comes from: a file, the environment or a prompt; never the command line, which every process can read."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from runtime.config import ConfigError

VARIABLE = "DPN_PASSPHRASE"


def read_passphrase(file: Path | None, *, confirm: bool = False, environ: Mapping[str, str] = os.environ) -> str:
    """The first line of `file`, else the environment's, else what is typed (twice with `confirm`); `ConfigError` if there is none."""
    if file is not None:
        try:
            return _not_empty(file.read_text().splitlines()[0], f"The first line of {file}")
        except (OSError, IndexError, UnicodeDecodeError) as error:
            raise ConfigError(f"The pass phrase file {file} cannot be read, or is empty.") from error
    if VARIABLE in environ:
        return _not_empty(environ[VARIABLE], VARIABLE)
    if not sys.stdin.isatty():
        raise ConfigError(f"A pass phrase is needed: set passphrase_file or {VARIABLE}, or run this at a terminal.")
    typed = _not_empty(getpass.getpass("Pass phrase: "), "What was typed")
    if confirm and getpass.getpass("The same again: ") != typed:
        raise ConfigError("The two pass phrases differ; nothing was written.")
    return typed


def _not_empty(phrase: str, where: str) -> str:
    if not phrase:
        raise ConfigError(f"{where} is empty: a key needs a pass phrase.")
    return phrase
