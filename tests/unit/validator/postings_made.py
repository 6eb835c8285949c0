"""Posted roots as events, for views of a chain."""

from __future__ import annotations

from chain.events import LogPosition, Posted
from chain.types import ZERO_DIGEST, Digest, Wei


def posted(epoch: int, through: int, active_at: int) -> Posted:
    """A root that covers up to `through`."""
    at = LogPosition(epoch, 0, ZERO_DIGEST)
    digest = Digest(epoch.to_bytes(32))
    return Posted(at, epoch, 0, digest, through, Wei(0), Wei(0), digest, digest, 0, active_at)
