"""What can be looked up of the mined chain, in JSON-RPC's form: blocks, transactions, receipts and logs."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence

from chain.backend import LIMIT_EXCEEDED, RpcError
from chain.devchain import answers
from chain.devchain.answers import Json
from chain.devchain.ledger import Block
from chain.devchain.params import LogFilter

MAX_LOGS = 20_000


class Records:
    """An index over the blocks of a ledger, kept in step by `add` and `remove`. Answers are shared: do not change them."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._by_hash: dict[bytes, Block] = {}
        self._mined: dict[bytes, tuple[Block, int]] = {}
        self._receipts: dict[bytes, Json] = {}
        self._log_blocks: list[int] = []
        self._logs: dict[int, list[Json]] = {}
        self._answers: OrderedDict[tuple[bytes, bool], Json] = OrderedDict()
        for block in blocks:
            self.add(block)

    def add(self, block: Block) -> None:
        """A new head."""
        self._by_hash[block.hash] = block
        all_logs: list[Json] = []
        for index, mined in enumerate(block.mined):
            its_logs = answers.logs(block, index, mined, len(all_logs))
            all_logs += its_logs
            self._mined[mined.transaction.hash] = (block, index)
            self._receipts[mined.transaction.hash] = answers.receipt(block, index, mined, its_logs)
        if all_logs:
            self._log_blocks.append(block.number)
            self._logs[block.number] = all_logs

    def remove(self, block: Block) -> None:
        """The head, which is no longer part of the chain."""
        del self._by_hash[block.hash]
        for mined in block.mined:
            del self._mined[mined.transaction.hash]
            del self._receipts[mined.transaction.hash]
        if self._logs.pop(block.number, None) is not None:
            self._log_blocks.remove(block.number)

    def by_hash(self, block_hash: bytes) -> Block | None:
        """The block of the present chain with this hash."""
        return self._by_hash.get(block_hash)

    def is_mined(self, transaction_hash: bytes) -> bool:
        """Whether a block of the present chain holds it."""
        return transaction_hash in self._mined

    def block(self, block: Block, *, full: bool) -> Json:
        """The block with its transactions, or with their hashes."""
        key = (block.hash, full)
        known = self._answers.get(key)
        if known is None:
            transactions = [
                answers.transaction(mined.transaction, (block, index)) if full else answers.data(mined.transaction.hash)
                for index, mined in enumerate(block.mined)
            ]
            known = self._answers[key] = answers.block(block.header, block.size, transactions)
            if len(self._answers) > 256:
                self._answers.popitem(last=False)
        return known

    def transaction(self, transaction_hash: bytes) -> Json | None:
        """A mined transaction."""
        where = self._mined.get(transaction_hash)
        return answers.transaction(where[0].mined[where[1]].transaction, where) if where else None

    def receipt(self, transaction_hash: bytes) -> Json | None:
        """The receipt of a mined transaction."""
        return self._receipts.get(transaction_hash)

    def receipts(self, block: Block) -> list[Json]:
        """All receipts of a block."""
        return [self._receipts[mined.transaction.hash] for mined in block.mined]

    def logs(self, wanted: LogFilter, first: int, last: int) -> list[Json]:
        """The matching logs of the blocks `first` to `last`, both included, oldest first. More than 20,000 are refused."""
        found: list[Json] = []
        for number in self._log_blocks[bisect_left(self._log_blocks, first) :]:
            if number > last:
                break
            found += [log for log in self._logs[number] if _matches(log, wanted)]
            if len(found) > MAX_LOGS:
                raise RpcError(LIMIT_EXCEEDED, f"query returned more than {MAX_LOGS} results; ask for fewer blocks")
        return found


def _matches(log: Json, wanted: LogFilter) -> bool:
    if wanted.addresses and log["address"] not in wanted.addresses:
        return False
    topics = log["topics"]
    return (
        isinstance(topics, list)
        and len(topics) >= len(wanted.topics)
        and all(allowed is None or topic in allowed for topic, allowed in zip(topics, wanted.topics, strict=False))
    )
