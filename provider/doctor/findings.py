"""What the doctor finds, and what it can find without the network: files and disk."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from provider.config import ProviderConfig

LEAST_FREE = 100 << 20
"""Bytes on disk below which evidence is in danger."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. code: `ok`, `note` (worth knowing, keeps nothing from working), or what is wrong, often a code of `wire.refusals`.
    said: what was found. do: what to do about it, empty if there is nothing to do."""

    check: str
    code: str
    said: str
    do: str = ""

    @property
    def is_wrong(self) -> bool:
        return self.code not in ("ok", "note")


def check_files(config: ProviderConfig) -> list[Finding]:
    """That keystore and pass phrase are private; whether they open was seen before."""
    found = []
    for name, file in (("keystore", config.keystore), ("passphrase_file", config.passphrase_file)):
        if file is None:
            continue
        mode = file.stat().st_mode & 0o777
        if mode & 0o077:
            found.append(
                Finding("keys", "not_private", f"{name} can be read by others on this machine (mode {mode:o})", f"chmod 600 {file}")
            )
    return found or [Finding("keys", "ok", "the keystore opens, and only its owner can read it")]


def check_disk(folder: Path) -> list[Finding]:
    """That evidence can be written, and that there is room for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".doctor-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return [
            Finding("disk", "not_writable", f"data_dir cannot be written: {error.strerror}", "make it writable, or set another data_dir")
        ]
    if free < LEAST_FREE:
        return [Finding("disk", "disk_full", f"{free >> 20} MiB are free in data_dir", f"free {LEAST_FREE >> 20} MiB at least")]
    return [Finding("disk", "ok", f"data_dir can be written, {free >> 20} MiB are free")]
