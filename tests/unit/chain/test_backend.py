"""What refusals and their bytes say."""

from __future__ import annotations

import pytest

from chain.backend import BackendUnavailable, Reverted, RpcError
from chain.errors import ChainError, Recoverable


def encoded(text: bytes) -> bytes:
    return bytes.fromhex("08c379a0") + (32).to_bytes(32) + len(text).to_bytes(32) + text.ljust((len(text) + 31) // 32 * 32, b"\0")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded(b"not now"), "not now"),
        (encoded(b""), ""),
        (encoded("žluť".encode()), "žluť"),
        (encoded(b"\xff"), "\ufffd"),
        (bytes.fromhex("4e487b71") + (0x11).to_bytes(32), "panic 0x11"),
        (b"", None),
        (bytes.fromhex("e450d38c") + bytes(96), None),
        (encoded(b"cut")[:-40], None),
        (bytes.fromhex("08c379a0") + (32).to_bytes(32) + (2**255).to_bytes(32), None),
        (bytes.fromhex("4e487b71"), None),
    ],
)
def test_plain_reasons_are_read_and_custom_errors_left_alone(data: bytes, reason: str | None) -> None:
    reverted = Reverted(data)
    assert reverted.reason == reason
    assert reverted.data == data
    assert str(reverted).startswith("the contract refused: ")


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (RpcError(3, "execution reverted", "0x01ff"), b"\x01\xff"),
        (RpcError(3, "execution reverted", "0x"), b""),
        (RpcError(3, "execution reverted"), None),
        (RpcError(3, "execution reverted", "0xzz"), None),
        (RpcError(3, "execution reverted", {"data": "0x01"}), None),
        (RpcError(-32000, "insufficient funds", "0x01"), None),
    ],
)
def test_only_reverts_have_revert_data(error: RpcError, data: bytes | None) -> None:
    assert error.revert_data() == data


def test_only_silence_is_recoverable() -> None:
    assert issubclass(BackendUnavailable, Recoverable)
    assert issubclass(BackendUnavailable, ChainError)
    assert not issubclass(RpcError, Recoverable)
    assert not issubclass(Reverted, Recoverable)
