"""Dialling back: does the node whose key signed an announcement answer where the echoes came from?

Only an address that has just echoed is dialled, or the relay of a listed master, so no third party is; and only so often, so the echoing
network is not either.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from chain.typed import Domain
from chain.types import Address
from master.echo import EpochSlot
from wire.addresses import IPAddress
from wire.relay import CALL, opening
from wire.relays import RelayPlace
from wire.secure import ChannelError, connect
from wire.tls import BindingError, client_context, peer_address

PER_ADDRESS_AND_PORT = 2
PER_ADDRESS = 16
TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a dial-back found. code: `ok`, or that of the refusal. detail: a few words for whoever runs the provider."""

    code: Literal["ok", "dial_back_failed", "dial_back_wrong_key"]
    detail: str = ""


Dial = Callable[[IPAddress, int, Address, float], Awaitable[Verdict]]
"""Dials an address and a port, and says whether that node (an account) is there at a UTC second."""


class DialLimits:
    """Counts the dial-backs of one slot, by the address that echoed. Through a relay it is the provider that counts for the port."""

    def __init__(self) -> None:
        self._slot: EpochSlot | None = None
        self._dials: Counter[tuple[IPAddress, int | Address | None]] = Counter()

    def left(self, at: EpochSlot, address: IPAddress, port: int | Address) -> int:
        """How often this address and port may still be dialled in this slot; 0 for a slot that is over."""
        if self._slot is None or at > self._slot:
            self._slot = at
            self._dials.clear()
        if at < self._slot:
            return 0
        of_port = PER_ADDRESS_AND_PORT - self._dials[address, port]
        return min(of_port, PER_ADDRESS - self._dials[address, None])

    def take(self, at: EpochSlot, address: IPAddress, port: int | Address) -> bool:
        """Uses one up; False, and nothing is used, if none is left."""
        if self.left(at, address, port) <= 0:
            return False
        self._dials[address, port] += 1
        self._dials[address, None] += 1
        return True


class Dialer:
    """Dials by TLS 1.3 from the address this node is bound to."""

    def __init__(self, bind_host: str, domain: Domain, timeout_s: float = TIMEOUT_S) -> None:
        self._local, self._domain, self._timeout_s = ipaddress.ip_address(bind_host), domain, timeout_s
        self._context = client_context()

    async def dial(self, address: IPAddress, port: int, provider: Address, now: float) -> Verdict:
        """Connects, looks at the certificate and hangs up at once. Raises nothing."""
        local = (str(self._local), 0) if self._local.version == address.version else None
        try:
            async with asyncio.timeout(self._timeout_s):
                _, writer = await asyncio.open_connection(str(address), port, ssl=self._context, local_addr=local)
        except TimeoutError:
            return Verdict("dial_back_failed", f"no TLS connection within {self._timeout_s:g} s")
        except ssl.SSLError as error:
            return Verdict("dial_back_failed", f"no TLS 1.3 there: {error.reason or 'handshake failed'}")
        except OSError as error:
            return Verdict("dial_back_failed", f"no connection: {error.strerror or type(error).__name__}")
        try:
            found = peer_address(writer.get_extra_info("ssl_object").getpeercert(binary_form=True), self._domain, now)
        except BindingError as error:
            return Verdict("dial_back_wrong_key", str(error))
        finally:
            writer.transport.abort()
        return _verdict(found, provider)

    async def dial_relay(self, place: RelayPlace, provider: Address, now: float) -> Verdict:
        """The same through a relay. Raises nothing."""
        host = ipaddress.ip_address(place.host)
        local = str(self._local) if self._local.version == host.version else None
        try:
            said = opening(CALL, provider)
            channel = await connect(place.host, place.port, local, self._context, self._timeout_s, said)
        except ChannelError as error:
            return Verdict("dial_back_failed", f"through the relay: {error}")
        try:
            return _verdict(peer_address(channel.certificate, self._domain, now), provider)
        except BindingError as error:
            return Verdict("dial_back_wrong_key", str(error))
        finally:
            channel.close()


def _verdict(found: Address, provider: Address) -> Verdict:
    return Verdict("ok") if found == provider else Verdict("dial_back_wrong_key", f"{found} answers there")
