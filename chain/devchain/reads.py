"""The JSON-RPC methods that only look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from eth.abc import BlockHeaderAPI, StateAPI
from eth_typing import Address as RawAddress

from chain.backend import EXECUTION_REVERTED, INVALID_PARAMS, SERVER_ERROR, Reverted, RpcError
from chain.devchain import answers
from chain.devchain.answers import Json, data, quantity
from chain.devchain.chaintime import ChainTime
from chain.devchain.ledger import Block, CallFailed, Ledger, Outcome, Unexecutable
from chain.devchain.params import BlockId, Params, log_filter, wrong
from chain.devchain.pool import Pool
from chain.devchain.records import Records

PRIORITY_FEE = 10**9
"""The tip suggested to wallets, wei per gas."""
MAX_FEE_HISTORY = 1024
CLIENT_VERSION = "dpn-devchain/1 (py-evm, prague)"

Method = Callable[[Params], object]


class Reads:
    """Answers from one ledger, its records and its pool. `finality_blocks` is how far `safe` and `finalized` lie behind."""

    def __init__(self, ledger: Ledger, records: Records, pool: Pool, time: ChainTime, finality_blocks: int) -> None:
        self._ledger, self._records, self._pool, self._time = ledger, records, pool, time
        self._finality_blocks = finality_blocks

    def methods(self) -> dict[str, Method]:
        """Method names and what answers them."""
        return {
            "eth_chainId": lambda _: quantity(self._ledger.chain_id),
            "net_version": lambda _: str(self._ledger.chain_id),
            "net_listening": lambda _: True,
            "web3_clientVersion": lambda _: CLIENT_VERSION,
            "eth_syncing": lambda _: False,
            "eth_accounts": lambda _: [],
            "eth_blockNumber": lambda _: quantity(self._ledger.head.number),
            "eth_gasPrice": lambda _: quantity(int(self._next_header().base_fee_per_gas or 0) + PRIORITY_FEE),
            "eth_maxPriorityFeePerGas": lambda _: quantity(PRIORITY_FEE),
            "eth_feeHistory": self._fee_history,
            "eth_getBalance": lambda p: quantity(self._state(p.block(1)).get_balance(RawAddress(p.address(0)))),
            "eth_getCode": lambda p: data(self._state(p.block(1)).get_code(RawAddress(p.address(0)))),
            "eth_getStorageAt": self._storage,
            "eth_getTransactionCount": self._nonce,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockTransactionCountByNumber": lambda p: self._count(self._find(p.block(0))),
            "eth_getBlockTransactionCountByHash": lambda p: self._count(self._records.by_hash(p.hash(0))),
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": lambda p: self._records.receipt(p.hash(0)),
            "eth_getLogs": self._logs,
            "txpool_content": self._pool_content,
            "txpool_status": self._pool_status,
        }

    def _next_header(self) -> BlockHeaderAPI:
        return self._ledger.next_header(self._time.following(self._ledger.head.timestamp))

    def _find(self, wanted: BlockId) -> Block | None:
        """The mined block meant; "pending" means the head."""
        if wanted.hash is not None:
            return self._records.by_hash(wanted.hash)
        if wanted.number is not None:
            return self._ledger.block(wanted.number)
        head = self._ledger.head
        match wanted.tag:
            case "earliest":
                return self._ledger.block(0)
            case "safe" | "finalized":
                return self._ledger.block(max(0, head.number - self._finality_blocks))
            case _:
                return head

    def _header(self, wanted: BlockId) -> BlockHeaderAPI:
        """The frame of a call; for "pending" that of the next block, on the head's state."""
        if wanted.tag == "pending":
            return self._next_header()
        block = self._find(wanted)
        if block is None:
            raise RpcError(SERVER_ERROR, "header not found")
        return block.header

    def _state(self, wanted: BlockId) -> StateAPI:
        block = self._find(wanted)
        if block is None:
            raise RpcError(SERVER_ERROR, "header not found")
        return self._ledger.state(block.header)

    def _storage(self, params: Params) -> str:
        value = params.at(1)
        # Slots come as quantities and, from some tools, padded to 32 bytes.
        slot = params.quantity(1) if not isinstance(value, str) or len(value) < 66 else int.from_bytes(params.hash(1))
        found = self._state(params.block(2)).get_storage(RawAddress(params.address(0)), slot)
        return data(found.to_bytes(32))

    def _nonce(self, params: Params) -> str:
        wanted, sender = params.block(1), params.address(0)
        nonce = self._state(wanted).get_nonce(RawAddress(sender))
        return quantity(self._pool.next_nonce(sender, nonce) if wanted.tag == "pending" else nonce)

    def _call(self, params: Params) -> str:
        call, header = params.call(0), self._header(params.block(1))
        _refuse_overrides(params)
        try:
            outcome = self._ledger.call(header, call)
        except Unexecutable as error:
            raise RpcError(SERVER_ERROR, str(error)) from error
        if outcome.failure is not None:
            raise _failed(outcome)
        return data(outcome.output)

    def _estimate(self, params: Params) -> str:
        call, header = params.call(0), self._header(params.block(1))
        _refuse_overrides(params)
        try:
            return quantity(self._ledger.estimate(header, call))
        except Unexecutable as error:
            raise RpcError(SERVER_ERROR, str(error)) from error
        except CallFailed as error:
            if error.outcome.failure == "out of gas":
                raise RpcError(SERVER_ERROR, f"gas required exceeds allowance ({error.gas})") from error
            raise _failed(error.outcome) from error

    def _block_by_number(self, params: Params) -> Json | None:
        wanted, full = params.block(0), params.flag(1)
        if wanted.tag == "pending":
            waiting = [one.transaction for one in self._pool.ready(self._ledger.state(self._ledger.head.header))]
            shown = [answers.transaction(one, None) if full else data(one.hash) for one in waiting]
            return answers.block(self._next_header(), 0, shown, pending=True)
        block = self._find(wanted)
        return self._records.block(block, full=full) if block else None

    def _block_by_hash(self, params: Params) -> Json | None:
        block = self._records.by_hash(params.hash(0))
        return self._records.block(block, full=params.flag(1)) if block else None

    def _count(self, block: Block | None) -> str | None:
        return quantity(len(block.mined)) if block else None

    def _block_receipts(self, params: Params) -> list[Json] | None:
        block = self._find(params.block(0))
        return self._records.receipts(block) if block else None

    def _transaction(self, params: Params) -> Json | None:
        wanted = params.hash(0)
        waiting = self._pool.get(wanted)
        return answers.transaction(waiting, None) if waiting else self._records.transaction(wanted)

    def _logs(self, params: Params) -> list[Json]:
        wanted = log_filter(params.at(0))
        if wanted.block_hash is not None:
            block = self._records.by_hash(wanted.block_hash)
            if block is None:
                raise RpcError(SERVER_ERROR, "unknown block")
            return self._records.logs(wanted, block.number, block.number)
        first, last = self._bound(wanted.first), self._bound(wanted.last)
        if first > last:
            raise RpcError(INVALID_PARAMS, "invalid block range params")
        return self._records.logs(wanted, first, last)

    def _bound(self, wanted: BlockId) -> int:
        if wanted.number is not None:
            return wanted.number
        block = self._find(wanted)
        if block is None:
            raise RpcError(SERVER_ERROR, "unknown block")
        return block.number

    def _fee_history(self, params: Params) -> Json:
        newest = self._find(params.block(1))
        if newest is None:
            raise RpcError(SERVER_ERROR, "request beyond head block")
        percentiles = _percentiles(params.at(2))
        count = min(params.quantity(0), MAX_FEE_HISTORY, newest.number + 1)
        blocks = list(self._blocks(newest.number - count + 1, newest.number))
        following = self._ledger.block(newest.number + 1)
        after = following.header if following else self._next_header()
        answer: Json = {
            "oldestBlock": quantity(newest.number - count + 1),
            "baseFeePerGas": [quantity(int(one.base_fee_per_gas or 0)) for one in (*(b.header for b in blocks), after)],
            "gasUsedRatio": [block.header.gas_used / block.header.gas_limit for block in blocks],
            "baseFeePerBlobGas": ["0x1"] * (count + 1),
            "blobGasUsedRatio": [0.0] * count,
        }
        if percentiles:
            answer["reward"] = [[quantity(tip) for tip in _tips(block, percentiles)] for block in blocks]
        return answer

    def _blocks(self, first: int, last: int) -> Iterator[Block]:
        for number in range(first, last + 1):
            yield cast(Block, self._ledger.block(number))

    def _pool_content(self, _: Params) -> Json:
        pending: dict[str, dict[str, Json]] = {}
        queued: dict[str, dict[str, Json]] = {}
        state = self._ledger.state(self._ledger.head.header)
        for sender, nonce, transaction, executable in self._pool.content(state):
            part = pending if executable else queued
            part.setdefault(data(sender), {})[str(nonce)] = answers.transaction(transaction, None)
        return {"pending": pending, "queued": queued}

    def _pool_status(self, _: Params) -> Json:
        ready = len(self._pool.ready(self._ledger.state(self._ledger.head.header)))
        return {"pending": quantity(ready), "queued": quantity(len(self._pool) - ready)}


def _failed(outcome: Outcome) -> RpcError:
    if not outcome.reverted:
        return RpcError(SERVER_ERROR, outcome.failure or "execution failed")
    reason = Reverted(outcome.output).reason
    return RpcError(EXECUTION_REVERTED, f"execution reverted: {reason}" if reason else "execution reverted", data(outcome.output))


def _refuse_overrides(params: Params) -> None:
    if params.at(2) or params.at(3):
        raise RpcError(INVALID_PARAMS, "state and block overrides are not supported by this chain")


def _percentiles(value: object) -> list[float]:
    if value is None:
        return []
    if not isinstance(value, list | tuple) or len(value) > 100:
        raise wrong("parameter 2", "a list of at most 100 percentiles", value)
    percentiles = [float(one) for one in value if isinstance(one, int | float) and 0 <= one <= 100]
    if len(percentiles) != len(value) or percentiles != sorted(percentiles):
        raise wrong("parameter 2", "percentiles from 0 to 100, ascending", value)
    return percentiles


def _tips(block: Block, percentiles: list[float]) -> list[int]:
    """The tip at which each percentile of the block's gas had been paid no more (0 for an empty block)."""
    base_fee = int(block.header.base_fee_per_gas or 0)
    paid = sorted((answers.effective_gas_price(m.transaction, base_fee) - base_fee, m.gas_used) for m in block.mined)
    tips: list[int] = []
    for percentile in percentiles:
        threshold, total, tip = block.header.gas_used * percentile / 100, 0, 0
        for tip, gas in paid:  # noqa: B007
            total += gas
            if total >= threshold:
                break
        tips.append(tip)
    return tips
