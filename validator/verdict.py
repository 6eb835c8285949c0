"""Why an account was convicted, read from the contracts' events: what the operator of a slashed validator is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chain import events as ev
from chain.amounts import tokens
from chain.backend import ReadRefused, RpcError
from chain.client import MAX_LOG_RANGE, ChainClient
from chain.frauds import Equivocation
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Wei, to_hex
from chain.view import ChainView
from validator.postings import equivocation_in

REASONS = {
    "equivocates": "it signed two different statements about {place}",
    "falls": "it signed the root of {place}, in which an account's earned, spent or points are below those of the root before",
    "repeats": "it signed the root of {place}, in which an account has two leaves",
    "overspends": "it signed the root of {place}, in which an account has spent more than it deposited",
    "exceedsTotal": "it signed the root of {place}, whose leaves earned more than its total",
    "outOfRange": "it signed the root of {place}, in which a field is out of range",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A conviction. proof: by the name of the Judge's function. epoch, round: of what was signed, both 0 if they cannot be told.

    root: the fraudulent one, zero after signing twice. amount: wei taken, 0 until the stake is. transaction: the one that convicted.
    """

    account: Address
    proof: str
    epoch: int
    round: int
    root: Digest
    reporter: Address
    transaction: Digest
    slashed: bool
    amount: Wei

    @property
    def reason(self) -> str:
        """Why, as half a sentence."""
        place = f"epoch {self.epoch}, round {self.round}" if self.epoch else "one epoch and round"
        return REASONS.get(self.proof, "it was convicted of {place}").format(place=place)

    def __str__(self) -> str:
        taken = f"{tokens(self.amount)} DPN of stake are taken" if self.slashed else "its stake is going to be taken"
        return (
            f"{self.account} is convicted ({self.proof}): {self.reason}. Reported by {self.reporter} in transaction "
            f"{to_hex(self.transaction)}; {taken}. It is barred for good and signs nothing any more."
        )


async def verdict_on(account: Address, chain: ChainClient, view: ChainView) -> Verdict | None:
    """The conviction of an account at `view`, None if there is none. Raises `Recoverable` errors of the chain."""
    if account not in view.convictions:
        return None
    last, amount = view.block.number, Wei(0)
    while last >= chain.network.deployed_block:
        first = max(chain.network.deployed_block, last - MAX_LOG_RANGE + 1)
        found = await chain.events(first, last)
        amount = next((one.amount for one in found if isinstance(one, ev.Slashed) and one.account == account), amount)
        convicted = next((one for one in found if isinstance(one, ev.Convicted) and one.account == account), None)
        if convicted is not None:
            return await _verdict(convicted, found, chain, view, amount)
        last = first - 1
    return None


async def transaction_data(chain: ChainClient, transaction: Digest) -> bytes:
    """The data of a transaction; empty if the chain's node does not know it."""
    try:
        found = await chain.backend.request("eth_getTransactionByHash", [to_hex(transaction)])
    except RpcError as error:
        raise ReadRefused(error.code, error.message, error.data) from error
    return bytes.fromhex(str(found["input"])[2:]) if isinstance(found, dict) else b""


async def _verdict(convicted: ev.Convicted, events: Iterable[ev.Event], chain: ChainClient, view: ChainView, amount: Wei) -> Verdict:
    account, transaction = convicted.account, convicted.at.transaction
    proven = next((one for one in events if isinstance(one, ev.Proven) and one.at.transaction == transaction), None)
    name, root, place = "", ZERO_DIGEST, (0, 0)
    if proven is not None and proven.name == Equivocation.NAME:
        name, place = proven.name, equivocation_in(await transaction_data(chain, transaction)) or (0, 0)
    elif proven is not None:
        posted = next((one for one in reversed(view.posted) if one.root == proven.subject), None)
        name, root, place = proven.name, proven.subject, (posted.epoch, posted.round) if posted is not None else (0, 0)
    conviction = view.convictions.get(account)
    reporter = conviction.reporter if conviction is not None else ZERO_ADDRESS
    return Verdict(account, name, *place, root, reporter, transaction, conviction is not None and conviction.slashed, amount)
