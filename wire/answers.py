"""What servers answer with, where that is not a signed message. Nothing in here pays; every value is one node's view."""

from __future__ import annotations

from dataclasses import dataclass

from chain.typed import Signed
from chain.types import I16, U16, U32, U64, U128, ZERO_ADDRESS, Address
from wire.messages import LatencyReport, SessionRequest, UptimeTicket


@dataclass(frozen=True, slots=True)
class MasterView:
    """One master as the resolver sees it for one provider. endpoint: host:port, UDP and TCP. code: `ok`, or why its report does not count
    (`no_report`, or a code of `wire.refusals`). time: when that was found; 0 if never. rtt_min_us: 0 without a report."""

    master: Address
    endpoint: str
    code: str
    rtt_min_us: U32
    time: U64


@dataclass(frozen=True, slots=True)
class PoolAnswer:
    """A resolver's answer to a provider: where it stands, why, as seen by whom and when, and what comes next.

    state: `pending_verification`, `connected`, `expired` or `left`. code: `ok`, or what keeps it from being connected.
    next_try: UTC second of the next check. tickets: the newest of this epoch, and of the last one until its intake closes.
    """

    state: str
    code: str
    observer: Address
    time: U64
    next_try: U64
    masters: tuple[MasterView, ...]
    tickets: tuple[Signed[UptimeTicket], ...]


@dataclass(frozen=True, slots=True)
class ReportBatch:
    """Latency reports that a provider hands to its resolver."""

    reports: tuple[Signed[LatencyReport], ...]


@dataclass(frozen=True, slots=True)
class Refutation:
    """Why a place cannot be where a provider is: a master's minimum RTT to it is below what light in vacuum takes."""

    master: Address
    rtt_min_us: U32
    least_us: U32


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A provider as the resolver shows it to anyone: no host, no port, no precise location.

    location: `ok` (not refuted, which is no proof), `none` (not claimed) or `location_refuted`; then region is empty, the degrees are 0,
    and refutations say why, at least two. relay: the master through whose relay it is reached, the zero address if directly.
    """

    provider: Address
    state: str
    code: str
    since: U64
    region: str
    latitude: I16
    longitude: I16
    location: str
    refutations: tuple[Refutation, ...]
    bandwidth: U64
    price: U128
    group_prefix: str
    heartbeats: U64
    masters: tuple[MasterView, ...]
    relay: Address = ZERO_ADDRESS


@dataclass(frozen=True, slots=True)
class PoolView:
    """The pool as the resolver shows it to anyone."""

    resolver: Address
    time: U64
    providers: tuple[ProviderView, ...]


@dataclass(frozen=True, slots=True)
class MasterRtt:
    """A consumer's own minimum RTT to a master, microseconds. Its word alone, and only its own list depends on it."""

    master: Address
    rtt_us: U32


@dataclass(frozen=True, slots=True)
class MatchQuery:
    """A request and what helps to answer it, neither signed: the consumer's distances, and providers that it wants left out, as they have
    just failed it."""

    request: Signed[SessionRequest]
    vector: tuple[MasterRtt, ...]
    without: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A ranked candidate and the parts of its score, each in parts per million; `score_ppm` as in `wire.ranking`.

    host, port: where it is dialled; empty and 0 for a request that reserves nothing. rtt_low_us, rtt_high_us: the round trip to it is
    estimated to lie between; the ranking takes the higher one. relayed: host and port are a relay's (`wire.relay`), at a cost in the score.
    reputation_epoch: of the root that the reputation is from; 0 if it is the prior.
    """

    provider: Address
    host: str
    port: U16
    region: str
    bandwidth: U64
    price: U128
    rtt_low_us: U32
    rtt_high_us: U32
    score_ppm: U32
    latency_ppm: U32
    bandwidth_ppm: U32
    reputation_ppm: U32
    price_ppm: U32
    relayed: bool = False
    reputation_epoch: U64 = 0


@dataclass(frozen=True, slots=True)
class Matches:
    """The best candidates first, at most 5. Without any the request waits until `waits_until` (UTC second); the same one may be asked again
    meanwhile. `waits_until` is 0 for a request that reserves nothing: it is answered and forgotten."""

    resolver: Address
    time: U64
    waits_until: U64
    matches: tuple[Match, ...]
