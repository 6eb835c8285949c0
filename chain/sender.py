"""The one owner of an account's nonce: signs transactions, sees to it that they are mined, reports what became of them.

    ChainError
    ├── TransactionFailed    mined, and reverted; `receipt` says where
    ├── TransactionPending   (+ Recoverable) not mined within the time given; wait again
    ├── Lost                 (+ Recoverable) a `BackendUnavailable`: it is unknown whether it arrived
    ├── OthersWait           (+ Recoverable) nothing was sent: what another process of the account sent is waited for first
    └── NonceTaken           (+ Recoverable) another transaction of the account took its place; look at the chain, decide anew

While a transaction is waited for, what the node has lost is sent again, one left behind or passed over is outbid under its own nonce up to
a limit, and a gap before it is filled. A call of which it is unknown whether it arrived keeps its nonce: the same call again is the same
transaction, and another one can at most take its place. Two processes with one key work, at the price of `NonceTaken` and of a retry now
and then. Long because whatever changes a nonce's fate is done under one lock, and read together.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from chain.backend import Backend, BackendUnavailable, Reverted, RpcError, is_known
from chain.errors import ChainError, Recoverable
from chain.flights import Deed, FeeLimits, Fees, Flight, signed
from chain.keys import NodeKey
from chain.types import Address, to_hex

Receipt = dict[str, object]
"""A receipt as JSON-RPC gives it."""

ATTEMPTS = 4
KEPT_FLIGHTS = 256
STUCK_POLLS = 5
"""Polls without a receipt after which a transaction is looked after: sent again, or outbid if the base fee left it behind."""
MOST_TENDED = 16
"""Nonces looked after at a time, the lowest first: those above wait for them anyway."""
KEPT_LOST, LOST_S = 16, 300.0
"""Calls of which it is unknown whether they arrived, and for how long the same call again is taken for the same: for longer while
nothing is mined under its nonce, since it may still be."""
DOUBTS = 3
"""Looks that agree before a nonce is believed to be another transaction's: a node that is behind another one may say so for a while."""
TRANSFER_GAS = 21_000
NONCE_USED = ("nonce too low", "replacement transaction underpriced")
TOO_CHEAP = ("underpriced", "less than block base fee", "fee too low", "gas price too low", "gas price below")
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


class OthersWait(ChainError, Recoverable):
    """A transaction of the account waits that this sender knows nothing of, so another one is not sent yet."""

    def __init__(self, nonce: int) -> None:
        self.nonce = nonce
        super().__init__(f"nothing is sent: a transaction of the account that this process knows nothing of waits under nonce {nonce}")


class Lost(BackendUnavailable):
    """It is unknown whether a transaction arrived: it may be mined."""

    def __init__(self, silence: BackendUnavailable, flight: Flight) -> None:
        self.flight = flight
        super().__init__(silence.endpoint, f"{silence.reason}; whether transaction {flight.hashes[-1]} arrived is unknown")


@dataclass(frozen=True, slots=True)
class _Market:
    """What the newest block, `block`, lets expect: its base fee in wei per gas, and what to offer."""

    fees: Fees
    base_fee: int
    block: int


class Sender:
    """Sends from one account on one chain. Share it among tasks; make one per key.

    `poll_s` is the pause between looks for a receipt, `limits` what transactions may cost. patient: it is one of a daemon that begins
    again after a crash: while the node's pool holds what it knows nothing of, which may be the very calls that it is about to send, it
    sends nothing, and after the patience of `limits` its own call takes the place of the first of those.
    """

    def __init__(
        self,
        backend: Backend,
        key: NodeKey,
        chain_id: int,
        *,
        poll_s: float = 0.5,
        limits: FeeLimits | None = None,
        patient: bool = False,
    ) -> None:
        self._backend, self._key, self._chain_id, self._poll_s = backend, key, chain_id, poll_s
        self._limits, self._patient = limits or FeeLimits(), patient
        self._others: tuple[int, float] | None = None
        self._lock = asyncio.Lock()
        self._next: int | None = None
        self._flights: OrderedDict[int, Flight] = OrderedDict()
        self._displaced: OrderedDict[str, Flight] = OrderedDict()
        self._lost: OrderedDict[Deed, Flight] = OrderedDict()
        self._doubts: Counter[int] = Counter()
        self._told = -1

    @property
    def address(self) -> Address:
        """The account it sends from."""
        return self._key.address

    async def send(self, to: Address | None, data: bytes = b"", value: int = 0, gas: int | None = None) -> str:
        """Sign a transaction, hand it to the node and return its hash, before it is mined. `to` None creates a contract.

        Without `gas` it is estimated on the latest state, plus a quarter; give `gas` if it depends on one that waits.
        Raises `Reverted` if the estimate shows that it would fail, `RpcError` if the node refuses it (no funds, say),
        `Lost` if it is unknown whether it arrived: it may be mined, and the same call again is then the same transaction.
        A patient sender raises `OthersWait`.
        """
        async with self._lock:
            lost = await self._doubtful((to, data, value))
            if lost is not None and (found := await self._found_again(lost)) is not None:
                return self._lift(found)
            others = await self._nonce_of_others() if self._patient else None
            gas = gas if gas is not None else await self._estimate(to, data, value)
            market = await self._market()
            fees = market.fees
            if others is not None:
                return self._lift(await self._take_over(Flight(others, to, data, value, gas, fees, "", ()), market))
            for attempt in range(ATTEMPTS):
                try:
                    flight = self._sign(Flight(await self._take_nonce(market), to, data, value, gas, fees, "", ()), market)
                    await self._broadcast(flight)
                except RpcError as error:
                    self._next = higher = None
                    if not _says(error, *NONCE_USED) and _says(error, *TOO_CHEAP):
                        market = await self._market()
                        higher = fees.raised(market.fees, self._limits.most)
                    if attempt == ATTEMPTS - 1 or not (higher or _says(error, *NONCE_USED)):
                        raise
                    fees = higher or fees
                except Lost as lost_now:
                    self._next = None
                    self._doubt(lost_now.flight)
                    raise
                except BackendUnavailable:
                    self._next = None
                    raise
                else:
                    return self._lift(flight)
            raise AssertionError("the last attempt returns or raises")

    async def wait(self, tx_hash: str, timeout_s: float = 60.0, depth: int = 1) -> Receipt:
        """The receipt of a transaction once it is mined, or of the version that replaced it at a higher fee, in a block with `depth`
        blocks on top, itself included.

        While it waits, what the node has lost is sent again, as after a reorganisation, and what the base fee left behind or blocks
        passed over is sent with a higher fee. Raises `TransactionFailed`, `TransactionPending`, `NonceTaken`, `BackendUnavailable`,
        `RpcError`.
        """
        loop = asyncio.get_running_loop()
        deadline, polls, mined = loop.time() + timeout_s, 0, False
        while True:
            silence: BackendUnavailable | None = None
            try:
                receipt = await self._receipt(tx_hash)
                if receipt is not None and (depth <= 1 or await self._depth(receipt) >= depth):
                    return receipt
                polls += 1
                undone, mined = mined and receipt is None, receipt is not None
                if undone:
                    log.warning("transaction %s is no longer mined: the chain was reorganised; it is sent again", tx_hash)
                if receipt is None and (undone or polls % STUCK_POLLS == 0):
                    await self._look_after(tx_hash)
            except BackendUnavailable as error:
                silence = error
            left = deadline - loop.time()
            if left <= 0:
                raise silence or TransactionPending(tx_hash, timeout_s)
            await asyncio.sleep(min(self._poll_s, left))

    async def depth_of(self, tx_hash: str) -> int:
        """How many blocks there are from that of a transaction, or of what replaced it, to the newest, both included; 0 while it is not
        mined. Raises as `wait` does."""
        receipt = await self._receipt(tx_hash)
        return 0 if receipt is None else await self._depth(receipt)

    async def _receipt(self, tx_hash: str) -> Receipt | None:
        flight = self._flight(tx_hash)
        for one in reversed(flight.hashes if flight else (tx_hash,)):
            receipt = await self._backend.request("eth_getTransactionReceipt", [one])
            if isinstance(receipt, dict) and receipt.get("blockNumber") is not None:
                if receipt.get("status") != "0x1":
                    raise TransactionFailed(one, receipt)
                return receipt
        return None

    async def _depth(self, receipt: Receipt) -> int:
        head = _number(await self._backend.request("eth_blockNumber", []), "eth_blockNumber")
        return head - _number(receipt["blockNumber"], "a receipt") + 1

    async def _look_after(self, tx_hash: str) -> None:
        """Its own transaction, and those with lower nonces that it has to wait for."""
        async with self._lock:
            flight = self._flight(tx_hash)
            if flight is None:
                return
            mined = await self._count("latest")
            if mined > flight.nonce:
                if await self._receipt(tx_hash) is None:
                    self._doubts[flight.nonce] += 1
                    if self._doubts[flight.nonce] >= DOUBTS:
                        raise NonceTaken(tx_hash, flight.nonce)
                return
            self._doubts.pop(flight.nonce, None)
            market, pending = await self._market(), await self._count("pending")
            for nonce in range(mined, min(flight.nonce + 1, mined + MOST_TENDED)):
                known = self._flights.get(nonce)
                if known is None and nonce >= pending:  # a gap: of what was lost, or of nothing that is ours
                    known = next((lost for lost in self._lost.values() if lost.nonce == nonce), None)
                if known is None and nonce >= pending:
                    log.info("nonce %d is missing; an empty transaction fills it", nonce)
                    known = self._sign(Flight(nonce, self.address, b"", 0, TRANSFER_GAS, market.fees, "", ()), market)
                if known is not None:
                    await self._tend(known, market, first=nonce == mined)

    async def _tend(self, flight: Flight, market: _Market, *, first: bool) -> None:
        """Sends it again, with a higher fee if it is below the base fee, or if it is the `first` to be mined and was passed over."""
        before = flight
        waited = asyncio.get_running_loop().time() - flight.since >= self._limits.patience_s
        passed_over = first and waited and market.block - flight.block >= self._limits.passed_over
        if flight.fees.maximum < market.base_fee or passed_over:
            higher = flight.fees.raised(market.fees, self._limits.most)
            if higher is not None:
                flight = self._sign(replace(flight, fees=higher), market)
                why = "was passed over" if passed_over else "waits below the base fee"
                log.info("the transaction of nonce %d %s; sent again with a higher fee as %s", flight.nonce, why, flight.hashes[-1])
            elif waited and self._told != flight.nonce:
                self._told = flight.nonce
                log.warning("the transaction of nonce %d waits: more than %d wei for a gas is not offered", flight.nonce, self._limits.most)
        self._remember(flight)  # before it is known whether it arrived: if no answer comes it may be this version that is mined
        try:
            await self._broadcast(flight)
        except RpcError as error:
            # Refused as a replacement, as too cheap or as too late: the next look offers more, the receipt of an earlier version will tell.
            if not _says(error, *NONCE_USED, *TOO_CHEAP):
                self._remember(before)
                raise

    async def _take_nonce(self, market: _Market) -> int:
        """The next nonce. What the node forgot of ours since (a restart, a reorganisation) is handed to it again first."""
        pending = await self._count("pending")
        if self._next is None or pending > self._next:
            self._next = pending
        for nonce in range(pending, self._next):
            flight = self._flights.get(nonce)
            if flight is None:
                self._next = nonce
                break
            await self._tend(flight, market, first=False)
        return self._next

    async def _nonce_of_others(self) -> int | None:
        """The lowest nonce under which what this sender knows nothing of has waited for too long; None if nothing does. `OthersWait`."""
        mined, pending = await self._count("latest"), await self._count("pending")
        known = {*self._flights, *(lost.nonce for lost in self._lost.values())}
        nonce = next((one for one in range(mined, pending) if one not in known), None)
        if nonce is None:
            self._others = None
            return None
        now = asyncio.get_running_loop().time()
        if self._others is None or self._others[0] != nonce:
            self._others = nonce, now
        if now - self._others[1] < self._limits.patience_s:
            raise OthersWait(nonce)
        return nonce

    async def _take_over(self, flight: Flight, market: _Market) -> Flight:
        """Offers ever more for a nonce that another transaction has, until the node takes it; `OthersWait` if it does not."""
        while True:
            flight = self._sign(flight, market)
            try:
                await self._broadcast(flight)
            except Lost as lost:
                self._doubt(lost.flight)
                raise
            except RpcError as error:
                if not _says(error, *NONCE_USED, *TOO_CHEAP):
                    raise
                higher = flight.fees.raised(market.fees, self._limits.most)
                if higher is None or _says(error, "nonce too low"):
                    raise OthersWait(flight.nonce) from error
                flight = replace(flight, fees=higher)
            else:
                log.info("what another process sent under nonce %d waits too long; %s takes its place", flight.nonce, flight.hashes[-1])
                return flight

    async def _broadcast(self, flight: Flight) -> None:
        """Hand the bytes to the node; the same bytes twice are harmless, so a lost answer is asked for again. `Lost` if none comes, or
        if what may have been taken then is refused now."""
        silence: BackendUnavailable | None = None
        for attempt in range(ATTEMPTS):
            try:
                await self._backend.request("eth_sendRawTransaction", [flight.raw])
            except BackendUnavailable as error:
                silence = error
                if attempt < ATTEMPTS - 1:
                    await asyncio.sleep(self._poll_s)
            except RpcError as error:
                if is_known(error) or await self._is_known(flight):  # each kind of node says it in its own words
                    return
                if silence is not None:
                    raise Lost(silence, flight) from error
                raise
            else:
                return
        if silence is not None:
            raise Lost(silence, flight)

    def _doubt(self, flight: Flight) -> None:
        """Keeps what was lost, unless a caller has its hash already: that one knows what to wait for."""
        if self._flight(flight.hashes[-1]) is None:
            self._lost[flight.deed] = flight
            while len(self._lost) > KEPT_LOST:
                self._lost.popitem(last=False)

    async def _doubtful(self, deed: Deed) -> Flight | None:
        """What was lost of the same call, unless it was long ago and its nonce is used since: then this is another call."""
        lost = self._lost.get(deed)
        long_ago = lost is not None and lost.since < asyncio.get_running_loop().time() - LOST_S
        if lost is not None and long_ago and await self._count("latest") > lost.nonce:
            del self._lost[deed]
            return None
        return lost

    async def _found_again(self, lost: Flight) -> Flight | None:
        """The transaction of which that was unknown, with the node now at the latest; None if its nonce is known to be another one's.

        It keeps its nonce whatever a node says against it, as another node may have it. One that is too cheap offers more there.
        """
        newer = self._flights.get(lost.nonce)
        lost = newer if newer is not None and newer.deed == lost.deed else lost
        for _ in range(ATTEMPTS):
            try:
                await self._broadcast(lost)
            except RpcError as error:
                if _says(error, "nonce too low"):
                    if await self._is_mined(lost):
                        return lost
                    self._doubts[lost.nonce] += 1
                    if self._doubts[lost.nonce] >= DOUBTS:
                        del self._lost[lost.deed]
                        return None
                    raise _unsure(lost, "its nonce is used, by what is unknown") from error
                if not _says(error, *NONCE_USED, *TOO_CHEAP):
                    raise
                lost = await self._outbid(lost, error)
            else:
                return lost
        raise _unsure(lost, "its nonce is another one's, which offers more")

    async def _outbid(self, lost: Flight, refusal: RpcError) -> Flight:
        """The lost call with a higher fee under its nonce; `Lost` if another call of this sender waits there, or the limit is reached."""
        market, other = await self._market(), self._flights.get(lost.nonce)
        if other is not None and other.deed != lost.deed:
            await self._tend(other, market, first=True)
            raise _unsure(lost, "its nonce is that of another call, which still waits") from refusal
        higher = lost.fees.raised(market.fees, self._limits.most)
        if higher is None:
            raise _unsure(lost, f"more than {self._limits.most} wei for a gas is not offered") from refusal
        self._lost[lost.deed] = raised = self._sign(replace(lost, fees=higher), market)
        log.info("what was lost under nonce %d is refused: %s; it is sent again with a higher fee", lost.nonce, refusal.message)
        return raised

    def _lift(self, flight: Flight) -> str:
        """It is with the node."""
        self._remember(flight)
        self._lost.pop(flight.deed, None)
        self._doubts.pop(flight.nonce, None)
        self._next = max(self._next or 0, flight.nonce + 1)
        return flight.hashes[-1]

    async def _is_known(self, flight: Flight) -> bool:
        try:
            return await self._backend.request("eth_getTransactionByHash", [flight.hashes[-1]]) is not None
        except BackendUnavailable as silence:
            raise Lost(silence, flight) from silence

    async def _is_mined(self, flight: Flight) -> bool:
        """Whether a version of it is in a block."""
        for one in flight.hashes:
            if await self._backend.request("eth_getTransactionReceipt", [one]) is not None:
                return True
        return False

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

    async def _market(self) -> _Market:
        """Twice the base fee and the tip: good for six full blocks on end."""
        tip = _number(await self._backend.request("eth_maxPriorityFeePerGas", []), "eth_maxPriorityFeePerGas")
        head = await self._backend.request("eth_getBlockByNumber", ["latest", False])
        if not isinstance(head, Mapping):
            raise BackendUnavailable("the node", "it shows no latest block")
        base_fee, block = _number(head.get("baseFeePerGas"), "the latest block"), _number(head.get("number"), "the latest block")
        return _Market(Fees(tip, 2 * base_fee + tip).within(self._limits.most), base_fee, block)

    async def _count(self, tag: str) -> int:
        answer = await self._backend.request("eth_getTransactionCount", [self.address, tag])
        return _number(answer, "eth_getTransactionCount")

    def _sign(self, flight: Flight, market: _Market) -> Flight:
        return signed(replace(flight, since=asyncio.get_running_loop().time(), block=market.block), self._key, self._chain_id)

    def _remember(self, flight: Flight) -> None:
        """Whoever waits for another call that had its nonce is to learn which of the two is mined."""
        before = self._flights.get(flight.nonce)
        if before is not None and before.deed != flight.deed:
            self._displaced[before.hashes[0]] = before
            while len(self._displaced) > KEPT_LOST:
                self._displaced.popitem(last=False)
        self._flights[flight.nonce] = flight
        while len(self._flights) > KEPT_FLIGHTS:
            self._flights.popitem(last=False)

    def _flight(self, tx_hash: str) -> Flight | None:
        known = (*reversed(self._flights.values()), *self._displaced.values())
        return next((one for one in known if tx_hash in one.hashes), None)


def _unsure(lost: Flight, why: str) -> Lost:
    return Lost(BackendUnavailable("the node", why), lost)


def _says(error: RpcError, *words: str) -> bool:
    said = error.message.lower().replace(" ", "")  # some nodes write these as one word
    return any(word.replace(" ", "") in said for word in words)


def _number(answer: object, what: str) -> int:
    try:
        return int(cast(str, answer), 16)
    except (TypeError, ValueError):
        raise BackendUnavailable("the node", f"the answer to {what} is not a number") from None
