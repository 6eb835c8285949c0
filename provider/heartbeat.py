"""What a provider says about itself, and when: sequences, messages, and the seconds at which they are due. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from chain.epochs import Timing
from chain.types import ZERO_ADDRESS, Address, Digest
from wire.messages import Announcement, Heartbeat, Leaving


@dataclass(frozen=True, slots=True)
class Offering:
    """What a provider announces; units as in `Announcement`."""

    host: str
    port: int
    bandwidth: int
    price: int
    region: str
    latitude: int
    longitude: int
    dns: bool
    relay: Address = ZERO_ADDRESS


def sequence_after(last: int, now: float) -> int:
    """The sequence that follows `last`: UTC milliseconds, or one more where the clock stands still or was set back."""
    return max(last + 1, int(now * 1000))


def announcement(provider: Address, presence: Digest, sequence: int, now: float, offering: Offering) -> Announcement:
    return Announcement(
        provider=provider,
        presence_id=presence,
        sequence=sequence,
        time=int(now),
        host=offering.host,
        port=offering.port,
        bandwidth=offering.bandwidth,
        price=offering.price,
        region=offering.region,
        latitude=offering.latitude,
        longitude=offering.longitude,
        dns=offering.dns,
        relay=offering.relay,
    )


def heartbeat(provider: Address, presence: Digest, sequence: int, now: float, offering: Offering) -> Heartbeat:
    return Heartbeat(provider, presence, sequence, int(now), offering.host, offering.port, offering.bandwidth, offering.price)


def leaving(provider: Address, presence: Digest, sequence: int, now: float, reason: str) -> Leaving:
    return Leaving(provider, presence, sequence, int(now), reason)


def next_heartbeat(due: float, now: float, heartbeat_s: int, final: float) -> float:
    """When the heartbeat after the one that was due at `due` is due: a fixed beat, caught up with after a pause.

    final: the second of the heartbeat that fetches an ended epoch's last ticket; if it falls in between, it comes first.
    """
    following = due + heartbeat_s
    if following <= now:
        following = now + heartbeat_s
    return final if due < final < following and final > now else following


def final_second(timing: Timing, epoch: int, provider: Address) -> float:
    """When a provider begins to collect the final statements of an ended epoch: early in its intake, and not all at once."""
    return timing.end_of(epoch) + spread(f"final {epoch} {provider}") * timing.intake / 8


def measuring_second(timing: Timing, epoch: int, slot: int, provider: Address, master: Address) -> float:
    """When in a slot a provider has itself timed by a master: in the slot's first third, and not all at once."""
    return timing.slot_start(epoch, slot) + spread(f"{epoch} {slot} {provider} {master}") * timing.slot_seconds / 3


def spread(name: str) -> float:
    """A number in [0, 1) that a name always has, and that tells nothing about another name's."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48
