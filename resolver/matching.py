"""Who suits a request, and in which order: by latency, reputation, bandwidth and price, each part shown.

Every part is in parts per million of the best there can be, the score is their weighted sum:

    latency      10^6 - rtt · 10^6 / maxRttUs, of the median over its masters of the minimum RTT
    reputation   as on chain, the prior for a newcomer
    bandwidth    bandwidth · 10^6 / FULL_BANDWIDTH, at most 10^6: what is claimed beyond that buys nothing
    price        10^6 - price · 10^6 / maxPrice of the request; free of charge is 10^6

Among equals the order is drawn from the request, so that nobody gains by the look of an address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from chain.types import PPM, Address, Digest
from resolver.latency import HeldReport
from resolver.pool import is_region
from resolver.terms import Terms
from wire.answers import Match
from wire.messages import SessionRequest
from wire.refusals import Refused

MOST_MATCHES = 5
REQUEST_LIFE_S = 60
FULL_BANDWIDTH = 10**9

LATENCY_WEIGHT_PPM = 400_000
REPUTATION_WEIGHT_PPM = 300_000
BANDWIDTH_WEIGHT_PPM = 150_000
PRICE_WEIGHT_PPM = 150_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A connected provider. bandwidth: bit/s; price: wei per GiB; rtt_us: microseconds; reputation: ppm."""

    provider: Address
    region: str
    bandwidth: int
    price: int
    rtt_us: int
    reputation: int


def check_request(request: SessionRequest, terms: Terms, now: float) -> None:
    """Raises `Refused`: `stale_time` (expired), `future_time` (lives too long) or `absurd_value`."""
    evidence = {"expiry": str(request.expiry), "now": str(int(now))}
    if request.expiry <= now:
        raise Refused("stale_time", "the request has expired", evidence)
    if request.expiry > now + REQUEST_LIFE_S + terms.rules.tolerance_s:
        raise Refused("future_time", f"a request lives {REQUEST_LIFE_S} s", evidence)
    if request.region and not is_region(request.region):
        raise Refused("absurd_value", "a region is two capitals, or empty for any", {"field": "region"})
    if request.budget_from > request.budget_to:
        raise Refused("absurd_value", "the budget's interval ends before it begins", {"field": "budgetFrom, budgetTo"})


def typical_rtt_us(reports: Iterable[HeldReport], terms: Terms) -> int:
    """The median over listed masters of their minimum RTT in microseconds, the lower one of an even number; maxRttUs without any."""
    listed = {master.address for master in terms.masters}
    figures = sorted(held.signed.message.rtt_min_us for held in reports if held.signed.message.master in listed)
    return figures[(len(figures) - 1) // 2] if figures else terms.rules.max_rtt_us


def rank(request: SessionRequest, digest: Digest, candidates: Iterable[Candidate], terms: Terms) -> tuple[Match, ...]:
    """The best candidates that suit the request, at most `MOST_MATCHES`; `digest` is the request's."""
    matches = [_match(request, candidate, terms) for candidate in candidates if suits(request, candidate)]
    matches.sort(key=lambda match: (-match.score_ppm, hashlib.sha256(digest + match.provider.encode()).digest()))
    return tuple(matches[:MOST_MATCHES])


def suits(request: SessionRequest, candidate: Candidate) -> bool:
    """Whether the candidate is within every limit of the request."""
    return (
        request.region in ("", candidate.region)
        and candidate.bandwidth >= request.min_bandwidth
        and candidate.price <= request.max_price
        and candidate.rtt_us <= request.max_rtt_us
    )


def _match(request: SessionRequest, candidate: Candidate, terms: Terms) -> Match:
    latency = max(0, PPM - candidate.rtt_us * PPM // max(1, terms.rules.max_rtt_us))
    reputation = min(PPM, candidate.reputation)
    bandwidth = min(PPM, candidate.bandwidth * PPM // FULL_BANDWIDTH)
    price = PPM - candidate.price * PPM // request.max_price if request.max_price else PPM
    score = (
        latency * LATENCY_WEIGHT_PPM + reputation * REPUTATION_WEIGHT_PPM + bandwidth * BANDWIDTH_WEIGHT_PPM + price * PRICE_WEIGHT_PPM
    ) // PPM
    return Match(
        provider=candidate.provider,
        region=candidate.region,
        bandwidth=candidate.bandwidth,
        price=candidate.price,
        rtt_min_us=candidate.rtt_us,
        score_ppm=score,
        latency_ppm=latency,
        bandwidth_ppm=bandwidth,
        reputation_ppm=reputation,
        price_ppm=price,
    )
