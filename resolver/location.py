"""Whether the place a provider claims can be true. A claim is refuted, never proven; pay does not depend on it. Pure.

Two masters at least have to find its minimum RTT below what light in vacuum takes to the claimed place and back, so that no master alone
takes a claim from anyone. Delays that a provider adds make claims look possible, so what is not refuted is not shown to be true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chain.types import Address
from resolver.pool import Presence
from wire.answers import MasterView, Refutation
from wire.geography import Spot, least_rtt_us

NEEDED = 2
OK, NONE, REFUTED = "ok", "none", "location_refuted"


def refutations(presence: Presence, views: Sequence[MasterView], places: Mapping[Address, Spot]) -> tuple[Refutation, ...]:
    """By masters whose report counts and whose own place is known, in listing order; empty if they are fewer than `NEEDED`."""
    if not presence.region:
        return ()
    claimed, found = Spot(presence.latitude, presence.longitude), []
    for view in views:
        if view.code == OK and view.master in places:
            least = least_rtt_us(claimed, places[view.master])
            if view.rtt_min_us < least:
                found.append(Refutation(view.master, view.rtt_min_us, least))
    return tuple(found) if len(found) >= NEEDED else ()


def location_code(presence: Presence, refuted_by: Sequence[Refutation]) -> str:
    """`ok`, `none` if nothing is claimed, or `location_refuted`."""
    if not presence.region:
        return NONE
    return REFUTED if refuted_by else OK
