"""A `Backend` over an EVM in this process: the dev chain without its HTTP server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy

from chain.devchain.ledger import Genesis, Ledger
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
        self._finality_blocks = finality_blocks
        self._node = self._on(Genesis(chain_id=chain_id, time=genesis_time, balances=funded))

    def fork(self) -> InProcessBackend:
        """A chain of its own with the blocks of this one: no transaction waits, every one is mined at once, and no time is skipped."""
        twin = copy(self)
        twin._node = self._on(self._node.ledger.fork())  # noqa: SLF001
        return twin

    async def request(self, method: str, params: Sequence[object]) -> object:
        """See `Backend.request`."""
        # Through JSON and back: the caller may keep and change the answer, and nothing but JSON gets through.
        return json.loads(json.dumps(self._node.request(method, json.loads(json.dumps(list(params))))))

    async def close(self) -> None:
        """See `Backend.close`; the chain stays as it is."""

    def _on(self, start: Genesis | Ledger) -> Node:
        return Node(start, automine=True, finality_blocks=self._finality_blocks)
