"""How a node reads the chain: blocks, anchors, and the network as folded from logs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from chain.abi import event_decoder
from chain.backend import INTERNAL_ERROR, Backend, ReadRefused, RpcError
from chain.contracts import JudgeContract, RegistryContract, SettlementContract, TokenContract, VaultContract
from chain.errors import ChainError, Recoverable
from chain.events import Event, bytes_of
from chain.failover import open_backend
from chain.fold import fold
from chain.network import Network, load_network
from chain.types import Address, Digest
from chain.view import BlockStamp, ChainView

MAX_LOG_RANGE = 2_000
"""Blocks asked for in one `eth_getLogs`; public nodes refuse more than a few thousand."""


KEPT_VIEWS = 16
"""Folded views kept, so that anchors and the newest block need not be folded from the start each time."""


class BlockMissing(ChainError, Recoverable):
    """The node does not know a block it should: it lags, or the chain was reorganised."""


class ChainClient:
    """Reads of one deployment over one backend."""

    def __init__(self, backend: Backend, network: Network) -> None:
        self.backend, self.network = backend, network
        self.settlement = SettlementContract(backend, network.settlement)
        self.registry = RegistryContract(backend, network.registry)
        self.vault = VaultContract(backend, network.vault)
        self.judge = JudgeContract(backend, network.judge)
        self.token = TokenContract(backend, network.token)
        self._decoder = event_decoder()
        self._views: dict[Digest, ChainView] = {}
        self._anchors: dict[int, BlockStamp] = {}

    async def block(self, number: int | str) -> BlockStamp:
        """A block by number or tag; `BlockMissing` if the node has none."""
        raw = await self._ask("eth_getBlockByNumber", [number if isinstance(number, str) else hex(number), False])
        if not isinstance(raw, dict):
            raise BlockMissing(f"the chain's node has no block {number}")
        return BlockStamp(int(raw["number"], 16), bytes_of(raw["hash"]), int(raw["timestamp"], 16))

    async def latest(self) -> BlockStamp:
        return await self.block("latest")

    async def final(self) -> BlockStamp:
        """The newest block with `finality_blocks` blocks on top, itself included; the first block if the chain is shorter."""
        latest = await self.latest()
        depth = self.network.rules.finality_blocks - 1
        return latest if depth == 0 else await self.block(max(0, latest.number - depth))

    async def anchor(self, epoch: int) -> BlockStamp | None:
        """The parent of the first block stamped at or after the epoch's end; None until that block is final.

        `anchor(0)` is so defined by genesis, the end of epoch 0.
        """
        if epoch in self._anchors:
            return self._anchors[epoch]
        end = self.network.timing.end_of(epoch)
        high = await self.final()
        if high.timestamp < end:
            return None
        low = await self.block(self.network.deployed_block)
        if low.timestamp >= end:
            return low
        while high.number - low.number > 1:
            middle = await self.block((high.number + low.number) // 2)
            low, high = (low, middle) if middle.timestamp >= end else (middle, high)
        self._anchors[epoch] = low
        return low

    async def view(self, at: BlockStamp | None = None) -> ChainView:
        """The network at a block (default: the final one), folded from logs since the deployment."""
        block = at or await self.final()
        if block.hash in self._views:
            return self._views[block.hash]
        start = await self._nearest_view(block)
        view = fold(start, await self.events(start.block.number + 1, block.number), block)
        self._views[block.hash] = view
        while len(self._views) > KEPT_VIEWS:
            del self._views[next(iter(self._views))]
        return view

    async def _nearest_view(self, block: BlockStamp) -> ChainView:
        """The newest kept view at or below a block that is still on the chain, else the empty one before the deployment."""
        below = (view for view in self._views.values() if view.block.number <= block.number)
        for view in sorted(below, key=lambda view: view.block.number, reverse=True):
            if (await self.block(view.block.number)).hash == view.block.hash:
                return view
            del self._views[view.block.hash]
        return ChainView(await self.block(max(0, self.network.deployed_block - 1)))

    async def events(self, first: int, last: int) -> tuple[Event, ...]:
        """The contracts' events of the blocks from `first` to `last`, both included."""
        addresses = [self.network.registry, self.network.vault, self.network.judge, self.network.settlement]
        found: list[dict[str, Any]] = []
        for start in range(first, last + 1, MAX_LOG_RANGE):
            end = min(last, start + MAX_LOG_RANGE - 1)
            raw = await self._ask("eth_getLogs", [{"address": addresses, "fromBlock": hex(start), "toBlock": hex(end)}])
            if not isinstance(raw, list):
                raise ReadRefused(INTERNAL_ERROR, "eth_getLogs gave no list")
            found += raw
        return self._decoder.decode(found)

    async def _ask(self, method: str, params: list[object]) -> object:
        try:
            return await self.backend.request(method, params)
        except RpcError as error:
            raise ReadRefused(error.code, error.message, error.data) from error


@contextlib.asynccontextmanager
async def open_chain(rpc_urls: Sequence[str] | str, settlement: Address) -> AsyncIterator[ChainClient]:
    """A client of the deployment behind `settlement`, over HTTP, closed at the end. rpc_urls: one or, in order of preference, several
    (`chain.failover`). Raises as `load_network` and `open_backend` do."""
    backend = open_backend([rpc_urls] if isinstance(rpc_urls, str) else rpc_urls)
    try:
        yield ChainClient(backend, await load_network(backend, settlement))
    finally:
        await backend.close()
