"""The provider's evidence. Resolver and master do not run in this demo: their keys sign here what they would have seen."""

from __future__ import annotations

from chain.keys import NodeKey
from chain.typed import Domain, Signed, sign
from chain.types import ZERO_DIGEST
from wire.messages import ActivityProof, LatencyReport, UptimeTicket

RTT_US = 9_000
JITTER_US = 500


def proof_of(
    provider: NodeKey, resolver: NodeKey, master: NodeKey, domain: Domain, epoch: int, slots: bytes, prefix: str
) -> Signed[ActivityProof]:
    """The provider's proof that it was up in these slots (a map of the epoch's), as seen by one resolver and one master."""
    ticket = UptimeTicket(resolver.address, provider.address, epoch, 1, slots, 0, prefix)
    report = LatencyReport(master.address, provider.address, epoch, 1, slots, RTT_US, RTT_US, JITTER_US, 0, prefix, True)
    statements = (sign(ticket, domain, resolver),), (sign(report, domain, master),)
    return sign(ActivityProof(provider.address, epoch, 1, *statements, (), (), ZERO_DIGEST), domain, provider)
