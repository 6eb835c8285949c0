"""A master's memory of what it measured: one cumulative `LatencyReport` per provider and epoch, of this epoch and the last one.

In memory only: a master that restarts begins a new report, and statements of one signer merge (see `wire.statements`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from chain.epochs import Timing
from chain.typed import Signed
from chain.types import PPM, ZERO_ADDRESS, Address
from master.echo import EpochSlot, Exchange, site
from wire.addresses import IPAddress, group_prefix
from wire.messages import LatencyReport
from wire.slots import empty, with_slot

MAX_PROVIDERS = 20_000
"""Providers remembered in one epoch; one takes about 4 KiB at the network's defaults."""
MAX_PROVIDERS_PER_SITE = 64
"""Of these, how many one site may bring in."""


class LedgerFull(Exception):
    """No room for one more provider in this epoch."""


@dataclass(frozen=True, slots=True)
class Place:
    """What an announcement says about where a provider is. sequence: the announcement's. relay: the master whose relay it is reached
    through, and whose place this is; the zero address for none."""

    host: IPAddress
    port: int
    sequence: int
    relay: Address = ZERO_ADDRESS

    @property
    def is_relayed(self) -> bool:
        return self.relay != ZERO_ADDRESS


@dataclass(slots=True)
class _Record:
    """One provider in one epoch.

    rtts_us: `rounds` cells a slot in order of arrival, 0 for an echo that is missing or not proven. echoes: how many were counted in each
    slot that was tried.
    """

    rtts_us: array[int]
    slots: bytes
    echoes: dict[int, int] = field(default_factory=dict)
    place: Place | None = None
    last_slot: int = -1
    report: Signed[LatencyReport] | None = None
    sequence: int = 0


class Ledger:
    """Holds records; every method takes its time as an argument and none waits."""

    def __init__(self, master: Address, timing: Timing, rounds: int, max_providers: int = MAX_PROVIDERS) -> None:
        self._master, self._timing, self._rounds, self._max_providers = master, timing, rounds, max_providers
        self._epochs: dict[int, dict[Address, _Record]] = {}
        self._per_site: Counter[tuple[int, str]] = Counter()

    def __len__(self) -> int:
        """How many records are held."""
        return sum(len(records) for records in self._epochs.values())

    def begin(self, epoch: int) -> None:
        """Drops what is older than the epoch before `epoch`."""
        for old in [e for e in self._epochs if e < epoch - 1]:
            del self._epochs[old]
        for key in [k for k in self._per_site if k[0] < epoch - 1]:
            del self._per_site[key]

    def newest_sequence(self, provider: Address) -> int:
        """The highest announcement sequence that led to a report of an epoch held here; 0 if none did."""
        places = [r.place for records in self._epochs.values() if (r := records.get(provider)) is not None]
        return max((place.sequence for place in places if place is not None), default=0)

    def finished(self, provider: Address, at: EpochSlot, place: Place) -> Signed[LatencyReport] | None:
        """The report, if this slot is already measured at exactly this host and port with the announced address observed."""
        record = self._epochs.get(at.epoch, {}).get(provider)
        if record is None or record.place is None or record.report is None or record.last_slot != at.slot:
            return None
        same = (record.place.host, record.place.port, record.place.relay) == (place.host, place.port, place.relay)
        return record.report if same and record.report.message.address_ok else None

    def missed(self, provider: Address, at: EpochSlot, exchange: Exchange) -> None:
        """A signed check found echoes from the announced address in this slot, but too few: the others count as loss. `LedgerFull`."""
        record = self._record(provider, at.epoch, exchange.source.address)
        if record.last_slot != at.slot:
            record.echoes[at.slot] = len(exchange.rtts_us)

    def measured(self, provider: Address, at: EpochSlot, place: Place, exchange: Exchange, now: float) -> LatencyReport:
        """The report with this slot set, after the dial-back of `exchange`'s source proved the key. `LedgerFull`.

        A second measurement of one slot replaces the first one's figures.
        """
        record = self._record(provider, at.epoch, exchange.source.address)
        padded = [*exchange.rtts_us, *(0,) * self._rounds][: self._rounds]
        record.rtts_us[at.slot * self._rounds : (at.slot + 1) * self._rounds] = array("I", padded)
        record.echoes[at.slot] = len(exchange.rtts_us)
        record.slots = with_slot(record.slots, at.slot)
        record.place, record.last_slot = place, at.slot
        record.sequence = max(int(now * 1000), record.sequence + 1)
        rtts = [rtt for rtt in record.rtts_us if rtt]
        return LatencyReport(
            master=self._master,
            provider=provider,
            epoch=at.epoch,
            sequence=record.sequence,
            slots=record.slots,
            rtt_min_us=min(rtts),
            rtt_median_us=median(rtts),
            jitter_us=jitter(rtts),
            loss_ppm=loss_ppm(sum(record.echoes.values()), self._rounds * len(record.echoes)),
            group_prefix=group_prefix(exchange.source.address),
            address_ok=place.is_relayed or exchange.source.address == place.host,
            relay=place.relay,
        )

    def keep(self, signed: Signed[LatencyReport]) -> None:
        """Keeps a report of `measured` once it is signed, unless a newer one is kept."""
        record = self._epochs.get(signed.message.epoch, {}).get(signed.message.provider)
        if record is not None and (record.report is None or record.report.message.sequence < signed.message.sequence):
            record.report = signed

    def report(self, epoch: int, provider: Address) -> Signed[LatencyReport] | None:
        """The newest report on a provider in an epoch, None if there is none."""
        record = self._epochs.get(epoch, {}).get(provider)
        return record.report if record is not None else None

    def _record(self, provider: Address, epoch: int, source: IPAddress) -> _Record:
        records = self._epochs.setdefault(epoch, {})
        if provider not in records:
            place = (epoch, site(source))
            if len(records) >= self._max_providers or self._per_site[place] >= MAX_PROVIDERS_PER_SITE:
                raise LedgerFull
            self._per_site[place] += 1
            slots = self._timing.slots_per_epoch
            records[provider] = _Record(array("I", [0]) * (slots * self._rounds), empty(slots))
        return records[provider]


def median(values: Sequence[int]) -> int:
    """The middle value, or the mean of the two middle ones rounded down; `ValueError` for no values."""
    if not values:
        raise ValueError("no values have no median")
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) // 2


def jitter(values: Sequence[int]) -> int:
    """The median absolute difference of neighbours in order of arrival; 0 for fewer than two values."""
    return median([abs(after - before) for before, after in pairwise(values)]) if len(values) > 1 else 0


def loss_ppm(echoes: int, sent: int) -> int:
    """The part of `sent` rounds that is missing, in parts per million, rounded down."""
    return (sent - echoes) * PPM // sent if sent else 0
