"""How a provider is scored for a request, the same for the resolver that suggests and the consumer that has measured. Pure.

Every part is in parts per million of the best there can be, the score is their weighted sum, times `RELAYED_PPM` for a provider that is
reached through a relay: one that carries its own traffic comes first unless it is much worse.

    latency      10^6 - rtt · 10^6 / maxRttUs
    reputation   as the active root has it, the prior for a newcomer
    bandwidth    bandwidth · 10^6 / FULL_BANDWIDTH, at most 10^6: what is claimed beyond that buys nothing
    price        10^6 - price · 10^6 / maxPrice of the request; free of charge is 10^6
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.rules import Rules
from chain.types import PPM
from wire.messages import SessionRequest

FULL_BANDWIDTH = 10**9

LATENCY_WEIGHT_PPM = 400_000
REPUTATION_WEIGHT_PPM = 300_000
BANDWIDTH_WEIGHT_PPM = 150_000
PRICE_WEIGHT_PPM = 150_000
RELAYED_PPM = 700_000


@dataclass(frozen=True, slots=True)
class Reputation:
    """In ppm, as the root of `epoch` has it; epoch 0: of no root, it is the prior."""

    ppm: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Score:
    """In parts per million. relayed: whether the provider is reached through a relay."""

    latency: int
    reputation: int
    bandwidth: int
    price: int
    relayed: bool = False

    @property
    def total(self) -> int:
        """The weighted sum, less what a relay costs."""
        parts = self.latency * LATENCY_WEIGHT_PPM + self.reputation * REPUTATION_WEIGHT_PPM
        whole = (parts + self.bandwidth * BANDWIDTH_WEIGHT_PPM + self.price * PRICE_WEIGHT_PPM) // PPM
        return whole * RELAYED_PPM // PPM if self.relayed else whole


def score(
    request: SessionRequest, rtt_us: int, reputation: int, bandwidth: int, price: int, rules: Rules, *, relayed: bool = False
) -> Score:
    """Of a provider within the request's price. rtt_us: microseconds; reputation: ppm; bandwidth: bit/s; price: wei per GiB."""
    return Score(
        latency=max(0, PPM - rtt_us * PPM // rules.max_rtt_us),
        reputation=min(PPM, reputation),
        bandwidth=min(PPM, bandwidth * PPM // FULL_BANDWIDTH),
        price=PPM - price * PPM // request.max_price if request.max_price else PPM,
        relayed=relayed,
    )
