"""The activity log: what a provider writes down, linked as `wire.activity` says. Pure.

An entry is written before its effect is told to anyone. Details name epochs, slots, nodes of the network and digests; never a destination,
a consumer or the provider's own address on the internet.
"""

from __future__ import annotations

from chain.typed import Domain
from wire.activity import log_head
from wire.messages import ActivityEntry

KINDS = (
    "started",
    "resumed",
    "announced",
    "connected",
    "lost",
    "measured",
    "address_changed",
    "proof",
    "receipted",
    "not_receipted",
    "left",
)


def entry_after(previous: ActivityEntry | None, time: int, kind: str, detail: str, domain: Domain) -> ActivityEntry:
    """The entry that follows `previous` (None: the first one). time: UTC seconds. `ValueError` for a kind that does not exist."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of activity: {', '.join(KINDS)} are")
    before = () if previous is None else (previous,)
    return ActivityEntry(previous.index + 1 if previous else 0, time, kind, detail, log_head(before, domain))
