"""The one seam to a chain: JSON-RPC itself.

Whatever executes the EVM, a `Backend` answers a method and its parameters with the `result` a node would send: hex
quantities, camelCase keys, `0x` data, `None` for what does not exist. Encoding and decoding of contract calls lies above
(`chain.abi`, `chain.contracts`).

    ChainError
    ├── RpcError            the node answered, and refused; not worth repeating unchanged
    │   └── ReadRefused     it refused a read (+ Recoverable)
    ├── Reverted            a contract refused; `data` is its custom error, undecoded
    └── BackendUnavailable  no usable answer (+ Recoverable)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chain.errors import ChainError, Recoverable

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
LIMIT_EXCEEDED = -32005
EXECUTION_REVERTED = 3
"""The code of geth and anvil for a call that reverts; `data` of the error is what the contract returned."""


ERROR_STRING = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")


class RpcError(ChainError):
    """A refusal by the node: JSON-RPC's `code`, `message` and `data` (`None` if absent).

    With code `EXECUTION_REVERTED` the data is the `0x` hex of the revert bytes, possibly `0x` alone.
    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        self.code, self.message, self.data = code, message, data
        super().__init__(f"{message} (code {code})")

    def revert_data(self) -> bytes | None:
        """The bytes a contract reverted with; `None` if this is another refusal or the data is not hex."""
        if self.code != EXECUTION_REVERTED or not isinstance(self.data, str) or not self.data.startswith("0x"):
            return None
        try:
            return bytes.fromhex(self.data[2:])
        except ValueError:
            return None


class ReadRefused(RpcError, Recoverable):
    """A refused read: the node lags behind, lost a block or limits its callers, so a later read may go through."""


class Reverted(ChainError):
    """A contract's refusal: the bytes it reverted with, and the text or panic code among them if it is a plain one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reason = _reason(data)
        shown = self.reason or (f"custom error 0x{data[:4].hex()}" if data else "it gave no reason")
        super().__init__(f"the contract refused: {shown}")


class BackendUnavailable(ChainError, Recoverable):
    """No answer that can be used: refused connection, time-out, or something that is not JSON-RPC.

    `endpoint` is host and port only, since the path or query of a node's URL is often a secret.
    """

    def __init__(self, endpoint: str, reason: str) -> None:
        self.endpoint, self.reason = endpoint, reason
        super().__init__(f"the chain's node at {endpoint} gave no usable answer: {reason}")


class Backend(Protocol):
    """Access to one chain. Implementations: `chain.rpc.RpcBackend`, `chain.inprocess.InProcessBackend`."""

    async def request(self, method: str, params: Sequence[object]) -> object:
        """The `result` of one JSON-RPC call, made of JSON's own types, the caller's to keep.

        Raises `RpcError` when the node refuses, `BackendUnavailable` when it does not answer in time.
        """
        ...

    async def close(self) -> None:
        """Let go of connections; closing twice is harmless."""
        ...


def is_known(error: RpcError) -> bool:
    """Whether a node refuses a transaction because it has it already."""
    said = error.message.lower().replace(" ", "")  # geth: already known; Nethermind: AlreadyKnown; Besu: Known transaction
    return any(words in said for words in ("alreadyknown", "alreadyimported", "knowntransaction"))


def _reason(data: bytes) -> str | None:
    """The text of `Error(string)` or the code of `Panic(uint256)`; None for anything else."""
    selector, words = data[:4], data[4:]
    if selector == PANIC and len(words) == 32:
        return f"panic 0x{int.from_bytes(words):02x}"
    if selector != ERROR_STRING or len(words) < 64:
        return None
    length = int.from_bytes(words[32:64])
    return words[64 : 64 + length].decode(errors="replace") if length <= len(words) - 64 else None
