"""What a provider says was served: signed, kept before it leaves, and said once more after a crash."""

from __future__ import annotations

import contextlib
import socket

from chain.keys import NodeKey
from chain.typed import Domain, Signed, sign
from chain.types import Digest
from provider.sessions.store import Served, SessionStore
from wire.messages import UsageReceipt, UsageReport
from wire.secure import Channel

TCP_INFO_RTT = slice(68, 72)
"""Where Linux's struct tcp_info has the smoothed round trip, microseconds."""


class Reporting:
    """Signs this provider's reports."""

    def __init__(self, key: NodeKey, domain: Domain, store: SessionStore) -> None:
        self._key, self._domain, self._store = key, domain, store

    def report(self, name: Digest, sequence: int, served: Served, now: float) -> Signed[UsageReport]:
        """The answer to the receipt of this sequence; `SessionStore.keep_answer` keeps it."""
        report = UsageReport(self._key.address, name, sequence, served.up, served.down, served.duration, served.rtt_us, int(now))
        return sign(report, self._domain, self._key)

    def keep_last(self, name: Digest, sequence: int, served: Served, now: float) -> None:
        """Says what was served when no receipt will be answered any more; on disk when it returns."""
        self._store.keep_report(self.report(name, sequence, served, now))

    def close_left_open(self, credit: int, now: float) -> None:
        """Ends what a crash has left open, each with a last report of the counts that were kept: those of the newest receipt. credit: what
        the consumer is trusted with after it left something unreceipted."""
        for stored in self._store.open_sessions():
            if stored.report is None or counts(stored.report.message) != (stored.served.up, stored.served.down):
                sequence = stored.receipt.message.sequence if stored.receipt is not None else 0
                if stored.report is not None:
                    sequence = max(sequence, stored.report.message.sequence)
                self.keep_last(stored.session_id, sequence, stored.served, now)
            unpaid = stored.served.up + stored.served.down - (sum(counts(stored.receipt.message)) if stored.receipt else 0)
            if unpaid > 0:
                self._store.set_credit(stored.consumer, credit)
            self._store.close(stored.session_id, "crashed", now)


def counts(statement: UsageReceipt | UsageReport) -> tuple[int, int]:
    """Bytes up and down."""
    return statement.bytes_up, statement.bytes_down


def round_trip_us(channel: Channel) -> int:
    """As the kernel has smoothed it; 0 where it does not say."""
    with contextlib.suppress(OSError):
        return int.from_bytes(channel.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[TCP_INFO_RTT], "little")
    return 0
