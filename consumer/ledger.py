"""What this account's sessions cost, as its own store has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chain.amounts import tokens
from chain.failover import open_backend
from chain.keys import address_in
from chain.typed import Domain
from chain.types import Digest
from consumer.config import LEAST_USEFUL, ConsumerConfig
from consumer.store import ForeignStore, Store
from runtime.storage import DatabaseMismatch
from runtime.terminal import NothingToDo, UsageError
from wire.sessions import affordable_bytes

STORE = "consumer.sqlite"


class Spending:
    """What one run of `connect` may spend, whatever sessions come and go. An open session counts with all it reserves, one that has ended
    with what its receipts say."""

    def __init__(self, total: int, max_price: int) -> None:
        self.total, self._max_price = total, max_price
        self._open: dict[Digest, int] = {}
        self._ended: list[Digest] = []

    @property
    def sessions(self) -> int:
        return len(self._open) + len(self._ended)

    def add(self, session: Digest, budget: int) -> None:
        """One more session that this run pays for; budget: wei."""
        self._open[session] = budget

    def end(self, session: Digest) -> None:
        """Its last receipt is in the store."""
        if self._open.pop(session, None) is not None:
            self._ended.append(session)

    def spent(self, store: Store) -> int:
        """Wei, by the receipts signed so far."""
        return _fees(store, [*self._open, *self._ended])

    def left(self, store: Store) -> int:
        """Wei for further sessions; 0 once it buys too little to be of use."""
        left = max(0, self.total - _fees(store, self._ended) - sum(self._open.values()))
        return left if affordable_bytes(self._max_price, left) >= LEAST_USEFUL else 0


def _fees(store: Store, sessions: Iterable[Digest]) -> int:
    return sum(known.fee for known in map(store.session, sessions) if known is not None)


async def network_of(config: ConsumerConfig) -> Domain:
    """The deployment that the store belongs to, without reading its contracts."""
    backend = open_backend(config.rpc_urls)
    try:
        return Domain(int(str(await backend.request("eth_chainId", [])), 16), config.settlement)
    finally:
        await backend.close()


def sessions_of(config: ConsumerConfig) -> list[dict[str, Any]]:
    """Every session, newest first, as plain data; amounts in whole tokens. `NothingToDo` if there was none."""
    import asyncio

    file = config.data_dir / STORE
    if not file.exists():
        raise NothingToDo(f"{config.data_dir} holds no sessions: nothing was connected with it yet.")
    try:
        store = Store(file, address_in(config.keystore), asyncio.run(network_of(config)))
    except (DatabaseMismatch, ForeignStore) as error:
        raise UsageError(str(error)) from error
    try:
        return [
            {
                "session": "0x" + one.session_id.hex(),
                "provider": one.provider,
                "opened": one.opened,
                "closed": one.reason,
                "price": tokens(one.price),
                "receipted": one.received,
                "reported": one.reported,
                "difference": one.reported - one.received,
                "fee": tokens(one.fee),
                "budget": tokens(one.budget_to - one.budget_from),
            }
            for one in store.sessions()
        ]
    finally:
        store.close()
