"""Being timed by a master: hello, cookie, echo, several rounds at once.

Nothing is measured here, the master does that; what counts here is to echo each cookie at once, and only cookies that were asked for.
A round without a cookie is asked for again with a new nonce; the answer to an echo is silence, so what was lost shows at the check only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from chain.errors import Recoverable
from chain.types import Address
from provider.errors import ProviderError
from runtime.clock import Clock
from runtime.loop import wait_for_either
from wire.udp import Cookie, Echo, Hello, make_nonce, pack, parse

log = logging.getLogger(__name__)

TRIES = 3
"""Hellos per round before it counts as lost."""
COOKIE_WAIT_S = 0.6
"""Longer than any round trip that the network accepts."""
ROUND_SPACING_S = 0.02


class Unreachable(ProviderError, Recoverable):
    """The master's address cannot be reached from this machine."""


class Exchange(asyncio.DatagramProtocol):
    """Echoes the cookies that were asked for, each round once."""

    def __init__(self, provider: Address) -> None:
        self._provider = provider
        self._transport: asyncio.DatagramTransport | None = None
        self._asked: set[bytes] = set()
        self._echoed: dict[int, asyncio.Event] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's own datagram transport does not derive from the class that describes it, so this is not an isinstance.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def ask(self, nonce: bytes) -> asyncio.Event:
        """Sends a hello; the event is set once a cookie of its round has been echoed."""
        self._asked.add(nonce)
        self._send(pack(Hello(self._provider, nonce)))
        return self._echoed.setdefault(nonce[-1], asyncio.Event())

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:  # noqa: ARG002 - the socket is connected
        cookie = parse(data)
        if not isinstance(cookie, Cookie) or cookie.nonce not in self._asked:
            return
        if not self._echoed[cookie.round].is_set():
            self._send(pack(Echo(cookie)))
            self._echoed[cookie.round].set()

    def error_received(self, exc: Exception) -> None:
        log.debug("a master's address answers with %s", type(exc).__name__)

    @property
    def echoes(self) -> int:
        """Rounds echoed so far."""
        return sum(event.is_set() for event in self._echoed.values())

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data)


async def be_timed(endpoint: str, provider: Address, rounds: int, local_host: str, clock: Clock, entropy: Callable[[int], bytes]) -> int:
    """Runs the exchange with the master at `endpoint` (host:port) from `local_host`; the number of rounds echoed, 0 to `rounds`.

    entropy: gives that many random bytes. Raises `Unreachable` if there is no way to the address.
    """
    host, port = split_endpoint(endpoint)
    loop = asyncio.get_running_loop()
    try:
        transport, exchange = await loop.create_datagram_endpoint(
            lambda: Exchange(provider), local_addr=(local_host, 0), remote_addr=(host, port)
        )
    except OSError as error:
        raise Unreachable(f"there is no way to the master at {endpoint} ({error.strerror})") from error
    except ValueError as error:  # a host that no name server can be asked for, or an address of the other family than the own one
        raise Unreachable(f"the endpoint {endpoint[:80]!r} on chain cannot be reached from {local_host}") from error
    try:
        await asyncio.gather(*(_round(exchange, number, clock, entropy) for number in range(rounds)))
        return exchange.echoes
    finally:
        transport.close()


async def _round(exchange: Exchange, number: int, clock: Clock, entropy: Callable[[int], bytes]) -> None:
    await clock.sleep(number * ROUND_SPACING_S)
    for _ in range(TRIES):
        echoed = exchange.ask(make_nonce(entropy(7), number))
        if await wait_for_either(echoed, COOKIE_WAIT_S, clock):
            return


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[host]:port`; `Unreachable` if it is neither."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise Unreachable(f"the endpoint {endpoint[:80]!r} on chain is not host:port")
    return host.strip("[]"), int(port)
