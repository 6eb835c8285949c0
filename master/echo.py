"""The master's end of the timing exchange, without sockets and clocks.

A hello is answered with a cookie and nothing is kept; memory is spent only on an echo, so only on a source that answers at its address,
and only up to fixed bounds, for one slot. An echo carries its own send time under a keyed tag: it can be held back, which makes the round
trip look longer, but not be sent before its cookie has arrived.

Anyone may name any provider in a hello. Exchanges are therefore kept per provider *and* source, nothing is believed about them here, and
the check decides which source belongs to an announcement: see `candidates`.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chain.epochs import Timing
from chain.types import Address
from wire.addresses import IPAddress, group_prefix
from wire.udp import MAX_COOKIE_AGE_NS, Cookie, Echo, Hello, cookie_tag, pack, parse

MAX_EXCHANGES = 20_000
"""Exchanges remembered in one slot, of all providers."""
MAX_EXCHANGES_PER_SITE = 64
"""Of these, how many one site may fill."""
MAX_STRANGE_SOURCES = 3
"""How many addresses other than the announced one a check dials back, at most."""


class EpochSlot(NamedTuple):
    """One slot: its epoch, from 1 on, and its number in it, from 0 on."""

    epoch: int
    slot: int


class Source(NamedTuple):
    """Where datagrams come from."""

    address: IPAddress
    port: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """The echoes counted from one source in one slot, in microseconds, in order of arrival; never empty."""

    source: Source
    rtts_us: tuple[int, ...]


def slot_of(timing: Timing, now: float) -> EpochSlot | None:
    """The slot of a UTC second, None before genesis."""
    epoch = timing.epoch_at(now)
    return EpochSlot(epoch, timing.slot_at(now)) if epoch else None


def site(address: IPAddress) -> str:
    """What counts as one place when memory is shared out: an IPv4 address, an IPv6 /48."""
    return str(address) if address.version == 4 else group_prefix(address)


class Responder:
    """Answers hellos and collects echoes.

    `key` is 32 random bytes drawn at start; a restart makes older cookies worthless. `counts` holds what became of the datagrams:
    `cookies`, `echoes`, and for each reason to ignore one `not_ours`, `before_genesis`, `round`, `age`, `other_slot`, `tag`, `repeated`,
    `full`.
    """

    def __init__(self, key: bytes, timing: Timing, rounds: int, max_exchanges: int = MAX_EXCHANGES) -> None:
        self._key, self._timing, self._rounds, self._max_exchanges = key, timing, rounds, max_exchanges
        self._now: EpochSlot | None = None
        self._found: dict[Address, dict[Source, dict[int, int]]] = {}
        self._before: frozenset[Address] = frozenset()
        self._per_site: Counter[str] = Counter()
        self._size = 0
        self.counts: Counter[str] = Counter()

    def receive(self, data: bytes, source: Source, *, now: float, now_ns: int, arrived_ns: int) -> bytes | None:
        """What to send back to `source`, never longer than `data`; None for silence.

        now: UTC seconds. now_ns: the monotonic clock at this moment. arrived_ns: the same clock when the datagram reached the machine.
        """
        slot = slot_of(self._timing, now)
        if slot is None:
            self.counts["before_genesis"] += 1
            return None
        self._begin(slot)
        match parse(data):
            case Hello(provider, nonce) as hello if hello.round < self._rounds:
                self.counts["cookies"] += 1
                tag = cookie_tag(self._key, provider, nonce, now_ns, source.address, source.port)
                return pack(Cookie(provider, nonce, now_ns, tag))
            case Hello():
                self.counts["round"] += 1
            case Echo(cookie):
                in_slot_ns = int((now - self._timing.slot_start(*slot)) * 1e9) - (now_ns - arrived_ns)
                self.counts[self._judge(cookie, source, arrived_ns, in_slot_ns)] += 1
            case _:
                self.counts["not_ours"] += 1
        return None

    def exchanges(self, provider: Address, now: float) -> tuple[Exchange, ...]:
        """What was counted for a provider in the slot of `now`, by any source; a dictionary look-up."""
        if slot_of(self._timing, now) != self._now:
            return ()
        found = self._found.get(provider, {})
        return tuple(Exchange(source, tuple(rounds.values())) for source, rounds in found.items())

    def is_timed(self, provider: Address, now: float) -> bool:
        """Whether an echo for a provider was counted in the slot of `now` or the last one, by any source."""
        if (slot := slot_of(self._timing, now)) is None:
            return False
        self._begin(slot)
        return provider in self._found or provider in self._before

    def _begin(self, slot: EpochSlot) -> None:
        if slot != self._now:
            self._before = frozenset(self._found) if self._now is not None and self._follows(slot, self._now) else frozenset()
            self._now = slot
            self._found.clear()
            self._per_site.clear()
            self._size = 0

    def _follows(self, slot: EpochSlot, before: EpochSlot) -> bool:
        per_epoch = self._timing.slots_per_epoch
        return slot.epoch * per_epoch + slot.slot == before.epoch * per_epoch + before.slot + 1

    def _judge(self, cookie: Cookie, source: Source, arrived_ns: int, in_slot_ns: int) -> str:
        """Counts the echo, or says why not. Cheap reasons come first. A cookie belongs to the slot it was sent in, so it counts once."""
        age_ns = arrived_ns - cookie.sent_ns
        if cookie.round >= self._rounds:
            return "round"
        if not 0 <= age_ns < MAX_COOKIE_AGE_NS:
            return "age"
        if age_ns > in_slot_ns:
            return "other_slot"
        tag = cookie_tag(self._key, cookie.provider, cookie.nonce, cookie.sent_ns, source.address, source.port)
        if not hmac.compare_digest(tag, cookie.tag):
            return "tag"
        rounds = self._found.get(cookie.provider, {}).get(source)
        if rounds is None:
            rounds = self._remember(cookie.provider, source)
            if rounds is None:
                return "full"
        if cookie.round in rounds:
            return "repeated"
        rounds[cookie.round] = max(1, age_ns // 1000)
        return "echoes"

    def _remember(self, provider: Address, source: Source) -> dict[int, int] | None:
        place = site(source.address)
        if self._per_site[place] >= MAX_EXCHANGES_PER_SITE or self._size >= self._max_exchanges:
            return None
        self._per_site[place] += 1
        self._size += 1
        rounds: dict[int, int] = {}
        self._found.setdefault(provider, {})[source] = rounds
        return rounds


def majority(rounds: int) -> int:
    """How many echoes of `rounds` a check needs."""
    return rounds // 2 + 1


def candidates(exchanges: Sequence[Exchange], announced: IPAddress, rounds: int) -> tuple[Exchange, ...]:
    """The exchanges that may be the announced provider's, best first; empty if none has echoes enough.

    Echoes from the announced address are taken before all others, whatever the others look like: a stranger cannot answer at that
    address. Only without any are other sources considered, one a source address and at most `MAX_STRANGE_SOURCES`; their dial-back has
    to prove the key, and the report then says `address_ok` false. Among exchanges from one address the least round trip wins, since
    round trips can be inflated and not deflated.
    """
    announced_ones = [exchange for exchange in exchanges if exchange.source.address == announced]
    enough = [e for e in announced_ones or exchanges if len(e.rtts_us) >= majority(rounds)]
    best: dict[IPAddress, Exchange] = {}
    for exchange in sorted(enough, key=lambda e: min(e.rtts_us)):
        best.setdefault(exchange.source.address, exchange)
    return tuple(best.values())[:MAX_STRANGE_SOURCES]
