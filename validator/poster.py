"""Puts calls on chain and says what became of them; a call that was sent is waited for, not sent again, also if its block was undone.

Whether an epoch is posted is the chain's to say: another's post is as good as one's own.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass

from chain.abi import ContractRefused, decode_revert
from chain.backend import ReadRefused, Reverted, RpcError
from chain.contracts import Call
from chain.failover import MOST_LAG
from chain.sender import NonceTaken, Sender, TransactionFailed

NOT_SENT = "NotSent"
"""Stands for the contract's refusal where the chain's node took the transaction not at all: no funds for gas, say."""

ONCE = ("propose", "post", "activate")
"""What is done once and for all. A `post` again does nothing, at the price of its gas, so the contract refuses none."""
KEPT_MINED = 64
"""Calls, the newest, that were mined, but not for good as far as is known."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """A call's outcome. transaction: its hash, empty if it was refused before it was sent. refusal: why it failed, None if it did not.
    effect: whether it changed anything; posting what another has posted does not."""

    transaction: str
    refusal: ContractRefused | None = None
    effect: bool = True

    @property
    def done(self) -> bool:
        return self.refusal is None


About = tuple[int | str, ...]
"""What a call is about: with its kind the name under which it is sent once."""


class Poster:
    """Sends each named call at most once at a time. Tasks may share it, each with names of its own: nonces are the sender's to give.

    `wait_s` is how long one step waits for a transaction to be mined. A call whose block was undone is the same transaction again if it is
    asked for. `depth`: what has so many blocks on top, itself included, is not undone; until then, and as far as one of several nodes may
    lie behind, whoever asks again for what is done once has seen a chain without it, and is given the transaction that did it.
    """

    def __init__(self, sender: Sender, wait_s: float, depth: int = 1) -> None:
        self._sender, self._wait_s, self._depth = sender, wait_s, max(depth, MOST_LAG + 1)
        self._waiting: dict[tuple[str, About], str] = {}
        self._mined: OrderedDict[tuple[str, About], str] = OrderedDict()

    def is_waiting(self, what: str, first: int | str) -> bool:
        """Whether a call of this kind about something that begins with `first` was sent and not seen mined."""
        return any(kind == what and about[0] == first for kind, about in self._waiting)

    async def send(self, what: str, about: About, call: Call) -> Sent:
        """Sends the call, or waits for the one that was sent under this name.

        Raises what is `Recoverable` only: `TransactionPending` if it is not mined in time, `OthersWait`, `NonceTaken`, `Lost`, and what
        reads raise.
        """
        name = (what, about)
        said = ", ".join(map(str, about))
        if name in self._mined and await self._depth_of(self._mined[name]) < (self._depth if what in ONCE else 1):
            self._waiting[name] = self._mined.pop(name)
        if name not in self._waiting:
            try:
                self._waiting[name] = await self._sender.send(call.to, call.data)
            except Reverted as reverted:
                refusal = decode_revert(reverted.data)
                log.debug("%s for %s: %s", what, said, refusal)
                return Sent("", refusal)
            except RpcError as error:
                who = self._sender.address
                log.warning("%s for %s was not taken: %s (does %s hold ether?)", what, said, error, who)
                return Sent("", ContractRefused(NOT_SENT, {"why": error.message}))
        transaction = self._waiting[name]
        try:
            receipt = await self._sender.wait(transaction, self._wait_s)
        except TransactionFailed as failed:
            del self._waiting[name]
            log.info("%s for %s: mined in vain, as %s", what, said, failed.tx_hash)
            return Sent(failed.tx_hash, ContractRefused("", {}))
        except NonceTaken:
            del self._waiting[name]
            raise
        except RpcError as error:  # of a transaction that was sent: what became of it is still to be read
            raise ReadRefused(error.code, error.message, error.data) from error
        self._mined[name] = self._waiting.pop(name)
        while len(self._mined) > KEPT_MINED:
            self._mined.popitem(last=False)
        return Sent(str(receipt["transactionHash"]), effect=bool(receipt.get("logs")))

    async def _depth_of(self, transaction: str) -> int:
        try:
            return await self._sender.depth_of(transaction)
        except TransactionFailed:  # mined again in another block, and in vain
            return 0
        except RpcError as error:
            raise ReadRefused(error.code, error.message, error.data) from error
