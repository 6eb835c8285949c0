"""The one owner of an account's nonce: signs transactions, sees to it that they are mined, reports what became of them.

    ChainError
    ├── TransactionFailed    mined, and reverted; `receipt` says where
    ├── TransactionPending   (+ Recoverable) not mined within the time given; wait again
    └── NonceTaken           (+ Recoverable) another transaction of the account took its place; look at the chain, decide anew

Two processes with one key work, at the price of `NonceTaken` and of a retry now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from eth_account import Account

from chain.backend import Backend, BackendUnavailable, Reverted, RpcError
from chain.errors import ChainError, Recoverable
from chain.keys import NodeKey
from chain.types import Address, to_hex

Receipt = dict[str, object]
"""A receipt as JSON-RPC gives it."""

ATTEMPTS = 4
KEPT_FLIGHTS = 256
FEE_BUMP_PERCENT = 13
"""A little more than the 10 % (geth) and 12.5 % (others) nodes ask of a replacement."""
STUCK_POLLS = 5
"""Polls without a receipt after which a transaction is looked after: sent again, or outbid if the base fee left it behind."""
NONCE_USED = ("nonce too low", "replacement transaction underpriced")
log = logging.getLogger(__name__)


class TransactionFailed(ChainError):
    """A transaction was mined with status 0; it cost its gas and changed nothing."""

    def __init__(self, tx_hash: str, receipt: Receipt) -> None:
        self.tx_hash, self.receipt = tx_hash, receipt
        super().__init__(f"transaction {tx_hash} was mined and reverted")


class TransactionPending(ChainError, Recoverable):
    """A transaction is not mined yet."""

    def __init__(self, tx_hash: str, waited_s: float) -> None:
        self.tx_hash, self.waited_s = tx_hash, waited_s
        super().__init__(f"transaction {tx_hash} was not mined within {waited_s:g} s; it may still be")


class NonceTaken(ChainError, Recoverable):
    """Another transaction with the same nonce was mined, from this key but not from this sender."""

    def __init__(self, tx_hash: str, nonce: int) -> None:
        self.tx_hash, self.nonce = tx_hash, nonce
        super().__init__(f"transaction {tx_hash} can no longer be mined: nonce {nonce} was used by another one of the account")


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas: the tip, and the most that is paid in all."""

    tip: int
    maximum: int

    def raised(self, market: Fees) -> Fees:
        """Enough to replace a transaction with these fees, and not less than the market asks."""
        return Fees(max(_bumped(self.tip), market.tip), max(_bumped(self.maximum), market.maximum))


@dataclass(frozen=True, slots=True)
class Flight:
    """One nonce and what was sent for it: the newest signed bytes, and the hashes of all versions, newest last."""

    nonce: int
    to: Address | None
    data: bytes
    value: int
    gas: int
    fees: Fees
    raw: str
    hashes: tuple[str, ...]


class Sender:
    """Sends from one account on one chain. Share it among tasks; make one per key.

    `poll_s` is the pause between looks for a receipt.
    """

    def __init__(self, backend: Backend, key: NodeKey, chain_id: int, *, poll_s: float = 0.5) -> None:
        self._backend, self._key, self._chain_id, self._poll_s = backend, key, chain_id, poll_s
        self._lock = asyncio.Lock()
        self._next: int | None = None
        self._flights: OrderedDict[int, Flight] = OrderedDict()

    @property
    def address(self) -> Address:
        """The account it sends from."""
        return self._key.address

    async def send(self, to: Address | None, data: bytes = b"", value: int = 0, gas: int | None = None) -> str:
        """Sign a transaction, hand it to the node and return its hash, before it is mined. `to` None creates a contract.

        Without `gas` it is estimated on the latest state, plus a quarter; give `gas` if it depends on one that waits.
        Raises `Reverted` if the estimate shows that it would fail, `RpcError` if the node refuses it (no funds, say),
        `BackendUnavailable` if it is unknown whether it arrived: it may be mined, so look before doing it again.
        """
        async with self._lock:
            gas = gas if gas is not None else await self._estimate(to, data, value)
            fees = await self._market()
            for attempt in range(ATTEMPTS):
                try:
                    flight = self._sign(Flight(await self._take_nonce(), to, data, value, gas, fees, "", ()))
                    await self._broadcast(flight)
                except RpcError as error:
                    self._next = None
                    if attempt == ATTEMPTS - 1 or not _says(error, *NONCE_USED):
                        raise
                except BackendUnavailable:
                    self._next = None
                    raise
                else:
                    self._remember(flight)
                    self._next = flight.nonce + 1
                    return flight.hashes[-1]
            raise AssertionError("the last attempt returns or raises")

    async def wait(self, tx_hash: str, timeout_s: float = 60.0) -> Receipt:
        """The receipt of a transaction once it is mined, or of the version that replaced it at a higher fee.

        While it waits, what the node has lost is sent again and what the base fee left behind is sent with a higher fee.
        Raises `TransactionFailed`, `TransactionPending`, `NonceTaken`, `BackendUnavailable`, `RpcError`.
        """
        loop = asyncio.get_running_loop()
        deadline, polls = loop.time() + timeout_s, 0
        while True:
            silence: BackendUnavailable | None = None
            try:
                receipt = await self._receipt(tx_hash)
                if receipt is not None:
                    return receipt
                polls += 1
                if polls % STUCK_POLLS == 0:
                    await self._look_after(tx_hash)
            except BackendUnavailable as error:
                silence = error
            left = deadline - loop.time()
            if left <= 0:
                raise silence or TransactionPending(tx_hash, timeout_s)
            await asyncio.sleep(min(self._poll_s, left))

    async def _receipt(self, tx_hash: str) -> Receipt | None:
        flight = self._flight(tx_hash)
        for one in reversed(flight.hashes if flight else (tx_hash,)):
            receipt = await self._backend.request("eth_getTransactionReceipt", [one])
            if isinstance(receipt, dict) and receipt.get("blockNumber") is not None:
                if receipt.get("status") != "0x1":
                    raise TransactionFailed(one, receipt)
                return receipt
        return None

    async def _look_after(self, tx_hash: str) -> None:
        async with self._lock:
            flight = self._flight(tx_hash)
            if flight is None:
                return
            if await self._count("latest") > flight.nonce:
                if await self._receipt(tx_hash) is None:
                    raise NonceTaken(tx_hash, flight.nonce)
                return
            market = await self._market()
            base_fee = await self._base_fee()
            if flight.fees.maximum < base_fee:
                flight = self._sign(replace(flight, fees=flight.fees.raised(market)))
                log.info("transaction %s waits below the base fee; sent again with a higher fee as %s", tx_hash, flight.hashes[-1])
            try:
                await self._broadcast(flight)
            except RpcError as error:
                # Refused as a replacement or as too late: the receipt of an earlier version will tell.
                if not _says(error, *NONCE_USED):
                    raise
            else:
                self._remember(flight)

    async def _take_nonce(self) -> int:
        """The next nonce. What the node forgot of ours since (a restart, a reorganisation) is handed to it again first."""
        pending = await self._count("pending")
        if self._next is None or pending > self._next:
            self._next = pending
        for nonce in range(pending, self._next):
            flight = self._flights.get(nonce)
            if flight is None:
                self._next = nonce
                break
            await self._broadcast(flight)
        return self._next

    async def _broadcast(self, flight: Flight) -> None:
        """Hand the bytes to the node; the same bytes twice are harmless, so a lost answer is asked for again."""
        for attempt in range(ATTEMPTS):
            try:
                await self._backend.request("eth_sendRawTransaction", [flight.raw])
            except BackendUnavailable:
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(self._poll_s)
            except RpcError as error:
                if _says(error, "already known", "already imported"):
                    return
                if _says(error, "nonce too low") and await self._is_known(flight.hashes[-1]):
                    return
                raise
            else:
                return

    async def _is_known(self, tx_hash: str) -> bool:
        return await self._backend.request("eth_getTransactionByHash", [tx_hash]) is not None

    async def _estimate(self, to: Address | None, data: bytes, value: int) -> int:
        call: dict[str, object] = {"from": self.address, "data": to_hex(data), "value": hex(value)}
        if to is not None:
            call["to"] = to
        try:
            estimate = _number(await self._backend.request("eth_estimateGas", [call]), "eth_estimateGas")
        except RpcError as error:
            if (reverted := error.revert_data()) is not None:
                raise Reverted(reverted) from error
            raise
        return estimate + estimate // 4

    async def _market(self) -> Fees:
        """Twice the base fee and the tip: good for six full blocks on end."""
        tip = _number(await self._backend.request("eth_maxPriorityFeePerGas", []), "eth_maxPriorityFeePerGas")
        return Fees(tip, 2 * await self._base_fee() + tip)

    async def _base_fee(self) -> int:
        head = await self._backend.request("eth_getBlockByNumber", ["latest", False])
        return _number(head.get("baseFeePerGas") if isinstance(head, Mapping) else None, "the latest block")

    async def _count(self, tag: str) -> int:
        answer = await self._backend.request("eth_getTransactionCount", [self.address, tag])
        return _number(answer, "eth_getTransactionCount")

    def _sign(self, flight: Flight) -> Flight:
        signed = Account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": flight.nonce,
                "to": bytes.fromhex(flight.to[2:]) if flight.to else b"",
                "value": flight.value,
                "data": flight.data,
                "gas": flight.gas,
                "maxFeePerGas": flight.fees.maximum,
                "maxPriorityFeePerGas": flight.fees.tip,
            },
            self._key.secret(),
        )
        tx_hash = to_hex(bytes(signed.hash))
        return replace(flight, raw=to_hex(bytes(signed.raw_transaction)), hashes=(*flight.hashes, tx_hash))

    def _remember(self, flight: Flight) -> None:
        self._flights[flight.nonce] = flight
        while len(self._flights) > KEPT_FLIGHTS:
            self._flights.popitem(last=False)

    def _flight(self, tx_hash: str) -> Flight | None:
        return next((one for one in reversed(self._flights.values()) if tx_hash in one.hashes), None)


def _bumped(price: int) -> int:
    return price * (100 + FEE_BUMP_PERCENT) // 100 + 1


def _says(error: RpcError, *words: str) -> bool:
    return any(word in error.message.lower() for word in words)


def _number(answer: object, what: str) -> int:
    try:
        return int(cast(str, answer), 16)
    except (TypeError, ValueError):
        raise BackendUnavailable("the node", f"the answer to {what} is not a number") from None
