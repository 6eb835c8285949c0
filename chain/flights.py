"""Signed transactions (EIP-1559) and what they may cost: an offer of fees, and when a higher one takes its place."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rlp.codec import encode as rlp_encode

from chain.hashing import keccak
from chain.keys import NodeKey
from chain.types import Address, to_hex

GWEI = 10**9
FEE_BUMP_PERCENT = 13
LEAST_BUMP_PERMILLE = 1_125
"""What nodes ask of a replacement at most: 10 % (geth) or 12.5 % (others) more, of the tip and of the whole."""
TYPE = b"\x02"
"""Of EIP-1559, in front of a transaction's bytes (EIP-2718)."""


Deed = tuple[Address | None, bytes, int]
"""To whom, which data, and wei."""


@dataclass(frozen=True, slots=True)
class FeeLimits:
    """most: wei per gas that a transaction offers in all, whatever the market asks: in a spike it waits. patience_s: how long, and
    passed_over: by how many blocks, one that a block could have held is left out before more is offered for it."""

    most: int = 500 * GWEI
    patience_s: float = 30.0
    passed_over: int = 3


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas: the tip, and the most that is paid in all."""

    tip: int
    maximum: int

    def within(self, most: int) -> Fees:
        """The same, but at most `most` in all."""
        return Fees(min(self.tip, self.maximum, most), min(self.maximum, most))

    def raised(self, market: Fees, most: int) -> Fees | None:
        """Enough to replace a transaction with these fees, and not less than the market asks; None if that would be above `most`."""
        higher = Fees(max(_bumped(self.tip), market.tip), max(_bumped(self.maximum), market.maximum)).within(most)
        pairs = ((self.tip, higher.tip), (self.maximum, higher.maximum))
        return higher if all(new > old and new * 1000 >= old * LEAST_BUMP_PERMILLE for old, new in pairs) else None


@dataclass(frozen=True, slots=True)
class Flight:
    """One nonce and what was sent for it: the newest signed bytes, and the hashes of all versions, newest last. since: when the newest
    one was signed, in seconds of the loop's clock; block: the newest block then."""

    nonce: int
    to: Address | None
    data: bytes
    value: int
    gas: int
    fees: Fees
    raw: str
    hashes: tuple[str, ...]
    since: float = 0.0
    block: int = 0

    @property
    def deed(self) -> Deed:
        """What it does, whatever it costs."""
        return self.to, self.data, self.value


def signed(flight: Flight, key: NodeKey, chain_id: int) -> Flight:
    """The flight with the bytes that its fees make, and their hash."""
    raw = transaction(key, chain_id, flight)
    return replace(flight, raw=to_hex(raw), hashes=(*flight.hashes, to_hex(keccak(raw))))


def transaction(key: NodeKey, chain_id: int, flight: Flight) -> bytes:
    """The bytes of the transaction (EIP-1559, no access list): `0x02 || rlp([…, v, r, s])`, signed without the last three."""
    to = bytes.fromhex(flight.to[2:]) if flight.to else b""
    members = [chain_id, flight.nonce, flight.fees.tip, flight.fees.maximum, flight.gas, to, flight.value, flight.data, []]
    signature = key.sign(keccak(TYPE + bytes(rlp_encode(members))))
    r, s, v = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64] - 27
    return TYPE + bytes(rlp_encode([*members, v, r, s]))


def _bumped(price: int) -> int:
    return price * (100 + FEE_BUMP_PERCENT) // 100 + 1
