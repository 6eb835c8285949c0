"""One development chain: ledger, pool, time and records behind JSON-RPC's methods.

    request(method, params) -> result, or RpcError            any method, at once
    mine() / mine_gently()                                    one block, at once or letting other tasks in between

Beyond reading (`chain.devchain.reads`): eth_sendRawTransaction, and anvil's evm_snapshot, evm_revert, evm_mine,
evm_increaseTime, evm_setNextBlockTimestamp, evm_setAutomine.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from chain.backend import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from chain.devchain.answers import data, quantity
from chain.devchain.chaintime import MAX_TIMESTAMP, ChainTime
from chain.devchain.ledger import Block, Genesis, Ledger, Unexecutable
from chain.devchain.params import Params, wrong
from chain.devchain.params import quantity as parse_quantity
from chain.devchain.pool import Pool
from chain.devchain.reads import Method, Reads
from chain.devchain.records import Records

MAX_MINE = 10_000
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where `evm_revert` goes back to."""

    number: int
    block_hash: bytes
    offset: int


class Node:
    """A chain of its own. `automine` mines with every accepted transaction; without it, whoever owns the node does.

    `start` is a chain that exists already, or the genesis of a new one. `clock` gives unix seconds; without one, block times are the
    tests' (see `chain.devchain.chaintime`).
    """

    def __init__(
        self,
        start: Genesis | Ledger,
        *,
        automine: bool,
        clock: Callable[[], float] | None = None,
        finality_blocks: int = 1,
    ) -> None:
        self._automine = automine
        self._ledger = start if isinstance(start, Ledger) else Ledger(start)
        self._time = ChainTime(clock)
        self._pool = Pool(self._ledger.chain_id, self._ledger.head.header.gas_limit)
        self._records = Records(self._ledger.blocks())
        self._snapshots: dict[int, Snapshot] = {}
        self._snapshot_ids = itertools.count(1)
        self._methods: Mapping[str, Method] = {
            **Reads(self._ledger, self._records, self._pool, self._time, finality_blocks).methods(),
            "eth_sendRawTransaction": self._send,
            "evm_snapshot": self._snapshot,
            "evm_revert": self._revert,
            "evm_mine": self._mine,
            "evm_increaseTime": self._increase_time,
            "evm_setNextBlockTimestamp": self._pin_time,
            "evm_setAutomine": self._set_automine,
        }

    @property
    def ledger(self) -> Ledger:
        """The chain itself."""
        return self._ledger

    @property
    def chain_id(self) -> int:
        return self._ledger.chain_id

    @property
    def head(self) -> Block:
        """The newest block."""
        return self._ledger.head

    def request(self, method: str, params: Sequence[object]) -> object:
        """The result of a JSON-RPC call; parts of it may be shared with later answers, so it is not to be changed."""
        answer = self._methods.get(method)
        if answer is None:
            raise RpcError(METHOD_NOT_FOUND, f"the method {method[:64]} does not exist/is not available")
        return answer(Params(params))

    def mine(self) -> Block:
        """Mine a block of everything that can be mined, possibly nothing."""
        steps = self._steps()
        while True:
            try:
                next(steps)
            except StopIteration as done:
                block: Block | None = done.value
                if block is None:
                    raise AssertionError("nothing ran in between, so the head is still the parent") from done
                return block

    async def mine_gently(self) -> Block | None:
        """Like `mine`, giving way after each transaction; None if the head changed meanwhile (a snapshot was restored)."""
        steps = self._steps()
        while True:
            try:
                next(steps)
            except StopIteration as done:
                block: Block | None = done.value
                return block
            await asyncio.sleep(0)

    def _steps(self) -> Generator[None, None, Block | None]:
        head = self._ledger.head
        builder = self._ledger.build(self._time.following(head.timestamp))
        held_back: set[bytes] = set()
        for waiting in self._pool.ready(self._ledger.state(head.header)):
            signed = waiting.transaction
            if waiting.sender in held_back:
                continue
            if signed.max_fee_per_gas < builder.base_fee or signed.gas > builder.gas_left:
                held_back.add(waiting.sender)
                continue
            try:
                builder.add(signed)
            except Unexecutable as error:
                # Its sender spent the money meanwhile. A node drops such a transaction too.
                log.warning("dropped transaction %s: %s", data(signed.hash), error)
                self._pool.remove(signed.hash)
                held_back.add(waiting.sender)
            yield
        block = builder.seal()
        if block is not None:
            self._records.add(block)
            self._time.took(block.timestamp)
            self._pool.forget_mined(self._ledger.state(block.header))
        return block

    def _send(self, params: Params) -> str:
        state = self._ledger.state(self._ledger.head.header)
        transaction_hash = self._pool.add(params.data(0), state, self._records.is_mined)
        if self._automine and self._pool.ready(state):
            self.mine()
        return data(transaction_hash)

    def _snapshot(self, _: Params) -> str:
        number = next(self._snapshot_ids)
        self._snapshots[number] = Snapshot(self.head.number, self.head.hash, self._time.offset)
        return quantity(number)

    def _revert(self, params: Params) -> bool:
        wanted = params.quantity(0)
        snapshot = self._snapshots.get(wanted)
        for later in [number for number in self._snapshots if number >= wanted]:
            del self._snapshots[later]
        block = self._ledger.block(snapshot.number) if snapshot else None
        if snapshot is None or block is None or block.hash != snapshot.block_hash:
            return False
        for gone in reversed(self._ledger.rewind(snapshot.number)):
            self._records.remove(gone)
        self._time.restore(snapshot.offset)
        return True

    def _mine(self, params: Params) -> str:
        value, blocks = params.at(0), 1
        if isinstance(value, Mapping):
            blocks = parse_quantity(value.get("blocks", 1), "blocks")
            value = value.get("timestamp")
        if blocks > MAX_MINE:
            raise RpcError(INVALID_PARAMS, f"at most {MAX_MINE} blocks can be mined at a time")
        if value is not None:
            self._pin(parse_quantity(value, "the timestamp"))
        for _ in range(blocks):
            self.mine()
        return "0x0"

    def _increase_time(self, params: Params) -> int:
        seconds = params.quantity(0)
        if self.head.timestamp + self._time.offset + seconds >= MAX_TIMESTAMP:
            raise wrong("parameter 0", "seconds that lead to a time below 2^63", seconds)
        return self._time.increase(seconds)

    def _pin_time(self, params: Params) -> None:
        self._pin(params.quantity(0))

    def _pin(self, stamp: int) -> None:
        if not self.head.timestamp < stamp < MAX_TIMESTAMP:
            before = self.head.timestamp
            raise RpcError(INVALID_PARAMS, f"Timestamp error: {stamp} is lower than or equal to previous block's timestamp {before}")
        self._time.pin(stamp)

    def _set_automine(self, params: Params) -> None:
        self._automine = params.flag(0)
