"""Every check of the sessions demo is true of a sound run, and untrue once the thing it is about is changed."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chain.types import Address, Digest
from devnet.network import Devnet
from devnet.processes import Started
from devnet.sessions.checks import judge
from devnet.sessions.facts import Counted, Download, Facts, Kill, LeafSums
from devnet.sessions.ledger import GIB, Served, Sums, sums
from devnet.sessions.ledger import fee as fee_at
from devnet.sessions.privacy import scan
from devnet.sessions.report import report
from wire.packing import pack

PRICE = 10**16
SIZES = {"consumer-1": 3_000_001, "consumer-2": 5_000_000, "consumer-3": 7_654_321}
VIA = {"consumer-1": "provider-1", "consumer-2": "provider-2", "consumer-3": "provider-4"}


def account(number: int) -> Address:
    return Address(f"0x{number:040x}")


def digest(text: str) -> Digest:
    return Digest(text.encode().ljust(32, b"\0"))


NAMES = [*SIZES, *(f"provider-{n}" for n in range(1, 5))]
ACCOUNTS = {name: account(0x100 + number) for number, name in enumerate(NAMES)}
TREASURY = account(0x99)


def fee(size: int) -> int:
    return fee_at(PRICE, size)


def session(consumer: str, provider: str, size: int) -> Served:
    return Served(digest(consumer + provider), ACCOUNTS[consumer], ACCOUNTS[provider], PRICE, 10**18, size, size)


SERVED = {
    4: (session("consumer-1", "provider-1", SIZES["consumer-1"]), session("consumer-3", "provider-4", 1_000_000)),
    5: (
        session("consumer-2", "provider-2", 2_000_000),
        session("consumer-2", "provider-3", 3_000_000),
        session("consumer-3", "provider-4", SIZES["consumer-3"]),
    ),
}
SUMS = sums(SERVED)


def counted(consumer: str, provider: str, size: int, closed: str = "done") -> Counted:
    return Counted(consumer, provider, "0x" + digest(consumer + provider).hex(), PRICE, size, size, fee(size), closed)


SOUND = Facts(
    started=(Started("chain", "chain", 7),),
    accounts=ACCOUNTS,
    treasury=TREASURY,
    downloads=tuple(
        Download(name, f"/files/{name}/0", size, digest(name), digest(name), (VIA[name],), "curl") for name, size in SIZES.items()
    ),
    origin_bytes=SIZES,
    refused={"a private network": 2, "a mail port": 2},
    sessions=(
        counted("consumer-1", "provider-1", SIZES["consumer-1"]),
        counted("consumer-2", "provider-2", 2_000_000, "provider_failed"),
        counted("consumer-2", "provider-3", 3_000_000),
        counted("consumer-3", "provider-4", SIZES["consumer-3"]),
    ),
    kill=Kill("consumer-2", "provider-2", "provider-3", 2_500_000, 2_000_000, 1_000_000),
    epoch=5,
    served=SERVED,
    sums=SUMS,
    leaves={
        **{ACCOUNTS[name]: LeafSums(SUMS.earned[ACCOUNTS[name]], SUMS.spent[ACCOUNTS[name]]) for name in NAMES},
        TREASURY: LeafSums(SUMS.treasury, 0),
    },
    total_spent=sum(SUMS.spent.values()),
    deposits=dict.fromkeys(SIZES, 10**18),
    claimed={name: SUMS.earned[ACCOUNTS[name]] for name in ("provider-1", "provider-2", "provider-3", "provider-4")},
    found=(),
    scanned=80,
    unpacked=40,
)


def test_a_sound_run_is_true_throughout() -> None:
    checks = judge(SOUND)
    assert len(checks) == 13
    assert [check.name for check in checks if not check.passed] == []


def test_the_sums_are_those_of_the_specification() -> None:
    cost = fee(SIZES["consumer-3"])
    assert SUMS.spent[ACCOUNTS["consumer-3"]] == cost
    # The treasury's part and what the budget adds are rounded over the session's life.
    part = cost * 5 // 100
    assert SUMS.earned[ACCOUNTS["provider-4"]] == cost - part + part * 9 // 10


def test_a_fee_in_two_epochs_is_rounded_once() -> None:
    def shown(received: int) -> Served:
        return Served(digest("s"), ACCOUNTS["consumer-1"], ACCOUNTS["provider-1"], GIB, 10**18, received, received)

    found = sums({1: (shown(19),), 2: (shown(40),)})
    assert (found.treasury, found.spent[ACCOUNTS["consumer-1"]]) == (2, 40)
    assert found.earned[ACCOUNTS["provider-1"]] == 38 + 1  # 9/10 of 2


def leaf(name: str, **changes: int) -> Callable[[Facts], Facts]:
    def changed(facts: Facts) -> Facts:
        known = facts.leaves[ACCOUNTS[name]]
        return replace(facts, leaves={**facts.leaves, ACCOUNTS[name]: replace(known, **changes)})

    return changed


def first_session(**changes: Any) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, sessions=(replace(facts.sessions[0], **changes), *facts.sessions[1:]))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda f: replace(f, downloads=(replace(f.downloads[0], found=digest("x")), *f.downloads[1:])), "every file"),
        (lambda f: replace(f, downloads=tuple(replace(one, via=("provider-1",)) for one in f.downloads)), "different regions"),
        (lambda f: replace(f, origin_bytes={**SIZES, "consumer-1": SIZES["consumer-1"] + 1}), "count the same bytes"),
        (first_session(reported=SIZES["consumer-1"] + 1), "count the same bytes"),
        (lambda f: replace(f, refused={"a mail port": 0}), "must not"),
        (lambda f: replace(f, refused={}), "must not"),
        (lambda f: replace(f, kill=replace(f.kill, after="provider-2")), "moves on"),
        (lambda f: replace(f, kill=replace(f.kill, carried=3_000_001)), "within the credit"),
        (lambda f: replace(f, kill=replace(f.kill, receipted=2_500_001)), "within the credit"),
        (lambda f: replace(f, served={4: SERVED[4]}), "last receipt"),
        (leaf("consumer-1", spent=fee(SIZES["consumer-1"]) + 1), "to the last unit"),
        (first_session(fee=fee(SIZES["consumer-1"]) - 1), "charged what it signed for"),
        (lambda f: replace(f, deposits=dict.fromkeys(SIZES, 1)), "charged what it signed for"),
        (leaf("provider-3", earned=SUMS.earned[ACCOUNTS["provider-3"]] - 1), "each provider is paid"),
        (lambda f: replace(f, sums=Sums()), "each provider is paid"),
        (lambda f: replace(f, leaves={**f.leaves, TREASURY: LeafSums(SUMS.treasury + 1, 0)}), "the treasury"),
        (lambda f: replace(f, unpacked=0), "names a destination"),
        (lambda f: replace(f, sums=replace(f.sums, earned=Counter({account(1): f.total_spent}))), "less by sessions"),
        (lambda f: replace(f, total_spent=f.total_spent + 1), "less by sessions"),
        (lambda f: replace(f, claimed={**f.claimed, "provider-1": 1}), "into their wallets"),
        (lambda f: replace(f, claimed={}), "into their wallets"),
        (lambda f: replace(f, found=("provider-1.log: the address of consumer-1",)), "names a destination"),
    ],
)
def test_each_check_notices_what_it_is_about(change: Callable[[Facts], Facts], name: str) -> None:
    failed = [check.name for check in judge(change(SOUND)) if not check.passed]
    assert any(name in found for found in failed), failed


def test_the_report_tells_every_check() -> None:
    checks = judge(SOUND)
    told = report(SOUND, checks, 10.0, 20.0)
    assert [one["passed"] for one in told["checks"]] == [True] * 13
    assert told["leaves"]["consumer-1"]["spent"] == str(fee(SIZES["consumer-1"]))


def test_the_search_looks_into_stores_logs_and_answers_but_not_at_what_the_operator_wrote(tmp_path: Path) -> None:
    devnet = cast(Devnet, SimpleNamespace(folder=tmp_path))
    home = tmp_path / "nodes" / "provider-1"
    (home / "data").mkdir(parents=True)
    (home / "config.toml").write_text("bind_host = '127.1.2.3'")
    digits = b"".join(hashlib.sha256(bytes([n])).hexdigest().encode() for n in range(60))
    database = sqlite3.connect(home / "data" / "store.sqlite")
    database.execute("CREATE TABLE kept (packed BLOB, plain TEXT)")
    database.execute("INSERT INTO kept VALUES (?, 'nothing')", (pack(b"nothing" * 30),))
    database.commit()
    (tmp_path / "relay.log").write_text("127.1.2.3")
    needles = {"127.1.2.3": "a consumer"}
    assert scan(devnet, needles, {"provider-1": {"state": "connected"}}).found == ()
    database.execute("INSERT INTO kept VALUES (?, '')", (pack(digits + b"127.1.2.3" + digits),))
    database.commit()
    assert b"127.1.2.3" not in (home / "data" / "store.sqlite").read_bytes(), "packed, it does not stand there as it is"
    assert len(scan(devnet, needles, {}).found) == 1
    database.execute("UPDATE kept SET packed = NULL, plain = '127.1.2.3'")
    database.commit()
    database.close()
    (tmp_path / "provider-1.log").write_text("served 127.1.2.3")
    found = scan(devnet, needles, {"provider-1": {"peer": "127.1.2.3"}})
    assert len(found.found) == 3
    assert (found.looked_at, found.unpacked) == (3, 0)
