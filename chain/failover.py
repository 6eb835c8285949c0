"""Several nodes of one chain as one `Backend`: the first in order that is of use is asked, and the next one when it is not.

A node is of no use while it gives no usable answer, limits its callers, serves another chain than the first one that answered, or lags
behind the best block seen by more than `MOST_LAG`. What a contract or a node refuses for a reason of its own is the answer, and nobody
else is asked.

Reads pinned to a block go to nodes that have it: one that is behind may answer with what it has, and say so in no way (`eth_getLogs`).
The same signed transaction handed to two nodes is one transaction; what is refused after an answer was lost counts as unknown, since it
may be refused because the first node took it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chain.backend import INTERNAL_ERROR, Backend, BackendUnavailable, RpcError, is_known
from chain.rpc import NotAnRpcUrl, RpcBackend

MOST_LAG = 10
"""Blocks that a node may lie behind the best one seen."""
LOOK_S = 15.0
"""Between two looks at all nodes, which happen beside the requests: so the preferred one is found well again."""
ASIDE_S, MOST_ASIDE_S = 15.0, 600.0
"""How long a node that fails is not looked at: doubled each time, until a request to it succeeds."""
FRESH_S = 120.0
"""What a node said of its newest block counts so long: one that died with a wrong one holds up nobody for ever."""
CATCH_UP_S, CATCH_UP_PAUSE_S = 3.0, 0.25
"""The longest wait for a block that one node has shown and those that are left do not have yet."""
TIMEOUT_S = 8.0
"""Of a request while there is another node to ask."""
SEND = "eth_sendRawTransaction"
BLOCK_AT = {
    **dict.fromkeys(("eth_call", "eth_getBalance", "eth_getCode", "eth_getTransactionCount"), 1),
    **dict.fromkeys(("eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getLogs"), 0),
    "eth_getStorageAt": 2,
}
"""Where the parameters of a read name its block."""
BEHIND = (
    *("header not found", "unknown block", "block not found", "blockoutofrange", "out of range"),
    *("beyond current head", "missing trie node"),
)
"""In the refusals of a node that has not, or no longer, what is asked of it."""
log = logging.getLogger(__name__)


class Node(Backend, Protocol):
    """A backend that can be named. endpoint: host and port."""

    endpoint: str


@dataclass(slots=True)
class _Place:
    """What is known of a node. head: its newest block, -1 if unknown, as of `seen`; not looked at before `again`; failures in a row."""

    node: Node
    fits: bool | None = None
    head: int = -1
    seen: float = 0.0
    down: bool = False
    again: float = 0.0
    failures: int = 0


class Failover:
    """A `Backend` over nodes in order of preference; it owns them. now: seconds of a clock that never goes back."""

    def __init__(self, nodes: Sequence[Node], *, look_s: float = LOOK_S, now: Callable[[], float] = time.monotonic) -> None:
        self._places = [_Place(node) for node in nodes]
        self._look_s, self._now = look_s, now
        self._chain_id: int | None = None
        self._next_look = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def request(self, method: str, params: Sequence[object]) -> object:
        """See `Backend.request`. `BackendUnavailable` once no node is of use, naming each as host and port."""
        self._begin_look()
        wanted = block_of(method, params)
        deadline = self._now() + CATCH_UP_S
        while True:
            errors: list[BackendUnavailable | RpcError] = []
            behind = lost = False
            for place in self._in_order():
                if not await self._may_serve(place, wanted, errors):
                    behind = behind or (place.fits is True and not place.down)
                    continue
                try:
                    answer = await place.node.request(method, params)
                except BackendUnavailable as error:
                    self._put_aside(place, error.reason)
                    errors.append(error)
                    lost = lost or method == SEND
                    continue
                except RpcError as error:
                    if lost and not is_known(error):
                        said = f"it refuses a transaction that another node may have taken: {error.message}"
                        raise BackendUnavailable(place.node.endpoint, said) from error
                    if not _is_of_this_node(error):
                        raise
                    lost = lost or (method == SEND and error.code == INTERNAL_ERROR)  # whatever broke, it may have broken afterwards
                    errors.append(error)
                    continue
                if self._lags(place, method, params, answer):
                    errors.append(BackendUnavailable(place.node.endpoint, "it lags behind"))
                    continue
                if answer is None and (method == "eth_getBlockByHash" or (wanted is not None and wanted <= self._best())):
                    behind = True
                    continue
                place.failures = 0
                return answer
            if not behind or self._now() >= deadline:
                break
            await asyncio.sleep(CATCH_UP_PAUSE_S)
        if behind and not errors and method in ("eth_getBlockByHash", "eth_getBlockByNumber"):
            return None
        refused = next((one for one in errors if isinstance(one, RpcError)), None)
        if refused is not None and not lost:
            raise refused
        reasons = [f"{one.endpoint}: {one.reason}" for one in errors if isinstance(one, BackendUnavailable)]
        everybody = ", ".join(place.node.endpoint for place in self._places)
        raise BackendUnavailable(everybody, "; ".join(reasons) or ("none has the block yet" if behind else "none answers"))

    async def close(self) -> None:
        """See `Backend.close`."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None
        for place in self._places:
            await place.node.close()

    def _in_order(self) -> list[_Place]:
        """Those of use as far as is known, then those put aside: for want of others they are tried again."""
        fitting = [place for place in self._places if place.fits is not False]
        return sorted(fitting, key=lambda place: place.down)

    async def _may_serve(self, place: _Place, wanted: int | None, errors: list[BackendUnavailable | RpcError]) -> bool:
        """Whether it is of this chain, and has the block. What it was found to lack is noted."""
        try:
            if place.fits is None:
                await self._learn_chain(place)
            if place.fits and (place.down or (wanted is not None and place.head < wanted <= self._best())):
                await self._learn_head(place)
        except (BackendUnavailable, RpcError) as error:
            self._put_aside(place, error.reason if isinstance(error, BackendUnavailable) else error.message)
            errors.append(error)
            return False
        if not place.fits:
            errors.append(BackendUnavailable(place.node.endpoint, "it serves another chain"))
            return False
        if place.down:
            errors.append(BackendUnavailable(place.node.endpoint, "it lags behind"))
            return False
        return wanted is None or place.head >= wanted or wanted > self._best()

    async def _learn_chain(self, place: _Place) -> None:
        chain_id = _number(place, await place.node.request("eth_chainId", []))
        if self._chain_id is None:
            self._chain_id = chain_id
        told, place.fits = place.fits is False, chain_id == self._chain_id
        if not place.fits and not told:
            log.error("the chain's node at %s serves chain %d, not %d: it is not asked", place.node.endpoint, chain_id, self._chain_id)

    async def _learn_head(self, place: _Place) -> None:
        self._set_head(place, _number(place, await place.node.request("eth_blockNumber", [])))

    def _lags(self, place: _Place, method: str, params: Sequence[object], answer: object) -> bool:
        """Whether the answer shows a newest block that is too old; it is noted in any case."""
        shown = answer if method == "eth_blockNumber" else None
        if method == "eth_getBlockByNumber" and params and params[0] == "latest" and isinstance(answer, Mapping):
            shown = answer.get("number")
        return shown is not None and self._set_head(place, _number(place, shown))

    def _set_head(self, place: _Place, number: int) -> bool:
        """Notes its newest block; whether that is too old."""
        place.head, place.seen = number, self._now()
        lag = self._best() - number
        if lag > MOST_LAG:
            self._put_aside(place, f"it lags {lag} blocks behind")
        elif place.down:
            place.down = False
            log.info("the chain's node at %s is of use again", place.node.endpoint)
        return lag > MOST_LAG

    def _best(self) -> int:
        """The best block that a node of this chain has shown lately."""
        since = self._now() - FRESH_S
        return max((place.head for place in self._places if place.fits and place.seen >= since), default=-1)

    def _put_aside(self, place: _Place, why: str) -> None:
        if not place.down:
            log.warning("the chain's node at %s is put aside: %s", place.node.endpoint, why)
        place.down = True
        place.again = self._now() + min(MOST_ASIDE_S, ASIDE_S * 2 ** min(place.failures, 10))
        place.failures += 1

    def _begin_look(self) -> None:
        known = self._chain_id is not None  # the first request's to find out
        if known and self._now() >= self._next_look and (self._looking is None or self._looking.done()):
            self._next_look = self._now() + self._look_s
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        now = self._now()
        await asyncio.gather(*(self._look_at(place) for place in self._places if not place.down or now >= place.again))

    async def _look_at(self, place: _Place) -> None:
        try:
            if not place.fits:
                await self._learn_chain(place)
            if place.fits:
                await self._learn_head(place)
        except (BackendUnavailable, RpcError) as error:
            self._put_aside(place, error.reason if isinstance(error, BackendUnavailable) else error.message)


def open_backend(urls: Sequence[str]) -> Backend:
    """A backend over the nodes at these URLs, in order of preference. `NotAnRpcUrl` for one that is none, and if there are none."""
    distinct = tuple(dict.fromkeys(urls))
    if not distinct:
        raise NotAnRpcUrl("No RPC URL is given: set rpc_urls, or pass --rpc.")
    if len(distinct) == 1:
        return RpcBackend(distinct[0])
    return Failover([RpcBackend(url, timeout_s=TIMEOUT_S) for url in distinct])


def block_of(method: str, params: Sequence[object]) -> int | None:
    """The number of the block that a read is pinned to, of a range the last; None if it names none, or by a tag or hash."""
    index = BLOCK_AT.get(method)
    named = params[index] if index is not None and index < len(params) else None
    if isinstance(named, Mapping):
        named = named.get("toBlock", named.get("blockNumber"))
    try:
        return int(named, 16) if isinstance(named, str) and named.startswith("0x") else None
    except ValueError:
        return None


def _is_of_this_node(error: RpcError) -> bool:
    """Whether another node may well answer what this one refuses."""
    said = error.message.lower()
    if "revert" in said or error.revert_data() is not None:
        return False
    return any(words in said for words in BEHIND) or (error.code == INTERNAL_ERROR and error.data is None)


def _number(place: _Place, answer: object) -> int:
    try:
        return int(str(answer), 16)
    except ValueError:
        raise BackendUnavailable(place.node.endpoint, "its answer is not a number") from None
