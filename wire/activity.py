"""The links of an activity log: each entry names the EIP-712 digest of the one before, so that none can be taken out or changed unseen.

Pure. The one judgement of the provider that writes a log and of the validators that are shown a segment of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chain.typed import Domain, digest_of
from chain.types import ZERO_DIGEST, Digest
from wire.messages import ActivityEntry


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """index: of the entry that is not linked. says: the fault, as a clause."""

    index: int
    says: str


def log_head(entries: Sequence[ActivityEntry], domain: Domain) -> Digest:
    """What the next entry names as `previous`, and a proof as its `log_head`: the last entry's digest, zero without entries."""
    return digest_of(entries[-1], domain) if entries else ZERO_DIGEST


def broken_link(entries: Sequence[ActivityEntry], domain: Domain) -> BrokenLink | None:
    """The first entry that does not follow the one before it; None if all do. A segment may begin anywhere, and entry 0 follows nothing."""
    if entries and entries[0].index == 0 and entries[0].previous != ZERO_DIGEST:
        return BrokenLink(0, "entry 0 follows another")
    for before, after in pairwise(entries):
        if after.index != before.index + 1 or after.previous != digest_of(before, domain):
            return BrokenLink(after.index, f"entry {after.index} does not follow entry {before.index}")
    return None
