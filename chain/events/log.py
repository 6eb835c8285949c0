"""Where a log stands, and the numbers in it that are names."""

from __future__ import annotations

from dataclasses import dataclass

from chain.types import Digest

ROLES = ("validator", "resolver", "master")
"""The Registry's roles by number."""
SKIP_REASONS = ("out_of_range", "not_in_tree", "nothing_due", "pot_empty", "transfer_failed")
"""The Settlement's reasons for passing over an item of a batch, by number."""


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Where a log stands: block number, index in the block, transaction."""

    block: int
    index: int
    transaction: Digest
