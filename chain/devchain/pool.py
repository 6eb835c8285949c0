"""Transactions that wait for a block: what is accepted, what replaces what, and in which order they are mined.

Rules and messages are geth's. A sender's transactions are mined in the order of their nonces; one above a gap waits
until the gap is filled. Senders take turns by time of arrival, so nobody overtakes by paying more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from eth.abc import SignedTransactionAPI, StateAPI
from eth.exceptions import VMError
from eth_keys.exceptions import BadSignature
from eth_typing import Address as RawAddress
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from chain.backend import INVALID_PARAMS, SERVER_ERROR, RpcError
from chain.devchain.answers import ACCESS_LIST, DYNAMIC_FEE, LEGACY, SET_CODE, type_of
from chain.devchain.ledger import decode_transaction, floor_gas

MAX_WAITING = 8192
MAX_RAW_BYTES = 128 * 1024
PRICE_BUMP_PERCENT = 10


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction in the pool; `arrival` counts up."""

    transaction: SignedTransactionAPI
    sender: bytes
    arrival: int

    @property
    def hash(self) -> bytes:
        return self.transaction.hash


class Pool:
    """All waiting transactions, by sender and nonce."""

    def __init__(self, chain_id: int, gas_limit: int) -> None:
        self._chain_id, self._gas_limit = chain_id, gas_limit
        self._senders: dict[bytes, dict[int, Waiting]] = {}
        self._hashes: dict[bytes, Waiting] = {}
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return len(self._hashes)

    def get(self, transaction_hash: bytes) -> SignedTransactionAPI | None:
        """The waiting transaction with this hash."""
        waiting = self._hashes.get(transaction_hash)
        return waiting.transaction if waiting else None

    def add(self, raw: bytes, state: StateAPI, is_mined: Callable[[bytes], bool]) -> bytes:
        """Accept a signed transaction as it came; returns its hash. `RpcError` with geth's words if it is refused."""
        signed, sender = self._decode(raw)
        if signed.hash in self._hashes or is_mined(signed.hash):
            raise _refused("already known")
        nonce, cost = state.get_nonce(RawAddress(sender)), signed.gas * signed.max_fee_per_gas + signed.value
        if signed.nonce < nonce:
            raise _refused(f"nonce too low: next nonce {nonce}, tx nonce {signed.nonce}")
        if (balance := state.get_balance(RawAddress(sender))) < cost:
            raise _refused(f"insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {cost - balance}")
        mine = self._senders.get(sender, {})
        old = mine.get(signed.nonce)
        if old is not None and not _outbids(signed, old.transaction):
            raise _refused("replacement transaction underpriced")
        if old is None and len(self._hashes) >= MAX_WAITING:
            raise _refused("txpool is full")
        waiting = Waiting(signed, sender, old.arrival if old else next(self._arrivals))
        if old is not None:
            del self._hashes[old.hash]
        self._senders.setdefault(sender, {})[signed.nonce] = waiting
        self._hashes[signed.hash] = waiting
        return signed.hash

    def remove(self, transaction_hash: bytes) -> None:
        """Drop it, if it is here."""
        waiting = self._hashes.pop(transaction_hash, None)
        if waiting is not None:
            mine = self._senders[waiting.sender]
            del mine[waiting.transaction.nonce]
            if not mine:
                del self._senders[waiting.sender]

    def forget_mined(self, state: StateAPI) -> None:
        """Drop every transaction whose nonce is used up in this state."""
        for sender, mine in list(self._senders.items()):
            nonce = state.get_nonce(RawAddress(sender))
            for waiting in [one for key, one in mine.items() if key < nonce]:
                self.remove(waiting.hash)

    def next_nonce(self, sender: bytes, nonce: int) -> int:
        """The first nonce not taken, going up from the account's own `nonce` without a gap."""
        mine = self._senders.get(sender, {})
        while nonce in mine:
            nonce += 1
        return nonce

    def ready(self, state: StateAPI) -> list[Waiting]:
        """Everything that can be mined on this state, in mining order: by arrival, but never a nonce before its predecessor."""
        queue: list[Waiting] = []
        for sender, mine in self._senders.items():
            first, latest = state.get_nonce(RawAddress(sender)), -1
            for nonce in range(first, self.next_nonce(sender, first)):
                # A predecessor that came late holds back those after it.
                latest = max(latest, mine[nonce].arrival)
                queue.append(Waiting(mine[nonce].transaction, sender, latest))
        return sorted(queue, key=lambda one: (one.arrival, one.transaction.nonce))

    def content(self, state: StateAPI) -> Iterator[tuple[bytes, int, SignedTransactionAPI, bool]]:
        """Sender, nonce, transaction and whether no gap is before it, of all that waits."""
        for sender, mine in self._senders.items():
            following = self.next_nonce(sender, state.get_nonce(RawAddress(sender)))
            for nonce, waiting in sorted(mine.items()):
                yield sender, nonce, waiting.transaction, nonce < following

    def _decode(self, raw: bytes) -> tuple[SignedTransactionAPI, bytes]:
        if len(raw) > MAX_RAW_BYTES:
            raise _refused(f"oversized data: transaction size {len(raw)}, limit {MAX_RAW_BYTES}")
        if raw[:1] and raw[0] < 0x80 and raw[0] not in (ACCESS_LIST, DYNAMIC_FEE, SET_CODE):
            raise _refused("transaction type not supported")
        try:
            signed = decode_transaction(raw)
        except (RLPException, ValidationError, VMError, ValueError, TypeError, IndexError) as error:
            raise RpcError(INVALID_PARAMS, f"the bytes are not a signed transaction: {type(error).__name__}") from error
        if type_of(signed) == LEGACY and signed.chain_id is None:
            raise _refused("only replay-protected (EIP-155) transactions allowed over RPC")
        if signed.chain_id != self._chain_id:
            raise _refused(f"invalid chain id for signer: have {signed.chain_id} want {self._chain_id}")
        if signed.max_priority_fee_per_gas > signed.max_fee_per_gas:
            raise _refused("max priority fee per gas higher than max fee per gas")
        if signed.gas > self._gas_limit:
            raise _refused(f"exceeds block gas limit: {signed.gas} of {self._gas_limit}")
        if signed.gas < (needed := max(signed.intrinsic_gas, floor_gas(signed.data))):
            raise _refused(f"intrinsic gas too low: gas {signed.gas}, minimum needed {needed}")
        try:
            signed.validate()
            sender = signed.sender
        except (ValidationError, BadSignature, ValueError) as error:
            raise _refused(f"invalid transaction: {error}") from error
        return signed, sender


def _outbids(new: SignedTransactionAPI, old: SignedTransactionAPI) -> bool:
    return all(
        now * 100 >= before * (100 + PRICE_BUMP_PERCENT) and now > before
        for now, before in (
            (new.max_fee_per_gas, old.max_fee_per_gas),
            (new.max_priority_fee_per_gas, old.max_priority_fee_per_gas),
        )
    )


def _refused(message: str) -> RpcError:
    return RpcError(SERVER_ERROR, message)
