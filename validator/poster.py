"""Puts calls on chain and says what became of them; a call that was sent is waited for, not sent again.

Whether an epoch is posted is the chain's to say: another's post is as good as one's own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from chain.abi import ContractRefused, decode_revert
from chain.backend import ReadRefused, Reverted, RpcError
from chain.contracts import Call
from chain.sender import NonceTaken, Sender, TransactionFailed

NOT_SENT = "NotSent"
"""Stands for the contract's refusal where the chain's node took the transaction not at all: no funds for gas, say."""

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

    `wait_s` is how long one step waits for a transaction to be mined.
    """

    def __init__(self, sender: Sender, wait_s: float) -> None:
        self._sender, self._wait_s = sender, wait_s
        self._waiting: dict[tuple[str, About], str] = {}

    def is_waiting(self, what: str, first: int | str) -> bool:
        """Whether a call of this kind about something that begins with `first` was sent and not seen mined."""
        return any(kind == what and about[0] == first for kind, about in self._waiting)

    async def send(self, what: str, about: About, call: Call) -> Sent:
        """Sends the call, or waits for the one that was sent under this name.

        Raises what is `Recoverable` only: `TransactionPending` if it is not mined in time, `NonceTaken`, and what reads raise.
        """
        name = (what, about)
        said = ", ".join(map(str, about))
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
        del self._waiting[name]
        return Sent(str(receipt["transactionHash"]), effect=bool(receipt.get("logs")))
