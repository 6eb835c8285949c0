"""Copies between a program's plain socket and a stream's TLS socket, both ways, until both have ended: the hot path of the data plane.

Driven by callbacks of the event loop, with one buffer for the whole process: a stream that is idle holds no memory but its sockets', and
one whose other side is full holds what it could not hand on, at most `CHUNK`. A chunk is read, framed and sent at once: 16 KiB are one
TLS record and one call.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Protocol

from wire.tunnel import DATA, END, HEADER, RESET, header, parse_header

CHUNK = 256 * 1024 - HEADER
"""The most payload that is read at once."""
_BUFFER = memoryview(bytearray(HEADER + CHUNK))
_PAYLOAD = _BUFFER[HEADER:]
_END_FRAME = memoryview(header(END, 0))
_RESET_FRAME = header(RESET, 0)
_AT_ONCE = struct.pack("ii", 1, 0)
_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

ENDED, CUT_OFF, BROKEN, WAS_RESET, MISUSED, STOPPED = "", "cut_off", "broken", "reset", "misused", "stopped"


class Meter(Protocol):
    """Counts payload, and says how much more may be read."""

    def allow(self, most: int) -> int:
        """How many bytes may be read now, at most `most`; 0 for none at present."""

    def sent(self, size: int) -> None:
        """So many bytes were read from the program's side."""

    def received(self, size: int) -> None:
        """So many bytes were read from the tunnel."""

    def park(self, resume: Callable[[], None]) -> None:
        """Calls `resume` once more may be read."""

    def unpark(self, resume: Callable[[], None]) -> None:
        """Forgets it."""


class Splice:
    """One stream. `done` becomes `ENDED` once both sides have ended and all was handed on: the TLS socket can then carry another stream.

    What was read is handed on also when the stream fails. `done` is something else then: `CUT_OFF` (the tunnel stopped without an end),
    `BROKEN` (the plain side failed, or the tunnel could not be written), `WAS_RESET` (the other end says that its side failed), `MISUSED`
    (a frame that is none), `STOPPED`. The sockets are the caller's to close, after `wire.handover`; after a failure the plain one is set to
    end in a reset, so that no program takes a part for all.
    """

    __slots__ = (
        "_deaf", "_ended_in", "_ended_out", "_failure", "_head", "_in_rest", "_left", "_loop", "_meter", "_out_rest", "_parked", "_plain",
        "_plain_fd", "_seen_eof", "_tls", "_tls_fd", "done",
    )  # fmt: skip

    def __init__(self, plain: socket.socket, tls: ssl.SSLSocket, meter: Meter) -> None:
        self._plain, self._tls, self._meter = plain, tls, meter
        # By number: the event loop makes a text of a socket, with two system calls, each time that one is not registered yet.
        self._plain_fd, self._tls_fd = plain.fileno(), tls.fileno()
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[str] = self._loop.create_future()
        self._head = bytearray()
        self._left = 0  # payload bytes of the frame that is being read
        self._in_rest, self._out_rest = b"", b""  # what the plain side, the tunnel did not take
        self._failure = ""  # what it ends with once what was read is handed on
        self._seen_eof = self._ended_out = self._ended_in = self._parked = self._deaf = False

    def start(self) -> None:
        """Begins to copy."""
        self._loop.add_reader(self._plain_fd, self._read_plain)
        self._loop.add_reader(self._tls_fd, self._read_tls)
        self._read_tls()  # what came with the handshake or the answer lies in the TLS socket, and wakes nobody

    def stop(self) -> None:
        """Ends it where it is, unless it is done."""
        self._finish(STOPPED)

    def read_no_more(self) -> None:
        """Ends it as stopped once what was read from both sides is handed on."""
        if not self.done.done():
            self._fail(STOPPED)

    def hear_out(self) -> None:
        """Takes no more from the plain side, and hands on what comes through the tunnel until the other end ends it."""
        if not self.done.done():
            self._deafen()

    # From the program into the tunnel

    def _read_plain(self) -> None:
        size = self._meter.allow(CHUNK)
        if size <= 0:
            self._loop.remove_reader(self._plain_fd)
            self._park()
            return
        try:
            size = self._plain.recv_into(_PAYLOAD, size)
        except BlockingIOError:
            return
        except OSError:
            self._finish(BROKEN)
            return
        if size:
            self._meter.sent(size)
            _BUFFER[:HEADER] = header(DATA, size)
            self._write_tls(_BUFFER[: HEADER + size])
        else:
            self._loop.remove_reader(self._plain_fd)
            self._seen_eof = True
            self._write_tls(_END_FRAME)

    def _write_tls(self, data: memoryview) -> None:
        at, send = 0, self._tls.send
        try:
            while at < len(data):
                at += send(data[at:])
        except _WAIT:
            if not self._out_rest:
                self._loop.remove_reader(self._plain_fd)
                self._loop.add_writer(self._tls_fd, self._flush_tls)
            self._out_rest = bytes(data[at:])
            return
        except OSError:
            self._out_rest = self._out_rest or b"?"  # a frame is unfinished: nothing can follow it
            self._finish(BROKEN)
            return
        if self._out_rest:
            self._out_rest = b""
            self._loop.remove_writer(self._tls_fd)
            if self._failure:
                self._fail(self._failure)
                return
            if not (self._seen_eof or self._deaf):
                self._loop.add_reader(self._plain_fd, self._read_plain)
        if self._seen_eof:
            self._ended_out = True
            self._finish_if_ended()

    def _flush_tls(self) -> None:
        self._write_tls(memoryview(self._out_rest))

    # From the tunnel to the program

    def _read_tls(self) -> None:
        if self._takes_nothing():
            return
        filled, failure, again, parked = 0, "", False, False
        most, read, left = -1, self._tls.recv_into, self._left  # most: by the meter, which is asked once a turn
        try:
            while True:
                if left == 0:
                    if filled and not self._tls.pending():
                        break  # a frame is complete; what comes after it wakes this up again
                    failure = self._read_header()
                    left = self._left
                    if failure or self._ended_in:
                        break
                    continue
                if most < 0:
                    most = self._meter.allow(CHUNK)
                    parked = most <= 0
                size = min(left, most - filled)
                if size <= 0:
                    again = not parked  # the rest may lie in the TLS socket already, and would wake nobody
                    break
                size = read(_PAYLOAD[filled:], size)
                if size == 0:
                    failure = CUT_OFF
                    break
                filled += size
                left -= size
        except _WAIT:
            pass
        except OSError:
            failure = CUT_OFF
        self._left = left
        if filled:
            self._meter.received(filled)
        if self._ended_in:
            self._loop.remove_reader(self._tls_fd)
        if filled or self._ended_in:
            self._write_plain(_PAYLOAD[:filled])
        if failure:
            self._fail(failure)
        elif parked:
            self._loop.remove_reader(self._tls_fd)
            self._park()
        elif again and not self._in_rest:
            self._loop.call_soon(self._read_tls)

    def _takes_nothing(self) -> bool:
        return self._ended_in or bool(self._in_rest) or bool(self._failure) or self.done.done()

    def _read_header(self) -> str:
        """Reads a frame's header; what is wrong with it, or nothing."""
        head = self._tls.read(HEADER - len(self._head))
        if not head:
            return CUT_OFF
        if len(head) < HEADER:  # seldom: it came in pieces
            self._head += head
            if len(self._head) < HEADER:
                return ""
            head = bytes(self._head)
            self._head.clear()
        kind, self._left = parse_header(head)
        if kind == END and self._left == 0:
            self._ended_in = True
        elif kind != DATA:
            return WAS_RESET if kind == RESET else MISUSED
        return ""

    def _write_plain(self, data: memoryview) -> None:
        at, waited = 0, bool(self._in_rest)
        try:
            while at < len(data):
                at += self._plain.send(data[at:])
        except BlockingIOError:
            if not waited:
                self._loop.remove_reader(self._tls_fd)
                self._loop.add_writer(self._plain_fd, self._flush_plain)
            self._in_rest = bytes(data[at:])
            return
        except OSError:
            self._finish(BROKEN)
            return
        if waited:
            self._in_rest = b""
            self._loop.remove_writer(self._plain_fd)
            if self._failure:
                self._fail(self._failure)
                return
            if not self._ended_in:
                self._loop.add_reader(self._tls_fd, self._read_tls)
                self._loop.call_soon(self._read_tls)
        if self._ended_in:
            with contextlib.suppress(OSError):
                self._plain.shutdown(socket.SHUT_WR)
            self._finish_if_ended()

    def _flush_plain(self) -> None:
        self._write_plain(memoryview(self._in_rest))

    # Waiting and ending

    def _park(self) -> None:
        if not self._parked:
            self._parked = True
            self._meter.park(self._resume)

    def _resume(self) -> None:
        self._parked = False
        if self.done.done() or self._failure:
            return
        if not (self._seen_eof or self._deaf or self._out_rest):
            self._loop.add_reader(self._plain_fd, self._read_plain)
        if not self._ended_in and not self._in_rest:
            self._loop.add_reader(self._tls_fd, self._read_tls)
            self._loop.call_soon(self._read_tls)

    def _deafen(self) -> None:
        self._deaf = True
        self._loop.remove_reader(self._plain_fd)

    def _fail(self, outcome: str) -> None:
        """Finishes, once nothing is left to hand on. With the tunnel gone nothing can go into it."""
        self._failure = outcome
        self._loop.remove_reader(self._tls_fd)
        self._deafen()
        if not self._in_rest and (outcome != STOPPED or not self._out_rest):
            self._finish(outcome)

    def _finish_if_ended(self) -> None:
        if self._ended_in and self._ended_out and not self._in_rest:
            self._finish(ENDED)

    def _finish(self, outcome: str) -> None:
        if self.done.done():
            return
        self.done.set_result(outcome)
        for fd in (self._plain_fd, self._tls_fd):
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
        self._meter.unpark(self._resume)
        if outcome == ENDED:
            return
        with contextlib.suppress(OSError):
            self._plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        if not self._out_rest:
            with contextlib.suppress(OSError):
                self._tls.send(_RESET_FRAME)
