"""The messages that travel between machines and that no contract reads.

Each names its signer in the field `SIGNER`. Times are UTC seconds of the signer's own clock. An observation belongs to the slot and the
epoch of that second. `UptimeTicket` and `LatencyReport` are cumulative; those of one signer about one provider and epoch
merge, see `wire.statements`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chain.typed import Signed
from chain.types import I16, U16, U32, U64, U96, U128, U256, ZERO_ADDRESS, Address, Digest


@dataclass(frozen=True, slots=True)
class Announcement:
    """A provider's first word to a resolver, and what a master is shown before it dials back. Never archived.

    presence_id: 32 random bytes, new at every start of the provider. sequence: higher than in any message before it.
    host: IP address as text; port: TCP. bandwidth: bit/s. price: wei per GiB.
    region: ISO 3166-1 alpha-2, or empty for no location; latitude, longitude: whole degrees (0 without a region).
    dns: whether the resolver may publish host and port over DNS. relay: the master whose relay host and port are, and through which the
    provider is reached; the zero address if it is dialled directly.
    """

    SIGNER: ClassVar[str] = "provider"

    provider: Address
    presence_id: Digest
    sequence: U64
    time: U64
    host: str
    port: U16
    bandwidth: U64
    price: U128
    region: str
    latitude: I16
    longitude: I16
    dns: bool
    relay: Address = ZERO_ADDRESS


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Refreshes presence and metadata; units as in `Announcement`. Never archived."""

    SIGNER: ClassVar[str] = "provider"

    provider: Address
    presence_id: Digest
    sequence: U64
    time: U64
    host: str
    port: U16
    bandwidth: U64
    price: U128


@dataclass(frozen=True, slots=True)
class Leaving:
    """Goodbye: the presence ends as `left`, which is not `expired`. Never archived. reason: one of `shutdown`, `cap`, `hours`."""

    SIGNER: ClassVar[str] = "provider"

    provider: Address
    presence_id: Digest
    sequence: U64
    time: U64
    reason: str


@dataclass(frozen=True, slots=True)
class UptimeTicket:
    """A resolver's cumulative word on one provider in one epoch.

    slots: a map, bit i (byte i // 8, mask 1 << i % 8) set if slot i had heartbeats enough. address_changes: in this epoch.
    group_prefix: IPv4 /24 or IPv6 /48 of the announced address, as text.
    """

    SIGNER: ClassVar[str] = "resolver"

    resolver: Address
    provider: Address
    epoch: U64
    sequence: U64
    slots: bytes
    address_changes: U32
    group_prefix: str


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """A master's cumulative word on one provider in one epoch.

    slots: bit set if in that slot echoes were answered and the endpoint, dialled back, proved the node key.
    Times in microseconds over all rounds of the epoch: minimum, median, jitter (median absolute difference of neighbours); loss in ppm.
    group_prefix: of the observed address. address_ok: it is the announced one, or the announced place is the relay named.
    relay: the master through whose relay the endpoint was dialled back; the zero address if directly.
    """

    SIGNER: ClassVar[str] = "master"

    master: Address
    provider: Address
    epoch: U64
    sequence: U64
    slots: bytes
    rtt_min_us: U32
    rtt_median_us: U32
    jitter_us: U32
    loss_ppm: U32
    group_prefix: str
    address_ok: bool
    relay: Address = ZERO_ADDRESS


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A consumer's proof of demand. It names no provider: the consumer picks one by its first `UsageReceipt`.

    min_bandwidth: bit/s. max_rtt_us: microseconds. max_price: wei per GiB.
    budget_from, budget_to: the interval of the consumer's lifetime authorised amount that this session may spend, in wei.
    """

    SIGNER: ClassVar[str] = "consumer"

    consumer: Address
    region: str
    min_bandwidth: U64
    max_rtt_us: U32
    max_price: U128
    budget_from: U96
    budget_to: U96
    nonce: U256
    expiry: U64


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider's ask for one request. price: wei per GiB."""

    SIGNER: ClassVar[str] = "provider"

    provider: Address
    request: Digest
    price: U128
    expiry: U64


@dataclass(frozen=True, slots=True)
class DemandReceipt:
    """A validator's word that the consumer's deposit covers this session's interval. It makes the session payable in the epoch of its
    `time` and in the next one."""

    SIGNER: ClassVar[str] = "validator"

    validator: Address
    consumer: Address
    provider: Address
    session_id: Digest
    budget_from: U96
    budget_to: U96
    time: U64


@dataclass(frozen=True, slots=True)
class UsageReceipt:
    """What a consumer received, cumulative for the session: payload bytes, seconds, microseconds.

    Sequence 0 with nothing in it accepts an offer: without it no validator covers the session, so that whoever sees a request cannot bind
    the consumer's budget. Sequences and counters never fall.
    """

    SIGNER: ClassVar[str] = "consumer"

    consumer: Address
    session_id: Digest
    sequence: U64
    bytes_up: U64
    bytes_down: U64
    duration: U64
    rtt_us: U32
    time: U64


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What a provider served, cumulative for the session; units as in `UsageReceipt`."""

    SIGNER: ClassVar[str] = "provider"

    provider: Address
    session_id: Digest
    sequence: U64
    bytes_up: U64
    bytes_down: U64
    duration: U64
    rtt_us: U32
    time: U64


@dataclass(frozen=True, slots=True)
class SessionEvidence:
    """All that makes a session payable in one epoch: see `wire.sessions`.

    demand: of validators with 2/3 of the stake, ascending by validator. receipts: at most one, the newest of the epoch. reports: at most
    one, of the epoch.
    """

    request: Signed[SessionRequest]
    offer: Signed[Offer]
    demand: tuple[Signed[DemandReceipt], ...]
    receipts: tuple[Signed[UsageReceipt], ...]
    reports: tuple[Signed[UsageReport], ...]


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """One line of a provider's log. previous: the digest of the entry before it (zero for index 0). No destinations, no addresses."""

    index: U64
    time: U64
    kind: str
    detail: str
    previous: Digest


@dataclass(frozen=True, slots=True)
class ActivityProof:
    """A provider's envelope around what others signed about it; nothing in it pays by itself.

    sequence: decides which proof of an epoch is the newest. log: recent entries, oldest first; log_head: digest of the last one.
    Bandwidth served is what `sessions` hold receipts for. Address consistency is what tickets and reports say of prefixes and changes.
    """

    SIGNER: ClassVar[str] = "provider"

    provider: Address
    epoch: U64
    sequence: U64
    tickets: tuple[Signed[UptimeTicket], ...]
    reports: tuple[Signed[LatencyReport], ...]
    sessions: tuple[SessionEvidence, ...]
    log: tuple[ActivityEntry, ...]
    log_head: Digest


@dataclass(frozen=True, slots=True)
class ProofReceipt:
    """A validator's word that the proof of this digest is verified and durable on its disk."""

    SIGNER: ClassVar[str] = "validator"

    validator: Address
    provider: Address
    epoch: U64
    proof: Digest
    time: U64


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a validator holds when intake closes. index_digest: the file digest of the canonical `InventoryIndex`."""

    SIGNER: ClassVar[str] = "validator"

    validator: Address
    epoch: U64
    count: U64
    index_digest: Digest


@dataclass(frozen=True, slots=True)
class NodeCertificate:
    """Binds a TLS key to a node: sha-256 of the certificate's SubjectPublicKeyInfo, and the UTC second the binding ends."""

    SIGNER: ClassVar[str] = "node"

    node: Address
    public_key_digest: Digest
    not_after: U64
