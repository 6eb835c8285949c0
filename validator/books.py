"""What closing epochs costs a validator and brings it, by epoch: from the chain's receipts, and from the states of posted roots."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chain.backend import ReadRefused, RpcError
from chain.client import ChainClient
from chain.events import Activated, Posted, Proposed
from chain.types import Address, Digest, to_hex
from chain.view import ChainView
from wire.archived import NotServed, archived_file
from wire.http import Client


@dataclass(frozen=True, slots=True)
class Entry:
    """calls: of this validator that were mined and changed something, `propose`, `post` and `activate`; gas: what they cost, wei of the
    chain's coin. income: by how much its leaf grew with the epoch's root, wei of the token; None without a root, or if nobody serves what
    says so."""

    calls: int = 0
    gas: int = 0
    income: int | None = None


def total(entries: Iterable[Entry]) -> Entry:
    """All of them together; income is that of the roots of which it is known."""
    listed = list(entries)
    return Entry(sum(one.calls for one in listed), sum(one.gas for one in listed), sum(one.income or 0 for one in listed))


async def books(chain: ChainClient, client: Client, endpoints: Sequence[str], me: Address, epochs: Collection[int]) -> Mapping[int, Entry]:
    """An entry for each of these epochs. Raises what the chain's node fails in."""
    latest = await chain.latest()
    view = await chain.view(latest)
    sent = await _transactions(chain, view, epochs)
    incomes = _Incomes(client, endpoints, me)
    found = {}
    for epoch in epochs:
        costs = [cost for transaction in sent.get(epoch, ()) if (cost := await _cost(chain, transaction, me)) is not None]
        posted = view.posting(epoch)
        standing = posted is not None and epoch not in view.cancelled
        found[epoch] = Entry(len(costs), sum(costs), await incomes.of(posted, view) if posted is not None and standing else None)
    return found


async def _transactions(chain: ChainClient, view: ChainView, epochs: Collection[int]) -> Mapping[int, set[Digest]]:
    """The transactions that proposed, posted and activated, by epoch."""
    told: list[Proposed | Posted] = [one for one in view.proposed if one.epoch in epochs]
    told += [one for one in view.posted if one.epoch in epochs]
    found: dict[int, set[Digest]] = {}
    for one in told:
        found.setdefault(one.epoch, set()).add(one.at.transaction)
    if told:
        for event in await chain.events(min(one.at.block for one in told), view.block.number):
            if isinstance(event, Activated) and event.epoch in epochs:
                found.setdefault(event.epoch, set()).add(event.at.transaction)
    return found


async def _cost(chain: ChainClient, transaction: Digest, me: Address) -> int | None:
    """What a transaction cost its sender, wei; None if that is another."""
    try:
        receipt = await chain.backend.request("eth_getTransactionReceipt", [to_hex(transaction)])
    except RpcError as error:
        raise ReadRefused(error.code, error.message, error.data) from error
    if not isinstance(receipt, dict) or str(receipt["from"]).lower() != me:
        return None
    return int(str(receipt["gasUsed"]), 16) * int(str(receipt["effectiveGasPrice"]), 16)


class _Incomes:
    """Reads what one account had earned by each root, a state file once."""

    def __init__(self, client: Client, endpoints: Sequence[str], me: Address) -> None:
        self._client, self._endpoints, self._me = client, endpoints, me
        self._earned: dict[Digest, int | None] = {}

    async def of(self, posted: Posted, view: ChainView) -> int | None:
        """By how much the account's leaf grew from the root before to this one."""
        before = view.root_before(posted.epoch)
        now, then = await self._at(posted), 0 if before is None else await self._at(before)
        return None if now is None or then is None else now - then

    async def _at(self, posted: Posted) -> int | None:
        digest = posted.state_digest
        if digest not in self._earned:
            try:
                accounts = json.loads(await archived_file(self._client, self._endpoints, digest))["accounts"]
                self._earned[digest] = next((int(one["earned"]) for one in accounts if one["account"] == self._me), 0)
            except (NotServed, KeyError, TypeError, ValueError):
                self._earned[digest] = None
        return self._earned[digest]
