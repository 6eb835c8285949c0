"""A `Backend` over an EVM in this process: the dev chain without its HTTP server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from chain.devchain.ledger import Genesis
from chain.devchain.node import Node
from chain.types import Address

GENESIS_TIME = 1_735_689_600
"""2025-01-01 00:00:00 UTC: as good as any, and the same in every run."""


class InProcessBackend:
    """A chain for tests: every accepted transaction is mined at once in a block of its own, one second after the last.

    Time is the test's, by `evm_increaseTime` and `evm_setNextBlockTimestamp` as on anvil; `evm_snapshot`, `evm_revert`,
    `evm_mine` and `evm_setAutomine` work as well. `balances` are in wei.
    """

    def __init__(
        self,
        *,
        chain_id: int = 31337,
        balances: Mapping[Address, int] | None = None,
        genesis_time: int = GENESIS_TIME,
        finality_blocks: int = 1,
    ) -> None:
        funded = {bytes.fromhex(address[2:]): amount for address, amount in (balances or {}).items()}
        genesis = Genesis(chain_id=chain_id, time=genesis_time, balances=funded)
        self._node = Node(genesis, automine=True, finality_blocks=finality_blocks)

    async def request(self, method: str, params: Sequence[object]) -> object:
        """See `Backend.request`."""
        # Through JSON and back: the caller may keep and change the answer, and nothing but JSON gets through.
        return json.loads(json.dumps(self._node.request(method, json.loads(json.dumps(list(params))))))

    async def close(self) -> None:
        """See `Backend.close`; the chain stays as it is."""
