"""Who suits a request, and in which order: by latency, reputation, bandwidth and price, each part shown (`wire.ranking`).

The latency is that of the higher estimate of the round trip (`resolver.estimates`). Among equals the order is drawn from the request, so
that nobody gains by the look of an address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from chain.types import Address, Digest
from resolver.estimates import Estimate
from resolver.pending import MOST_MATCHES
from resolver.terms import Terms
from wire.answers import Match
from wire.messages import SessionRequest
from wire.ranking import Reputation, score


@dataclass(frozen=True, slots=True)
class Candidate:
    """A connected provider. host, port: where it is dialled. region: empty if refuted. bandwidth: bit/s; price: wei per GiB.
    relayed: whether that place is a relay's."""

    provider: Address
    host: str
    port: int
    region: str
    bandwidth: int
    price: int
    rtt: Estimate
    reputation: Reputation
    relayed: bool = False


def rank(
    request: SessionRequest, digest: Digest, candidates: Iterable[Candidate], terms: Terms, shown: Collection[Address] = ()
) -> tuple[Match, ...]:
    """The best candidates that suit the request, at most `MOST_MATCHES` together with those it was `shown` before; `digest` is its own."""
    matches = [_match(request, candidate, terms) for candidate in candidates if suits(request, candidate)]
    matches.sort(key=lambda match: (-match.score_ppm, hashlib.sha256(digest + match.provider.encode()).digest()))
    seen, found = set(shown), []
    for match in matches:
        if match.provider in seen or len(seen) < MOST_MATCHES:
            seen.add(match.provider)
            found.append(match)
    return tuple(found)


def suits(request: SessionRequest, candidate: Candidate) -> bool:
    """Whether the candidate is within every limit of the request, its round trip as far as is known; nobody serves itself."""
    return (
        request.region in ("", candidate.region)
        and candidate.bandwidth >= request.min_bandwidth
        and candidate.price <= request.max_price
        and candidate.rtt.low_us <= request.max_rtt_us
        and candidate.provider != request.consumer
    )


def _match(request: SessionRequest, candidate: Candidate, terms: Terms) -> Match:
    parts = score(
        request,
        candidate.rtt.high_us,
        candidate.reputation.ppm,
        candidate.bandwidth,
        candidate.price,
        terms.rules,
        relayed=candidate.relayed,
    )
    return Match(
        provider=candidate.provider,
        host=candidate.host,
        port=candidate.port,
        region=candidate.region,
        bandwidth=candidate.bandwidth,
        price=candidate.price,
        rtt_low_us=candidate.rtt.low_us,
        rtt_high_us=candidate.rtt.high_us,
        score_ppm=parts.total,
        latency_ppm=parts.latency,
        bandwidth_ppm=parts.bandwidth,
        reputation_ppm=parts.reputation,
        price_ppm=parts.price,
        relayed=candidate.relayed,
        reputation_epoch=candidate.reputation.epoch,
    )
