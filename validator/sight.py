"""The chain as one validator sees it, read once a block."""

from __future__ import annotations

from dataclasses import dataclass

from chain.client import ChainClient
from chain.contracts import Candidate, RootRecord
from chain.view import BlockStamp, ChainView


@dataclass(frozen=True, slots=True)
class Sight:
    """The chain at its newest block. view, parent (the active record) and recorded (the newest candidate) are those of the newest
    final block; newest (candidate) and last_posted (epoch) those of the newest one."""

    latest: BlockStamp
    view: ChainView
    parent: RootRecord
    recorded: Candidate | None
    newest: Candidate | None
    last_posted: int


class Lookout:
    """Reads sights. `sight`: the last one, None before the first."""

    def __init__(self, chain: ChainClient) -> None:
        self._chain = chain
        self.sight: Sight | None = None

    async def look(self) -> Sight:
        """The chain now; as long as there is no new block, what was read at the last one. Raises what is `Recoverable` only."""
        latest = await self._chain.latest()
        if self.sight is None or self.sight.latest.hash != latest.hash:
            depth = self._chain.network.rules.finality_blocks - 1
            final = latest if depth == 0 else await self._chain.block(max(0, latest.number - depth))
            settlement = self._chain.settlement
            newest = await settlement.candidate(latest)
            self.sight = Sight(
                latest=latest,
                view=await self._chain.view(final),
                parent=await settlement.active_record(final),
                recorded=newest if depth == 0 else await settlement.candidate(final),
                newest=newest,
                last_posted=await settlement.last_posted_epoch(latest),
            )
        return self.sight
