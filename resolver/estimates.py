"""How far a provider may be from a consumer, judged by how far both are from the masters. Pure.

With c and p the round trips of consumer and provider to the same master, the round trip between them is at least |c - p| and at most c + p,
if triangles close: they mostly do on the internet, not always, so both are estimates and the consumer measures what it is about to use.

    high    the least c + p: the way over the best placed master
    low     the largest |c - p| over the masters that both have, or `high` where triangles do not close and it is above that

A provider can make its round trips look longer, never shorter. Longer ones never lower `high`, so the ranking takes that one and nobody
gains by delaying echoes; they may lower `low`, which lets a provider into the list, where the consumer's own measurement finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chain.types import Address
from resolver.terms import Terms


@dataclass(frozen=True, slots=True)
class Estimate:
    """Microseconds."""

    low_us: int
    high_us: int


def estimate_relayed(consumer: Mapping[Address, int], provider: Mapping[Address, int], relay: Address, terms: Terms) -> Estimate:
    """Of a provider behind a relay: every byte goes by the relay's master, so the round trip is c + p there. If the consumer has no c,
    p at least, and twice that as the higher one; without p maxRttUs."""
    p = provider.get(relay)
    if p is None:
        return Estimate(0, terms.rules.max_rtt_us)
    c = consumer.get(relay)
    return Estimate(p, 2 * p) if c is None else Estimate(c + p, c + p)


def estimate(consumer: Mapping[Address, int], provider: Mapping[Address, int], terms: Terms) -> Estimate:
    """From both sides' minimum RTTs by master, microseconds, listed masters only. Without one in common nothing is known of the consumer:
    at least 0, and the median of the provider's own as the higher one, the lower of two in the middle; maxRttUs without any."""
    common = [m.address for m in terms.masters if m.address in consumer and m.address in provider]
    if common:
        pairs = [(consumer[master], provider[master]) for master in common]
        high = min(c + p for c, p in pairs)
        return Estimate(min(high, max(abs(c - p) for c, p in pairs)), high)
    figures = sorted(provider[m.address] for m in terms.masters if m.address in provider)
    return Estimate(0, figures[(len(figures) - 1) // 2] if figures else terms.rules.max_rtt_us)
