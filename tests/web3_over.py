"""web3 on top of a `Backend`: contract encoding and decoding are web3's own, transport is not.

Importing this module loads web3 (about a second).
"""

from __future__ import annotations

import json
from typing import Any, cast

from web3 import AsyncWeb3
from web3._utils.encoding import Web3JsonEncoder
from web3.providers.async_base import AsyncBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from chain.backend import Backend, BackendUnavailable, ReadRefused, RpcError


class BackendProvider(AsyncBaseProvider):
    """Hands web3's requests to a `Backend` and wraps its results and refusals in web3's response shape.

    Reverts become web3's own exceptions. `BackendUnavailable` passes through web3 unchanged, as does every other refusal, as `ReadRefused`.
    """

    global_ccip_read_enabled = False

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        plain = json.loads(json.dumps(params, cls=Web3JsonEncoder))
        try:
            result = await self.backend.request(method, plain)
        except RpcError as error:
            if error.revert_data() is None:
                raise ReadRefused(error.code, error.message, error.data) from error
            refusal = {"code": error.code, "message": error.message, "data": error.data}
            return cast(RPCResponse, {"jsonrpc": "2.0", "id": 1, "error": refusal})
        return cast(RPCResponse, {"jsonrpc": "2.0", "id": 1, "result": result})

    async def is_connected(self, show_traceback: bool = False) -> bool:
        try:
            await self.backend.request("eth_chainId", [])
        except (RpcError, BackendUnavailable):
            if show_traceback:
                raise
            return False
        return True


def web3_over(backend: Backend) -> AsyncWeb3[BackendProvider]:
    """An `AsyncWeb3` on this backend with no middleware: no guessed gas, no guessed sender, no proof-of-authority fields."""
    return AsyncWeb3(BackendProvider(backend), middleware=[])
