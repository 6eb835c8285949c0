"""The UDP socket of a master: hands datagrams to the responder with the instant at which they reached the machine.

The kernel stamps each datagram when it arrives, so a busy event loop does not make providers look slower than they are. Where it cannot
(the option is Linux's), the instant of reading stands in.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
import time
from collections.abc import Iterator

from master.echo import Responder, Source
from runtime.clock import Clock
from wire.udp import HELLO_BYTES

SO_TIMESTAMPNS = 35
"""Linux's number for it, also of the control message; the socket module has no name for it."""
BATCH = 64
"""Datagrams read before other duties get their turn."""

_TIMESPEC = struct.Struct("@ll")


@contextlib.contextmanager
def answering(responder: Responder, host: str, port: int, clock: Clock) -> Iterator[int]:
    """Answers datagrams at this address on the running loop while the context is open; yields the port. `OSError` if it is taken."""
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as bound:
        bound.setblocking(False)
        with contextlib.suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        bound.bind((host, port))
        loop = asyncio.get_running_loop()
        loop.add_reader(bound, _drain, bound, responder, clock)
        try:
            yield bound.getsockname()[1]
        finally:
            loop.remove_reader(bound)


def _drain(bound: socket.socket, responder: Responder, clock: Clock) -> None:
    for _ in range(BATCH):
        try:
            data, control, _, sender = bound.recvmsg(HELLO_BYTES + 1, 64)
        except BlockingIOError:
            return
        except OSError:  # about an earlier datagram, such as an unreachable peer; the socket goes on
            continue
        # The wall clock first: a process held up between the two readings then sees an echo late. The other order would see it early.
        wall_ns = time.time_ns()
        now_ns = time.monotonic_ns()
        arrived_ns = now_ns - _waited_ns(control, wall_ns)
        reply = responder.receive(data, _source(sender), now=clock.now(), now_ns=now_ns, arrived_ns=arrived_ns)
        if reply is not None:
            with contextlib.suppress(OSError):  # a full buffer or no route: a datagram may be lost anyway
                bound.sendto(reply, sender)


def _waited_ns(control: list[tuple[int, int, bytes]], wall_ns: int) -> int:
    """How long a datagram had lain in the socket's buffer at `wall_ns`; 0 if that is not known or the wall clock was set meanwhile."""
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(value) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(value)
            waited: int = wall_ns - seconds * 1_000_000_000 - nanoseconds
            return waited if 0 <= waited < 1_000_000_000 else 0
    return 0


def _source(sender: tuple[str, int]) -> Source:
    """The sender; an IPv4 address that an IPv6 socket shows in IPv6 form is itself again."""
    address = ipaddress.ip_address(sender[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return Source(mapped or address, sender[1])
