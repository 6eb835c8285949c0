"""In the pool while the operator lets the provider serve, out of it while not: at a cap, and outside its hours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from provider.presence import Presence
from provider.sessions.caps import Caps
from provider.sessions.serving import Serving
from runtime.clock import Clock

REASONS: Mapping[str, str] = {"cap_reached": "cap", "outside_hours": "hours"}
"""What a goodbye gives as its reason."""
DRAIN_S = 3.0
"""The longest that consumers get for their last receipts."""


class Attendance:
    """pause_s: between two looks at caps and hours."""

    def __init__(self, presence: Presence, serving: Serving, caps: Caps, clock: Clock, pause_s: float) -> None:
        self._presence, self._serving, self._caps, self._clock, self._pause_s = presence, serving, caps, clock, pause_s

    async def step(self) -> float:
        """What is due in the pool, if the provider may be there; when to look again."""
        now = self._clock.now()
        self._caps.flush()
        refusal = self._caps.refusal(now)
        if not refusal:
            return min(await self._presence.step(), now + self._pause_s)
        self._serving.end_all(refusal)
        await self._presence.leave(REASONS[refusal], self._caps.next_try(now))
        return min(float(self._caps.next_try(now)), now + self._pause_s)

    async def leave(self) -> None:
        """Serves nobody any more: sessions get a moment for their last receipts."""
        self._serving.leaving = True
        self._serving.end_all("leaving")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._serving.idle.wait()
