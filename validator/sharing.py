"""Several tasks that fetch the same things from different peers: inventories name each other's proofs, and often the same index.

What one fetches the others do not ask for as well. They wait for it, but not for long: a peer that is slow, or lies, must not hold up what
an honest one would serve at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from chain.types import Digest


class Sharing:
    """What the tasks of one process are fetching. patience_s: how long one of them waits for what another fetches."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._coming: dict[Digest, asyncio.Future[bytes | None]] = {}
        self._taken: dict[Digest, asyncio.Future[None]] = {}
        self._taking = 0

    async def once(self, digest: Digest, fetch: Callable[[], Awaitable[bytes]]) -> bytes:
        """What `fetch` brings and has seen to be right, or what another task's does meanwhile. Raises what `fetch` raises."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                while (coming := self._coming.get(digest)) is not None:
                    if (found := await asyncio.shield(coming)) is not None:
                        return found
        mine: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._coming[digest] = mine
        try:
            found = await fetch()
            mine.set_result(found)
            return found
        finally:
            if not mine.done():
                mine.set_result(None)
            if self._coming.get(digest) is mine:
                del self._coming[digest]

    @contextmanager
    def taking(self) -> Iterator[Callable[[Digest], bool]]:
        """While this lasts, what a task takes is its own to fetch: whether it was free, and is taken now. What came is kept by its end."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._taking += 1
        try:
            yield lambda digest: self._taken.setdefault(digest, over) is over
        finally:
            over.set_result(None)
            self._taking -= 1
            if not self._taking:  # until then others may come to what was taken, and is here by now
                self._taken.clear()

    async def wait_for(self, digests: Iterable[Digest]) -> None:
        """Until those that took these are at an end, or patience is."""
        takers = {self._taken[digest] for digest in digests if digest in self._taken}
        if takers:
            await asyncio.wait(takers, timeout=self._patience_s)
