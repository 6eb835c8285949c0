"""What a run may still spend, while sessions come and go."""

from __future__ import annotations

from pathlib import Path

from chain.keys import NodeKey
from chain.typed import Domain, digest_of, sign
from chain.types import Address, Digest
from consumer.config import LEAST_USEFUL
from consumer.ledger import Spending
from consumer.store import Store
from wire.messages import Offer, SessionRequest, UsageReceipt

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
CONSUMER = NodeKey(b"\x01" * 32)
PROVIDER = Address("0x" + "aa" * 20)
GIB = 1 << 30
PRICE = GIB
"""A wei a byte."""


def begun(store: Store, number: int, budget: int) -> Digest:
    request = SessionRequest(CONSUMER.address, "", 0, 1, PRICE, number * 10 * GIB, number * 10 * GIB + budget, number, 100)
    return store.begin(request, Offer(PROVIDER, digest_of(request, DOMAIN), PRICE, 100), 0)


def received(store: Store, session: Digest, size: int) -> None:
    store.keep_receipt(sign(UsageReceipt(CONSUMER.address, session, 1, 0, size, 1, 1, 1), DOMAIN, CONSUMER))


def test_an_open_session_counts_with_all_it_reserves_and_an_ended_one_with_its_receipts(tmp_path: Path) -> None:
    store = Store(tmp_path / "consumer.sqlite", CONSUMER.address, DOMAIN)
    spending = Spending(8 * GIB, PRICE)
    first = begun(store, 0, 2 * GIB)
    spending.add(first, 2 * GIB)
    assert (spending.left(store), spending.spent(store), spending.sessions) == (6 * GIB, 0, 1)
    received(store, first, GIB)
    assert (spending.left(store), spending.spent(store)) == (6 * GIB, GIB)
    second = begun(store, 1, 6 * GIB)
    spending.add(second, 6 * GIB)
    assert spending.left(store) == 0, "two at a time cannot spend more than there is"
    spending.end(first)
    spending.end(first)
    assert (spending.left(store), spending.spent(store), spending.sessions) == (GIB, GIB, 2)
    received(store, second, 6 * GIB)
    spending.end(second)
    assert spending.left(store) == 8 * GIB - 7 * GIB
    store.close()


def test_what_buys_too_little_is_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "consumer.sqlite", CONSUMER.address, DOMAIN)
    assert Spending(LEAST_USEFUL, PRICE).left(store) == LEAST_USEFUL
    assert Spending(LEAST_USEFUL - 1, PRICE).left(store) == 0
    store.close()
