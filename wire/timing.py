"""The near end of the timing exchange with a master: being timed by it, as providers are, or timing it, as consumers do.

    Unreachable    Recoverable: there is no way to the master's address

A provider measures nothing, the master does that: what counts is to echo each cookie at once, and only cookies that were asked for. A
consumer takes the time from its hello to the cookie and echoes none, so the master keeps nothing of it. A round without a cookie is asked
for again with a new nonce; the answer to an echo is silence, so what was lost of those shows at the check only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from chain.errors import Recoverable
from chain.types import Address
from runtime.clock import Clock
from runtime.loop import wait_for_either
from wire.udp import Cookie, Echo, Hello, make_nonce, pack, parse

log = logging.getLogger(__name__)

TRIES = 3
"""Hellos per round before it counts as lost."""
COOKIE_WAIT_S = 0.6
"""Longer than any round trip that the network accepts."""
ROUND_SPACING_S = 0.02


class Unreachable(Recoverable):
    """The master's address cannot be reached from this machine."""


class Exchange(asyncio.DatagramProtocol):
    """Takes the cookies that were asked for, each round once, and echoes them if it is to be timed."""

    def __init__(self, account: Address, *, echoes: bool) -> None:
        self._account, self._echoes = account, echoes
        self._transport: asyncio.DatagramTransport | None = None
        self._asked: dict[bytes, float] = {}
        self._answered: dict[int, asyncio.Event] = {}
        self.rtts_us: list[int] = []
        """From hello to cookie, microseconds on this machine's monotonic clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's own datagram transport does not derive from the class that describes it, so this is not an isinstance.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def ask(self, nonce: bytes) -> asyncio.Event:
        """Sends a hello; the event is set once a cookie of its round has come."""
        self._asked[nonce] = asyncio.get_running_loop().time()
        self._send(pack(Hello(self._account, nonce)))
        return self._answered.setdefault(nonce[-1], asyncio.Event())

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:  # noqa: ARG002 - the socket is connected
        cookie = parse(data)
        if not isinstance(cookie, Cookie) or cookie.nonce not in self._asked:
            return
        if not self._answered[cookie.round].is_set():
            if self._echoes:
                self._send(pack(Echo(cookie)))
            self.rtts_us.append(int((asyncio.get_running_loop().time() - self._asked[cookie.nonce]) * 1_000_000))
            self._answered[cookie.round].set()

    def error_received(self, exc: Exception) -> None:
        log.debug("a master's address answers with %s", type(exc).__name__)

    @property
    def answered(self) -> int:
        """Rounds with a cookie so far."""
        return sum(event.is_set() for event in self._answered.values())

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data)


async def be_timed(endpoint: str, provider: Address, rounds: int, local_host: str, clock: Clock, entropy: Callable[[int], bytes]) -> int:
    """Runs the exchange with the master at `endpoint` (host:port) from `local_host`; the number of rounds echoed, 0 to `rounds`.

    entropy: gives that many random bytes. Raises `Unreachable` if there is no way to the address.
    """
    async with _exchanging(endpoint, local_host, Exchange(provider, echoes=True)) as exchange:
        await _rounds(exchange, rounds, clock, entropy)
        return exchange.answered


async def time_master(endpoint: str, rounds: int, local_host: str, clock: Clock, entropy: Callable[[int], bytes]) -> int | None:
    """The minimum round trip to the master at `endpoint`, microseconds; None if no cookie came. Raises `Unreachable`.

    The hellos name an account drawn for the purpose: a master learns an address on the internet that it cannot put a name to.
    """
    nobody = Address("0x" + entropy(20).hex())
    async with _exchanging(endpoint, local_host, Exchange(nobody, echoes=False)) as exchange:
        await _rounds(exchange, rounds, clock, entropy)
        return min(exchange.rtts_us, default=None)


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[host]:port`; `Unreachable` if it is neither."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise Unreachable(f"the endpoint {endpoint[:80]!r} on chain is not host:port")
    return host.strip("[]"), int(port)


@contextlib.asynccontextmanager
async def _exchanging(endpoint: str, local_host: str, exchange: Exchange) -> AsyncIterator[Exchange]:
    host, port = split_endpoint(endpoint)
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(lambda: exchange, local_addr=(local_host, 0), remote_addr=(host, port))
    except OSError as error:
        raise Unreachable(f"there is no way to the master at {endpoint} ({error.strerror})") from error
    except ValueError as error:  # a host that no name server can be asked for, or an address of the other family than the own one
        raise Unreachable(f"the endpoint {endpoint[:80]!r} on chain cannot be reached from {local_host}") from error
    try:
        yield exchange
    finally:
        transport.close()


async def _rounds(exchange: Exchange, rounds: int, clock: Clock, entropy: Callable[[int], bytes]) -> None:
    await asyncio.gather(*(_round(exchange, number, clock, entropy) for number in range(rounds)))


async def _round(exchange: Exchange, number: int, clock: Clock, entropy: Callable[[int], bytes]) -> None:
    await clock.sleep(number * ROUND_SPACING_S)
    for _ in range(TRIES):
        answered = exchange.ask(make_nonce(entropy(7), number))
        if await wait_for_either(answered, COOKIE_WAIT_S, clock):
            return
