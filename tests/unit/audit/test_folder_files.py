"""A folder answers as a validator does, and with what lies in it alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audit.sources import Files, Metered
from wire.http import PeerMisbehaved, PeerRefused


def test_a_file_is_found_by_its_path_and_counted(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0x12").write_bytes(b"content")
    source = Metered(Files(tmp_path))
    assert asyncio.run(source.get("a folder", "/v1/blobs/0x12")) == b"content"
    assert source.received == 7
    with pytest.raises(PeerRefused) as refused:
        asyncio.run(source.get("a folder", "/v1/blobs/0x13"))
    assert (refused.value.code, refused.value.message) == ("not_found", "blobs/0x13: No such file or directory")
    with pytest.raises(PeerRefused) as folder:
        asyncio.run(source.get("a folder", "/v1/blobs"))
    assert folder.value.code == "not_found"
    with pytest.raises(PeerMisbehaved):
        asyncio.run(source.get("a folder", "/v1/blobs/0x12", 6))
    with pytest.raises(PeerRefused):
        asyncio.run(source.post("a folder", "/v1/attestations", {}))
    assert source.received == 7
